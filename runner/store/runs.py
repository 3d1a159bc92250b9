"""Runs, the Claude calls they paid for, and what a task keeps between them."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, bindparam, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from runner.clock import parse, stamp
from runner.store import drafts
from runner.store.drafts import only
from runner.store.schema import calls, runs, spending, tasks

if TYPE_CHECKING:
    from datetime import datetime

    from runner.store.store import Transaction

NANO = Decimal(10) ** 9
OPEN = ("queued", "running")  #: the statuses of a run that has not ended
GOOD = ("ok", "degraded")  #: the statuses of a run that made what it should

# what every run asks is built once: building a query costs more than answering it
_GET = select(runs).where(runs.c.id == bindparam("run"))
_QUEUED = (
    select(runs.c.id, runs.c.task, runs.c.not_before, runs.c.revises, runs.c.parked)
    .where(runs.c.status == "queued")
    .order_by(runs.c.created, runs.c.id)
)
_ADD = upsert(runs).on_conflict_do_nothing(index_elements=["task", "slot"])
_OPEN = (
    select(runs.c.id)
    .where(runs.c.task == bindparam("task"), runs.c.status.in_(OPEN), runs.c.revises.is_(None))
    .limit(1)
)
_MOVE = update(runs).where(runs.c.id == bindparam("run"), runs.c.status == bindparam("was"))
_RUNNING = select(runs).where(runs.c.status == "running")
_MODELS = (
    select(spending.c.model)
    .where(spending.c.run == bindparam("run"))
    .group_by(spending.c.model)
    .order_by(func.min(spending.c.id))
)
_SUMS = (spending.c.cost_nano_usd, spending.c.input_tokens, spending.c.output_tokens)
_BILL = select(*(func.coalesce(func.sum(column), 0) for column in _SUMS)).where(
    spending.c.run == bindparam("run")
)
_STATE = select(tasks.c.state).where(tasks.c.name == bindparam("task"))
_BEGIN = (
    update(runs)
    .where(runs.c.id == bindparam("run"), runs.c.status == "queued")
    .values(
        status="running",
        attempt=runs.c.attempt + 1,
        started=func.coalesce(runs.c.started, bindparam("now")),
        inputs=func.coalesce(runs.c.inputs, bindparam("given")),
    )
)


def add(
    tx: Transaction,
    run: str,
    task: str,
    *,
    slot: str | None = None,
    revises: str | None = None,
    feedback: str | None = None,
    not_before: datetime | None = None,
) -> bool:
    """Queue a run, at once or not before an instant; False when its slot has started one already."""
    row = {
        "id": run,
        "task": task,
        "slot": slot,
        "revises": revises,
        "feedback": feedback,
        "status": "queued",
        "created": stamp(tx.now),
        "not_before": stamp(not_before) if not_before else None,
    }
    return bool(tx.connection.execute(_ADD, row).rowcount)


def begin(tx: Transaction, run: str, inputs: dict[str, Any]) -> Row[Any] | None:
    """Claim a queued run for one attempt; its row, or None when somebody was faster.

    `inputs` are kept from the first attempt on, so that a later one is given the same.
    """
    values = {"run": run, "now": stamp(tx.now), "given": json.dumps(inputs)}
    if not tx.connection.execute(_BEGIN, values).rowcount:
        return None
    row = get(tx.connection, run)
    tx.tell("run.started", run=run, task=row.task, slot=row.slot, attempt=row.attempt, revises=row.revises)
    return row


def retry(tx: Transaction, run: str, error: str, after: timedelta, status: str = "error") -> bool:
    """Queue a running run for another attempt; False when it is not running."""
    values = {"status": "queued", "not_before": stamp(tx.now + after), "error": error}
    if not _move(tx, run, "running", values):
        return False
    row = get(tx.connection, run)
    tx.tell(
        "run.retried",
        level="warning",
        run=run,
        task=row.task,
        attempt=row.attempt,
        status=status,
        error=error,
    )
    return True


def interrupted(tx: Transaction, run: str) -> None:
    """Queue a run for another attempt after a crash."""
    retry(tx, run, "the runner ended while it was under way", timedelta(0), "interrupted")


def finish(
    tx: Transaction, run: str, status: str, error: str | None = None, *, was: str = "running", **details: Any
) -> bool:
    """End a run; False when it is not what it `was`. Tells its cost and length."""
    if not _move(tx, run, was, {"status": status, "finished": stamp(tx.now), "error": error}):
        return False
    row = get(tx.connection, run)
    cost, tokens_in, tokens_out = bill(tx.connection, run)
    if row.revises and status not in GOOD:
        drafts.unrevise(tx, row.revises, f"the revision came to nothing: {error or status}")
    seconds = (tx.now - parse(row.started)).total_seconds() if row.started else 0.0
    level = "info" if status in GOOD else "error"
    tx.tell(
        "run.finished",
        level=level,
        run=run,
        task=row.task,
        slot=row.slot,
        status=status,
        duration_s=round(seconds, 3),
        cost_usd=float(cost),
        input_tokens=tokens_in,
        output_tokens=tokens_out,
        error=error,
        **details,
    )
    return True


def stop(tx: Transaction, was: str, reason: str) -> None:
    """End each run that `was` queued, or running, by the store's account: stopped, for that reason."""
    found = select(runs.c.id).where(runs.c.status == was).order_by(runs.c.created, runs.c.id)
    for run in tx.connection.execute(found).scalars().all():
        finish(tx, run, "stopped", reason, was=was)


def _move(tx: Transaction, run: str, was: str, values: dict[str, Any]) -> bool:
    return bool(tx.connection.execute(_MOVE, {"run": run, "was": was, **values}).rowcount)


def get(connection: Connection, run: str) -> Row[Any]:
    """A run's row."""
    return connection.execute(_GET, {"run": run}).one()


def exists(connection: Connection, run: str) -> bool:
    """Whether there is such a run."""
    return connection.execute(select(runs.c.id).where(runs.c.id == run)).first() is not None


def resolve(connection: Connection, prefix: str) -> str:
    """The one run whose id begins so; raises `GoneError` when there is none or more than one."""
    query = select(runs.c.id).where(runs.c.id.startswith(prefix, autoescape=True)).limit(3)
    return only(connection.execute(query).scalars().all(), "run", prefix)


def queued(connection: Connection) -> list[Row[Any]]:
    """The runs that wait for their turn, oldest first: id, task, and not before when."""
    return list(connection.execute(_QUEUED))


def running(connection: Connection) -> list[Row[Any]]:
    """The runs under way, by the store's account."""
    return list(connection.execute(_RUNNING))


def is_open(connection: Connection, task: str) -> bool:
    """Whether a run of the task waits or is under way; one that revises a draft doesn't count."""
    return connection.execute(_OPEN, {"task": task}).first() is not None


def recent(connection: Connection, task: str | None = None, limit: int = 20) -> list[Row[Any]]:
    """The newest runs first, each with its bill."""
    some = select(runs).where(runs.c.task == task) if task else select(runs)
    newest = some.order_by(runs.c.created.desc(), runs.c.id).limit(limit).subquery()
    cost = func.coalesce(func.sum(spending.c.cost_nano_usd), 0).label("cost")
    query = select(newest, cost).outerjoin(spending, spending.c.run == newest.c.id).group_by(newest.c.id)
    return list(connection.execute(query.order_by(newest.c.created.desc(), newest.c.id)))


def state(connection: Connection, task: str) -> dict[str, Any]:
    """What the task keeps in `run.state`; empty at first."""
    found = connection.execute(_STATE, {"task": task}).scalar()
    kept: dict[str, Any] = json.loads(found or "{}")
    return kept


def keep_state(tx: Transaction, task: str, value: dict[str, Any]) -> None:
    """Save what the task keeps, with the outcome it belongs to."""
    row = upsert(tasks).values(name=task, state=json.dumps(value))
    tx.connection.execute(
        row.on_conflict_do_update(index_elements=["name"], set_={"state": row.excluded.state})
    )


def answered(
    tx: Transaction, run: str, position: int, digest: str, question: dict[str, Any], answer: dict[str, Any]
) -> None:
    """Keep a Claude call that was paid for, so that it never is again."""
    row = upsert(calls).values(
        run=run,
        position=position,
        digest=digest,
        question=json.dumps(question),
        answer=json.dumps(answer),
        finished=stamp(tx.now),
    )
    changed = {name: row.excluded[name] for name in ("digest", "question", "answer", "finished")}
    tx.connection.execute(row.on_conflict_do_update(index_elements=["run", "position"], set_=changed))


def unfit(tx: Transaction, run: str, position: int) -> None:
    """Let a later attempt ask anew: the answer is paid for, and no use."""
    guard = (calls.c.run == run, calls.c.position == position)
    tx.connection.execute(update(calls).where(*guard).values(digest=""))


def call(connection: Connection, run: str, position: int) -> Row[Any] | None:
    """The run's Claude call at that position; None when it was not answered."""
    return connection.execute(select(calls).where(calls.c.run == run, calls.c.position == position)).first()


def spent(
    tx: Transaction,
    run: str,
    task: str,
    model: str,
    tokens: tuple[int, int],
    cost: Decimal | None,
    *,
    is_lower_bound: bool,
    label: str = "",
    cached: tuple[int, int] = (0, 0),
    saved: Decimal | None = None,
) -> None:
    """Put money on record; a cost of None is a price nobody knows.

    `tokens` are those in and out; `cached` those of the first that were read from the cache, and written to it.
    """
    tx.connection.execute(
        insert(spending).values(
            at=stamp(tx.now),
            run=run,
            task=task,
            model=model,
            input_tokens=tokens[0],
            output_tokens=tokens[1],
            cost_nano_usd=None if cost is None else int(cost * NANO),
            is_lower_bound=is_lower_bound,
            label=label,
            cache_read_tokens=cached[0],
            cache_write_tokens=cached[1],
            saved_nano_usd=None if saved is None else int(saved * NANO),
        )
    )


def bill(connection: Connection, run: str) -> tuple[Decimal, int, int]:
    """What a run cost so far: dollars, input tokens, output tokens."""
    nano, tokens_in, tokens_out = connection.execute(_BILL, {"run": run}).one()
    return Decimal(nano) / NANO, tokens_in, tokens_out


def models(connection: Connection, run: str) -> list[str]:
    """The models that a run asked, in the order of first asking."""
    return list(connection.execute(_MODELS, {"run": run}).scalars())


def costs(connection: Connection, since: datetime, *, by_day: bool = False) -> list[Row[Any]]:
    """What each task, or each day in UTC, spent since that instant: tasks dearest first, days in order."""
    columns = ("cost_nano_usd", "input_tokens", "output_tokens")
    sums = [func.coalesce(func.sum(spending.c[name]), 0).label(name) for name in columns]
    group = func.substr(spending.c.at, 1, 10).label("day") if by_day else spending.c.task
    query = select(group, func.count().label("calls"), *sums).where(spending.c.at >= stamp(since))
    return list(connection.execute(query.group_by(group).order_by(group if by_day else sums[0].desc())))
