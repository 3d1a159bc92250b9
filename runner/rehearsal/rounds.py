"""Runs on a stage, one after another, each with all that came of it; what a task asks its owner is answered."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runner.demand import submit
from runner.errors import RunError
from runner.review.questions import answer
from runner.store import drafts, runs

if TYPE_CHECKING:
    from sqlalchemy import Row

    from runner.rehearsal.stage import Stage

ANSWER = "somebody we have worked with for years"  #: to whatever a task asks in a rehearsal
WITHIN_S = 120.0  #: how long one run may take here


@dataclass(frozen=True, slots=True)
class Ran:
    """A run that has ended."""

    row: Row[Any]
    drafts: list[tuple[str, bytes]]  #: the state and the content of each that it made
    alerts: list[dict[str, Any]]  #: the events that told of them

    @property
    def asked(self) -> list[str]:
        """The ids of the questions that it put to its owner."""
        return [str(event["question_id"]) for event in self.alerts if event.get("question_id")]


class Rounds:
    """Give `heard` to the stage, and the stage to `of`."""

    def __init__(self) -> None:
        self._ended: asyncio.Queue[str] = asyncio.Queue()
        self._alerts: list[dict[str, Any]] = []

    def heard(self, event: dict[str, Any]) -> None:
        """Keep what tells of alerts and of ends."""
        if event["event"] == "run.finished":
            self._ended.put_nowait(event["run"])
        elif event["event"] == "alert.raised":
            self._alerts.append(event)

    async def of(self, stage: Stage, task: str) -> list[Ran]:
        """The task's run, and a second where the first asked its owner something; raises `RunError` for one without an end."""
        first = await self._run(stage, task)
        for number in first.asked:
            answer(stage.app.store, stage.app.stop, number, "a rehearsal", ANSWER)
        return [first, await self._run(stage, task)] if first.asked else [first]

    async def _run(self, stage: Stage, task: str) -> Ran:
        app = stage.app
        number = submit(app.store, app.stop, app.catalog, task)
        try:
            async with asyncio.timeout(WITHIN_S):
                while await self._ended.get() != number:
                    pass
        except TimeoutError:
            raise RunError(f"{task} has not ended after {WITHIN_S:g} s, and is left there") from None
        app.journal.write()  # an alert is told after the end of its run
        with app.store.read() as connection:
            made = drafts.of_run(connection, number)
            contents = [(each.state, drafts.content(connection, each.id)) for each in made]
            row = runs.get(connection, number)
        return Ran(row, contents, [event for event in self._alerts if event["run"] == number])
