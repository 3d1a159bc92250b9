"""Fills a JSON schema as pydantic writes it, also after the SDK has moved its constraints into descriptions."""

from __future__ import annotations

import ast
import contextlib
import itertools
import json
import math
import re
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import jsonschema

from runner.rehearsal.spell import fits, spell
from runner.rehearsal.words import FORMATS, Brief, cut, key, lengthened, slug, written

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_USUAL = 3  #: items in a list that may have any number
_FRESH = 1000  #: from this place in a list on, an item need only differ from the others
_TRIES = 200
_FINEST = Fraction(1, 10**20)  #: between bounds that are closer there is nothing
_SPAN = 10  #: how far a number without a limit goes
_SPECIMENS = (
    "note",
    "Note",
    "2027-03-04",
    "09:30",
    "7",
    "42",
    "2027",
    "en",
    "EUR",
    "A1",
    "1.0.0",
    "#note",
    "@note",
)

#: what the SDK may write into a description, between braces, when it takes it out of the schema
_KEYWORDS = (
    "additionalProperties|contentEncoding|contentMediaType|contentSchema|default|deprecated|discriminator|examples|"
    "exclusiveMaximum|exclusiveMinimum|format|maxItems|maxLength|maxProperties|maximum|minItems|minLength|"
    "minProperties|minimum|multipleOf|pattern|patternProperties|prefixItems|propertyNames|readOnly|uniqueItems|"
    "writeOnly"
)
_HINT = re.compile(rf"(?<=[{{ ])({_KEYWORDS}): (.*?)(?=, (?:{_KEYWORDS}): |\}}$)", re.DOTALL)
_NEXT = re.compile(r", [\w-]+: ")


def fill(schema: dict[str, Any], brief: Brief) -> Any:
    """A value that the JSON schema allows, with plausible words in it; what has a default keeps it."""
    return _Filler(schema.get("$defs") or schema.get("definitions") or {}, brief).value(schema, "text")


class _Filler:
    """Walks one schema.

    `nth` is the place in a list, so that its items differ; `path` the references that were followed: where one
    comes twice, the schema holds itself, and only what must be there is made.
    """

    def __init__(self, definitions: dict[str, Any], brief: Brief) -> None:
        self._definitions = definitions
        self._brief = brief

    def value(self, schema: Any, name: str, nth: int = 0, path: tuple[str, ...] = ()) -> Any:
        rule, path = self._settled(schema, path)
        if "default" in rule and self._allows(schema, rule["default"]):
            return rule["default"]
        if options := [rule["const"]] if "const" in rule else rule.get("enum"):
            return options[(self._brief.number(name) + nth) % len(options)]
        match _type(rule):
            case "object":
                return self._object(rule, nth, path)
            case "array":
                return self._array(rule, name, nth, path)
            case kind:
                return self._scalar(kind, rule, name, nth)

    def _scalar(self, kind: str, rule: dict[str, Any], name: str, nth: int) -> Any:
        match kind:
            case "integer" | "number":
                return _number(rule, self._brief.number(name), nth)
            case "boolean":
                return (self._brief.number(name) + nth) % 2 == 0
            case "null":
                return None
        return self._string(rule, name, nth)

    def _allows(self, schema: dict[str, Any], default: Any) -> bool:
        """Whether a default could be sent: pydantic lets one stand that its own field refuses."""
        whole = {**schema, "$defs": self._definitions, "definitions": self._definitions}
        return jsonschema.Draft202012Validator(whole).is_valid(default)

    def _settled(self, schema: Any, path: tuple[str, ...]) -> tuple[dict[str, Any], tuple[str, ...]]:
        """The schema with references followed, a branch chosen, and hints taken back from its description."""
        rule = _hinted(schema)
        while True:
            if "$ref" in rule:
                name = _name(rule.pop("$ref"))
                path = (*path, name)
                more = self._definitions.get(name)
            elif branches := rule.pop("anyOf", None) or rule.pop("oneOf", None):
                more = self._branch(branches, path)
            elif parts := rule.pop("allOf", None):
                more = {key: value for part in parts for key, value in self._settled(part, path)[0].items()}
            else:
                return rule, path
            own = {"default": rule["default"]} if "default" in rule else {}
            rule = {**rule, **_hinted(more), **own}

    def _branch(self, branches: list[dict[str, Any]], path: tuple[str, ...]) -> dict[str, Any]:
        if _holds_itself(path):
            return min(branches, key=self._height)
        return next((branch for branch in branches if branch.get("type") != "null"), branches[0])

    def _height(self, schema: Any, within: tuple[str, ...] = ()) -> float:
        """How many levels a value has at least; infinite for one that must hold itself."""
        rule = _hinted(schema)
        if "$ref" in rule:
            name = _name(rule["$ref"])
            return math.inf if name in within else self._height(self._definitions.get(name), (*within, name))
        if branches := rule.get("anyOf") or rule.get("oneOf"):
            return min(self._height(branch, within) for branch in branches)
        inner = [rule.get("properties", {}).get(name) for name in rule.get("required", [])]
        inner += rule.get("prefixItems", [])
        inner += [rule.get("items")] if rule.get("minItems") else []
        inner += [rule.get("additionalProperties")] if rule.get("minProperties") else []
        return max((1 + self._height(each, within) for each in inner), default=0)

    def _object(self, rule: dict[str, Any], nth: int, path: tuple[str, ...]) -> dict[str, Any]:
        if "properties" not in rule and rule.get("additionalProperties") is not False:
            return self._mapping(rule, nth, path)
        wanted = rule.get("required", []) if _holds_itself(path) else rule.get("properties", {})
        return {
            name: self.value(schema, name, nth, path)
            for name, schema in rule.get("properties", {}).items()
            if name in wanted
        }

    def _mapping(self, rule: dict[str, Any], nth: int, path: tuple[str, ...]) -> dict[str, Any]:
        pattern, inner = next(iter(rule.get("patternProperties", {}).items()), (None, None))
        named = {"pattern": pattern} if pattern else rule.get("propertyNames")
        places = (*range(_TRIES), *range(_FRESH, _FRESH + _TRIES))
        names = (
            self.value({"type": "string", **named}, "key", place) if named else key(self._brief, "key", place)
            for place in places
        )
        most = _count(rule, "Properties", 0 if _holds_itself(path) else _USUAL)
        values = inner if pattern else rule.get("additionalProperties")
        return {name: self.value(values, name, nth, path) for name in _distinct(names, most)}

    def _array(self, rule: dict[str, Any], name: str, nth: int, path: tuple[str, ...]) -> list[Any]:
        places = rule.get("prefixItems", [])
        made = [self.value(item, name, nth + place, path) for place, item in enumerate(places)]
        most = _count(rule, "Items", 0 if places or _holds_itself(path) else _USUAL) - len(made)
        further = itertools.chain(range(len(made), len(made) + most), range(_FRESH, _FRESH + _TRIES))
        items = (self.value(rule.get("items"), name, nth + place, path) for place in further)
        if rule.get("uniqueItems"):
            return [*made, *_distinct(items, most)]
        return [*made, *itertools.islice(items, max(most, 0))]

    def _string(self, rule: dict[str, Any], name: str, nth: int) -> str:
        if "contentSchema" in rule:
            return json.dumps(self.value(rule["contentSchema"], name, nth))
        if writer := FORMATS.get(rule.get("format", "")):
            return writer(self._brief, name, nth)
        least, most = rule.get("minLength", 0), rule.get("maxLength")
        if pattern := rule.get("pattern", "^[a-z]+$" if nth >= _FRESH else None):
            return self._matching(pattern, name, nth, least, most)
        text = lengthened(written(self._brief, name, nth), least, self._brief, name)
        if most is None:
            return text
        short = cut(text, most, self._brief.taken_up)
        return short if len(short) >= least else text[:most].rstrip().ljust(least, ".")

    def _matching(self, pattern: str, name: str, nth: int, least: int, most: int | None) -> str:
        """A string that the pattern allows: words if some fit, else spelled out."""
        text = written(self._brief, name, nth)
        words = (text, cut(text, most or len(text), ""), slug(text), *_SPECIMENS) if nth < _FRESH else ()
        seed = f"{self._brief.number(name)} {nth}"
        return next((each for each in words if fits(pattern, each, least, most)), None) or (
            spell(pattern, seed, least, most) or text
        )


def _number(rule: dict[str, Any], chance: int, nth: int) -> int | float:
    """A number within the bounds, as round as they allow."""
    step = Fraction(str(rule.get("multipleOf", 1)))
    span = _SPAN if nth < _FRESH else _TRIES * _SPAN
    while not (steps := _steps(rule, step, span)):
        if "multipleOf" in rule or step < _FINEST:
            raise ValueError(f"no number is allowed by {rule}")
        step /= 10
    numbers = [step * steps[(chance + nth + turn) % len(steps)] for turn in range(min(len(steps), _TRIES))]
    plain = [int(number) if number.denominator == 1 else float(number) for number in numbers]
    # floating point finds 0.3 no multiple of 0.1: rather one that it doesn't doubt
    sure = (number for number in plain if (number / rule.get("multipleOf", number or 1)).is_integer())
    return next(sure, plain[0])


def _steps(rule: dict[str, Any], step: Fraction, span: int) -> range:
    """Which multiples of the step lie within the bounds; where there is no bound, `span` of them."""
    lows = [math.ceil(Fraction(str(rule["minimum"])) / step)] if "minimum" in rule else []
    lows += (
        [math.floor(Fraction(str(rule["exclusiveMinimum"])) / step) + 1] if "exclusiveMinimum" in rule else []
    )
    highs = [math.floor(Fraction(str(rule["maximum"])) / step)] if "maximum" in rule else []
    highs += (
        [math.ceil(Fraction(str(rule["exclusiveMaximum"])) / step) - 1] if "exclusiveMaximum" in rule else []
    )
    high = min(highs, default=None)
    low = max(lows, default=1 if high is None or high > 0 else high - span)
    return range(low, (low + span if high is None else high) + 1)


def _count(rule: dict[str, Any], what: str, usual: int) -> int:
    """How many items or properties to make: as usual, within the limits."""
    return int(max(rule.get(f"min{what}", 0), min(usual, rule.get(f"max{what}", usual))))


def _distinct(values: Iterable[Any], most: int) -> Iterator[Any]:
    """The first values that differ from all before them."""
    seen: set[str] = set()
    for value in values:
        if len(seen) >= most:
            return
        if (mark := json.dumps(value)) not in seen:
            seen.add(mark)
            yield value


def _holds_itself(path: tuple[str, ...]) -> bool:
    return len(path) != len(set(path))


def _name(reference: str) -> str:
    return reference.rsplit("/", 1)[-1]


def _type(rule: dict[str, Any]) -> str:
    kind = rule.get("type")
    if isinstance(kind, list):
        kind = next((each for each in kind if each != "null"), "null")
    return kind or ("object" if "properties" in rule else "array" if "items" in rule else "string")


def _hinted(schema: Any) -> dict[str, Any]:
    """The schema with what the SDK moved into its description: ``{maxLength: 60, default: None}``."""
    if not isinstance(schema, dict):
        return {}
    description = schema.get("description", "")
    start = description.rfind("\n\n{") + 2 if "\n\n{" in description else 0
    if not description.startswith("{", start) or not description.endswith("}"):
        return dict(schema)
    return {**{key: _read(key, value, schema) for key, value in _HINT.findall(description[start:])}, **schema}


def _read(keyword: str, value: str, schema: dict[str, Any]) -> Any:
    """A value as the SDK wrote it, which is as Python writes it."""
    first = _NEXT.split(value, maxsplit=1)[0]  # without a key of the model's own that follows
    if keyword in {"format", "pattern"}:
        return first
    if (keyword, schema.get("type")) == ("default", "string"):
        return value
    for text in (value, first):
        with contextlib.suppress(ValueError, SyntaxError):
            return ast.literal_eval(text)
    return value
