"""Running: the runner itself, one run on demand, the demo."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
import tempfile
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner.cli.project import a_task, me, opened, settings
from runner.errors import ClaudeError, RunError, StoppedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from runner.app import App
    from runner.settings import Settings
    from runner.store.store import Store

POLL_S = 0.05
DEMO_EVERY = timedelta(seconds=5)


@click.command()
def up() -> None:
    """Run the project: fire slots, hold drafts, deliver what was approved; until Ctrl-C or SIGTERM."""
    asyncio.run(_up(settings()))


async def _up(known: Settings) -> None:
    from runner.app import App
    from runner.review.console.board import Board

    board = Board(known.zone)
    app = App(known, heard=board.heard)
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with app.up():
        for words in _greeting(app):
            board.console.print(words, markup=False, soft_wrap=True)
        _expect(app, board)
        await settle_in(app)
        with board.live(app.catalog, app.store.clock.now):
            await ended.wait()
        board.console.print("ending: runs under way are cut off and tried again next time")


async def settle_in(app: App) -> None:
    """What would hold up a tap for a tenth of a second later: the import of the SDK, and a look through all of it."""
    try:
        await asyncio.to_thread(app.claude.prepare)
    except ClaudeError as error:
        app.diagnostics.say("error", str(error), source="claude")
    gc.collect()
    gc.freeze()  # the collector never looks through what is there by now


def _greeting(app: App) -> list[str]:
    from runner.draft import visible
    from runner.review.console.board import outlook
    from runner.worker.sealing.report import report

    known, tasks = app.settings, app.catalog.tasks
    lines = [
        f"runner: {visible(str(known.home))} ({known.timezone})",
        *outlook(tasks, known.zone, app.store.clock.now()),
    ]
    if known.daily_budget_usd is None:
        lines.append("No day is bounded in what it may cost; set daily_budget_usd in runner.toml.")
    else:
        lines.append(f"A day may cost at most ${known.daily_budget_usd:.2f}, all tasks together.")
    if known.anthropic_api_key is None:
        lines.append("There is no ANTHROPIC_API_KEY: what asks Claude will fail until it is in .env.")
    lines += [f"Tasks are not sealed here: {words}." for words in report().lacking]
    if app.children.user is not None:
        lines.append(f"The runner is root; tasks and deliveries run as {app.children.user.name}.")
    if known.telegram_token is None:
        lines.append("No phone is connected; to read and decide there: runner telegram link")
    elif not known.telegram_owners:
        lines.append("RUNNER_TELEGRAM_OWNERS lists nobody, so nobody decides by phone: runner telegram link")
    lines.append("To halt everything: touch STOP (or: runner stop)")
    return lines


def _expect(app: App, board: Any) -> None:
    from runner.store import drafts

    with app.store.read() as connection:
        waiting: dict[str, set[str]] = {}
        for row in drafts.listed(connection):
            waiting.setdefault(row.task, set()).add(row.id)
    for task, found in waiting.items():
        board.expect(task, found)


@click.command()
@a_task
def run(task: str) -> int:
    """Run a task now, wait for its end, and show it.

    With a runner up, that one carries it out; with none, this command does.
    """
    from runner import lock

    known = settings()
    if lock.holder(known.lock):
        return asyncio.run(_hand_over(task))
    return asyncio.run(_run_alone(known, task))


async def _hand_over(task: str) -> int:
    from runner import lock
    from runner.cli.looking import read_catalog
    from runner.demand import submit
    from runner.record import written

    with opened() as project:
        found = await read_catalog(project.settings.home)
        with written(project.store, project.settings.home):
            number = submit(project.store, project.desk.stop, found, task)
        click.echo(f"run {number} of {task}: handed to the runner that is up")
        await ended(
            project.store, number, lambda: lock.holder(project.settings.lock) is not None, and_parked=True
        )
        return report(project.store, number)


async def _run_alone(known: Settings, task: str) -> int:
    from runner.app import App
    from runner.demand import submit
    from runner.review.console.lines import line

    def heard(event: dict[str, Any]) -> None:
        if event.get("task") == task and (words := line(event, known.zone)):
            click.echo(words)

    app = App(known, heard=heard)
    async with bounded(app, is_scheduled=False):
        number = submit(app.store, app.stop, app.catalog, task)
        await ended(app.store, number, and_parked=True)
        return report(app.store, number)


@asynccontextmanager
async def bounded(app: App, *, is_scheduled: bool) -> AsyncIterator[None]:
    """An app that is up until the work is done, or somebody wants it to end."""
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    try:
        async with app.up(is_scheduled=is_scheduled):
            yield
    except asyncio.CancelledError:
        raise RunError("broken off; the run is tried again when the runner is up") from None


async def ended(
    store: Store, number: str, is_cared_for: Callable[[], bool] = lambda: True, *, and_parked: bool = False
) -> None:
    """Wait for the end of a run; raises `RunError` when nobody is left who could carry it out.

    With `and_parked` nobody waits for a batch, which may take a day.
    """
    from runner.store import runs

    while is_cared_for():
        with store.read() as connection:
            row = runs.get(connection, number)
        if row.status not in runs.OPEN or (and_parked and row.parked):
            return
        await asyncio.sleep(POLL_S)
    raise RunError(f"the runner that was up has ended; run {number} begins when it is up again: runner up")


def report(store: Store, number: str, *, is_kept: bool = True) -> int:
    """Print what a run came to; the exit code for it. A draft that is not kept can't be shown again."""
    from runner.draft import visible
    from runner.store import drafts, runs

    with store.read() as connection:
        row, (cost, _, _) = runs.get(connection, number), runs.bill(connection, number)
        made = drafts.of_run(connection, number)
    if row.parked and row.status in runs.OPEN:
        click.echo(f"run {number} is parked until Claude's batch has ended; `runner up` lets it go on then")
        return 0
    click.echo(f"run {number}: {row.status}, ${cost:.4f}" + (f": {visible(row.error)}" if row.error else ""))
    for draft in made if is_kept else ():
        click.echo(f"draft {draft.id} ({draft.kind}) is {draft.state}: runner show {draft.id}")
    if row.status == "stopped":
        return StoppedError.exit_code
    return 0 if row.status in runs.GOOD else 1


@click.command()
@click.option("--tour", is_flag=True, help="Walk through by itself; fails if anything did not happen.")
def demo(*, tour: bool) -> int:
    """See the whole way of a draft, on stand-ins for Claude and the world: no key, no cost, nothing leaves."""
    from runner.rehearsal.tour import walk

    if tour or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return asyncio.run(walk())
    with tempfile.TemporaryDirectory(prefix="demo-") as folder:
        asyncio.run(_demo(Path(folder)))
    return 0


async def _demo(home: Path) -> None:
    """The runner on stand-ins, and a person who decides."""
    from runner import settings as settings_room
    from runner.rehearsal.handset import Handset
    from runner.rehearsal.stage import copy_tasks, on_stage, with_phone
    from runner.rehearsal.telegram import StandInTelegram
    from runner.review.console.attend import Attendant

    known = with_phone(settings_room.load(home))
    copy_tasks(home)
    attendants: list[Attendant] = []

    def heard(event: dict[str, Any]) -> None:
        for each in attendants:
            each.heard(event)

    async with (
        StandInTelegram() as telegram,
        on_stage(known, home, heard, every=DEMO_EVERY, phone=telegram.url) as stage,
    ):
        attendant = Attendant(stage.app.desk, known.zone, me(), phone=Handset(telegram).draw)
        attendants.append(attendant)
        click.echo(
            f"A runner in {home}, on stand-ins for Claude, Telegram and the world: no key, no cost, nothing leaves.\n"
            f"Each task is due every {DEMO_EVERY.seconds} seconds; what it drafts waits for you here,\n"
            "and on a phone: [p] shows it as it would look there.\n"
            f"To see it halt, in another terminal: touch {home}/STOP"
        )
        async with stage.app.up():
            await attendant.attend()
