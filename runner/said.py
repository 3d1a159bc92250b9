"""What a child says, as far as it can be meant: whatever else it sends is an error in words, never a surprise."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from runner.errors import RunError

DEPTH_MAX = 64  #: lists and objects inside each other
WORDS_MAX = 4000  #: characters of an error or of a line for the log
NUMBER_MAX = (1 << 31) - 1


class _Said(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


S = TypeVar("S", bound=_Said)


class Item(_Said):
    """An alert, or a draft, that a task returned."""

    alert: str | None = None
    question: str = ""
    draft: str | None = Field(default=None, max_length=200)
    fields: dict[str, Any] = {}
    call: int | None = Field(default=None, ge=0, le=NUMBER_MAX)


class Outcome(_Said):
    """What a task returned, and what it keeps."""

    made: list[Item]
    state: dict[str, Any]
    degraded: list[str] = []


class Failure(_Said):
    """Why a task came to nothing."""

    error: str
    kind: str = ""
    file: str | None = None
    line: int | None = Field(default=None, ge=0, le=NUMBER_MAX)


class Tooled(_Said):
    """What a tool answered."""

    tool: int
    text: str
    is_error: bool = False


def outcome(message: dict[str, Any]) -> Outcome:
    """The message as an outcome; raises `RunError` when it is none."""
    return _meant(Outcome, message)


def failure(message: dict[str, Any]) -> Failure:
    """The message as a failure, likewise."""
    return _meant(Failure, message)


def tooled(message: dict[str, Any]) -> Tooled:
    """The message as a tool's answer, likewise."""
    return _meant(Tooled, message)


def _meant(kind: type[S], message: dict[str, Any]) -> S:
    try:
        return kind.model_validate(message)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise RunError(
            f"the child's {kind.__name__.lower()} can't be meant: {where}: {first['msg']}"
        ) from None


def short(text: Any) -> str:
    """The beginning of what may be of any length."""
    words = str(text)
    return words if len(words) <= WORDS_MAX else f"{words[:WORDS_MAX]}…"


def parsed(line: bytes) -> dict[str, Any]:
    """A line as a message; raises `RunError` for what is none, and for what no record could hold."""
    try:
        message = json.loads(line, parse_constant=_refuse)
        if b"\\u" in line:
            json.dumps(message, ensure_ascii=False).encode()  # half of a surrogate pair is no text
    except (ValueError, RecursionError) as error:
        raise RunError("the child sent what is no JSON") from error
    if not isinstance(message, dict):
        raise RunError("the child sent what is no message")
    if line.count(b"[") + line.count(b"{") > DEPTH_MAX and _depth(message) > DEPTH_MAX:
        raise RunError(f"the child sent lists and objects more than {DEPTH_MAX} deep")
    return message


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def _depth(message: Any) -> int:
    level, depth = [message], 0
    while level:
        parts = (each.values() if isinstance(each, dict) else each for each in level)
        level = [part for some in parts for part in some if isinstance(part, dict | list)]
        depth += 1
    return depth
