"""Files on the phone: shown as what they are, each with its proof, before anything can be decided."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest
from phones import APPROVE, OWNER, Hand, buttons, phoned, said
from pictures import CSV, PNG, showing

from runner.rehearsal.destination import DropsResponse
from runner.rehearsal.telegram import Answers, StandInTelegram

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def tg() -> AsyncIterator[StandInTelegram]:
    async with StandInTelegram() as server:
        yield server


async def drafted(hand: Hand) -> str:
    """A draft with a picture and a table; its id."""
    hand.it.drop("showing.py", showing())
    await hand.it.run("showing")
    return (await hand.it.draft()).held.id


def carried(tg: StandInTelegram, message: dict[str, Any]) -> bytes:
    """The file of a message, as the phone has it."""
    file = message.get("document") or message["photo"][-1]
    return tg.chats.files[file["file_id"]].content


async def test_promise_10_the_phone_shows_each_file_as_what_it_is_and_what_it_showed_is_delivered(
    tmp_path: Path, tg: StandInTelegram
) -> None:
    async with phoned(tmp_path, tg) as hand:
        draft = await drafted(hand)
        card = await hand.shown(APPROVE)
        picture, table = await hand.reads("attachment 1 of 2"), await hand.reads("attachment 2 of 2")
        assert ("photo" in picture, "document" in table) == (True, True)
        assert table["document"]["file_name"] == "orders.csv"
        assert picture["message_id"] < table["message_id"] < card["message_id"]
        assert "2 attachments, above" in said(card)
        for message, content in ((picture, PNG), (table, CSV)):
            assert carried(tg, message) == content
            assert hashlib.sha256(content).hexdigest() in said(message)
            assert draft in said(message)
            assert buttons(message) == []
        await hand.tap(APPROVE)
        await hand.it.event("delivery.delivered", draft=draft)
        shown = [carried(tg, each) for each in (picture, table)]
        assert [each.body for each in hand.it.destination.effects] == shown


async def test_promise_10_no_button_before_every_file_was_accepted(
    tmp_path: Path, tg: StandInTelegram
) -> None:
    async with phoned(tmp_path, tg) as hand:
        tg.script(
            Answers(502, "Bad Gateway"), Answers(429, "Too Many Requests", retry_after=0), method="sendPhoto"
        )
        await drafted(hand)
        await hand.shown(APPROVE)
        calls = [call for call in tg.calls if call.method.startswith(("send", "edit")) and not call.refused]
        first = next(place for place, call in enumerate(calls) if "reply_markup" in call.params)
        assert [call.method for call in calls[:first]] == ["sendPhoto", "sendDocument", "sendMessage"]


async def test_a_card_of_which_a_file_was_lost_is_dead_and_another_comes(
    tmp_path: Path, tg: StandInTelegram
) -> None:
    async with phoned(tmp_path, tg) as hand:
        tg.script(DropsResponse(), method="sendDocument")
        await drafted(hand)
        await hand.tap(APPROVE)
        await hand.it.event("delivery.delivered")
        assert len([each for each in tg.messages(OWNER) if "attachment 2 of 2" in said(each)]) == 2
        assert len([each for each in tg.messages(OWNER) if "▌end of draft" in said(each)]) == 1


async def test_a_picture_that_telegram_can_not_show_comes_as_a_file(
    tmp_path: Path, tg: StandInTelegram
) -> None:
    async with phoned(tmp_path, tg) as hand:
        tg.script(Answers(400, "Bad Request: PHOTO_INVALID_DIMENSIONS"), method="sendPhoto")
        draft = await drafted(hand)
        await hand.shown(APPROVE)
        picture = await hand.reads("attachment 1 of 2")
        assert carried(tg, picture) == PNG
        assert picture["document"]["file_name"] == "dot.png"
        await hand.tap(APPROVE)
        await hand.it.event("delivery.delivered", draft=draft)


@pytest.mark.parametrize("method", ["sendPhoto", "sendDocument"])
async def test_promise_12_a_card_of_which_telegram_kept_another_file_has_no_buttons(
    tmp_path: Path, tg: StandInTelegram, method: str
) -> None:
    async with phoned(tmp_path, tg) as hand:
        real = tg._methods[method]

        def without(call: Any) -> dict[str, Any]:
            message = dict(real(call))
            if method == "sendPhoto":
                return {name: value for name, value in message.items() if name != "photo"}
            return {**message, "document": {**message["document"], "file_size": 3}}

        tg._methods[method] = without
        draft = await drafted(hand)
        await hand.it.event("card.altered", draft=draft)
        await hand.reads("Telegram changed this text")
        assert hand.button(APPROVE) is None


async def test_a_file_that_is_damaged_in_the_store_is_not_shown_and_that_is_told(
    tmp_path: Path, tg: StandInTelegram
) -> None:
    async with phoned(tmp_path, tg, telegram_token=None) as hand:
        draft = await drafted(hand)
        with hand.it.app.store.change() as tx:
            tx.connection.exec_driver_sql("UPDATE attachments SET content = x'00'")
    async with phoned(tmp_path, tg) as hand:
        event = await hand.it.event("telegram.refused", draft=draft)
        assert "is not in the store as it was shown" in event["reason"]
        assert hand.button(APPROVE) is None


async def test_an_edit_on_the_phone_asks_for_words_and_never_for_files(
    tmp_path: Path, tg: StandInTelegram
) -> None:
    async with phoned(tmp_path, tg) as hand:
        draft = await drafted(hand)
        await hand.tap("✏️ Edit")
        question = await hand.reads("Send the new text of text")
        tg.says(OWNER, "my own words", reply_to=question["message_id"])
        await hand.it.event("draft.edited", draft=draft)
        await hand.tap(APPROVE, "my own words")
        await hand.it.event("delivery.delivered", draft=draft)
        assert [each.body for each in hand.it.destination.effects] == [PNG, CSV]
