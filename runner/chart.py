"""A chart of bars, as one SVG file that needs nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from runner.draft import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH = 720
ROW = 28  #: height of a bar with its gap
LEFT, RIGHT, TOP = 230, 100, 56  #: room for names, amounts and the title
NAME_MAX = 26  #: characters of a name that fit

STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#24292f}.title{font-size:16px;font-weight:600}.note{fill:#57606a}"
    ".bar{fill:#2f6fde}.page{fill:#fff}"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.note{fill:#9198a1}.bar{fill:#6ea8fe}.page{fill:#0d1117}}"
)


def bars(title: str, note: str, rows: Sequence[tuple[str, float, str]]) -> str:
    """Names with their values, drawn from zero, and with the words for each value; one that is not positive has no bar."""
    height = TOP + ROW * max(len(rows), 1) + 16
    most = max((value for _, value, _ in rows), default=0) or 1
    drawn = "\n".join(_row(place, row, most) for place, row in enumerate(rows))
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">
<title>{_text(title)}</title>
<style>{STYLE}</style>
<rect class="page" width="{WIDTH}" height="{height}"/>
<text class="title" x="16" y="24">{_text(title)}</text>
<text class="note" x="16" y="43">{_text(note)}</text>
{drawn}
</svg>
"""


def _row(place: int, row: tuple[str, float, str], most: float) -> str:
    name, value, words = row
    y, size = TOP + ROW * place, (WIDTH - LEFT - RIGHT) * max(value, 0) / most
    short = name if len(name) <= NAME_MAX else f"{name[: NAME_MAX - 1]}…"
    return (
        f'<text x="{LEFT - 10}" y="{y + 18}" text-anchor="end">{_text(short)}</text>'
        f'<rect class="bar" x="{LEFT}" y="{y + 4}" width="{size:.1f}" height="{ROW - 8}" rx="3"/>'
        f'<text x="{LEFT + size + 8:.1f}" y="{y + 18}">{_text(words)}</text>'
    )


def _text(words: str) -> str:
    """As XML may hold it: what hides or controls is shown as an escape."""
    return escape(visible(words))
