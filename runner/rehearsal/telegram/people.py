"""What people do in their chats with the bot; each act is an update, which is returned as it was made."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from runner.rehearsal.telegram.account import Account
from runner.rehearsal.telegram.call import Upload
from runner.rehearsal.telegram.chats import HEAD, Chats
from runner.rehearsal.telegram.text import kept
from runner.rehearsal.telegram.updates import Updates

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runner.rehearsal.telegram.chats import Message
    from runner.rehearsal.telegram.updates import Update


class People:
    """The hands of everyone who is in a chat with the bot; `chat` None is a person's private chat with it."""

    def __init__(self, bot_id: int) -> None:
        self.chats = Chats()
        self.updates = Updates()
        self.account = Account(bot_id, self.updates)

    def messages(self, chat: int) -> list[Message]:
        """The messages of a chat as they stand now, everyone's, oldest first."""
        return copy.deepcopy(self.chats.of(chat))

    def message(self, chat: int, message_id: int) -> Message:
        """One message as it stands now; raises `LookupError` when there is none."""
        return copy.deepcopy(self._stored(chat, message_id))

    def says(self, user: int, text: str, *, chat: int | None = None, reply_to: int | None = None) -> Update:
        """A person writes a message, in answer to another if `reply_to` is its id."""
        content: dict[str, Any] = _formatted("text", text)
        if reply_to is not None:
            content["reply_to_message"] = self._stored(chat or user, reply_to)
        return self.updates.add("message", self.chats.write(chat or user, self.chats.user(user), content))

    def sends(
        self, user: int, filename: str, content: bytes, *, caption: str = "", chat: int | None = None
    ) -> Update:
        """A person sends a document, which the bot can get by its file id."""
        document = {**self.chats.keep(Upload(filename, content)), "file_name": filename}
        message = {"document": document, **(_formatted("caption", caption) if caption else {})}
        return self.updates.add("message", self.chats.write(chat or user, self.chats.user(user), message))

    def edits(self, user: int, message_id: int, text: str, *, chat: int | None = None) -> Update:
        """A person changes what they wrote."""
        message = self._stored(chat or user, message_id)
        return self.updates.add("edited_message", self.chats.change(message, _formatted("text", text)))

    def forwards(
        self, user: int, message_id: int, *, source: int | None = None, chat: int | None = None
    ) -> Update:
        """A person forwards a message, from `source` if that is another chat: its words and files, without its buttons."""
        message = self._stored(source or user, message_id)
        content = {
            name: value for name, value in message.items() if name not in {*HEAD, "edit_date", "reply_markup"}
        }
        origin = {"type": "user", "sender_user": message["from"], "date": message["date"]}
        forwarded = self.chats.write(
            chat or user, self.chats.user(user), {**content, "forward_origin": origin}
        )
        return self.updates.add("message", forwarded)

    def taps(  # noqa: PLR0913 - all that can be odd about a tap
        self,
        user: int,
        message_id: int,
        button: str = "",
        *,
        chat: int | None = None,
        data: str | None = None,
        altered: dict[str, Any] | None = None,
        inaccessible: bool = False,
    ) -> Update:
        """A person taps a button, named by its text or its data; the update carries the message as it stands now.

        `data` sends made-up data instead of a button's; `altered` puts other values into the message that the
        update carries; with `inaccessible` it carries only where the message was, as for one that is gone.
        """
        room = chat or user
        if data is None:
            data = self._data(room, message_id, button)
        if inaccessible:
            message = {"chat": self.chats.chat(room), "message_id": message_id, "date": 0}
        else:
            message = {**self._stored(room, message_id), **(altered or {})}
        query = f"{7_000_000_001 + len(self.account.queries)}"
        self.account.queries.add(query)
        tap = {
            "id": query,
            "from": self.chats.user(user),
            "chat_instance": f"{room}",
            "message": message,
            "data": data,
        }
        return self.updates.add("callback_query", tap)

    def redeliver(self, update_id: int) -> None:
        """Deliver an update once more, with the next answer to a poll, though it may have been confirmed."""
        self.updates.add_again(update_id)

    def _data(self, chat: int, message_id: int, name: str) -> str:
        """The data of a button; raises `LookupError` that names those there are."""
        buttons = list(_buttons(self._stored(chat, message_id)))
        for button in buttons:
            if name in {button["text"], button.get("callback_data")} and "callback_data" in button:
                return str(button["callback_data"])
        raise LookupError(f"no button {name!r} to tap; there are {[button['text'] for button in buttons]}")

    def _stored(self, chat: int, message_id: int) -> Message:
        message = self.chats.find(chat, message_id)
        if message is None:
            raise LookupError(f"chat {chat} has no message {message_id}")
        return message


def _buttons(message: Message) -> Iterator[dict[str, Any]]:
    for row in message.get("reply_markup", {}).get("inline_keyboard", []):
        yield from row


def _formatted(name: str, text: str) -> dict[str, Any]:
    text, entities = kept(text, [])
    return {
        name: text,
        **({("entities" if name == "text" else "caption_entities"): entities} if entities else {}),
    }
