"""Drafts and their revisions: each change of state is one guarded update, told in the same transaction."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Connection, Row, bindparam, delete, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from runner.clock import parse, stamp
from runner.draft import Kind, canonical, digest
from runner.errors import GoneError
from runner.gate import NEXT, OPEN, Held, State
from runner.store.decisions import decided
from runner.store.schema import drafts, kinds, revisions
from runner.store.schema import yeses as said_yes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, timedelta

    from runner.store.store import Transaction


AT_ONCE = 500  #: drafts that one query names
_SEEN = (
    "id",
    "task",
    "kind",
    "state",
    "revision",
    "digest",
    "expires",
    "revisions_left",
    "approved",
    "not_before",
)
# what is asked often is built once: building a query costs more than answering it
_GET = select(drafts).where(drafts.c.id == bindparam("draft"))
_HELD = select(*(drafts.c[name] for name in _SEEN))
_HELD_BY_ID = _HELD.where(drafts.c.id == bindparam("draft"))
_NEWEST = (
    select(revisions.c.content)
    .where(revisions.c.draft == bindparam("draft"))
    .order_by(revisions.c.number.desc())
    .limit(1)
)
_NUMBERED = _NEWEST.where(revisions.c.number == bindparam("number"))
_LAST_DELIVERED = (
    select(drafts.c.id)
    .where(drafts.c.task == bindparam("task"), drafts.c.kind == bindparam("kind"))
    .where(drafts.c.state == State.DELIVERED)
    .order_by(drafts.c.created.desc())
    .limit(1)
)
_KIND = (
    select(kinds.c.body)
    .join(drafts, (drafts.c.kind == kinds.c.name) & (drafts.c.source == kinds.c.source))
    .where(drafts.c.id == bindparam("draft"))
)
_MOVE = update(drafts).where(
    drafts.c.id == bindparam("draft"),
    drafts.c.state == bindparam("was"),
    drafts.c.revision == bindparam("then"),
)
_VOID = delete(said_yes).where(said_yes.c.draft == bindparam("draft"))
_LISTED = (
    select(drafts)
    .where(drafts.c.state.in_(bindparam("states", expanding=True)))
    .order_by(drafts.c.created, drafts.c.run, drafts.c.place)
    .limit(bindparam("most"))
)
_LISTED_OF = _LISTED.where(drafts.c.task == bindparam("task"))
_IDS = _LISTED.with_only_columns(drafts.c.id)
_ADD, _KEEP, _KNOW = insert(drafts), insert(revisions), upsert(kinds).on_conflict_do_nothing()


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a draft comes from."""

    task: str
    run: str
    place: int  #: its index among what the run returned
    call: int | None  #: position of the Claude call that wrote it; None: written by hand


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
        "remind": stamp(tx.now + expires / 2),
        "revisions_left": revisions_left,
    }
    tx.connection.execute(_ADD, row)
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
    seen = {"draft": held.id, "was": held.state, "then": held.revision}
    if not tx.connection.execute(_MOVE, {**seen, "state": state, **values}).rowcount:
        raise GoneError(f"draft {held.id} was decided elsewhere in this moment; look again")
    tx.connection.execute(_VOID, {"draft": held.id})  # whatever moves a draft voids them


def approve(tx: Transaction, held: Held, by: str, not_before: datetime | None = None) -> None:
    """Put a yes to the newest revision's digest on record."""
    hour = stamp(not_before) if not_before else None
    move(tx, held, State.APPROVED, approved=held.digest, approved_by=by, not_before=hour, note=None)
    decided(tx, held, "approve", by)
    tx.tell("draft.approved", draft=held.id, task=held.task, digest=held.digest, by=by, not_before=hour)


def same(connection: Connection, task: str, kind: Kind, fields: Mapping[str, Any]) -> str | None:
    """The task's pending draft that says exactly this; None when none does."""
    query = select(drafts.c.id).where(
        drafts.c.task == task,
        drafts.c.state == State.PENDING,
        drafts.c.kind == kind.name,
        drafts.c.source == kind.source,
    )
    waiting = connection.execute(query.order_by(drafts.c.created)).scalars()
    return next((each for each in waiting if fields_of(connection, each) == fields), None)


def get(connection: Connection, draft: str) -> Row[Any]:
    """A draft's row; raises `GoneError` when there is none."""
    row = connection.execute(_GET, {"draft": draft}).first()
    if row is None:
        raise GoneError(f"there is no draft {draft}")
    return row


def held(connection: Connection, draft: str) -> Held:
    """A draft as the gate sees it; raises `GoneError` when there is none."""
    found = connection.execute(_HELD_BY_ID, {"draft": draft}).first()
    if found is None:
        raise GoneError(f"there is no draft {draft}")
    return _as_held(found)


def find(connection: Connection, *which: ColumnElement[bool]) -> list[Held]:
    """The drafts that fit these conditions, as the gate sees them."""
    return [_as_held(row) for row in connection.execute(_HELD.where(*which))]


def content(connection: Connection, draft: str, number: int | None = None) -> bytes:
    """The canonical bytes of a revision; None is the newest."""
    query = _NEWEST if number is None else _NUMBERED
    found: bytes | None = connection.execute(query, {"draft": draft, "number": number}).scalar()
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
    query = _LISTED_OF if task else _LISTED
    return list(connection.execute(query, {"states": sorted(states), "task": task, "most": limit}))


def open_ids(connection: Connection) -> list[str]:
    """The ids alone of the drafts that ask for something yet, oldest first: half the work where there are thousands."""
    return list(connection.execute(_IDS, {"states": sorted(OPEN), "most": -1}).scalars())


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


def last_delivered(connection: Connection, task: str, kind: str) -> str | None:
    """The task's newest draft of that kind which was delivered; None when none was."""
    found: str | None = connection.execute(_LAST_DELIVERED, {"task": task, "kind": kind}).scalar()
    return found


def kind_of(connection: Connection, draft: str) -> Kind:
    """The kind of a draft's newest revision, as it was when the revision was made."""
    body = connection.execute(_KIND, {"draft": draft}).scalar_one()
    return Kind.model_validate_json(body)


def unrevise(tx: Transaction, draft: str, reason: str) -> None:
    """Return a draft whose revision came to nothing; one that is not being revised is left alone."""
    row = held(tx.connection, draft)
    if row.state is State.REVISING:
        move(tx, row, State.PENDING, note=reason)
        tx.tell("draft.returned", draft=draft, task=row.task, digest=row.digest, reason=reason)


def _as_held(row: Row[Any]) -> Held:
    return Held(
        id=row.id,
        task=row.task,
        kind=row.kind,
        state=State(row.state),
        revision=row.revision,
        digest=row.digest,
        expires=parse(row.expires),
        revisions_left=row.revisions_left,
        approved=row.approved,
        not_before=parse(row.not_before) if row.not_before else None,
    )


def _know(tx: Transaction, kind: Kind) -> None:
    row = {"name": kind.name, "source": kind.source, "body": kind.model_dump_json()}
    tx.connection.execute(_KNOW, row)


def _keep(tx: Transaction, draft: str, number: int, content: bytes, *, origin: str, by: str | None) -> None:
    row = {
        "draft": draft,
        "number": number,
        "content": content,
        "digest": digest(content),
        "origin": origin,
        "by": by,
        "created": stamp(tx.now),
    }
    tx.connection.execute(_KEEP, row)


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
