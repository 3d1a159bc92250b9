"""Whether a value could carry words of a model's own choosing; decided from the shape alone, and never in its favour."""

from __future__ import annotations

from re import _constants as sre  # type: ignore[attr-defined] # the library's own reading of a pattern
from re import _parser as reading  # type: ignore[attr-defined]
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LETTERS_MAX = 4  #: characters that a pattern may leave open, all its parts together; too few to say anything
DIGITS = frozenset("0123456789")
_WORDLESS = frozenset({"integer", "number", "boolean", "null"})
_FIXED = frozenset({"date", "date-time", "time", "duration", "uuid"})  #: formats that leave no room for words


def holds_text(rule: Mapping[str, Any], schema: Mapping[str, Any]) -> bool:
    """Whether a value that fits `rule`, a part of the JSON schema `schema`, could carry words of a model's own choosing."""
    if "$ref" in rule:
        return holds_text(schema.get("$defs", {}).get(str(rule["$ref"]).rpartition("/")[2], {}), schema)
    if "enum" in rule or "const" in rule:
        return False
    if parts := _parts(rule):
        return any(holds_text(part, schema) for part in parts) or _is_open(rule)
    if rule.get("type") == "string":
        return rule.get("format") not in _FIXED and _takes_words(rule.get("pattern"))
    return rule.get("type") not in _WORDLESS and _is_open(rule)


def _parts(rule: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The rules that a rule is made of."""
    lists = (rule.get(several, ()) for several in ("anyOf", "oneOf", "allOf", "prefixItems"))
    items = [rule["items"]] if isinstance(rule.get("items"), dict) else []
    return [*(part for parts in lists for part in parts), *items, *rule.get("properties", {}).values()]


def _is_open(rule: Mapping[str, Any]) -> bool:
    """Whether more than its parts may be there: the names of further fields are words too."""
    if rule.get("type") == "array":
        return not _parts(rule)
    return (rule.get("type") == "object" and rule.get("additionalProperties", True) is not False) or (
        not rule.get("type") and not _parts(rule)
    )


def _takes_words(pattern: str | None) -> bool:
    """Whether what a pattern lets through could be words: it must be anchored, and leave few letters open."""
    if pattern is None or not (pattern.startswith("^") and pattern.endswith("$")):
        return True
    try:
        return _open_letters(reading.parse(pattern)) > LETTERS_MAX
    except (ValueError, RecursionError, OverflowError, reading.error):
        return True


def _open_letters(parts: Iterable[tuple[Any, Any]]) -> float:
    """How many characters, at most, the pattern leaves to choose that are no digits."""
    return sum(_letters_of(op, given) for op, given in parts)


def _letters_of(op: Any, given: Any) -> float:
    match op:
        case sre.AT | sre.LITERAL:
            return 0
        case sre.IN:
            return 0 if all(_is_digit(kind, what) for kind, what in given) else 1
        case sre.MAX_REPEAT | sre.MIN_REPEAT | sre.POSSESSIVE_REPEAT:
            _, most, inner = given
            letters = _open_letters(inner)
            return letters and letters * (float("inf") if most is sre.MAXREPEAT else most)
        case sre.SUBPATTERN:
            return _open_letters(given[-1])
        case sre.BRANCH:
            # which of them it is, is a choice too: a letter's worth for each
            return 1 + max(_open_letters(branch) for branch in given[1])
    return float("inf")  # any character, all but some, references, look-arounds: not worth a proof


def _is_digit(kind: Any, what: Any) -> bool:
    if kind is sre.LITERAL:
        return chr(what) in DIGITS
    if kind is sre.RANGE:
        return chr(what[0]) in DIGITS and chr(what[1]) in DIGITS
    return kind is sre.CATEGORY and what is sre.CATEGORY_DIGIT
