"""When a task is due, compared with a count by hand: every zone, sixteen years, and the schedules of `crons.txt`."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, available_timezones

import pytest
from reckoning import DAY, FIRST, LAST, Counted, Walk, changes, corpus

from runner.declare import at, cron

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.no_cover

AROUND = 26 * 60  #: minutes compared before and after a clock is set
YEARS_SHARE = 12  #: of how many expressions one is tried over whole years where not all are
EXPRESSIONS = corpus()
JOBS = {expression: Counted(expression) for expression in EXPRESSIONS}
ZONES = sorted(available_timezones())
ODD = ("Australia/Lord_Howe", "Antarctica/Troll", "Africa/Casablanca", "Asia/Almaty", "America/Havana")


def compare(walk: Walk, expression: str) -> None:
    """The slots of an expression in the minutes of a walk, by the trigger and by hand."""
    until = instant(walk.end)
    found = cron(expression, tz=walk.zone).after(instant(walk.begin), ZoneInfo("UTC"))
    slots = list(takewhile(lambda slot: slot <= until, found))
    counted = [instant(minute) for minute in walk.due(JOBS[expression])]
    assert slots == counted, f"{expression} in {walk.zone} after {instant(walk.begin)}"


def instant(minute: int) -> datetime:
    return datetime.fromtimestamp(minute * 60, UTC)


@pytest.fixture
def chance() -> random.Random:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")  # noqa: T201 - shown when the test fails
    return random.Random(seed)


def windows(chance: random.Random, count: int) -> Iterator[tuple[str, int]]:
    """Instants at which the clock is set, each with its zone: all of them, or one of each of `count` zones."""
    is_whole = count >= len(ZONES)
    for zone in ZONES if is_whole else [*ODD, *chance.sample(ZONES, count)]:
        found = changes(zone) or (chance.randrange(FIRST + AROUND, LAST - AROUND),)
        for change in found if is_whole else [chance.choice(found)]:
            yield zone, change


def test_the_corpus_is_large_and_holds_no_schedule_that_cannot_be() -> None:
    assert len(EXPRESSIONS) == len(set(EXPRESSIONS)) >= 200
    assert all(cron(expression).expression for expression in EXPRESSIONS)


@pytest.mark.timeout(7200)
def test_promise_20_around_each_change_of_a_clock_each_slot_comes_once_when_it_should(
    pytestconfig: pytest.Config, chance: random.Random
) -> None:
    for zone, change in windows(chance, pytestconfig.getoption("--zones")):
        walk = Walk(zone, change - chance.randrange(-120, AROUND), change + AROUND)
        for expression in EXPRESSIONS:
            compare(walk, expression)


@pytest.mark.timeout(7200)
def test_promise_20_over_whole_years_each_slot_comes_once_when_it_should(
    pytestconfig: pytest.Config, chance: random.Random
) -> None:
    is_whole = pytestconfig.getoption("--zones") >= len(ZONES)
    years = range(FIRST, LAST - 365 * DAY, 365 * DAY)
    for year in years if is_whole else chance.sample(years, 1):
        walk = Walk(chance.choice(ZONES), year, year + 366 * DAY)
        share = len(EXPRESSIONS) // (1 if is_whole else YEARS_SHARE)
        for expression in chance.sample(EXPRESSIONS, share):
            compare(walk, expression)


def after(expression: str, tz: str, begin: datetime, count: int) -> list[str]:
    found = cron(expression, tz=tz).after(begin, ZoneInfo("UTC"))
    return [f"{slot:%m-%d %H:%M}" for slot, _ in zip(found, range(count), strict=False)]


def test_a_time_that_has_come_does_not_come_again_when_the_clock_shows_it_again() -> None:
    second = datetime(2026, 10, 25, 1, 47, tzinfo=UTC)  # 02:47 in Berlin, the second time
    assert after("59 2 * * *", "Europe/Berlin", second, 1) == ["10-26 01:59"]
    assert after("*/15 2 * * *", "Europe/Berlin", second, 2) == ["10-26 01:00", "10-26 01:15"]


def test_a_clock_that_is_set_by_half_an_hour_loses_no_slot() -> None:
    gap = datetime(2026, 10, 3, 12, tzinfo=UTC)  # 02:00 becomes 02:30 at 15:30 UTC
    assert after("0 */12 * * *", "Australia/Lord_Howe", gap, 2) == ["10-03 13:30", "10-04 01:00"]
    begin = gap + timedelta(hours=3)
    assert after("45 * * * *", "Australia/Lord_Howe", begin, 2) == ["10-03 15:15", "10-03 15:45"]


def test_once_in_a_gap_is_just_after_it_too() -> None:
    trigger = at("2027-03-28T02:30", tz="Europe/Berlin")
    assert list(trigger.after(datetime(2027, 3, 1, tzinfo=UTC), ZoneInfo("UTC"))) == [
        datetime(2027, 3, 28, 1, tzinfo=UTC)
    ]
