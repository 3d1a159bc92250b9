"""The real runner on a stage: everything is real but the addresses of Claude and of the world."""

from __future__ import annotations

import shutil
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

import runner
from runner.app import App, StandIns
from runner.rehearsal import repository
from runner.rehearsal.claude import StandInClaude
from runner.rehearsal.destination import StandInDestination
from runner.rehearsal.handset import PERSON
from runner.rehearsal.mail import StandInMail
from runner.rehearsal.telegram import TOKEN
from runner.rehearsal.world import services

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from datetime import timedelta

    from runner.settings import Settings

PAGES = "rehearsal"  #: folder of a project with pages for its rehearsals: HOST/PATH
INDEX = "index.html"
PARTS = ("repository", "branch", "remote")  #: of a git remote, as the settings name it


@dataclass(frozen=True, slots=True)
class Stage:
    """A runner, and the world that it takes for real."""

    app: App
    claude: StandInClaude
    destination: StandInDestination
    mail: StandInMail


@asynccontextmanager
async def on_stage(
    settings: Settings,
    home: Path,
    heard: Callable[[dict[str, Any]], None],
    *,
    every: timedelta | None = None,
    phone: str = "",
) -> AsyncIterator[Stage]:
    """An app with the owner's settings, in another folder, on stand-ins that last as long as this.

    `phone` is the address of a stand-in for Telegram; empty is none, whatever bot the owner has.
    """
    async with StandInClaude() as claude, StandInDestination() as destination, StandInMail() as mail:
        destination.pages |= {"/": "<h1>Example</h1>", **pages(settings.home / PAGES)}
        destination.services |= services()
        if given := settings.given("git_commit"):
            repository.make(home, **{name: given[name] for name in PARTS if name in given})
        there = settings.model_copy(update={"home": home, "database_url": ""})
        doubles = StandIns(claude.url, destination.url, every, phone, project=settings.home, mail=mail.url)
        yield Stage(App(there, stand_ins=doubles, heard=heard), claude, destination, mail)


def pages(folder: Path) -> dict[str, str]:
    """What a rehearsal's web holds beside the usual: each file below `folder`, by host and path; index.html is a folder's own."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    texts = {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8", errors="replace")
        for path in found
    }
    return {name.removesuffix(INDEX): text for name, text in texts.items()}


def with_phone(settings: Settings) -> Settings:
    """The settings of somebody who has a phone, which is a stand-in."""
    table = settings.telegram.model_copy(update={"chat": None, "quiet_hours": ""})
    given = {"telegram_token": SecretStr(TOKEN), "telegram_owners": (PERSON,), "telegram": table}
    return settings.model_copy(update={**given, "reviewers": {}})


def shipped() -> Path:
    """The tasks that come with the runner: in the installed package, or beside it in a clone."""
    package = Path(runner.__file__).parent
    installed = package / "shipped"
    return installed if installed.is_dir() else package.parent / "tasks"


def copy_tasks(home: Path) -> list[str]:
    """Put the shipped tasks into a project, over nothing that is there; the files that were written."""
    (home / "tasks").mkdir(parents=True, exist_ok=True)
    written = []
    for path in sorted(shipped().glob("*.py")):
        target = home / "tasks" / path.name
        if not target.exists() and not target.with_suffix(".md").exists():  # which is a task of that name
            shutil.copyfile(path, target)
            written.append(path.name)
    return written
