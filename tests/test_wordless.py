"""What may be delivered without a human: only what leaves no room for words."""

from __future__ import annotations

import pytest

from runner.wordless import holds_text


@pytest.mark.parametrize(
    "pattern",
    [
        r"^[A-Z !]{1,200}$",
        r"^[a-z]{1,40}( [a-z]{1,40}){0,20}$",
        r"^[a-z]{1,60}$",
        r"^[A-Za-z]+[.] .*$",
        r"^\w{1,8}",
        r"[a-z]{1,2}",
        r"^(a|b|c)+$",
        r"^(?=x).$",
        r"^([a-z]{2})\1$",
        r"^[a-z$",
        None,
    ],
)
def test_a_pattern_that_could_let_a_sentence_through_holds_text(pattern: str | None) -> None:
    assert holds_text({"type": "string", "pattern": pattern}, {})


@pytest.mark.parametrize(
    "rule",
    [
        {"type": "string", "pattern": r"^[a-z]{2}-\d+$"},
        {"type": "string", "pattern": r"^ORDER-[0-9]{4,9}$"},
        {"type": "string", "pattern": r"^(?:EUR|USD)$"},
        {"type": "string", "format": "date"},
        {"type": "integer"},
        {"enum": ["up", "down"]},
        {"anyOf": [{"type": "number"}, {"type": "null"}]},
        {"type": "array", "items": {"type": "boolean"}},
        {"type": "object", "properties": {"n": {"type": "integer"}}, "additionalProperties": False},
    ],
)
def test_numbers_choices_and_ids_hold_none(rule: dict[str, object]) -> None:
    assert not holds_text(rule, {})


@pytest.mark.parametrize(
    "rule",
    [
        {},
        {"type": "object"},
        {"type": "array"},
        {"type": "object", "additionalProperties": {"type": "integer"}},
        {"type": "array", "items": {"type": "string"}},
        {"$ref": "#/$defs/Nowhere"},
    ],
)
def test_whatever_is_open_holds_text(rule: dict[str, object]) -> None:
    assert holds_text(rule, {})
