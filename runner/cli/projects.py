"""A project: beginning one, checking its tasks, and its health."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from runner import settings as settings_room
from runner.cli.project import as_json, settings, show
from runner.draft import visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runner.catalog import Catalog
    from runner.settings import Settings

TOML = """\
# What the runner needs to know; each line may also stand in the environment, as RUNNER_ and its name in capitals.
# Secrets don't go here: ANTHROPIC_API_KEY belongs into the environment or into .env.

daily_budget_usd = 1.00        # what all tasks together may spend on Claude in a day; no call begins past it
# monthly_budget_usd = 20      # likewise in a month; one task's or label's own: docs/costs.md
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

    unmet = list(_unmet(known, found))

    def otherwise() -> None:
        for words in (*map(str, found.broken.values()), *unmet, *_unset(known, found), *_reaches(found)):
            click.echo(visible(words))
        click.echo(f"{len(found.tasks)} tasks are sound, {len(broken)} modules are broken")

    whole = {"tasks": sorted(found.tasks), "broken": broken, "budgets": unmet}
    show(whole, wants_json=wants_json, otherwise=otherwise)
    return 1 if broken or unmet else 0


def _unmet(known: Settings, found: Catalog) -> Iterator[str]:
    """Budgets of nobody: a misspelt one would bound nothing."""
    labels = {task.limits.label for task in found.tasks.values()} - {""}
    for place, names, there in (
        ("tasks", known.budgets.tasks, set(found.tasks)),
        ("labels", known.budgets.labels, labels),
    ):
        for name in names:
            if name not in there and not found.broken:
                yield f"runner.toml: [budgets.{place}.{name}] bounds nothing; there are {', '.join(sorted(there)) or 'none'}"


def _unset(known: Settings, found: Catalog) -> Iterator[str]:
    for (file, name), kind in found.kinds.items():
        for secret in kind.secrets:
            if known.secret(secret) is None:
                yield f"tasks/{file}: {name} needs {secret} when it is delivered; set it in .env"


def _reaches(found: Catalog) -> Iterator[str]:
    for task in found.tasks.values():
        if task.reach:
            yield f"tasks/{task.file}: {task.name}: {'; '.join(task.reach)}"
