"""Slots: each is accounted for, as one run or with the reason why not, whatever the clock does."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_store import put

from runner.catalog import Declared
from runner.clock import midnight
from runner.declare import Limits, at, cron, every
from runner.due import due, upcoming
from runner.gate import State
from runner.purses import Purses
from runner.schedule import Schedule, jitter
from runner.settings import load
from runner.stop import Stop
from runner.store import drafts, runs, slots, stops
from runner.store.store import Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from conftest import HandClock

    from runner.declare import Trigger

UTC_ZONE = ZoneInfo("UTC")
NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)


def task(*triggers: Trigger, name: str = "greet", **limits: Any) -> Declared:
    return Declared(name=name, file="greet.py", source="s", triggers=triggers, limits=Limits(**limits))


def unheard(reason: str) -> None:
    """The latch is not what is tried here."""


@asynccontextmanager
async def schedule(store: Store, tmp_path: Path, *tasks: Declared, **more: Any) -> AsyncIterator[Schedule]:
    kept = Schedule(store, Stop(tmp_path / "STOP", unheard), UTC_ZONE, **more)
    kept.start()
    try:
        kept.take({each.name: each for each in tasks})
        yield kept
    finally:
        kept.close()


def settle(kept: Schedule) -> None:
    kept._settle(kept._tasks, kept._tasks)


def outcomes(store: Store, name: str = "greet") -> list[tuple[str, int, str]]:
    with store.read() as connection:
        rows = slots.recent(connection, name)
    return [(row.instant[11:19], row.count, row.outcome) for row in reversed(rows)]


async def test_a_slot_that_is_due_starts_one_run(store: Store, clock: HandClock, tmp_path: Path) -> None:
    async with schedule(store, tmp_path, task(every(minutes=10))) as kept:
        clock.move(minutes=10)
        settle(kept)
        settle(kept)
        assert outcomes(store) == [("09:10:00", 1, "run")]
        with store.read() as connection:
            (run,) = runs.recent(connection)
            assert (run.task, run.slot) == ("greet", "2026-11-24T09:10:00.000Z")


async def test_a_slot_that_cannot_be_settled_because_the_store_is_lost_stops(
    store: Store, tmp_path: Path
) -> None:
    async with schedule(store, tmp_path, task(every(minutes=10))) as kept:
        kept.store = Store(f"sqlite:///{tmp_path}/lost.db")  # it has no tables
        await kept._wake("greet")
        await asyncio.sleep(0)
        kept.store.close()
        assert "can't be used now" in str(kept.stop.reason)


async def test_promise_21_after_downtime_one_catch_up_and_each_missed_slot_on_record(
    store: Store, clock: HandClock, tmp_path: Path
) -> None:
    async with schedule(store, tmp_path, task(every(minutes=10))):
        pass
    clock.move(hours=3, minutes=5)
    async with schedule(store, tmp_path, task(every(minutes=10))):
        missed = "missed: the runner was not there in time"
        assert outcomes(store) == [("11:50:00", 17, missed), ("12:00:00", 1, "run")]


@pytest.mark.parametrize(
    ("limits", "late", "outcome"),
    [
        ({"missed": "skip"}, timedelta(minutes=5), "missed: the runner was not there in time"),
        ({"missed": "skip"}, timedelta(seconds=30), "run"),
        ({"late": timedelta(minutes=4)}, timedelta(minutes=5), "missed: too late to be of use"),
        ({}, timedelta(minutes=5), "run"),
    ],
)
async def test_how_late_is_still_useful_is_the_tasks_to_say(  # noqa: PLR0913, PLR0917 - three are fixtures
    store: Store, clock: HandClock, tmp_path: Path, limits: Any, late: timedelta, outcome: str
) -> None:
    async with schedule(store, tmp_path, task(every(hours=1), **limits)) as kept:
        clock.at += timedelta(hours=1) + late
        settle(kept)
        assert outcomes(store) == [("10:00:00", 1, outcome)]


async def test_a_slot_that_meets_a_run_under_way_is_skipped_or_queued(
    store: Store, clock: HandClock, tmp_path: Path
) -> None:
    both = (task(every(minutes=1)), task(every(minutes=1), name="queue", overlap="queue"))
    async with schedule(store, tmp_path, *both) as kept:
        for _ in range(2):
            clock.move(minutes=1)
            settle(kept)
        assert [outcome for *_, outcome in outcomes(store)] == ["run", "skipped: overlap"]
        assert [outcome for *_, outcome in outcomes(store, "queue")] == ["run", "run"]


async def test_a_task_whose_drafts_pile_up_draws_breath(
    store: Store, clock: HandClock, tmp_path: Path
) -> None:
    async with schedule(store, tmp_path, task(every(minutes=1), max_pending=2)) as kept:
        with store.change() as tx:
            put(tx, "k3v9")
            put(tx, "m2x7")
        clock.move(minutes=1)
        settle(kept)
        with store.change() as tx:
            drafts.move(tx, drafts.held(tx.connection, "k3v9"), State.REJECTED)
        clock.move(minutes=1)
        settle(kept)
        assert [outcome for *_, outcome in outcomes(store)] == ["skipped: max_pending", "run"]


async def test_a_paused_task_skips_and_does_not_catch_up(
    store: Store, clock: HandClock, tmp_path: Path
) -> None:
    async with schedule(store, tmp_path, task(every(minutes=1))) as kept:
        with store.change() as tx:
            slots.pause(tx, "greet", "ana")
        clock.move(minutes=3)
        settle(kept)
        with store.change() as tx:
            slots.unpause(tx, "greet", "ana")
        settle(kept)
        assert outcomes(store) == [("09:03:00", 3, "skipped: paused")]


async def test_a_day_whose_budget_is_spent_starts_nothing_more(
    store: Store, clock: HandClock, tmp_path: Path
) -> None:
    purses = Purses(load(tmp_path).model_copy(update={"daily_budget_usd": Decimal(1)}), clock)
    free = task(every(minutes=1), name="free", budget=0)
    async with schedule(store, tmp_path, task(every(minutes=1)), free, is_spent=purses.are_spent) as kept:
        with store.change() as tx:
            runs.spent(tx, "r0", "greet", "m", (1, 1), Decimal(1), is_lower_bound=False)
        clock.move(minutes=1)
        settle(kept)
        clock.move(days=1)
        settle(kept)
        assert [outcome for *_, outcome in outcomes(store)][0::2] == ["skipped: budget", "run"]
        assert outcomes(store, "free")[0] == ("09:01:00", 1, "run")  # it spends nothing


async def test_slots_missed_while_stopped_are_recorded_and_never_caught_up(
    store: Store, clock: HandClock, tmp_path: Path
) -> None:
    async with schedule(store, tmp_path, task(every(minutes=10))) as kept:
        with store.change() as tx:
            stops.engage(tx, "quiet", "ana")
        clock.move(minutes=10)
        settle(kept)
    clock.move(minutes=20)
    with store.change() as tx:
        stops.release(tx, "ana")
    clock.move(minutes=5)
    async with schedule(store, tmp_path, task(every(minutes=10))) as kept:
        assert outcomes(store) == [("09:10:00", 1, "missed: stopped"), ("09:30:00", 2, "missed: stopped")]
        clock.move(minutes=5)
        settle(kept)
        assert outcomes(store)[-1] == ("09:40:00", 1, "run")


async def test_a_clock_that_was_wrong_by_a_year_starts_no_slot_twice_and_stops_none_for_long(
    store: Store, clock: HandClock, tmp_path: Path
) -> None:
    async with schedule(store, tmp_path, task(every(hours=1), overlap="queue")) as kept:
        clock.move(hours=1)
        settle(kept)
        clock.move(days=365)
        settle(kept)
        clock.move(days=-365)
        settle(kept)
        clock.move(hours=-1)
        settle(kept)
        clock.move(hours=3)
        settle(kept)
        with store.read() as connection:
            started = sorted(run.slot for run in runs.recent(connection))
        assert len(started) == len(set(started))
        assert started[-1] == "2026-11-24T12:00:00.000Z" or started[1] == "2026-11-24T12:00:00.000Z"


async def test_what_a_wrong_clock_said_of_slots_to_come_is_taken_back_and_what_ran_is_not_missed(
    store: Store, clock: HandClock, tmp_path: Path
) -> None:
    async with schedule(store, tmp_path, task(every(hours=1), overlap="queue")) as kept:
        missed = "missed: the runner was not there in time"
        clock.move(hours=5)
        settle(kept)
        assert outcomes(store) == [("13:00:00", 4, missed), ("14:00:00", 1, "run")]
        clock.move(hours=-4, minutes=30)
        settle(kept)
        assert outcomes(store) == [("10:00:00", 1, missed), ("14:00:00", 1, "run")]
        clock.move(hours=6)
        settle(kept)
        assert outcomes(store) == [
            ("10:00:00", 1, missed),
            ("13:00:00", 3, missed),
            ("14:00:00", 1, "run"),
            ("15:00:00", 1, missed),
            ("16:00:00", 1, "run"),
        ]


async def test_a_new_schedule_begins_when_it_is_saved(store: Store, clock: HandClock, tmp_path: Path) -> None:
    async with schedule(store, tmp_path, task(cron("0 9 * * *"))) as kept:
        clock.move(hours=1)
        kept.take({"greet": task(cron("30 9 * * *"))})
        settle(kept)
        assert outcomes(store) == []
        clock.move(days=1)
        settle(kept)
        assert outcomes(store) == [("09:30:00", 1, "run")]
        kept.take({}, gone=["greet"])
        clock.move(days=5)
        kept.take({"greet": task(cron("30 9 * * *"))})
        settle(kept)
        assert len(outcomes(store)) == 1


async def until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110 - it watches a database
        await asyncio.sleep(0.02)


async def test_what_is_due_wakes_by_itself(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/store.db")
    store.open()
    async with (
        schedule(store, tmp_path, task(every(seconds=1), overlap="queue"), task(name="on_demand")),
        asyncio.timeout(5),
    ):
        await until(lambda: len(outcomes(store)) == 2)
    assert {outcome for *_, outcome in outcomes(store)} == {"run"}
    store.close()


def test_slots_of_several_triggers_are_one_sequence() -> None:
    both = (every(minutes=30), cron("0 * * * *"), at("2026-11-24T09:10"))
    found = [f"{slot:%H:%M}" for slot, _ in zip(upcoming(both, NOW, UTC_ZONE), range(4), strict=False)]
    assert found == ["09:10", "09:30", "10:00", "10:30"]


@given(
    seconds=st.integers(1, 5000),
    after=st.integers(0, 10**6),
    span=st.integers(0, 20_000),
    offset=st.integers(0, 999),
)
def test_counting_by_arithmetic_is_counting(seconds: int, after: int, span: int, offset: int) -> None:
    trigger, begin = every(seconds=seconds), NOW + timedelta(seconds=after, milliseconds=offset)
    until = begin + timedelta(seconds=span)
    counted = _slots(trigger, begin, until)
    found = due([trigger], begin, until, UTC_ZONE)
    assert (found and (found.count, found.first, found.last)) == (
        (len(counted), counted[0], counted[-1]) if counted else None
    )


def _slots(trigger: Any, begin: datetime, until: datetime) -> list[datetime]:
    found: list[datetime] = []
    for slot in trigger.after(begin, UTC_ZONE):
        if slot > until:
            return found
        found.append(slot)
    return found


def test_jitter_delays_a_start_the_same_way_each_time() -> None:
    shaky = task(every(hours=1, jitter=timedelta(minutes=5)))
    delays = {jitter(shaky, NOW + timedelta(hours=n)) for n in range(20)}
    assert len(delays) == 20
    assert all(timedelta(0) <= delay < timedelta(minutes=5) for delay in delays)
    assert jitter(shaky, NOW) == jitter(shaky, NOW)


def test_a_day_begins_at_the_owners_midnight() -> None:
    assert midnight(NOW, ZoneInfo("Pacific/Auckland")) == datetime(2026, 11, 23, 11, tzinfo=UTC)
