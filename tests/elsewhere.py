"""Another system than Linux, as far as Linux can pretend: without what it alone has, and under another name.

It is no Mac. But what fails here fails there. Where it is asked for, there is a stand-in for macOS's sandbox: it reads the
same profiles, and has Linux close what they do not allow.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import re
import resource
import runpy
import select
import signal
import socket
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx  # noqa: F401 - like the standard library, it chooses its ways for the system that it is really on

if TYPE_CHECKING:
    import subprocess

    from runner.testing import Rehearsal

LACKING: dict[Any, tuple[str, ...]] = {
    os: (
        *("pipe2", "setresuid", "setresgid", "getresuid", "memfd_create", "eventfd", "copy_file_range"),
        *("sched_setaffinity", "sched_getaffinity", "pidfd_open", "posix_fadvise", "setns", "unshare"),
    ),
    socket: ("SOCK_SEQPACKET", "SOCK_CLOEXEC", "SOCK_NONBLOCK", "AF_NETLINK", "AF_VSOCK"),
    select: ("POLLRDHUP",),
    resource: ("prlimit",),
    signal: ("pidfd_send_signal",),
}
CALLS = {"prctl", "unshare", "process_vm_readv", "inotify_init1", "adjtimex", "capset"}
HANG = """
import contextlib
import os
import signal
from pathlib import Path
from runner import task

@task()
async def hang():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        os.setpgid(0, os.getppid())
    Path("here").write_text(str(os.getpid()))
    while True:
        signal.pause()
"""
LEAVE = """
import os
import time
from runner import task

@task(retries=0)
def leave():
    heard, told = os.pipe()
    if not os.fork():
        os.setsid()
        os.write(told, b"gone")
        time.sleep(60)
        os._exit(0)
    os.read(heard, 4)
    os._exit(3)
"""


class OtherLibrary(ctypes.CDLL):
    """A C library without the calls that only Linux has."""

    def __getattr__(self, name: str) -> Any:
        if name in CALLS:
            raise AttributeError(name)
        return super().__getattr__(name)


class MacLibrary(OtherLibrary):
    """One that knows a sandbox beside."""

    closes_calls = True

    def sandbox_init(self, profile: bytes, flags: ctypes.c_uint64, _why: Any) -> int:
        """Close what the profile does not allow, by Linux's own means."""
        from runner.worker.sealing import kernel, landlock, seccomp

        called = (kernel, seccomp)
        allowed = rules(profile.decode())
        writes = allowed["file-write*"]
        reads = [path for path in allowed["file-read*"] if path not in writes]
        is_open = "network*" in allowed
        assert not flags.value
        assert is_open == ("process-fork" in allowed)
        for module in called:
            vars(module)["libc"] = Library(None, use_errno=True)
        landlock.restrict(reads, writes, is_open=is_open)
        if self.closes_calls:
            seccomp.restrict(is_open=is_open, covers_truncate=True)
        for module in called:
            vars(module)["libc"] = self
        return 0


class LeakyLibrary(MacLibrary):
    """One whose sandbox closes the files alone."""

    closes_calls = False


class TightLibrary(MacLibrary):
    """One whose sandbox lets nobody begin anything."""

    def sandbox_init(self, profile: bytes, flags: ctypes.c_uint64, why: Any) -> int:
        """Close more than the profile does."""
        lines = (b"network*", b"process-fork")
        kept = (line for line in profile.splitlines() if not any(each in line for each in lines))
        return super().sandbox_init(b"\n".join(kept), flags, why)


Library = ctypes.CDLL
SANDBOX, LEAK, TIGHT, NONE = "sandbox", "leak", "tight", "none"
LIBRARIES = {SANDBOX: MacLibrary, LEAK: LeakyLibrary, TIGHT: TightLibrary, NONE: OtherLibrary}


def rules(profile: str) -> dict[str, list[str]]:
    """The places that each operation is allowed in, none for one without a filter by path; asserts that all is well-formed."""
    first, second, *rest = profile.splitlines()
    assert (first, second) == ("(version 1)", "(deny default)")
    found: dict[str, list[str]] = {}
    for line in rest:
        rule = re.fullmatch(r"\(allow ([^()]+?)((?: \(\w+ (?:\"(?:[^\"\\]|\\.)*\"|[\w-]+)\))*)\)", line)
        assert rule, line
        places = re.findall(r'\(subpath "((?:[^"\\]|\\.)*)"\)', rule[2])
        for operation in rule[1].split():
            found.setdefault(operation, []).extend(re.sub(r"\\(.)", r"\1", each) for each in places)
    return found


def be(which: str) -> None:
    """Be there from now on, with that library; what is imported afterwards finds nothing else."""
    sysconfig.get_config_vars()  # kept in a file that bears the system's name
    sys.platform = "darwin"
    ctypes.CDLL = LIBRARIES[which]  # type: ignore[misc]
    for module, names in LACKING.items():
        for name in names:
            vars(module).pop(name, None)


def zygote(control: int, stop: str) -> subprocess.Popen[bytes]:
    """As `runner.children.zygote`, there."""
    from runner.children import bare

    return bare([__file__, HERE, "runner.worker.zygote", str(control), str(os.getpid()), stop], control)


def chosen(name: str = "") -> None:
    """As the real one, but children stay who they are: what another user may read of an interpreter is no question here."""


async def main(home: Path) -> None:
    """Say what a runner comes to there, as JSON; and leave a child behind without a word to it."""
    from modules import note

    from runner.testing import rehearsal
    from runner.trial import tried
    from runner.worker.sealing.report import report

    async with rehearsal(home) as it:
        it.drop("note.py", note())
        it.drop("hang.py", HANG)
        it.drop("leave.py", LEAVE)
        reached = await _delivered(it)
        deserted = await it.run("leave")
        killed = await _hanging(it)
        (home / "STOP").touch()
        ended = await it.event("run.finished", task="hang")
        (home / "STOP").unlink()
        it.desk.resume("ana")
        os.kill(it.app.children._process.pid, signal.SIGKILL)  # type: ignore[union-attr] # of a zygote that runs
        await it.run("note")
        said = {
            "reached": reached,
            "killed": killed,
            "status": ended["status"],
            "deserted": deserted.error,
            "printed": [each["message"] for each in it.found("log", source="print")],
            "open": [each.way for each in await tried(it.app.children, home) if each.refusal is None],
            "lacking": report().lacking,
            "is_whole": report().is_whole,
            "left": await _hanging(it),
        }
        print(json.dumps(said), flush=True)  # noqa: T201 - that is what it is for
        os._exit(0)


async def _delivered(it: Rehearsal) -> list[Any]:
    """What reached the destination of a draft that was approved."""
    await it.run("note")
    sheet = await it.draft()
    it.desk.approve(sheet.held.id, sheet.held.digest, "ana")
    await it.event("delivery.delivered", draft=sheet.held.id)
    return [json.loads(each.body) for each in it.destination.effects]


async def _hanging(it: Rehearsal) -> int:
    """The process of a run that ends by SIGKILL alone."""
    from runner.store import runs
    from runner.store.store import new_id

    await it.until(lambda: "hang" in it.app.catalog.tasks)
    with it.app.store.change() as tx:
        runs.add(tx, new_id(), "hang")
    await it.until(lambda: any(each.read_text() for each in it.app.home.rglob("here")))
    (mark,) = it.app.home.rglob("here")
    pid = int(mark.read_text())
    mark.unlink()
    return pid


def run(module: str, words: list[str]) -> None:
    """Run a module of the runner's, there."""
    sys.argv[1:] = words
    runpy.run_module(module, run_name="__main__")


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parent))
    HERE = sys.argv[1]
    be(HERE)
    from runner.worker.sealing import seatbelt, user

    seatbelt.TRIAL = ("-I", __file__, HERE, "runner.worker.sealing.trial")  # type: ignore[assignment]
    if sys.argv[2].startswith("runner."):
        run(sys.argv[2], sys.argv[3:])
    user.chosen = chosen
    from runner import children

    children.zygote = zygote
    asyncio.run(main(Path(sys.argv[2])))
