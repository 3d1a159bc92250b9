"""Every setting, from the code that reads it: as `runner.toml` for a new project, as `.env.example`, and as a page.

`python -m runner.cli.reference` prints the page, which is docs/settings.md.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import click
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from runner import drafts
from runner.catalog import built_ins
from runner.settings import SECRETS, Settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pydantic.fields import FieldInfo

    from runner.draft import Kind

SET = {"daily_budget_usd"}  #: what a new project has set, to its example
HEAD = """\
# Every setting, with its default or an example; take away the # in front of one to set it.
# The first ones may also stand in the environment or in .env, as RUNNER_ and the name in capitals.
# Secrets don't go here but into .env: see .env.example.
"""
ENV_HEAD = """\
# Secrets. Copy this to .env, which is never committed, and fill in what you use; the environment may say them too.
"""
PAGE = """\
# Settings

Made from the code by `make docs`; `runner init` writes all of it into a new project's `runner.toml`, as comments.

## In `runner.toml`

Or in the environment, or in `.env`: as `RUNNER_` and the name in capitals (`RUNNER_TIMEZONE`). The environment goes
before `.env`, and that before the file. A name that is no setting is refused, with the one that it resembles.

{top}
{tables}
## Secrets

Only in the environment or in `.env`; never in `runner.toml`, and in no log.

{secrets}
`RUNNER_HOME` is the project folder; without it, the working directory is.
"""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting as an owner reads of it."""

    name: str
    default: str  #: as TOML writes it; empty when there is none
    example: str  #: likewise
    meaning: str
    is_needed: bool

    @property
    def line(self) -> str:
        """The setting as it stands in the file."""
        return f"{self.name} = {self.default or self.example}"

    @property
    def usual(self) -> str:
        """What holds where nothing is said."""
        return f"`{self.default}`" if self.default else "needed" if self.is_needed else "none"


@dataclass(frozen=True, slots=True)
class Table:
    """One table of `runner.toml`."""

    name: str  #: with a name of the owner's in capitals; empty is what stands above all tables
    example: str  #: likewise, with that name made up
    meaning: str
    settings: tuple[Setting, ...]


def tables() -> Iterator[Table]:
    """All tables, in the order in which they stand in the file; what stands above them is the first."""
    fields = {name: field for name, field in Settings.model_fields.items() if name not in {"home", *SECRETS}}
    inner = {name: found for name, field in fields.items() if (found := list(_below(name, name, field)))}
    yield Table("", "", "", _settings({name: fields[name] for name in fields if name not in inner}))
    for found in inner.values():
        yield from found
    for title, kind in built_ins().items():
        given = getattr(drafts, title).settings
        if given is not None:
            place = f"kinds.{kind.name}"
            yield Table(place, place, f"`{title}`: {given.__doc__}", _settings(given.model_fields))


def _below(name: str, example: str, field: FieldInfo) -> Iterator[Table]:
    """The table that a field is, with those in it; a field that is no table has none."""
    model = field.annotation
    if get_origin(model) is dict:
        name, example, model = (
            f"{name}.NAME",
            f"{example}.{(field.examples or [''])[0]}",
            get_args(model)[1],
        )
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return
    inner = {
        each: list(_below(f"{name}.{each}", f"{example}.{each}", found))
        for each, found in model.model_fields.items()
    }
    plain = {each: model.model_fields[each] for each, found in inner.items() if not found}
    if plain:
        yield Table(name, example, str(model.__doc__), _settings(plain))
    for found in inner.values():
        yield from found


def _settings(fields: dict[str, FieldInfo]) -> tuple[Setting, ...]:
    return tuple(_setting(name, field) for name, field in fields.items())


def _setting(name: str, field: FieldInfo) -> Setting:
    options = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    choice = f"{' or '.join(json.dumps(option) for option in options)}: " if options else ""
    default = "" if field.default in (None, PydanticUndefined) else toml(field.default)
    example = toml(field.examples[0]) if field.examples else ""
    return Setting(name, default, example, f"{choice}{field.description}", field.is_required())


def toml(value: Any) -> str:
    """A value as TOML writes it."""
    return str(value) if isinstance(value, Decimal) else json.dumps(value, ensure_ascii=False)


def template() -> str:
    """The `runner.toml` of a new project: every setting, all but a daily budget as comments."""
    return HEAD + "".join(f"\n{''.join(_written(table))}" for table in tables())


def _written(table: Table) -> Iterator[str]:
    if table.name:
        yield f"# {table.meaning.replace('`', '')}\n#[{table.example}]\n"
    for each in table.settings:
        mark = "" if each.name in SET and not table.name else "#"
        yield f"{mark}{each.line}  # {each.meaning}\n"


def secrets(kinds: Iterable[Kind] = ()) -> dict[str, str]:
    """Names and meanings of all secrets: the runner's, its own kinds', and those of the owner's `kinds`."""
    found = {}
    for name in (*SECRETS, "telegram_owners"):
        field = Settings.model_fields[name]
        found[str(field.validation_alias or f"RUNNER_{name.upper()}")] = str(field.description)
    users: dict[str, list[str]] = {}
    for kind in (*built_ins().values(), *kinds):
        for name in kind.secrets:
            users.setdefault(name, []).append(kind.title)
    return found | {name: f"for drafts of the kind {' or '.join(titles)}" for name, titles in users.items()}


def dotenv(kinds: Iterable[Kind] = ()) -> str:
    """The `.env.example` of a project with these kinds of its own."""
    return ENV_HEAD + "".join(f"\n# {meaning}\n{name}=\n" for name, meaning in secrets(kinds).items())


def page() -> str:
    """The page of the reference."""
    top, *others = tables()
    parts = (f"### `[{table.name}]`\n\n{table.meaning}\n\n{_rows(table)}\n" for table in others)
    rows = "".join(f"| `{name}` | {meaning} |\n" for name, meaning in secrets().items())
    named = f"| secret | |\n|---|---|\n{rows}"
    return PAGE.format(top=_rows(top), tables="".join(parts), secrets=named)


def _rows(table: Table) -> str:
    rows = "".join(
        f"| `{each.name}` | {each.usual} | {each.meaning}{f', e.g. `{each.example}`' if each.example else ''} |\n"
        for each in table.settings
    )
    return f"| setting | default | |\n|---|---|---|\n{rows}"


if __name__ == "__main__":
    click.echo(page(), nl=False)
