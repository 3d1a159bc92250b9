"""A stand-in for a Telegram channel: what a bot may do in it, by the Bot API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runner.rehearsal.destination import Answers
from runner.rehearsal.service import Service
from runner.rule import utf16

if TYPE_CHECKING:
    from runner.rehearsal.http import Request

TEXT_MAX = 4096


class StandInChannel(Service):
    """Keeps in `effects` each message; with `name`, there is no other channel."""

    prefixes = ("/bot",)

    def __init__(self, *, name: str = "", token: str = "", port: int = 0) -> None:
        super().__init__(token=token, port=port)
        self._name = name

    def judge(self, request: Request) -> Answers:
        """Answer as the real one would."""
        token, _, method = request.path.removeprefix("/bot").partition("/")
        if self.token not in {"", token}:
            return _error(401, "Unauthorized")
        if method != "sendMessage":
            return _error(404, "Not Found")
        return self._send(request.json())

    def _send(self, message: dict[str, Any]) -> Answers:
        text = str(message.get("text", "")).strip()
        if self._name not in {"", message.get("chat_id")}:
            return _error(400, "Bad Request: chat not found")
        if not text:
            return _error(400, "Bad Request: message text is empty")
        if utf16(text) > TEXT_MAX:
            return _error(400, "Bad Request: message is too long")
        if "parse_mode" in message:
            return _error(400, "Bad Request: can't parse entities")
        self.effects.append(message)
        return Answers(200, {"ok": True, "result": {"message_id": len(self.effects), "text": text}})


def _error(status: int, description: str) -> Answers:
    return Answers(status, {"ok": False, "error_code": status, "description": description})
