"""Asking whether drafts fit their kinds, in a child: a kind's rules are its module's own, and may take for ever."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from runner import said, seal
from runner.errors import DraftError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from runner.children import Children
    from runner.draft import Kind

WITHIN_S = 5.0
MEMORY_MB = 256


async def vet(children: Children, home: Path, drafts: Sequence[tuple[Kind, Mapping[str, Any]]]) -> None:
    """Raise `DraftError`, in the owner's words, for the first of them that doesn't fit, or can't be judged in time."""
    if not drafts:
        return
    names = ", ".join(sorted({kind.name for kind, _ in drafts}))
    with seal.scratch(home) as scratch:
        order = {
            "op": "fit",
            "memory": MEMORY_MB,
            "folder": str(scratch),
            "seal": seal.of_reading(home, children.user, scratch),
            "environment": seal.environment(scratch),
            "drafts": [[kind.model_dump(mode="json"), fields] for kind, fields in drafts],
        }
        try:
            async with children.fork(_unheard) as child, asyncio.timeout(WITHIN_S):
                await child.send(order)
                verdict = await child.receive()
        except TimeoutError:
            verdict = {"error": f"{names}: whether it fits could not be told within {WITHIN_S:g} s"}
    if verdict is None or verdict.get("op") != "fit":
        raise DraftError(
            said.short((verdict or {}).get("error", f"{names}: whether it fits could not be told"))
        )


def _unheard(line: str) -> None:
    """It prints nothing of interest."""
