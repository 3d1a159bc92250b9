"""Who decided what on which digest, and why; and the yeses that wait for another person's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, bindparam, delete, insert, select

from runner.clock import stamp
from runner.store.schema import decisions
from runner.store.schema import yeses as said_yes

if TYPE_CHECKING:
    from runner.gate import Held
    from runner.store.store import Transaction

# asked at each start of a run: building a query costs more than answering it
_LESSONS = (
    select(decisions.c.decision, decisions.c.reason, decisions.c.at, decisions.c.draft)
    .where(decisions.c.task == bindparam("task"))
    .order_by(decisions.c.id.desc())
    .limit(bindparam("most"))
)
_DECIDED = insert(decisions)
_LAST = (
    select(decisions).where(decisions.c.draft == bindparam("draft")).order_by(decisions.c.id.desc()).limit(1)
)
_YESES = (
    select(said_yes.c.by)
    .where(said_yes.c.draft == bindparam("draft"), said_yes.c.digest == bindparam("digest"))
    .order_by(said_yes.c.at)
)


@dataclass(frozen=True, slots=True)
class Lesson:
    """A decision on one of the task's drafts and the reason given for it, or an answer to what the task asked."""

    decision: str  #: "answer" for an answer
    reason: str  #: or what was answered
    at: str
    draft: str
    question: str = ""  #: that was answered


def decided(tx: Transaction, held: Held, decision: str, by: str, reason: str = "") -> None:
    """Keep who decided what, and why."""
    row = {
        "draft": held.id,
        "task": held.task,
        "digest": held.digest,
        "decision": decision,
        "by": by,
        "reason": reason,
        "at": stamp(tx.now),
    }
    tx.connection.execute(_DECIDED, row)


def endorse(tx: Transaction, held: Held, by: str) -> None:
    """Put one person's yes on record, where another's is needed too."""
    row = {"draft": held.id, "digest": held.digest, "by": by, "at": stamp(tx.now)}
    tx.connection.execute(insert(said_yes).values(**row))
    decided(tx, held, "endorse", by)
    tx.tell("draft.endorsed", draft=held.id, task=held.task, digest=held.digest, by=by)


def yeses(connection: Connection, held: Held) -> tuple[str, ...]:
    """Who said yes to exactly what the draft holds now, in order."""
    exactly = {"draft": held.id, "digest": held.digest}
    return tuple(connection.execute(_YESES, exactly).scalars())


def void_yeses(tx: Transaction) -> None:
    """Forget each yes that still waits for another person's."""
    tx.connection.execute(delete(said_yes))


def lessons(connection: Connection, task: str, limit: int = 5) -> list[Lesson]:
    """The last decisions on the task's drafts, newest first."""
    found = connection.execute(_LESSONS, {"task": task, "most": limit})
    return [Lesson(*row) for row in found]


def last_decision(connection: Connection, draft: str) -> Row[Any] | None:
    """The newest decision on a draft; None when there was none."""
    return connection.execute(_LAST, {"draft": draft}).first()
