"""What people did, as far as an update tells it in good form; anything else is nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

BIGGEST = 1 << 52  #: what Telegram says its ids stay below (https://core.telegram.org/bots/api#user)
GROUPS = ("group", "supergroup")
COMMAND = re.compile(r"/([a-z_]{1,32})(?:@(\w+))?(?:\s+(.*))?", re.DOTALL)


def _whole(text: str) -> str:
    text.encode()  # half a character is no text; it is a ValueError
    return text


Id = Annotated[int, Field(gt=-BIGGEST, lt=BIGGEST)]
Words = Annotated[str, AfterValidator(_whole)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class Person(_Part):
    """Who did it."""

    id: Id
    is_bot: bool = False


class Chat(_Part):
    """Where."""

    id: Id
    type: str


class Message(_Part):
    """A message, as far as we care; a `date` of 0 is one that Telegram no longer shows."""

    message_id: Id
    chat: Chat
    date: int = 0
    sender: Person | None = Field(default=None, alias="from")
    text: Words | None = None
    entities: list[dict[str, Any]] = Field(default_factory=list)
    caption: Words | None = None
    caption_entities: list[dict[str, Any]] = Field(default_factory=list)
    document: dict[str, Any] | None = None
    photo: list[dict[str, Any]] = Field(default_factory=list)  #: one picture in several sizes
    reply_to_message: Message | None = None
    forward_origin: dict[str, Any] | None = None


class _Query(_Part):
    id: Words = Field(max_length=64)
    sender: Person = Field(alias="from")
    message: Message
    data: str = Field(max_length=64, pattern=r"^[A-Za-z0-9_-]+$")


class _Update(_Part):
    message: Message | None = None
    callback_query: _Query | None = None


@dataclass(frozen=True, slots=True)
class Tap:
    """A person tapped a button of a message."""

    query: str  #: what to answer
    person: int
    chat: Chat
    message: int
    nonce: str
    returned: dict[str, Any]  #: the message as it came with the tap


@dataclass(frozen=True, slots=True)
class Said:
    """A person wrote something."""

    person: int
    chat: Chat
    message: int
    text: str
    reply_to: int | None  #: the message that it answers

    def command(self, bot: str) -> tuple[str, str] | None:
        """The command and what follows it; None when it is none, or another bot's."""
        found = COMMAND.fullmatch(self.text.strip())
        if found is None or (found[2] and found[2].lower() != bot.lower()):
            return None
        return found[1], (found[3] or "").strip()


def read(update: dict[str, Any]) -> Tap | Said | None:
    """What the update tells; None when that is nothing for us."""
    try:
        found = _Update.model_validate(update)
    except (ValidationError, RecursionError):
        return None
    if found.callback_query is not None:
        return _tap(found.callback_query)
    return _said(found.message) if found.message is not None else None


def _tap(query: _Query) -> Tap:
    message = query.message
    return Tap(query.id, query.sender.id, message.chat, message.message_id, query.data, shown(message))


def _said(message: Message) -> Said | None:
    """What was written by a person's own hand, which what was forwarded is not."""
    if message.sender is None or message.sender.is_bot or not message.text or message.forward_origin:
        return None
    answered = message.reply_to_message
    return Said(
        message.sender.id,
        message.chat,
        message.message_id,
        message.text,
        answered.message_id if answered else None,
    )


def shown(message: Message) -> dict[str, Any]:
    """What a person sees of a message, in a form that can be compared."""
    file = message.document or (message.photo[-1] if message.photo else {})
    return {
        "text": message.text if message.text is not None else message.caption,
        "entities": message.entities or message.caption_entities,
        "file": file.get("file_unique_id"),
        "size": file.get("file_size"),
    }


def returned(result: Any) -> tuple[int, dict[str, Any]]:
    """The id and the look of a message that Telegram says it shows; raises `ValueError` when it shows none."""
    message = Message.model_validate(result)
    return message.message_id, shown(message)
