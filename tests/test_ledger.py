"""The ledger of slots through clocks that jump, machines that sleep and runners that end at any instant."""

from __future__ import annotations

import random
import tempfile
from bisect import bisect_left, bisect_right
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from itertools import pairwise, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from conftest import HandClock
from test_schedule import UTC_ZONE, settle, task, unheard
from test_telegram_fuzz import MEMORY

from runner.clock import parse
from runner.declare import cron, every
from runner.due import upcoming
from runner.schedule import PROMPT, Schedule
from runner.stop import Stop
from runner.store import runs, slots, stops
from runner.store.schema import runs as run_rows
from runner.store.schema import slots as slot_rows
from runner.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runner.catalog import Declared

pytestmark = pytest.mark.no_cover

STEPS = 30
JUDGED = 6  #: of so many steps the last is judged
JUMPS = (1, 10, 59, 61, 600, 3540, 3660, 10_800, 86_400, 30 * 86_400, 365 * 86_400)  #: seconds
SLEEPS = (1, 30, 61, 600, 3600, 7200, 86_400, 30 * 86_400)
TASKS = {
    each.name: each
    for each in (
        task(every(minutes=30), name="often", overlap="queue"),
        task(every(hours=1, jitter=timedelta(minutes=5)), name="hourly", missed="skip"),
        task(cron("15 */4 * * *"), every(hours=6), name="both", overlap="queue", late=timedelta(hours=3)),
        task(cron("30 2 * * *", tz="Europe/Berlin"), name="nightly", late=timedelta(days=2)),
        task(cron("0 9 L * mon#1", tz="Australia/Lord_Howe"), name="rarely", late=timedelta(days=40)),
    )
}


class KilledError(BaseException):
    """The runner ends here, whatever it was doing."""


class FusedClock(HandClock):
    """A clock that kills who reads it the n-th time from now on."""

    fuse: int | None = None

    def now(self) -> datetime:
        if self.fuse is not None:
            self.fuse -= 1
            if self.fuse < 0:
                self.fuse = None
                raise KilledError
        return super().now()


class Life:
    """A store and the schedules that keep it, one after the other; and which slots have come."""

    def __init__(self, home: Path, chance: random.Random) -> None:
        self.home, self.chance, self.clock = home, chance, FusedClock()
        self.come: dict[str, list[datetime]] = {name: [] for name in TASKS}
        self.schedule: Schedule | None = None
        self.restart()

    def restart(self) -> None:
        """End the runner, and begin another on what is on disk."""
        self.close()
        self.store = Store(f"sqlite:///{self.home}/store.db", self.clock)
        self.store.open()
        self.schedule = Schedule(self.store, Stop(self.home / "STOP", unheard), UTC_ZONE)
        self.schedule.start()
        self.schedule._scheduler.pause()  # it goes by the machine's clock; here each step settles
        with self.noted():
            self.schedule.take(TASKS)

    def close(self) -> None:
        if self.schedule is not None:
            self.schedule.close()
            self.store.close()

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Note which slots come while this lasts, by how far the tasks are accounted for."""
        before, started = self._cursors(), self._runs()
        with suppress(KilledError):
            yield
        self.clock.fuse = None
        for name, cursor in self._cursors().items():
            was, come = before.get(name, cursor), self.come[name]
            del come[bisect_right(come, cursor) :]  # those a wrong clock named have yet to come
            come.extend(between(TASKS[name], was, cursor))
        self._judge_started(self._runs() - started)

    def _judge_started(self, started: set[tuple[str, str]]) -> None:
        assert len({name for name, _ in started}) == len(started), "more than one catch-up"
        for name, slot in started:
            limits, late = TASKS[name].limits, self.clock.at - parse(slot)
            assert parse(slot) == self.come[name][-1], "not the newest slot"
            assert timedelta(0) <= late <= (PROMPT if limits.missed == "skip" else limits.late)

    def step(self) -> None:
        """Something that happens to a machine, and then perhaps a look at the clock."""
        chance = self.chance
        match chance.randrange(8):
            case 0 | 1:
                self.clock.move(
                    seconds=chance.choice((-1, 1)) * chance.choice(JUMPS) * (1 + chance.random()) / 2
                )
            case 2 | 3 | 4:
                self.clock.move(seconds=chance.choice(SLEEPS) * (1 + chance.random()) / 2)
            case 5:
                self._decide()
            case 6:
                self._end_runs()
            case 7:
                self.clock.fuse = chance.randrange(6)
        if chance.random() < 0.3:
            self.restart()
        with self.noted():
            assert self.schedule is not None
            settle(self.schedule)

    def _decide(self) -> None:
        name = self.chance.choice(list(TASKS))
        with self.store.change() as tx:
            match self.chance.randrange(3):
                case 0 if slots.paused(tx.connection):
                    slots.unpause(tx, next(iter(slots.paused(tx.connection))), "ana")
                case 0:
                    slots.pause(tx, name, "ana")
                case 1:
                    stops.engage(tx, "quiet", "ana")
                case 2:
                    stops.release(tx, "ana")

    def _end_runs(self) -> None:
        with self.store.change() as tx:
            for row in runs.queued(tx.connection):
                runs.finish(tx, row.id, "ok", was="queued")

    def _cursors(self) -> dict[str, datetime]:
        with self.store.read() as connection:
            return slots.scheduled(connection, list(TASKS))

    def _runs(self) -> set[tuple[str, str]]:
        with self.store.read() as connection:
            return {(row.task, row.slot) for row in connection.execute(run_rows.select())}

    def judge(self) -> None:
        """Each slot that has come is on record, once, as a run or with the reason why not, and was told."""
        with self.store.read() as connection:
            rows = list(connection.execute(slot_rows.select().order_by(slot_rows.c.since)))
            started = [(row.task, row.slot) for row in connection.execute(run_rows.select())]
        told = [event for event in self.store.newest_events(100_000) if "slot" in event]
        spans = {(each["task"], each.get("since", each["slot"]), each["slot"]) for each in told}
        assert len(started) == len(set(started))
        assert sorted(started) == sorted((row.task, row.instant) for row in rows if row.outcome == "run")
        for name, come in self.come.items():
            mine = [row for row in rows if row.task == name]
            groups = [row for row in mine if row.outcome != "run"]
            assert all(one.instant < other.since for one, other in pairwise(mine)), "accounted for twice"
            assert all(row._mapping["count"] == len(within(come, row)) for row in groups)
            heard = [(since, slot) for task, since, slot in spans if task == name]
            assert all(any(a <= row.since and row.instant <= b for a, b in heard) for row in groups), (
                "not told"
            )
            accounted = {slot for row in mine for slot in within(come, row)}
            assert accounted == set(come)


def between(task: Declared, after: datetime, until: datetime) -> list[datetime]:
    return list(takewhile(lambda slot: slot <= until, upcoming(task.triggers, after, UTC_ZONE)))


def within(come: list[datetime], row: Any) -> list[datetime]:
    return come[bisect_left(come, parse(row.since)) : bisect_right(come, parse(row.instant))]


@pytest.mark.timeout(3600)
async def test_promise_20_and_21_whatever_the_clock_does_each_slot_is_accounted_for_and_runs_once_at_most(
    pytestconfig: pytest.Config,
) -> None:
    for _ in range(pytestconfig.getoption("--lives")):
        seed = random.randrange(1 << 32)
        print(f"seed {seed}")  # noqa: T201 - the last is shown when the test fails
        walk(seed)


def walk(seed: int) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        life = Life(Path(folder), random.Random(seed))
        try:
            for number in range(1, STEPS + 1):
                life.step()
                if number % JUDGED == 0:
                    life.judge()
        finally:
            life.close()
