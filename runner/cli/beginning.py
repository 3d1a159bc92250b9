"""Beginning a project: a folder that works as it stands, and the next two commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from runner import settings as settings_room

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FIRST = "linkedin_post"  #: the task of a new project
TASK = """\
---
schedule: 0 9 * * mon-fri
kind: Article
fields: {folder: published/linkedin}
keeps: title
---

Write a LinkedIn post about one practical lesson in testing software: at most 120 words, plain text, no hashtags.
Its title is a short name for it.

We have written these already; not one of them again:
{{ run.state }}
"""
NEXT = """\
next: {rehearse:<36} # what it would draft: no key, no cost
      {copy:<36} # write your ANTHROPIC_API_KEY into it, and then: runner up"""
IGNORED = "/STOP\n/.runner/\n/logs/*\n!/logs/.gitkeep\n/published/\n/.env\n__pycache__/\n"


@click.command()
@click.option("--examples", is_flag=True, help="With four tasks in Python in place of the one in Markdown.")
def init(*, examples: bool) -> None:
    """Put a project into this folder: a task, the settings and the folders; over nothing that is there."""
    from runner.cli import reference
    from runner.cli.looking import catalog

    home = settings_room.home()
    written = list(_tasks(home, wants_examples=examples))
    found = catalog(home)
    texts = {
        "runner.toml": reference.template(),
        ".env.example": reference.dotenv(found.kinds.values()),
        ".gitignore": IGNORED,
        "logs/.gitkeep": "",
    }
    written += [name for name, text in texts.items() if _put(home / name, text)]
    for name in written:
        click.echo(f"wrote {name}")
    if not written:
        click.echo("all of it is there already; nothing was written")
    first = FIRST if FIRST in found.tasks else next(iter(found.tasks), "TASK")
    click.echo(NEXT.format(rehearse=f"runner rehearse {first}", copy="cp .env.example .env"))


def _tasks(home: Path, *, wants_examples: bool) -> Iterator[str]:
    """Write the task of a beginner, unless there are tasks; or the examples, where their names are free."""
    from runner.rehearsal.stage import copy_tasks

    folder = home / "tasks"
    if wants_examples:
        yield from (f"tasks/{name}" for name in copy_tasks(home))
    elif not (folder.is_dir() and any(folder.iterdir())) and _put(folder / f"{FIRST}.md", TASK):
        yield f"tasks/{FIRST}.md"


def _put(path: Path, text: str) -> bool:
    """Write the file, unless it is there."""
    if path.exists() or path.is_symlink():
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    # what was copied from it has secrets in it, and keeps its rights
    path.touch(0o600 if path.name == ".env.example" else 0o666)
    path.write_text(text, encoding="utf-8")
    return True
