"""Declaring tasks: what an owner may write, and what a slip of theirs is answered with."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

import runner
from runner.declare import Limits, Trigger, at, cron, every, in_words, task
from runner.errors import DeclarationError, TriggerError

BERLIN = ZoneInfo("Europe/Berlin")


def slots(trigger: Trigger, after: datetime, count: int = 3, zone: ZoneInfo = BERLIN) -> list[str]:
    return [f"{slot:%m-%d %H:%M}" for slot in itertools.islice(trigger.after(after, zone), count)]


def test_a_declared_task_is_called_like_its_function() -> None:
    @task(cron("0 9 * * mon-fri"), budget=0.2)
    def double(number: int) -> int:
        """Double it."""
        return number * 2

    assert double(4) == 8
    assert (double.name, double.description, double.limits.budget) == ("double", "Double it.", 0.2)
    assert double.limits.max_pending == Limits().max_pending == 3


def test_a_misspelt_option_names_the_one_it_resembles() -> None:
    with pytest.raises(TypeError, match="no option 'max_retrys'; did you mean 'retries'"):
        task(max_retrys=3)
    with pytest.raises(DeclarationError, match="there are timeout, retries"):
        task(zzz=3)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"timeout": 5}, "it should be a timedelta"),
        ({"timeout": timedelta(0)}, "greater than"),
        ({"missed": "twice"}, "'once' or 'skip'"),
        ({"uses": "chrome"}, "a tuple"),
        ({"reads": ("https://example.com",)}, "a whole URL with its path"),
        ({"reads": ("https://me:pw@example.com/",)}, "a whole URL"),
        ({"memory": 3}, "64"),
        ({"retries": -1}, "0"),
        ({"sealed": "no"}, "boolean"),
    ],
)
def test_an_option_that_cannot_be_meant_is_refused_in_words(options: dict[str, object], words: str) -> None:
    with pytest.raises(DeclarationError, match=words):
        task(**options)


def test_a_decorator_without_brackets_a_wrong_trigger_and_a_second_decorator_are_named() -> None:
    def nothing() -> None: ...

    with pytest.raises(DeclarationError, match="needs its brackets"):
        task(nothing)
    with pytest.raises(DeclarationError, match="no trigger"):
        task("0 9 * * *")
    with pytest.raises(DeclarationError, match="twice"):
        task()(task()(nothing))


def test_cron_reads_as_cron_does_not_as_its_imitations_do() -> None:
    sunday = datetime(2026, 11, 22, tzinfo=UTC)
    assert slots(cron("0 9 * * 1-5"), sunday, 1) == ["11-23 08:00"]
    assert slots(cron("0 9 * * 7"), sunday, 1) == slots(cron("0 9 * * 0"), sunday, 1) == ["11-22 08:00"]
    assert slots(cron("0 9 13 * fri"), datetime(2026, 11, 1, tzinfo=UTC), 2) == ["11-06 08:00", "11-13 08:00"]
    assert slots(cron("0 0 L * *", tz="UTC"), sunday, 2) == ["11-30 00:00", "12-31 00:00"]
    assert slots(cron("@daily", tz="UTC"), sunday, 1) == ["11-23 00:00"]


def test_a_time_in_the_spring_gap_comes_once_just_after_it() -> None:
    assert slots(cron("30 2 * * *"), datetime(2027, 3, 27, 12, tzinfo=UTC), 2) == [
        "03-28 01:00",
        "03-29 00:30",
    ]


def test_a_time_in_the_autumn_overlap_comes_once_the_first_time() -> None:
    assert slots(cron("30 2 * * *"), datetime(2026, 10, 24, 12, tzinfo=UTC), 2) == [
        "10-25 00:30",
        "10-26 01:30",
    ]


@pytest.mark.parametrize("expression", ["0 9 * * 1-6/x", "9 *", "0 0 31 2 *", "61 * * * *", ""])
def test_a_schedule_that_no_clock_can_keep_is_refused_with_an_example(expression: str) -> None:
    with pytest.raises(TriggerError, match=r"e\.g\. '0 9"):
        cron(expression)


def test_an_interval_is_anchored_in_time_not_in_the_start_of_the_process() -> None:
    for minute in (1, 4, 9):
        start = datetime(2026, 11, 24, 9, minute, 30, tzinfo=UTC)
        assert slots(every(minutes=10), start, 2) == ["11-24 09:10", "11-24 09:20"]
    with pytest.raises(TriggerError, match="too often"):
        every(seconds=0.5)
    with pytest.raises(TriggerError, match="negative"):
        every(minutes=1, jitter=timedelta(seconds=-1))


def test_once_is_once_and_in_the_owners_zone() -> None:
    trigger = at("2026-12-24T09:00")
    assert slots(trigger, datetime(2026, 12, 1, tzinfo=UTC)) == ["12-24 08:00"]
    assert slots(trigger, datetime(2026, 12, 25, tzinfo=UTC)) == []
    assert slots(at("2026-12-24T09:00+02:00"), datetime(2026, 12, 1, tzinfo=UTC)) == ["12-24 07:00"]
    for bad in ("tomorrow", "24.12."):
        with pytest.raises(TriggerError, match="no date and time"):
            at(bad)
    with pytest.raises(TriggerError, match="no time zone"):
        at("2026-12-24T09:00", tz="Mars/Olympus")


def test_schedules_say_themselves_in_words() -> None:
    assert cron("0 9 * * mon-fri", tz="UTC").explain() == "At 09:00 on Monday through Friday (UTC)"
    assert every(minutes=90).explain() == "Every 1 hour 30 minutes"
    assert at("2026-12-24T09:00", tz="UTC").explain() == "Once, at 2026-12-24 09:00 (UTC)"
    assert in_words(timedelta(0)) == "0 seconds"


def test_the_front_door_holds_what_it_says_and_nothing_else() -> None:
    for name in runner.__all__:
        assert getattr(runner, name).__name__.lower() == name.lower()
    with pytest.raises(AttributeError, match="it has Alert"):
        runner.send  # noqa: B018
