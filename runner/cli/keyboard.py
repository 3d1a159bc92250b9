"""A terminal's keys, one by one, without waiting for the end of a line."""

from __future__ import annotations

import os
import sys
import termios
import tty
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator

ESCAPE = "\x1b"


class Keyboard:
    """The keys of standard input while it is entered; what is typed ahead is kept."""

    def __enter__(self) -> Self:
        self._descriptor = sys.stdin.fileno()
        self._before = termios.tcgetattr(self._descriptor)
        self._typed = ""
        tty.setcbreak(self._descriptor)
        return self

    def __exit__(self, *exc_info: object) -> None:
        termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._before)

    def key(self) -> str:
        """The next key, an escape sequence being one; raises `EOFError` when there will be none."""
        if not self._typed:
            self._typed = os.read(self._descriptor, 1024).decode(errors="replace")
            if not self._typed:
                raise EOFError
        whole = self._typed if self._typed.startswith(ESCAPE) else self._typed[0]
        self._typed = self._typed[len(whole) :]
        return whole

    @contextmanager
    def put_away(self) -> Iterator[None]:
        """Lines again while this lasts, for a question or an editor."""
        termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._before)
        try:
            yield
        finally:
            tty.setcbreak(self._descriptor)
