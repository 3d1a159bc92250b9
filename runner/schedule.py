"""Slots that are due. APScheduler wakes us; what is due is decided by our own ledger, in one transaction.

Each task has a cursor: every slot up to it is accounted for, as a run or with the reason why not. The only importer
of apscheduler.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger

from runner.clock import parse, stamp
from runner.due import Due, due, upcoming
from runner.errors import StoppedError, StoreError
from runner.stop import Door
from runner.store import runs, slots, stops, waiting
from runner.store.store import new_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from zoneinfo import ZoneInfo

    from sqlalchemy import Connection

    from runner.catalog import Declared
    from runner.declare import Trigger
    from runner.stop import Stop
    from runner.store.store import Store, Transaction

HEARTBEAT_S = 10  #: how often clocks are compared: a timer sleeps through a suspended machine
DRIFT_S = 1.0  #: how far clocks may part between two beats
PROMPT = timedelta(minutes=1)  #: a slot no later than this is on time, whatever `missed` says
TICK = timedelta(milliseconds=1)  #: no two slots are closer
AT_ONCE = 6  #: tasks settled without a pause, so that a thousand due together hold up nobody
AHEAD = timedelta(hours=1)  #: a cursor further in the future than this was set by a clock that was wrong


class _Next(BaseTrigger):  # type: ignore[misc] # APScheduler has no types
    """Our slots, for APScheduler."""

    def __init__(self, triggers: Sequence[Trigger], zone: ZoneInfo, after: datetime) -> None:
        self.triggers, self.zone, self.after = triggers, zone, after

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime | None:
        after = (previous or self.after).astimezone(UTC)
        return next(upcoming(self.triggers, after, self.zone), None)


@dataclass(slots=True)
class Schedule:
    """Wakes at each slot of each task, and settles what becomes of it."""

    store: Store
    stop: Stop
    zone: ZoneInfo
    is_spent: Callable[[Connection, Declared], bool] | None = None  #: whether a budget leaves a task nothing
    max_pending: int = 0  #: no run starts while so many drafts of all tasks wait; zero means no bound
    _tasks: dict[str, Declared] = field(default_factory=dict)
    _woken: set[str] = field(default_factory=set)
    _scheduler: Any = None
    _heart: asyncio.Task[None] = field(init=False)
    _beaten: float = field(init=False)  #: when the heart last beat, by the steady clock

    def start(self) -> None:
        """Begin to wake."""
        self._scheduler = AsyncIOScheduler(
            timezone=UTC, job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
        )
        self._scheduler.start()
        self._beaten = self.store.clock.monotonic()
        self._heart = asyncio.get_running_loop().create_task(self._beat())

    def close(self) -> None:
        """Wake no more."""
        if self._scheduler is not None:
            self._heart.cancel()
            self._woken.clear()
            self._scheduler.shutdown(wait=False)
            self._scheduler = None

    def trouble(self) -> str:
        """Why slots may not be kept; empty when they are."""
        silent = self.store.clock.monotonic() - self._beaten
        is_alive = self._scheduler is not None and not self._heart.done()
        return "" if is_alive and silent < 3 * HEARTBEAT_S else f"nothing was looked at for {silent:.0f} s"

    def take(self, tasks: Mapping[str, Declared], gone: Iterable[str] = ()) -> None:
        """Keep the time of these tasks from now on; `gone` are those whose owner removed them."""
        before, now = self._tasks, self.store.clock.now()
        changed = [name for name, task in tasks.items() if _times(before.get(name)) != _times(task)]
        rescheduled = [name for name in changed if name in before]
        self._settle(rescheduled, before)
        with self.store.change() as tx:
            slots.unschedule(tx, [*gone, *rescheduled])
            slots.schedule(tx, [name for name in changed if tasks[name].triggers])
        self._settle(changed, tasks)
        self._tasks = dict(tasks)  # only now: what failed before is done anew at the next call
        for name in [*before.keys() - tasks.keys(), *rescheduled]:
            if self._scheduler.get_job(name):
                self._scheduler.remove_job(name)
        for name in changed:
            self._plan(name, now)

    def _plan(self, name: str, after: datetime) -> None:
        if triggers := self._tasks[name].triggers:
            trigger = _Next(triggers, self.zone, after)
            self._scheduler.add_job(self._wake, trigger, args=[name], id=name, replace_existing=True)

    async def _wake(self, name: str) -> None:
        if not self._woken:
            # all that are due together are settled together
            asyncio.get_running_loop().call_soon(self._settle_woken)
        self._woken.add(name)

    def _settle_woken(self) -> None:
        names = list(itertools.islice(self._woken, AT_ONCE))
        self._woken.difference_update(names)
        self._settle_or_stop(names)
        if self._woken:
            asyncio.get_running_loop().call_soon(self._settle_woken)

    def _settle_or_stop(self, names: Iterable[str]) -> None:
        """Settle where no caller is left who could hear that the store is lost: what can't be settled stops."""
        try:
            self._settle(names, self._tasks)
        except StoreError as error:
            self.stop.engage(str(error))

    async def _beat(self) -> None:
        """Plan anew when the clock was moved, or the machine slept: timers know nothing of either."""
        clock = self.store.clock
        while True:
            wall, steady = clock.now(), clock.monotonic()
            self._beaten = steady
            await asyncio.sleep(HEARTBEAT_S)
            now = clock.now()
            drift = (now - wall).total_seconds() - (clock.monotonic() - steady)
            if abs(drift) > DRIFT_S:
                await self._plan_anew(now)

    async def _plan_anew(self, now: datetime) -> None:
        """Settle and plan every task, some at a time."""
        names = iter(list(self._tasks))
        while some := list(itertools.islice(names, AT_ONCE)):
            there = [name for name in some if name in self._tasks]  # the folder may have changed meanwhile
            self._settle_or_stop(there)
            for name in there:
                self._plan(name, now)
            await asyncio.sleep(0)

    def _settle(self, names: Iterable[str], tasks: Mapping[str, Declared]) -> None:
        """Account for every slot of these tasks up to now."""
        names = list(names)
        with self.store.read() as connection:
            cursors = slots.scheduled(connection, names)
        now = self.store.clock.now()
        found = [
            (tasks[name], cursor, slot)
            for name in names
            if name in tasks and (cursor := cursors.get(name)) is not None
            if (slot := self._due(tasks[name], cursor, now)) is not None
        ]
        if not found:
            return
        with self.store.change() as tx:
            doors = _Doors(self, tx)
            for task, cursor, slot in found:
                if slots.advance(tx, task.name, cursor, slot.last):
                    doors.account(task, slot)

    def _due(self, task: Declared, cursor: datetime, now: datetime) -> Due | None:
        if cursor > now + AHEAD:
            self._take_back(task, cursor, now)
            return None
        return due(task.triggers, cursor, now, self.zone)

    def _take_back(self, task: Declared, cursor: datetime, now: datetime) -> None:
        """Forget what a clock that was wrong said of slots that are yet to come; those that ran will not run again."""
        with self.store.change() as tx:
            if not slots.advance(tx, task.name, cursor, now):
                return
            for group in slots.take_back(tx, task.name, now):
                if came := due(task.triggers, parse(group.since) - TICK, now, self.zone):
                    slots.record(tx, task.name, came.last, group.outcome, since=came.first, count=came.count)
            tx.tell("clock.moved", level="warning", task=task.name, was=stamp(cursor), now=stamp(now))


class _Doors:
    """What stands between a slot and its run, asked in this order; the first that is shut is the slot's outcome."""

    def __init__(self, schedule: Schedule, tx: Transaction) -> None:
        self.tx = tx
        self.is_stopped = _is_shut(schedule.stop) or stops.latched(tx.connection) is not None
        self.released = stops.last_release(tx.connection)
        self.paused = slots.paused(tx.connection)
        self.is_spent = schedule.is_spent
        self.max_pending = schedule.max_pending
        self.zone = schedule.zone

    def account(self, task: Declared, slot: Due) -> None:
        """Start the run of the newest slot, or say why not; the older ones were missed."""
        shut = self._shut(task, slot)
        if shut:
            is_whole = shut.startswith(("missed: stopped", "skipped: paused"))
            self._tell(task, slot if is_whole else Due(1, slot.last, slot.last), shut)
            if is_whole:
                return
        else:
            self._start(task, slot.last)
        if slot.count > 1:
            before = due(task.triggers, slot.first - TICK, slot.last - TICK, self.zone)
            assert before is not None
            self._tell(task, before, "missed: the runner was not there in time")

    def _shut(self, task: Declared, slot: Due) -> str:
        """The first door that is shut; empty when all are open."""
        limits, late = task.limits, self.tx.now - slot.last
        if self.is_stopped or stamp(slot.last) <= self.released:
            return "missed: stopped"
        if task.name in self.paused:
            return "skipped: paused"
        if late > limits.late:
            return "missed: too late to be of use"
        if late > PROMPT and limits.missed == "skip":
            return "missed: the runner was not there in time"
        return self._refusal(task)

    def _refusal(self, task: Declared) -> str:
        """What speaks against a run now, whatever the slot."""
        limits, connection = task.limits, self.tx.connection
        if limits.overlap == "skip" and runs.is_open(connection, task.name):
            return "skipped: overlap"
        if limits.max_pending and waiting.count(connection, task.name) >= limits.max_pending:
            return "skipped: max_pending"
        if self.max_pending and waiting.adds_to_pile(connection, task.name, self.max_pending):
            return "skipped: max_pending_total"
        # a task that may spend nothing needs nothing to be left
        if limits.budget and self.is_spent is not None and self.is_spent(connection, task):
            return "skipped: budget"
        return ""

    def _start(self, task: Declared, slot: datetime) -> None:
        run = new_id()
        hour = slot + jitter(task, slot)
        not_before = hour if hour > self.tx.now else None
        if runs.add(self.tx, run, task.name, slot=stamp(slot), not_before=not_before):
            slots.record(self.tx, task.name, slot, "run", run=run)

    def _tell(self, task: Declared, slot: Due, outcome: str) -> None:
        for group in self._without_runs(task, slot):
            self._tell_group(task, group, outcome)

    def _without_runs(self, task: Declared, slot: Due) -> Iterator[Due]:
        """The groups between those slots that ran already, before a clock that was wrong was set back."""
        ran = slots.ran(self.tx.connection, task.name, slot.first, slot.last)
        if not ran:
            yield slot
            return
        begin = slot.first - TICK
        for end in (*ran, slot.last + TICK):
            if group := due(task.triggers, begin, end - TICK, self.zone):
                yield group
            begin = end

    def _tell_group(self, task: Declared, slot: Due, outcome: str) -> None:
        slots.record(self.tx, task.name, slot.last, outcome, since=slot.first, count=slot.count)
        word, _, reason = outcome.partition(": ")
        since = stamp(slot.first) if slot.count > 1 else None
        count = slot.count if slot.count > 1 else None
        self.tx.tell(
            f"slot.{word}",
            level="warning",
            task=task.name,
            slot=stamp(slot.last),
            since=since,
            count=count,
            reason=reason,
        )


def _is_shut(stop: Stop) -> bool:
    try:
        stop.ask(Door.SLOT)
    except StoppedError:
        return True
    return False


def jitter(task: Declared, slot: datetime) -> timedelta:
    """How long the start of a slot is put off: the same for the same slot, whatever restarts."""
    longest = max((trigger.jitter for trigger in task.triggers), default=timedelta(0))
    return longest * random.Random(f"{task.name} {stamp(slot)}").random()  # noqa: S311 - no secret


def _times(task: Declared | None) -> object:
    return task and task.triggers
