"""What waits: for a yes, for its hour, or no longer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Connection, bindparam, func, select, update

from runner.clock import parse, stamp
from runner.draft import Kind
from runner.gate import State
from runner.store.drafts import find, move
from runner.store.schema import drafts, kinds

if TYPE_CHECKING:
    from datetime import datetime

    from runner.store.store import Transaction

ASKING = (State.PENDING, State.REVISING, State.UNCERTAIN)  #: what takes its owner's attention
WAITING = (State.PENDING, State.APPROVED)  #: what a change of the kind's code concerns


# what is asked at each look around is built once: building a query costs more than answering it
_DUE = (
    select(drafts.c.id)
    .where(drafts.c.state == State.APPROVED, func.coalesce(drafts.c.not_before, "") <= bindparam("now"))
    .order_by(drafts.c.created, drafts.c.place)
)
_LATER = (drafts.c.state == State.APPROVED) & (drafts.c.not_before > bindparam("now"))
_HOURS = select(
    select(func.min(drafts.c.not_before)).where(_LATER).scalar_subquery(),
    *(
        select(func.min(drafts.c.expires)).where(drafts.c.state == state).scalar_subquery()
        for state in WAITING
    ),
    select(func.min(drafts.c.remind)).where(drafts.c.state == State.PENDING).scalar_subquery(),
)
_COUNT = (
    select(func.count())
    .select_from(drafts)
    .where(drafts.c.task == bindparam("task"), drafts.c.state.in_(ASKING))
)
_NAMED = select(drafts.c.kind, drafts.c.source).where(drafts.c.state.in_(WAITING)).distinct().subquery()
_KINDS = select(kinds.c.body).join(
    _NAMED, (_NAMED.c.kind == kinds.c.name) & (_NAMED.c.source == kinds.c.source)
)
LAST_CALL = 0.9  #: of a draft's life, at which its owner is reminded for the second and last time


def count(connection: Connection, task: str) -> int:
    """How many of the task's drafts wait for their owner."""
    return connection.execute(_COUNT, {"task": task}).scalar_one()


def due(connection: Connection, now: datetime) -> list[str]:
    """The approved drafts whose hour has come, in the order of their approval's making."""
    return list(connection.execute(_DUE, {"now": stamp(now)}).scalars())


def hours_taken(connection: Connection) -> set[str]:
    """The hours that approved drafts wait for."""
    query = select(drafts.c.not_before).where(
        drafts.c.state == State.APPROVED, drafts.c.not_before.is_not(None)
    )
    return set(connection.execute(query).scalars())


def next_hour(connection: Connection, now: datetime) -> datetime | None:
    """When the next approved draft or expiry wants attention; None when nothing waits."""
    found = [hour for hour in connection.execute(_HOURS, {"now": stamp(now)}).one() if hour]
    return parse(min(found)) if found else None


def kinds_of(connection: Connection) -> list[Kind]:
    """The kinds, each as its code was, of the drafts that wait for a yes or for their delivery."""
    return [Kind.model_validate_json(body) for body in connection.execute(_KINDS).scalars()]


def of_kind(connection: Connection, kind: Kind) -> list[str]:
    """The drafts of that kind, as its code was, that wait for a yes or for their delivery."""
    query = select(drafts.c.id).where(drafts.c.state.in_(WAITING))
    return list(
        connection.execute(query.where(drafts.c.kind == kind.name, drafts.c.source == kind.source)).scalars()
    )


def adds_to_pile(connection: Connection, task: str, most: int) -> bool:
    """Whether so many drafts of all tasks wait, and this is a task that makes some."""
    made = select(drafts.c.id).where(drafts.c.task == task).limit(1)
    query = select(func.count()).select_from(drafts).where(drafts.c.state.in_(ASKING))
    return connection.execute(query).scalar_one() >= most and connection.execute(made).first() is not None


def remind(tx: Transaction) -> int:
    """Tell of each draft that has waited for half its life, or nearly all of it; how many."""
    columns = (drafts.c.id, drafts.c.task, drafts.c.kind, drafts.c.created, drafts.c.expires)
    is_due = (drafts.c.state == State.PENDING, drafts.c.remind <= stamp(tx.now))
    found = tx.connection.execute(select(*columns).where(*is_due)).all()
    for row in found:
        begun, ends = parse(row.created), parse(row.expires)
        last = begun + (ends - begun) * LAST_CALL
        following = stamp(last) if last > tx.now else None
        tx.connection.execute(update(drafts).where(drafts.c.id == row.id).values(remind=following))
        about = {"draft": row.id, "task": row.task, "kind": row.kind}
        tx.tell("draft.waiting", level="warning", since=row.created, expires=row.expires, **about)
    return len(found)


def give_back(tx: Transaction, reason: str, *, before: str | None = None) -> int:
    """Return approved drafts to pending, each with the reason; how many.

    `before`: only those that expire at that instant or earlier; None is all of them.
    """
    late = (drafts.c.expires <= before,) if before else ()
    found = find(tx.connection, drafts.c.state == State.APPROVED, *late)
    for held in found:
        move(tx, held, State.PENDING, note=reason)
        tx.tell("draft.returned", draft=held.id, task=held.task, digest=held.digest, reason=reason)
    return len(found)


def expire(tx: Transaction) -> int:
    """End what waited too long, approved or not; how many."""
    now = stamp(tx.now)
    give_back(tx, "it expired before it was delivered", before=now)
    found = find(tx.connection, drafts.c.state == State.PENDING, drafts.c.expires <= now)
    for held in found:
        move(tx, held, State.EXPIRED, note="nobody decided in time")
        tx.tell("draft.expired", draft=held.id, task=held.task, digest=held.digest)
    return len(found)
