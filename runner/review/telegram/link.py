"""The first words with a new bot, before there is a runner that reads them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.errors import SettingsError
from runner.review.telegram.read import Said, read
from runner.review.telegram.wire import Wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from runner.settings import Settings

HELLO = "This is your runner. Drafts will come here once the id {person} is among RUNNER_TELEGRAM_OWNERS and it is up."


@dataclass(slots=True)
class Link:
    """One bot, and whoever writes to it first."""

    wire: Wire
    _offset: int | None = None

    @classmethod
    @asynccontextmanager
    async def to(cls, settings: Settings) -> AsyncIterator[Link]:
        """A line to the bot of these settings, while this lasts."""
        assert settings.telegram_token is not None
        wire = Wire(settings.telegram_token.get_secret_value(), settings.telegram_api)
        try:
            yield cls(wire)
        finally:
            await wire.close_line()

    async def name(self) -> str:
        """The bot's name."""
        return str((await self.wire.call("getMe"))["username"])

    async def begin(self, *, take_over: bool) -> str:
        """The bot's name; raises `SettingsError` where a webhook takes its messages, unless that is taken away."""
        name = await self.name()
        if take_over:
            await self.wire.call("deleteWebhook")
        elif (await self.wire.call("getWebhookInfo")).get("url"):
            raise SettingsError(
                "a webhook takes this bot's messages; if it is yours to take away: runner telegram link --take-over"
            )
        return name

    async def hear(self, wait_s: float) -> Said | None:
        """Who wrote to the bot in a private chat; None when nobody did for so long."""
        found = await self.wire.call(
            "getUpdates", wait_s, timeout=int(wait_s), allowed_updates=["message"], offset=self._offset
        )
        for update in found:
            self._offset = int(update["update_id"]) + 1
            said = read(update)
            if isinstance(said, Said) and said.chat.type == "private":
                return said
        return None

    async def greet(self, said: Said) -> None:
        """A test message; and what was heard is confirmed, so that the runner does not hear it again."""
        await self.wire.call("sendMessage", chat_id=said.chat.id, text=HELLO.format(person=said.person))
        await self.wire.call("getUpdates", timeout=0, offset=self._offset)
