"""Deliveries: the intent of each attempt, durable before it begins, and what became of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, bindparam, insert, select, update

from runner.clock import stamp
from runner.store import drafts
from runner.store.schema import deliveries

if TYPE_CHECKING:
    from runner.gate import Held, State
    from runner.store.store import Transaction
# what each delivery asks is built once: building a query costs more than answering it
_BEGIN = insert(deliveries)
_IS_OPEN = deliveries.c.outcome.is_(None) | (deliveries.c.outcome == "uncertain")
_END = update(deliveries).where(deliveries.c.id == bindparam("number"), _IS_OPEN)
_LAST = (
    select(deliveries)
    .where(deliveries.c.draft == bindparam("draft"))
    .order_by(deliveries.c.id.desc())
    .limit(1)
)


def begin(tx: Transaction, held: Held, key: str, **details: Any) -> int:
    """Put an attempt's intent on record; its number."""
    row = {"draft": held.id, "key": key, "digest": held.digest, "started": stamp(tx.now)}
    done = tx.connection.execute(_BEGIN, row)
    assert done.inserted_primary_key is not None
    task = drafts.get(tx.connection, held.id).task
    tx.tell("delivery.started", draft=held.id, task=task, digest=held.digest, key=key, **details)
    return int(done.inserted_primary_key[0])


def end(tx: Transaction, number: int, outcome: str, receipt: dict[str, Any] | None = None) -> None:
    """Put the outcome of an attempt on record; it is kept only once."""
    values = {
        "number": number,
        "finished": stamp(tx.now),
        "outcome": outcome,
        "receipt": json.dumps(receipt) if receipt else None,
    }
    tx.connection.execute(_END, values)


def conclude(
    tx: Transaction,
    held: Held,
    number: int,
    state: State,
    *,
    note: str = "",
    receipt: dict[str, Any] | None = None,
) -> None:
    """Move a draft to what its delivery came to, with the event that tells of it."""
    drafts.move(tx, held, state, note=note or None)
    end(tx, number, state, receipt)
    row = drafts.get(tx.connection, held.id)
    tx.tell(
        f"delivery.{state}",
        level="info" if state == "delivered" else "error",
        draft=held.id,
        task=row.task,
        kind=row.kind,
        digest=held.digest,
        reason=note or None,
        receipt=receipt,
    )


def last(connection: Connection, draft: str) -> Row[Any] | None:
    """The newest attempt of a draft; None when there was none."""
    return connection.execute(_LAST, {"draft": draft}).first()


def of(connection: Connection, draft: str) -> list[Row[Any]]:
    """Every attempt of a draft, oldest first."""
    return list(
        connection.execute(select(deliveries).where(deliveries.c.draft == draft).order_by(deliveries.c.id))
    )
