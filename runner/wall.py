"""What the wall clock of a zone shows, as instants: through the hour that it skips, and the one that it shows twice."""

from __future__ import annotations

import heapq
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cronsim import CronSim

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)
FAR = timedelta(days=1)  #: further than any clock was ever set back


def cron_after(expression: str, instant: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    """When the expression is due later than `instant`, in order, each instant once, in UTC.

    A job at fixed times is due once for each of them: in a gap just after it, in an overlap the first time. One whose
    minute or hour begins with a star is due whenever the clock shows such a time. Source: cron(8) of Debian.
    """
    minute, hour, *_ = expression.split()
    if minute.startswith("*") or hour.startswith("*"):
        # where the clock is about to be set back, it will show again what it has shown before
        shown = min(_wall(instant, zone), instant.replace(tzinfo=None) + _offset(instant + FAR, zone))
        found = _whenever(CronSim(expression, shown), zone)
    else:
        found = (once(wall, zone) for wall in CronSim(expression, _wall(instant, zone)))
    last = instant
    for slot in found:
        if slot > last:
            yield slot
            last = slot


def once(wall: datetime, zone: ZoneInfo) -> datetime:
    """The first instant at which the clock shows that time or, where it skips it, one later; in UTC."""
    at = wall.replace(tzinfo=zone).astimezone(UTC)
    while _wall(at, zone) != wall:
        wall = wall.replace(second=0) + MINUTE
        at = wall.replace(tzinfo=zone).astimezone(UTC)
    return at


def _whenever(walls: Iterable[datetime], zone: ZoneInfo) -> Iterator[datetime]:
    """Each instant at which the clock shows one of the times, which come in order."""
    again: list[datetime] = []  # what is shown a second time, once the clock was set back
    for wall in walls:
        first = wall.replace(tzinfo=zone)
        second = first.replace(fold=1)
        at = first.astimezone(UTC)
        if first.utcoffset() != second.utcoffset():
            if _wall(at, zone) != wall:
                continue  # never shown
            heapq.heappush(again, second.astimezone(UTC))
        while again and again[0] < at:
            yield heapq.heappop(again)
        yield at
    yield from sorted(again)


def _wall(instant: datetime, zone: ZoneInfo) -> datetime:
    return instant.astimezone(zone).replace(tzinfo=None)


def _offset(instant: datetime, zone: ZoneInfo) -> timedelta:
    return instant.astimezone(zone).utcoffset() or timedelta(0)
