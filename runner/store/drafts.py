"""Drafts, their revisions and the decisions on them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, Select, func, insert, select, update

from runner.clock import parse, stamp
from runner.draft import Kind, canonical, digest
from runner.errors import GoneError
from runner.gate import NEXT, OPEN, Held, State
from runner.store.schema import decisions, drafts, revisions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, timedelta

    from runner.store.store import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a draft comes from."""

    task: str
    run: str
    place: int  #: its index among what the run returned
    call: int | None  #: position of the Claude call that wrote it; None: written by hand


@dataclass(frozen=True, slots=True)
class Lesson:
    """A decision on one of the task's drafts, and the reason given for it."""

    decision: str
    reason: str
    at: str
    draft: str


def add(
    tx: Transaction,
    draft: str,
    origin: Origin,
    kind: Kind,
    fields: Mapping[str, Any],
    expires: timedelta,
    revisions_left: int,
) -> None:
    """Put a draft before the gate, with its first revision."""
    content = canonical(draft=draft, revision=1, kind=kind, fields=fields)
    row = {
        "id": draft,
        "task": origin.task,
        "run": origin.run,
        "place": origin.place,
        "call": origin.call,
        "kind": kind.name,
        "state": State.PENDING,
        "revision": 1,
        "digest": digest(content),
        "created": stamp(tx.now),
        "expires": stamp(tx.now + expires),
        "revisions_left": revisions_left,
    }
    tx.connection.execute(insert(drafts).values(row))
    _keep(tx, draft, 1, content, origin="run", by=None)
    _tell(tx, "draft.pending", row, content, expires=row["expires"])


def revise(
    tx: Transaction,
    held: Held,
    kind: Kind,
    fields: Mapping[str, Any],
    *,
    origin: str,
    by: str | None = None,
    event: str,
    **details: Any,
) -> str:
    """Give a draft a new revision, pending; the digest of it. Every approval and card of the old one is void."""
    number = held.revision + 1
    content = canonical(draft=held.id, revision=number, kind=kind, fields=fields)
    move(tx, held, State.PENDING, revision=number, digest=digest(content))
    _keep(tx, held.id, number, content, origin=origin, by=by)
    row = get(tx.connection, held.id)
    _tell(tx, event, row._mapping, content, by=by, **details)  # noqa: SLF001 - the documented name of a row's mapping
    return digest(content)


def move(tx: Transaction, held: Held, state: State, **values: Any) -> None:
    """Change a draft's state, if it still is what `held` says; raises `GoneError` when somebody was faster."""
    assert state in NEXT[held.state], f"{held.state} never becomes {state}"
    if state is State.PENDING:
        values = {"approved": None, "approved_by": None, "not_before": None, **values}
    guard = (drafts.c.id == held.id, drafts.c.state == held.state, drafts.c.revision == held.revision)
    if not tx.connection.execute(update(drafts).where(*guard).values(state=state, **values)).rowcount:
        raise GoneError(f"draft {held.id} was decided elsewhere in this moment; look again")


def decided(tx: Transaction, held: Held, decision: str, by: str, reason: str = "") -> None:
    """Keep who decided what, and why."""
    task = get(tx.connection, held.id).task
    row = {
        "draft": held.id,
        "task": task,
        "digest": held.digest,
        "decision": decision,
        "by": by,
        "reason": reason,
    }
    tx.connection.execute(insert(decisions).values(at=stamp(tx.now), **row))


def give_back(tx: Transaction, reason: str, *, before: str | None = None) -> int:
    """Return approved drafts to pending, each with the reason; how many.

    `before`: only those that expire at that instant or earlier; None is all of them.
    """
    query = _held().where(drafts.c.state == State.APPROVED)
    if before:
        query = query.where(drafts.c.expires <= before)
    rows = tx.connection.execute(query).all()
    for row in rows:
        move(tx, _as_held(row), State.PENDING, note=reason)
        tx.tell("draft.returned", draft=row.id, task=row.task, digest=row.digest, reason=reason)
    return len(rows)


def expire(tx: Transaction) -> int:
    """End what waited too long, approved or not; how many."""
    now = stamp(tx.now)
    give_back(tx, "it expired before it was delivered", before=now)
    rows = tx.connection.execute(
        _held().where(drafts.c.state == State.PENDING, drafts.c.expires <= now)
    ).all()
    for row in rows:
        move(tx, _as_held(row), State.EXPIRED, note="nobody decided in time")
        tx.tell("draft.expired", draft=row.id, task=row.task, digest=row.digest)
    return len(rows)


def get(connection: Connection, draft: str) -> Row[Any]:
    """A draft's row; raises `GoneError` when there is none."""
    row = connection.execute(select(drafts).where(drafts.c.id == draft)).first()
    if row is None:
        raise GoneError(f"there is no draft {draft}")
    return row


def held(connection: Connection, draft: str) -> Held:
    """A draft as the gate sees it; raises `GoneError` when there is none."""
    row = connection.execute(_held().where(drafts.c.id == draft)).first()
    if row is None:
        raise GoneError(f"there is no draft {draft}")
    return _as_held(row)


def content(connection: Connection, draft: str, number: int | None = None) -> bytes:
    """The canonical bytes of a revision; None is the newest."""
    query = select(revisions.c.content).where(revisions.c.draft == draft).order_by(revisions.c.number.desc())
    if number is not None:
        query = query.where(revisions.c.number == number)
    found: bytes | None = connection.execute(query.limit(1)).scalar()
    if found is None:
        raise GoneError(f"there is no revision {number} of draft {draft}")
    return found


def fields_of(connection: Connection, draft: str, number: int | None = None) -> dict[str, Any]:
    """The fields of a revision; None is the newest."""
    fields: dict[str, Any] = json.loads(content(connection, draft, number))["fields"]
    return fields


def resolve(connection: Connection, prefix: str) -> str:
    """The one draft whose id begins so; raises `GoneError` when there is none or more than one."""
    found = (
        connection.execute(
            select(drafts.c.id).where(drafts.c.id.startswith(prefix, autoescape=True)).limit(3)
        )
        .scalars()
        .all()
    )
    return only(found, "draft", prefix)


def only(found: Sequence[str], what: str, prefix: str) -> str:
    """The one id found; raises `GoneError` with the candidates otherwise."""
    if len(found) == 1 and prefix:
        return found[0]
    if found:
        raise GoneError(
            f"{prefix!r} begins the id of more than one {what}: {', '.join(found)}…; write more of it"
        )
    raise GoneError(f"there is no {what} {prefix!r}")


def listed(
    connection: Connection, states: frozenset[State] = OPEN, task: str | None = None, limit: int = -1
) -> list[Row[Any]]:
    """The drafts in those states, oldest first; `limit` -1 is all."""
    query = select(drafts).where(drafts.c.state.in_(states)).order_by(drafts.c.created, drafts.c.id)
    if task:
        query = query.where(drafts.c.task == task)
    return list(connection.execute(query.limit(limit) if limit >= 0 else query))


def waiting(connection: Connection, task: str) -> int:
    """How many of the task's drafts wait for their owner."""
    states = (State.PENDING, State.REVISING, State.UNCERTAIN)
    query = select(func.count()).select_from(drafts).where(drafts.c.task == task, drafts.c.state.in_(states))
    return connection.execute(query).scalar_one()


def lessons(connection: Connection, task: str, limit: int = 5) -> list[Lesson]:
    """The last decisions on the task's drafts, newest first."""
    query = select(decisions.c.decision, decisions.c.reason, decisions.c.at, decisions.c.draft)
    query = query.where(decisions.c.task == task).order_by(decisions.c.id.desc()).limit(limit)
    return [Lesson(*row) for row in connection.execute(query)]


def due(connection: Connection, now: datetime) -> list[str]:
    """The approved drafts whose hour has come, in the order of their approval's making."""
    query = select(drafts.c.id).where(drafts.c.state == State.APPROVED).order_by(drafts.c.created)
    hour = func.coalesce(drafts.c.not_before, "") <= stamp(now)
    return list(connection.execute(query.where(hour)).scalars())


def next_hour(connection: Connection, now: datetime) -> datetime | None:
    """When the next approved draft or expiry wants attention; None when nothing waits."""
    approved = select(func.min(drafts.c.not_before)).where(
        drafts.c.state == State.APPROVED, drafts.c.not_before > stamp(now)
    )
    expiring = select(func.min(drafts.c.expires)).where(drafts.c.state.in_((State.PENDING, State.APPROVED)))
    found = [
        at for at in (connection.execute(approved).scalar(), connection.execute(expiring).scalar()) if at
    ]
    return parse(min(found)) if found else None


def _held() -> Select[Any]:
    columns = (
        "id",
        "task",
        "state",
        "revision",
        "digest",
        "expires",
        "revisions_left",
        "approved",
        "not_before",
    )
    return select(*(drafts.c[name] for name in columns))


def _as_held(row: Row[Any]) -> Held:
    return Held(
        id=row.id,
        state=State(row.state),
        revision=row.revision,
        digest=row.digest,
        expires=parse(row.expires),
        revisions_left=row.revisions_left,
        approved=row.approved,
        not_before=parse(row.not_before) if row.not_before else None,
    )


def _keep(tx: Transaction, draft: str, number: int, content: bytes, *, origin: str, by: str | None) -> None:
    row = {
        "draft": draft,
        "number": number,
        "content": content,
        "digest": digest(content),
        "origin": origin,
        "by": by,
    }
    tx.connection.execute(insert(revisions).values(created=stamp(tx.now), **row))


def _tell(tx: Transaction, event: str, row: Mapping[Any, Any], content: bytes, **details: Any) -> None:
    body = json.loads(content)
    shown = {name: row[name] for name in ("task", "run", "kind")}
    number = body["revision"]
    tx.tell(
        event,
        draft=row["id"],
        revision=number,
        digest=digest(content),
        fields=body["fields"],
        **shown,
        **details,
    )
