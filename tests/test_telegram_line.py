"""The phone's line: nothing that is heard is lost, whatever is cut off; what is said arrives, once it can."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from modules import note
from phones import APPROVE, AT_ONCE, GROUP, OWNER, buttons, phoned, said
from pydantic import SecretStr
from sqlalchemy import event, inspect
from test_store import put

from runner import settings as settings_room
from runner.clock import stamp
from runner.errors import StoreError
from runner.rehearsal.destination import DropsRequest, DropsResponse
from runner.rehearsal.telegram import TOKEN, Answers, StandInTelegram
from runner.review.desk import Desk
from runner.review.telegram.phone import Neighbours, Phone
from runner.review.telegram.poll import Rhythm
from runner.review.telegram.post import Pace
from runner.stop import Stop
from runner.store import decisions, drafts, phone
from runner.store.store import Store, Transaction

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

NOTE = note()


@pytest.fixture
async def tg() -> AsyncIterator[StandInTelegram]:
    async with StandInTelegram() as server:
        yield server


class Crash(BaseException):
    """The process is gone."""


class Crashing(Store):
    """A store whose process dies at a commit, just before it or just after."""

    countdown = -1  #: commits until then; negative is never
    is_after = False
    is_full = False  #: whether nothing can be written

    @contextmanager
    def change(self) -> Iterator[Transaction]:
        if self.is_full:
            raise StoreError("the disk is full")
        with super().change() as tx:
            yield tx
            self.countdown -= 1
            if self.countdown == 0 and not self.is_after:
                raise Crash
        if self.countdown == 0 and self.is_after:
            raise Crash


@asynccontextmanager
async def bare(home: Path, tg: StandInTelegram) -> AsyncIterator[tuple[Crashing, Phone]]:
    """A phone without a runner around it."""
    known = settings_room.load(home).model_copy(
        update={"telegram_owners": (OWNER,), "telegram_token": SecretStr(TOKEN), "telegram_api": tg.url}
    )
    store = Crashing(f"sqlite:///{home}/store.db")
    store.open()
    desk = Desk(store, Stop(home / "STOP", nothing))
    others = Neighbours(dict, nothing, nothing, nothing, nothing)
    phone_ = Phone(known, store, desk, TOKEN, others)
    phone_.sender.pace = AT_ONCE
    store.committed = phone_.look
    phone_.start()
    try:
        yield store, phone_
    finally:
        store.countdown = -1
        with suppress(Crash):
            await phone_.close()
        store.close()


def nothing(*args: Any, **about: Any) -> Any:
    """Nobody is there."""


async def until(holds: Any, what: str) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.005)


def card_of(tg: StandInTelegram) -> dict[str, Any] | None:
    return next((each for each in tg.messages(OWNER) if APPROVE in buttons(each)), None)


def is_silent(store: Store) -> bool:
    """Whether all that was to be said was said, and kept."""
    with store.read() as connection:
        return not phone.count_waiting(connection)


@pytest.mark.parametrize("is_after", [False, True])
async def test_promise_5_a_crash_at_each_step_between_fetch_and_acknowledgement_loses_no_tap(
    tmp_path: Path, tg: StandInTelegram, *, is_after: bool
) -> None:
    crashes = 0
    for step in range(1, 9):
        draft = f"draft{step}"
        home = tmp_path / str(step)
        home.mkdir()
        tg.chats._messages.clear()
        async with bare(home, tg) as (store, phone_):
            with store.change() as tx:
                put(tx, draft)
            # what is still being sent would meet the crash in the tap's place
            await until(lambda store=store: card_of(tg) is not None and is_silent(store), "the card")
            store.countdown, store.is_after = step, is_after
            card = card_of(tg)
            assert card is not None
            tap = tg.taps(OWNER, card["message_id"], APPROVE)
            query = tap["callback_query"]["id"]
            work = phone_._work
            await until(
                lambda work=work, query=query: any(each.done() for each in work[:3]) or query in tg.answered,
                "the crash",
            )
            crashes += any(each.done() for each in work[:3])
        async with bare(home, tg) as (store, _):

            def is_handled(store: Store = store, number: int = tap["update_id"]) -> bool:
                with store.read() as connection:
                    return not phone.unhandled(connection) and not any(
                        each["update_id"] == number for each in tg.updates.pending
                    )

            await until(is_handled, "the tap")
            with store.read() as connection:
                assert drafts.get(connection, draft).state == "approved"
                assert [each.decision for each in decisions.lessons(connection, "greet")] == ["approve"]
    assert crashes >= 3


async def test_another_poller_freezes_decisions_until_it_is_gone(tmp_path: Path, tg: StandInTelegram) -> None:
    async with phoned(tmp_path, tg) as hand:
        hand.it.drop("note.py", NOTE)
        await hand.it.run("note")
        card = await hand.shown(APPROVE)
        hand.phone.poll.rhythm = Rhythm(wait_s=1, again_s=0.01, conflict_s=0.01)
        tg.script(Answers(409, "Conflict: terminated by other getUpdates request"), method="getUpdates")
        tg.updates.interrupt()
        event = await hand.it.event("telegram.frozen")
        assert "another process reads this bot's messages" in event["reason"]
        with hand.it.app.store.read() as connection:
            assert phone.remembered(connection, "frozen")
        answer = await hand.answer(tg.taps(OWNER, card["message_id"], APPROVE))
        assert "frozen" in answer["text"]
        await hand.it.event("telegram.thawed")
        await hand.tap(APPROVE)
        await hand.it.event("delivery.delivered")


async def test_a_webhook_that_is_not_ours_freezes_decisions_and_is_named(
    tmp_path: Path, tg: StandInTelegram
) -> None:
    tg.account.webhook = "https://elsewhere.example.com/secret-path"
    async with phoned(tmp_path, tg) as hand:
        event = await hand.it.event("telegram.frozen")
        assert "a webhook at elsewhere.example.com" in event["reason"]
        assert "secret-path" not in event["reason"]


async def test_promise_24_the_token_reaches_no_log(
    tmp_path: Path, tg: StandInTelegram, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with phoned(tmp_path, tg) as hand:
        tg.script(Answers(401, f"Unauthorized: {TOKEN}"), method="sendMessage")
        tg.says(OWNER, "/help")
        hand.it.app.diagnostics.say("warning", f"by accident: {TOKEN}")
        await hand.reads("/pending")
        await hand.it.event("log", message="by accident: [secret]")
    assert "HTTP Request" in caplog.text
    assert TOKEN not in caplog.text
    for path in (tmp_path / "logs").iterdir():
        assert TOKEN not in path.read_text()


async def test_a_throttled_chat_holds_up_no_other(tmp_path: Path, tg: StandInTelegram) -> None:
    async with phoned(tmp_path, tg, telegram_owners=(OWNER, 43)) as hand:
        tg.script(Answers(429, "Too Many Requests", retry_after=600), method="sendMessage")
        hand.it.drop("note.py", NOTE)
        await hand.it.run("note")
        await hand.it.until(
            lambda: hand.button(APPROVE, chat=43) is not None or hand.button(APPROVE) is not None
        )
        chats = [call.params["chat_id"] for call in tg.calls if call.method == "sendMessage"]
        assert set(chats) == {OWNER, 43}
        assert len([chat for chat in (OWNER, 43) if hand.button(APPROVE, chat=chat)]) == 1


async def test_each_chat_has_its_own_pace(tmp_path: Path, tg: StandInTelegram) -> None:
    async with phoned(tmp_path, tg, telegram_owners=(OWNER, 43)) as hand:
        hand.phone.sender.pace = Pace(chat_s=3600, all_s=0)
        with hand.it.app.store.change() as tx:
            for number, chat in enumerate((OWNER, OWNER, 43)):
                phone.add_post(tx, chat, "answer", {"text": f"number {number}", "entities": []})
        await hand.reads("number 2", chat=43)
        await hand.reads("number 0")
        assert hand.sees("number 1") is None


async def test_a_backlog_delays_no_answer(tmp_path: Path, tg: StandInTelegram) -> None:
    async with phoned(tmp_path, tg) as hand:
        with hand.it.app.store.change() as tx:
            for number in range(300):
                phone.add_post(tx, OWNER, "status", {"text": f"number {number}", "entities": []})
        await hand.it.until(lambda: len(tg.messages(OWNER)) > 2)
        tg.says(OWNER, "/status")
        await hand.reads("✅ It runs.")
        assert hand.sees("number 299") is None


async def test_a_card_whose_answer_was_lost_is_dead_and_another_comes(
    tmp_path: Path, tg: StandInTelegram
) -> None:
    async with phoned(tmp_path, tg) as hand:
        tg.script(DropsResponse(), DropsRequest(), method="sendMessage")
        hand.it.drop("note.py", NOTE)
        await hand.it.run("note")
        await hand.shown(APPROVE)
        shown = [each for each in tg.messages(OWNER) if "▌end of draft" in said(each)]
        assert [APPROVE in buttons(each) for each in shown] == [False, True]
        await hand.tap(APPROVE)
        await hand.it.event("delivery.delivered")


async def test_while_telegram_is_down_the_runner_works_on_and_the_cards_tell_it_later(
    tmp_path: Path, tg: StandInTelegram
) -> None:
    async with phoned(tmp_path, tg) as hand:
        tg.script(*[Answers(502, "Bad Gateway")] * 8)
        tg.updates.interrupt()
        hand.it.drop("note.py", NOTE)
        await hand.it.run("note")
        sheet = await hand.it.draft()
        hand.it.desk.approve(sheet.held.id, sheet.held.digest, "ana")
        await hand.it.event("delivery.delivered")
        card = await hand.reads("✅ approved by ana")
        await hand.reads("📬 delivered")
        assert buttons(card) == []


async def test_a_message_that_telegram_will_never_take_holds_up_no_other(
    tmp_path: Path, tg: StandInTelegram
) -> None:
    tg.chats.strangers.add(GROUP)
    async with phoned(tmp_path, tg) as hand:
        with hand.it.app.store.change() as tx:
            phone.add_post(tx, GROUP, "answer", {"text": "nobody is there", "entities": []})
            phone.add_post(tx, OWNER, "answer", {"text": "", "entities": []})
            phone.add_post(tx, OWNER, "answer", {"text": "after it", "entities": []})
        await hand.reads("after it")
        await hand.it.event("telegram.refused", chat=GROUP)
        await hand.it.event("telegram.refused", chat=OWNER)


async def test_a_store_that_fails_for_a_while_stops_no_sending_for_good(
    tmp_path: Path, tg: StandInTelegram
) -> None:
    async with bare(tmp_path, tg) as (store, phone_):
        store.is_full = True
        with suppress(StoreError):
            store.tell("nothing is kept")
        with Store.change(store) as tx:
            for number in range(3):
                phone.add_post(tx, OWNER, "answer", {"text": f"number {number}", "entities": []})
        phone_.sender.look()
        await until(lambda: phone_.sender._is_torn, "the failure")
        store.is_full = False
        phone_.sender.look()
        await until(lambda: [said(each) for each in tg.messages(OWNER)][-1:] == ["number 2"], "the messages")


async def test_what_waited_before_there_was_a_phone_gets_its_card(
    tmp_path: Path, tg: StandInTelegram
) -> None:
    async with phoned(tmp_path, tg, telegram_token=None) as hand:
        hand.it.drop("note.py", NOTE)
        await hand.it.run("note")
    async with phoned(tmp_path, tg) as hand:
        await hand.tap(APPROVE)
        await hand.it.event("delivery.delivered")


async def test_another_bot_begins_anew(tmp_path: Path, tg: StandInTelegram) -> None:
    async with phoned(tmp_path, tg) as hand:
        hand.it.drop("note.py", NOTE)
        await hand.it.run("note")
        await hand.shown(APPROVE)
    async with (
        StandInTelegram(token=TOKEN.replace("700000001", "700000002")) as other,
        phoned(tmp_path, other, telegram_token=SecretStr(other.token)) as hand,
    ):
        await hand.tap(APPROVE)
        await hand.it.event("delivery.delivered")


def test_answers_go_before_cards_and_cards_before_what_is_only_told(store: Store) -> None:
    def put_in(tx: Transaction, text: str, rank: int) -> int:
        return phone.add_post(tx, OWNER, "test", {"text": text}, rank=rank)

    def send() -> str:
        """Send the one whose turn it is."""
        with store.change() as tx:
            (post,) = phone.due(tx.connection, tx.now)
            claimed = phone.claim_post(tx, post.id)
            assert claimed is not None
            phone.shown(tx, claimed, post.id, {})
        return str(json.loads(post.wanted)["text"])

    with store.change() as tx:
        told = put_in(tx, "told", phone.LAST)
    assert send() == "told"
    with store.change() as tx:
        put_in(tx, "also told", phone.LAST)
        parts = [put_in(tx, f"part {number} of a card", phone.CARD) for number in (1, 2)]
        put_in(tx, "answer", phone.FIRST)
        phone.want(tx, phone.post(tx.connection, told), text="told anew")
    assert [send() for _ in range(2)] == ["answer", "part 1 of a card"]
    with store.change() as tx:
        phone.want(tx, phone.post(tx.connection, parts[0]), text="decided")
    assert [send() for _ in range(4)] == ["decided", "part 2 of a card", "told anew", "also told"]


def test_handled_updates_are_forgotten_after_a_while(store: Store) -> None:
    with store.change() as tx:
        phone.receive(tx, [{"update_id": 1}, {"update_id": 2}, {"update_id": 1}])
        phone.handled(tx, 1)
        phone.forget(tx, tx.now + timedelta(seconds=1))
        assert [number for number, _ in phone.unhandled(tx.connection)] == [2]
        assert phone.remembered(tx.connection, "offset") == "3"


def test_however_many_wait_the_next_message_is_found_by_an_index(store: Store) -> None:
    with store.change() as tx:
        for chat, hour in ((OWNER, None), (OWNER, None), (-100, None), (7, tx.now + timedelta(hours=1))):
            phone.add_post(tx, chat, "test", {"text": "x"}, not_before=hour)
    asked: list[tuple[str, Any]] = []

    def hear(_: object, __: object, statement: str, values: Any, *___: object) -> None:
        asked.append((statement, values))

    event.listen(store._reading, "before_cursor_execute", hear)
    with store.read() as connection:
        now = store.clock.now()
        assert [post.chat for post in phone.due(connection, now)] == [OWNER, -100]
        assert phone.next_post(connection, now) == stamp(now + timedelta(hours=1))
        plans = [
            step.detail
            for statement, values in list(asked)
            for step in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
        ]
    assert [step for step in plans if "SCAN" in step or "TEMP B-TREE" in step] == []


def test_a_store_from_before_messages_stood_in_line_is_upgraded(store: Store) -> None:
    with store.change() as tx:
        for change in (
            "DROP INDEX posts_in_line",
            "DROP INDEX posts_by_hour",
            "CREATE INDEX posts_waiting ON posts (state, chat, rank, id)",
            "UPDATE meta SET value = '7' WHERE name = 'schema'",
        ):
            tx.connection.exec_driver_sql(change)
    again = Store(store.url, store.clock)
    again.open()
    with again.read() as connection:
        found = {index["name"] for index in inspect(connection).get_indexes("posts")}
    again.close()
    assert {"posts_in_line", "posts_by_hour"} <= found
    assert "posts_waiting" not in found
