"""What the Bot API's methods do to the chats, and what they refuse (https://core.telegram.org/bots/api)."""

from __future__ import annotations

import mimetypes
import time
from typing import TYPE_CHECKING, Any

from runner.rehearsal.telegram.call import Refusal, bad
from runner.rehearsal.telegram.chats import HEAD
from runner.rehearsal.telegram.text import kept, units

if TYPE_CHECKING:
    from runner.rehearsal.telegram.call import Call, Table
    from runner.rehearsal.telegram.chats import Chats, Message

_TEXT_MOST, _CAPTION_MOST = 4096, 1024  # UTF-16 units
_DATA_MOST = 64  # bytes of callback data
_BUTTONS_MOST = 100
_ALBUM = range(2, 11)  # how many pictures or documents may come in one group
_GIFTS = ("unlimited_gifts", "limited_gifts", "unique_gifts", "premium_subscription", "gifts_from_channels")
_PLAIN_BUTTON = {"text", "style", "icon_custom_emoji_id"}  # a button of these alone does nothing
_NOT_MODIFIED = (
    "message is not modified: specified new message content and reply markup are exactly the same as a current "
    "content and reply markup of the message"
)


class Methods:
    """The methods that send, change and read messages; each raises `Refusal` where Telegram would refuse."""

    def __init__(self, bot: dict[str, Any], chats: Chats) -> None:
        self._bot, self._chats = bot, chats
        self.methods: Table = {
            "getChat": self._get_chat,
            "sendChatAction": self._send_chat_action,
            "sendMessage": self._send_message,
            "sendDocument": self._send_document,
            "sendPhoto": self._send_photo,
            "sendMediaGroup": self._send_media_group,
            "editMessageText": self._edit_message_text,
            "editMessageCaption": self._edit_message_caption,
            "editMessageReplyMarkup": self._edit_message_reply_markup,
            "deleteMessage": self._delete_message,
            "getFile": self._get_file,
        }

    def _get_chat(self, call: Call) -> dict[str, Any]:
        more = {
            "accent_color_id": 0,
            "max_reaction_count": 11,
            "accepted_gift_types": dict.fromkeys(_GIFTS, False),
        }
        return {**self._chats.chat(self._chat(call)), **more}

    def _send_chat_action(self, call: Call) -> bool:
        return bool(self._chat(call))

    def _send_message(self, call: Call) -> Message:
        return self._send(call, _text(call))

    def _send_document(self, call: Call) -> Message:
        return self._send(call, {**self._document(call, call.words("document")), **_caption(call.params)})

    def _send_photo(self, call: Call) -> Message:
        return self._send(call, {**self._photo(call, call.words("photo")), **_caption(call.params)})

    def _send_media_group(self, call: Call) -> list[Message]:
        media = call.structure("media", list)
        if len(media) not in _ALBUM:
            raise bad("wrong number of media in the group")
        contents = [{**self._medium(call, each), **_caption(each)} for each in media]
        album = {"media_group_id": str(time.monotonic_ns())}
        return [self._send(call, {**content, **album}) for content in contents]

    def _edit_message_text(self, call: Call) -> Message:
        message = self._own(call)
        if "text" not in message:
            raise bad("there is no text in the message to edit")
        return self._edit(message, {**_text(call), **_keyboard(call)})

    def _edit_message_caption(self, call: Call) -> Message:
        message = self._own(call)
        media: Message = {
            name: message[name] for name in ("document", "photo", "media_group_id") if name in message
        }
        if not media:
            raise bad("there is no caption in the message to edit")
        return self._edit(message, {**media, **_caption(call.params), **_keyboard(call)})

    def _edit_message_reply_markup(self, call: Call) -> Message:
        message = self._own(call)
        content = {name: value for name, value in _content(message).items() if name != "reply_markup"}
        return self._edit(message, {**content, **_keyboard(call)})

    def _delete_message(self, call: Call) -> bool:
        message = self._found(call, "delete")
        if message["from"] != self._bot and message["chat"]["type"] != "private":
            raise bad("message can't be deleted")
        self._chats.delete(message)
        return True

    def _get_file(self, call: Call) -> dict[str, Any]:
        file_id = call.words("file_id")
        if file_id not in self._chats.files:
            raise bad("wrong file_id or the file is temporarily unavailable")
        return {**self._chats.file(file_id), "file_path": f"documents/{file_id}"}

    def _chat(self, call: Call) -> int:
        """The chat a call is about, when the bot may write to it."""
        chat = call.params.get("chat_id")
        if chat is None or chat == "":
            raise bad("chat_id is empty")
        if not isinstance(chat, int) or chat == 0 or chat in self._chats.strangers:
            raise bad("chat not found")
        if chat in self._chats.blocked:
            raise Refusal(403, "Forbidden: bot was blocked by the user")
        return chat

    def _found(self, call: Call, verb: str) -> Message:
        """The message a call is about."""
        message = self._chats.find(self._chat(call), call.integer("message_id"))
        if message is None:
            raise bad(f"message to {verb} not found")
        return message

    def _own(self, call: Call) -> Message:
        """The message a call would edit, when it is the bot's own."""
        message = self._found(call, "edit")
        if message["from"] != self._bot:
            raise bad("message can't be edited")
        return message

    def _send(self, call: Call, content: dict[str, Any]) -> Message:
        chat = self._chat(call)
        return self._chats.write(chat, self._bot, {**self._replied(call, chat), **content, **_keyboard(call)})

    def _replied(self, call: Call, chat: int) -> dict[str, Any]:
        wanted = call.structure("reply_parameters", dict)
        if not wanted:
            return {}
        message = self._chats.find(wanted.get("chat_id", chat), wanted.get("message_id", 0))
        if message is not None:
            return {
                "reply_to_message": {
                    name: value for name, value in message.items() if name != "reply_to_message"
                }
            }
        if wanted.get("allow_sending_without_reply"):
            return {}
        raise bad("message to be replied not found")

    def _edit(self, message: Message, content: dict[str, Any]) -> Message:
        if content == _content(message):
            raise bad(_NOT_MODIFIED)
        return self._chats.change(message, content)

    def _medium(self, call: Call, wanted: dict[str, Any]) -> dict[str, Any]:
        make = {"document": self._document, "photo": self._photo}.get(wanted.get("type", ""))
        if make is None:
            raise bad("this stand-in groups documents and photos only")
        return make(call, wanted.get("media", ""))

    def _document(self, call: Call, reference: str) -> dict[str, Any]:
        file = self._file(call, reference, "document")
        name = self._chats.files[file["file_id"]].name
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        return {"document": {**file, "file_name": name, "mime_type": kind}}

    def _photo(self, call: Call, reference: str) -> dict[str, Any]:
        return {"photo": [{**self._file(call, reference, "photo"), "width": 640, "height": 480}]}

    def _file(self, call: Call, reference: str, field: str) -> dict[str, Any]:
        """A file that came with the call, or one that Telegram has already."""
        upload = call.uploads.get(reference.removeprefix("attach://") or field)
        if upload is not None:
            if not upload.content:
                raise bad("file must be non-empty")
            return self._chats.keep(upload)
        if reference not in self._chats.files:
            raise bad("wrong file identifier/HTTP URL specified")
        return self._chats.file(reference)


def _text(call: Call) -> dict[str, Any]:
    text, entities = _formatted(call.params, "text", "entities")
    if not text:
        raise bad("message text is empty")
    if units(text) > _TEXT_MOST:
        raise bad("message is too long")
    preview = call.structure("link_preview_options", dict)
    return {"text": text, **entities, **({"link_preview_options": preview} if preview else {})}


def _caption(params: dict[str, Any]) -> dict[str, Any]:
    text, entities = _formatted(params, "caption", "caption_entities")
    if units(text) > _CAPTION_MOST:
        raise bad("message caption is too long")
    return {"caption": text, **entities} if text else {}


def _formatted(params: dict[str, Any], name: str, entities: str) -> tuple[str, dict[str, Any]]:
    if params.get("parse_mode"):
        raise bad("this stand-in parses no markup: send plain text with entities")
    if not isinstance(given := params.get(entities) or [], list):
        raise bad("can't parse entities: a list is expected")
    text, found = kept(str(params.get(name, "")), given)
    return text, {entities: found} if found else {}


def _content(message: Message) -> dict[str, Any]:
    """What an edit may change."""
    return {name: value for name, value in message.items() if name not in {*HEAD, "edit_date"}}


def _keyboard(call: Call) -> dict[str, Any]:
    """The inline keyboard, which is the only markup that stays with a message."""
    rows = call.structure("reply_markup", dict).get("inline_keyboard") or []
    buttons = [button for row in rows for button in row]
    for button in buttons:
        if not button.get("text") or not set(button) - _PLAIN_BUTTON:
            raise bad("can't parse inline keyboard button: text buttons are unallowed in the inline keyboard")
        if not 1 <= len(button.get("callback_data", "x").encode()) <= _DATA_MOST:
            raise bad("BUTTON_DATA_INVALID")
    if len(buttons) > _BUTTONS_MOST:
        raise bad("reply markup is too long")
    return {"reply_markup": {"inline_keyboard": rows}} if buttons else {}
