"""What Claude cost, by what it was for, when, and what this month will come to."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from runner.cli.project import as_json, opened, show
from runner.clock import first_of_month, parse
from runner.costs import By, Sum, projection, sums, total

if TYPE_CHECKING:
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from sqlalchemy import Connection

DAYS_MOST = 36_500  #: that can be looked back
NANO = 1e9


@click.command()
@click.option(
    "--days", type=click.IntRange(1, DAYS_MOST), default=30, show_default=True, help="Over so many days."
)
@click.option("--by", type=click.Choice(get_args(By)), default="task", show_default=True)
@click.option("--svg", type=click.Path(dir_okay=False, path_type=Path), help="Draw it into this file too.")
@as_json
def costs(*, days: int, by: By, svg: Path | None, wants_json: bool) -> None:
    """List what each task, label, model, day or month spent on Claude, and what this month will come to."""
    from runner.store import money

    with opened() as project:
        zone, now = project.settings.zone, project.store.clock.now()
        with project.store.read() as connection:
            found = sums(money.rows(connection, now - timedelta(days=days)), by, zone)
            outlook = _outlook(connection, now, zone)
    if svg is not None:
        svg.write_text(_drawn(found, by, days, outlook), encoding="utf-8")
    rows = [_row(by, key, each) for key, each in found.items()]
    this_month = f"{now.astimezone(zone):%Y-%m}"
    for row in rows:
        if by == "month" and row["month"] == this_month:
            row["projected_usd"] = outlook[1]
    show(rows, wants_json=wants_json, otherwise=lambda: _table(found, by, days, outlook))
    if svg is not None and not wants_json:
        click.echo(f"drawn into {svg}")


def _outlook(connection: Connection, now: datetime, zone: ZoneInfo) -> tuple[float, float | None]:
    """What this month came to so far, and will come to; dollars."""
    from runner.store import money

    spent = float(money.spent(connection, first_of_month(now, zone)))
    first = money.first(connection)
    return spent, projection(spent, parse(first) if first else None, now, zone)


def _row(by: str, key: str, each: Sum) -> dict[str, Any]:
    names = ("calls", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
    money = {"cost_usd": each.cost / NANO, "saved_usd": each.saved / NANO, "saved_share": each.saved_share}
    return {by: key, **{name: getattr(each, name) for name in names}, **money, "unknown_prices": each.unknown}


def _table(found: dict[str, Sum], by: str, days: int, outlook: tuple[float, float | None]) -> None:
    from runner.review.console.tables import table

    whole = total(found.values())
    lines = [_cells(key or "(none)", each) for key, each in found.items()]
    lines += [_cells("all", whole)] if found else []
    table(
        (by, "calls", "tokens in", "tokens out", "cost", "saved"),
        lines,
        empty=f"nothing was spent in {days} days",
    )
    if whole.unknown:
        click.echo(f"{whole.unknown} calls are not in these sums: the price of their model is not known")
    if found:
        click.echo(_in_words(outlook))


def _cells(key: str, each: Sum) -> tuple[str, ...]:
    tokens = (f"{each.calls:,}", f"{each.input_tokens:,}", f"{each.output_tokens:,}")
    return (key, *tokens, f"${each.cost / NANO:.4f}", f"{each.saved_share:.0%}")


def _in_words(outlook: tuple[float, float | None]) -> str:
    spent, projected = outlook
    if projected is None:
        return f"this month: ${spent:.2f} so far, in less than a day, from which nothing can be told"
    return f"this month: ${spent:.2f} so far; ${projected:.2f} if it goes on like that"


def _drawn(found: dict[str, Sum], by: str, days: int, outlook: tuple[float, float | None]) -> str:
    from runner.chart import bars

    rows = [(key or "(none)", each.cost / NANO, f"${each.cost / NANO:.4f}") for key, each in found.items()]
    return bars(f"Spent on Claude by {by}, {days} days", _in_words(outlook), rows)
