"""A tap on the shoulder of the runner that is up: another process has committed something. It carries no words."""

from __future__ import annotations

import asyncio
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def tap(pipe: Path) -> None:
    """Wake the runner that listens at that pipe; nothing happens when none does."""
    with suppress(OSError):
        descriptor = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.write(descriptor, b".")
        finally:
            os.close(descriptor)


@contextmanager
def listen(pipe: Path, woken: Callable[[], None]) -> Iterator[None]:
    """Call `woken` at each tap while this lasts; taps that come together may be one."""
    with suppress(FileExistsError):
        os.mkfifo(pipe, 0o600)
    # opened for writing too, so that it never is at its end
    descriptor = os.open(pipe, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    loop = asyncio.get_running_loop()

    def hear() -> None:
        with suppress(BlockingIOError):
            os.read(descriptor, 4096)
        woken()

    loop.add_reader(descriptor, hear)
    try:
        yield
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
