"""The owner's answers to what tasks asked. A run never waits for one: it is told to the task's next runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.errors import DecisionError, StoppedError
from runner.stop import Door
from runner.store import questions, stops

if TYPE_CHECKING:
    from runner.stop import Stop
    from runner.store.store import Store

ANSWER_MAX = 4_096  #: characters, as many as a message on the phone may have


def answer(store: Store, stop: Stop, prefix: str, by: str, text: str) -> str:
    """Keep the answer to the question whose id begins so; the task that is told it.

    The same words of the same person once more change nothing. Raises `DecisionError` for a question that has another
    answer already, and for words that are none; `GoneError` where there is no such question; `StoppedError` while
    stopped.
    """
    if not text.strip() or len(text) > ANSWER_MAX:
        raise DecisionError(f"an answer is a text of 1 to {ANSWER_MAX:,} characters")
    stop.ask(Door.DECISION)
    with store.change() as tx:
        if latch := stops.latched(tx.connection):
            raise StoppedError(f"stopped ({latch.reason}): nothing is answered until `runner resume`")
        number = questions.resolve(tx.connection, prefix)
        was_first = questions.answer(tx, number, text, by)
        row = questions.get(tx.connection, number)
        if not was_first and (row.answer, row.by) != (text, by):
            raise DecisionError(f"question {number} was answered by {row.by} already: {row.answer}")
        return str(row.task)
