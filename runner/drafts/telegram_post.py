"""A post in a Telegram channel, by a bot of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from runner.draft import Draft
from runner.drafts.answer import ask
from runner.rule import Utf16

if TYPE_CHECKING:
    from runner.worker.deliver import Delivery, Receipt

API = "https://api.telegram.org"
TOKEN = "TELEGRAM_CHANNEL_TOKEN"  # noqa: S105 - the name of a secret; never the bot's that asks for approvals
TEXT_MAX = 4096
CHANNEL = r"^(@[A-Za-z][A-Za-z0-9_]{3,31}|-100[0-9]+)$"


class Channel(BaseModel):
    """Where posts go."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    channel: str = Field(
        pattern=CHANNEL, description="@name, or the numeric id of a private one", examples=["@studio_news"]
    )
    preview: bool = Field(default=True, description="whether a page that is linked to is shown below")
    silent: bool = Field(default=False, description="whether the channel's readers hear nothing")


class TelegramPost(Draft):
    """A plain text in the channel that the settings name; nothing in it is markup."""

    text: Annotated[str, Utf16(TEXT_MAX), Field(min_length=1, max_length=TEXT_MAX, pattern=r"\S")]

    settings: ClassVar = Channel
    secrets: ClassVar[tuple[str, ...]] = (TOKEN,)

    async def deliver(self, delivery: Delivery) -> Receipt:
        """Send it. Telegram drops no repeat, and a bot can't look at what a channel holds."""
        from runner.worker.deliver import Receipt  # noqa: PLC0415 - only in the child that delivers

        there: Channel = delivery.settings
        message = {
            "chat_id": there.channel,
            "text": self.text,
            "disable_notification": there.silent,
            "link_preview_options": {"is_disabled": not there.preview},
        }
        advice = {
            400: f"is {there.channel} the channel's name?",
            401: f"{TOKEN} is no bot's",
            403: f"make the bot an administrator of {there.channel} who may post",
            404: f"{TOKEN} is no bot's",
        }
        url = f"{API}/bot{delivery.secret(TOKEN)}/sendMessage"
        answer = await ask(delivery, "POST", url, json=message, advice=advice)
        number = str(answer.json()["result"]["message_id"])
        is_public = there.channel.startswith("@")
        return Receipt(id=number, url=f"https://t.me/{there.channel[1:]}/{number}" if is_public else "")
