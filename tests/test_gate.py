"""The gate: which decision makes what of a draft, and which are refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.gate import (
    NEXT,
    OPEN,
    Approve,
    Change,
    Decision,
    Edit,
    Held,
    Refusal,
    Reject,
    Resolve,
    Revise,
    State,
    Undo,
    Withdraw,
    decide,
    deliverable,
)

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)
PENDING = Held(
    id="k3", state=State.PENDING, revision=1, digest="aa", expires=NOW + timedelta(days=3), revisions_left=2
)
APPROVED = replace(PENDING, state=State.APPROVED, approved="aa")
SPENT = replace(PENDING, revisions_left=0)
BY_TWO = replace(PENDING, needs=2)

STATES = st.sampled_from(State)
DIGESTS = st.sampled_from(["aa", "bb"])
INSTANTS = st.integers(-10, 10).map(lambda days: NOW + timedelta(days=days))
HELD = st.builds(
    Held,
    id=st.just("k3"),
    state=STATES,
    revision=st.integers(1, 3),
    digest=DIGESTS,
    expires=INSTANTS,
    revisions_left=st.integers(0, 2),
    approved=DIGESTS | st.none(),
    not_before=INSTANTS | st.none(),
)
DECISIONS: st.SearchStrategy[Decision] = st.one_of(
    st.builds(Approve, DIGESTS, INSTANTS | st.none()),
    st.builds(Reject, DIGESTS),
    st.builds(Revise, DIGESTS, st.just("shorter")),
    st.builds(Edit, DIGESTS),
    st.just(Undo()),
    st.builds(Resolve, st.booleans()),
)


@given(HELD, DECISIONS, INSTANTS)
def test_no_decision_leads_where_the_states_do_not(held: Held, decision: Decision, at: datetime) -> None:
    outcome = decide(held, decision, at)
    assert isinstance(outcome, Refusal) or outcome.state in NEXT[held.state]


@given(HELD, DECISIONS, INSTANTS)
def test_only_a_timely_yes_to_the_newest_digest_approves(
    held: Held, decision: Decision, at: datetime
) -> None:
    outcome = decide(held, decision, at)
    if isinstance(outcome, Change) and outcome.state is State.APPROVED:
        assert isinstance(decision, Approve)
        assert (held.state, held.digest) == (State.PENDING, decision.digest)
        assert at < held.expires


@given(HELD, DIGESTS, DIGESTS, DIGESTS | st.none(), INSTANTS)
def test_nothing_is_deliverable_without_an_unexpired_approval_of_those_bytes(
    held: Held, digest: str, source: str, current: str | None, at: datetime
) -> None:
    if deliverable(held, digest, source, current, at) is None:
        assert held.state is State.APPROVED
        assert held.approved == held.digest == digest
        assert source == current
        assert at < held.expires
        assert held.not_before is None or held.not_before <= at


@pytest.mark.parametrize(
    ("held", "decision", "state", "event"),
    [
        (PENDING, Approve("aa"), State.APPROVED, "draft.approved"),
        (PENDING, Reject("aa", "dull"), State.REJECTED, "draft.rejected"),
        (PENDING, Revise("aa", "shorter"), State.REVISING, "draft.revising"),
        (PENDING, Edit("aa"), State.PENDING, "draft.edited"),
        (PENDING, Withdraw("aa"), State.WITHDRAWN, "draft.withdrawn"),
        (SPENT, Approve("aa"), State.APPROVED, "draft.approved"),
        (SPENT, Reject("aa"), State.REJECTED, "draft.rejected"),
        (SPENT, Edit("aa"), State.PENDING, "draft.edited"),
        (BY_TWO, Approve("aa", by="ana"), State.PENDING, "draft.endorsed"),
        (
            replace(BY_TWO, yeses=("ana",)),
            Approve("aa", by="ben"),
            State.APPROVED,
            "draft.approved",
        ),
        (APPROVED, Undo(), State.PENDING, "draft.returned"),
        (
            replace(APPROVED, state=State.UNCERTAIN),
            Resolve(was_delivered=True),
            State.DELIVERED,
            "delivery.delivered",
        ),
        (
            replace(APPROVED, state=State.UNCERTAIN),
            Resolve(was_delivered=False),
            State.PENDING,
            "draft.returned",
        ),
    ],
)
def test_each_decision_has_its_effect(held: Held, decision: Decision, state: State, event: str) -> None:
    assert decide(held, decision, NOW) == Change(state, event)


@pytest.mark.parametrize(
    ("held", "decision", "words"),
    [
        (APPROVED, Reject("aa"), "is approved already"),
        (PENDING, Approve("bb"), "read it again"),
        (PENDING, Undo(), "only an approval"),
        (PENDING, Resolve(was_delivered=True), "not uncertain"),
        (replace(PENDING, expires=NOW), Approve("aa"), "expired"),
        (PENDING, Approve("aa", NOW + timedelta(days=4)), "expires before that hour"),
        (PENDING, Approve("aa", PENDING.expires), "expires before that hour"),
        (SPENT, Revise("aa", "more"), "as often as its task allows"),
        (replace(BY_TWO, yeses=("ana",)), Approve("aa", by="ana"), "another person's yes"),
    ],
)
def test_each_refusal_says_why(held: Held, decision: Decision, words: str) -> None:
    outcome = decide(held, decision, NOW)
    assert isinstance(outcome, Refusal)
    assert words in outcome.reason


@pytest.mark.parametrize(
    ("held", "current", "words"),
    [
        (PENDING, "s", "not approved"),
        (replace(APPROVED, approved="bb"), "s", "not those that were approved"),
        (replace(APPROVED, expires=NOW), "s", "expired"),
        (APPROVED, None, "gone or broken"),
        (APPROVED, "t", "changed after the approval"),
        (replace(APPROVED, not_before=NOW + timedelta(hours=1)), "s", "hour"),
    ],
)
def test_the_outbox_is_told_why_it_may_not_deliver(held: Held, current: str | None, words: str) -> None:
    refusal = deliverable(held, "aa", "s", current, NOW)
    assert refusal is not None
    assert words in refusal.reason


def test_what_was_approved_for_an_hour_is_deliverable_from_then_on() -> None:
    held = replace(APPROVED, not_before=NOW)
    assert deliverable(held, "aa", "s", "s", NOW) is None
    assert deliverable(held, "aa", "s", "s", NOW + timedelta(days=1)) is None


def test_the_ends_are_ends() -> None:
    assert set(State) - OPEN == {State.DELIVERED, State.REJECTED, State.EXPIRED, State.WITHDRAWN}
