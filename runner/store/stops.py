"""The latch: whether the runner is stopped, since when and why; and what a stop does to the gate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import Connection, insert, select, update

from runner.clock import stamp
from runner.store import runs
from runner.store.decisions import void_yeses
from runner.store.phone import disarm
from runner.store.schema import deliveries, stops
from runner.store.waiting import give_back

if TYPE_CHECKING:
    from runner.store.store import Transaction


@dataclass(frozen=True, slots=True)
class Latch:
    """A stop that is engaged."""

    engaged: str
    reason: str
    by: str


_LATCHED = select(stops.c.engaged, stops.c.reason, stops.c.by).where(stops.c.released.is_(None))


def latched(connection: Connection) -> Latch | None:
    """The stop that is engaged; None when the runner may go."""
    row = connection.execute(_LATCHED).first()
    return Latch(*row) if row else None


def last_release(connection: Connection) -> str:
    """When the last stop was released; empty when none ever was."""
    query = select(stops.c.released).where(stops.c.released.is_not(None)).order_by(stops.c.id.desc()).limit(1)
    return connection.execute(query).scalar() or ""


def engage(tx: Transaction, reason: str, by: str) -> bool:
    """Latch the stop; False when it was engaged already.

    In the same transaction approvals not yet begun are void, and runs that wait are ended.
    """
    if latched(tx.connection):
        return False
    tx.connection.execute(insert(stops).values(engaged=stamp(tx.now), reason=reason, by=by))
    tx.tell("stop.engaged", level="warning", reason=reason, by=by)
    tx.connection.execute(update(deliveries).where(deliveries.c.outcome.is_(None)).values(may_repeat=0))
    tx.connection.execute(update(deliveries).where(deliveries.c.outcome == "uncertain").values(may_repeat=0))
    void_yeses(tx)
    give_back(tx, "STOP was engaged before its delivery began")
    runs.stop(tx, "queued", f"stopped: {reason}")
    return True


def release(tx: Transaction, by: str) -> bool:
    """Let the runner go again; False when it was not stopped.

    Nothing goes on that is from before: no run that waits or was under way. And no button means anything any more: a yes
    that is on its way is none, nor is the resume of this stop one of the next.
    """
    query = update(stops).where(stops.c.released.is_(None)).values(released=stamp(tx.now), released_by=by)
    if not tx.connection.execute(query).rowcount:
        return False
    tx.tell("stop.released", by=by)
    disarm(tx)
    runs.stop(tx, "queued", "stopped: it was queued while STOP was engaged")
    runs.stop(tx, "running", "stopped: STOP was engaged while it was under way")
    return True
