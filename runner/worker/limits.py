"""What a child may use, and that it dies with its parent. Limits once set can't be raised again."""

from __future__ import annotations

import ctypes
import os
import resource
import select
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

PR_SET_PDEATHSIG = 1
HUNG_UP = select.POLLHUP | getattr(select, "POLLRDHUP", 0)  #: the second is Linux's alone
MEGABYTE = 1 << 20
FILES = 256  #: descriptors a child may hold open
FILE_SIZE = 256 * MEGABYTE
PROCESSES = 4096  #: processes and threads of the same user altogether; not enforced for root
LOOK_S = 0.2  #: between two looks at the parent, where it can be told in no other way
NICENESS = 10  #: so that twenty spinning children can't slow the one that must kill them


def die_with_parent(parent: int) -> None:
    """Be killed by the kernel when the parent dies (Linux; elsewhere end-of-file does it), and at once if it has."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def confine(memory: int) -> None:
    """Limit this process to `memory` megabytes more than it has (Linux), and to its share of everything else."""
    os.nice(NICENESS)
    size = memory * MEGABYTE + _size()
    for what, limit in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, FILES),
        (resource.RLIMIT_FSIZE, FILE_SIZE),
        (resource.RLIMIT_NPROC, PROCESSES),
        *([(resource.RLIMIT_AS, size)] if sys.platform == "linux" else []),
    ):
        _, hard = resource.getrlimit(what)
        least = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(what, (least, least))


def _size() -> int:
    """The bytes of address space in use; 0 where that can't be told."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except OSError:
        return 0


def die_with_line(channel: socket.socket, parent: int) -> None:
    """Leave when the supervisor's end is closed, or the parent gone, whatever the task is doing."""

    def watch() -> None:
        if sys.platform == "darwin":  # its poll tells an end and a message apart in no version alike
            _outlive(parent)
        else:
            waiter = select.poll()
            waiter.register(channel, HUNG_UP)
            waiter.poll()
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="end-of-file").start()


def _outlive(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_S)


def kill(pid: int) -> None:
    """Kill a child that nobody has reaped, and its group, which it may have left."""
    for end in (os.killpg, os.kill):
        with suppress(ProcessLookupError, PermissionError):
            end(pid, signal.SIGKILL)
