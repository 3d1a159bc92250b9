"""The list of commands, and what becomes of an error in one of them."""

from __future__ import annotations

import io
import sys
import traceback
from importlib import import_module
from typing import ClassVar

import click

from runner import __version__
from runner.errors import RunnerError

TEACHES = """A folder of scheduled Claude tasks that say nothing to the outside without your yes.

\b
Start:    runner init         put a project into this folder
          runner up           run it
Decide:   runner pending      what waits for you
          runner review       the same, one after another on a full screen
          runner show ID      all of it, exactly as it would be delivered
          runner approve ID   and nothing else lets it out
Halt:     touch STOP          or: runner stop
"""


class Commands(click.Group):
    """Commands by name; each is imported when it is called or listed."""

    rooms: ClassVar[dict[str, str]] = {
        "init": "beginning",
        "up": "running",
        "demo": "running",
        "check": "projects",
        "tasks": "looking",
        "run": "running",
        "rehearse": "rehearsing",
        "runs": "looking",
        "pending": "deciding",
        "show": "deciding",
        "review": "review",
        "approve": "deciding",
        "reject": "deciding",
        "revise": "deciding",
        "edit": "deciding",
        "undo": "deciding",
        "withdraw": "deciding",
        "resolve": "deciding",
        "answer": "answering",
        "pause": "halting",
        "unpause": "halting",
        "stop": "halting",
        "resume": "halting",
        "status": "looking",
        "log": "looking",
        "verify": "verifying",
        "backup": "backing",
        "costs": "costs",
        "stats": "stats",
        "doctor": "doctor",
        "telegram": "phone",
        "service": "service",
        "completion": "completion",
    }

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command, in the order in which an owner meets them."""
        return list(self.rooms)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name; None when there is none."""
        if cmd_name not in self.rooms:
            return None
        command: click.Command = getattr(import_module(f"runner.cli.{self.rooms[cmd_name]}"), cmd_name)
        return command


@click.group(cls=Commands, help=TEACHES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="runner")
def cli() -> None:
    """Stand at the top of all commands."""


def run() -> int:
    """Run the command line; whatever goes wrong ends in a sentence, never in a traceback."""
    try:
        code = cli.main(standalone_mode=False)
    except click.ClickException as error:
        text = io.StringIO()
        error.show(text)
        return _say(text.getvalue().rstrip(), error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has gone; nobody is left to complain to
        return 1
    except Exception as error:  # noqa: BLE001 - a traceback is for whoever mends it, not for the owner
        return _say(f"runner: {_told(error)}", error.exit_code if isinstance(error, RunnerError) else 1)
    return code if isinstance(code, int) else 0


def _say(words: str, code: int) -> int:
    from runner.draft import visible

    click.echo(visible(words), err=True)
    return code


def _told(error: Exception) -> str:
    """What went wrong, in words; a mistake of ours is called that."""
    match error:
        case RunnerError():
            return str(error)
        case click.exceptions.Abort():
            return "broken off; nothing more was done"
        case OSError():
            return f"{error.filename or 'the system'}: {error.strerror or str(error) or type(error).__name__}"
        case UnicodeError():
            return f"something that was typed or read is no UTF-8 text: {error}"
        case OverflowError() | ValueError():
            return f"a value can't be used: {error}"
    return _fault(error)


def _fault(error: Exception) -> str:
    """What to say of a mistake of ours; how it came about is kept in a file."""
    from runner.settings import home

    words = f"a fault of the runner itself: {type(error).__name__}: {error}; please report it"
    text = "".join(traceback.format_exception(error))
    try:
        path = home() / ".runner" / "fault.txt"
        path.unlink(missing_ok=True)
        with path.open("x", encoding="utf-8", errors="backslashreplace") as file:
            path.chmod(0o600)
            file.write(text)
    except OSError:
        return words
    return f"{words}, with {path}"
