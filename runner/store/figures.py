"""What the journal counts: runs, drafts and dollars over a span of time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, func, select

from runner.clock import stamp
from runner.store.runs import spent_since
from runner.store.schema import drafts, runs, slots

if TYPE_CHECKING:
    from datetime import datetime


def count(connection: Connection, since: datetime) -> dict[str, Any]:
    """Runs by task and status, slots missed by task, drafts by state now, dollars; since that instant."""
    by_status = select(runs.c.task, runs.c.status, func.count()).where(runs.c.created >= stamp(since))
    missed = select(slots.c.task, func.sum(slots.c.count)).where(
        slots.c.recorded >= stamp(since), slots.c.outcome.startswith("missed")
    )
    counted: dict[str, dict[str, int]] = {}
    for task, status, number in connection.execute(by_status.group_by(runs.c.task, runs.c.status)):
        counted.setdefault(task, {})[status] = number
    return {
        "runs": counted,
        "missed": {row[0]: row[1] for row in connection.execute(missed.group_by(slots.c.task))},
        "drafts": by_state(connection),
        "cost_usd": float(spent_since(connection, since)),
    }


def by_state(connection: Connection) -> dict[str, int]:
    """How many drafts are in each state now."""
    query = select(drafts.c.state, func.count()).group_by(drafts.c.state)
    return {row[0]: row[1] for row in connection.execute(query)}
