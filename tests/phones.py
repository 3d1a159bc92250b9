"""A runner with a phone: the real one, on a stand-in for Telegram, and the hands of people."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr
from sqlalchemy import event

from runner.rehearsal.telegram import TOKEN, StandInTelegram
from runner.review.telegram.post import Pace
from runner.testing import Rehearsal, rehearsal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from sqlalchemy.engine import ExceptionContext

    from runner.review.telegram.phone import Phone
    from runner.store.store import Store

OWNER, STRANGER, GROUP = 42, 666, -100500
APPROVE, REJECT = "✅ Approve", "❌ Reject"
AT_ONCE = Pace(0, 0, 0, 0.01)


@asynccontextmanager
async def phoned(home: Path, tg: StandInTelegram, **settings: Any) -> AsyncIterator[Hand]:
    """The runner, up with a phone, and its owner's hand."""
    given = {"telegram_token": SecretStr(TOKEN), "telegram_owners": (OWNER,), **settings}
    async with rehearsal(home, phone=tg.url, **given) as it:
        if it.app.phone is not None:
            it.app.phone.sender.pace = AT_ONCE
            it.app.phone.cards.again_s = 0.01
        yield Hand(it, tg, it.app.phone)


class Hand:
    """What a person does with their phone, and what they see on it."""

    def __init__(self, it: Rehearsal, tg: StandInTelegram, phone: Phone | None, person: int = OWNER) -> None:
        self.it, self.tg, self._phone, self.person = it, tg, phone, person

    @property
    def phone(self) -> Phone:
        """The runner's half."""
        assert self._phone is not None
        return self._phone

    def sees(self, text: str, chat: int = 0) -> dict[str, Any] | None:
        """The newest message with that text in it."""
        found = (each for each in reversed(self.tg.messages(chat or self.person)) if text in said(each))
        return next(found, None)

    def button(self, words: str, text: str = "", chat: int = 0) -> dict[str, Any] | None:
        """The newest message with such a button."""
        for message in reversed(self.tg.messages(chat or self.person)):
            if words in buttons(message) and text in said(message):
                return message
        return None

    async def shown(self, words: str, text: str = "", chat: int = 0) -> dict[str, Any]:
        """That message, which is awaited."""
        await self.it.until(lambda: self.button(words, text, chat) is not None, f"the button {words}")
        found = self.button(words, text, chat)
        assert found is not None
        return found

    async def reads(self, text: str, chat: int = 0) -> dict[str, Any]:
        """A message with that text, which is awaited."""
        await self.it.until(lambda: self.sees(text, chat) is not None, f"the message {text!r}")
        found = self.sees(text, chat)
        assert found is not None
        return found

    async def tap(self, words: str, text: str = "", chat: int = 0, **odd: Any) -> dict[str, Any]:
        """Tap the newest button of those words; what the tap was answered."""
        message = await self.shown(words, text, chat)
        update = self.tg.taps(self.person, message["message_id"], words, chat=chat or None, **odd)
        return await self.answer(update)

    async def answer(self, update: dict[str, Any]) -> dict[str, Any]:
        """What a tap was answered."""
        query = update["callback_query"]["id"]
        await self.it.until(lambda: query in self.tg.answered, "the answer to the tap")
        return self.tg.answered[query]

    async def handled(self, update: dict[str, Any]) -> None:
        """Wait until an update was handled."""
        number = update["update_id"]

        def is_handled() -> bool:
            with self.it.app.store.read() as connection:
                row = connection.exec_driver_sql(f"SELECT handled FROM updates WHERE id = {number}").first()
            return row is not None and row[0] is not None

        await self.it.until(is_handled, "the update")


def refuses_once(store: Store, words: str) -> None:
    """Have SQLite itself refuse the next statement that begins so, and that alone."""

    left = [words]

    def shut(connection: object, cursor: Any, statement: str, *rest: object) -> None:
        if left and statement.startswith(left[0]):
            left.clear()
            cursor.execute("PRAGMA query_only=ON")

    def reopen(context: ExceptionContext) -> None:
        assert context.connection is not None
        context.connection.connection.cursor().execute("PRAGMA query_only=OFF")

    event.listen(store._engine, "before_cursor_execute", shut)
    event.listen(store._engine, "handle_error", reopen)


def said(message: dict[str, Any]) -> str:
    return str(message.get("text") or message.get("caption") or "")


def buttons(message: dict[str, Any]) -> list[str]:
    rows = message.get("reply_markup", {}).get("inline_keyboard", [])
    return [button["text"] for row in rows for button in row]
