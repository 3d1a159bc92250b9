"""A text on a screen that is smaller than it: a part at a time, and whether its end was reached."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from rich.cells import cell_len

TAB = 8  #: columns


@dataclass(slots=True)
class Page:
    """Lines, and how far they were read: only what was on the screen, from the first line on, counts as read."""

    lines: list[str]
    top: int = 0  #: the first line on the screen
    seen: int = 0  #: lines that were on it

    @classmethod
    def of(cls, text: str, width: int) -> Self:
        """The text in lines that fit, nothing cut."""
        lines = (line.expandtabs(TAB) for line in text.split("\n"))
        return cls([piece for line in lines for piece in _folded(line, max(width, 2))])

    def view(self, height: int) -> list[str]:
        """The lines on a screen of that height; they count as read."""
        self.top = max(0, min(self.top, len(self.lines) - height))
        end = min(self.top + height, len(self.lines))
        if self.top <= self.seen:
            self.seen = max(self.seen, end)
        return self.lines[self.top : end]

    @property
    def is_read(self) -> bool:
        """Whether every line was on the screen."""
        return self.seen >= len(self.lines)


def _folded(line: str, width: int) -> list[str]:
    """The line in pieces that fit, each character in one of them."""
    pieces, room = [""], width
    for char in line:
        room -= cell_len(char)
        if room < 0:
            pieces.append("")
            room = width - cell_len(char)
        pieces[-1] += char
    return pieces
