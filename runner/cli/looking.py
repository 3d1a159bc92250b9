"""Looking: tasks, runs, the state of all, the journal."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from runner.cli.project import Project, as_json, opened, settings, show

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runner.catalog import Catalog

SLOTS = 3  #: of each task that are listed
FOLLOW_S = 0.2
MOST = 1_000_000  #: runs that can be listed


async def read_catalog(home: Path) -> Catalog:
    """What is in tasks/ now, read in children."""
    from runner.catalog import Catalog
    from runner.children import Children
    from runner.settings import load
    from runner.worker.sealing.user import chosen

    children = Children(user=chosen(load(home).task_user))
    try:
        found = Catalog(home, children)
        await found.scan()
        return found
    finally:
        await children.close()


def catalog(home: Path) -> Catalog:
    """The same, for a command that has nothing else to wait for."""
    return asyncio.run(read_catalog(home))


@click.command()
@as_json
def tasks(*, wants_json: bool) -> None:
    """List the tasks: schedule in words, next slots, last run, state."""
    from runner.due import upcoming
    from runner.store import runs, slots
    from runner.worker.sealing.report import report

    is_whole = report().is_whole

    with opened() as project:
        known = catalog(project.settings.home)
        zone, now = project.settings.zone, project.store.clock.now()
        with project.store.read() as connection:
            paused = slots.paused(connection)
            last = {name: next(iter(runs.recent(connection, name, 1)), None) for name in known.tasks}
        rows = [
            {
                "name": task.name,
                "schedule": task.schedule,
                "next": [
                    str(slot.astimezone(zone).isoformat())
                    for slot in islice(upcoming(task.triggers, now, zone), SLOTS)
                ],
                "sealed": task.limits.sealed and is_whole,
                "reach": task.reach,
                "paused": task.name in paused,
                "broken": None,
                "file": task.file,
                "last": {"status": run.status, "started": run.started, "error": run.error}
                if (run := last[task.name])
                else None,
            }
            for task in known.tasks.values()
        ]
        rows += [
            {
                "name": broken.file.rpartition("/")[2].rpartition(".")[0],
                "schedule": None,
                "next": [],
                "sealed": None,
                "reach": [],
                "paused": False,
                "broken": str(broken),
                "file": broken.file,
                "last": None,
            }
            for broken in known.broken.values()
        ]
        show(rows, wants_json=wants_json, otherwise=lambda: _tasks(project, rows))


def _tasks(project: Project, rows: list[dict[str, Any]]) -> None:
    from runner.review.console.tables import table

    lines = []
    for row in rows:
        state = "broken" if row["broken"] else "paused" if row["paused"] else "ready"
        state += " · open" if row["sealed"] is False else ""
        state = "\n".join([state, *(words for words in row["reach"] if not words.startswith("open"))])
        last = (
            f"{row['last']['status']} {_local(project, row['last']['started'])}" if row["last"] else "never"
        )
        following = "\n".join(f"{datetime.fromisoformat(slot):%a %d %b %H:%M}" for slot in row["next"])
        lines.append(
            (
                row["file"] if row["broken"] else row["name"],
                row["schedule"] or row["broken"],
                following,
                last,
                state,
            )
        )
    table(
        ("task", "schedule", "next", "last run", "state"),
        lines,
        empty="no tasks yet; drop a module into tasks/, or: runner init",
    )


def _local(project: Project, at: str | None) -> str:
    return f"{datetime.fromisoformat(at).astimezone(project.settings.zone):%a %d %b %H:%M:%S}" if at else ""


@click.command(name="runs")
@as_json
@click.option("--task", help="Only of this task.")
@click.option("--limit", type=click.IntRange(1, MOST), default=20, show_default=True, help="At most so many.")
def runs(*, wants_json: bool, task: str | None, limit: int) -> None:
    """List the newest runs: status, length, cost."""
    from runner.store import runs as room

    with opened() as project:
        with project.store.read() as connection:
            rows = [_run(row) for row in room.recent(connection, task, limit)]

        def otherwise() -> None:
            from runner.review.console.tables import table

            lines = [
                (
                    row["id"],
                    row["task"],
                    row["status"],
                    _local(project, row["started"]),
                    f"${row['cost_usd']:.4f}",
                    row["error"] or "",
                )
                for row in rows
            ]
            table(("ID", "task", "status", "started", "cost", "error"), lines, empty="no run yet")

        show(rows, wants_json=wants_json, otherwise=otherwise)


def _run(row: Any) -> dict[str, Any]:
    names = ("id", "task", "slot", "status", "attempt", "started", "finished", "error", "revises")
    known = {name: getattr(row, name) for name in names}
    status = "parked" if row.status == "queued" and row.parked else row.status
    return {**known, "status": status, "cost_usd": row.cost / 1e9}


@click.command()
@as_json
def status(*, wants_json: bool) -> None:
    """Say whether the runner is up and whether it is stopped, and what waits."""
    from runner import lock
    from runner.stop import sight
    from runner.store import figures, money, phone, questions, stops
    from runner.store import runs as room

    with opened() as project:
        home, now = project.settings.home, project.store.clock.now()
        with project.store.read() as connection:
            latch = stops.latched(connection)
            counted = figures.by_state(connection)
            spent = money.spent(connection, now - timedelta(days=1))
            under_way = len(room.running(connection))
            frozen = phone.remembered(connection, "frozen")
            unsent = phone.count_waiting(connection)
            asked = questions.count(connection)
        reason = sight(home / "STOP") or (latch.reason if latch else None)
        state = {
            "up": lock.holder(project.settings.lock),
            "stopped": reason,
            "running": under_way,
            "drafts": counted,
            "questions": asked,
            "cost_usd_24h": float(spent),
            "telegram": {
                "connected": project.settings.telegram_token is not None,
                "frozen": frozen or None,
                "unsent": unsent,
            },
            "home": str(home),
        }
        show(state, wants_json=wants_json, otherwise=lambda: _status(state))


def _status(state: dict[str, Any]) -> None:
    from runner.draft import visible

    up = f"up, process {state['up']}" if state["up"] else "not up; start it: runner up"
    click.echo(f"the runner is {up}")
    if state["stopped"]:
        click.echo(f"STOPPED: {visible(state['stopped'])}. Let it go again: runner resume")
    waiting = ", ".join(f"{count} {name}" for name, count in state["drafts"].items()) or "none"
    if state["telegram"]["frozen"]:
        click.echo(f"decisions by Telegram are frozen: {visible(state['telegram']['frozen'])}")
    if state["questions"]:
        click.echo(f"questions that wait for your answer: {state['questions']}; see them: runner answer")
    if state["telegram"]["unsent"]:
        click.echo(f"{state['telegram']['unsent']} messages wait to be sent by Telegram")
    click.echo(
        f"runs under way: {state['running']}; drafts: {waiting}; spent in 24 hours: ${state['cost_usd_24h']:.4f}"
    )


@click.command()
@click.option("--task", help="Only of this task.")
@click.option("--follow", "-f", is_flag=True, help="Go on as things happen, until Ctrl-C.")
@as_json
def log(*, task: str | None, follow: bool, wants_json: bool) -> None:
    """Print the journal: what happened, in order. With --json, the lines as they are in logs/."""
    from runner.review.console.lines import line

    known = settings()
    for entry in _entries(known.home / "logs", follow=follow):
        if task and entry.get("task") != task:
            continue
        text = json.dumps(entry, ensure_ascii=False) if wants_json else line(entry, known.zone)
        if text:
            click.echo(text)


def _entries(folder: Path, *, follow: bool) -> Iterator[dict[str, Any]]:
    from runner.journal import entries

    place = ("", 0)
    while True:
        for place, entry in entries(folder, place):  # noqa: B007, B020 - the last place is where to go on
            yield entry
        if not follow:
            return
        time.sleep(FOLLOW_S)
