"""For tests of tasks: the real runner in a folder of its own, on stand-ins for Claude and the world.

async with rehearsal(tmp_path) as it:
    it.drop("greet.py", SOURCE)
    await it.run("greet")
    sheet = it.waiting("greet")[0]
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runner import settings as settings_room
from runner.gate import State
from runner.rehearsal.stage import Stage, on_stage
from runner.store import drafts, runs
from runner.store.store import new_id

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from datetime import timedelta
    from pathlib import Path

    from sqlalchemy import Row

    from runner.app import App
    from runner.rehearsal.claude import StandInClaude
    from runner.rehearsal.destination import StandInDestination
    from runner.rehearsal.mail import StandInMail
    from runner.review.desk import Desk, Sheet

WITHIN_S = 30.0  #: how long anything may take to happen


@dataclass(slots=True)
class Rehearsal:
    """A runner on a stage, and all that happened there so far."""

    stage: Stage
    events: list[dict[str, Any]] = field(default_factory=list)  #: as the journal has them, in order

    @property
    def app(self) -> App:
        """The runner."""
        return self.stage.app

    @property
    def desk(self) -> Desk:
        """Where drafts are decided."""
        return self.stage.app.desk

    @property
    def claude(self) -> StandInClaude:
        """Who answers in Claude's place."""
        return self.stage.claude

    @property
    def destination(self) -> StandInDestination:
        """What takes deliveries in the world's place."""
        return self.stage.destination

    @property
    def mail(self) -> StandInMail:
        """What takes e-mail in the world's place."""
        return self.stage.mail

    def drop(self, file: str, text: str) -> None:
        """Save a module into tasks/."""
        path = self.app.home / "tasks" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    async def run(self, task: str) -> Row[Any]:
        """Run a task on demand to its end, retries included; its row."""
        await self.until(lambda: task in self.app.catalog.tasks, f"the task {task}")
        run = new_id()
        with self.app.store.change() as tx:
            runs.add(tx, run, task)
        await self.event("run.finished", run=run)
        with self.app.store.read() as connection:
            return runs.get(connection, run)

    def waiting(self, task: str = "") -> list[Sheet]:
        """The drafts that wait for a decision, oldest first; of all tasks, or of one."""
        with self.app.store.read() as connection:
            rows = drafts.listed(connection, frozenset({State.PENDING}), task or None)
        return [self.desk.sheet(row.id) for row in rows]

    async def draft(self, task: str = "") -> Sheet:
        """The oldest draft that waits; one is awaited."""
        await self.until(lambda: bool(self.waiting(task)), f"a draft of {task or 'any task'}")
        return self.waiting(task)[0]

    def count(self, name: str, **details: Any) -> int:
        """How often that happened so far."""
        return len(self.found(name, **details))

    def found(self, name: str, **details: Any) -> list[dict[str, Any]]:
        """The events of that name with those details, in order."""
        wanted = {"event": name, **details}
        return [event for event in self.events if all(event.get(key) == wanted[key] for key in wanted)]

    async def event(self, name: str, **details: Any) -> dict[str, Any]:
        """The first event of that name with those details; it is awaited."""
        await self.until(lambda: bool(self.found(name, **details)), f"{name} {details or ''}")
        return self.found(name, **details)[0]

    async def until(self, holds: Callable[[], bool], what: str = "it", *, pause: float = 0.01) -> None:
        """Wait until that holds; raises `TimeoutError` that says what did not happen."""
        deadline = time.monotonic() + WITHIN_S
        while not holds():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what.strip()} did not happen within {WITHIN_S:g} s")
            await asyncio.sleep(pause)


@asynccontextmanager
async def rehearsal(
    home: Path,
    *,
    every: timedelta | None = None,
    is_scheduled: bool = True,
    phone: str = "",
    heard: Callable[[dict[str, Any]], None] | None = None,
    **settings: Any,
) -> AsyncIterator[Rehearsal]:
    """The runner, up in `home` while this lasts, with these settings of its own.

    `every` makes each task due so often, whatever it says; `phone` is the address of a stand-in for Telegram;
    `heard` is told each event as it happens.
    """
    events: list[dict[str, Any]] = []

    def keep(event: dict[str, Any]) -> None:
        events.append(event)
        if heard is not None:
            heard(event)

    (home / "tasks").mkdir(parents=True, exist_ok=True)
    known = settings_room.load(home).model_copy(update=settings)
    async with (
        on_stage(known, home, keep, every=every, phone=phone) as stage,
        stage.app.up(is_scheduled=is_scheduled),
    ):
        yield Rehearsal(stage, events)
