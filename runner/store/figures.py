"""What the journal counts: runs, drafts and dollars over a span of time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, desc, func, select

from runner.clock import stamp
from runner.store import money, stats
from runner.store.runs import NANO
from runner.store.schema import drafts, runs, slots, spending

if TYPE_CHECKING:
    from datetime import datetime

#: of what became of a task's drafts; `hours` is the median until the first word on one, None without any
COUNTED = ("made", "unchanged", "edited", "revised", "rejected", "expired", "delivered", "hours")


def count(connection: Connection, since: datetime) -> dict[str, Any]:
    """Runs by task and status, slots missed by task, drafts by state now, dollars, what drafts came to; since that instant.

    In `attention` are counts alone: why its owner rejected one task's drafts is no other task's to read. Of a busy
    year it takes a while: ask in a thread.
    """
    return {
        "runs": runs_by_task(connection, since),
        "missed": missed_by_task(connection, since),
        "drafts": by_state(connection),
        "cost_usd": float(money.spent(connection, since)),
        "cost_by_task": _costs(connection, since),
        "attention": {each.task: _counts(each) for each in _drafted(connection, since)},
    }


def runs_by_task(connection: Connection, since: datetime) -> dict[str, dict[str, int]]:
    """How many runs each task had since that instant, by their status."""
    query = select(runs.c.task, runs.c.status, func.count()).where(runs.c.created >= stamp(since))
    counted: dict[str, dict[str, int]] = {}
    for task, status, number in connection.execute(query.group_by(runs.c.task, runs.c.status)):
        counted.setdefault(task, {})[status] = number
    return counted


def missed_by_task(connection: Connection, since: datetime) -> dict[str, int]:
    """How many slots each task missed, as was noticed since that instant; tasks that missed none are left out."""
    query = select(slots.c.task, func.sum(slots.c.count)).where(
        slots.c.recorded >= stamp(since), slots.c.outcome.startswith("missed")
    )
    return {row[0]: row[1] for row in connection.execute(query.group_by(slots.c.task))}


def _drafted(connection: Connection, since: datetime) -> list[stats.Stats]:
    return stats.of_tasks(connection, since, measures_edits=False)


def _costs(connection: Connection, since: datetime) -> dict[str, float]:
    """Dollars of each task that spent any, dearest first."""
    query = select(spending.c.task, func.coalesce(func.sum(spending.c.cost_nano_usd), 0).label("cost"))
    query = query.where(spending.c.at >= stamp(since)).group_by(spending.c.task)
    rows = connection.execute(query.order_by(desc("cost"), spending.c.task))
    return {row.task: float(row.cost / NANO) for row in rows}


def _counts(each: stats.Stats) -> dict[str, int | float | None]:
    return {name: getattr(each, name) for name in COUNTED}


def by_state(connection: Connection) -> dict[str, int]:
    """How many drafts are in each state now."""
    query = select(drafts.c.state, func.count()).group_by(drafts.c.state)
    return {row[0]: row[1] for row in connection.execute(query)}
