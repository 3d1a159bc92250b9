"""The line to Telegram: one call of a Bot API method at a time, and its failures in our words, without the token."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
from telegram import Bot, InputFile
from telegram.error import BadRequest, Conflict, Forbidden, InvalidToken, NetworkError, TelegramError
from telegram.request import HTTPXRequest

from runner.errors import RunnerError
from runner.secrecy import Veil, in_address

if TYPE_CHECKING:
    from telegram.request import RequestData

TALKATIVE = ("httpx", "telegram.Bot")  #: libraries that log addresses, and the token in them
CALL_S = 20.0  #: how long an ordinary call may take
TOO_MANY = 429
MARGIN_S = 10.0  #: how much longer than its own timeout a long poll may take
NEVER_ARRIVED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class LineError(RunnerError):
    """Telegram did not do what it was asked to."""


class RefusedError(LineError):
    """Telegram refused the call as wrong; the same call will be refused again."""


class ConflictError(LineError):
    """Somebody else reads this bot's messages."""


class TokenError(LineError):
    """Telegram does not know the token."""


class LostError(LineError):
    """No answer came; the call may have taken effect or not."""

    def __init__(self, message: str, *, is_unsent: bool) -> None:
        super().__init__(message)
        self.is_unsent = is_unsent  #: whether it certainly never arrived


class ThrottledError(LineError, TelegramError):
    """Too much at once; to be tried again after so many seconds."""

    def __init__(self, seconds: float) -> None:
        RunnerError.__init__(self, f"Telegram asks to wait {seconds:g} s")
        self.seconds = seconds


class _Request(HTTPXRequest):
    """The library's own, but for an answer of 429, whose error of the library's warns by being made."""

    async def do_request(
        self, url: str, method: str, request_data: RequestData | None = None, *args: Any, **kwargs: Any
    ) -> tuple[int, bytes]:
        """Raise `ThrottledError` for a 429."""
        code, payload = await super().do_request(url, method, request_data, *args, **kwargs)
        if code == TOO_MANY:
            raise ThrottledError(_seconds(payload))
        return code, payload


def _seconds(payload: bytes) -> float:
    try:
        return float(json.loads(payload)["parameters"]["retry_after"])
    except (ValueError, KeyError, TypeError):
        return 1.0


class _Hidden(logging.Filter):
    """Takes the token out of whatever a library says."""

    def __init__(self, veil: Veil) -> None:
        super().__init__()
        self._veil = veil

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self._veil.over(record.getMessage()), ()
        return True


@dataclass(frozen=True, slots=True)
class Document:
    """A file to be sent."""

    name: str
    content: bytes


class Wire(Bot):
    """One bot's line to the Bot API at `address`."""

    def __init__(self, token: str, address: str) -> None:
        self._veil = Veil(token, *in_address(address))
        self._hidden = _Hidden(self._veil)
        for name in TALKATIVE:
            logging.getLogger(name).addFilter(self._hidden)
        self._poll = _Request(connection_pool_size=1, read_timeout=CALL_S)
        self._calls = _Request(connection_pool_size=64, read_timeout=CALL_S, pool_timeout=CALL_S)
        base = f"{address.rstrip('/')}/bot"
        super().__init__(token, base_url=base, request=self._calls, get_updates_request=self._poll)

    async def call(self, method: str, wait_s: float = 0.0, **params: Any) -> Any:
        """What the method answers, as it came; raises `LineError`. `wait_s` is how long it may do nothing."""
        params = {
            name: InputFile(value.content, filename=value.name) if isinstance(value, Document) else value
            for name, value in params.items()
            if value is not None
        }
        try:
            return await self._post(method, params, read_timeout=wait_s + (MARGIN_S if wait_s else CALL_S))
        except TelegramError as error:
            raise self._said(error) from None

    def _said(self, error: TelegramError) -> LineError:
        if isinstance(error, LineError):
            return error
        words = self._veil.over(str(error))
        match error:
            case BadRequest() | Forbidden():
                return RefusedError(words)
            case Conflict():
                return ConflictError(words)
            case InvalidToken():
                return TokenError("Telegram does not know this token; copy it anew from @BotFather into .env")
            case NetworkError():
                return LostError(words, is_unsent=isinstance(error.__cause__, NEVER_ARRIVED))
        return LostError(words, is_unsent=False)

    async def close_line(self) -> None:
        """Let go of the connections."""
        for request in (self._poll, self._calls):
            await request.shutdown()
        for name in TALKATIVE:
            logging.getLogger(name).removeFilter(self._hidden)
