"""Looks out for STOP from a thread of its own, so that a busy event loop hides nothing: inotify, and polling beneath."""

from __future__ import annotations

import ctypes
import os
import select
import struct
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from runner.stop import Stop

POLL_S = 0.1  #: how often to look where the kernel tells nothing, as on a network mount
IN_CREATE, IN_MOVED_TO, IN_Q_OVERFLOW = 0x100, 0x80, 0x4000
IN_NONBLOCK, IN_CLOEXEC = os.O_NONBLOCK, getattr(os, "O_CLOEXEC", 0)
NOTICE = struct.Struct("iIII")  #: before each name: watch, what happened, cookie, bytes of the name
NOTICES_MAX = 1 << 16  #: bytes read at once


@contextmanager
def watch(stop: Stop) -> Iterator[None]:
    """Have `stop` look whenever something appears in its folder, and ten times a second anyway, while this lasts."""
    ended_read, ended_write = os.pipe()
    notices = _notices(stop.path.parent)
    before, stop.appeared = stop.appeared, lambda: any(_tells_of(each, stop.path.name) for each in notices)
    thread = threading.Thread(
        target=_watch, args=(ended_read, notices, stop.look), daemon=True, name="lookout"
    )
    thread.start()
    try:
        yield
    finally:
        os.close(ended_write)
        thread.join()
        stop.appeared = before
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


def _tells_of(descriptor: int, name: str) -> bool:
    """Take up what the kernel told since; whether that name is in it, or may have been in what it dropped."""
    has_appeared = False
    while told := _read(descriptor):
        while told:
            _, what, _, length = NOTICE.unpack_from(told)
            found = told[NOTICE.size : NOTICE.size + length].rstrip(b"\0")
            has_appeared |= found == os.fsencode(name) or bool(what & IN_Q_OVERFLOW)
            told = told[NOTICE.size + length :]
    return has_appeared


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, NOTICES_MAX)
    except BlockingIOError:
        return b""
