"""The list of commands, and what becomes of an error in one of them."""

from __future__ import annotations

import sys
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
          runner show ID      all of it, exactly as it would be delivered
          runner approve ID   and nothing else lets it out
Halt:     touch STOP          or: runner stop
"""


class Commands(click.Group):
    """Commands by name; each is imported when it is called or listed."""

    rooms: ClassVar[dict[str, str]] = {
        "init": "projects",
        "up": "running",
        "demo": "running",
        "check": "projects",
        "tasks": "looking",
        "run": "running",
        "rehearse": "running",
        "runs": "looking",
        "pending": "deciding",
        "show": "deciding",
        "approve": "deciding",
        "reject": "deciding",
        "revise": "deciding",
        "edit": "deciding",
        "undo": "deciding",
        "withdraw": "deciding",
        "resolve": "deciding",
        "pause": "halting",
        "unpause": "halting",
        "stop": "halting",
        "resume": "halting",
        "status": "looking",
        "log": "looking",
        "verify": "looking",
        "costs": "looking",
        "doctor": "projects",
        "telegram": "phone",
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
    """Run the command line; every owner's mistake ends in a sentence, never in a traceback."""
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("runner: broken off; nothing more was done", err=True)
        return 1
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except RunnerError as error:
        click.echo(f"runner: {error}", err=True)
        return error.exit_code
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has gone; nobody is left to complain to
        return 1
    return code if isinstance(code, int) else 0
