"""What the phone shows and offers, one thing at a time: each kind of trouble, each button, each command's place."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from conftest import HandClock
from modules import note
from phones import APPROVE, GROUP, OWNER, REJECT, STRANGER, Hand, buttons, phoned, said
from test_cli import runner

from runner.rehearsal.telegram import Answers, StandInTelegram
from runner.review.telegram.commands import MENU
from runner.review.telegram.post import Pace
from runner.store import phone
from runner.tables import Phone

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def tg() -> AsyncIterator[StandInTelegram]:
    async with StandInTelegram() as server:
        yield server


async def drafted(hand: Hand, module: str) -> str:
    """A draft that waits; its id."""
    hand.it.drop("note.py", module)
    await hand.it.run("note")
    return (await hand.it.draft()).held.id


@pytest.mark.parametrize(
    ("body", "options", "words"),
    [
        ("run.degraded('half of the shops')", "", "note: run .* degraded: half of the shops"),
        ("while True: pass", "timeout=timedelta(seconds=1)", "note: run .* timeout: it took longer than its timeout"),
        ("raise ValueError('no luck')", "", "note: run .* error: ValueError: no luck"),
        ("await run.claude('a', max_tokens=60000)", "budget=0.0001", "note: .*budget"),
    ],
)  # fmt: skip
async def test_each_trouble_of_a_run_is_told(
    tmp_path: Path, tg: StandInTelegram, body: str, options: str, words: str
) -> None:
    async with phoned(tmp_path, tg) as hand:
        module = note(body, options=", ".join(filter(None, ["retries=0", options])))
        hand.it.drop("note.py", module.replace("from typing", "from datetime import timedelta\nfrom typing"))
        await hand.it.run("note")
        await hand.it.until(
            lambda: any(re.search(words, said(each), re.DOTALL) for each in tg.messages(OWNER))
        )


async def test_a_card_says_who_made_it_at_what_cost_and_where_it_goes(
    tmp_path: Path, tg: StandInTelegram
) -> None:
    async with phoned(tmp_path, tg) as hand:
        await drafted(hand, note("return await run.claude('Write a note.', returns=Note)"))
        top = said(await hand.shown(APPROVE)).partition("▌")[0]
        assert re.search(r"📝 note · run \w+ · claude-[\w-]+ · \$0\.\d{4}\n", top)
        assert (
            "Goes to: note · account rehearsal\nOn approve: Note delivers exactly what stands below, once"
            in top
        )
        assert re.search(r"Expires \w+ \d\d \w+ \d\d:\d\d · ", top)


async def test_a_card_is_plain_text_in_which_nothing_hides_or_is_markup(
    tmp_path: Path, tg: StandInTelegram
) -> None:
    async with phoned(tmp_path, tg) as hand:
        await drafted(
            hand, note("return Note(text='<b>a</b> *b* \\u202e c\\u200bd https://x.example.com/ @someone')")
        )
        card = await hand.shown(APPROVE)
        assert "<b>a</b> *b* ⟦U+202E⟧ c⟦U+200B⟧d https://x.example.com/ @someone" in said(card)
        assert {entity["type"] for entity in card["entities"]} == {"pre"}
        assert all("parse_mode" not in call.params for call in tg.calls)


async def test_a_reason_may_be_skipped(tmp_path: Path, tg: StandInTelegram) -> None:
    async with phoned(tmp_path, tg) as hand:
        draft = await drafted(hand, note())
        await hand.tap(REJECT)
        await hand.tap("no reason")
        assert (await hand.it.event("draft.rejected", draft=draft))["reason"] == ""


async def test_revise_goes_once_the_revisions_are_used_up(tmp_path: Path, tg: StandInTelegram) -> None:
    async with phoned(tmp_path, tg) as hand:
        await drafted(hand, note(options="revisions=1"))
        assert "🔁 Revise" in buttons(await hand.shown(APPROVE))
        await hand.tap("🔁 Revise")
        tg.says(OWNER, "again", reply_to=(await hand.reads("What is to change"))["message_id"])
        assert "🔁 Revise" not in buttons(await hand.shown(APPROVE, "revision 2"))


@pytest.mark.parametrize("words", ["this evening", "tomorrow morning"])
async def test_later_takes_the_card_away_until_then(tmp_path: Path, tg: StandInTelegram, words: str) -> None:
    async with phoned(tmp_path, tg) as hand:
        draft = await drafted(hand, note())
        await hand.tap("⏰ Later")
        assert "comes again" in (await hand.tap(words))["text"]
        await hand.it.until(lambda: hand.button(APPROVE) is None)
        assert hand.it.desk.sheet(draft).held.state == "pending"


async def test_the_commands_stand_in_telegrams_menu_for_the_owners_alone(
    tmp_path: Path, tg: StandInTelegram
) -> None:
    async with phoned(tmp_path, tg, telegram_owners=(OWNER, 43)):
        calls = [await tg.called("setMyCommands", number) for number in (1, 2)]
        scopes = [{"type": "chat", "chat_id": chat} for chat in (OWNER, 43)]
        assert [call.params["scope"] for call in calls] == scopes
        assert [each["command"] for each in calls[0].params["commands"]] == list(MENU)
        wanted = "tasks run pending runs log costs pause unpause stop resume status help"
        assert set(MENU) == set(wanted.split())


async def test_a_card_that_is_forwarded_decides_nothing_wherever_it_goes(
    tmp_path: Path, tg: StandInTelegram
) -> None:
    async with phoned(tmp_path, tg) as hand:
        draft = await drafted(hand, note("return Note(text='/stop')"))
        card = await hand.shown(APPROVE)
        for chat in (OWNER, GROUP):
            forwarded = tg.forwards(OWNER, card["message_id"], source=OWNER, chat=chat)
            await hand.handled(forwarded)
            number = forwarded["message"]["message_id"]
            await hand.handled(tg.says(OWNER, "warmer", chat=chat, reply_to=number))
            nonce = card["reply_markup"]["inline_keyboard"][0][0]["callback_data"]
            await hand.handled(tg.taps(OWNER, number, data=nonce, chat=chat))
        assert hand.it.desk.sheet(draft).held.state == "pending"
        assert hand.it.app.stop.reason is None
        assert hand.button("🔁 Yes, revise") is None


async def test_an_edited_message_is_no_command_and_no_answer(tmp_path: Path, tg: StandInTelegram) -> None:
    async with phoned(tmp_path, tg) as hand:
        first = tg.says(OWNER, "hello")
        await hand.handled(first)
        tg.edits(OWNER, first["message"]["message_id"], "/stop")
        await hand.handled(tg.says(OWNER, "later"))
        assert hand.it.app.stop.reason is None


async def test_promise_6_updates_that_come_in_another_order_change_nothing(
    tmp_path: Path, tg: StandInTelegram
) -> None:
    async with phoned(tmp_path, tg) as hand:
        draft = await drafted(hand, note())
        card = await hand.shown(APPROVE)
        tg.updates.order = lambda found: found[::-1]
        taps = [tg.taps(OWNER, card["message_id"], APPROVE) for _ in range(3)]
        for each in taps:
            tg.redeliver(each["update_id"])
            await hand.handled(each)
        await hand.it.event("delivery.delivered", draft=draft)
        assert hand.it.count("draft.approved") == 1


async def test_a_phone_that_is_frozen_says_so_at_the_terminal(tmp_path: Path, tg: StandInTelegram) -> None:
    tg.account.webhook = "https://elsewhere.example.com/"
    async with phoned(tmp_path, tg) as hand:
        await hand.it.event("telegram.frozen")
        told = runner(tmp_path, "status")
        assert "a webhook at elsewhere.example.com" in " ".join(told.split())


async def test_no_more_messages_than_telegram_takes_in_all(tmp_path: Path, tg: StandInTelegram) -> None:
    async with phoned(tmp_path, tg, telegram_owners=(OWNER, 43)) as hand:
        hand.phone.sender.pace = Pace(chat_s=0, all_s=3600)
        with hand.it.app.store.change() as tx:
            for chat in (OWNER, 43):
                phone.add_post(tx, chat, "answer", {"text": f"to {chat}", "entities": []})
        await hand.it.until(lambda: len(tg.messages(OWNER)) + len(tg.messages(43)) == 1)
        hand.phone.sender.look()
        await hand.handled(tg.says(OWNER, "hello"))
        assert (
            len([each for chat in (OWNER, 43) for each in tg.messages(chat) if said(each).startswith("to ")])
            == 1
        )
    assert Pace().all_s >= 1 / 30
    assert Pace().chat_s >= 1


async def test_the_quiet_hours_hold_a_card_until_they_end(tmp_path: Path, tg: StandInTelegram) -> None:
    async with phoned(
        tmp_path, tg, telegram=Phone(quiet_hours="00:00-23:59", digest_at=""), timezone="UTC"
    ) as hand:
        draft = await drafted(hand, note())
        await hand.it.until(lambda: _held(hand, draft))
        assert hand.button(APPROVE) is None
        clock = HandClock()
        clock.at = hand.it.app.store.clock.now() + timedelta(days=1)
        hand.it.app.store.clock = clock
        hand.phone.sender.look()
        await hand.shown(APPROVE)


def _held(hand: Hand, draft: str) -> bool:
    with hand.it.app.store.read() as connection:
        return bool(phone.cards_of(connection, draft))


@pytest.mark.parametrize(
    "text", ["a" * 3000 + "👋🏽e\u0301" * 700, "w \n" * 1500, "\u202e\u200b\U000e0041" * 400]
)
async def test_promise_10_what_the_phone_shows_is_what_is_delivered(
    tmp_path: Path, tg: StandInTelegram, text: str
) -> None:
    async with phoned(tmp_path, tg) as hand:
        draft = await drafted(hand, note(f"return Note(text={text!r})"))
        await hand.shown(APPROVE)
        shown = "".join(map(_content, tg.messages(OWNER)))
        _, _, field = shown.partition("▌text\n")
        read = re.sub(r"⟦U\+([0-9A-F]{4,6})⟧", lambda match: chr(int(match[1], 16)), field)
        await hand.tap(APPROVE)
        await hand.it.event("delivery.delivered", draft=draft)
        (arrival,) = hand.it.destination.effects
        assert json.loads(arrival.body) == {"text": read} == {"text": text}


def _content(message: dict[str, Any]) -> str:
    """What stands in a message's `pre`, as a person could copy it; or the document that it carries."""
    code = said(message).encode("utf-16-le")
    spans = [
        (2 * each["offset"], 2 * each["length"])
        for each in message.get("entities", [])
        if each["type"] == "pre"
    ]
    return "".join(code[start : start + length].decode("utf-16-le") for start, length in spans)


async def test_a_stranger_who_taps_forwards_and_writes_gets_no_answer(
    tmp_path: Path, tg: StandInTelegram
) -> None:
    async with phoned(tmp_path, tg) as hand:
        for words in ("/start", "/status", "/pending", "approve"):
            await hand.handled(tg.says(STRANGER, words))
        assert [each for each in tg.messages(STRANGER) if each["from"]["is_bot"]] == []
        assert hand.it.count("telegram.stranger", person=STRANGER) == 1


async def test_telegram_slow_and_unreachable_loses_no_card(tmp_path: Path, tg: StandInTelegram) -> None:
    async with phoned(tmp_path, tg) as hand:
        tg.script(*[Answers(500, "Internal Server Error")] * 3, method="sendMessage")
        draft = await drafted(hand, note())
        await hand.tap(APPROVE)
        await hand.it.event("delivery.delivered", draft=draft)
