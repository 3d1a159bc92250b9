"""Tasks that want more than they are given: each is run, none gets it, and the runner goes on as before."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import resource
import socket
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from modules import note

from runner.fetch import Place, resolve
from runner.journal import verify
from runner.store import runs
from runner.testing import Rehearsal, rehearsal
from runner.worker.sealing.report import report

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

HERE = Path(__file__).parent / "hostile"
FILES = ("network", "files", "processes", "lies")
BATCH = 24  #: attempts that share one runner
OWN_MISTAKES = "NameError|AttributeError|TypeError|ImportError|KeyError"  #: of an attempt that tried nothing
SECRET = "canary-0b5f"

pytestmark = [
    pytest.mark.skipif(not report().is_whole, reason="this machine has not all of the seal"),
    pytest.mark.no_cover,
    pytest.mark.own_zygote,
]


@dataclass(slots=True)
class Judge:
    """What is looked at from outside: who was called, and whether what is the owner's is as it was."""

    home: Path
    listeners: list[socket.socket] = field(default_factory=list)
    before: dict[str, str] = field(default_factory=dict)
    limits: list[tuple[int, int]] = field(default_factory=list)
    standing: tuple[object, ...] = ()

    @property
    def port(self) -> int:
        return int(self.listeners[0].getsockname()[1])

    def listen(self, stack: ExitStack) -> None:
        tcp = socket.create_server(("127.0.0.1", 0))
        self.listeners = [tcp]
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", self.port))
        abstract = socket.socket(socket.AF_UNIX)
        abstract.bind(f"\0hostile-{self.port}")
        abstract.listen()
        self.listeners += [udp, abstract]
        for each in self.listeners:
            stack.enter_context(each)
            each.setblocking(False)  # noqa: FBT003

    def remember(self) -> None:
        self.before, self.limits, self.standing = self._files(), _limits(), _standing()

    def _files(self) -> dict[str, str]:
        ours = [self.home / name for name in (".env", "runner.toml", "canary", "keys", "tasks")]
        ours.append(self.home / ".runner" / "folders" / "victim")
        found = {}
        for path in sorted(each for place in ours for each in (place, *place.rglob("*"))):
            stat = path.lstat()
            content = path.read_bytes() if path.is_file() else b""
            found[str(path)] = (
                f"{stat.st_mode:o} {stat.st_mtime_ns if path.is_file() else 0} "
                f"{hashlib.sha256(content).hexdigest()}"
            )
        return found

    def heard(self) -> list[str]:
        """Whoever came."""
        found = []
        for listener in self.listeners:
            try:
                came = listener.recvfrom(100) if listener.type == socket.SOCK_DGRAM else listener.accept()
            except BlockingIOError:
                continue
            found.append(str(came))
        return found

    def check(self) -> None:
        assert self.heard() == []
        assert self._files() == self.before
        assert _limits() == self.limits
        assert _standing() == self.standing
        assert not (self.home / "STOP").exists()
        assert not (self.home.parent / "elsewhere").exists()
        assert not list(Path("/tmp").glob(f"hostile-{self.port}"))
        assert not Path("/root/.hostile-profile").exists() if os.geteuid() == 0 else True


def _limits() -> list[tuple[int, int]]:
    return [resource.getrlimit(which) for which in (resource.RLIMIT_NOFILE, resource.RLIMIT_AS)]


def _standing() -> tuple[object, ...]:
    return os.getpriority(os.PRIO_PROCESS, 0), os.sched_getaffinity(0), os.sched_getscheduler(0)


def attempts() -> Iterator[tuple[str, str]]:
    for file in FILES:
        for name in re.findall(r"@task\(.*\)\n(?:async )?def (\w+)", (HERE / f"{file}.py").read_text()):
            yield file, name


def batches() -> list[tuple[str, tuple[str, ...]]]:
    found: list[tuple[str, tuple[str, ...]]] = []
    for file in FILES:
        names = [name for where, name in attempts() if where == file]
        found += [(file, tuple(names[at : at + BATCH])) for at in range(0, len(names), BATCH)]
    return found


def prepare(home: Path) -> None:
    (home / "tasks").mkdir(parents=True)
    (home / "keys").mkdir()
    (home / ".runner" / "folders" / "victim").mkdir(parents=True)
    for name in (".env", "keys/id_ed25519", ".runner/folders/victim/diary", "canary"):
        (home / name).write_text(SECRET)
    (home / "runner.toml").write_text(f"# {SECRET}\n")
    (home / "tasks" / "note.py").write_text(note())


async def attempt(it: Rehearsal, name: str) -> str:
    """Run it to its end, and say what is wrong with that; empty when all is as it should be."""
    run = await it.run(name)
    with it.app.store.read() as connection:
        state = runs.state(connection, name)
    told = f"{run.error} {state}"
    if run.status in runs.GOOD or re.search(f"Escaped|{SECRET}|{OWN_MISTAKES}", told):
        return f"{name}: {run.status} {run.error}"
    entry = await it.event("run.finished", run=run.id)
    is_told = run.error and entry.get("error") == run.error
    return "" if is_told else f"{name}: the journal says {entry.get('error')}"


def shop_or_world(url: str) -> Callable[[str, int], Awaitable[Place]]:
    """One public shop is the stand-in; all others are looked for in earnest, which would find even these."""

    async def find(host: str, port: int) -> Place:
        if host == "shop.example.com":
            return Place("127.0.0.1", urlsplit(url).port or 0)
        return await resolve(host, port)

    return find


def test_there_are_at_least_sixty_and_each_has_a_name_of_its_own() -> None:
    names = [name for _, name in attempts()]
    assert len(names) == len(set(names)) >= 60


@pytest.mark.parametrize(("file", "names"), batches())
async def test_promise_15_nothing_a_task_tries_gets_out_and_the_runner_goes_on(
    tmp_path: Path, file: str, names: tuple[str, ...]
) -> None:
    home = tmp_path / "home"
    judge = Judge(home)
    with ExitStack() as stack:
        judge.listen(stack)
        prepare(home)
        text = (HERE / f"{file}.py").read_text()
        for what, value in {"home": home, "port": judge.port, "pid": os.getpid()}.items():
            text = text.replace(f"TARGET.{what}", str(value))
        (home / "tasks" / f"{file}.py").write_text(text)
        async with rehearsal(home, is_scheduled=False) as it:
            it.app.fetcher.find = shop_or_world(it.destination.url)
            it.destination.redirects["/out"] = f"http://127.0.0.1:{judge.port}/out"
            judge.remember()
            assert it.app.catalog.broken == {}
            wrong = [words for name in names if (words := await attempt(it, name))]
            assert wrong == []
            judge.check()
            assert len(it.app.children) == 0
            assert it.waiting() == []
            assert len(it.claude.requests) <= 64
            assert len(it.destination.visits) == (file == "network" and "fetch_by_a_redirect" in names)
            assert (await asyncio.wait_for(it.run("note"), 15)).status == "ok"
            assert SECRET not in str([event for event in it.events if event["event"] != "claude.asked"])
        assert verify(home / "logs").problems == []
