"""What a month of tasks would cost on the stand-in at real prices: with cache and patience, and without either."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from runner.costs import sums, total
from runner.due import due
from runner.errors import RunError
from runner.rehearsal.cache import KEPT_S
from runner.rehearsal.rounds import Rounds
from runner.rehearsal.stage import on_stage
from runner.store import money, runs

if TYPE_CHECKING:
    from runner.costs import Sum
    from runner.rehearsal.stage import Stage
    from runner.settings import Settings

MONTH = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Month:
    """A task's next 30 days."""

    task: str
    runs: int
    paid: float  #: dollars, with what the task declares
    plain: float  #: dollars, the same asked directly and uncached


async def months(settings: Settings, tasks: Path) -> list[Month]:
    """Rehearse each task in that folder and reckon its month; raises `RunError` when a run does not end well.

    A run that asks its owner something is reckoned as the one that has the answer.
    """
    with tempfile.TemporaryDirectory(prefix="compare-") as folder:
        home, rounds = Path(folder), Rounds()
        (home / "tasks").symlink_to(tasks)
        async with on_stage(settings, home, rounds.heard) as stage, stage.app.up(is_scheduled=False):
            return [await _month(stage, name, rounds) for name in sorted(stage.app.catalog.tasks)]


async def _month(stage: Stage, name: str, rounds: Rounds) -> Month:
    """One run as the month's runs are; where they come so close that the cache still knows, its second."""
    app = stage.app
    now, zone = app.store.clock.now(), app.settings.zone
    found = due(app.catalog.task(name).triggers, now, now + MONTH, zone)
    count = found.count if found else 0
    is_warm = count > MONTH.total_seconds() / KEPT_S
    each = [await _run(stage, name, rounds) for _ in range(2 if is_warm else 1)][-1]
    return Month(name, count, count * each.cost / 1e9, count * (each.cost + each.saved) / 1e9)


async def _run(stage: Stage, name: str, rounds: Rounds) -> Sum:
    """What one run costs."""
    app = stage.app
    before = app.store.clock.now()
    row = (await rounds.of(stage, name))[-1].row
    if row.status not in runs.GOOD:
        raise RunError(f"{name} can't be reckoned: its run ended as {row.status}: {row.error}")
    with app.store.read() as connection:
        rows = [each for each in money.rows(connection, before) if each.run == row.id]
    return total(sums(rows, "task", app.settings.zone).values())
