"""Deciding on the phone: what was shown, by whom it was listed, once."""

from __future__ import annotations

import asyncio
import hashlib
from functools import partial
from typing import TYPE_CHECKING

import pytest
from modules import note
from phones import APPROVE, GROUP, OWNER, REJECT, STRANGER, Hand, buttons, phoned, refuses_once, said

from runner.errors import DecisionError
from runner.rehearsal.telegram import EXPIRED, Answers, StandInTelegram
from runner.review.telegram.poll import Rhythm
from runner.store import drafts, phone, stops
from runner.testing import rehearsal
from runner.worker.sealing.report import report

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path


@pytest.fixture
async def tg() -> AsyncIterator[StandInTelegram]:
    async with StandInTelegram() as server:
        yield server


async def drafted(hand: Hand, body: str = "return Note(text='hello')") -> str:
    """A draft that waits; its id."""
    hand.it.drop("note.py", note(body))
    await hand.it.run("note")
    return (await hand.it.draft()).held.id


async def test_a_draft_waits_on_the_phone_and_one_tap_delivers_it(
    tmp_path: Path, tg: StandInTelegram
) -> None:
    async with phoned(tmp_path, tg) as hand:
        draft = await drafted(hand)
        card = await hand.shown(APPROVE)
        for words in ("note · run", "On approve", "Expires", draft, "▌text\nhello", "▌end of draft"):
            assert words in said(card)
        assert await hand.tap(APPROVE) == {"text": "Done"}
        await hand.it.event("delivery.delivered", draft=draft)
        card = await hand.reads("📬 delivered: https://notes.example.com/1")
        assert "✅ approved by owner 42" in said(card)
        assert buttons(card) == []
        assert len(hand.it.destination.effects) == 1


async def test_a_tap_that_the_store_could_not_take_is_carried_out_once_it_can(
    tmp_path: Path, tg: StandInTelegram
) -> None:
    async with phoned(tmp_path, tg) as hand:
        draft = await drafted(hand)
        await hand.shown(APPROVE)
        hand.phone.poll.rhythm = Rhythm(again_s=0.01)
        refuses_once(hand.it.app.store, "UPDATE drafts SET state")
        assert await hand.tap(APPROVE) == {"text": "Done"}
        await hand.it.event("delivery.delivered", draft=draft)
        assert hand.it.count("draft.approved") == 1


@pytest.mark.parametrize(
    ("words", "refused"), [("no", "UPDATE drafts SET state"), ("/run note", "INSERT INTO runs")]
)
async def test_words_that_the_store_could_not_take_are_carried_out_once_it_can(
    tmp_path: Path, tg: StandInTelegram, words: str, refused: str
) -> None:
    async with phoned(tmp_path, tg) as hand:
        draft = await drafted(hand)
        hand.phone.poll.rhythm = Rhythm(again_s=0.01)
        question = None
        if words == "no":
            await hand.tap(REJECT)
            await hand.tap("in my words…")
            question = (await hand.reads("Send it as a reply"))["message_id"]
        refuses_once(hand.it.app.store, refused)
        await hand.handled(tg.says(OWNER, words, reply_to=question))
        if words == "no":
            assert (await hand.it.event("draft.rejected", draft=draft))["reason"] == "no"
        else:
            await hand.it.until(lambda: hand.it.count("run.finished") == 2)


async def test_a_card_says_whether_the_task_is_sealed_or_open(tmp_path: Path, tg: StandInTelegram) -> None:
    async with phoned(tmp_path, tg) as hand:
        for sealed in (True, False):
            hand.it.drop("note.py", note(options=f"sealed={sealed}"))
            await hand.it.until(partial(_is_sealed, hand, sealed))
            await hand.it.run("note")
            await hand.shown(APPROVE, "🔒 sealed" if sealed and report().is_whole else "🔓 open")


async def test_a_draft_much_like_the_last_delivered_one_shows_what_changed(
    tmp_path: Path, tg: StandInTelegram
) -> None:
    async with phoned(tmp_path, tg) as hand:
        body = "run.state['n'] = run.state.get('n', 0) + 1\nreturn Note(text=f'A long and steady text.\\nWeek {run.state[\"n\"]}')"
        draft = await drafted(hand, body)
        await hand.shown(APPROVE)
        assert hand.sees("changes since") is None
        await hand.tap(APPROVE)
        await hand.it.event("delivery.delivered", draft=draft)
        await hand.it.run("note")
        card = await hand.shown(APPROVE)
        told = await hand.reads(f"changes since {draft}")
        assert "-Week 1\n+Week 2\n▌the whole content follows" in said(told)
        assert told["message_id"] < card["message_id"]
        assert buttons(told) == []
        assert f"Against delivered {draft}: text changed" in said(card)
        assert "A long and steady text.\nWeek 2" in said(card)
        await hand.tap(APPROVE)
        await hand.it.until(lambda: hand.it.count("delivery.delivered") == 2)


async def test_a_no_asks_for_its_reason_which_the_task_is_told(tmp_path: Path, tg: StandInTelegram) -> None:
    async with phoned(tmp_path, tg) as hand:
        draft = await drafted(hand)
        await hand.tap(REJECT)
        await hand.tap("← Back")
        await hand.tap(REJECT)
        await hand.tap("too long")
        event = await hand.it.event("draft.rejected", draft=draft)
        assert (event["reason"], event["by"]) == ("too long", "owner 42")
        await hand.reads("❌ rejected by owner 42")


async def test_promise_7_only_a_listed_id_decides(tmp_path: Path, tg: StandInTelegram) -> None:
    async with phoned(tmp_path, tg) as hand:
        draft = await drafted(hand)
        card = await hand.shown(APPROVE)
        forged = tg.taps(STRANGER, card["message_id"], APPROVE, chat=OWNER)
        await hand.it.event("telegram.stranger", person=STRANGER, what="tap")
        said_ = tg.says(STRANGER, "/stop")
        await hand.handled(said_)
        await hand.it.event("telegram.stranger", person=STRANGER, what="message")
        assert hand.it.desk.sheet(draft).held.state == "pending"
        assert hand.it.app.stop.reason is None
        assert forged["callback_query"]["id"] not in tg.answered
        assert tg.messages(STRANGER) == [said_["message"]]


async def test_promise_7_a_button_works_only_on_the_message_it_was_sent_with(
    tmp_path: Path, tg: StandInTelegram
) -> None:
    async with phoned(tmp_path, tg) as hand:
        draft = await drafted(hand)
        card = await hand.shown(APPROVE)
        nonce = card["reply_markup"]["inline_keyboard"][0][0]["callback_data"]
        other = tg.says(OWNER, "/help")
        help_ = await hand.reads("/pending")
        for message, data in ((help_["message_id"], nonce), (card["message_id"], "a" * 32)):
            answer = await hand.answer(tg.taps(OWNER, message, data=data))
            assert "out of date" in answer["text"]
        elsewhere = tg.taps(OWNER, 1, data=nonce, chat=GROUP, inaccessible=True)
        await hand.handled(elsewhere)
        assert hand.it.desk.sheet(draft).held.state == "pending"
        assert other["message"]["chat"]["id"] == OWNER


async def test_promise_8_the_first_decision_wins_and_the_card_says_whose(
    tmp_path: Path, tg: StandInTelegram
) -> None:
    async with phoned(tmp_path, tg) as hand:
        draft = await drafted(hand)
        card = await hand.shown(APPROVE)
        sheet = hand.it.desk.sheet(draft)
        hand.it.desk.reject(draft, sheet.held.digest, "ana", "at the terminal")
        answer = await hand.answer(tg.taps(OWNER, card["message_id"], data=_nonce(card)))
        assert "rejected already" in answer["text"] or "out of date" in answer["text"]
        await hand.reads("❌ rejected by ana")
        assert len(hand.it.destination.ledger) == 0


async def test_promise_9_a_new_revision_kills_the_old_cards(tmp_path: Path, tg: StandInTelegram) -> None:
    async with phoned(tmp_path, tg) as hand:
        draft = await drafted(hand)
        old = await hand.shown(APPROVE)
        hand.it.desk.edit(draft, hand.it.desk.sheet(draft).held.digest, "ana", {"text": "other"})
        new = await hand.shown(APPROVE, "other")
        assert new["message_id"] != old["message_id"]
        await hand.reads("There is a newer card below")
        assert buttons(tg.message(OWNER, old["message_id"])) == []
        answer = await hand.answer(tg.taps(OWNER, old["message_id"], data=_nonce(old)))
        assert "out of date" in answer["text"]
        assert hand.it.desk.sheet(draft).held.state == "pending"


async def test_promise_10_no_button_before_every_part_was_accepted(
    tmp_path: Path, tg: StandInTelegram
) -> None:
    async with phoned(tmp_path, tg) as hand:
        tg.script(*[Answers(429, "Too Many Requests", retry_after=1)] * 2, method="sendMessage")
        await drafted(hand, "return Note(text='word ' * 2000)")
        await hand.shown(APPROVE)
        calls = [call for call in tg.calls if call.method.startswith(("send", "edit")) and not call.refused]
        first = next(place for place, call in enumerate(calls) if "reply_markup" in call.params)
        parts = [call.params["text"] for call in calls[:first]]
        assert "goes on in part 2 of 3" in parts[0]
        assert "goes on in part 3 of 3" in parts[1]
        assert "▌end of draft" in parts[2]
        assert len(parts) == 3


async def test_promise_10_what_is_too_long_comes_as_a_document_that_can_be_approved(
    tmp_path: Path, tg: StandInTelegram
) -> None:
    async with phoned(tmp_path, tg) as hand:
        draft = await drafted(hand, "return Note(text='word ' * 10_000)")
        card = await hand.shown(APPROVE)
        upload = tg.chats.files[card["document"]["file_id"]]
        assert upload.content.decode() == hand.it.desk.sheet(draft).rendering
        assert hashlib.sha256(upload.content).hexdigest() in card["caption"]
        swapped = {"document": {**card["document"], "file_unique_id": "another"}}
        assert "not the card as it was sent" in (await hand.tap(APPROVE, altered=swapped))["text"]
        await hand.it.until(partial(_newer, hand, card["message_id"]))
        await hand.tap(APPROVE)
        await hand.it.event("delivery.delivered", draft=draft)
        await hand.reads("📬 delivered")


async def test_promise_10_a_card_that_telegram_altered_has_no_buttons(
    tmp_path: Path, tg: StandInTelegram, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with phoned(tmp_path, tg) as hand:
        real = tg._methods["sendMessage"]
        tg._methods["sendMessage"] = lambda call: {**real(call), "text": "hello, altered"}
        draft = await drafted(hand)
        await hand.it.event("card.altered", draft=draft)
        await hand.reads("Telegram changed this text")
        assert hand.button(APPROVE) is None


async def test_promise_12_a_card_that_is_not_as_it_was_sent_is_reissued(
    tmp_path: Path, tg: StandInTelegram
) -> None:
    async with phoned(tmp_path, tg) as hand:
        draft = await drafted(hand)
        for odd in ({"altered": {"text": "something else"}}, {"inaccessible": True}):
            card = await hand.shown(APPROVE)
            answer = await hand.tap(APPROVE, **odd)
            assert "not the card as it was sent" in answer["text"]
            await hand.it.until(partial(_newer, hand, card["message_id"]))
        assert hand.it.desk.sheet(draft).held.state == "pending"
        assert hand.it.count("decision.refused", reason="the card was not as it was sent") == 2
        await hand.tap(APPROVE)
        await hand.it.event("delivery.delivered", draft=draft)


async def test_promise_6_a_tap_that_comes_again_changes_nothing(tmp_path: Path, tg: StandInTelegram) -> None:
    async with phoned(tmp_path, tg) as hand:
        draft = await drafted(hand)
        card = await hand.shown(APPROVE)
        update = tg.taps(OWNER, card["message_id"], APPROVE)
        await hand.answer(update)
        for _ in range(3):
            tg.redeliver(update["update_id"])
        last = tg.says(OWNER, "/help")
        await hand.handled(last)
        await hand.it.event("delivery.delivered", draft=draft)
        assert hand.it.count("draft.approved") == 1
        assert hand.it.count("decision.refused") == 0


async def test_promise_18_while_stopped_a_tap_is_refused_and_the_card_says_why(
    tmp_path: Path, tg: StandInTelegram
) -> None:
    async with phoned(tmp_path, tg) as hand:
        draft = await drafted(hand)
        card = await hand.shown(APPROVE)
        tg.says(OWNER, "/stop too loud")
        await hand.reads("STOPPED: too loud (by owner 42)")
        await hand.reads("stopped: nothing is decided until /resume")
        answer = await hand.answer(tg.taps(OWNER, card["message_id"], data=_nonce(card)))
        assert answer["show_alert"] is True
        assert answer["text"] == "🛑 Stopped: too loud (by owner 42). Nothing is decided until /resume."
        assert hand.it.desk.sheet(draft).held.state == "pending"
        tg.says(OWNER, "/resume")
        assert hand.it.app.stop.reason is not None
        await hand.tap("Yes, resume")
        await hand.it.event("stop.released", by="owner 42")
        await hand.tap(APPROVE)
        await hand.it.event("delivery.delivered", draft=draft)


async def test_promise_18_a_yes_that_was_on_its_way_while_stop_came_and_went_is_none(
    tmp_path: Path, tg: StandInTelegram
) -> None:
    async with phoned(tmp_path, tg) as hand:
        draft = await drafted(hand)
        card = await hand.shown(APPROVE)
        with hand.it.app.store.change() as tx:
            stops.engage(tx, "too loud", "ana")
            stops.release(tx, "ana")
        answer = await hand.answer(tg.taps(OWNER, card["message_id"], data=_nonce(card)))
        assert "It has new buttons in a moment" in answer["text"]
        assert hand.it.desk.sheet(draft).held.state == "pending"
        old = _nonce(card)
        await hand.it.until(
            lambda: _nonce(hand.button(APPROVE) or card) != old, "other buttons below the card"
        )
        await hand.tap(APPROVE)
        await hand.it.event("delivery.delivered", draft=draft)


async def test_promise_18_what_a_menu_offered_while_stopped_is_no_yes_after_it(
    tmp_path: Path, tg: StandInTelegram
) -> None:
    async with phoned(tmp_path, tg) as hand:
        draft = await drafted(hand)
        await hand.shown(APPROVE)
        with hand.it.app.store.change() as tx:  # by another process, between two looks
            stops.engage(tx, "too loud", "ana")
            number = phone.posts_of(tx.connection, phone.cards_of(tx.connection, draft)[0].id)[-1].id
            rows = [[("Approve for the next free hour", "approve_at", "")]]
            digest = drafts.held(tx.connection, draft).digest
            ((key,),) = phone.put_buttons(tx, number, rows, draft, digest)
            stops.release(tx, "ana")
        card = await hand.shown(APPROVE)
        answer = await hand.answer(tg.taps(OWNER, card["message_id"], data=key["callback_data"]))
        assert "out of date" in answer["text"]
        assert hand.it.desk.sheet(draft).held.state == "pending"


async def test_a_card_is_put_right_while_much_else_happens(tmp_path: Path, tg: StandInTelegram) -> None:
    async with phoned(tmp_path, tg) as hand:
        await drafted(hand)
        card = await hand.shown(APPROVE)
        work = asyncio.create_task(_chatter(hand))
        hand.it.desk.halt("ana")
        await hand.it.until(lambda: hand.button(APPROVE) is None, "that no button says yes")
        hand.it.desk.resume("ana")
        assert (await hand.shown(APPROVE))["message_id"] == card["message_id"]
        work.cancel()


async def _chatter(hand: Hand) -> None:
    while True:
        hand.it.app.store.tell("page.fetched", run="r1", task="other")
        await asyncio.sleep(0.01)


async def test_a_phone_with_nothing_to_tell_commits_nothing(tmp_path: Path, tg: StandInTelegram) -> None:
    async with phoned(tmp_path, tg) as hand:
        await drafted(hand)
        await hand.shown(APPROVE)
        await hand.it.until(lambda: not hand.phone.feed._again)
        await asyncio.sleep(0.5)
        commits, store = [0], hand.it.app.store
        store.committed = partial(_counted, commits, store.committed)
        await asyncio.sleep(1)
        assert commits[0] < 3


def _counted(calls: list[int], further: Callable[[], None]) -> None:
    calls[0] += 1
    further()


async def test_the_card_of_a_draft_that_was_decided_is_put_right_at_the_next_start(
    tmp_path: Path, tg: StandInTelegram
) -> None:
    async with phoned(tmp_path, tg) as hand:
        draft = await drafted(hand)
        await hand.shown(APPROVE)
        digest = hand.it.desk.sheet(draft).held.digest
    async with rehearsal(tmp_path) as it:
        it.desk.reject(draft, digest, "ana", "no")
        it.app.store.prune(it.app.store.last_seq())  # what the phone never heard of
    async with phoned(tmp_path, tg) as hand:
        await hand.reads("rejected by ana")
        assert hand.button(APPROVE) is None


async def test_promise_19_a_resume_of_one_stop_is_none_of_the_next(
    tmp_path: Path, tg: StandInTelegram
) -> None:
    async with phoned(tmp_path, tg) as hand:
        hand.it.desk.halt("ana", "too loud")
        await hand.it.event("stop.engaged")
        tg.says(OWNER, "/resume")
        asked = await hand.shown("Yes, resume", "Stopped: too loud")
        hand.it.desk.resume("ana")
        hand.it.desk.halt("bob", "it is on fire")
        await hand.it.event("stop.engaged", by="the STOP file", reason="it is on fire")
        answer = await hand.answer(tg.taps(OWNER, asked["message_id"], "Yes, resume"))
        assert answer["text"] == "🛑 Stopped: it is on fire. Nothing is decided until /resume."
        assert hand.it.app.stop.reason is not None


async def test_promise_19_a_stop_file_of_somebodys_own_is_not_resumed_from_the_phone(
    tmp_path: Path, tg: StandInTelegram
) -> None:
    async with phoned(tmp_path, tg) as hand:
        (tmp_path / "STOP").touch()
        await hand.it.event("stop.engaged")
        tg.says(OWNER, "/resume")
        answer = await hand.tap("Yes, resume")
        assert "the runner did not write it" in answer["text"]
        assert hand.it.app.stop.reason is not None


async def test_an_answer_that_comes_too_late_undoes_no_decision(tmp_path: Path, tg: StandInTelegram) -> None:
    async with phoned(tmp_path, tg) as hand:
        draft = await drafted(hand)
        tg.script(EXPIRED, method="answerCallbackQuery")
        card = await hand.shown(APPROVE)
        tg.taps(OWNER, card["message_id"], APPROVE)
        await hand.it.event("delivery.delivered", draft=draft)


async def test_of_a_tap_and_a_command_at_the_same_time_one_decides(
    tmp_path: Path, tg: StandInTelegram
) -> None:
    async with phoned(tmp_path, tg) as hand:
        draft = await drafted(hand)
        card = await hand.shown(APPROVE)
        digest = hand.it.desk.sheet(draft).held.digest
        tg.taps(OWNER, card["message_id"], APPROVE)
        won = True
        try:
            await asyncio.to_thread(hand.it.desk.reject, draft, digest, "ana")
        except DecisionError:
            won = False
        await hand.reads("❌ rejected by ana" if won else "📬 delivered")
        assert len(hand.it.destination.effects) == (0 if won else 1)


def _nonce(card: dict[str, object]) -> str:
    markup = card["reply_markup"]
    assert isinstance(markup, dict)
    return str(markup["inline_keyboard"][0][0]["callback_data"])


def _is_sealed(hand: Hand, sealed: bool) -> bool:  # noqa: FBT001 - what is sought
    known = hand.it.app.catalog.tasks.get("note")
    return known is not None and known.limits.sealed is sealed


def _newer(hand: Hand, was: int) -> bool:
    found = hand.button(APPROVE)
    return found is not None and found["message_id"] > was
