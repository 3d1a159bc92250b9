"""Reviewing on a full screen."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from runner.cli.keyboard import Keyboard
from runner.cli.project import me, opened
from runner.errors import RunnerError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console
    from rich.text import Text

    from runner.review.console.reviewing import Reviewing


@click.command()
@click.option("--run", default="", metavar="RUN", help="Only the drafts of this run, as a set.")
def review(run: str) -> None:
    """Read what waits on a full screen, and decide: each draft whole, a yes only at its end."""
    from rich.console import Console

    from runner.record import written
    from runner.review.console.reviewing import Reviewing
    from runner.store import runs

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise RunnerError(
            "reviewing needs a terminal; for scripts: runner pending --json, runner approve --digest"
        )
    with opened() as project:
        if run:
            with project.store.read() as connection:
                run = runs.resolve(connection, run)
        console = Console(highlight=False)
        with suppress(EOFError, KeyboardInterrupt), Keyboard() as keyboard:
            reviewing = Reviewing(
                project.desk,
                me(),
                lambda question: _ask(console, keyboard, question),
                lambda fields: _edit(keyboard, fields),
                run,
                lambda: written(project.store, project.settings.home),
            )
            _review(console, keyboard, reviewing)


def _review(console: Console, keyboard: Keyboard, reviewing: Reviewing) -> None:
    from rich.control import Control

    with console.screen(hide_cursor=True) as screen:
        while True:
            console.control(Control.alt_screen(enable=True))  # an editor may have left it
            screen.update(_drawn(reviewing.screen(*console.size)))
            if not reviewing.press(keyboard.key()):
                return


def _drawn(lines: list[str]) -> Text:
    from rich.text import Text

    head, *rest = (Text(line, no_wrap=True, overflow="crop") for line in lines)
    head.stylize("reverse")
    return Text("\n", no_wrap=True, overflow="crop").join([head, *rest])


def _ask(console: Console, keyboard: Keyboard, question: str) -> str:
    """A question at the bottom of the screen."""
    from rich.text import Text

    with keyboard.put_away():
        console.show_cursor(show=True)
        try:
            return console.input(Text(f"\n{question} > ", "bold"))
        finally:
            console.show_cursor(show=False)


def _edit(keyboard: Keyboard, fields: Mapping[str, Any]) -> dict[str, Any]:
    from runner.review.console.editing import in_editor

    with keyboard.put_away():
        return in_editor(fields)
