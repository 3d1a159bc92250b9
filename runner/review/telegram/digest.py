"""The morning's summary: what waits, how it went, what it cost, and where the journal stands."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING

from runner.clock import parse, stamp
from runner.gate import ASKED
from runner.review.telegram.hours import next_at
from runner.store import drafts, figures, money, phone

if TYPE_CHECKING:
    from collections.abc import Callable
    from zoneinfo import ZoneInfo

    from sqlalchemy import Connection

    from runner.review.telegram.status import Status
    from runner.store.store import Store

DAY = timedelta(days=1)
WAITING_MOST = 15  #: drafts that are named


@dataclass(slots=True)
class Digest:
    """Sends the summary once a day, at the owner's hour or as soon after it as there is a runner."""

    store: Store
    status: Status
    zone: ZoneInfo
    at: str  #: "08:00"; empty is never
    head: Callable[[], tuple[int, str]]  #: number and hash of the journal's last line

    async def look(self) -> None:
        """Send it if its hour has come since the last one."""
        if not self.at:
            return
        now = self.store.clock.now()
        hour = stamp(next_at(time.fromisoformat(self.at), now, self.zone) - DAY)
        with self.store.read() as connection:
            last = phone.remembered(connection, "digest")
        if last == hour:
            return
        # at the very first there is nothing to sum up; of a busy day it takes a while, and nothing else waits for it
        text = await asyncio.to_thread(self._text, now) if last else ""
        with self.store.change() as tx:
            phone.remember(tx, "digest", hour)
            if text:
                self.status.say(tx, "digest", text, is_urgent=True)

    def _text(self, now: datetime) -> str:
        with self.store.read() as connection:
            return "\n".join(self.lines(connection, now))

    def lines(self, connection: Connection, now: datetime) -> list[str]:
        """The summary."""
        here = now.astimezone(self.zone).replace(hour=0, minute=0, second=0, microsecond=0)
        ran = figures.runs_by_task(connection, now - DAY)
        missed = figures.missed_by_task(connection, now - DAY)
        yesterday = money.spent(connection, here - DAY) - money.spent(connection, here)
        month = money.spent(connection, here.replace(day=1))
        seq, digest = self.head()
        return [
            f"🌅 {now.astimezone(self.zone):%a %d %b}",
            *self._waiting(connection, now),
            *(f"{task}: {_counts(statuses)}" for task, statuses in sorted(ran.items())),
            *(f"{task}: {count} slots missed" for task, count in sorted(missed.items())),
            f"Spent: ${yesterday:.4f} yesterday, ${month:.4f} this month",
            f"Journal: event {seq}, head {digest}",
        ]

    def _waiting(self, connection: Connection, now: datetime) -> list[str]:
        rows = drafts.listed(connection, ASKED)
        if not rows:
            return ["Nothing waits."]
        named = [
            f"· {row.task} {row.id} ({row.state}), {(now - parse(row.created)) // timedelta(hours=1)} h old"
            for row in rows[:WAITING_MOST]
        ]
        more = [f"· and {len(rows) - WAITING_MOST} more"] if len(rows) > WAITING_MOST else []
        return [f"{len(rows)} drafts wait; /pending shows them:", *named, *more]


def _counts(statuses: dict[str, int]) -> str:
    return ", ".join(f"{count} {status}" for status, count in sorted(statuses.items()))
