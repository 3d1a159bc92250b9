"""Which slots are due between two instants, by the triggers alone."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from runner.declare import Every

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from runner.declare import Trigger


@dataclass(frozen=True, slots=True)
class Due:
    """The slots between a cursor and now."""

    count: int
    first: datetime
    last: datetime


def due(triggers: Sequence[Trigger], after: datetime, until: datetime, zone: ZoneInfo) -> Due | None:
    """The slots later than `after` and not later than `until`; None when there are none."""
    if len(triggers) == 1 and isinstance(trigger := triggers[0], Every):
        return _multiples(trigger, after, until, zone)
    found: Due | None = None
    for slot in upcoming(triggers, after, zone):
        if slot > until:
            break
        found = Due(found.count + 1 if found else 1, found.first if found else slot, slot)
    return found


def _multiples(trigger: Every, after: datetime, until: datetime, zone: ZoneInfo) -> Due | None:
    """The same by arithmetic: each second of a month is too much to count through."""
    first = next(trigger.after(after, zone))
    if first > until:
        return None
    more = (until - first) // trigger.interval
    return Due(more + 1, first, first + more * trigger.interval)


def upcoming(triggers: Iterable[Trigger], after: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    """The slots later than `after`, in order, each once, of all triggers together."""
    merged = heapq.merge(*(trigger.after(after, zone) for trigger in triggers))
    return (slot for slot, _ in groupby(merged))
