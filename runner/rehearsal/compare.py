"""What a month of tasks would cost on the stand-in at real prices: with cache and patience, and without either."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.costs import sums, total
from runner.demand import submit
from runner.due import due
from runner.errors import RunError
from runner.rehearsal.cache import KEPT_S
from runner.rehearsal.stage import on_stage
from runner.store import money, runs

if TYPE_CHECKING:
    from runner.costs import Sum
    from runner.rehearsal.stage import Stage
    from runner.settings import Settings

MONTH = timedelta(days=30)
WITHIN_S = 120.0  #: how long one run may take here


@dataclass(frozen=True, slots=True)
class Month:
    """A task's next 30 days."""

    task: str
    runs: int
    paid: float  #: dollars, with what the task declares
    plain: float  #: dollars, the same asked directly and uncached


async def months(settings: Settings, tasks: Path) -> list[Month]:
    """Rehearse each task in that folder and reckon its month; raises `RunError` when a run does not end well."""
    with tempfile.TemporaryDirectory(prefix="compare-") as folder:
        home = Path(folder)
        (home / "tasks").symlink_to(tasks)
        ended: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

        def heard(event: dict[str, Any]) -> None:
            if event["event"] == "run.finished":
                ended.put_nowait(event)

        async with on_stage(settings, home, heard) as stage, stage.app.up(is_scheduled=False):
            return [await _month(stage, name, ended) for name in sorted(stage.app.catalog.tasks)]


async def _month(stage: Stage, name: str, ended: asyncio.Queue[dict[str, Any]]) -> Month:
    """One run as the month's runs are; where they come so close that the cache still knows, its second."""
    app = stage.app
    now, zone = app.store.clock.now(), app.settings.zone
    found = due(app.catalog.task(name).triggers, now, now + MONTH, zone)
    count = found.count if found else 0
    is_warm = count > MONTH.total_seconds() / KEPT_S
    each = [await _run(stage, name, ended) for _ in range(2 if is_warm else 1)][-1]
    return Month(name, count, count * each.cost / 1e9, count * (each.cost + each.saved) / 1e9)


async def _run(stage: Stage, name: str, ended: asyncio.Queue[dict[str, Any]]) -> Sum:
    """What one run costs."""
    app = stage.app
    before = app.store.clock.now()
    number = submit(app.store, app.stop, app.catalog, name)
    async with asyncio.timeout(WITHIN_S):
        event = await ended.get()
    if event["status"] not in runs.GOOD:
        raise RunError(f"{name} can't be reckoned: its run ended as {event['status']}: {event.get('error')}")
    with app.store.read() as connection:
        rows = [row for row in money.rows(connection, before) if row.run == number]
    return total(sums(rows, "task", app.settings.zone).values())
