"""Which task is worth its owner's attention."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from runner.cli.project import as_json, opened, show

if TYPE_CHECKING:
    from runner.store.stats import Stats

HEADS = (
    "task",
    "made",
    "as it was",
    "edited",
    "revised",
    "rejected",
    "expired",
    "delivered",
    "decided after",
    "cost each",
    "why rejected",
)


@click.command()
@click.option(
    "--days", type=click.IntRange(1, 36_500), default=30, show_default=True, help="How far to look back."
)
@as_json
def stats(*, days: int, wants_json: bool) -> None:
    """Show what became of each task's drafts, those that were least often right first.

    Nothing is ever approved by a track record: it tells you which task to mend.
    """
    from runner.review.console.tables import table
    from runner.store.stats import of_tasks

    with opened() as project:
        since = project.store.clock.now() - timedelta(days=days)
        with project.store.read() as connection:
            found = of_tasks(connection, since)
    as_dicts = [{**asdict(each), "cost_per_delivered_usd": each.cost_per_delivered} for each in found]
    lines = [_cells(each) for each in found]
    show(
        as_dicts,
        wants_json=wants_json,
        otherwise=lambda: table(HEADS, lines, empty=f"no drafts in {days} days"),
    )


def _cells(each: Stats) -> tuple[Any, ...]:
    change = f" ({each.change:.0%} changed)" if each.change is not None else ""
    cost = each.cost_per_delivered
    return (
        each.task,
        each.made,
        f"{each.unchanged} ({each.unchanged / each.made:.0%})",
        f"{each.edited}{change}",
        each.revised,
        each.rejected,
        each.expired,
        each.delivered,
        "" if each.hours is None else f"{each.hours:.1f} h",
        "" if cost is None else f"${cost:.4f}",
        "; ".join(each.reasons),
    )
