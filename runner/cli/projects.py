"""A project: whether its tasks and budgets are sound."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from runner.cli.project import as_json, settings, show
from runner.draft import visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runner.catalog import Catalog
    from runner.settings import Settings


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

    # a module that is broken may have had what seems not to be there
    unmet = [] if found.broken else [*_unmet(known, found), *_unknown(known, found)]

    def otherwise() -> None:
        for words in (*map(str, found.broken.values()), *unmet, *_unset(known, found), *_reaches(found)):
            click.echo(visible(words))
        click.echo(f"{_so_many(len(found.tasks), 'task')} sound, {_so_many(len(broken), 'module')} broken")

    whole = {"tasks": sorted(found.tasks), "broken": broken, "settings": unmet}
    show(whole, wants_json=wants_json, otherwise=otherwise)
    return 1 if broken or unmet else 0


def _so_many(count: int, thing: str) -> str:
    return f"{count} {thing} is" if count == 1 else f"{count} {thing}s are"


def _unmet(known: Settings, found: Catalog) -> Iterator[str]:
    """Budgets of nobody: a misspelt one would bound nothing."""
    labels = {task.limits.label for task in found.tasks.values()} - {""}
    for place, names, there in (
        ("tasks", known.budgets.tasks, set(found.tasks)),
        ("labels", known.budgets.labels, labels),
    ):
        for name in names:
            if name not in there:
                yield f"runner.toml: [budgets.{place}.{name}] bounds nothing; there are {', '.join(sorted(there)) or 'none'}"


def _unknown(known: Settings, found: Catalog) -> Iterator[str]:
    """Rules and reviewers for what is not there: a misspelt one would demand nothing of anybody."""
    from runner.catalog import built_ins

    kinds = {kind.name for kind in built_ins().values()} | {kind.name for kind in found.kinds.values()}
    for name in known.kinds:
        if name not in kinds:
            yield f"runner.toml: [kinds.{name}] is about no kind; there are {', '.join(sorted(kinds))}"
    for person, rule in known.reviewers.items():
        for what, names, there in (("task", rule.tasks, found.tasks.keys()), ("kind", rule.kinds, kinds)):
            for name in names:
                if name not in there:
                    yield f"runner.toml: [reviewers.{person}] names a {what} {name!r} that is not there"


def _unset(known: Settings, found: Catalog) -> Iterator[str]:
    for (file, name), kind in found.kinds.items():
        for secret in kind.secrets:
            if known.secret(secret) is None:
                yield f"tasks/{file}: {name} needs {secret} when it is delivered; set it in .env"


def _reaches(found: Catalog) -> Iterator[str]:
    for task in found.tasks.values():
        if task.reach:
            yield f"tasks/{task.file}: {task.name}: {'; '.join(task.reach)}"
