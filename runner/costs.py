"""What Claude cost: sums by what the owner asks for, and what the month will come to."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

from runner.clock import first_of_month, parse

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from sqlalchemy import Row

By = Literal["task", "label", "model", "day", "month"]
DAYS_LEAST = 1.0  #: that a projection needs


@dataclass(slots=True)
class Sum:
    """What one task, label, model, day or month came to; money in billionths of a dollar."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost: int = 0
    saved: int = 0  #: by cache and batches; may be less than nothing
    unknown: int = 0  #: calls whose price nobody knows

    def add(self, row: Row[Any]) -> None:
        """Count an exchange."""
        self.calls += 1
        self.input_tokens += row.input_tokens
        self.output_tokens += row.output_tokens
        self.cache_read_tokens += row.cache_read_tokens
        self.cache_write_tokens += row.cache_write_tokens
        self.cost += row.cost_nano_usd or 0
        self.saved += row.saved_nano_usd or 0
        self.unknown += row.cost_nano_usd is None

    @property
    def saved_share(self) -> float:
        """Of what it would have cost asked directly and uncached, the share that was saved; 0 where nothing was."""
        whole = self.cost + self.saved
        return self.saved / whole if whole > 0 else 0.0


def sums(rows: Iterable[Row[Any]], by: By, zone: ZoneInfo) -> dict[str, Sum]:
    """The sums of what was spent: days and months in order, all else dearest first."""
    found: dict[str, Sum] = {}
    for row in rows:
        found.setdefault(_key(row, by, zone), Sum()).add(row)
    if by in ("day", "month"):
        return dict(sorted(found.items()))
    return dict(sorted(found.items(), key=lambda item: (-item[1].cost, item[0])))


def total(found: Iterable[Sum]) -> Sum:
    """All of them together."""
    whole = Sum()
    for each in found:
        for field in fields(Sum):
            setattr(whole, field.name, getattr(whole, field.name) + getattr(each, field.name))
    return whole


def _key(row: Row[Any], by: By, zone: ZoneInfo) -> str:
    if by in ("day", "month"):
        here = parse(row.at).astimezone(zone)
        return f"{here:%Y-%m-%d}" if by == "day" else f"{here:%Y-%m}"
    return str(getattr(row, by))


def projection(spent: float, first: datetime | None, now: datetime, zone: ZoneInfo) -> float | None:
    """What this month comes to if it goes on as since its first day, or since the very `first` call if that came later.

    `spent` is this month's so far. None: that is less than a day, which tells nothing.
    """
    began = first_of_month(now, zone)
    since = max(began, first) if first else now
    so_far = (now - since).total_seconds() / 86400
    if so_far < DAYS_LEAST:
        return None
    ends = _next_month(now, zone)
    return spent + spent / so_far * (ends - now).total_seconds() / 86400


def _next_month(now: datetime, zone: ZoneInfo) -> datetime:
    here = now.astimezone(zone)
    following = here.replace(year=here.year + here.month // 12, month=here.month % 12 + 1, day=1)
    return first_of_month(following, zone)
