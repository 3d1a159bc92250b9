"""Many stops, at instants nobody chose, of a runner that is busy with everything at once.

The destination's own ledger is the judge. The time from one resume to the next is a *period*, with a stop in it: what
was approved in one is delivered in that one or never, and no more arrives than was let go before its stop was seen.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from modules import note
from phones import APPROVE, Hand, buttons, phoned
from test_app import left_below

from runner import stop
from runner.errors import RunnerError
from runner.journal import verify
from runner.rehearsal.destination import Delays
from runner.rehearsal.telegram import StandInTelegram
from runner.review.desk import Desk
from runner.stop import Stop
from runner.store import runs
from runner.store.store import Store, new_id

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from runner.children import Child

pytestmark = pytest.mark.no_cover

STUBBORN = '''
"""Children that do not want to end."""
import os, signal, subprocess, sys, time
from runner import task

IGNORE = "import signal, time; [signal.signal(n, signal.SIG_IGN) for n in (1, 2, 3, 15)]; time.sleep(600)"


def ignore():
    for number in (1, 2, 3, 15):
        signal.signal(number, signal.SIG_IGN)


@task(retries=0)
def spins(run):
    ignore()
    while True:
        pass


@task(retries=0)
def sleeps(run):
    ignore()
    while True:
        time.sleep(600)


@task(retries=0, sealed=False)
def forks_twice(run):
    """Its grandchildren have no parent, ignore what can be ignored, and would leave the group if they could."""
    ignore()
    if not os.fork():
        if not os.fork():
            try:
                os.setsid()
            except OSError:
                pass
            while True:
                time.sleep(600)
        os._exit(0)
    os.wait()
    subprocess.Popen([sys.executable, "-I", "-S", "-c", IGNORE], start_new_session=False)
    while True:
        time.sleep(600)


@task(retries=0)
async def asks(run):
    return await run.claude("x") and None
'''

NOTE = note("return Note(text=run.id)", options="retries=0, max_pending=0")
TASKS = ("note", "note", "note", "spins", "sleeps", "forks_twice", "asks")
WAYS: dict[str, Callable[[Hand, Path], object]] = {
    "touched": lambda _, path: path.touch(),
    "by the command": lambda _, path: stop.write(path, "too loud"),
    "a folder": lambda _, path: path.mkdir(),
    "a link to nowhere": lambda _, path: path.symlink_to("nowhere"),
    "for a moment": lambda _, path: _for_a_moment(path),
    "by phone": lambda hand, _: hand.tg.says(hand.person, "/stop"),
    "without a file": lambda hand, _: hand.it.app.stop.engage("the journal can't be written"),
}


@dataclass
class Busy:
    """A runner at work, people who say yes to whatever waits, and what the judge needs to know."""

    hand: Hand
    chance: random.Random
    begun: list[int] = field(default_factory=list)  #: how many deliveries had begun when each stop was seen
    survivors: int = 0

    def __post_init__(self) -> None:
        self.it = self.hand.it
        self.path = self.it.app.home / "STOP"
        self._latch = self.it.app.stop.latch
        self.it.app.stop.latch = self._see
        self._let_go: set[int] = (
            set()
        )  # children that were let go to the outside since the last stop was seen
        self._spare = self.it.app.children.spare
        self.it.app.children.spare = self._note  # type: ignore[method-assign] # noted, and done

    def _see(self, reason: str) -> None:
        """The instant of the stop, in whatever thread it is seen."""
        self.begun.append(len(self._let_go))
        self._let_go.clear()
        self._latch(reason)

    def _note(self, child: Child, *, is_spared: bool = True) -> None:
        (self._let_go.add if is_spared else self._let_go.discard)(child.number)
        self._spare(child, is_spared=is_spared)

    async def work(self) -> None:
        """Begin runs without end, at a destination that takes its time."""
        while True:
            with suppress(RunnerError), self.it.app.store.change() as tx:
                for task in self.chance.sample(TASKS, 3):
                    runs.add(tx, new_id(), task)
            self.it.destination.script(Delays(self.chance.uniform(0, 0.2)))
            await asyncio.sleep(self.chance.uniform(0.02, 0.1))

    async def say_yes(self) -> None:
        """Approve whatever waits: here, as another process would, or with a tap; STOP or not."""
        elsewhere = Desk(Store(self.it.app.settings.database), Stop(self.path, _unheard))
        while True:
            for sheet in self.it.waiting("note")[:10]:
                desk = self.chance.choice([self.it.desk, elsewhere, None])
                if desk is None:
                    self._tap()
                    continue
                with suppress(RunnerError):
                    desk.approve(sheet.held.id, sheet.held.digest, "ana")
                elsewhere.stop.release()
            await asyncio.sleep(0.01)

    def _tap(self) -> None:
        newest = self.hand.tg.messages(self.hand.person)[-20:]
        cards = [each for each in newest if APPROVE in buttons(each)]
        if cards:
            self.hand.tg.taps(self.hand.person, self.chance.choice(cards)["message_id"], APPROVE)

    async def stop(self) -> None:
        """One stop, at whatever instant this is; then whoever lives on is counted, and all goes again."""
        await self._instant()
        before = len(self.begun)
        WAYS[self.chance.choice(list(WAYS))](self.hand, self.path)
        await self.it.until(lambda: len(self.begun) > before, "the sight of STOP", pause=0.001)
        if self.chance.random() < 0.8:
            self.survivors += await self._left()
        if self.path.is_dir():
            self.path.rmdir()
        elif not stop.remove_ours(self.path):
            self.path.unlink()
        self.it.desk.resume("ana")
        await self.it.until(lambda: self.it.app._catching_up is None, "the look at the modules")

    async def _instant(self) -> None:
        """Any: right after a resume, while runs begin, or while deliveries are made."""
        arrivals = len(self.it.destination.ledger) + self.chance.choice([0, 0, 1, 2, 3])
        await self.it.until(lambda: len(self.it.destination.ledger) >= arrivals, "a delivery", pause=0.002)
        await asyncio.sleep(self.chance.uniform(0, 0.1))

    async def _left(self) -> int:
        """How many processes of tasks are there when a stop has had its time."""
        with suppress(TimeoutError):
            await self.it.until(lambda: not left_below(self.it.app.home))
        return len(left_below(self.it.app.home))

    def judge(self) -> tuple[int, int]:
        """Of what arrived: how much began after a stop was seen, and how much without a yes since the last one."""
        began = self._began()
        arrivals = [began.get(json.loads(each.body)["text"]) for each in self.it.destination.effects]
        late = sum(max(0, arrivals.count(period) - begun) for period, begun in enumerate(self.begun))
        return late, arrivals.count(None)

    def _began(self) -> dict[str, int]:
        """By the text of each draft: the period of its attempt, if there was a yes in that and it was not called off."""
        yeses: dict[str, int] = {}
        began: dict[str, int] = {}
        period = 0
        for event in self.it.events:
            draft = event.get("draft", "")
            match event["event"]:
                case "stop.released":
                    period += 1
                case "draft.approved":
                    yeses[draft] = period
                case "delivery.started" if yeses[draft] == period:
                    began[draft] = period
                case "draft.returned":
                    began.pop(draft, None)
        assert period == len(self.begun) - 1
        return {self.it.desk.sheet(draft).fields["text"]: period for draft, period in began.items()}


def _for_a_moment(path: Path) -> None:
    path.touch()
    path.unlink()


def _unheard(reason: str) -> None:
    """Another process sees the same file; what it does then is its own affair."""


@pytest.mark.timeout(7200)
async def test_promises_17_and_18_stops_at_random_instants_leave_no_child_and_no_delivery_behind(
    tmp_path: Path, pytestconfig: pytest.Config, told: Callable[[str], None]
) -> None:
    count = pytestconfig.getoption("--stops")
    seed = pytestconfig.getoption("--seed") or random.randrange(1 << 32)
    print(f"seed {seed}")  # noqa: T201 - shown when the test fails
    async with StandInTelegram() as tg, phoned(tmp_path, tg, max_runs=12) as hand:
        hand.it.drop("stubborn.py", STUBBORN)
        hand.it.drop("note.py", NOTE)
        await hand.it.until(lambda: {"note", "asks"} <= hand.it.app.catalog.tasks.keys())
        busy = Busy(hand, random.Random(seed))
        others = [asyncio.create_task(each) for each in (busy.work(), busy.say_yes())]
        for _ in range(count):
            await busy.stop()
        for other in others:
            assert not other.done()
            other.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        (tmp_path / "STOP").touch()
        await hand.it.until(lambda: not left_below(tmp_path))
        await hand.it.until(lambda: hand.it.count("stop.engaged") == count + 1)
        late, stale = busy.judge()
        bodies = Counter(arrival.body for arrival in hand.it.destination.effects)
        assert len(bodies) > count / 4  # it was busy
        assert (busy.survivors, late, stale) == (0, 0, 0)
        assert max(bodies.values()) == 1
        assert {event["status"] for event in hand.it.found("run.finished")} >= {"ok", "stopped"}
    assert verify(tmp_path / "logs").problems == []
    told(f"{count:,} stops, {busy.survivors} survivors, {late + stale} deliveries after")
