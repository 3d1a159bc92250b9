"""Backing a project up, while it runs."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import click

from runner.cli.project import opened
from runner.errors import SettingsError

#: in this order: the journal before the store, since a store that is ahead is caught up with, and one behind is not
PARTS = ("tasks", "runner.toml", "logs", ".runner/folders")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
def backup(folder: Path) -> None:
    """Copy the project into FOLDER, which must be new: the store, the journal, tasks and settings; no secrets."""
    from runner.journal import verify
    from runner.store import backup as room

    with opened() as project:
        home, folder = project.settings.home.resolve(), folder.resolve()
        _refuse(home, folder)
        part = folder.with_name(f"{folder.name}.part")  # so that half a copy is never taken for one
        shutil.rmtree(part, ignore_errors=True)
        (part / ".runner").mkdir(parents=True, mode=0o700)
        for name in PARTS:
            _copy(home / name, part / name)
        room.copy(project.store, part / ".runner" / "store.db")
    os.sync()
    part.rename(folder)
    problems = len(verify(folder / "logs").problems)
    click.echo(f"backed up into {folder}; the store is sound, the journal has {problems} problems")
    click.echo("not copied: .env (your secrets), published/, and whatever else your tasks read")


def _refuse(home: Path, folder: Path) -> None:
    """Raise `SettingsError` for a folder that can't take the copy."""
    if folder.exists():
        raise SettingsError(f"{folder} is there already; name a folder that is not")
    if any(folder.is_relative_to(home / name) for name in (*PARTS, ".runner")):
        raise SettingsError(f"{folder} is a part of what would be copied; name one outside of it")


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True, ignore=_no_files)
    elif source.exists():
        shutil.copy2(source, target)


def _no_files(folder: str, names: list[str]) -> list[str]:
    """What has no content to copy: pipes and sockets, which a task may have made; and locks."""
    kinds = {name: (Path(folder) / name).lstat().st_mode for name in names}
    return [
        name
        for name, mode in kinds.items()
        if name == ".lock" or not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode))
    ]
