"""Questions that wait for Claude's batches, and the runs that are parked for them."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, bindparam, func, insert, or_, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from runner.clock import stamp
from runner.store.runs import NANO, OPEN
from runner.store.schema import batches, runs
from runner.store.schema import given as answers

if TYPE_CHECKING:
    from datetime import datetime

    from runner.store.store import Transaction

CANCEL = timedelta(
    minutes=10
)  #: how long a cancelled batch may take to end before its run goes on without it
LOST_HELD = timedelta(days=1)  #: how long a batch that may have arrived counts as if it had


class State(StrEnum):
    """Where a question is on its way through a batch."""

    WANTED = "wanted"  #: not handed over yet
    ASKING = "asking"  #: being handed over: committed before that begins
    OPEN = "open"  #: taken by the API, not ended
    CANCELING = "canceling"  #: taken, and asked to be no more
    ANSWERED = "answered"
    REFUSED = "refused"  #: asking again would only repeat it
    FAILED = "failed"  #: to be asked directly
    LOST = "lost"  #: whether the API took it can't be told
    DROPPED = "dropped"  #: never handed over, and no longer wanted


LIVE = (State.WANTED, State.ASKING, State.OPEN, State.CANCELING)

# what each turn and start asks is built once: building a query costs more than answering it
_LIVE = (
    select(batches, runs.c.status.in_(OPEN).label("is_wanted"))
    .join(runs, runs.c.id == batches.c.run)
    .where(batches.c.state.in_(LIVE))
    .order_by(batches.c.id)
)
_WAITED_FOR = select(batches.c.id).where(
    batches.c.run == runs.c.id, batches.c.state.in_(LIVE), batches.c.until > bindparam("patient")
)
_CAN_GO_ON = (runs.c.status == "queued", runs.c.parked.is_not(None), ~_WAITED_FOR.exists())
_GO_ON = update(runs).where(*_CAN_GO_ON).values(parked=None)


def want(
    tx: Transaction,
    about: dict[str, str],
    position: int,
    question: dict[str, Any],
    bound: Decimal,
    until: datetime,
) -> None:
    """Note a question for a batch; `about` is its run, task, label and digest."""
    nano = int((bound * NANO).to_integral_value(rounding="ROUND_CEILING"))
    row = {
        "question": json.dumps(question),
        "bound_nano_usd": nano,
        "until": stamp(until),
        "position": position,
        **about,
    }
    tx.connection.execute(insert(batches).values(state=State.WANTED, created=stamp(tx.now), **row))


def again(tx: Transaction, row: Row[Any]) -> None:
    """Note the question of a batch once more."""
    same = ("run", "task", "label", "position", "digest", "question", "bound_nano_usd", "until")
    values = {name: getattr(row, name) for name in same}
    tx.connection.execute(insert(batches).values(state=State.WANTED, created=stamp(tx.now), **values))


def move(tx: Transaction, row: Row[Any], state: State, **values: Any) -> bool:
    """Change a batch's state; False when it is no longer what the row says."""
    guard = (batches.c.id == row.id, batches.c.state == row.state)
    return bool(tx.connection.execute(update(batches).where(*guard).values(state=state, **values)).rowcount)


def newest(connection: Connection, run: str, position: int) -> Row[Any] | None:
    """The last batch for that question of a run; None when there was none."""
    query = select(batches).where(batches.c.run == run, batches.c.position == position)
    return connection.execute(query.order_by(batches.c.id.desc()).limit(1)).first()


def live(connection: Connection) -> list[Row[Any]]:
    """Those that are under way, oldest first, each with whether its run is (`is_wanted`)."""
    return list(connection.execute(_LIVE))


def count_lost(connection: Connection, run: str, position: int) -> int:
    """How many batches for that question were lost."""
    query = select(func.count()).where(batches.c.run == run, batches.c.position == position)
    return connection.execute(query.where(batches.c.state == State.LOST)).scalar_one()


def held(
    connection: Connection,
    now: datetime,
    *,
    run: str | None = None,
    task: str | None = None,
    label: str | None = None,
) -> Decimal:
    """The most that what is under way may still cost, and what was lost may have: of all, or of these alone."""
    lately = (batches.c.state == State.LOST) & (batches.c.created > stamp(now - LOST_HELD))
    query = select(func.coalesce(func.sum(batches.c.bound_nano_usd), 0)).where(
        or_(batches.c.state.in_(LIVE), lately)
    )
    for column, value in ((batches.c.run, run), (batches.c.task, task), (batches.c.label, label)):
        if value is not None:
            query = query.where(column == value)
    return Decimal(connection.execute(query).scalar_one()) / NANO


def park(tx: Transaction, run: str) -> bool:
    """Let a running run wait for its batches, which is no attempt; False when it is not running."""
    values = {"status": "queued", "attempt": runs.c.attempt - 1, "started": None, "parked": stamp(tx.now)}
    guard = (runs.c.id == run, runs.c.status == "running")
    if not tx.connection.execute(update(runs).where(*guard).values(values)).rowcount:
        return False
    task = tx.connection.execute(select(runs.c.task).where(runs.c.id == run)).scalar_one()
    tx.tell("run.parked", run=run, task=task)
    go_on(tx)
    return True


def can_go_on(connection: Connection, now: datetime) -> bool:
    """Whether there are parked runs that wait for nothing more."""
    query = select(runs.c.id).where(*_CAN_GO_ON).limit(1)
    return connection.execute(query, {"patient": stamp(now - CANCEL)}).first() is not None


def go_on(tx: Transaction) -> None:
    """Let those parked runs go on that wait for nothing more."""
    tx.connection.execute(_GO_ON, {"patient": stamp(tx.now - CANCEL)})


def given(connection: Connection, run: str, asked: str, nth: int) -> Any:
    """What the run was given when it asked for that the nth time; None when it was not."""
    query = select(answers.c.answer).where(
        answers.c.run == run, answers.c.asked == asked, answers.c.nth == nth
    )
    found = connection.execute(query).scalar()
    return None if found is None else json.loads(found)


def give(tx: Transaction, run: str, asked: str, nth: int, answer: Any) -> None:
    """Keep what the run was given, so that it is given the same when it goes on."""
    row = upsert(answers).values(run=run, asked=asked, nth=nth, answer=json.dumps(answer))
    tx.connection.execute(row.on_conflict_do_nothing())
