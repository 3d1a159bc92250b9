"""seccomp: which system calls a process may make, by a filter of our own; the kernel asks it before each."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from typing import NamedTuple

from runner.worker.sealing.calls import (
    IPC,
    JUDGED,
    KERNEL,
    MACHINES,
    METADATA,
    NAMESPACES,
    NETWORK,
    NEWEST,
    OTHERS,
    PROGRAMS,
    SIGNALS,
    Machine,
    Numbers,
)
from runner.worker.sealing.kernel import PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, libc, prctl

ALLOW, KILL, ERROR = 0x7FFF0000, 0x80000000, 0x00050000
REFUSE, ABSENT = ERROR | errno.EPERM, ERROR | errno.ENOSYS
FILTER = 2  #: mode of PR_SET_SECCOMP

# what a filter is written in (classic BPF)
LOAD, RETURN, EQUAL, GREATER, ANY_BIT, AND = 0x20, 0x06, 0x15, 0x25, 0x45, 0x54

NUMBER_AT, MACHINE_AT = 0, 4
ARG_AT = (16, 24, 32, 40, 48, 56)  #: the low half of each argument; the high half is four bytes on

CLONE_THREAD, CLONE_NEW = 0x10000, 0x7E020000
UNIX, STREAM, KIND = 1, 1, 0xF
TIOCSTI, TIOCLINUX = 0x5412, 0x541C  #: typing into a terminal
#: parent-death signal, dumpable, subreaper, who may trace
PRCTL = (1, 4, 36, 0x59616D61)


class Step(NamedTuple):
    """One instruction: an operation, how far to jump if it holds and if not, a value."""

    code: int
    yes: int
    no: int
    value: int


Steps = list[Step]


def load(at: int) -> Step:
    """Take up a part of what the kernel tells of the call."""
    return Step(LOAD, 0, 0, at)


def answer(what: int) -> Step:
    """End with that."""
    return Step(RETURN, 0, 0, what)


def _refuse_if(code: int, value: int) -> Steps:
    return [Step(code, 0, 1, value), answer(REFUSE)]


def _refuse_unless(code: int, value: int) -> Steps:
    return [Step(code, 1, 0, value), answer(REFUSE)]


def program(machine: Machine, *, is_open: bool, covers_truncate: bool, pid: int) -> Steps:
    """The filter for a process of that pid; `covers_truncate`: whether Landlock looks after that call."""
    steps = [load(MACHINE_AT), Step(EQUAL, 1, 0, machine.audit), answer(KILL), load(NUMBER_AT)]
    steps += [Step(GREATER, 0, 1, NEWEST), answer(ABSENT)]  # x32 calls too: their numbers are far higher
    closed = [OTHERS, NAMESPACES, KERNEL]
    closed += [] if is_open else [SIGNALS, NETWORK, PROGRAMS, METADATA, IPC]
    for group in closed:
        for number in _numbers(group, machine):
            steps += [Step(EQUAL, 0, 1, number), answer(REFUSE)]
    judged = _for_all() | ({} if is_open else _for_sealed(pid))
    if not covers_truncate:
        judged["truncate"] = [answer(REFUSE)]
    for name, body in judged.items():
        call = JUDGED[name][machine.place]
        assert call is not None
        whole = [*body, answer(ALLOW)]
        steps += [Step(EQUAL, 0, len(whole), call), *whole]
    return [*steps, answer(ALLOW)]


def _numbers(group: Numbers, machine: Machine) -> list[int]:
    return [number for both in group.values() if (number := both[machine.place]) is not None]


def _for_all() -> dict[str, Steps]:
    """Calls that depend on what they are given, in any child; each body falls through to a yes."""
    itself_only = [load(ARG_AT[0]), *_refuse_unless(EQUAL, 0)]
    return {
        "clone": [load(ARG_AT[0]), *_refuse_if(ANY_BIT, CLONE_NEW)],
        "clone3": [
            answer(ABSENT)
        ],  # its flags lie in memory, out of a filter's sight; libc falls back to clone
        "prctl": [load(ARG_AT[0]), *(step for option in PRCTL for step in _refuse_if(EQUAL, option))],
        "prlimit64": itself_only,
        "sched_setparam": itself_only,
        "sched_setscheduler": itself_only,
        "sched_setaffinity": itself_only,
        "sched_setattr": itself_only,
        "setpriority": [*itself_only, load(ARG_AT[1]), *_refuse_unless(EQUAL, 0)],
        "ioctl": [load(ARG_AT[1]), *_refuse_if(EQUAL, TIOCSTI), *_refuse_if(EQUAL, TIOCLINUX)],
    }


def _for_sealed(pid: int) -> dict[str, Steps]:
    itself = [load(ARG_AT[0]), *_refuse_unless(EQUAL, pid)]
    return {
        "clone": [load(ARG_AT[0]), *_refuse_if(ANY_BIT, CLONE_NEW), *_refuse_unless(ANY_BIT, CLONE_THREAD)],
        "kill": itself,
        "tgkill": itself,
        "socketpair": [
            load(ARG_AT[0]),
            *_refuse_unless(EQUAL, UNIX),
            load(ARG_AT[1]),
            Step(AND, 0, 0, KIND),
            *_refuse_unless(EQUAL, STREAM),  # a pair of datagram sockets could be sent elsewhere
        ],
        "sendto": [
            load(ARG_AT[4]),
            *_refuse_unless(EQUAL, 0),
            load(ARG_AT[4] + 4),
            *_refuse_unless(EQUAL, 0),
        ],
    }


def assembled(steps: Steps) -> bytes:
    """The filter as the kernel takes it."""
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


def is_there() -> bool:
    """Whether this kernel takes filters, and there is one for this machine."""
    if os.uname().machine not in MACHINES or not hasattr(libc, "prctl"):
        return False
    libc.prctl(PR_SET_SECCOMP, ctypes.c_ulong(FILTER), None, ctypes.c_ulong(0), ctypes.c_ulong(0))
    return ctypes.get_errno() == errno.EFAULT  # it would take one, if one were there


def restrict(*, is_open: bool, covers_truncate: bool) -> None:
    """Refuse those calls from now on, to this thread and all it starts; raises `OSError` when the kernel won't."""
    machine = MACHINES[os.uname().machine]
    steps = program(machine, is_open=is_open, covers_truncate=covers_truncate, pid=os.getpid())
    install(steps)


def install(steps: Steps) -> None:
    """Put this thread, and all it starts, under that filter; others it has already stay above it."""
    code = ctypes.create_string_buffer(assembled(steps))
    head = ctypes.create_string_buffer(struct.pack("@HP", len(steps), ctypes.addressof(code)))
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    prctl(PR_SET_SECCOMP, FILTER, ctypes.addressof(head))
