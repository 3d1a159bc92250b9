"""Cron counted by hand: an oracle that shares no line with what it judges. It walks minute by minute.

Time is whole minutes since 1970, in UTC or as a wall clock shows them. A job at fixed times is due at the first minute
at which the wall clock has reached one of its times, which says all of gaps and overlaps; any other whenever the clock
shows such a time.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Iterator

DAY = 24 * 60
LONGEST = 4 * 60  #: minutes that no clock is set back by at once, these days
EPOCH = date(1970, 1, 1)
FIRST, LAST = (int(datetime(year, 1, 1, tzinfo=ZoneInfo("UTC")).timestamp()) // 60 for year in (2020, 2036))
MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
WEEKDAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
SHORT = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * sun",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 jan *",
    "@annually": "0 0 1 jan *",
}


def corpus() -> list[str]:
    """The schedules of `crons.txt`."""
    lines = (Path(__file__).parent / "crons.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


class Counted:
    """An expression, and the minutes that it means."""

    def __init__(self, expression: str) -> None:
        minute, hour, self.day, self.month, self.weekday = SHORT.get(expression, expression).lower().split()
        self.is_fixed = minute[0] != "*" and hour[0] != "*"
        self.times = frozenset(
            time for time in range(DAY) if _names(minute, time % 60, 59) and _names(hour, time // 60, 23)
        )

    def has_day(self, number: int) -> bool:
        """Whether it is due on that day, counted from 1970."""
        day = EPOCH + timedelta(days=number)
        if not _names(self.month, day.month, 12, MONTHS, 1):
            return False
        in_month = any(_names_day(term, day) for term in self.day.split(","))
        in_week = any(_names_weekday(term, day) for term in self.weekday.split(","))
        if self.day[0] == "*" or self.weekday[0] == "*":
            return in_month and in_week
        return in_month or in_week


def _names(field: str, value: int, most: int, words: list[str] | None = None, first: int = 0) -> bool:
    def number(text: str) -> int:
        return words.index(text) + first if words and text in words else int(text)

    for term in field.split(","):
        span, _, step = term.partition("/")
        low, _, high = span.partition("-")
        begin = first if low == "*" else number(low)
        end = number(high) if high else begin if not step and low != "*" else most
        if begin <= value <= end and (value - begin) % int(step or 1) == 0:
            return True
    return False


def _names_day(term: str, day: date) -> bool:
    following = (day + timedelta(days=more) for more in range(1, 31))
    later = [each for each in following if each.month == day.month]
    if term == "l":
        return not later
    if term == "lw":
        return day.isoweekday() <= 5 and all(each.isoweekday() > 5 for each in later)
    return _names(term, day.day, 31, first=1)


def _names_weekday(term: str, day: date) -> bool:
    numbers = (0, 7) if day.isoweekday() == 7 else (day.isoweekday(),)
    name, _, place = term.partition("#")
    if place:
        earlier = sum(1 for back in range(7, 35, 7) if (day - timedelta(days=back)).month == day.month)
        return earlier + 1 == int(place) and _names_weekday(name, day)
    if term[-1] == "l":
        return (day + timedelta(days=7)).month != day.month and _names_weekday(term[:-1], day)
    return any(_names(term, number, 7, WEEKDAYS) for number in numbers)


class Walk:
    """What the wall clock of a zone shows in each minute after `begin` up to `end`."""

    def __init__(self, zone: str, begin: int, end: int) -> None:
        self.zone, self.begin, self.end = zone, begin, end
        self.shown: dict[int, list[tuple[int, int]]] = {}  #: by day: the minute, and the time of day
        self.reached: dict[
            int, list[tuple[int, int]]
        ] = {}  #: the same for what is shown, or skipped, at last
        latest = begin - LONGEST + offset(zone, begin - LONGEST)
        for minute in range(begin - LONGEST, end + 1):
            wall = minute + offset(zone, minute)
            if minute > begin:
                self.shown.setdefault(wall // DAY, []).append((minute, wall % DAY))
                for each in range(latest + 1, wall + 1):
                    self.reached.setdefault(each // DAY, []).append((minute, each % DAY))
            latest = max(latest, wall)

    def due(self, job: Counted) -> list[int]:
        """The minutes in which the job is due."""
        found: set[int] = set()
        for day, minutes in (self.reached if job.is_fixed else self.shown).items():
            if job.has_day(day):
                found.update(minute for minute, time in minutes if time in job.times)
        return sorted(found)


def offset(zone: str, minute: int) -> int:
    """How many minutes the zone is ahead of UTC in that minute."""
    ahead = datetime.fromtimestamp(minute * 60, ZoneInfo(zone)).utcoffset()
    assert ahead is not None
    return ahead // timedelta(minutes=1)


@cache
def changes(zone: str) -> tuple[int, ...]:
    """The minutes from 2020 to 2035 in which the zone's clock is set."""
    return tuple(_changes(zone))


def _changes(zone: str) -> Iterator[int]:
    for begin in range(FIRST, LAST, DAY):
        before, after = begin, begin + DAY
        if offset(zone, before) == offset(zone, after):
            continue
        while after - before > 1:
            middle = (before + after) // 2
            same = offset(zone, middle) == offset(zone, before)
            before, after = (middle, after) if same else (before, middle)
        yield after
