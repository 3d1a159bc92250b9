"""One runner per store: a lock that dies with its holder and names it."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from runner.errors import AlreadyRunningError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def hold(path: Path) -> Iterator[None]:
    """Be the one runner while this lasts; raises `AlreadyRunningError` with the pid of the one there is.

    Raises `StoreError` when the lock can't be taken at all, as on a full disk.
    """
    with ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            stack.callback(os.close, descriptor)
            _take(descriptor)
        except OSError as error:
            raise StoreError(
                f"the lock {path} can't be taken: {error.strerror}; nothing was begun"
            ) from error
        yield


def _take(descriptor: int) -> None:
    if not _lock_soon(descriptor):
        raise AlreadyRunningError(
            f"a runner is up for this project already: process {_pid(descriptor) or '?'}; "
            "stop that one first (kill it, or Ctrl-C where it runs), or use `runner status` to look at it"
        )
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)


def holder(path: Path) -> int | None:
    """The pid of the runner that is up; None when none is."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return None if _lock(descriptor, fcntl.LOCK_SH) else _pid(descriptor)
    finally:
        os.close(descriptor)


def _lock_soon(descriptor: int) -> bool:
    """Try a little longer than `holder` ever holds it, so that a look never looks like a runner."""
    for _ in range(5):
        if _lock(descriptor):
            return True
        time.sleep(0.02)
    return False


def _lock(descriptor: int, how: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _pid(descriptor: int) -> int | None:
    text = os.pread(descriptor, 32, 0).decode(errors="replace")
    return int(text) if text.isdecimal() else None
