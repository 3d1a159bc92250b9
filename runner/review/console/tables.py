"""Tables for a terminal, and for a pipe; every cell is shown as it is, never read as markup."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from runner.clock import parse
from runner.draft import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

WORDS = 48  #: characters of a draft's beginning


def table(heads: Sequence[str], lines: Iterable[Sequence[Any]], *, empty: str) -> None:
    """Print a table, or the word for an empty one."""
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415 - only commands that print tables need rich
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    rows = [[Text(visible(str(cell))) for cell in line] for line in lines]
    console = Console()
    if not console.is_terminal:
        console = Console(width=200)
    if not rows:
        console.print(empty)
        return
    drawn = Table(box=SIMPLE_HEAD, pad_edge=False)
    for place, head in enumerate(heads):
        drawn.add_column(head, no_wrap=place == 0, overflow="fold")
    for row in rows:
        drawn.add_row(*row)
    console.print(drawn)


def ago(at: str | None, now: datetime) -> str:
    """How far an instant is from now, as a person says it; empty for none."""
    if not at:
        return ""
    span = parse(at) - now
    words = _rough(abs(span))
    return f"in {words}" if span > timedelta(0) else f"{words} ago"


def _rough(span: timedelta) -> str:
    seconds = int(span.total_seconds())
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def first_words(fields: Mapping[str, Any]) -> str:
    """How a draft begins: its first text."""
    text = next((value for value in fields.values() if isinstance(value, str) and value), "")
    line = " ".join(text.split())
    return line if len(line) <= WORDS else f"{line[:WORDS]}…"
