"""Every write, fsync and send of a runner, seen before the kernel carries it out, and let pass, failed, or its last.

The layer that is interposed is the kernel's own: seccomp user notification. The process puts itself under a filter
that hands these system calls to a listener, whoever makes them, be it Python, SQLite's C or a library's Rust; each
waits until the test has judged it. Children inherit the filter: of theirs only what goes to the outside counts. What
is left out: calls that are not in `CALLS` (a rename, an unlink, what is mapped into memory, as SQLite's -shm), and
what a disk does of its own accord: a call that failed here never reached the disk, and a kill loses no page of the
kernel's, so that a missing fsync shows only in the order of the calls, which is why that is looked at too.
"""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import os
import select
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from runner.worker.sealing.calls import MACHINES
from runner.worker.sealing.kernel import PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS, call, checked, prctl
from runner.worker.sealing.seccomp import (
    ALLOW,
    ARG_AT,
    EQUAL,
    ERROR,
    MACHINE_AT,
    NUMBER_AT,
    Step,
    answer,
    assembled,
    load,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: by name: what it is to us, and its numbers on x86-64 and aarch64
CALLS = {
    "write": ("write", (1, 64)),
    "writev": ("write", (20, 66)),
    "pwrite64": ("write", (18, 68)),
    "ftruncate": ("write", (77, 46)),
    "fsync": ("fsync", (74, 82)),
    "fdatasync": ("fsync", (75, 83)),
    "sendto": ("send", (44, 206)),
    "sendmsg": ("send", (46, 211)),
}
PRCTL, SECCOMP = (157, 167), (317, 277)
NOTIFY = 0x7FC00000
SET_FILTER, NEW_LISTENER = 1, 8
RECEIVE, RESPOND, GO_ON = 0xC0502100, 0xC0182101, 1
NOTICE = "=QIIiIQ6Q"  #: id, thread, flags, number, machine, place, arguments
HIGH = 900  #: the descriptor over which the listener leaves; its sends are not judged
TERMINAL = "the terminal"
KILL = -1  #: a verdict: the runner ends here


def place() -> int:
    """Which of a call's numbers is this machine's."""
    return MACHINES[os.uname().machine].place


def is_there() -> bool:
    """Whether this kernel can hand system calls to a listener (Linux 5.5)."""
    try:
        return os.uname().machine in MACHINES and "user_notif" in Path(
            "/proc/sys/kernel/seccomp/actions_avail"
        ).read_text(encoding="ascii")
    except OSError:
        return False


def _filter() -> bytes:
    here = place()
    steps = [load(MACHINE_AT), Step(EQUAL, 1, 0, MACHINES[os.uname().machine].audit), answer(ALLOW)]
    steps += [load(NUMBER_AT)]
    for name, (_, numbers) in CALLS.items():
        if name != "sendmsg":
            steps += [Step(EQUAL, 0, 1, numbers[here]), answer(NOTIFY)]
    bodies = {
        CALLS["sendmsg"][1][here]: [load(ARG_AT[0]), Step(EQUAL, 0, 1, HIGH), answer(ALLOW), answer(NOTIFY)],
        # said to be done and not done: or else nobody but root could see what a descriptor is
        PRCTL[here]: [load(ARG_AT[0]), Step(EQUAL, 0, 1, PR_SET_DUMPABLE), answer(ERROR), answer(ALLOW)],
    }
    for number, body in bodies.items():
        steps += [Step(EQUAL, 0, len(body), number), *body]
    return assembled([*steps, answer(ALLOW)])


def submit(channel: socket.socket) -> None:
    """Have this process's calls, and those of all it starts, judged by whoever is at the other end."""
    assert fcntl.fcntl(channel.fileno(), fcntl.F_DUPFD, HIGH) == HIGH
    code = ctypes.create_string_buffer(_filter())
    head = ctypes.create_string_buffer(struct.pack("@HP", len(code.raw) // 8, ctypes.addressof(code)))
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    listener = checked(call(SECCOMP[place()], SET_FILTER, NEW_LISTENER, ctypes.addressof(head)), "seccomp")
    with socket.socket(fileno=HIGH) as high:
        socket.send_fds(high, [b"!"], [listener])
    os.close(listener)
    channel.close()


@dataclass(frozen=True, slots=True)
class Point:
    """A call that is about to be made."""

    what: str  #: "write", "fsync" or "send"
    where: str  #: a path within the project, or who is at the other end
    is_own: bool  #: the runner's; else a child's
    size: int = 0  #: of that file, in bytes, before the call

    def __str__(self) -> str:
        return f"{self.what} {self.where}"


@dataclass(slots=True)
class Watch:
    """The judge of one runner's calls, beside the test's own loop."""

    listener: int
    pid: int
    home: Path
    ends: Mapping[int, str]  #: who is at a port
    judge: Callable[[Point], int]  #: 0 lets the call pass, an errno fails it, `KILL` ends the runner
    _threads: set[int] = field(default_factory=set)
    _names: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._names = {numbers[place()]: what for what, numbers in CALLS.values()}
        asyncio.get_running_loop().add_reader(self.listener, self._hear)

    def close(self) -> None:
        """Judge no more; whatever would be judged fails."""
        if self.listener >= 0:
            asyncio.get_running_loop().remove_reader(self.listener)
            os.close(self.listener)
            self.listener = -1

    def _hear(self) -> None:
        ready = select.poll()
        ready.register(self.listener, select.POLLIN)
        if not any(events & select.POLLIN for _, events in ready.poll(0)):
            self.close()  # there is nobody left
            return
        notice = bytearray(struct.calcsize(NOTICE))
        with suppress(FileNotFoundError):  # whoever made the call was killed meanwhile
            fcntl.ioctl(self.listener, RECEIVE, notice)
            self._decide(notice)

    def _decide(self, notice: bytearray) -> None:
        number, thread, _, name, _, _, *args = struct.unpack(NOTICE, notice)
        point = self._point(thread, self._names[name], args)
        verdict = self.judge(point) if point is not None else 0
        if verdict == KILL:
            os.kill(self.pid, 9)
            return
        told = struct.pack("=QqiI", number, 0, -verdict, 0 if verdict else GO_ON)
        fcntl.ioctl(self.listener, RESPOND, told)

    def _point(self, thread: int, what: str, args: list[int]) -> Point | None:
        """What a call is to us; None is nothing."""
        is_own = self._is_own(thread)
        if not is_own and what != "send":
            return None
        if is_own and args[0] == 1:
            return Point(what, TERMINAL, is_own)
        path = f"/proc/{thread}/fd/{ctypes.c_int(args[0]).value}"
        try:
            target = str(Path(path).readlink())
        except OSError:
            return None
        if target.startswith("socket:"):
            end = self._end(target[8:-1])
            is_wake = not end and args[2] == 1 and what == "send"  # a thread wakes the loop
            counts = (end or is_own) and not is_wake
            return Point("send", end or "a child", is_own) if counts else None
        if not is_own or not target.startswith(f"{self.home}/"):
            return None
        return Point(what, target.removeprefix(f"{self.home}/"), is_own, Path(path).stat().st_size)

    def _is_own(self, thread: int) -> bool:
        if thread not in self._threads and Path(f"/proc/{self.pid}/task/{thread}").exists():
            self._threads.add(thread)
        return thread in self._threads

    def _end(self, inode: str) -> str:
        """Who is at the other end of a connection; empty when it is none to the outside."""
        for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
            parts = line.split()
            if parts[9] == inode:
                return self.ends.get(int(parts[2].rpartition(":")[2], 16), "somebody")
        return ""
