"""The project that a command works on: its settings, its store, its desk."""

from __future__ import annotations

import json
import os
import pwd
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import click

from runner import settings as settings_room
from runner.cli import MARKS, completion
from runner.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runner.review.desk import Desk
    from runner.settings import Settings
    from runner.store.store import Store

as_json = click.option("--json", "wants_json", is_flag=True, help="Print one JSON document, for scripts.")
a_draft = click.argument("draft", metavar="ID", shell_complete=completion.waiting)
a_task = click.argument("task", shell_complete=completion.tasks)


@dataclass(frozen=True)
class Project:
    """What most commands need."""

    settings: Settings
    store: Store

    @cached_property
    def desk(self) -> Desk:
        """Where drafts are decided; costs an import that looking doesn't need."""
        from runner.review.desk import Desk
        from runner.stop import Stop

        return Desk(self.store, Stop(self.settings.home / "STOP", self._latch), self.settings.approvals)

    def _latch(self, reason: str) -> None:
        from runner.store import stops

        with self.store.change() as tx:
            stops.engage(tx, reason, "the STOP file")


def settings() -> Settings:
    """The settings of the project in this folder; raises `SettingsError` where there is no project."""
    home = settings_room.home()
    if not any((home / mark).exists() for mark in MARKS):
        raise SettingsError(
            f"there is no project in {home}; go to its folder, set RUNNER_HOME, or begin one: runner init"
        )
    return settings_room.load(home)


@contextmanager
def opened(*, writes: bool = False) -> Iterator[Project]:
    """The project with its store open; what a command `writes` is on record when this ends."""
    from runner.store.store import Store

    known = settings()
    store = Store(known.database)
    store.open()
    try:
        if writes:
            from runner.record import written

            with written(store, known.home):
                yield Project(known, store)
        else:
            yield Project(known, store)
    finally:
        store.close()


def me() -> str:
    """Who decides here: the person whose account it is, whatever the environment says."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return "the terminal"


def show(value: Any, *, wants_json: bool, otherwise: Callable[[], None]) -> None:
    """Print `value` as JSON where that is wanted, else what `otherwise` prints."""
    if wants_json:
        click.echo(json.dumps(value, ensure_ascii=False, indent=2))
    else:
        otherwise()
