"""Putting Claude's answers and their price on record, however they were asked."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from runner.store import runs

if TYPE_CHECKING:
    from runner.claude.question import Answer, Question, Spent
    from runner.purses import Purses
    from runner.store.store import Transaction


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asked Claude, and pays."""

    run: str
    task: str
    label: str


def keep(tx: Transaction, asker: Asker, position: int, question: Question, answer: Answer) -> None:
    """Keep an answer, so that it is never paid for again."""
    kept = {**asdict(answer), "cost_usd": None if answer.cost_usd is None else str(answer.cost_usd)}
    runs.answered(tx, asker.run, position, question.digest, question.as_json(), kept)
    tx.tell("claude.answered", run=asker.run, task=asker.task, position=position, **kept)


def pay(tx: Transaction, asker: Asker, spent: Spent, purses: Purses) -> None:
    """Put on record what an exchange cost, and tell of a budget that is nearly used up by it."""
    prompt = spent.input_tokens + spent.cache_read_tokens + spent.cache_write_tokens
    runs.spent(
        tx,
        asker.run,
        asker.task,
        spent.model,
        (prompt, spent.output_tokens),
        spent.cost_usd,
        is_lower_bound=spent.is_lower_bound,
        label=asker.label,
        cached=(spent.cache_read_tokens, spent.cache_write_tokens),
        saved=spent.saved_usd,
    )
    if spent.web:
        tx.tell("claude.searched", run=asker.run, task=asker.task, web=list(spent.web))
    purses.warn(tx, asker.task, asker.label)
