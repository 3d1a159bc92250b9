"""A draft's fields as text that a person edits, and back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from runner.draft import BAR
from runner.errors import DraftError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def changed(fields: Mapping[str, Any], pairs: Iterable[str]) -> dict[str, Any]:
    """The fields with each `NAME=VALUE` in its place; raises `DraftError` for a field that there is not."""
    new = dict(fields)
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not sign or name not in fields:
            raise DraftError(f"{pair[:40]!r}: write FIELD=VALUE, where FIELD is one of {', '.join(fields)}")
        new[name] = _value(fields[name], name, value)
    return new


def in_editor(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields as the owner leaves them in their editor; unchanged when they save nothing."""
    try:
        edited = click.edit(as_text(fields), extension=".md")
    except click.ClickException as error:
        raise DraftError(
            f"your editor could not be used: {error.message}; set EDITOR, or use --set FIELD=VALUE"
        ) from error
    return dict(fields) if edited is None else from_text(edited, fields)


def as_text(fields: Mapping[str, Any]) -> str:
    """Each field below a heading of its own: a text as it is, anything else as JSON."""
    parts = []
    for name, value in fields.items():
        body = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
        parts.append(f"{BAR}{name}\n{body}\n")
    return "".join(parts)


def from_text(text: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields in such a text; raises `DraftError` when a heading is missing or was changed."""
    new: dict[str, Any] = {}
    for part in text.split(BAR)[1:]:
        name, _, body = part.partition("\n")
        new[name.strip()] = body.removesuffix("\n")
    if list(new) != list(fields):
        wanted = ", ".join(f"{BAR}{name}" for name in fields)
        raise DraftError(f"the headings must stay as they were: {wanted}; nothing was changed")
    return {name: _value(fields[name], name, body) for name, body in new.items()}


def _value(old: Any, name: str, text: str) -> Any:
    """A text stays a text; anything else is JSON, and an empty field that was null takes either."""
    if isinstance(old, str):
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        if old is None:
            return text
        raise DraftError(f"{name} must be JSON, as it was ({json.dumps(old)[:40]}): {error}") from error
