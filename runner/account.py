"""What the owner's settings say of a kind: where its drafts go, and whom they may reach.

Made part of the kind before any draft of it is, so that a reviewer reads it, the digest covers it, and a change of it
is a change of what was approved. Pure functions.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from runner.draft import SETTLED
from runner.rule import ALLOWED_BY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from runner.draft import Kind


def settled(kind: Kind, given: Mapping[str, Any], account: str | None = None) -> Kind:
    """The kind with what its table in the settings gives; `account` None is what those settings say."""
    if not kind.settings and not given:
        return kind if account is None else kind.model_copy(update={"account": account})
    lists = set(_lists(kind.schema_))
    mark = hashlib.sha256(json.dumps(dict(given), sort_keys=True).encode()).hexdigest()[:16]
    return kind.model_copy(
        update={
            "account": _account(kind, given, lists) if account is None else account,
            "given": dict(given),
            "schema_": _bounded(kind.schema_, kind.name, given),
            "source": f"{kind.source}{SETTLED}{mark}" if given else kind.source,
        }
    )


def _account(kind: Kind, given: Mapping[str, Any], lists: set[str]) -> str:
    """Each setting but the lists of who may be reached, which the fields themselves show."""
    rules = kind.settings.get("properties", {})
    values = {name: given.get(name, rule.get("default")) for name, rule in rules.items() if name not in lists}
    said = [f"{name} {_plain(value)}" for name, value in values.items() if value not in (None, "", False)]
    return " · ".join([*([kind.account] if kind.account else []), *said])


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _lists(schema: Any) -> Iterator[str]:
    """The settings that bound a field."""
    if isinstance(schema, dict):
        if isinstance(named := schema.get(ALLOWED_BY), str):
            yield named
        for part in schema.values():
            yield from _lists(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from _lists(part)


def _bounded(schema: Any, kind: str, given: Mapping[str, Any]) -> Any:
    """The schema with each list in its place."""
    if isinstance(schema, list):
        return [_bounded(part, kind, given) for part in schema]
    if not isinstance(schema, dict):
        return schema
    bounded = {name: _bounded(part, kind, given) for name, part in schema.items()}
    if isinstance(named := schema.get(ALLOWED_BY), str):
        bounded[ALLOWED_BY] = {"setting": f"[kinds.{kind}] {named}", "are": given.get(named) or []}
    return bounded
