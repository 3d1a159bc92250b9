"""One call of a Bot API method: its parameters, whichever way they were sent, and its files."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runner.rehearsal.http import Request

#: parameters that are words, whatever they look like; in a form all others are JSON
_WORDS = {
    "text",
    "caption",
    "parse_mode",
    "callback_query_id",
    "file_id",
    "action",
    "url",
    "language_code",
    "document",
}
_WORDS |= {"photo", "filename", "secret_token"}
_NAME = re.compile(rb'\bname="([^"]*)"')
_FILENAME = re.compile(rb'\bfilename="([^"]*)"')


class Refusal(Exception):  # noqa: N818 - an answer, and no mistake
    """What the Bot API answers instead of a result."""

    def __init__(self, status: int, description: str, retry_after: int | None = None) -> None:
        super().__init__(description)
        self.status, self.description, self.retry_after = status, description, retry_after

    def body(self) -> dict[str, Any]:
        """The answer as the Bot API writes it."""
        more = {} if self.retry_after is None else {"parameters": {"retry_after": self.retry_after}}
        return {"ok": False, "error_code": self.status, "description": self.description, **more}


def bad(description: str) -> Refusal:
    """The refusal of a request that is wrong in itself."""
    return Refusal(400, f"Bad Request: {description}")


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that came with a call."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Call:
    """A call that reached the stand-in."""

    method: str
    params: dict[str, Any]
    uploads: dict[str, Upload]  #: by the name of the form's field
    refused: str = ""  #: the description it was refused with; empty: it took effect

    def integer(self, name: str, default: int = 0) -> int:
        """A parameter that is a whole number."""
        value = self.params.get(name, default)
        if not isinstance(value, int):
            raise bad(f'can\'t parse "{name}": a whole number is expected')
        return value

    def words(self, name: str) -> str:
        """A parameter that is text; empty when it isn't there."""
        return str(self.params.get(name, ""))

    def structure(self, name: str, kind: type[dict[str, Any] | list[Any]]) -> Any:
        """A parameter that is an object or a list; empty when it isn't there."""
        value = self.params.get(name)
        if value is None or value == "":
            return kind()
        if not isinstance(value, kind):
            raise bad(f'can\'t parse "{name}" JSON {"object" if kind is dict else "array"}')
        return value


Table = dict[str, "Callable[[Call], Any]"]  #: what each method does


def read(request: Request, method: str) -> Call:
    """The call that a request makes, from its query and a body of any of the three kinds."""
    params: dict[str, Any] = dict(request.query)
    uploads: dict[str, Upload] = {}
    kind = request.headers.get("content-type", "")
    if kind.startswith("application/json"):
        params |= _json(request)
    elif kind.startswith("multipart/form-data"):
        for name, filename, content in _parts(
            request.body, kind.rpartition("boundary=")[2].strip('"').encode()
        ):
            if filename is None:
                params[name] = content.decode()
            else:
                uploads[name] = Upload(filename, content)
    else:
        params |= dict(parse_qsl(request.body.decode(), keep_blank_values=True))
    return Call(method, {name: _value(name, value) for name, value in params.items()}, uploads)


def _json(request: Request) -> dict[str, Any]:
    try:
        return dict(request.json())
    except (ValueError, TypeError):
        raise bad("can't parse request JSON object") from None


def _value(name: str, value: Any) -> Any:
    if name in _WORDS or not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _parts(body: bytes, boundary: bytes) -> Iterator[tuple[str, str | None, bytes]]:
    """Name, file name if it is a file, and content of each part (RFC 7578)."""
    for part in (b"\r\n" + body).split(b"\r\n--" + boundary)[1:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        name, filename = _NAME.search(head), _FILENAME.search(head)
        if name is None:
            raise bad("can't parse multipart/form-data")
        yield _plain(name), filename and _plain(filename), content


def _plain(quoted: re.Match[bytes]) -> str:
    return quoted[1].decode().replace("%22", '"')
