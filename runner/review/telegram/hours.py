"""Hours as a person on the phone means them, in the owner's zone."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING

from runner.clock import stamp
from runner.store import waiting

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from runner.store.store import Store

EVENING, MORNING = time(18), time(8)


def next_at(clock: time, now: datetime, zone: ZoneInfo) -> datetime:
    """The next instant at which the owner's clock says so, in UTC."""
    here = now.astimezone(zone)
    day = here.date() if here.time() < clock else here.date() + timedelta(days=1)
    return datetime.combine(day, clock, zone).astimezone(UTC)


def later(word: str, now: datetime, zone: ZoneInfo) -> datetime:
    """When a draft that was put off comes again."""
    if word == "1h":
        return now + timedelta(hours=1)
    return next_at(EVENING if word == "evening" else MORNING, now, zone)


def free(store: Store, zone: ZoneInfo) -> datetime:
    """The next full hour for which no approved draft waits."""
    with store.read() as connection:
        taken = waiting.hours_taken(connection)
    here = store.clock.now().astimezone(zone)
    hour = here.replace(minute=0, second=0, microsecond=0).astimezone(UTC)
    while True:
        hour += timedelta(hours=1)
        if stamp(hour) not in taken:
            return hour


def is_quiet(hours: str, now: datetime, zone: ZoneInfo) -> datetime | None:
    """When the quiet hours end, if it is one of them now; `hours` is "22:00-07:30", empty for none."""
    if not hours:
        return None
    begin, end = (time.fromisoformat(part) for part in hours.split("-"))
    here = now.astimezone(zone).time()
    within = begin <= here < end if begin <= end else here >= begin or here < end
    return next_at(end, now, zone) if within else None
