"""What an attempt came to: how it ended, and what its task returned, judged."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runner import said
from runner.errors import DraftError, RunError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Row

    from runner.attached import Attached
    from runner.broker import Session
    from runner.catalog import Declared
    from runner.draft import Kind
    from runner.store.pages import Kept

ITEMS_MAX = 100  #: drafts and alerts of one run
ALERT_MAX = 10_000  #: characters of an alert
QUESTION_MAX = 1_000  #: characters of the question it may carry

#: errors that another attempt would only repeat
LASTING = frozenset({"BudgetError", "ClaudeError", "DeclarationError", "StoppedError", "RunError"})


@dataclass(frozen=True, slots=True)
class Made:
    """A draft that a run returned, checked against its kind."""

    kind: Kind
    fields: dict[str, Any]
    call: int | None
    place: int
    files: dict[str, bytes]  #: what it attaches, by SHA-256


@dataclass(frozen=True, slots=True)
class Said:
    """An alert that a run returned."""

    text: str
    question: str = ""  #: for the owner to answer; empty is none


@dataclass(frozen=True, slots=True)
class Verdict:
    """How an attempt ended."""

    status: str
    error: str | None = None
    may_help: bool = False  #: whether another attempt could end otherwise
    alerts: tuple[Said, ...] = ()
    drafts: tuple[Made, ...] = ()
    state: dict[str, Any] | None = None
    degraded: tuple[str, ...] = ()
    pages: Mapping[str, Kept] = field(default_factory=dict)  #: that it got


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a run: what it is given, and the code that it begins with."""

    row: Row[Any]
    task: Declared
    kinds: Mapping[str, Kind]
    inputs: dict[str, Any]
    base: Row[Any] | None  #: the draft that is to be written anew; None for an ordinary run
    fields: dict[str, Any]  #: of that draft, as they stand
    stops: int  #: how often STOP had been engaged when it was claimed

    @property
    def run(self) -> str:
        """The run's id."""
        return str(self.row.id)


def failure(ended: said.Failure) -> Verdict:
    """How a task that raised something ended."""
    place = f" ({ended.file}:{ended.line})" if ended.file else ""
    return Verdict("error", said.short(ended.error) + place, may_help=ended.kind not in LASTING)


def success(attempt: Attempt, outcome: said.Outcome, session: Session) -> Verdict:
    """What the task returned; raises `RunError` for what no task can return."""
    made = outcome.made
    if len(made) > ITEMS_MAX:
        raise RunError(f"a run may return up to {ITEMS_MAX} drafts and alerts")
    return Verdict(
        "ok",
        alerts=tuple(_alert(item.alert, item.question) for item in made if item.alert is not None),
        drafts=tuple(
            _made(attempt, place, item, session.attached)
            for place, item in enumerate(made)
            if item.draft is not None
        ),
        state=outcome.state,
        degraded=tuple(said.short(why) for why in outcome.degraded[:ITEMS_MAX]),
        pages=session.pages,
    )


def _alert(text: str, question: str) -> Said:
    if len(text) > ALERT_MAX:
        raise RunError(f"an Alert is a text of at most {ALERT_MAX:,} characters")
    if len(question) > QUESTION_MAX:
        raise RunError(f"an Alert's question is a text of at most {QUESTION_MAX:,} characters")
    return Said(text, question)


def _made(attempt: Attempt, place: int, item: said.Item, attached: Attached) -> Made:
    kind = attempt.kinds.get(item.draft or "")
    if kind is None:
        known = ", ".join(attempt.kinds) or "none"
        raise DraftError(
            f"the task returned a {item.draft}, a kind that tasks/{attempt.task.file} doesn't name; "
            f"import its class there; it names: {known}"
        )
    return Made(kind, item.fields, item.call, place, attached.files(item.fields))
