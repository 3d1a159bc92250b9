"""More than one person: each decides what is theirs, and some things take two."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modules import note
from phones import APPROVE, GROUP, OWNER, Hand, phoned
from test_gate import NOW, PENDING

from runner.errors import DecisionError
from runner.gate import Approve, Change, Refusal, State, decide
from runner.rehearsal.telegram import StandInTelegram
from runner.review.telegram.read import Chat
from runner.review.telegram.reviewers import Reviewers, Subject
from runner.tables import KindRule, Phone, Reviewer
from runner.testing import rehearsal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

EVE, BOB = 51, 52
TWO = {"note": KindRule(approvals=2)}


@pytest.fixture
async def tg() -> AsyncIterator[StandInTelegram]:
    async with StandInTelegram() as server:
        yield server


async def drafted(hand: Hand, options: str = "") -> str:
    """A draft that waits; its id."""
    hand.it.drop("note.py", note(options=options))
    await hand.it.run("note")
    return (await hand.it.draft()).held.id


async def test_promise_7_a_reviewer_decides_on_what_is_theirs_and_the_owner_sees_it(
    tmp_path: Path, tg: StandInTelegram
) -> None:
    people = {"eve": Reviewer(id=EVE, labels=("acme",)), "bob": Reviewer(id=BOB, tasks=("other",))}
    async with phoned(tmp_path, tg, reviewers=people) as hand:
        draft = await drafted(hand, "label='acme'")
        eve, bob = Hand(hand.it, tg, hand.phone, EVE), Hand(hand.it, tg, hand.phone, BOB)
        card = await eve.shown(APPROVE)
        assert bob.button(APPROVE) is None
        assert hand.button(APPROVE) is None
        stolen = card["reply_markup"]["inline_keyboard"][0][0]["callback_data"]
        await hand.handled(tg.taps(BOB, card["message_id"], data=stolen, chat=EVE))
        tg.says(BOB, "/pending")
        await bob.reads("Commands are the owner's")
        await eve.tap(APPROVE)
        event = await hand.it.event("draft.approved", draft=draft)
        assert event["by"] == "eve"
        await hand.reads("✅ approved by eve")
        tg.says(BOB, "/stop enough")
        await hand.reads("STOPPED: enough (by bob)")


async def test_what_the_owner_reads_of_a_draft_of_somebody_elses_is_so_after_a_stop_too(
    tmp_path: Path, tg: StandInTelegram
) -> None:
    people = {"eve": Reviewer(id=EVE, labels=("acme",))}
    async with phoned(tmp_path, tg, reviewers=people, kinds=TWO) as hand:
        draft, other = await drafted(hand, "label='acme'"), "another draft of acme's"
        eve = Hand(hand.it, tg, hand.phone, EVE)
        await eve.tap(APPROVE)
        await hand.reads(f"note, draft {draft}: ✅ eve said yes; it needs another person's yes too")
        hand.it.drop(
            "other.py",
            note(f"return Note(text={other!r})", options="label='acme'").replace("def note", "def other"),
        )
        await hand.it.run("other")
        card = await eve.shown(APPROVE, other)
        hand.it.desk.halt("ana")
        await hand.reads(f"note, draft {draft}: 🛑 stopped")
        assert hand.sees("🛑 stopped", chat=EVE) is not None
        hand.it.desk.resume("ana")
        await hand.reads(f"note, draft {draft}: it waits for a decision")
        assert hand.sees("other, draft") is None  # nothing was to be told of it
        await eve.reads("other")
        assert card["message_id"] == (await eve.shown(APPROVE, other))["message_id"]


async def test_promise_7_in_a_group_a_reviewer_decides_on_what_is_theirs_alone(
    tmp_path: Path, tg: StandInTelegram
) -> None:
    people = {
        "eve": Reviewer(id=EVE, labels=("acme",), chat=GROUP),
        "bob": Reviewer(id=BOB, tasks=("other",), chat=GROUP),
    }
    async with phoned(tmp_path, tg, reviewers=people) as hand:
        draft = await drafted(hand, "label='acme'")
        card = await hand.shown(APPROVE, chat=GROUP)
        nonce = card["reply_markup"]["inline_keyboard"][0][0]["callback_data"]
        await hand.handled(tg.taps(BOB, card["message_id"], data=nonce, chat=GROUP))
        assert hand.it.desk.sheet(draft).held.state == "pending"
        await hand.handled(tg.taps(EVE, card["message_id"], data=nonce, chat=GROUP))
        event = await hand.it.event("draft.approved", draft=draft)
        assert event["by"] == "eve"


async def test_in_a_group_only_the_listed_decide(tmp_path: Path, tg: StandInTelegram) -> None:
    async with phoned(tmp_path, tg, telegram=Phone(chat=GROUP)) as hand:
        draft = await drafted(hand)
        card = await hand.shown(APPROVE, chat=GROUP)
        nonce = card["reply_markup"]["inline_keyboard"][0][0]["callback_data"]
        await hand.handled(tg.taps(EVE, card["message_id"], data=nonce, chat=GROUP))
        assert hand.it.desk.sheet(draft).held.state == "pending"
        await hand.tap(APPROVE, chat=GROUP)
        await hand.it.event("delivery.delivered", draft=draft)


async def test_two_different_people_must_say_yes_to_the_same_digest(
    tmp_path: Path, tg: StandInTelegram
) -> None:
    people = {"eve": Reviewer(id=EVE)}
    async with phoned(tmp_path, tg, telegram_owners=(OWNER, EVE), reviewers=people, kinds=TWO) as hand:
        draft = await drafted(hand)
        eve = Hand(hand.it, tg, hand.phone, EVE)
        answer = await eve.tap(APPROVE)
        assert "another person's" in answer["text"]
        await eve.reads("✅ eve said yes; it needs another person's yes too")
        assert "said yes to draft" in (await eve.tap(APPROVE))["text"]
        with pytest.raises(DecisionError, match="another person's"):
            hand.it.desk.approve(draft, hand.it.desk.sheet(draft).held.digest, "eve")
        assert len(hand.it.destination.ledger) == 0
        hand.it.desk.approve(draft, hand.it.desk.sheet(draft).held.digest, "ana")
        await hand.it.event("delivery.delivered", draft=draft)


async def test_an_edit_or_a_stop_voids_the_first_yes(tmp_path: Path) -> None:
    async with rehearsal(tmp_path, kinds=TWO) as it:
        it.drop("note.py", note())
        await it.run("note")
        held = (await it.draft()).held
        assert not it.desk.approve(held.id, held.digest, "ana")
        new = it.desk.edit(held.id, held.digest, "bob", {"text": "other"})
        assert not it.desk.approve(held.id, new, "bob")
        it.desk.halt("ana")
        await it.event("stop.engaged")
        it.desk.resume("ana")
        await it.until(lambda: it.app.stop.reason is None)
        assert not it.desk.approve(held.id, new, "ana")
        assert it.desk.approve(held.id, new, "bob")
        await it.event("delivery.delivered")


@given(st.lists(st.sampled_from(["ana", "bob", "eve"]), max_size=6), st.integers(1, 3))
def test_as_many_different_people_as_it_needs_approve_and_no_fewer(people: list[str], needs: int) -> None:
    held, approved = replace(PENDING, needs=needs), False
    for by in people:
        verdict = decide(held, Approve(held.digest, by=by), NOW)
        if isinstance(verdict, Refusal):
            assert by in held.yeses
        elif verdict == Change(State.APPROVED, "draft.approved"):
            approved = True
            break
        else:
            held = replace(held, yeses=(*held.yeses, by))
    assert approved == (len(set(people)) >= needs)


def test_who_lists_nothing_may_decide_everything_and_nobody_else_is_anybody() -> None:
    people = {"all": Reviewer(id=1), "kinds": Reviewer(id=2, kinds=("article",), chat=-9)}
    found = Reviewers((OWNER,), None, people, "{:.0}".format)
    article, other = Subject("t", "article", ""), Subject("t", "note", "")
    assert [found.may_decide(person, article) for person in (OWNER, 1, 2, 3)] == [True, True, True, False]
    assert [found.may_decide(person, other) for person in (OWNER, 1, 2, 3)] == [True, True, False, False]
    assert (found.chats_for(article), found.chats_for(other), found.chats()) == ([1, -9], [1], [OWNER])
    assert (found.name(1), found.name(OWNER), found.name(9)) == ("all", "owner 42", "person 9")
    assert found.is_ours(Chat(id=-9, type="supergroup"), 1)
    assert not found.is_ours(Chat(id=-8, type="supergroup"), 1)
    assert not found.is_ours(Chat(id=2, type="private"), 1)
    assert not found.is_ours(Chat(id=-9, type="channel"), 1)
