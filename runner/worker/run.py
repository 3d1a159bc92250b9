"""What a task receives, and the child that calls it with that."""

from __future__ import annotations

import asyncio
import base64
import inspect
import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

from pydantic import BaseModel, TypeAdapter, ValidationError

from runner.attachment import FILE_MAX, Attachment
from runner.declare import Task
from runner.draft import Alert, Draft
from runner.errors import DraftError, RunError
from runner.worker.channel import Channel
from runner.worker.child import complaint
from runner.worker.given import Files, Log, Page, Recent, Revision
from runner.worker.load import module_at
from runner.worker.tools import Tools

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence

    from runner.worker.given import Web

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)

MAX_TOKENS = 4096  #: of an answer, unless the task says otherwise


class Run:
    """One run of a task, as the task sees it. It can ask, keep and note; it can't send."""

    def __init__(self, order: dict[str, Any], channel: Channel, tools: Tools) -> None:
        self._order = order
        self._channel = channel
        self._tools = tools
        self._positions = iter(range(1 << 30))
        self._loop = asyncio.get_running_loop()
        self.degradations: list[str] = []
        self.id: str = order["run"]
        self.state: dict[str, Any] = order["state"]
        self.folder = Path(order["folder"])
        self.files = Files({name: Path(path) for name, path in order.get("files", {}).items()})
        self.log = Log(channel)
        self.slot: datetime | None = datetime.fromisoformat(order["slot"]) if order["slot"] else None
        self.recent = [Recent(**decision) for decision in order["recent"]]
        self.revision = Revision(**order["revision"]) if order.get("revision") else None

    def now(self) -> datetime:
        """When the run began, in UTC; a later attempt is told the same."""
        return datetime.fromisoformat(self._order["now"])

    def degraded(self, why: str) -> None:
        """Say that the run did less than it should; its status is degraded instead of ok."""
        self.degradations.append(why)

    @overload
    async def claude(
        self,
        prompt: str,
        *,
        system: str | None = None,
        model: str | None = None,
        max_tokens: int = MAX_TOKENS,
        effort: str | None = None,
        tools: Sequence[Callable[..., Any]] = (),
        web: Web | None = None,
        cache: bool = True,
    ) -> str: ...

    @overload
    async def claude(
        self,
        prompt: str,
        *,
        system: str | None = None,
        returns: type[M],
        given: Mapping[str, Any] | None = None,
        model: str | None = None,
        max_tokens: int = MAX_TOKENS,
        effort: str | None = None,
        tools: Sequence[Callable[..., Any]] = (),
        web: Web | None = None,
        cache: bool = True,
    ) -> M: ...

    async def claude(  # noqa: PLR0913 - each is a thing a task may want to say
        self,
        prompt: str,
        *,
        system: str | None = None,
        returns: type[Any] = str,
        given: Mapping[str, Any] | None = None,
        model: str | None = None,
        max_tokens: int = MAX_TOKENS,
        effort: str | None = None,
        tools: Sequence[Callable[..., Any]] = (),
        web: Web | None = None,
        cache: bool = True,
    ) -> Any:
        """Ask Claude: a text, or an instance of the pydantic model given as `returns` (a draft kind is one).

        `given` are fields of that model which Claude is not asked for: they are the task's to say, as the address of
        a webhook is. `model` None is the runner's; `max_tokens` bounds the answer; `tools` are functions of the task's
        own, called here; `web` lets Claude search and fetch, None not. `cache` False keeps the API from remembering a
        long `system` for five minutes, which pays off only if it is asked again by then. A truncated, refused or
        broken answer is a `ClaudeError`, never a draft.
        """
        given = TypeAdapter(dict[str, Any]).dump_python(dict(given or {}), mode="json")
        position = next(self._positions)
        text = await self._channel.ask(
            "claude",
            position=position,
            prompt=prompt,
            system=system,
            schema=None if returns is str else _schema(returns, given),
            model=model,
            max_tokens=max_tokens,
            effort=effort,
            tools=self._tools.offer(tools),
            web={"domains": list(web.domains), "max_uses": web.max_uses} if web else None,
            cache=cache,
        )
        if returns is str:
            return text
        try:
            whole = json.dumps({**json.loads(text), **given}) if given else text
            value = _parsed(returns, whole, "Claude's answer")
        except DraftError:
            self._channel.tell("unfit", position=position)
            raise
        if isinstance(value, Draft):
            value._call = position  # noqa: SLF001 - the runner's own mark on the runner's own class
        return value

    async def attach(self, path: str | Path, *, name: str = "") -> Attachment:
        """A file of the task's own folder, or of its `files`, for a draft's field of that type; the runner keeps its bytes as they are now.

        `name` is what its recipient sees; empty is the file's own. Raises `DraftError` for one that can't go out.
        """
        whole = (self.folder / path).resolve()
        if not whole.is_relative_to(self.folder.resolve()) and whole not in self.files.values():
            raise DraftError(f"{path} can't be attached: it is not in run.folder, nor one of run.files")
        try:
            with whole.open("rb") as file:
                content = file.read(FILE_MAX + 1)
        except OSError as error:
            raise DraftError(f"{path} can't be attached: {error.strerror}") from error
        if len(content) > FILE_MAX:
            raise DraftError(f"{path} has more than {FILE_MAX:,} bytes, which is the most of an attachment")
        text = base64.b64encode(content).decode()
        return Attachment(**await self._channel.ask("attach", name=name or whole.name, content=text))

    async def fetch(self, url: str) -> Page:
        """Get a page that the task's `reads` allow; raises `FetchError` otherwise, or when it can't be had."""
        return Page(**await self._channel.ask("fetch", url=url))

    async def figures(self, days: int = 1) -> dict[str, Any]:
        """What the journal counts over the last `days`: `runs` by task and status, `missed` slots by task, `drafts` by state
        now, `cost_usd` and `cost_by_task`; and `attention`: by task, how many drafts were made, approved unchanged,
        edited, revised, rejected, expired, delivered, and the hours until its owner's first word on one, the median.
        """
        figures: dict[str, Any] = await self._channel.ask("figures", days=days)
        return figures

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `claude` or `fetch` in a plain function: ``run.wait(run.claude(…))``."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


def _schema(returns: type[BaseModel], given: Mapping[str, Any]) -> dict[str, Any]:
    """What Claude is asked for: the model without the fields that are given, and without files, which it can't write."""
    schema = returns.model_json_schema()
    needed = [name for name in schema.get("required", []) if name not in given]
    files = [name for name, rule in schema.get("properties", {}).items() if _is_file(rule)]
    for name in files:
        if name in needed:
            raise DraftError(
                f"{returns.__name__}.{name} is a file, which Claude can't write; "
                f"give it: given={{{name!r}: await run.attach(…)}}"
            )
    left = {name: rule for name, rule in schema.get("properties", {}).items() if name not in (*given, *files)}
    return {**schema, "properties": left, "required": needed} if given or files else schema


def _is_file(rule: dict[str, Any]) -> bool:
    """Whether a field's rule leads to an attachment."""
    return f'"#/$defs/{Attachment.__name__}"' in json.dumps(rule)


def _parsed(returns: type[M], text: str, what: str) -> M:
    try:
        return returns.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        words = first["msg"].removeprefix("Value error, ")
        raise DraftError(f"{what} is no {returns.__name__}: {where}: {words}") from error


async def work(order: dict[str, Any], end: socket.socket) -> None:
    """Call the task, and say what it made or why it failed."""
    tools = Tools()
    channel = Channel(tools.call)
    await channel.open(end)
    run = Run(order, channel, tools)
    tasks = Path(order["tasks"])
    try:
        task = _task(tasks, order["file"], order["task"])
        await channel.say("calling")
        made = await _call(task, run)
        await channel.say("outcome", made=outcome(made), state=run.state, degraded=run.degradations)
    except BaseException as error:  # noqa: BLE001 - whatever a task raises is the run's error
        await channel.say("failed", **complaint(error, str(tasks), is_open=order["seal"]["open"]))


def _task(tasks: Path, file: str, name: str) -> Task:
    module = module_at(tasks, file)
    found = next((v for v in vars(module).values() if isinstance(v, Task) and v.name == name), None)
    if found is None:
        raise RunError(f"{file} no longer has a task {name}")
    return found


async def _call(task: Task, run: Run) -> Any:
    function: Callable[..., Any] = task.function
    args = (run,) if inspect.signature(function).parameters else ()
    if inspect.iscoroutinefunction(function):
        work: Awaitable[Any] = function(*args)
    else:
        work = asyncio.to_thread(function, *args)
    return await work


def outcome(made: Any) -> list[dict[str, Any]]:
    """What a task returned, as the supervisor takes it; raises `RunError` for what it can't take."""
    items = made if isinstance(made, list) else [] if made is None else [made]
    return [_item(item) for item in items]


def _item(item: Any) -> dict[str, Any]:
    match item:
        case Alert():
            return {"alert": item.text, **({"question": item.question} if item.question else {})}
        case Draft():
            fields = item.model_dump(mode="json")
            checked = _parsed(
                type(item), json.dumps(fields), "the draft"
            )  # a copy with other fields never was
            if checked.model_dump(mode="json") != fields:
                raise DraftError(
                    f"{type(item).__name__} changes its own content when it is read again; "
                    "its validators must leave alone what they have once accepted"
                )
            return {"draft": item.kind(), "fields": fields, "call": item._call}  # noqa: SLF001
    raise RunError(
        f"the task returned {type(item).__name__} ({item!r:.80}); "
        "it may return None, an Alert, a Draft, or a list of those"
    )
