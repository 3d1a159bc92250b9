"""The only place that reads the time; every instant here is aware and in UTC."""

import time
from datetime import UTC, datetime
from zoneinfo import ZoneInfo


class Clock:
    """The machine's clock; a rehearsal or a test may hand the rooms another."""

    def now(self) -> datetime:
        """This instant, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that never go back; of no use but for differences."""
        return time.monotonic()


def stamp(at: datetime) -> str:
    """An instant as it stands in the store and the journal: UTC, milliseconds, ``Z``. Sorts as text."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse(text: str) -> datetime:
    """The instant that `stamp` wrote."""
    return datetime.fromisoformat(text)


def midnight(now: datetime, zone: ZoneInfo) -> datetime:
    """When the day began in that zone."""
    return now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)


def first_of_month(now: datetime, zone: ZoneInfo) -> datetime:
    """When the month began in that zone."""
    return midnight(now.astimezone(zone).replace(day=1), zone)


def zone(name: str) -> ZoneInfo:
    """The time zone of that IANA name; raises ``KeyError`` or ``ValueError`` when there is none."""
    return ZoneInfo(name)
