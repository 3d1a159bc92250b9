"""A project: beginning one, checking its tasks, and its health."""

from __future__ import annotations

import asyncio
import platform
import sys
from typing import TYPE_CHECKING

import click

from runner import settings as settings_room
from runner.cli.project import as_json, settings, show
from runner.draft import visible
from runner.errors import RunnerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from runner.catalog import Catalog
    from runner.settings import Settings
    from runner.trial import Tried

TOML = """\
# What the runner needs to know; each line may also stand in the environment, as RUNNER_ and its name in capitals.
# Secrets don't go here: ANTHROPIC_API_KEY belongs into the environment or into .env.

daily_budget_usd = 1.00        # what all tasks together may spend on Claude in a day; no call begins past it
# timezone = "Europe/Berlin"   # yours; the machine's when this is left out
# model = "claude-sonnet-5-5"  # for tasks that name none
# task_user = "studio-tasks"   # whom tasks run as, should the runner be root
"""
IGNORED = "/STOP\n/.runner/\n/logs/*\n!/logs/.gitkeep\n/published/\n/.env\n__pycache__/\n"
ENV = "# Secrets; never committed.\nANTHROPIC_API_KEY=\nRUNNER_TELEGRAM_TOKEN=\nRUNNER_TELEGRAM_OWNERS=\n"


@click.command()
def init() -> None:
    """Put a project into this folder: settings, four tasks to copy, and the folders; over nothing that is there."""
    from runner.rehearsal.stage import copy_tasks

    home = settings_room.home()
    written = [f"tasks/{name}" for name in copy_tasks(home)]
    for name, text in {"runner.toml": TOML, ".gitignore": IGNORED, ".env": ENV, "logs/.gitkeep": ""}.items():
        path = home / name
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
            written.append(name)
    (home / ".env").chmod(0o600)
    for name in written:
        click.echo(f"wrote {name}")
    click.echo("next: put your ANTHROPIC_API_KEY into .env, look through tasks/, then: runner up")


@click.command()
@as_json
def check(*, wants_json: bool) -> int:
    """Read every module in tasks/, each in a child of its own, and say what is wrong; for a pre-commit hook too."""
    from runner.cli.looking import catalog

    known = settings()
    found = catalog(known.home)
    broken = [
        {"file": f"tasks/{each.file}", "line": each.line, "reason": each.reason}
        for each in found.broken.values()
    ]

    def otherwise() -> None:
        for each in found.broken.values():
            click.echo(visible(str(each)))
        for words in _unset(known, found):
            click.echo(visible(words))
        click.echo(f"{len(found.tasks)} tasks are sound, {len(broken)} modules are broken")

    show({"tasks": sorted(found.tasks), "broken": broken}, wants_json=wants_json, otherwise=otherwise)
    return 1 if broken else 0


def _unset(known: Settings, found: Catalog) -> Iterator[str]:
    for (file, name), kind in found.kinds.items():
        for secret in kind.secrets:
            if known.secret(secret) is None:
                yield f"tasks/{file}: {name} needs {secret} when it is delivered; set it in .env"


@click.command()
def doctor() -> int:
    """Look at all that the runner rests on, and say what is not as it should be."""
    from runner.errors import SettingsError

    click.echo(f"runner on Python {platform.python_version()}, {platform.platform()}")
    try:
        known = settings()
    except SettingsError as error:
        click.echo(f"✗ settings: {visible(str(error))}")
        return error.exit_code
    problems = 0
    for name, look in _LOOKS.items():
        try:
            click.echo(f"✓ {name}: {visible(look(known))}")
        except (RunnerError, OSError, ValueError) as error:
            problems += 1
            click.echo(f"✗ {name}: {visible(str(error))}")
    return 1 if problems else 0


def _look_at_settings(known: Settings) -> str:
    budget = (
        f"${known.daily_budget_usd:.2f} a day" if known.daily_budget_usd is not None else "no daily budget"
    )
    return f"{known.home}, {known.timezone}, {known.model}, {budget}"


def _look_at_key(known: Settings) -> str:
    if known.anthropic_api_key is None:
        raise RunnerError("ANTHROPIC_API_KEY is not set; put it into .env")
    return f"ANTHROPIC_API_KEY is set; it goes to {known.anthropic_base_url or 'the public API'}"


def _look_at_phone(known: Settings) -> str:
    if known.telegram_token is None:
        return "no bot is set; to read and decide by phone: runner telegram link"
    if not known.telegram_owners and not known.reviewers:
        raise RunnerError("RUNNER_TELEGRAM_OWNERS lists nobody; your id: runner telegram link")
    people = len({*known.telegram_owners, *(person.id for person in known.reviewers.values())})
    return f"a bot is set at {known.telegram_api}; {people} may decide by it"


def _look_at_folders(known: Settings) -> str:
    from runner.stop import sight

    for folder in (known.home, known.home / "logs", known.home / ".runner"):
        folder.mkdir(exist_ok=True)
        _try_writing(folder / ".doctor")
    reason = sight(known.home / "STOP")
    return f"all can be written; STOP {'is there: ' + reason if reason else 'is not there'}"


def _try_writing(path: Path) -> None:
    path.touch()
    path.unlink()


def _look_at_store(known: Settings) -> str:
    from runner.store.store import Store

    store = Store(known.database)
    store.open()
    try:
        store.check()
    finally:
        store.close()
    return "sound"


def _look_at_journal(known: Settings) -> str:
    from runner.journal import verify

    verdict = verify(known.home / "logs")
    if verdict.problems:
        raise RunnerError(f"{len(verdict.problems)} problems; see them: runner verify")
    return f"{verdict.lines} lines, whole"


def _look_at_tasks(known: Settings) -> str:
    from runner.cli.looking import read_catalog

    found = asyncio.run(read_catalog(known.home))
    if found.broken:
        raise RunnerError("; ".join(str(each) for each in found.broken.values()))
    return f"{len(found.tasks)} sound"


def _look_at_children(known: Settings) -> str:
    if sys.platform != "linux":
        return "each run is a process of its own with limits; they end with the runner at end-of-file alone"
    return "each run is a process of its own with limits, killed with its group, and dies with the runner"


def _look_at_seal(known: Settings) -> str:
    from runner.worker.sealing.report import report

    what = report()
    tried = asyncio.run(_try_seal(known))
    lines = [what.system, *(f"{part.name}: {part.words}" for part in what.parts())]
    lines += [f"{each.way}: {f'closed ({each.refusal})' if each.refusal else 'OPEN'}" for each in tried]
    table = "\n    ".join(lines)
    open_ways = [each.way for each in tried if each.refusal is None]
    if open_ways:
        raise RunnerError(f"a sealed child can {', '.join(open_ways)}\n    {table}")
    return f"whole; a sealed child tried {len(tried)} ways out and found none\n    {table}"


async def _try_seal(known: Settings) -> list[Tried]:
    from runner.children import Children
    from runner.trial import tried
    from runner.worker.sealing.user import chosen

    children = Children(user=chosen(known.task_user))
    try:
        return await tried(children, known.home)
    finally:
        await children.close()


def _look_at_runner(known: Settings) -> str:
    from runner import lock

    pid = lock.holder(known.lock)
    return f"up, process {pid}" if pid else "not up; start it: runner up"


_LOOKS: dict[str, Callable[[Settings], str]] = {
    "settings": _look_at_settings,
    "key": _look_at_key,
    "phone": _look_at_phone,
    "folders": _look_at_folders,
    "store": _look_at_store,
    "journal": _look_at_journal,
    "tasks": _look_at_tasks,
    "children": _look_at_children,
    "seal": _look_at_seal,
    "runner": _look_at_runner,
}
