"""How much a task may keep in its folder: looked at before its run, while that lasts, and after it."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from runner.errors import RunError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

EVERY_S = 1.0  #: between two looks at the folder of a run under way
LEAST = 4096  #: bytes that even an empty file counts as
MEGABYTE = 1 << 20


def is_over(folder: Path, limit: int) -> bool:
    """Whether the folder holds more than `limit` bytes on disk, or what can't be counted; links are not followed."""
    total, places = 0, [str(folder)]
    while places:
        try:
            with os.scandir(places.pop()) as entries:
                for entry in entries:
                    found = entry.stat(follow_symlinks=False)
                    total += max(found.st_blocks * 512, LEAST)
                    places += [entry.path] if entry.is_dir(follow_symlinks=False) else []
                    if total > limit:
                        return True
        except FileNotFoundError:
            continue  # gone while it was looked at
        except OSError:
            return True
    return False


@asynccontextmanager
async def kept(folder: Path, megabytes: int, kill: Callable[[], None]) -> AsyncIterator[None]:
    """Hold a run to that much while this lasts: past it, it is killed. Raises `RunError` where it went past it."""
    await _check(folder, megabytes)

    async def watch() -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            if await asyncio.to_thread(is_over, folder, megabytes * MEGABYTE):
                kill()
                return

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()
    await _check(folder, megabytes)


async def _check(folder: Path, megabytes: int) -> None:
    if await asyncio.to_thread(is_over, folder, megabytes * MEGABYTE):
        raise RunError(
            f"its folder holds more than {megabytes:,} MB, or what can't be counted: {folder}; "
            "remove what it need not keep, or give the task a larger disk="
        )
