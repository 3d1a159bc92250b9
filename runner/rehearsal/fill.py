"""Words and values for a stand-in's answers: readable, different by field and request, always the same again."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

DEEPEST = 6  #: levels of a schema that refers to itself; below them, only what must be there

_OPENERS = (
    "There is more to say about {} than fits on a page, so here is the part that matters.",
    "Most people meet {} on an ordinary day, and that is a good place to begin.",
    "A week spent with {} leaves a few plain lessons.",
    "Three things stand out when one looks closely at {}.",
)
_MIDDLES = (
    "What works is small: one change at a time, written down, looked at again after a while.",
    "The details repay attention. They are dull on the first day and decisive on the tenth.",
    "Nobody needs a grand plan. A list of five lines and an hour of quiet will do.",
    "It helps to ask someone who has done it before, and to believe them.",
)
_POINTS = (
    "- begin with what is already there\n- keep the steps small\n- write down what surprised you",
    "- *first*, look\n- *then*, decide\n- *last*, tell the others",
    "1. Read the notes.\n2. Try one thing.\n3. Keep what held.",
)
_CLOSERS = (
    "That is all for today; the next step can wait until tomorrow.",
    "If one thing stays, let it be this: **slowly is also forward**.",
    "Questions are welcome, and so is disagreement.",
)
_TITLES = ("Notes on {}", "A closer look at {}", "What we learned about {}", "{} in plain words")
_LINES = (
    "A short note on {}, with one example.",
    "Why {} deserves a second look.",
    "What changed with {}, and what did not.",
    "A calm summary of {}.",
)
_WORDS = ("practice", "notes", "craft", "quiet", "method", "weekly", "people", "tools", "garden", "repair")
_NAMES = ("Ada Example", "Jonas Example", "Mira Example")
_TOPIC = re.compile(r"\b(?:about|on|regarding|for)\s+([^\n.,;:!?]{3,60})", re.IGNORECASE)
_HINT = re.compile(r"(\w+): (.*?)(?=, \w+: |\}$)")  # where the SDK writes the constraints it takes out


@dataclass(frozen=True, slots=True)
class Brief:
    """What a request is about, as far as the words of its answer depend on it."""

    topic: str
    seed: str  #: equal for a request and its revisions
    feedback: str = ""  #: the newest word of a later user turn; empty: none

    @classmethod
    def of(cls, asked: dict[str, Any]) -> Self:
        """Read the brief out of a Messages request."""
        turns = [_text(turn.get("content")) for turn in asked["messages"] if turn.get("role") == "user"]
        turns = [turn for turn in turns if turn] or [""]
        seed = json.dumps([asked.get("system"), turns[0]], default=str)
        return cls(_topic(turns[0]), seed, turns[-1] if len(turns) > 1 else "")

    @property
    def taken_up(self) -> str:
        """The sentence that shows a revision's feedback was read; empty without any."""
        words = self.feedback.split()
        return f"As you asked: “{' '.join(words[:8])}{' …' if len(words) > 8 else ''}”." if words else ""  # noqa: PLR2004

    def pick(self, options: Sequence[str], name: str, nth: int = 0) -> str:
        """One of the options, by the request, the field's name and its place in a list."""
        return options[(self.number(name) + nth) % len(options)]

    def number(self, name: str) -> int:
        """A number that looks like chance and isn't."""
        return int.from_bytes(hashlib.sha256(f"{self.seed}\0{name}".encode()).digest()[:4], "big")


def prose(brief: Brief, name: str = "body", nth: int = 0) -> str:
    """Several short paragraphs of Markdown on the topic; a revision ends by taking up its feedback."""
    parts = [brief.pick(lines, name, nth) for lines in (_OPENERS, _MIDDLES, _POINTS, _CLOSERS)]
    parts[0] = parts[0].format(brief.topic)
    return "\n\n".join([*parts, brief.taken_up]).strip()


def fill(schema: dict[str, Any], brief: Brief) -> Any:
    """A value that the JSON schema allows, with plausible words in it."""
    return _Filler(schema.get("$defs") or schema.get("definitions") or {}, brief).value(schema, "text")


def _text(content: Any) -> str:
    """The words of a turn; tool results and pictures have none."""
    if isinstance(content, str):
        return content.strip()
    blocks = [block.get("text", "") for block in content or [] if block.get("type") == "text"]
    return "\n".join(blocks).strip()


def _topic(prompt: str) -> str:
    found = _TOPIC.search(prompt)
    words = (found[1] if found else re.split(r"[\n.;:!?]", prompt.strip(), maxsplit=1)[0]).split()
    return " ".join(words[:7]).strip("'\"`*#<>{}[]() ").replace("{", "").replace("}", "") or "an ordinary day"


def _slug(text: str) -> str:
    return "-".join(re.findall(r"[a-z0-9]+", text.lower())[:6]) or "note"


class _Filler:
    """Walks one schema; `nth` is the place in a list, so that its items differ."""

    def __init__(self, definitions: dict[str, Any], brief: Brief) -> None:
        self._definitions = definitions
        self._brief = brief

    def value(self, schema: Any, name: str, nth: int = 0, depth: int = 0) -> Any:
        rule = self._settled(schema if isinstance(schema, dict) else {}, depth)
        if options := [rule["const"]] if "const" in rule else rule.get("enum"):
            return options[(self._brief.number(name) + nth) % len(options)]
        match _type(rule):
            case "object":
                return self._object(rule, nth, depth)
            case "array":
                return self._array(rule, name, nth, depth)
            case kind:
                return self._scalar(kind, rule, name, nth)

    def _scalar(self, kind: str, rule: dict[str, Any], name: str, nth: int) -> Any:
        match kind:
            case "integer" | "number":
                return self._number(rule, name, nth)
            case "boolean":
                return self._brief.number(name) % 2 == 0
            case "null":
                return None
        return self._string(rule, name, nth)

    def _settled(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        """The schema with references followed, a branch chosen, and hints taken back from its description."""
        rule = {**_hints(schema.get("description", "")), **schema}
        while True:
            if "$ref" in rule:
                more = self._definitions.get(rule.pop("$ref").rsplit("/", 1)[-1], {})
            elif branches := rule.pop("anyOf", None) or rule.pop("oneOf", None):
                # null ends a schema that refers to itself
                more = next(
                    (b for b in branches if (b.get("type") == "null") == (depth > DEEPEST)), branches[0]
                )
            elif parts := rule.pop("allOf", None):
                more = {key: value for part in parts for key, value in self._settled(part, depth).items()}
            else:
                return rule
            rule = {**rule, **_hints(more.get("description", "")), **more}

    def _object(self, rule: dict[str, Any], nth: int, depth: int) -> dict[str, Any]:
        required = rule.get("required", [])
        return {
            name: self.value(schema, name, nth, depth + 1)
            for name, schema in rule.get("properties", {}).items()
            if depth <= DEEPEST or name in required
        }

    def _array(self, rule: dict[str, Any], name: str, nth: int, depth: int) -> list[Any]:
        if places := rule.get("prefixItems"):
            return [self.value(item, name, nth + place, depth + 1) for place, item in enumerate(places)]
        least = rule.get("minItems", 0)
        count = least if depth > DEEPEST else max(least, min(3, rule.get("maxItems", 3)))
        return [self.value(rule.get("items"), name, nth + place, depth + 1) for place in range(count)]

    def _number(self, rule: dict[str, Any], name: str, nth: int) -> int | float:
        step = rule.get("multipleOf", 1)
        least = rule.get("minimum", rule.get("exclusiveMinimum"))
        most = rule.get("maximum", rule.get("exclusiveMaximum"))
        if least is None:
            least = 1 if most is None or most > 1 else most - 10 * step
        if most is None:
            most = least + 10 * step
        low = -(-(least + step * ("minimum" not in rule and "exclusiveMinimum" in rule)) // step) * step
        high = most - step * ("maximum" not in rule and "exclusiveMaximum" in rule)
        if low > high:  # no whole step between the bounds
            return float(least + most) / 2
        value: int | float = low + step * ((self._brief.number(name) + nth) % int((high - low) // step + 1))
        return int(value) if _type(rule) == "integer" else value

    def _string(self, rule: dict[str, Any], name: str, nth: int) -> str:
        if writer := _FORMATS.get(rule.get("format", "")):
            return writer(self._brief, name, nth)
        text = _written(self._brief, name, nth)
        if pattern := rule.get("pattern"):
            return _matching(pattern, [text, _slug(text), *_SPECIMENS])
        least, most = rule.get("minLength", 0), rule.get("maxLength")
        while len(text) < least:
            text += " " + self._brief.pick(_MIDDLES, name, len(text))
        return text if most is None else _cut(text, most, self._brief.taken_up)


def _type(rule: dict[str, Any]) -> str:
    kind = rule.get("type")
    if isinstance(kind, list):
        kind = next((each for each in kind if each != "null"), "null")
    return kind or ("object" if "properties" in rule else "array" if "items" in rule else "string")


def _hints(description: str) -> dict[str, Any]:
    """Constraints that the SDK moved into the description: ``{maxLength: 60, minimum: 1}``."""
    hints: dict[str, Any] = {}
    start = description.rfind("\n\n{") + 2 if "\n\n{" in description else 0
    if not description.startswith("{", start) or not description.endswith("}"):
        return hints
    for key, value in _HINT.findall(description[start + 1 :]):
        try:
            hints[key] = json.loads(value)
        except ValueError:
            hints[key] = value
    return hints


def _cut(text: str, most: int, ending: str) -> str:
    """The text cut at a word, its ending kept when there is room for both."""
    if len(text) <= most:
        return text
    if ending and text.endswith(ending) and most > 2 * len(ending):
        return _cut(text.removesuffix(ending).rstrip(), most - len(ending) - 1, "") + " " + ending
    cut = text[:most]
    return cut if " " not in cut or text[most] == " " else cut.rsplit(maxsplit=1)[0].rstrip(",;:—- ")


Writer = Callable[[Brief, str, int], str]


def _url(brief: Brief, name: str, nth: int) -> str:
    return f"https://example.com/{_slug(brief.topic)}" + (f"/{nth}" if nth else "")


def _date(brief: Brief, name: str, nth: int) -> str:
    return f"2027-0{brief.number('month') % 9 + 1}-{(brief.number('day') + nth) % 28 + 1:02}"


def _instant(brief: Brief, name: str, nth: int) -> str:
    return f"{_date(brief, name, nth)}T09:30:00Z"


def _uuid(brief: Brief, name: str, nth: int) -> str:
    return f"{brief.number(name):08x}-0000-4000-8000-{nth:012x}"


def _person(brief: Brief, name: str, nth: int) -> str:
    return brief.pick(_NAMES, name, nth)


def _email(brief: Brief, name: str, nth: int) -> str:
    return f"{_slug(_person(brief, name, nth))}@example.com"


def _title(brief: Brief, name: str, nth: int) -> str:
    title = brief.pick(_TITLES, name, nth).format(brief.topic)
    return title[:1].upper() + title[1:]


def _title_slug(brief: Brief, name: str, nth: int) -> str:
    return _slug(_title(brief, "title", nth))


def _tag(brief: Brief, name: str, nth: int) -> str:
    return brief.pick(_WORDS, name, nth)


def _always(text: str) -> Writer:
    def write(brief: Brief, name: str, nth: int) -> str:
        return text

    return write


_FORMATS: dict[str, Writer] = {
    "uri": _url,
    "email": _email,
    "date": _date,
    "date-time": _instant,
    "time": _always("09:30:00Z"),
    "duration": _always("PT30M"),
    "hostname": _always("example.com"),
    "ipv4": _always("192.0.2.1"),
    "ipv6": _always("2001:db8::1"),
    "uuid": _uuid,
}

#: writers by the last word of a field's name; a name not here gets one line on the topic
_WRITERS: dict[str, Writer] = {
    **dict.fromkeys(("title", "headline", "subject", "heading"), _title),
    **dict.fromkeys(("slug", "id", "key"), _title_slug),
    **dict.fromkeys(("body", "content", "article", "markdown", "post", "report"), prose),
    **dict.fromkeys(("url", "uri", "link", "href", "homepage"), _url),
    **dict.fromkeys(("tag", "tags", "keyword", "keywords", "category", "label", "labels"), _tag),
    **dict.fromkeys(("author", "name"), _person),
    **dict.fromkeys(("language", "lang", "locale"), _always("en")),
    "email": _email,
}


def _written(brief: Brief, name: str, nth: int) -> str:
    if writer := _WRITERS.get(re.split(r"[_\W]", name.lower())[-1]):
        return writer(brief, name, nth)
    return f"{brief.pick(_LINES, name, nth).format(brief.topic)} {brief.taken_up}".strip()


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
_ATOM = re.compile(r"(\[\^?\]?(?:\\.|[^\]])*\]|\\.|[^\\\[\]])(?:\{(\d+)(?:,\d*)?\}|([?*+]))?\??")


def _matching(pattern: str, specimens: Sequence[str]) -> str:
    """A string that the pattern allows: a specimen if one fits, else spelled out atom by atom.

    Groups and alternatives are beyond it; then the first specimen is returned, and the schema's owner will see.
    """
    for specimen in specimens:
        if re.search(pattern, specimen):
            return specimen
    spelled = ""
    for atom, count, sign in _ATOM.findall(pattern.strip("^$")):
        spelled += _letter(atom) * (int(count) if count else 0 if sign in {"?", "*"} and sign else 1)
    return spelled if re.search(pattern, spelled) else specimens[0]


def _letter(atom: str) -> str:
    """A character that the atom matches."""
    literal = atom.removeprefix("\\")
    letters = (*([literal] if len(literal) == 1 else []), *"a7A-_ .#@/:")
    return next((letter for letter in letters if re.fullmatch(atom, letter)), "")
