"""The chats of a bot and the messages in them, as they stand now."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runner.rehearsal.telegram.call import Upload

Message = dict[str, Any]

HEAD = ("message_id", "from", "chat", "date", "reply_to_message")  #: what an edit leaves as it is


class Chats:
    """Every chat there may be: a positive id is a private one, a negative one a group."""

    def __init__(self) -> None:
        self.strangers: set[int] = set()  #: chats that the bot was never in
        self.blocked: set[int] = set()  #: people who blocked the bot
        self.names: dict[int, str] = {}  #: of people and groups; others get one made up
        self.files: dict[str, Upload] = {}  #: by file_id
        self._messages: defaultdict[int, dict[int, Message]] = defaultdict(dict)
        self._last: defaultdict[int, int] = defaultdict(int)  # ids count up in each chat by itself

    def of(self, chat: int) -> list[Message]:
        """The messages of a chat, oldest first."""
        return list(self._messages[chat].values())

    def find(self, chat: int, message_id: int) -> Message | None:
        """A message, unless it was deleted or never was."""
        return self._messages[chat].get(message_id)

    def user(self, user: int) -> dict[str, Any]:
        """A person as messages show them."""
        name = self.names.get(user, f"Person {user}")
        return {"id": user, "is_bot": False, "first_name": name, "language_code": "en"}

    def chat(self, chat: int) -> dict[str, Any]:
        """A chat as messages show it."""
        if chat > 0:
            return {"id": chat, "type": "private", "first_name": self.user(chat)["first_name"]}
        kind = "supergroup" if str(chat).startswith("-100") else "group"
        return {"id": chat, "type": kind, "title": self.names.get(chat, f"Group {-chat}")}

    def write(self, chat: int, author: dict[str, Any], content: dict[str, Any]) -> Message:
        """Add a message to a chat."""
        self._last[chat] += 1
        head = {
            "message_id": self._last[chat],
            "from": author,
            "chat": self.chat(chat),
            "date": int(time.time()),
        }
        self._messages[chat][self._last[chat]] = message = {**head, **content}
        return message

    def change(self, message: Message, content: dict[str, Any]) -> Message:
        """Put new content in place of a message's old; its head stays."""
        head = {name: message[name] for name in HEAD if name in message}
        new = {**head, "edit_date": int(time.time()), **content}
        self._messages[message["chat"]["id"]][message["message_id"]] = new
        return new

    def delete(self, message: Message) -> None:
        """Take a message out of its chat."""
        del self._messages[message["chat"]["id"]][message["message_id"]]

    def keep(self, upload: Upload) -> dict[str, Any]:
        """Keep a file; what is returned tells how to get it."""
        file_id = f"file-{len(self.files) + 1:06}"
        self.files[file_id] = upload
        return self.file(file_id)

    def file(self, file_id: str) -> dict[str, Any]:
        """A file as messages refer to it; raises `KeyError` when there is none."""
        size = len(self.files[file_id].content)
        return {"file_id": file_id, "file_unique_id": file_id.replace("file", "unique"), "file_size": size}
