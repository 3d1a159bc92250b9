"""What the zygote has ready before it forks, so that no child pays for it: a task's imports are most of its start."""

from __future__ import annotations

from importlib import import_module

ROOMS = ("asyncio", "runner.drafts", "runner.worker.deliver", "runner.worker.look", "runner.worker.run")


def everything() -> None:
    """Import what children import, and build what pydantic would build at their first use."""
    for room in ROOMS:
        import_module(room)
