"""Halting: everything by STOP, one task by a pause; and letting go again."""

from __future__ import annotations

import click

from runner.cli.project import a_task, me, opened


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("reason", nargs=-1, type=click.UNPROCESSED)
def stop(reason: tuple[str, ...]) -> int:
    """Halt everything, now: no run, no delivery, every child killed, approvals not yet begun void.

    The same as: touch STOP.
    """
    from runner.cli import stop as write

    return write(" ".join(reason))


@click.command()
def resume() -> None:
    """Let the runner go again, after a STOP. Drafts approved before it ask again."""
    with opened(writes=True) as project:
        was_stopped = project.desk.resume(me())
    click.echo(
        "resumed: slots fire again; what was approved before waits for a new yes"
        if was_stopped
        else "it goes: no stop is in force"
    )


@click.command()
@a_task
def pause(task: str) -> None:
    """Start no run of one task until it is unpaused."""
    from runner.cli.looking import catalog
    from runner.store import slots

    with opened(writes=True) as project:
        catalog(project.settings.home).task(task)
        with project.store.change() as tx:
            slots.pause(tx, task, me())
    click.echo(f"paused {task}; its slots are recorded as skipped. To let it run: runner unpause {task}")


@click.command()
@a_task
def unpause(task: str) -> None:
    """Let a paused task run again from its next slot."""
    from runner.errors import GoneError
    from runner.store import slots

    with opened(writes=True) as project, project.store.change() as tx:
        was_paused = slots.unpause(tx, task, me())
    if not was_paused:
        raise GoneError(f"{task} is not paused")
    click.echo(f"unpaused {task}")
