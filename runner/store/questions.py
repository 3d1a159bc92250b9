"""What tasks asked their owner, and what the owner answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Column, Connection, Index, Row, Table, Text, bindparam, func, insert, select, update

from runner.clock import stamp
from runner.store.decisions import Lesson
from runner.store.drafts import only
from runner.store.schema import METADATA

if TYPE_CHECKING:
    from runner.store.store import Transaction

questions = Table(
    "questions",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("task", Text, nullable=False),
    Column("run", Text, nullable=False),
    Column("question", Text, nullable=False),
    Column("asked", Text, nullable=False),
    Column("answer", Text),  #: NULL: it waits
    Column("answered", Text),
    Column("by", Text),
)
Index("questions_by_task", questions.c.task, questions.c.answered)

# asked at each start of a run: building a query costs more than answering it
_ANSWERS = (
    select(questions.c.answer, questions.c.answered, questions.c.question)
    .where(questions.c.task == bindparam("task"), questions.c.answered.is_not(None))
    .order_by(questions.c.answered.desc())
    .limit(bindparam("most"))
)


def ask(tx: Transaction, number: str, task: str, run: str, question: str) -> str:
    """Keep a question by that id; the id of the same one where it waits already."""
    same = (questions.c.task == task, questions.c.question == question, questions.c.answer.is_(None))
    waits: str | None = tx.connection.execute(select(questions.c.id).where(*same)).scalar()
    if waits is not None:
        return waits
    row = {"id": number, "task": task, "run": run, "question": question, "asked": stamp(tx.now)}
    tx.connection.execute(insert(questions).values(**row))
    return number


def answer(tx: Transaction, number: str, text: str, by: str) -> bool:
    """Keep the first answer to a question, and tell of it; False when there was one already."""
    waits = (questions.c.id == number, questions.c.answer.is_(None))
    values = {"answer": text, "answered": stamp(tx.now), "by": by}
    if not tx.connection.execute(update(questions).where(*waits).values(**values)).rowcount:
        return False
    row = get(tx.connection, number)
    tx.tell("question.answered", question=number, task=row.task, asked=row.question, answer=text, by=by)
    return True


def get(connection: Connection, number: str) -> Row[Any]:
    """A question's row."""
    return connection.execute(select(questions).where(questions.c.id == number)).one()


def resolve(connection: Connection, prefix: str) -> str:
    """The one question whose id begins so; raises `GoneError` when there is none or more than one."""
    query = select(questions.c.id).where(questions.c.id.startswith(prefix, autoescape=True)).limit(3)
    return only(connection.execute(query).scalars().all(), "question", prefix)


def waiting(connection: Connection) -> list[Row[Any]]:
    """The questions without an answer, oldest first."""
    query = select(questions).where(questions.c.answer.is_(None))
    return list(connection.execute(query.order_by(questions.c.asked, questions.c.id)))


def count(connection: Connection) -> int:
    """How many wait for an answer."""
    query = select(func.count()).select_from(questions).where(questions.c.answer.is_(None))
    return int(connection.execute(query).scalar_one())


def lessons(connection: Connection, task: str, limit: int) -> list[Lesson]:
    """What the owner answered the task, newest first."""
    found = connection.execute(_ANSWERS, {"task": task, "most": limit})
    return [Lesson("answer", row.answer, row.answered, "", row.question) for row in found]
