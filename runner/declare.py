"""What an owner declares: a task, when it is due, and its limits. Declaring registers nothing."""

from __future__ import annotations

import difflib
import inspect
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, ValidationError

from runner.errors import DeclarationError, TriggerError
from runner.reach import Domain, ProjectFile
from runner.wall import cron_after, once

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NAME_MAX = 100  #: characters of a name
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SHORTHANDS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
CRON_FIELDS = ("minute", "hour", "day of month", "month", "weekday")


def _possible(expression: str) -> str:
    try:
        CronSim(expression, EPOCH)
    except CronSimError as error:
        raise ValueError(str(error)) from error
    return expression


def _known(name: str | None) -> str | None:
    try:
        return ZoneInfo(name).key if name else None
    except (KeyError, OSError) as error:
        raise ValueError(f"{name!r} is no time zone") from error


# a child says them: what no clock can keep must not reach the schedule
Zone = Annotated[str | None, AfterValidator(_known)]
Delay = Annotated[timedelta, Field(ge=timedelta(0), le=timedelta(days=366))]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Cron(_Frozen):
    """Due whenever the expression matches the wall clock of its zone."""

    type: Literal["cron"] = "cron"
    expression: Annotated[str, AfterValidator(_possible)]
    tz: Zone = None  #: an IANA name; None is the owner's zone
    jitter: Delay = timedelta(0)

    def after(self, instant: datetime, zone: ZoneInfo) -> Iterator[datetime]:
        """The slots later than `instant`, in order, in UTC. A time in a gap comes just after it, once."""
        return cron_after(self.expression, instant, ZoneInfo(self.tz) if self.tz else zone)

    def explain(self) -> str:
        """The schedule in words."""
        return CronSim(self.expression, EPOCH).explain() + (f" ({self.tz})" if self.tz else "")


class Every(_Frozen):
    """Due at each multiple of the interval since 1970 in UTC, so that no restart moves it."""

    type: Literal["every"] = "every"
    interval: Annotated[timedelta, Field(gt=timedelta(0))]
    jitter: Delay = timedelta(0)

    def after(self, instant: datetime, zone: ZoneInfo) -> Iterator[datetime]:
        """The slots later than `instant`, in order, in UTC."""
        slot = EPOCH + ((instant - EPOCH) // self.interval) * self.interval
        while True:
            slot += self.interval
            yield slot

    def explain(self) -> str:
        """The schedule in words."""
        return f"Every {in_words(self.interval)}"


class At(_Frozen):
    """Due once."""

    type: Literal["at"] = "at"
    moment: datetime  #: naive: a wall-clock time in `tz`, else in the owner's zone
    tz: Zone = None
    jitter: Delay = timedelta(0)

    def after(self, instant: datetime, zone: ZoneInfo) -> Iterator[datetime]:
        """The one slot, if it is later than `instant`, in UTC."""
        there = ZoneInfo(self.tz) if self.tz else zone
        slot = self.moment.astimezone(UTC) if self.moment.tzinfo else once(self.moment, there)
        if slot > instant:
            yield slot

    def explain(self) -> str:
        """The schedule in words."""
        return f"Once, at {self.moment:%Y-%m-%d %H:%M}" + (f" ({self.tz})" if self.tz else "")


Trigger = Annotated[Cron | Every | At, Discriminator("type")]


def cron(expression: str, *, tz: str | None = None, jitter: timedelta = timedelta(0)) -> Cron:
    """Due as cron would have it: ``cron("0 9 * * mon-fri")``.

    0 and 7 are Sunday; where both day-of-month and weekday are given, either will do; ``L``, ``2#1`` and
    ``@daily`` work. `tz` is an IANA name; without one, the owner's zone. `jitter` delays each start by up to
    that much, zero by default. Raises `TriggerError` when the expression can never be due.
    """
    text = SHORTHANDS.get(expression.strip().lower(), expression.strip())
    if reason := _wrong(text):
        raise TriggerError(
            f"cron({expression!r}): {reason}; write minute hour day month weekday, e.g. '0 9 * * mon-fri'"
        )
    return Cron(expression=text, tz=_zone(tz), jitter=_delay(jitter))


def _wrong(expression: str) -> str:
    """What no clock could keep in a cron expression; empty when one could."""
    parts = expression.split()
    if len(parts) != len(CRON_FIELDS):
        return f"it has {len(parts)} fields, not {len(CRON_FIELDS)}"
    for place, (part, name) in enumerate(zip(parts, CRON_FIELDS, strict=True)):
        try:
            CronSim(" ".join(part if n == place else "*" for n in range(len(parts))), EPOCH)
        except CronSimError:
            return f'"{part}" is no {name}'
    try:
        CronSim(expression, EPOCH)
    except CronSimError:
        return "there is no such day"
    return ""


def every(
    *,
    days: float = 0,
    hours: float = 0,
    minutes: float = 0,
    seconds: float = 0,
    jitter: timedelta = timedelta(0),
) -> Every:
    """Due at every multiple of that interval, counted from 1970-01-01 in UTC: ``every(minutes=10)``.

    At least one second. `jitter` delays each start by up to that much, zero by default.
    """
    interval = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    if interval < timedelta(seconds=1):
        raise TriggerError(f"every(): {in_words(interval)} is too often; one second is the least")
    if interval % timedelta(milliseconds=1):
        raise TriggerError(f"every(): {in_words(interval)} is too fine; whole milliseconds are the least")
    return Every(interval=interval, jitter=_delay(jitter))


def at(moment: str | datetime, *, tz: str | None = None) -> At:
    """Due once: ``at("2026-12-24T09:00")``, in `tz`, else in the owner's zone, unless it carries an offset."""
    try:
        when = moment if isinstance(moment, datetime) else datetime.fromisoformat(moment)
    except ValueError as error:
        raise TriggerError(f"at({moment!r}) is no date and time; write e.g. '2026-12-24T09:00'") from error
    return At(moment=when.replace(microsecond=0), tz=_zone(tz))


def _zone(name: str | None) -> str | None:
    try:
        return ZoneInfo(name).key if name else None
    except (KeyError, ValueError, OSError) as error:
        raise TriggerError(
            f"tz={name!r} is no time zone; write an IANA name, e.g. 'Europe/Berlin'"
        ) from error


def _delay(jitter: timedelta) -> timedelta:
    if jitter < timedelta(0):
        raise TriggerError(f"jitter={jitter!r}: it can't be negative")
    return jitter


def _readable(url: str) -> str:
    scheme, _, rest = url.partition("://")
    host, slash, _ = rest.partition("/")
    if scheme not in {"http", "https"} or not host or not slash or "@" in host:
        raise ValueError("write a whole URL with its path, e.g. 'https://example.com/health'")
    return url


#: ten years and ten thousand are more than anybody means, and what a clock and a store can hold
def _identifier(name: str) -> str:
    # no pattern: one that knows every letter there is costs ten megabytes
    if not name.isidentifier() or len(name) > NAME_MAX:
        raise ValueError(f"it must be a Python name of at most {NAME_MAX} characters")
    return name


Name = Annotated[str, AfterValidator(_identifier)]  #: of a task; its folder is called like it
Span = Annotated[timedelta, Field(gt=timedelta(0), le=timedelta(days=3660))]
Count = Annotated[int, Field(ge=0, le=10_000)]
Readable = Annotated[str, AfterValidator(_readable)]


class Limits(_Frozen):
    """What a task may use, and what happens when it can't have it. Each has a default an owner can live with."""

    timeout: Span = timedelta(minutes=10)  #: of one attempt; then it is killed
    retries: Count = 1  #: further attempts after an error or a crash; paid Claude calls are not paid again
    patience: Delay = timedelta(0)  #: how long its questions may wait for half the price; zero asks at once
    budget: float = Field(
        default=0.50, ge=0, allow_inf_nan=False
    )  #: USD a run may spend on Claude; zero means nothing
    missed: Literal["once", "skip"] = "once"  #: after downtime: catch up on the newest slot, or on none
    late: Span = timedelta(hours=1)  #: how late a slot is still worth a run
    overlap: Literal["skip", "queue"] = "skip"  #: when due while a run is under way
    max_pending: Count = 3  #: no new run while so many drafts of the task wait; zero means no bound
    uses: tuple[str, ...] = ()  #: things only one run may use at a time; tasks that name the same take turns
    expires: Span = timedelta(days=3)  #: how long its drafts wait for a decision
    revisions: Count = 3  #: how often a draft may be sent back for another try
    reads: tuple[Readable, ...] = ()  #: URLs that `run.fetch` may get; one that ends in / or * is a prefix
    files: tuple[ProjectFile, ...] = ()  #: files of the project that `run.files` leads to, to be read only
    web: tuple[Domain, ...] = ()  #: domains that Claude may search and fetch for it, with all below them
    memory: int = Field(default=512, ge=64, le=1 << 20)  #: megabytes an attempt may use
    disk: int = Field(default=1024, ge=1, le=1 << 30)  #: megabytes its folder may hold
    sealed: bool = (
        True  #: no network and no subprocesses; False is explicit trust, and leaves the files closed
    )
    notify: Literal["problems", "always", "never"] = "problems"  #: which runs the owner hears of
    learns: bool = True  #: past rejections and edits are told to Claude
    label: str = ""  #: a word of the owner's own, e.g. a client's name


@dataclass(frozen=True, slots=True)
class Task:
    """A declared function with its schedule and limits. Calling it calls the function."""

    name: str
    function: Callable[..., Any] = field(repr=False)
    triggers: tuple[Trigger, ...]
    limits: Limits
    line: int | None = None  #: where in its file it is declared

    @property
    def description(self) -> str:
        """The first line of the function's docstring; empty without one."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function itself, as a test would."""
        return self.function(*args, **kwargs)


def task(*triggers: object, **options: Any) -> Callable[[Callable[..., Any]], Task]:
    """Declare the function below as a task: ``@task(cron("0 9 * * mon-fri"), budget=0.20)``.

    Without a trigger it runs on demand only. The options are those of `Limits`. Raises `DeclarationError`
    when an option is misspelt or can't be meant.
    """
    due = tuple(_trigger(trigger) for trigger in triggers)
    limits = _limits(options)

    def declare(function: Callable[..., Any]) -> Task:
        if isinstance(function, Task):
            raise DeclarationError(f"{function.name} has @task twice; give one @task all its triggers")
        code = getattr(function, "__code__", None)
        return Task(function.__name__, function, due, limits, code.co_firstlineno if code else None)

    return declare


def _trigger(trigger: object) -> Trigger:
    if inspect.isfunction(trigger):
        raise DeclarationError("@task needs its brackets: write @task() above the function")
    if not isinstance(trigger, Cron | Every | At):
        raise DeclarationError(f"@task got {trigger!r}, no trigger; use cron(…), every(…) or at(…)")
    return trigger


def _limits(options: dict[str, Any]) -> Limits:
    try:
        return Limits(**options)
    except ValidationError as error:
        first = error.errors()[0]
    name = str(first["loc"][0])
    if first["type"] == "extra_forbidden":
        like = difflib.get_close_matches(name, Limits.model_fields, n=1, cutoff=0.5)
        hint = f"did you mean {like[0]!r}?" if like else f"there are {', '.join(Limits.model_fields)}"
        raise DeclarationError(f"@task has no option {name!r}; {hint}")
    raise DeclarationError(f"@task({name}={options[name]!r}): {_plain(first)}")


def _plain(problem: Any) -> str:
    """A pydantic complaint in the words of someone who doesn't know pydantic."""
    words = str(problem["msg"]).removeprefix("Value error, ")
    return words.replace("Input should be", "it should be").replace("a valid ", "a ")


def in_words(span: timedelta) -> str:
    """A length of time as a person says it: ``2 hours 30 minutes``."""
    seconds = span.total_seconds()
    parts = []
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count:g} {unit}{'s' if count != 1 else ''}")
    if seconds or not parts:
        parts.append(f"{seconds:g} second{'s' if seconds != 1 else ''}")
    return " ".join(parts)
