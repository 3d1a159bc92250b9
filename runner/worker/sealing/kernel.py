"""Talking to the kernel where Python has no words for it."""

from __future__ import annotations

import ctypes
import os

PR_SET_DUMPABLE = 4
PR_SET_KEEPCAPS = 8
PR_SET_SECCOMP = 22
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47

libc = ctypes.CDLL(None, use_errno=True)


def checked(result: int, what: str) -> int:
    """The result of a call; raises `OSError` that names it when it failed."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def call(number: int, *args: int | bytes | None) -> int:
    """Make a system call by its number; its result, or -1."""
    libc.syscall.restype = ctypes.c_long
    given = [ctypes.c_long(arg) if isinstance(arg, int) else arg for arg in args]
    return int(libc.syscall(ctypes.c_long(number), *given))


def prctl(option: int, *args: int) -> int:
    """Change something about this process; raises `OSError` when the kernel refuses."""
    given = [ctypes.c_ulong(arg) for arg in (*args, 0, 0, 0, 0)[:4]]
    return checked(int(libc.prctl(option, *given)), f"prctl {option}")


def hide() -> None:
    """Close this process's memory and descriptors to others of its user, children included (Linux)."""
    if hasattr(libc, "prctl"):
        prctl(PR_SET_DUMPABLE, 0)
