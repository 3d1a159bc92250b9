"""Where drafts wait: states and decisions. Pure: no clock, no I/O; whoever asks brings the time.

`decide` says what a decision makes of a draft, or why it is refused. The store carries it out with one guarded
update, so that of two deciders who both asked in time, one wins.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


class State(StrEnum):
    """Where a draft is in its life."""

    PENDING = "pending"  #: waits for a decision on its newest revision
    REVISING = "revising"  #: a revision run is under way
    APPROVED = "approved"  #: waits for the outbox, or for its hour
    DELIVERING = "delivering"  #: the attempt has begun; its intent is on disk
    DELIVERED = "delivered"  #: the destination took it; the receipt is on record
    FAILED = "failed"  #: certainly not delivered; asks again at once
    UNCERTAIN = "uncertain"  #: began, outcome unknown
    REJECTED = "rejected"  #: ended: a person said no
    EXPIRED = "expired"  #: ended: nobody said anything in time
    WITHDRAWN = "withdrawn"  #: ended: taken back before anybody decided


#: What each state may become; nothing else is ever written.
NEXT: dict[State, frozenset[State]] = {
    State.PENDING: frozenset(
        {State.PENDING, State.APPROVED, State.REJECTED, State.REVISING, State.EXPIRED, State.WITHDRAWN}
    ),
    State.REVISING: frozenset({State.PENDING}),
    State.APPROVED: frozenset({State.DELIVERING, State.PENDING}),
    State.DELIVERING: frozenset({State.DELIVERED, State.FAILED, State.UNCERTAIN, State.PENDING}),
    State.FAILED: frozenset({State.PENDING}),
    State.UNCERTAIN: frozenset({State.DELIVERED, State.PENDING}),
    State.DELIVERED: frozenset(),
    State.REJECTED: frozenset(),
    State.EXPIRED: frozenset(),
    State.WITHDRAWN: frozenset(),
}
OPEN = frozenset(state for state, after in NEXT.items() if after)  #: the states that ask for something yet
ASKED = frozenset({State.PENDING, State.UNCERTAIN})  #: the states in which a draft waits for a person's word


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A draft as the gate sees it."""

    id: str
    state: State
    revision: int  #: number of the newest one
    digest: str  #: of the newest revision
    expires: datetime
    revisions_left: int = 0  #: how often it may still be sent back
    task: str = ""  #: whose run made it
    kind: str = ""
    approved: str | None = None  #: the digest that was approved; None when none is
    not_before: datetime | None = None  #: the hour an approval waits for; None is at once
    yeses: tuple[str, ...] = ()  #: who said yes to the newest revision, where one yes is not enough
    needs: int = 1  #: how many different people must


@dataclass(frozen=True, slots=True)
class Approve:
    """Yes, to exactly this digest."""

    digest: str
    not_before: datetime | None = None  #: not delivered earlier; None is at once
    by: str = ""  #: who says it


@dataclass(frozen=True, slots=True)
class Reject:
    """No, to this digest; the reason may be empty."""

    digest: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Revise:
    """Another try, with feedback."""

    digest: str
    feedback: str


@dataclass(frozen=True, slots=True)
class Edit:
    """The reviewer's own words in place of these; a new revision, to be approved on its own."""

    digest: str


@dataclass(frozen=True, slots=True)
class Undo:
    """Take an approval back while its delivery has not begun."""


@dataclass(frozen=True, slots=True)
class Resolve:
    """What a person found out about an uncertain delivery."""

    was_delivered: bool


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Take this digest back; neither a yes nor a no."""

    digest: str


Live = Approve | Reject | Revise | Edit | Withdraw  #: decisions about what is pending
Decision = Live | Undo | Resolve


@dataclass(frozen=True, slots=True)
class Change:
    """The state a draft moves to, and the event that tells of it."""

    state: State
    event: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a decision is not taken, in a sentence."""

    reason: str


def decide(held: Held, decision: Decision, at: datetime) -> Change | Refusal:
    """What the decision makes of the draft at that instant, or why it is refused. Changes nothing."""
    match decision:
        case Undo():
            return _undo(held)
        case Resolve():
            return _resolve(held, decision)
        case Approve() | Reject() | Revise() | Edit() | Withdraw():
            return _live(held, decision, at) or _carry(held, decision)


def _live(held: Held, decision: Live, at: datetime) -> Refusal | None:
    """Refuse a decision on what is not pending, not the newest, or too late."""
    if held.state is not State.PENDING:
        return Refusal(f"draft {held.id} is {held.state} already, not pending")
    if at >= held.expires:
        return Refusal(f"draft {held.id} expired; the task may draft anew")
    if decision.digest != held.digest:
        return Refusal(
            f"draft {held.id} is at revision {held.revision} ({held.digest[:12]}) now, and the decision was about "
            f"{decision.digest[:12]}; read it again"
        )
    if isinstance(decision, Approve):
        return _approvable(held, decision)
    if isinstance(decision, Revise) and held.revisions_left < 1:
        return Refusal(f"draft {held.id} was revised as often as its task allows; edit or reject it")
    return None


def _approvable(held: Held, decision: Approve) -> Refusal | None:
    """Refuse an hour that comes too late, and a second yes of the same person."""
    if decision.not_before and decision.not_before >= held.expires:
        return Refusal(f"draft {held.id} expires before that hour")
    if decision.by in held.yeses:
        return Refusal(
            f"{decision.by} said yes to draft {held.id} already; it needs another person's yes too"
        )
    return None


def _carry(held: Held, decision: Live) -> Change:
    match decision:
        case Approve():
            is_enough = len(held.yeses) + 1 >= held.needs
            return Change(
                *((State.APPROVED, "draft.approved") if is_enough else (State.PENDING, "draft.endorsed"))
            )
        case Reject():
            return Change(State.REJECTED, "draft.rejected")
        case Revise():
            return Change(State.REVISING, "draft.revising")
        case Edit():
            return Change(State.PENDING, "draft.edited")
        case Withdraw():
            return Change(State.WITHDRAWN, "draft.withdrawn")


def _undo(held: Held) -> Change | Refusal:
    if held.state is not State.APPROVED:
        return Refusal(
            f"draft {held.id} is {held.state}; only an approval whose delivery has not begun can be undone"
        )
    return Change(State.PENDING, "draft.returned")


def _resolve(held: Held, decision: Resolve) -> Change | Refusal:
    if held.state is not State.UNCERTAIN:
        return Refusal(f"draft {held.id} is {held.state}, not uncertain")
    if decision.was_delivered:
        return Change(State.DELIVERED, "delivery.delivered")
    return Change(State.PENDING, "draft.returned")


def deliverable(held: Held, digest: str, source: str, current: str | None, at: datetime) -> Refusal | None:
    """Why the outbox must not deliver these bytes now; None when it may.

    `digest` is of the bytes about to be delivered, `source` the digest of the kind's code they name, `current`
    that of the code which would deliver them, None when there is none.
    """
    reasons = (
        (held.state is not State.APPROVED, f"it is {held.state}, not approved"),
        (not held.approved == held.digest == digest, "the bytes are not those that were approved"),
        (at >= held.expires, "the approval expired before it could be carried out"),
        (current is None, "the kind's code is gone or broken"),
        (source != current, "the kind's code or its settings changed after the approval"),
        (held.not_before is not None and at < held.not_before, "its hour has not come"),
    )
    return next((Refusal(reason) for holds, reason in reasons if holds), None)
