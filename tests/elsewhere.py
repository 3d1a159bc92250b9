"""Another system than Linux, as far as Linux can pretend: without what it alone has, and under another name.

It is no Mac. But what fails here fails there.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import resource
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
import os
import signal
from pathlib import Path
from runner import task

@task()
async def hang():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Path("here").write_text(str(os.getpid()))
    while True:
        signal.pause()
"""


class OtherLibrary(ctypes.CDLL):
    """A C library without the calls that only Linux has."""

    def __getattr__(self, name: str) -> Any:
        if name in CALLS:
            raise AttributeError(name)
        return super().__getattr__(name)


def be() -> None:
    """Be there from now on; what is imported afterwards finds nothing else."""
    sysconfig.get_config_vars()  # kept in a file that bears the system's name
    sys.platform = "darwin"
    ctypes.CDLL = OtherLibrary  # type: ignore[misc]
    for module, names in LACKING.items():
        for name in names:
            vars(module).pop(name, None)


def zygote(control: int, stop: str) -> subprocess.Popen[bytes]:
    """As `runner.children.zygote`, there."""
    from runner.children import bare

    return bare([__file__, "zygote", str(control), str(os.getpid()), stop], control)


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
        reached = await _delivered(it)
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
            "open": [each.way for each in await tried(it.app.children, home) if each.refusal is None],
            "lacking": report().lacking,
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


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parent))
    be()
    if sys.argv[1] == "zygote":
        from runner.worker import zygote as its

        del sys.argv[1]
        its.main()
    from runner.worker.sealing import user

    user.chosen = chosen
    from runner import children

    children.zygote = zygote
    asyncio.run(main(Path(sys.argv[1])))
