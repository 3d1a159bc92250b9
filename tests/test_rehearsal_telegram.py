"""The stand-in Telegram keeps the Bot API's semantics, as the real client library meets them."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from typing import Any

import httpx
import pytest
import telegram
from hypothesis import given
from hypothesis import strategies as st
from telegram import (
    Bot,
    BotCommand,
    BotCommandScopeChat,
    ForceReply,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    InputMediaDocument,
    InputMediaPhoto,
    LinkPreviewOptions,
    Message,
    MessageEntity,
    ReplyParameters,
)
from telegram.error import BadRequest, Conflict, Forbidden, InvalidToken, NetworkError, RetryAfter, TimedOut

from runner.rehearsal.destination import Delays, DropsRequest, DropsResponse
from runner.rehearsal.telegram import EXPIRED, Answers, Stalls, StandInTelegram
from runner.rehearsal.telegram.text import kept, units

OWNER, GROUP = 42, -100500
KEYBOARD = InlineKeyboardMarkup(
    [
        [
            InlineKeyboardButton("Approve", callback_data="a:1"),
            InlineKeyboardButton("Reject", callback_data="r:1"),
        ],
        [InlineKeyboardButton("Look", url="https://example.com")],
    ]
)


@pytest.fixture
async def tg() -> AsyncIterator[StandInTelegram]:
    async with StandInTelegram() as server:
        yield server


def bot_of(tg: StandInTelegram, token: str | None = None) -> Bot:
    return Bot(token or tg.token, base_url=f"{tg.url}/bot", base_file_url=f"{tg.url}/file/bot")


@pytest.fixture
async def bot(tg: StandInTelegram) -> AsyncIterator[Bot]:
    async with bot_of(tg) as bot:
        yield bot


def as_sent(message: telegram.MaybeInaccessibleMessage | None) -> Message:
    assert isinstance(message, Message)
    return message


async def test_a_bot_knows_itself(tg: StandInTelegram, bot: Bot) -> None:
    assert (await bot.get_me()).id == 700000001
    assert bot.username == "rehearsal_bot"
    assert (await tg.called("getMe", 2)).params == {}


async def test_a_wrong_token_and_an_unknown_method_are_refused(tg: StandInTelegram, bot: Bot) -> None:
    with pytest.raises(InvalidToken, match="was rejected"):
        await bot_of(tg, "700000001:other").__aenter__()
    with pytest.raises(telegram.error.EndPointNotFound):
        await bot.do_api_request("flyToTheMoon")
    async with httpx.AsyncClient(base_url=tg.url) as client:
        assert (await client.get("/elsewhere")).json() == {
            "ok": False,
            "error_code": 404,
            "description": "Not Found",
        }
        assert (await client.get(f"/bot{tg.token}/GETME")).json()["result"]["is_bot"] is True


async def test_an_update_comes_until_a_later_offset_is_asked_for(tg: StandInTelegram, bot: Bot) -> None:
    first, second = tg.says(OWNER, "one"), tg.says(OWNER, "two")
    for _ in range(2):
        assert [update.message.text for update in await bot.get_updates() if update.message] == ["one", "two"]
    (left,) = await bot.get_updates(offset=second["update_id"])
    assert left.update_id == second["update_id"] == first["update_id"] + 1
    assert await bot.get_updates(offset=second["update_id"] + 1) == ()
    assert await bot.get_updates() == ()


async def test_a_negative_offset_counts_from_the_end_and_forgets_the_rest(
    tg: StandInTelegram, bot: Bot
) -> None:
    ids = [tg.says(OWNER, f"{number}")["update_id"] for number in range(5)]
    assert [update.update_id for update in await bot.get_updates(offset=-2)] == ids[3:]
    assert [update.update_id for update in await bot.get_updates(limit=1)] == ids[3:4]


async def test_a_long_poll_ends_with_the_first_update(tg: StandInTelegram, bot: Bot) -> None:
    poll = asyncio.create_task(bot.get_updates(timeout=60))
    await tg.called("getUpdates")
    said = tg.says(OWNER, "hello")
    (update,) = await poll
    assert update.update_id == said["update_id"]
    assert update.effective_user is not None
    assert update.effective_user.id == OWNER


async def test_a_long_poll_ends_when_its_time_is_up(bot: Bot) -> None:
    assert await bot.get_updates(timeout=1) == ()


async def test_a_poll_whose_client_left_is_no_longer_open(tg: StandInTelegram, bot: Bot) -> None:
    with pytest.raises(TimedOut):
        await bot.get_updates(timeout=60, read_timeout=-59.9)
    said = tg.says(OWNER, "hello")
    assert [update.update_id for update in await bot.get_updates(timeout=60)] == [said["update_id"]]


async def test_of_two_open_polls_the_older_gets_a_conflict(tg: StandInTelegram, bot: Bot) -> None:
    async with bot_of(tg) as other:
        older = asyncio.create_task(bot.get_updates(timeout=60))
        await tg.called("getUpdates", 1)
        newer = asyncio.create_task(other.get_updates(timeout=60))
        with pytest.raises(Conflict, match="terminated by other getUpdates request"):
            await older
        tg.says(OWNER, "hello")
        assert len(await newer) == 1


async def test_no_poll_beside_a_webhook(tg: StandInTelegram, bot: Bot) -> None:
    poll = asyncio.create_task(bot.get_updates(timeout=60))
    await tg.called("getUpdates")
    await bot.set_webhook("https://example.com/hook")
    with pytest.raises(Conflict, match="setWebhook"):
        await poll
    tg.says(OWNER, "hello")
    with pytest.raises(Conflict, match="webhook is active"):
        await bot.get_updates()
    info = await bot.get_webhook_info()
    assert (info.url, info.pending_update_count) == ("https://example.com/hook", 1)
    await bot.delete_webhook(drop_pending_updates=True)
    assert await bot.get_updates() == ()


async def test_only_kinds_that_are_allowed_are_queued(tg: StandInTelegram, bot: Bot) -> None:
    await bot.get_updates(allowed_updates=["edited_message"])
    said = tg.says(OWNER, "one")["message"]
    edited = tg.edits(OWNER, said["message_id"], "two")
    assert [update.update_id for update in await bot.get_updates()] == [edited["update_id"]]
    await bot.get_updates(offset=edited["update_id"] + 1, allowed_updates=[])
    tg.says(OWNER, "three")
    assert len(await bot.get_updates()) == 1


async def test_an_update_can_be_delivered_twice(tg: StandInTelegram, bot: Bot) -> None:
    said = tg.says(OWNER, "hello")["update_id"]
    await bot.get_updates(offset=said + 1)
    poll = asyncio.create_task(bot.get_updates(offset=said + 1, timeout=60))
    await tg.called("getUpdates", 2)
    tg.redeliver(said)
    assert [update.update_id for update in await poll] == [said]
    assert await bot.get_updates() == ()


async def test_an_update_that_nobody_asked_for_within_a_day_is_gone(tg: StandInTelegram, bot: Bot) -> None:
    now = time.time()
    for age in (86_401, 86_000, 0):
        tg.updates.now = partial(float, now - age)
        tg.says(OWNER, f"{age} s ago")
    found = await bot.get_updates()
    assert [each.message.text for each in found if each.message] == ["86000 s ago", "0 s ago"]


async def test_updates_may_come_in_another_order(tg: StandInTelegram, bot: Bot) -> None:
    tg.updates.order = lambda found: found[::-1]
    numbers = [tg.says(OWNER, word)["update_id"] for word in ("one", "two", "three")]
    assert [each.update_id for each in await bot.get_updates()] == numbers[::-1]


async def test_a_forwarded_message_says_whose_it_was_and_has_no_buttons(
    tg: StandInTelegram, bot: Bot
) -> None:
    sent = await bot.send_message(OWNER, "Post this?", reply_markup=KEYBOARD)
    tg.forwards(OWNER, sent.message_id, chat=GROUP)
    (update,) = await bot.get_updates()
    assert update.message is not None
    assert update.message.forward_origin is not None
    assert (update.message.text, update.message.chat.id, update.message.reply_markup) == (
        "Post this?",
        GROUP,
        None,
    )


async def test_a_message_stands_in_its_chat_as_it_was_sent(tg: StandInTelegram, bot: Bot) -> None:
    entity = MessageEntity("pre", offset=0, length=5)
    sent = await bot.send_message(
        OWNER,
        "Hello 👋 see https://example.com.",
        entities=[entity],
        reply_markup=KEYBOARD,
        link_preview_options=LinkPreviewOptions(is_disabled=True),
        disable_notification=True,
    )
    (kept,) = tg.messages(OWNER)
    assert telegram.Message.de_json(kept, bot) == sent
    assert sent.text == "Hello 👋 see https://example.com."
    assert sent.entities == (entity, MessageEntity("url", offset=13, length=19))
    assert sent.reply_markup == KEYBOARD
    assert sent.link_preview_options == LinkPreviewOptions(is_disabled=True)
    assert (await tg.called("sendMessage")).params["disable_notification"] is True


async def test_a_message_has_4096_utf_16_units_and_an_emoji_takes_two(tg: StandInTelegram, bot: Bot) -> None:
    assert (await bot.send_message(OWNER, "👋" * 2048)).text == "👋" * 2048
    for text, said in [("👋" * 2048 + "!", "Message is too long"), (" \n", "Message text is empty")]:
        with pytest.raises(BadRequest, match=said):
            await bot.send_message(OWNER, text)
    assert len(tg.messages(OWNER)) == 1
    assert [bool(call.refused) for call in tg.calls][1:] == [False, True, True]


async def test_text_comes_back_cleaned_as_the_servers_do_it(bot: Bot) -> None:
    entities = [MessageEntity("bold", offset=4, length=2), MessageEntity("italic", offset=8, length=9)]
    sent = await bot.send_message(OWNER, " \n\u202e\rab\tcd e \n", entities=entities)
    assert sent.text == "ab cd e"
    assert [(entity.offset, entity.length) for entity in sent.entities] == [(0, 2), (4, 3)]
    found = await bot.send_message(OWNER, "/start @someone #tag a@b.com www.example.com code", entities=[])
    assert [entity.type for entity in found.entities] == ["bot_command", "mention", "hashtag", "email", "url"]
    with pytest.raises(BadRequest, match="unsupported type"):
        await bot.send_message(OWNER, "x", entities=[MessageEntity("shout", offset=0, length=1)])
    with pytest.raises(BadRequest, match="no markup"):
        await bot.send_message(OWNER, "<b>x</b>", parse_mode="HTML")


@pytest.mark.parametrize(
    ("button", "said"),
    [
        (InlineKeyboardButton("x", callback_data="é" * 33), "Button_data_invalid"),
        (InlineKeyboardButton("x"), "text buttons are unallowed"),
    ],
)
async def test_a_button_that_telegram_would_refuse_is_refused(
    bot: Bot, button: InlineKeyboardButton, said: str
) -> None:
    with pytest.raises(BadRequest, match=said):
        await bot.send_message(OWNER, "x", reply_markup=InlineKeyboardMarkup.from_button(button))


async def test_a_keyboard_has_at_most_a_hundred_buttons(bot: Bot) -> None:
    button = InlineKeyboardButton("x", callback_data="é" * 32)
    await bot.send_message(OWNER, "x", reply_markup=InlineKeyboardMarkup([[button]] * 100))
    with pytest.raises(BadRequest, match="markup is too long"):
        await bot.send_message(OWNER, "x", reply_markup=InlineKeyboardMarkup([[button]] * 101))


async def test_a_reply_carries_the_message_it_answers(tg: StandInTelegram, bot: Bot) -> None:
    asked = await bot.send_message(OWNER, "What should change?", reply_markup=ForceReply())
    assert asked.reply_markup is None
    said = tg.says(OWNER, "The title.", reply_to=asked.message_id)
    (update,) = await bot.get_updates()
    assert update.message is not None
    assert update.message.reply_to_message == asked
    answer = await bot.send_message(
        OWNER, "Done.", reply_parameters=ReplyParameters(said["message"]["message_id"])
    )
    assert answer.reply_to_message is not None
    assert answer.reply_to_message.text == "The title."
    with pytest.raises(BadRequest, match="replied not found"):
        await bot.send_message(OWNER, "x", reply_parameters=ReplyParameters(99))
    await bot.send_message(OWNER, "x", reply_parameters=ReplyParameters(99, allow_sending_without_reply=True))


async def test_a_tap_carries_the_message_as_it_stands_now(tg: StandInTelegram, bot: Bot) -> None:
    sent = await bot.send_message(OWNER, "one", reply_markup=KEYBOARD)
    await bot.edit_message_text("two", OWNER, sent.message_id, reply_markup=KEYBOARD)
    tap = tg.taps(OWNER, sent.message_id, "Approve")
    await bot.edit_message_reply_markup(OWNER, sent.message_id)
    (update,) = await bot.get_updates()
    query = update.callback_query
    assert query is not None
    assert (query.data, query.from_user.id, query.id) == ("a:1", OWNER, tap["callback_query"]["id"])
    assert as_sent(query.message).text == "two"
    assert as_sent(query.message).reply_markup == KEYBOARD
    await query.answer("Approved")
    assert tg.answered[query.id] == {"text": "Approved"}


async def test_a_tap_can_be_forged(tg: StandInTelegram, bot: Bot) -> None:
    sent = await bot.send_message(OWNER, "one", reply_markup=KEYBOARD)
    tg.taps(OWNER, sent.message_id, "r:1", altered={"text": "other", "entities": []})
    tg.taps(7, sent.message_id, data="a:999", chat=OWNER)
    tg.taps(OWNER, sent.message_id, "Reject", inaccessible=True)
    tg.taps(OWNER, 99, data="a:1", inaccessible=True)
    queries = [update.callback_query for update in await bot.get_updates()]
    assert [query.data for query in queries if query] == ["r:1", "a:999", "r:1", "a:1"]
    assert queries[0] is not None
    assert as_sent(queries[0].message).text == "other"
    assert queries[1] is not None
    assert queries[1].from_user.id == 7
    assert not any(query and query.message and query.message.is_accessible for query in queries[2:])


async def test_a_button_that_is_not_there_can_not_be_tapped(tg: StandInTelegram, bot: Bot) -> None:
    sent = await bot.send_message(OWNER, "one", reply_markup=KEYBOARD)
    with pytest.raises(
        LookupError, match=r"no button 'Publish' to tap; there are \['Approve', 'Reject', 'Look'\]"
    ):
        tg.taps(OWNER, sent.message_id, "Publish")
    with pytest.raises(LookupError, match="chat 42 has no message 99"):
        tg.taps(OWNER, 99, "Approve")


async def test_an_answer_to_a_tap_may_come_too_late(tg: StandInTelegram, bot: Bot) -> None:
    sent = await bot.send_message(OWNER, "one", reply_markup=KEYBOARD)
    query = tg.taps(OWNER, sent.message_id, "Approve")["callback_query"]["id"]
    with pytest.raises(BadRequest, match="Query is too old"):
        await bot.answer_callback_query("unknown")
    tg.script(EXPIRED, method="answerCallbackQuery")
    with pytest.raises(BadRequest, match="Query is too old"):
        await bot.answer_callback_query(query)
    assert not tg.answered
    await bot.answer_callback_query(query, "Done", show_alert=True)
    assert tg.answered == {query: {"text": "Done", "show_alert": True}}


async def test_an_edit_replaces_text_and_keyboard(tg: StandInTelegram, bot: Bot) -> None:
    sent = await bot.send_message(OWNER, "one", reply_markup=KEYBOARD)
    edited = await bot.edit_message_text("two", OWNER, sent.message_id)
    assert isinstance(edited, Message)
    assert (edited.text, edited.reply_markup, edited.date) == ("two", None, sent.date)
    assert edited.edit_date is not None
    assert tg.message(OWNER, sent.message_id)["text"] == "two"


async def test_an_edit_that_changes_nothing_or_finds_nothing_is_refused(
    tg: StandInTelegram, bot: Bot
) -> None:
    sent = await bot.send_message(OWNER, "one", reply_markup=KEYBOARD)
    with pytest.raises(BadRequest, match="Message is not modified"):
        await bot.edit_message_text("one ", OWNER, sent.message_id, reply_markup=KEYBOARD)
    with pytest.raises(BadRequest, match="Message is not modified"):
        await bot.edit_message_reply_markup(OWNER, sent.message_id, reply_markup=KEYBOARD)
    said = tg.says(OWNER, "mine")["message"]["message_id"]
    with pytest.raises(BadRequest, match="can't be edited"):
        await bot.edit_message_text("yours", OWNER, said)
    assert await bot.delete_message(OWNER, sent.message_id)
    assert await bot.delete_message(OWNER, said)
    tg.says(OWNER, "mine", chat=GROUP)
    with pytest.raises(BadRequest, match="can't be deleted"):
        await bot.delete_message(GROUP, 1)
    for edit in (
        bot.edit_message_text("two", OWNER, sent.message_id),
        bot.edit_message_reply_markup(OWNER, 9),
    ):
        with pytest.raises(BadRequest, match="Message to edit not found"):
            await edit
    with pytest.raises(BadRequest, match="Message to delete not found"):
        await bot.delete_message(OWNER, sent.message_id)


async def test_a_document_can_be_sent_again_and_got_back(tg: StandInTelegram, bot: Bot) -> None:
    content = bytes(range(256)) + b"\r\n--boundary\r\n"
    sent = await bot.send_document(
        OWNER, content, filename='a "b" é.txt', caption="All of it", reply_markup=KEYBOARD
    )
    assert sent.document is not None
    assert (sent.document.file_name, sent.document.mime_type) == ('a "b" é.txt', "text/plain")
    assert (sent.caption, sent.reply_markup, sent.document.file_size) == ("All of it", KEYBOARD, len(content))
    assert bytes(await (await sent.document.get_file()).download_as_bytearray()) == content
    assert (await tg.called("sendDocument")).uploads["document"].content == content
    again = await bot.send_document(GROUP, sent.document.file_id)
    assert again.document == sent.document
    edited = await bot.edit_message_caption(OWNER, sent.message_id, caption="Read")
    assert isinstance(edited, Message)
    assert (edited.caption, edited.document, edited.reply_markup) == ("Read", sent.document, None)


async def test_a_file_that_is_none_is_refused(tg: StandInTelegram, bot: Bot) -> None:
    for sending in (bot.send_document(OWNER, "nothing"), bot.send_photo(OWNER, "file-000001")):
        with pytest.raises(BadRequest, match="Wrong file identifier"):
            await sending
    with pytest.raises(BadRequest, match="must be non-empty"):
        await bot.send_document(OWNER, b"")
    with pytest.raises(BadRequest, match="Wrong file_id"):
        await bot.get_file("nothing")
    with pytest.raises(BadRequest, match="caption is too long"):
        await bot.send_document(OWNER, b"x", caption="x" * 1025)
    sent = await bot.send_document(OWNER, b"x")
    with pytest.raises(BadRequest, match="no text in the message"):
        await bot.edit_message_text("x", OWNER, sent.message_id)
    text = await bot.send_message(OWNER, "x")
    with pytest.raises(BadRequest, match="no caption in the message"):
        await bot.edit_message_caption(OWNER, text.message_id, caption="x")
    async with httpx.AsyncClient(base_url=tg.url) as client:
        assert (await client.get(f"/file/bot{tg.token}/documents/nothing")).status_code == 404


async def test_pictures_and_groups_of_files_are_kept(tg: StandInTelegram, bot: Bot) -> None:
    photo = await bot.send_photo(GROUP, b"png", caption="A picture")
    assert bytes(await (await photo.photo[-1].get_file()).download_as_bytearray()) == b"png"
    album = [InputMediaPhoto(b"one", caption="both"), InputMediaPhoto(photo.photo[0].file_id)]
    first, second = await bot.send_media_group(GROUP, album)
    assert first.media_group_id == second.media_group_id
    assert second.photo == photo.photo
    with pytest.raises(BadRequest, match="number of media"):
        await bot.send_media_group(GROUP, [InputMediaDocument(b"one")])
    assert len(tg.messages(GROUP)) == 3


async def test_a_document_of_a_person_can_be_got(tg: StandInTelegram, bot: Bot) -> None:
    tg.sends(OWNER, "notes.txt", b"hello", caption="see @someone")
    (update,) = await bot.get_updates()
    assert update.message is not None
    assert update.message.document is not None
    assert update.message.caption_entities[0].type == "mention"
    assert bytes(await (await update.message.document.get_file()).download_as_bytearray()) == b"hello"


async def test_message_ids_count_in_each_chat_by_itself(tg: StandInTelegram, bot: Bot) -> None:
    tg.chats.names[GROUP] = "The studio"
    sent = [await bot.send_message(chat, "x", reply_markup=KEYBOARD) for chat in (OWNER, GROUP, -5)]
    assert {message.message_id for message in sent} == {1}
    assert [message.chat.type for message in sent] == ["private", "supergroup", "group"]
    tg.taps(OWNER, 1, "Approve", chat=GROUP)
    tg.says(OWNER, "hello", chat=GROUP)
    tap, said = await bot.get_updates()
    assert tap.effective_chat is not None
    assert (tap.effective_chat.id, tap.effective_chat.title) == (GROUP, "The studio")
    assert said.message is not None
    assert said.message.message_id == 2


async def test_a_chat_may_be_closed_to_the_bot(tg: StandInTelegram, bot: Bot) -> None:
    tg.chats.blocked.add(OWNER)
    tg.chats.strangers.add(7)
    with pytest.raises(Forbidden, match="blocked by the user"):
        await bot.send_message(OWNER, "x")
    for chat in (7, "@nobody", 0):
        with pytest.raises(BadRequest, match="Chat not found"):
            await bot.send_message(chat, "x")
    with pytest.raises(BadRequest, match="Chat_id is empty"):
        await bot.send_message("", "x")
    assert (await bot.get_chat(GROUP)).type == "supergroup"
    assert await bot.send_chat_action(GROUP, "typing")


async def test_commands_are_kept_by_scope(bot: Bot) -> None:
    await bot.set_my_commands([BotCommand("pending", "What waits")])
    await bot.set_my_commands([BotCommand("stop", "Stop")], scope=BotCommandScopeChat(OWNER))
    assert [command.command for command in await bot.get_my_commands()] == ["pending"]
    (own,) = await bot.get_my_commands(scope=BotCommandScopeChat(OWNER))
    assert own.command == "stop"
    await bot.delete_my_commands()
    assert await bot.get_my_commands() == ()


async def test_too_many_requests_say_when_to_come_back(
    tg: StandInTelegram, bot: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PTB_TIMEDELTA", "true")  # the library warns of the other form, even by raising
    tg.script(Answers(429, "Too Many Requests: retry after 3", retry_after=3), method="sendMessage")
    assert (await bot.get_me()).is_bot
    with pytest.raises(RetryAfter, match="Retry in") as caught:
        await bot.send_message(OWNER, "x")
    assert caught.value.retry_after == timedelta(seconds=3)
    assert not tg.messages(OWNER)
    assert (await tg.called("sendMessage")).refused == "Too Many Requests: retry after 3"
    await bot.send_message(OWNER, "x")


async def test_a_server_that_is_down_says_so(tg: StandInTelegram, bot: Bot) -> None:
    tg.script(Answers(502, "Bad Gateway"))
    with pytest.raises(NetworkError, match="Bad Gateway"):
        await bot.get_updates()


async def test_a_dropped_request_never_arrived(tg: StandInTelegram, bot: Bot) -> None:
    tg.script(DropsRequest())
    with pytest.raises(NetworkError):
        await bot.send_message(OWNER, "x")
    assert not tg.messages(OWNER)
    assert [call.method for call in tg.calls] == ["getMe"]


async def test_a_message_may_arrive_though_its_answer_is_lost(tg: StandInTelegram, bot: Bot) -> None:
    tg.script(DropsResponse(), Stalls(), Delays(60), Delays(0.01), method="sendMessage")
    with pytest.raises(NetworkError):
        await bot.send_message(OWNER, "one")
    for text in ("two", "three"):
        with pytest.raises(TimedOut):
            await bot.send_message(OWNER, text, read_timeout=0.1)
    await bot.send_message(OWNER, "four")
    assert [message["text"] for message in tg.messages(OWNER)] == ["one", "two", "three", "four"]


async def test_a_lost_answer_to_a_poll_loses_no_update(tg: StandInTelegram, bot: Bot) -> None:
    first, second = tg.says(OWNER, "one")["update_id"], tg.says(OWNER, "two")["update_id"]
    tg.script(DropsResponse(), method="getUpdates")
    with pytest.raises(NetworkError):
        await bot.get_updates(offset=first + 1)
    assert [update.update_id for update in await bot.get_updates()] == [second]


async def test_what_the_bot_shows_can_be_waited_for(tg: StandInTelegram, bot: Bot) -> None:
    waiting = asyncio.create_task(tg.shows(OWNER, "two"))
    tg.says(OWNER, "two")
    sent = await bot.send_message(OWNER, "one")
    await bot.edit_message_text("now two", OWNER, sent.message_id)
    assert (await waiting)["message_id"] == sent.message_id
    with pytest.raises(TimeoutError, match="'three' in chat 42"):
        await tg.shows(OWNER, "three", within=0.01)
    with pytest.raises(TimeoutError, match="call 2 of sendMessage"):
        await tg.called("sendMessage", 2, within=0.01)


async def test_a_call_may_come_as_json_or_in_the_address(tg: StandInTelegram) -> None:
    async with httpx.AsyncClient(base_url=f"{tg.url}/bot{tg.token}") as client:
        sent = await client.post("/sendMessage", json={"chat_id": "42", "text": "1", "entities": []})
        assert sent.json()["result"]["text"] == "1"
        assert (await client.get("/sendMessage?chat_id=42&text=2")).json()["result"]["message_id"] == 2
        for body in ('{"chat_id"', "3"):
            answer = await client.post(
                "/sendMessage", content=body, headers={"content-type": "application/json"}
            )
            assert answer.json()["description"] == "Bad Request: can't parse request JSON object"
        wrong: list[dict[str, Any]] = [{"text": "x", "reply_markup": "x"}, {"text": "x", "entities": 3}]
        for params in wrong:
            assert "can't parse" in (await client.post("/sendMessage", data={"chat_id": 42, **params})).text
        nameless = b"--b\r\ncontent-disposition: form-data\r\n\r\nx\r\n--b--\r\n"
        kind = {"content-type": "multipart/form-data; boundary=b"}
        assert "multipart" in (await client.post("/sendMessage", content=nameless, headers=kind)).text
        assert "whole number" in (await client.get("/deleteMessage?chat_id=42&message_id=x")).text


@given(st.text(st.sampled_from("ab@/#.: \n\r\t\u202e👋é") | st.characters(exclude_categories=["Cs"])))
def test_what_came_back_once_comes_back_the_same_again(text: str) -> None:
    cleaned, entities = kept(text, [])
    assert kept(cleaned, []) == (cleaned, entities)
    assert kept(cleaned, entities) == (cleaned, entities)
    assert all(
        0 <= entity["offset"] < entity["offset"] + entity["length"] <= units(cleaned) for entity in entities
    )
