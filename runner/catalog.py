"""Finds, checks and hot-reloads the modules and Markdown tasks in `tasks/`. Each is read in a child of its own, never in here."""

from __future__ import annotations

import asyncio
import functools
import json
import math
import os
import stat
import time
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from runner import files, said, seal
from runner.declare import Every, Limits, Name, Trigger
from runner.draft import BUILT_IN, Draft, Kind
from runner.errors import GoneError, RunError, StoppedError
from runner.reach import reach

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator
    from datetime import timedelta

    from runner.children import Child, Children

LOOK_S = 10.0  #: how long a module may take to be imported
LOOK_MB = 512  #: memory it may use for that
AGAIN_S = 60.0  #: before one that took too long is looked at again, since a busy machine may be why
AT_ONCE = 4  #: modules looked at at the same time
STEP_MS = 200  #: how often what the kernel told is asked for; each time costs a little
POLL_S = 1.5  #: how often the folder is walked, where the kernel tells nothing


class Declared(BaseModel):
    """A task as the supervisor knows it, which never imports its module."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: Name
    file: str  #: below tasks/
    source: str  #: digest of its code
    description: str = ""
    triggers: tuple[Trigger, ...] = ()
    limits: Limits = Limits()
    line: int | None = Field(default=None, ge=0, le=said.NUMBER_MAX)  #: where in its file it is declared

    @property
    def schedule(self) -> str:
        """When it is due, in words."""
        return "; ".join(trigger.explain() for trigger in self.triggers) or "On demand"

    @property
    def reach(self) -> list[str]:
        """What it reaches beyond its folder, in words."""
        return reach(self.limits)


@dataclass(frozen=True, slots=True)
class Broken:
    """What is wrong with a module."""

    file: str
    line: int | None
    reason: str

    def __str__(self) -> str:
        """The place and the reason, on one line."""
        return f"tasks/{self.file}{f':{self.line}' if self.line else ''}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Module:
    """What was found in one file."""

    file: str
    signature: tuple[Any, ...]  #: of the file, and of all it may import, as they were when it was looked at
    tasks: tuple[Declared, ...] = ()
    kinds: tuple[Kind, ...] = ()
    broken: Broken | None = None
    again: float = math.inf  #: when to look once more, by the steady clock, though nothing changed


@dataclass(frozen=True, slots=True)
class News:
    """What a scan changed."""

    loaded: tuple[Declared, ...] = ()  #: new, or of changed code
    removed: tuple[str, ...] = ()  #: names of tasks that are no longer to be had
    gone: tuple[str, ...] = ()  #: those of them whose module says so; the others' modules are broken
    broken: tuple[Broken, ...] = ()  #: modules that broke, or broke anew

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.loaded or self.removed or self.broken)


@dataclass(slots=True)
class Catalog:
    """The tasks and the kinds of the project in `home`."""

    home: Path
    children: Children
    is_halted: Callable[[], bool] = lambda: False  #: whether STOP forbids to look at modules now
    every: timedelta | None = None  #: for a rehearsal: how often each task is due, whatever it says
    project: Path | None = None  #: where the files lie that tasks read; None: in `home`
    tasks: dict[str, Declared] = field(default_factory=dict)
    kinds: dict[tuple[str, str], Kind] = field(
        default_factory=dict
    )  #: by the file that names it, and its name
    broken: dict[str, Broken] = field(default_factory=dict)  #: by file
    _modules: dict[str, Module] = field(default_factory=dict)
    _one: asyncio.Lock = field(default_factory=asyncio.Lock)  #: scan at a time

    @property
    def folder(self) -> Path:
        """Where the owner drops their modules."""
        return self.home / "tasks"

    def task(self, name: str) -> Declared:
        """The task of that name; raises `GoneError` when there is none that works."""
        if name in self.tasks:
            return self.tasks[name]
        for broken in self.broken.values():
            if Path(broken.file).stem == name:
                raise GoneError(str(broken))
        known = ", ".join(sorted(self.tasks)) or "none"
        place = (self.project or self.home) / "tasks"
        raise GoneError(f"there is no task {name!r} in {place}; there are: {known}")

    def kind(self, file: str, name: str) -> Kind | None:
        """The kind of that name as the module in `file` knows it; None when it names none."""
        return self.kinds.get((file, name))

    def kinds_in(self, file: str) -> tuple[Kind, ...]:
        """The kinds that the module in `file` names."""
        return self._modules[file].kinds if file in self._modules else ()

    async def scan(self) -> News:
        """Look at every file that changed since the last scan; what that changed. While halted, nothing."""
        async with self._one:
            return await self._scan()

    async def _scan(self) -> News:
        if self.is_halted():
            return News()
        present, now = dict(self._files()), time.monotonic()
        stale = [file for file, signature in present.items() if self._is_stale(file, signature, now)]
        gate = asyncio.Semaphore(AT_ONCE)

        async def look(file: str) -> Module:
            async with gate:
                return await self._look(file, present[file])

        try:
            looked = await asyncio.gather(*(look(file) for file in stale))
        except StoppedError:
            return News()
        before = dict(self.tasks), dict(self.broken)
        kept = {file: module for file, module in self._modules.items() if file in present}
        self._modules = kept | {module.file: module for module in looked}
        self._index()
        return self._news(*before)

    def _is_stale(self, file: str, signature: tuple[Any, ...], now: float) -> bool:
        known = self._modules.get(file)
        return known is None or known.signature != signature or now >= known.again

    def _files(self) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """The modules that are there, each with what tells one state of it, and of all it may import, from another."""
        found = tuple(sorted(_walk(self.folder, "", frozenset())))
        code = tuple(each for each in found if each[0].endswith(".py"))
        for file, signature in found:
            if _is_module(file):
                yield file, (signature, code)

    async def _look(self, file: str, signature: tuple[Any, ...]) -> Module:
        if (legible := os.fsencode(file).decode("utf-8", "backslashreplace")) != file:
            return Module(file, signature, broken=Broken(legible, None, "its name is no UTF-8; rename it"))
        again = math.inf
        with seal.scratch(self.home) as scratch:
            async with self.children.fork(_unheard) as child:
                try:
                    async with asyncio.timeout(LOOK_S):
                        report = await self._report(child, file, scratch)
                except TimeoutError:
                    again = time.monotonic() + AGAIN_S
                    report = {"op": "broken", "error": f"it was not imported within {LOOK_S:g} s"}
                except RunError as error:
                    report = {"op": "broken", "error": str(error)}
                if report is None and self.is_halted():
                    raise StoppedError(f"stopped while tasks/{file} was looked at")
                if report is None:
                    report = {"op": "broken", "error": f"its import ended the process ({await child.ended})"}
        return replace(_module(file, signature, report, self.folder), again=again)

    async def _report(self, child: Child, file: str, scratch: Path) -> dict[str, Any] | None:
        await child.send(
            {
                "op": "look",
                "memory": LOOK_MB,
                "folder": str(scratch),
                "seal": seal.of_reading(self.home, self.children.user, scratch),
                "environment": seal.environment(scratch),
                "tasks": str(self.folder),
                "file": file,
            }
        )
        code = await child.receive()  # said by our own code, before the module could say anything
        if code is None or code.get("op") != "source":
            return code
        report = await child.receive()
        return report and {**report, "source": code.get("source")}

    def _index(self) -> None:
        """Who is who: a name that two files claim is broken in both."""
        self.broken = {module.file: module.broken for module in self._modules.values() if module.broken}
        claims: dict[str, list[Declared]] = {}
        for module in self._modules.values():
            for task in module.tasks:
                claims.setdefault(task.name, []).append(task)
        for name, claimants in claims.items():
            files = sorted({f"tasks/{task.file}" for task in claimants})
            if len(claimants) > 1:
                reason = f"two tasks are called {name!r}: in {' and '.join(files)}; rename one"
                self.broken |= {task.file: Broken(task.file, None, reason) for task in claimants}
        known = {name: found[0] for name, found in sorted(claims.items()) if len(found) == 1}
        lacking = {name: broken for name, task in known.items() if (broken := self._lacks(task)) is not None}
        self.broken |= {each.file: each for each in lacking.values()}
        known = {name: task for name, task in known.items() if name not in lacking}
        self.tasks = {name: self._timed(task) for name, task in known.items()}
        self.kinds = {
            (file, kind.name): kind for file, module in self._modules.items() for kind in module.kinds
        }

    def files_of(self, task: Declared) -> dict[str, Path]:
        """Where the files are that the task may read, by the names it gives them; raises `RunError` for one it can't."""
        return files.found(self.project or self.home, task.limits.files)

    def _lacks(self, task: Declared) -> Broken | None:
        """A file that it is declared to read and can't; it is looked for at each scan, since it may come and go."""
        try:
            self.files_of(task)
        except RunError as error:
            return Broken(task.file, task.line, f"{task.name}: {error}")
        return None

    def _timed(self, task: Declared) -> Declared:
        if self.every is None:
            return task
        return task.model_copy(update={"triggers": (Every(interval=self.every),)})

    def _news(self, tasks: dict[str, Declared], broken: dict[str, Broken]) -> News:
        removed = [task for name, task in tasks.items() if name not in self.tasks]
        return News(
            loaded=tuple(task for name, task in self.tasks.items() if tasks.get(name) != task),
            removed=tuple(task.name for task in removed),
            gone=tuple(task.name for task in removed if task.file not in self.broken),
            broken=tuple(found for file, found in self.broken.items() if broken.get(file) != found),
        )

    async def watch(self) -> AsyncGenerator[News]:
        """Scan at once, whenever the folder changes, and now and then in case the kernel doesn't tell; yields news."""
        from watchfiles import awatch  # noqa: PLC0415 - only a runner that is up watches

        if not self.folder.exists():
            self.folder.mkdir(parents=True)
        poll = int(POLL_S * 1000)
        changes = awatch(
            self.folder, debounce=STEP_MS, step=STEP_MS, rust_timeout=poll, yield_on_timeout=True
        )
        async with aclosing(changes), aclosing(_and_at_once(changes)) as times:
            async for _ in times:
                if news := await self.scan():
                    yield news


async def _and_at_once(changes: AsyncGenerator[object]) -> AsyncGenerator[None]:
    """Whenever there are changes, and once as soon as they are watched: of what came before, nobody tells."""
    first = asyncio.ensure_future(anext(changes))
    try:
        await asyncio.sleep(0)  # the watch begins with its first step
        yield
        await first
        yield
    finally:
        first.cancel()
        await asyncio.wait([first])
    async for _ in changes:
        yield


def _walk(
    folder: Path, below: str, above: frozenset[tuple[int, int]]
) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """The .py and .md files; what can't be looked at is passed, and so is a link to one of the folders `above`."""
    try:
        mine = folder.stat()
        entries = list(os.scandir(folder))
    except OSError:
        return
    here = (mine.st_dev, mine.st_ino)
    if here in above:
        return
    for entry in entries:
        if entry.name.startswith((".", "__pycache__")):
            continue
        with suppress(OSError):
            found = entry.stat()
            if stat.S_ISDIR(found.st_mode):
                yield from _walk(Path(entry.path), f"{below}{entry.name}/", above | {here})
            elif stat.S_ISREG(found.st_mode) and entry.name.endswith((".py", ".md")):
                yield f"{below}{entry.name}", (found.st_mtime_ns, found.st_size, found.st_ino)


def _is_module(file: str) -> bool:
    """Whether it may hold tasks; a name that begins with ``_`` is for what tasks share."""
    return not Path(file).name.startswith("_")


def _module(file: str, signature: tuple[Any, ...], report: dict[str, Any], folder: Path) -> Module:
    try:
        if report["op"] == "looked":
            mine = {"file": file, "source": report["source"]}
            # as JSON, so that strict fields take a list for a tuple and a text for an instant
            tasks = tuple(Declared.model_validate_json(json.dumps(task | mine)) for task in report["tasks"])
            kinds = tuple(_kind(kind, mine) for kind in report["kinds"])
            return Module(file, signature, tasks, kinds)
        reason, line = said.short(report["error"]), _line(report.get("line"))
    except (KeyError, TypeError, ValidationError) as error:
        reason, line = f"its child told what can't be meant: {said.short(error)}", None
    place = str(report.get("file") or folder / file)
    where = os.path.relpath(place, folder) if place.startswith(str(folder)) else file
    return Module(file, signature, broken=Broken(where, line, reason))


def _kind(told: dict[str, Any], mine: dict[str, Any]) -> Kind:
    """A kind of the owner's by the child's word, as far as it goes; one of ours by our own."""
    if "built_in" in told:
        return built_ins()[told["built_in"]]
    return Kind.model_validate(told | mine)


@functools.cache
def built_ins() -> dict[str, Kind]:
    """The kinds that come with the runner, by their titles."""
    from runner import drafts  # noqa: PLC0415 - only where modules are read

    named = [getattr(drafts, title) for title in drafts.__all__]
    kinds = [kind for kind in named if issubclass(kind, Draft)]
    return {kind.__name__: Kind.of(kind, None, BUILT_IN) for kind in kinds}


def _line(number: Any) -> int | None:
    return number if type(number) is int and 0 < number <= said.NUMBER_MAX else None


def _unheard(line: str) -> None:
    """What a module prints when it is read is of no interest."""
