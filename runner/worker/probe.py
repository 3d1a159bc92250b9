"""Trying the seal for real: a child that goes for each way out, harmlessly, and says which it found closed."""

from __future__ import annotations

import ctypes
import os
import resource
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.worker.channel import Channel, no_tools
from runner.worker.sealing.kernel import checked, libc

if TYPE_CHECKING:
    from collections.abc import Callable

NEW_USER = 0x10000000
IO_URING_SETUP = 425


async def work(order: dict[str, Any], end: socket.socket) -> None:
    """Try each way, and say what became of it."""
    channel = Channel(no_tools)
    await channel.open(end)
    await channel.say("probed", tried=tried(order))


def tried(order: dict[str, Any]) -> list[tuple[str, str | None]]:
    """Each way out, and the error that closed it, or None where it was open."""
    return [(name, _tried(way)) for name, way in ways(order).items()]


def _tried(way: Callable[[], Any]) -> str | None:
    try:
        way()
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    return None


def ways(order: dict[str, Any]) -> dict[str, Callable[[], Any]]:
    """The ways out of this system, by what an owner would call them; none does harm where it is open."""
    return _of_all(order) | (_of_linux(order["pid"]) if sys.platform == "linux" else {})


def _of_all(order: dict[str, Any]) -> dict[str, Callable[[], Any]]:
    canary, there, pid = Path(order["canary"]), ("127.0.0.1", order["port"]), order["pid"]
    return {
        "read a file of yours": canary.read_bytes,
        "write a file of yours": lambda: canary.open("ab").close(),
        "remove a file of yours": canary.unlink,
        "list the project's folder": lambda: list(canary.parent.iterdir()),
        "connect by TCP": lambda: socket.create_connection(there, timeout=1).close(),
        "send by UDP": lambda: _send(there),
        "open a unix socket": _listen,
        "begin a program": lambda: subprocess.run(["/bin/sh", "-c", ":"], check=True),
        "begin another process": _fork,
        "leave its group": lambda: os.setpgid(0, os.getppid()),
        "signal the runner": lambda: os.kill(pid, 0),
    }


def _of_linux(pid: int) -> dict[str, Callable[[], Any]]:
    return {
        "talk to the kernel's network": lambda: _socket(socket.AF_NETLINK, socket.SOCK_RAW),
        "get namespaces of its own": lambda: _called("unshare", NEW_USER),
        "use io_uring": lambda: checked(libc.syscall(IO_URING_SETUP, 1, None), "io_uring_setup"),
        "trace the runner": lambda: _called("ptrace", 16, pid, 0, 0),
        "read the runner's memory": lambda: _peek(pid),
        "read the runner's environment": lambda: Path(f"/proc/{pid}/environ").read_bytes(),
        "see the runner's limits": lambda: resource.prlimit(pid, resource.RLIMIT_CORE),
        "see another's schedule": lambda: os.sched_setaffinity(pid, os.sched_getaffinity(pid)),
    }


def _socket(family: int, kind: int) -> None:
    socket.socket(family, kind).close()


def _send(there: tuple[str, int]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
        end.sendto(b"", there)


def _listen() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as end:
        end.bind("probe.sock")  # in its own folder
        Path("probe.sock").unlink()


def _fork() -> None:
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)


def _called(name: str, *args: int) -> None:
    checked(int(getattr(libc, name)(*args)), name)


def _peek(pid: int) -> None:
    """Read one byte by process_vm_readv; where that is let through, a wrong address is its own error."""
    byte = ctypes.create_string_buffer(1)
    span = (ctypes.c_size_t * 2)(ctypes.addressof(byte), 1)
    checked(int(libc.process_vm_readv(pid, span, 1, span, 1, 0)), "process_vm_readv")
