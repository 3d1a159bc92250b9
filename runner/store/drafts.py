"""Drafts, their revisions and the decisions on them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, Select, bindparam, delete, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from runner.clock import parse, stamp
from runner.draft import Kind, canonical, digest
from runner.errors import GoneError
from runner.gate import NEXT, OPEN, Held, State
from runner.store.schema import decisions, drafts, kinds, revisions
from runner.store.schema import yeses as said_yes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, timedelta

    from runner.store.store import Transaction


AT_ONCE = 500  #: drafts that one query names
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
)
_LESSONS = (
    select(decisions.c.decision, decisions.c.reason, decisions.c.at, decisions.c.draft)
    .where(decisions.c.task == bindparam("task"))
    .order_by(decisions.c.id.desc())
    .limit(bindparam("most"))
)


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
        "source": kind.source,
        "state": State.PENDING,
        "revision": 1,
        "digest": digest(content),
        "created": stamp(tx.now),
        "expires": stamp(tx.now + expires),
        "revisions_left": revisions_left,
    }
    tx.connection.execute(insert(drafts).values(row))
    _know(tx, kind)
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
    move(tx, held, State.PENDING, revision=number, digest=digest(content), source=kind.source, note=None)
    _know(tx, kind)
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
    tx.connection.execute(
        delete(said_yes).where(said_yes.c.draft == held.id)
    )  # whatever moves a draft voids them


def endorse(tx: Transaction, held: Held, by: str) -> None:
    """Put one person's yes on record, where another's is needed too."""
    row = {"draft": held.id, "digest": held.digest, "by": by, "at": stamp(tx.now)}
    tx.connection.execute(insert(said_yes).values(**row))
    decided(tx, held, "endorse", by)
    tx.tell("draft.endorsed", draft=held.id, task=_task(tx, held.id), digest=held.digest, by=by)


def yeses(connection: Connection, held: Held) -> tuple[str, ...]:
    """Who said yes to exactly what the draft holds now, in order."""
    query = select(said_yes.c.by).where(said_yes.c.draft == held.id, said_yes.c.digest == held.digest)
    return tuple(connection.execute(query.order_by(said_yes.c.at)).scalars())


def void_yeses(tx: Transaction) -> None:
    """Forget each yes that still waits for another person's."""
    tx.connection.execute(delete(said_yes))


def approve(tx: Transaction, held: Held, by: str, not_before: datetime | None = None) -> None:
    """Put a yes to the newest revision's digest on record."""
    hour = stamp(not_before) if not_before else None
    move(tx, held, State.APPROVED, approved=held.digest, approved_by=by, not_before=hour, note=None)
    decided(tx, held, "approve", by)
    tx.tell(
        "draft.approved", draft=held.id, task=_task(tx, held.id), digest=held.digest, by=by, not_before=hour
    )


def _task(tx: Transaction, draft: str) -> str:
    return str(get(tx.connection, draft).task)


def decided(tx: Transaction, held: Held, decision: str, by: str, reason: str = "") -> None:
    """Keep who decided what, and why."""
    row = {
        "draft": held.id,
        "task": _task(tx, held.id),
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
    query = (
        select(drafts)
        .where(drafts.c.state.in_(states))
        .order_by(drafts.c.created, drafts.c.run, drafts.c.place)
    )
    if task:
        query = query.where(drafts.c.task == task)
    return list(connection.execute(query.limit(limit) if limit >= 0 else query))


def of_run(connection: Connection, run: str) -> list[Row[Any]]:
    """The drafts that a run made."""
    return list(connection.execute(select(drafts).where(drafts.c.run == run).order_by(drafts.c.place)))


def contents(connection: Connection, found: Sequence[Row[Any]]) -> dict[str, dict[str, Any]]:
    """The fields of the newest revision of each of these drafts, by draft; many are asked for at once."""
    fields = {}
    for start in range(0, len(found), AT_ONCE):
        ids = [row.id for row in found[start : start + AT_ONCE]]
        query = select(drafts.c.id, revisions.c.content).join(
            revisions, (revisions.c.draft == drafts.c.id) & (revisions.c.number == drafts.c.revision)
        )
        for draft, content in connection.execute(query.where(drafts.c.id.in_(ids))):
            fields[draft] = json.loads(content)["fields"]
    return fields


def waiting(connection: Connection, task: str) -> int:
    """How many of the task's drafts wait for their owner."""
    states = (State.PENDING, State.REVISING, State.UNCERTAIN)
    query = select(func.count()).select_from(drafts).where(drafts.c.task == task, drafts.c.state.in_(states))
    return connection.execute(query).scalar_one()


def lessons(connection: Connection, task: str, limit: int = 5) -> list[Lesson]:
    """The last decisions on the task's drafts, newest first."""
    found = connection.execute(_LESSONS, {"task": task, "most": limit})
    return [Lesson(*row) for row in found]


def last_decision(connection: Connection, draft: str) -> Row[Any] | None:
    """The newest decision on a draft; None when there was none."""
    query = select(decisions).where(decisions.c.draft == draft).order_by(decisions.c.id.desc())
    return connection.execute(query.limit(1)).first()


def last_delivered(connection: Connection, task: str, kind: str) -> str | None:
    """The task's newest draft of that kind which was delivered; None when none was."""
    query = select(drafts.c.id).where(
        drafts.c.task == task, drafts.c.kind == kind, drafts.c.state == State.DELIVERED
    )
    found: str | None = connection.execute(query.order_by(drafts.c.created.desc()).limit(1)).scalar()
    return found


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


def kind_of(connection: Connection, draft: str) -> Kind:
    """The kind of a draft's newest revision, as it was when the revision was made."""
    query = select(kinds.c.body).join(
        drafts, (drafts.c.kind == kinds.c.name) & (drafts.c.source == kinds.c.source)
    )
    body = connection.execute(query.where(drafts.c.id == draft)).scalar_one()
    return Kind.model_validate_json(body)


def kinds_waiting(connection: Connection) -> list[Kind]:
    """The kinds, each as its code was, of the drafts that wait for a yes or for their delivery."""
    named = select(drafts.c.kind, drafts.c.source).where(drafts.c.state.in_(WAITING)).distinct().subquery()
    query = select(kinds.c.body).join(
        named, (named.c.kind == kinds.c.name) & (named.c.source == kinds.c.source)
    )
    return [Kind.model_validate_json(body) for body in connection.execute(query).scalars()]


def waiting_for(connection: Connection, kind: Kind) -> list[str]:
    """The drafts of that kind, as its code was, that wait for a yes or for their delivery."""
    query = select(drafts.c.id).where(drafts.c.state.in_(WAITING))
    return list(
        connection.execute(query.where(drafts.c.kind == kind.name, drafts.c.source == kind.source)).scalars()
    )


def unrevise(tx: Transaction, draft: str, reason: str) -> None:
    """Return a draft whose revision came to nothing; one that is not being revised is left alone."""
    row = held(tx.connection, draft)
    if row.state is State.REVISING:
        move(tx, row, State.PENDING, note=reason)
        tx.tell("draft.returned", draft=draft, digest=row.digest, reason=reason)


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


def _know(tx: Transaction, kind: Kind) -> None:
    row = upsert(kinds).values(name=kind.name, source=kind.source, body=kind.model_dump_json())
    tx.connection.execute(row.on_conflict_do_nothing())


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
