"""Looks out for STOP from a thread of its own, so that a busy event loop hides nothing: inotify, and polling beneath."""

from __future__ import annotations

import ctypes
import os
import select
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

POLL_S = 0.1  #: how often to look where the kernel tells nothing, as on a network mount
IN_CREATE, IN_MOVED_TO = 0x100, 0x80
IN_NONBLOCK, IN_CLOEXEC = os.O_NONBLOCK, getattr(os, "O_CLOEXEC", 0)


@contextmanager
def watch(folder: Path, look: Callable[[], object]) -> Iterator[None]:
    """Call `look` whenever something appears in `folder`, and ten times a second anyway, while this lasts."""
    ended_read, ended_write = os.pipe()
    notices = _notices(folder)
    thread = threading.Thread(target=_watch, args=(ended_read, notices, look), daemon=True, name="lookout")
    thread.start()
    try:
        yield
    finally:
        os.close(ended_write)
        thread.join()
        for descriptor in (ended_read, *notices):
            os.close(descriptor)


def _watch(ended: int, notices: list[int], look: Callable[[], object]) -> None:
    waiter = select.poll()
    for descriptor in (ended, *notices):
        waiter.register(descriptor, select.POLLIN)
    while True:
        ready = dict(waiter.poll(POLL_S * 1000))
        if ended in ready:
            return
        for descriptor in notices:
            if descriptor in ready:
                os.read(descriptor, 1 << 16)
        look()


def _notices(folder: Path) -> list[int]:
    """A descriptor that can be read when something appears in the folder; none where the kernel has no inotify."""
    if sys.platform != "linux":
        return []
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.inotify_init1(IN_NONBLOCK | IN_CLOEXEC)
    if descriptor < 0:
        return []
    if libc.inotify_add_watch(descriptor, os.fsencode(folder), IN_CREATE | IN_MOVED_TO) < 0:
        os.close(descriptor)
        return []
    return [descriptor]
