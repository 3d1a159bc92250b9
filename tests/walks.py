"""The ways of a draft and of a tap, walked by a real runner whose calls fail; and what the order of its calls shows."""

from __future__ import annotations

import asyncio
import copy
import errno
import json
import shutil
import sqlite3
import time
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import syscalls
from modules import note
from phones import APPROVE, OWNER, phoned, said
from sqlalchemy import text

from runner.clock import stamp
from runner.gate import State
from runner.journal import files
from runner.rehearsal.claude import StandInClaude
from runner.rehearsal.destination import StandInDestination
from runner.rehearsal.telegram import TOKEN, StandInTelegram
from runner.testing import rehearsal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from nursery import Born, Nursery
    from syscalls import Point

    from runner.rehearsal.telegram.chats import Chats

WITHIN_S = 60.0
FULL = 8  #: calls that a full disk fails before there is room again
BODY = "return Note(text=await run.claude('Write a note.'))"
STORE = ".runner/store.db-wal"  #: where a commit is written first; its fsync is the commit
ENDED = frozenset({State.DELIVERED, State.UNCERTAIN})


@dataclass(slots=True)
class Fault:
    """What happens to a runner's calls from the `at`th on that it is about; and what the calls show by their order."""

    name: str  #: "kill", "EIO" (once), "ENOSPC" (for a while), or "" for none
    at: int
    logs: Path
    only: str = ""  #: how the calls begin that it is about; empty: all
    points: list[Point] = field(default_factory=list)  #: all there were
    hit: list[Point] = field(default_factory=list)  #: those that were spoilt
    early: list[str] = field(default_factory=list)  #: what left before that was on disk which it rests on
    _count: int = 0
    _written: set[str] = field(default_factory=set)  #: files of which something is not on disk
    _synced: dict[str, int] = field(default_factory=dict)  #: bytes of each file that are on disk

    def __call__(self, point: Point) -> int:
        self.points.append(point)
        verdict = self._verdict(point)
        if self._is_early(point):
            self.early.append(f"call {len(self.points)}: {point}")
        if verdict:
            self.hit.append(point)
        elif point.what == "write":
            self._written.add(point.where)
        elif point.what == "fsync" and not any(each.where == point.where for each in self.hit):
            self._written.discard(point.where)  # a file whose writing failed once is never trusted again
            self._synced[point.where] = point.size
        return verdict

    def _verdict(self, point: Point) -> int:
        if point.where == syscalls.TERMINAL or not str(point).startswith(self.only):
            return 0
        if self.name == "ENOSPC" and point.what == "send":
            return 0  # no disk is asked
        self._count += 1
        match self.name:
            case "kill" if self._count == self.at:
                return syscalls.KILL
            case "EIO" if self._count == self.at:
                return errno.ECONNRESET if point.what == "send" else errno.EIO
            case "ENOSPC" if self.at <= self._count < self.at + FULL:
                return errno.ENOSPC
        return 0

    def _is_early(self, point: Point) -> bool:
        """Whether a call leads out and tells of what a power cut could still take back."""
        if point.where == "destination":
            return not self._is_intended()
        tells = point.where in {"telegram", syscalls.TERMINAL} or point.where.startswith("logs/")
        return tells and STORE in self._written and not self.hit

    def _is_intended(self) -> bool:
        """Whether what is on disk of the journal tells of a delivery that begins."""
        on_disk = (path.read_bytes()[: self._synced.get(f"logs/{path.name}", 0)] for path in files(self.logs))
        return any(b'"event":"delivery.started"' in each for each in on_disk)


@dataclass(slots=True)
class Way:
    """A project and its world, just before something is due; each walk begins with a copy."""

    name: str
    home: Path
    chats: Chats | None = None  #: what the owner's phone shows; None: they have none
    count: int = 0  #: walks so far


@dataclass(slots=True)
class Walk:
    """One walk of a way: the world it is walked in, and what came of it."""

    way: Way
    home: Path
    nursery: Nursery
    claude: StandInClaude
    destination: StandInDestination
    telegram: StandInTelegram
    tap: int = 0  #: the update
    promised: set[str] = field(default_factory=set)  #: drafts that were said to be pending before the fault

    async def up(self, judge: Callable[[Point], int] | None, **owner: bool) -> Born:
        ends = {
            int(server.url.rpartition(":")[2]): name
            for name, server in (
                ("claude", self.claude),
                ("destination", self.destination),
                ("telegram", self.telegram),
            )
        }
        order = {
            "home": str(self.home),
            "claude": self.claude.url,
            "destination": self.destination.url,
            "telegram": self.telegram.url if self.way.chats else "",
            **owner,
        }
        return await self.nursery.bear(order, ends, judge)

    def entries(self, name: str = "") -> list[dict[str, Any]]:
        """What the journal tells of, whole lines only."""
        lines = [line for path in files(self.home / "logs") for line in path.read_bytes().split(b"\n")]
        found = []
        for line in lines:
            with suppress(ValueError):
                found.append(json.loads(line))
        return [each for each in found if each.get("event", "torn") == name or not name]

    def is_over(self) -> bool:
        """Whether the way was walked to its end, on every surface."""
        if not self.entries("delivery.delivered") and not self.entries("delivery.uncertain"):
            return False
        return self.way.chats is None or self.card("📬") is not None or self.card("❓") is not None

    def is_given_up(self) -> bool:
        """Whether the runner said that it goes no further by itself."""
        failed = any(entry["status"] != "ok" for entry in self.entries("run.finished"))
        return failed or bool(self.entries("draft.returned") or self.entries("task.broken"))

    def card(self, word: str) -> dict[str, Any] | None:
        shown = (each for each in self.telegram.messages(OWNER) if word in said(each))
        return next(shown, None)

    def ask(self, query: str) -> list[Any]:
        """What the store says, as anybody may read it."""
        with closing(sqlite3.connect(f"file:{self.home}/.runner/store.db?mode=ro", uri=True)) as store:
            return store.execute(query).fetchall()

    def states(self) -> dict[str, str]:
        return dict(self.ask("SELECT id, state FROM drafts"))

    def is_settled(self) -> bool:
        """Whether nothing is open any more: no slot, no run, no draft, and the phone says so."""
        try:
            return self._is_settled()
        except sqlite3.OperationalError:  # the runner is busy with it; it is asked again
            return False

    def _is_settled(self) -> bool:
        if not self.ask("SELECT 1 FROM runs") and not self.ask("SELECT 1 FROM slots"):
            return False
        is_open = self.ask("SELECT 1 FROM runs WHERE status IN ('queued', 'running')")
        states = self.states()
        return not is_open and ENDED.issuperset(states.values()) and (not states or self.is_over())


@asynccontextmanager
async def walking(way: Way, hatchery: Nursery) -> AsyncIterator[Walk]:
    way.count += 1
    home = way.home.with_name(f"{way.name}-{way.count}")
    shutil.copytree(way.home, home, ignore=shutil.ignore_patterns("wake"))  # a pipe is no file
    async with (
        StandInClaude() as claude,
        StandInDestination(dedupes=False) as destination,
        StandInTelegram() as tg,
    ):
        walk = Walk(way, home, hatchery, claude, destination, tg)
        if way.chats is not None:
            vars(tg.chats).update(vars(copy.deepcopy(way.chats)))
            message = next(each for each in tg.messages(OWNER) if "draft" in said(each))
            walk.tap = tg.taps(OWNER, message["message_id"], APPROVE)["update_id"]
        yield walk
    shutil.rmtree(home)


async def until(holds: Callable[[], bool], what: Callable[[], object]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"it did not happen: {what()}")
        await asyncio.sleep(0.02)


async def way_of_a_draft(folder: Path) -> Way:
    """A task whose one slot came while its runner was down."""
    home = folder / "draft"
    due = datetime.now(UTC) - timedelta(minutes=1)
    options = f"at('{due.isoformat()}'), late=timedelta(days=1), retries=3"
    async with rehearsal(home) as it:
        it.drop(
            "note.py", "from datetime import timedelta\nfrom runner import at\n" + note(BODY, options=options)
        )
        await it.event("task.loaded", task="note")
    with it.app.store.change() as tx:
        before = {"before": stamp(due - timedelta(minutes=1))}
        assert tx.connection.execute(text("UPDATE tasks SET cursor = :before"), before).rowcount == 1
    it.app.store.close()
    return Way("draft", home)


async def way_of_a_tap(folder: Path) -> Way:
    """A draft that waits, its card on the owner's phone."""
    home = folder / "tap"
    async with StandInTelegram() as tg:
        async with phoned(home, tg) as hand:
            hand.it.drop("note.py", note())
            await hand.it.run("note")
            await hand.shown(APPROVE)
        chats = copy.deepcopy(tg.chats)
    (home / ".env").write_text(f"RUNNER_TELEGRAM_TOKEN={TOKEN}\nRUNNER_TELEGRAM_OWNERS={OWNER}\n")
    return Way("tap", home, chats)


WAYS = {"draft": way_of_a_draft, "tap": way_of_a_tap}


async def struck(walk: Walk, fault: Fault) -> list[str]:
    """The runner walks until the fault has ended it, stopped it, or done it no harm; what it said."""
    born = await walk.up(fault, approves=walk.way.chats is None, resumes=False)
    await until(
        lambda: born.ended.is_set() or born.has_said("stopped") or walk.is_over() or walk.is_given_up(),
        lambda: (fault.hit, born.lines, walk.entries()),
    )
    await born.kill()
    return born.lines


async def healed(walk: Walk, *, approves: bool) -> None:
    """The runner starts again, in a world that works, and its owner resumes what was stopped."""
    born = await walk.up(None, approves=approves, resumes=True)
    await until(walk.is_settled, lambda: (born.lines, walk.states(), walk.entries()))
    await born.kill()
