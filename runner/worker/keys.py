"""What the keys of a front matter mean: the limits of `@task`, and what a function would say in its body."""

from __future__ import annotations

import difflib
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ConfigDict, Field, ValidationError

from runner.declare import Limits, at, cron, every
from runner.errors import DeclarationError, MarkdownError
from runner.reach import ProjectFile  # noqa: TC001 - pydantic reads it
from runner.worker.run import MAX_TOKENS

if TYPE_CHECKING:
    from collections.abc import Callable

    from runner.declare import Trigger
    from runner.worker import frontmatter

T = TypeVar("T")

OUTPUT_MAX = 64_000  #: tokens
UNITS = {
    "s": 1,
    "sec": 1,
    "second": 1,
    "min": 60,
    "minute": 60,
    "h": 3600,
    "hour": 3600,
    "d": 86400,
    "day": 86400,
}
_SPAN = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)")


class Front(Limits):
    """All that a front matter may say: the limits of `@task`, and what a function would say in its body."""

    model_config = ConfigDict(strict=False)  # every value is a text as it was written

    kind: str  #: what Claude is to write: a built-in kind, one of the owner's own with its module, or Alert
    schedule: tuple[str, ...] = ()
    tz: str | None = None  #: of the schedule; None is the owner's
    jitter: timedelta = timedelta(0)
    description: str = ""  #: empty: the prompt's first line
    system: str | None = None
    model: str | None = None
    max_tokens: int = Field(default=MAX_TOKENS, gt=0, le=OUTPUT_MAX)
    effort: str | None = None
    include: tuple[ProjectFile, ...] = ()  #: files of the project that the prompt names as {{ path }}
    fields: dict[str, Any] = Field(default_factory=dict)  #: of the draft, that are not Claude's to say
    keeps: tuple[str, ...] = ()  #: fields of each draft that later runs find in run.state


def understood(read: frontmatter.Front) -> Front:
    """The front matter, each value as its key means it; raises `MarkdownError` with the line of what can't be meant."""
    if "kind" not in read.values:
        raise MarkdownError("it names no kind; write what it drafts, e.g. kind: Article", line=2)
    values = {name: placed(read, name, _converted, name, value) for name, value in read.values.items()}
    try:
        return Front.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
    name = str(first["loc"][0])
    line = read.lines.get(name)
    if first["type"] == "extra_forbidden":
        raise MarkdownError(
            f"front matter has no key {name!r}; {hint(name, [*Front.model_fields])}", line=line
        )
    words = first["msg"].removeprefix("Value error, ").replace("Input should be", "it should be")
    raise MarkdownError(f"{name}: {read.values[name]!r}: {words}", line=line)


def hint(name: str, known: list[str]) -> str:
    """What to write instead of a name that is not known."""
    like = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {like[0]!r}?" if like else f"there are {', '.join(known)}"


def placed(read: frontmatter.Front, key: str, make: Callable[..., T], *args: Any) -> T:
    """What `make` makes of a key's value; what is wrong with it is told with the key's line."""
    try:
        return make(*args)
    except DeclarationError as error:
        raise MarkdownError(str(error), line=read.lines.get(key)) from error


def _converted(name: str, value: Any) -> Any:
    """A value as its key wants it: one text is a list of one, and a length of time is said in words."""
    field = Front.model_fields.get(name)
    kind = str(field.annotation) if field else ""
    if "timedelta" in kind:
        return _span(name, value)
    if kind.startswith("tuple") and isinstance(value, str):
        return (value,)
    return value


def _span(name: str, value: Any) -> timedelta:
    text, place, seconds = str(value).strip().lower(), 0, 0.0
    while match := _SPAN.match(text, place):
        unit = match[2] if match[2] in UNITS else match[2].removesuffix("s")
        if unit not in UNITS:
            break
        seconds += float(match[1]) * UNITS[unit]
        place = match.end()
    if place != len(text) or not text:
        raise DeclarationError(f"{name}: {value!r} is no length of time; write e.g. '20 minutes' or '3 days'")
    return timedelta(seconds=seconds)


def triggers(front: Front) -> tuple[Trigger, ...]:
    """When the task is due: ``0 9 * * mon-fri``, ``every 10 minutes``, ``at 2026-12-24T09:00``, or a list of those."""
    return tuple(_trigger(front, text.strip()) for text in front.schedule)


def _trigger(front: Front, text: str) -> Trigger:
    word, _, rest = text.partition(" ")
    match word:
        case "every":
            return every(seconds=_span("schedule: every", rest).total_seconds(), jitter=front.jitter)
        case "at":
            return at(rest.strip(), tz=front.tz)
    return cron(text, tz=front.tz, jitter=front.jitter)


def limits(front: Front) -> Limits:
    """The limits of the task; what the prompt includes is among the files it reads."""
    said = {name: getattr(front, name) for name in Limits.model_fields}
    return Limits(**{**said, "files": tuple(dict.fromkeys((*front.files, *front.include)))})
