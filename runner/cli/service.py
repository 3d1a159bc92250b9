"""The runner as a service: write its file, or show it."""

from __future__ import annotations

import sys

import click

from runner.cli.project import settings
from runner.draft import visible
from runner.errors import RunnerError
from runner.service import Service
from runner.service import service as service_of


@click.group(name="service")
def service() -> None:
    """Have the machine start the runner, and start it again when it dies."""


def _ours() -> Service:
    found = service_of(settings().home)
    if found is None:
        raise RunnerError(
            f"{sys.platform} has neither systemd nor launchd; have it start `runner up` its own way"
        )
    return found


@service.command()
def show() -> None:
    """Print the file that `install` would write."""
    found = _ours()
    click.echo(f"# {visible(str(found.file))}\n{found.text}", nl=False)


@service.command()
def install() -> None:
    """Write the file, and say how to start the service."""
    found = _ours()
    if found.file.exists() and not found.is_in(found.file.read_text(encoding="utf-8")):
        raise RunnerError(f"{found.file} is another project's of the same name; rename one of the folders")
    found.file.parent.mkdir(parents=True, exist_ok=True)
    found.file.write_text(found.text, encoding="utf-8")
    click.echo(f"wrote {visible(str(found.file))}")
    for number, step in enumerate(found.steps):
        click.echo(f"{'      ' if number else 'next: '}{step}")
