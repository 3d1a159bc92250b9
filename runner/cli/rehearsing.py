"""Rehearsing tasks: what they would draft, and what they will cost."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.cli import completion
from runner.cli.project import settings
from runner.cli.running import bounded, report
from runner.draft import render, visible
from runner.gate import State
from runner.stop import Door

if TYPE_CHECKING:
    from runner.catalog import Catalog, Declared
    from runner.rehearsal.compare import Month
    from runner.rehearsal.rounds import Ran
    from runner.rehearsal.stage import Stage
    from runner.settings import Settings

CLOSING = "REHEARSAL: a stand-in took Claude's place; nothing was stored, delivered or paid"


@click.command()
@click.argument("task", required=False, shell_complete=completion.tasks)
@click.option(
    "--cost",
    "wants_cost",
    is_flag=True,
    help="Say what it will cost; the API, given a key, counts its prompts. Without a task: the month of them all.",
)
def rehearse(task: str | None, *, wants_cost: bool) -> int:
    """Show what a task would draft or tell you; without a task, what each would.

    It runs on a stand-in for Claude, at no cost; nothing is stored, nothing delivered. What a task asks you is answered.
    """
    known = settings()
    with tempfile.TemporaryDirectory(prefix="rehearsal-") as folder:
        (Path(folder) / "tasks").symlink_to(known.home / "tasks")
        if task is not None:
            return asyncio.run(_one(known, Path(folder), task, wants_cost=wants_cost))
        code = asyncio.run(_all(known, Path(folder)))
    if wants_cost and code == 0:
        _months(known)
    return code


async def _one(known: Settings, folder: Path, task: str, *, wants_cost: bool) -> int:
    from runner.rehearsal.rounds import Rounds
    from runner.rehearsal.stage import on_stage

    rounds = Rounds()
    async with on_stage(known, folder, rounds.heard) as stage, bounded(stage.app, is_scheduled=False):
        ran = await rounds.of(stage, task)
        code = max(report(stage.app.store, each.row.id, is_kept=False) for each in ran)
        _show(ran)
        click.echo(f"\n{CLOSING}")
        if wants_cost and code == 0:
            for words in await _forecast(known, stage, stage.app.catalog.task(task)):
                click.echo(words)
    return code


def _show(ran: list[Ran]) -> None:
    """The drafts and alerts of a task, as its owner would see them."""
    from runner.rehearsal.rounds import ANSWER

    for each in ran:
        for state, content in each.drafts:
            click.echo(f"\n{render(content)}")
            if state == State.APPROVED:
                click.echo("It would go out by itself: nobody is asked about a kind that holds no text.")
        for event in each.alerts:
            click.echo(f"\nalert: {visible(str(event['text']))}")
            if event.get("question"):
                click.echo(f"it asks: {visible(str(event['question']))}")
                click.echo(f"answered here: {ANSWER}; so it runs again")


@dataclass(slots=True)
class Count:
    """What a rehearsal of all tasks came to."""

    tasks: int = 0
    drafts: int = 0
    alerts: int = 0
    problems: int = 0

    def add(self, ran: list[Ran]) -> None:
        """Count a task."""
        from runner.store.runs import GOOD

        self.tasks += 1
        self.drafts += sum(len(each.drafts) for each in ran)
        self.alerts += sum(len(each.alerts) for each in ran)
        self.problems += any(each.row.status not in GOOD for each in ran)

    def __str__(self) -> str:
        """On one line."""
        return f"{self.tasks} tasks, {self.drafts} drafts, {self.alerts} alerts, {self.problems} problems"


async def _all(known: Settings, folder: Path) -> int:
    """Rehearse each task by its name; 1 when anything is wrong with any."""
    from runner.rehearsal.rounds import Rounds
    from runner.rehearsal.stage import on_stage

    rounds, count = Rounds(), Count()
    async with on_stage(known, folder, rounds.heard) as stage, bounded(stage.app, is_scheduled=False):
        for task in sorted(stage.app.catalog.tasks.values(), key=lambda each: each.name):
            click.secho(f"\n▸ {task.name}: {visible(task.description)}", bold=True)
            ran = await rounds.of(stage, task.name)
            count.add(ran)
            _show(ran)
            _ends(ran)
        count.problems += _broken(stage.app.catalog)
    click.echo(f"\n{CLOSING}\n{count}")
    return 1 if count.problems else 0


def _ends(ran: list[Ran]) -> None:
    """How the last run ended, where it says nothing else."""
    row = ran[-1].row
    if row.error:
        click.echo(f"\n{row.status}: {visible(row.error)}")
    elif not any(each.drafts or each.alerts for each in ran):
        click.echo("nothing to say")


def _broken(catalog: Catalog) -> int:
    for each in catalog.broken.values():
        click.echo(visible(str(each)))
    return len(catalog.broken)


def _months(known: Settings) -> None:
    """The next 30 days of all tasks, with cache and patience and without either."""
    from runner.rehearsal.compare import months
    from runner.review.console.tables import table

    found = asyncio.run(months(known, known.home / "tasks"))
    heads = ("task", "runs", "as declared", "without cache and patience")
    click.echo("\nThe next 30 days at real prices, each run as the rehearsal's:")
    spending = [each for each in found if each.plain]
    lines = [(each.task, each.runs, f"${each.paid:.3f}", f"${each.plain:.3f}") for each in spending]
    table(heads, lines, empty="no task asks Claude on a schedule")
    click.echo(_in_all(found))


def _in_all(found: list[Month]) -> str:
    paid, plain = sum(each.paid for each in found), sum(each.plain for each in found)
    share = f", {1 - paid / plain:.0%} less" if plain else ""
    free = sum(not each.plain for each in found)
    return f"in all ${paid:.3f} instead of ${plain:.3f}{share}; {free} tasks never ask Claude"


async def _forecast(known: Settings, stage: Stage, task: Declared) -> list[str]:
    """What the task will cost, in words; counted by the API where there is a key, else by the stand-in."""
    from runner.claude.ask import Claude
    from runner.claude.budget import usd
    from runner.claude.count import count
    from runner.forecast import Asked, forecast

    asked = [Asked(request) for request in stage.claude.requests]
    asked += [Asked(each["params"], is_batch=True) for each in stage.claude.batches.created]
    key = known.anthropic_api_key.get_secret_value() if known.anthropic_api_key else ""
    url = known.anthropic_base_url if key else stage.claude.url
    claude = Claude(
        key or "rehearsal", base_url=url, concurrency=1, guard=lambda: stage.app.stop.ask(Door.CLAUDE)
    )
    try:
        now = stage.app.store.clock.now()
        found = await forecast(task, asked, lambda request: count(claude, request), now, known.zone)
    finally:
        await claude.close()
    by = (
        "counted by Claude's API"
        if key
        else "reckoned from the size of the text: there is no key to have it counted"
    )
    often = (
        f"{found.runs:,} runs in the next 30 days: at most {usd(found.month)}"
        if found.runs
        else "it runs on demand"
    )
    tokens = f"{found.input_tokens:,} tokens ({by}) and answers of up to {found.output_tokens:,}"
    return [f"a run asks {found.calls} times: {tokens}: at most {usd(found.run)}", often]
