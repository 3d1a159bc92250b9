"""The ledger of slots: which are accounted for, and how."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, bindparam, delete, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from runner.clock import parse, stamp
from runner.store.schema import slots, tasks

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import datetime

    from runner.store.store import Transaction


_RAN = (
    select(slots.c.instant)
    .where(slots.c.task == bindparam("task"), slots.c.outcome == "run")
    .where(slots.c.instant.between(bindparam("first"), bindparam("last")))
    .order_by(slots.c.instant)
)
_ROW = upsert(slots)
_CHANGED = {name: _ROW.excluded[name] for name in ("since", "count", "outcome", "run", "recorded")}
_RECORD = _ROW.on_conflict_do_update(
    index_elements=["task", "instant"], set_=_CHANGED, where=slots.c.outcome != "run"
)
_ADVANCE = (
    update(tasks)
    .where(tasks.c.name == bindparam("task"), tasks.c.cursor == bindparam("was"))
    .values(cursor=bindparam("to"))
)
_TASK = upsert(tasks)
_SCHEDULE = _TASK.on_conflict_do_update(
    index_elements=["name"], set_={"cursor": _TASK.excluded.cursor}, where=tasks.c.cursor.is_(None)
)
_SCHEDULED = select(tasks.c.name, tasks.c.cursor).where(
    tasks.c.cursor.is_not(None), tasks.c.name.in_(bindparam("names", expanding=True))
)
_PAUSED = select(tasks.c.name, tasks.c.paused).where(tasks.c.paused.is_not(None))


def names(connection: Connection) -> list[str]:
    """Every task that was ever scheduled, paused or left something behind."""
    return list(connection.execute(select(tasks.c.name).order_by(tasks.c.name)).scalars())


def cursor(connection: Connection, task: str) -> datetime | None:
    """The instant up to which every slot of the task is accounted for; None when it is not scheduled."""
    found = connection.execute(select(tasks.c.cursor).where(tasks.c.name == task)).scalar()
    return parse(found) if found else None


def schedule(tx: Transaction, names: Iterable[str]) -> None:
    """Account for the slots of these tasks from now on, where that has not begun."""
    if rows := [{"name": name, "cursor": stamp(tx.now)} for name in names]:
        tx.connection.execute(_SCHEDULE, rows)


def unschedule(tx: Transaction, names: Iterable[str]) -> None:
    """Forget how far these tasks' slots were accounted for: they were removed."""
    tx.connection.execute(update(tasks).where(tasks.c.name.in_(list(names))).values(cursor=None))


def scheduled(connection: Connection, names: Collection[str]) -> dict[str, datetime]:
    """How far the slots of each of these tasks are accounted for; those that are not scheduled are left out."""
    found = connection.execute(_SCHEDULED, {"names": list(names)})
    return {row.name: parse(row.cursor) for row in found}


def advance(tx: Transaction, task: str, was: datetime, to: datetime) -> bool:
    """Move a task's cursor; False when another moved it first."""
    step = {"task": task, "was": stamp(was), "to": stamp(to)}
    return bool(tx.connection.execute(_ADVANCE, step).rowcount)


def record(
    tx: Transaction,
    task: str,
    instant: datetime,
    outcome: str,
    *,
    run: str | None = None,
    since: datetime | None = None,
    count: int = 1,
) -> None:
    """Put a slot's outcome on record, or that of a group of slots from `since` to `instant`."""
    row = {
        "task": task,
        "instant": stamp(instant),
        "since": stamp(since or instant),
        "count": count,
        "outcome": outcome,
        "run": run,
        "recorded": stamp(tx.now),
    }
    tx.connection.execute(_RECORD, row)


def take_back(tx: Transaction, task: str, after: datetime) -> list[Row[Any]]:
    """Take outcomes of slots later than `after` off the record, but not runs; those of groups that began before it."""
    now = stamp(after)
    later = (slots.c.task == task, slots.c.instant > now, slots.c.outcome != "run")
    groups = list(tx.connection.execute(select(slots).where(*later, slots.c.since <= now)))
    tx.connection.execute(delete(slots).where(*later))
    return groups


def ran(connection: Connection, task: str, first: datetime, last: datetime) -> list[datetime]:
    """The slots of a task that started a run, from `first` to `last`."""
    found = connection.execute(_RAN, {"task": task, "first": stamp(first), "last": stamp(last)})
    return [parse(instant) for instant in found.scalars()]


def recent(connection: Connection, task: str, limit: int = 20) -> list[Row[Any]]:
    """The newest outcomes of a task's slots first."""
    return list(
        connection.execute(
            select(slots).where(slots.c.task == task).order_by(slots.c.instant.desc()).limit(limit)
        )
    )


def paused(connection: Connection) -> dict[str, str]:
    """The tasks that are paused, and since when."""
    return {row.name: row.paused for row in connection.execute(_PAUSED)}


def pause(tx: Transaction, task: str, by: str) -> None:
    """Start no run of the task until `unpause`."""
    row = upsert(tasks).values(name=task, paused=stamp(tx.now), paused_by=by)
    changed = {"paused": row.excluded.paused, "paused_by": row.excluded.paused_by}
    tx.connection.execute(row.on_conflict_do_update(index_elements=["name"], set_=changed))
    tx.tell("task.paused", task=task, by=by)


def unpause(tx: Transaction, task: str, by: str) -> bool:
    """Let the task run again; False when it was not paused."""
    query = update(tasks).where(tasks.c.name == task, tasks.c.paused.is_not(None))
    if not tx.connection.execute(query.values(paused=None, paused_by=None)).rowcount:
        return False
    tx.tell("task.unpaused", task=task, by=by)
    return True
