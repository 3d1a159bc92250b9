"""Completion in the shell: of commands, of the ids of what waits, of the names of tasks."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem, get_completion_class

from runner.errors import RunnerError

if TYPE_CHECKING:
    from collections.abc import Iterator

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print what makes your shell complete `runner` commands; put it where your shell reads it at its start."""
    found = get_completion_class(shell)
    assert found is not None
    click.echo(
        found(click.get_current_context().find_root().command, {}, "runner", "_RUNNER_COMPLETE").source()
    )


def waiting(ctx: click.Context, param: click.Parameter, begun: str) -> list[CompletionItem]:
    """The drafts that ask for something and whose id begins so."""
    return _unless_broken(_waiting(begun))


def tasks(ctx: click.Context, param: click.Parameter, begun: str) -> list[CompletionItem]:
    """The tasks that the store knows and whose name begins so."""
    return _unless_broken(_tasks(begun))


def _unless_broken(found: Iterator[CompletionItem]) -> list[CompletionItem]:
    """What was found; in the middle of a line nobody wants to hear of errors."""
    items: list[CompletionItem] = []
    with suppress(RunnerError, OSError):
        items.extend(found)
    return items


def _waiting(begun: str) -> Iterator[CompletionItem]:
    from runner.cli.project import opened
    from runner.store import drafts

    with opened() as project, project.store.read() as connection:
        rows = drafts.listed(connection)
    yield from (
        CompletionItem(row.id, help=f"{row.kind} of {row.task}") for row in rows if row.id.startswith(begun)
    )


def _tasks(begun: str) -> Iterator[CompletionItem]:
    from runner.cli.project import opened
    from runner.store import slots

    with opened() as project, project.store.read() as connection:
        names = slots.names(connection)
    yield from (CompletionItem(name) for name in names if name.startswith(begun))
