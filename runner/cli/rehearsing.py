"""Rehearsing a task: what it would draft, and what it will cost."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner.cli.project import a_task, settings
from runner.cli.running import bounded, ended, report
from runner.stop import Door

if TYPE_CHECKING:
    from runner.catalog import Declared
    from runner.rehearsal.stage import Stage
    from runner.settings import Settings


@click.command()
@a_task
@click.option(
    "--cost",
    "wants_cost",
    is_flag=True,
    help="Say what it will cost; the API, given a key, counts its prompts.",
)
def rehearse(task: str, *, wants_cost: bool) -> int:
    """Show what a task would draft, on a stand-in for Claude: at no cost, nothing stored, nothing delivered."""
    known = settings()
    with tempfile.TemporaryDirectory(prefix="rehearsal-") as folder:
        return asyncio.run(_rehearse(known, Path(folder), task, wants_cost=wants_cost))


async def _rehearse(known: Settings, folder: Path, task: str, *, wants_cost: bool) -> int:
    from runner.demand import submit
    from runner.draft import render, visible
    from runner.rehearsal.stage import on_stage
    from runner.store import drafts

    (folder / "tasks").symlink_to(known.home / "tasks")
    alerts: list[str] = []

    def heard(event: dict[str, Any]) -> None:
        if event["event"] == "alert.raised":
            alerts.append(str(event["text"]))

    async with on_stage(known, folder, heard) as stage, bounded(app := stage.app, is_scheduled=False):
        number = submit(app.store, app.stop, app.catalog, task)
        await ended(app.store, number)
        with app.store.read() as connection:
            contents = [drafts.content(connection, row.id) for row in drafts.of_run(connection, number)]
        code = report(app.store, number, is_kept=False)
        forecast = await _forecast(known, stage, app.catalog.task(task)) if wants_cost and code == 0 else []
    for content in contents:
        click.echo(f"\n{render(content)}")
    for text in alerts:
        click.echo(f"\nalert: {visible(text)}")
    click.echo("\nREHEARSAL: a stand-in took Claude's place; nothing was stored, delivered or paid")
    for words in forecast:
        click.echo(words)
    return code


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
