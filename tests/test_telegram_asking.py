"""What takes more than one tap: edits, revisions, reasons, hours, what is uncertain; and commands."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from modules import note
from phones import APPROVE, OWNER, REJECT, Hand, buttons, phoned, said
from test_store import put

from runner.clock import parse
from runner.rehearsal.destination import DropsResponse
from runner.rehearsal.telegram import StandInTelegram
from runner.review.telegram.hours import free, is_quiet, later, next_at
from runner.settings import load
from runner.store import drafts, phone, slots

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

EDIT, REVISE, LATER, UNDO = "✏️ Edit", "🔁 Revise", "⏰ Later", "↩️ Undo"
TWO = note("return Note(text='hello', count=1)", extra="count: int = 0")


@pytest.fixture
async def tg() -> AsyncIterator[StandInTelegram]:
    async with StandInTelegram() as server:
        yield server


async def drafted(hand: Hand, module: str) -> str:
    """A draft that waits; its id."""
    hand.it.drop("note.py", module)
    await hand.it.run("note")
    return (await hand.it.draft()).held.id


async def asked(hand: Hand, words: str) -> int:
    """The message that asks for words."""
    return int((await hand.reads(words))["message_id"])


async def test_an_edit_becomes_a_revision_that_asks_again(tmp_path: Path, tg: StandInTelegram) -> None:
    async with phoned(tmp_path, tg) as hand:
        draft = await drafted(hand, note())
        await hand.tap(EDIT)
        question = await asked(hand, "Send the new text of text")
        tg.says(OWNER, "my own words", reply_to=question)
        await hand.reads("has your words now")
        card = await hand.shown(APPROVE, "my own words")
        assert "revision 2" in said(card)
        tg.says(OWNER, "and again", reply_to=question)
        await hand.reads("Nothing was changed")
        await hand.tap(APPROVE, "my own words")
        await hand.it.event("delivery.delivered", draft=draft)
        (arrival,) = hand.it.destination.effects
        assert arrival.body == b'{"text":"my own words"}'


async def test_an_edit_of_several_fields_asks_which(tmp_path: Path, tg: StandInTelegram) -> None:
    async with phoned(tmp_path, tg) as hand:
        draft = await drafted(hand, TWO)
        await hand.tap(EDIT)
        await hand.tap("← Back")
        await hand.tap(EDIT)
        await hand.tap("count")
        question = await asked(hand, "Send the new text of count")
        tg.says(OWNER, "many", reply_to=question)
        await hand.reads("count must be JSON")
        tg.says(OWNER, "7", reply_to=question)
        await hand.it.event("draft.edited", draft=draft)
        assert hand.it.desk.sheet(draft).fields == {"text": "hello", "count": 7}


async def test_a_revision_runs_with_the_feedback(tmp_path: Path, tg: StandInTelegram) -> None:
    async with phoned(tmp_path, tg) as hand:
        draft = await drafted(hand, note("return await run.claude('Write a note.', returns=Note)"))
        await hand.tap(REVISE)
        tg.says(OWNER, "shorter, please", reply_to=await asked(hand, "What is to change"))
        event = await hand.it.event("draft.revised", draft=draft)
        assert event["feedback"] == "shorter, please"
        await hand.shown(APPROVE, "revision 2")


async def test_a_draft_that_was_revised_often_enough_offers_no_revision(
    tmp_path: Path, tg: StandInTelegram
) -> None:
    async with phoned(tmp_path, tg) as hand:
        await drafted(hand, note(options="revisions=0"))
        assert REVISE not in buttons(await hand.shown(APPROVE))


async def test_a_reply_to_a_card_is_feedback_once_a_tap_says_so(tmp_path: Path, tg: StandInTelegram) -> None:
    async with phoned(tmp_path, tg) as hand:
        draft = await drafted(hand, note())
        card = await hand.shown(APPROVE)
        tg.says(OWNER, "warmer", reply_to=card["message_id"])
        await hand.shown("🔁 Yes, revise")
        assert hand.it.desk.sheet(draft).held.state == "pending"
        await hand.tap("🔁 Yes, revise")
        event = await hand.it.event("draft.revising", draft=draft)
        assert (event["feedback"], event["by"]) == ("warmer", "owner 42")
        await hand.it.until(lambda: hand.button("🔁 Yes, revise") is None)


async def test_a_no_may_be_in_ones_own_words(tmp_path: Path, tg: StandInTelegram) -> None:
    async with phoned(tmp_path, tg) as hand:
        draft = await drafted(hand, note())
        await hand.tap(REJECT)
        await hand.tap("in my words…")
        tg.says(OWNER, "we said that last week", reply_to=await asked(hand, "Why not"))
        event = await hand.it.event("draft.rejected", draft=draft)
        assert event["reason"] == "we said that last week"


async def test_later_brings_the_card_again_at_its_hour(tmp_path: Path, tg: StandInTelegram) -> None:
    async with phoned(tmp_path, tg) as hand:
        draft = await drafted(hand, note())
        await hand.tap(LATER)
        assert "comes again" in (await hand.tap("in 1 h"))["text"]
        await hand.it.until(lambda: hand.button(APPROVE) is None)
        with hand.it.app.store.read() as connection:
            (card,) = phone.cards_of(connection, draft)
            (post,) = phone.posts_of(connection, card.id)
        assert 3500 < (parse(post.not_before) - hand.it.app.store.clock.now()).total_seconds() <= 3600
        tg.says(OWNER, "/pending")
        await hand.shown(APPROVE)


async def test_an_approval_for_the_next_free_hour_can_be_undone(tmp_path: Path, tg: StandInTelegram) -> None:
    async with phoned(tmp_path, tg) as hand:
        draft = await drafted(hand, note())
        await hand.tap(LATER)
        await hand.tap("✅ Approve for the next free hour")
        hour = hand.it.desk.sheet(draft).held.not_before
        assert hour is not None
        assert hour.minute == hour.second == 0
        await hand.reads("goes out")
        await hand.tap(UNDO)
        await hand.it.event("draft.returned", draft=draft)
        await hand.shown(APPROVE, "taken back by owner 42")


def fill(hand: Hand, hours: int) -> datetime:
    """Approved drafts for each of the next full hours; the first hour that is free after them."""
    hour = free(hand.it.app.store, hand.phone.cards.zone)
    with hand.it.app.store.change() as tx:
        for number in range(hours):
            put(tx, f"taken{number}")
            held = drafts.held(tx.connection, f"taken{number}")
            drafts.approve(tx, held, "ana", hour + timedelta(hours=number))
    return hour + timedelta(hours=hours)


async def test_the_next_free_hour_of_a_full_day_is_the_next_days(tmp_path: Path, tg: StandInTelegram) -> None:
    async with phoned(tmp_path, tg) as hand:
        draft = await drafted(hand, note())
        hour = fill(hand, 30)
        await hand.tap(LATER, draft)
        answer = await hand.tap("✅ Approve for the next free hour")
        assert hand.it.desk.sheet(draft).held.not_before == hour
        assert f"{hour.astimezone(hand.phone.cards.zone):%a %H:%M}" in answer["text"]


async def test_where_no_hour_is_free_before_it_expires_nothing_is_approved(
    tmp_path: Path, tg: StandInTelegram
) -> None:
    async with phoned(tmp_path, tg) as hand:
        draft = await drafted(
            hand,
            note(options="expires=timedelta(hours=20)").replace(
                "from typing", "from datetime import timedelta\nfrom typing"
            ),
        )
        fill(hand, 24)
        await hand.tap(LATER, draft)
        answer = await hand.tap("✅ Approve for the next free hour")
        assert "expires before that hour" in answer["text"]
        assert answer["show_alert"] is True
        assert hand.it.desk.sheet(draft).held.state == "pending"


@pytest.mark.parametrize(("words", "state"), [("It was delivered", "delivered"), ("It was not", "pending")])
async def test_what_is_uncertain_is_resolved_by_who_looked(
    tmp_path: Path, tg: StandInTelegram, words: str, state: str
) -> None:
    async with phoned(tmp_path, tg) as hand:
        hand.it.destination.script(DropsResponse())
        draft = await drafted(hand, note())
        await hand.tap(APPROVE)
        await hand.it.event("delivery.uncertain", draft=draft)
        assert "being asked" in (await hand.tap("🔎 Look again"))["text"]
        await hand.tap(words)
        assert hand.it.desk.sheet(draft).held.state == state
        await hand.it.until(lambda: hand.button(words) is None)


async def test_commands_do_what_they_say_and_once(tmp_path: Path, tg: StandInTelegram) -> None:
    async with phoned(tmp_path, tg) as hand:
        draft = await drafted(hand, note("return Note(text=run.id)", options="max_pending=2"))
        run = tg.says(OWNER, "/run note")
        await hand.reads("of note is queued")
        tg.redeliver(run["update_id"])
        await hand.it.until(lambda: hand.it.count("draft.pending") == 2)
        for said_, answer in (
            ("/run note", "decide on them first"),
            ("/run nothing", "there is no task 'nothing'"),
            ("/pause note", "Paused note"),
            ("/unpause note", "Unpaused note"),
            ("/unpause note", "note is not paused"),
            ("/pause nothing", "There is no task 'nothing'"),
            ("/tasks@rehearsal_bot", "note: On demand"),
            ("/runs", "note: ok"),
            ("/log", "waits: runner show"),
            ("/costs", "Nothing."),
            ("/status", "Drafts: 2 pending"),
            ("/resume", "no stop is in force"),
        ):
            tg.says(OWNER, said_)
            await hand.reads(answer)
        assert hand.it.count("run.started") == 2
        tg.says(OWNER, "/pending")
        await hand.reads("1 more wait")
        await hand.tap("▶ Next")
        await hand.reads("▌end of draft", chat=OWNER)
        with hand.it.app.store.read() as connection:
            assert slots.paused(connection) == {}
        assert draft


SLOW = "import time, pathlib\nwhile not pathlib.Path(__file__).with_name('go.txt').exists():\n    time.sleep(0.01)\n"


async def answered(hand: Hand, command: str) -> str:
    """What a command was answered."""
    number = hand.tg.says(OWNER, command)["message"]["message_id"]

    def answer() -> str:
        found = (
            each
            for each in hand.tg.messages(OWNER)
            if each.get("reply_to_message", {}).get("message_id") == number
        )
        return "".join(map(said, found))

    await hand.it.until(lambda: bool(answer()), f"the answer to {command}")
    return answer()


async def test_after_a_stop_nobody_is_told_that_a_task_is_not_there_before_tasks_were_read(
    tmp_path: Path, tg: StandInTelegram
) -> None:
    async with phoned(tmp_path, tg) as hand:
        hand.it.desk.halt("ana")
        await hand.it.event("stop.engaged")
        hand.it.drop("note.py", SLOW + note())
        tg.says(OWNER, "/resume")
        await hand.tap("Yes, resume")
        for command in ("/run note", "/pause note", "/tasks"):
            assert "tasks/ is read again" in await answered(hand, command)
        (tmp_path / "tasks" / "go.txt").touch()
        await hand.it.event("task.loaded", task="note")
        await hand.it.until(lambda: not hand.it.app.halt.was_stopped and hand.it.app._catching_up is None)
        assert "there is no task 'other'" in await answered(hand, "/run other")
        assert "of note is queued" in await answered(hand, "/run note")


async def test_words_that_nobody_asked_for_and_other_bots_commands_mean_nothing(
    tmp_path: Path, tg: StandInTelegram
) -> None:
    async with phoned(tmp_path, tg) as hand:
        for words in ("hello", "/stop@other_bot", "/fly", "approve it"):
            await hand.handled(tg.says(OWNER, words))
        assert hand.it.app.stop.reason is None
        assert [each for each in tg.messages(OWNER) if each["from"]["is_bot"]] == []


def test_hours_are_the_owners(tmp_path: Path) -> None:
    zone = load(tmp_path).model_copy(update={"timezone": "Europe/Berlin"}).zone
    noon = datetime(2026, 11, 24, 12, tzinfo=UTC)

    def hour(at: datetime | None) -> str:
        return f"{at:%d %H:%M}" if at else ""

    assert [hour(later(word, noon, zone)) for word in ("1h", "evening", "morning")] == [
        "24 13:00",
        "24 17:00",
        "25 07:00",
    ]
    night = noon.replace(hour=22)
    assert hour(later("evening", night, zone)) == "25 17:00"
    assert hour(is_quiet("22:00-07:30", night, zone)) == "25 06:30"
    assert hour(is_quiet("22:00-07:30", noon, zone)) == ""
    assert hour(is_quiet("12:00-14:00", noon, zone)) == "24 13:00"
    assert is_quiet("", noon, zone) is None
    assert next_at(noon.time(), noon, zone) > noon
