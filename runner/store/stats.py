"""What became of each task's drafts, and what its owner's attention they took."""

from __future__ import annotations

import difflib
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, select

from runner.clock import parse, stamp
from runner.gate import State
from runner.store import money
from runner.store.schema import decisions, drafts, revisions

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

REASONS = 3  #: that are named
EDITS_MOST = 200  #: that are measured, the newest; measuring costs time
ANSWERS = frozenset(
    {"approve", "reject", "revise", "edit", "endorse"}
)  #: what is a person's first word on a draft


@dataclass(slots=True)
class Stats:
    """Of one task: how many of its drafts came to what."""

    task: str
    made: int = 0
    unchanged: int = 0  #: approved as the task made them
    edited: int = 0
    revised: int = 0
    rejected: int = 0
    expired: int = 0
    delivered: int = 0
    reasons: list[str] = field(default_factory=list)  #: of rejections, the commonest first
    change: float | None = None  #: how much an edit changes, of 1; None without edits
    hours: float | None = None  #: from a draft to the first word on it, the median; None without any
    cost_usd: float = 0.0  #: all that the task spent

    @property
    def cost_per_delivered(self) -> float | None:
        """Dollars for each draft that went out; None when none did."""
        return self.cost_usd / self.delivered if self.delivered else None


def of_tasks(connection: Connection, since: datetime, *, measures_edits: bool = True) -> list[Stats]:
    """Each task that made drafts since then, those that take the most attention for the least first.

    Measuring by how much edits change takes up to seconds, which a runner that is up does not have.
    """
    made = connection.execute(select(drafts).where(drafts.c.created >= stamp(since))).all()
    query = select(decisions).where(decisions.c.at >= stamp(since)).order_by(decisions.c.id)
    said: dict[str, list[Row[Any]]] = {}
    for row in connection.execute(query):
        said.setdefault(row.draft, []).append(row)
    by_task: dict[str, list[Row[Any]]] = {}
    for row in made:
        by_task.setdefault(row.task, []).append(row)
    found = [_of(connection, task, rows, said, since) for task, rows in by_task.items()]
    if measures_edits:
        for each in found:
            each.change = _change(connection, _drafts_with("edit", by_task[each.task], said))
    return sorted(found, key=lambda each: (each.unchanged - each.made, each.task))


def _of(
    connection: Connection, task: str, rows: list[Row[Any]], said: dict[str, list[Row[Any]]], since: datetime
) -> Stats:
    words = [each for row in rows for each in said.get(row.id, ())]
    of = {word: _drafts_with(word, rows, said) for word in ("edit", "revise", "approve")}
    states = Counter(row.state for row in rows)
    reasons = Counter(each.reason for each in words if each.decision == "reject" and each.reason)
    return Stats(
        task=task,
        made=len(rows),
        unchanged=len(of["approve"] - of["edit"] - of["revise"]),
        edited=len(of["edit"]),
        revised=len(of["revise"]),
        rejected=states[State.REJECTED],
        expired=states[State.EXPIRED],
        delivered=states[State.DELIVERED],
        reasons=[reason for reason, _ in reasons.most_common(REASONS)],
        hours=_hours(rows, said),
        cost_usd=float(money.spent(connection, since, task=task)),
    )


def _drafts_with(word: str, rows: Iterable[Row[Any]], said: dict[str, list[Row[Any]]]) -> set[str]:
    """The drafts on which somebody decided so."""
    return {row.id for row in rows if any(each.decision == word for each in said.get(row.id, ()))}


def _hours(rows: Iterable[Row[Any]], said: dict[str, list[Row[Any]]]) -> float | None:
    from statistics import median  # noqa: PLC0415 - ten milliseconds that no command without a median should pay

    waits = [
        (parse(first.at) - parse(row.created)).total_seconds() / 3600
        for row in rows
        if (first := next((each for each in said.get(row.id, ()) if each.decision in ANSWERS), None))
        is not None
    ]
    return median(waits) if waits else None


def _change(connection: Connection, edited: set[str]) -> float | None:
    """How much of the words an edit replaces, on average."""
    query = select(revisions.c.draft, revisions.c.number, revisions.c.content).where(
        revisions.c.draft.in_(sorted(edited)[:EDITS_MOST])
    )
    kept = {(row.draft, row.number): row.content for row in connection.execute(query)}
    origins = select(revisions.c.draft, revisions.c.number).where(
        revisions.c.draft.in_(sorted(edited)[:EDITS_MOST]), revisions.c.origin == "edit"
    )
    shares = [
        _difference(kept[row.draft, row.number - 1], kept[row.draft, row.number])
        for row in connection.execute(origins)
    ]
    return sum(shares) / len(shares) if shares else None


def _difference(before: bytes, after: bytes) -> float:
    old, new = (
        json.dumps(json.loads(each)["fields"], ensure_ascii=False).split() for each in (before, after)
    )
    return 1 - difflib.SequenceMatcher(None, old, new, autojunk=False).ratio()
