"""Words for a stand-in's answers: readable, different by field and request, always the same again."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

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


def lengthened(text: str, least: int, brief: Brief, name: str) -> str:
    """The text with further sentences, until it has `least` characters."""
    while len(text) < least:
        text += " " + brief.pick(_MIDDLES, name, len(text))
    return text


def slug(text: str) -> str:
    """The first words of the text, as a part of an address."""
    return "-".join(re.findall(r"[a-z0-9]+", text.lower())[:6]) or "note"


def cut(text: str, most: int, ending: str) -> str:
    """The text cut at a word, its ending kept when there is room for both."""
    if len(text) <= most:
        return text
    if ending and text.endswith(ending) and most > 2 * len(ending):
        return cut(text.removesuffix(ending).rstrip(), most - len(ending) - 1, "") + " " + ending
    kept = text[:most]
    return kept if " " not in kept or text[most] == " " else kept.rsplit(maxsplit=1)[0].rstrip(",;:—- ")


Writer = Callable[[Brief, str, int], str]


def _url(brief: Brief, name: str, nth: int) -> str:
    return f"https://example.com/{slug(brief.topic)}" + (f"/{nth}" if nth else "")


def _date(brief: Brief, name: str, nth: int) -> str:
    return f"2027-0{brief.number('month') % 9 + 1}-{(brief.number('day') + nth) % 28 + 1:02}"


def _instant(brief: Brief, name: str, nth: int) -> str:
    return f"{_date(brief, name, nth)}T09:30:00Z"


def _time(brief: Brief, name: str, nth: int) -> str:
    return f"{(9 + nth) % 24:02}:30:00Z"


def _duration(brief: Brief, name: str, nth: int) -> str:
    return f"PT{30 + nth}M"


def _uuid(brief: Brief, name: str, nth: int) -> str:
    return f"{brief.number(name):08x}-0000-4000-8000-{nth:012x}"


def _person(brief: Brief, name: str, nth: int) -> str:
    return brief.pick(_NAMES, name, nth)


def _email(brief: Brief, name: str, nth: int) -> str:
    alias = f"+{nth}" if nth >= len(_NAMES) else ""
    return f"{slug(_person(brief, name, nth))}{alias}@example.com"


def _mailbox(brief: Brief, name: str, nth: int) -> str:
    return f"{_person(brief, name, nth)} <{_email(brief, name, nth)}>"


def _ipv4(brief: Brief, name: str, nth: int) -> str:
    return f"192.0.2.{nth % 254 + 1}"


def _ipv6(brief: Brief, name: str, nth: int) -> str:
    return f"2001:db8::{nth + 1:x}"


def _base64(brief: Brief, name: str, nth: int) -> str:
    return base64.b64encode(written(brief, name, nth).encode()).decode()


def _title(brief: Brief, name: str, nth: int) -> str:
    title = brief.pick(_TITLES, name, nth).format(brief.topic)
    return title[:1].upper() + title[1:]


def _title_slug(brief: Brief, name: str, nth: int) -> str:
    return slug(_title(brief, "title", nth))


def key(brief: Brief, name: str, nth: int) -> str:
    """One word, by its place in a list."""
    return brief.pick(_WORDS, name, nth) + (f"-{nth}" if nth >= len(_WORDS) else "")


def _always(text: str) -> Writer:
    def write(brief: Brief, name: str, nth: int) -> str:
        return text

    return write


FORMATS: dict[str, Writer] = {
    "uri": _url,
    "email": _email,
    "date": _date,
    "date-time": _instant,
    "time": _time,
    "duration": _duration,
    "hostname": _always("example.com"),
    "ipv6": _ipv6,
    # what pydantic alone writes
    "name-email": _mailbox,
    "zoneinfo": _always("Europe/Lisbon"),
    "path": _always("notes/today.md"),
    "ipv4network": _always("192.0.2.0/24"),
    "ipv6network": _always("2001:db8::/32"),
    **dict.fromkeys(("ipv4", "ipvanyaddress", "ipv4interface", "ipvanyinterface", "ipvanynetwork"), _ipv4),
    "ipv6interface": _ipv6,
    **dict.fromkeys(("base64", "base64url"), _base64),
    **dict.fromkeys(("uuid", "uuid4"), _uuid),
}

#: writers by the last word of a field's name; a name not here gets one line on the topic
_WRITERS: dict[str, Writer] = {
    **dict.fromkeys(("title", "headline", "subject", "heading"), _title),
    **dict.fromkeys(("slug", "id", "key"), _title_slug),
    **dict.fromkeys(("body", "content", "article", "markdown", "post", "report"), prose),
    **dict.fromkeys(("url", "uri", "link", "href", "homepage"), _url),
    **dict.fromkeys(("tag", "tags", "keyword", "keywords", "category", "label", "labels"), key),
    **dict.fromkeys(("author", "name"), _person),
    **dict.fromkeys(("language", "lang", "locale"), _always("en")),
    "email": _email,
}


def written(brief: Brief, name: str, nth: int = 0) -> str:
    """What a field of this name holds, without a limit."""
    if writer := _WRITERS.get(re.split(r"[_\W]", name.lower())[-1]):
        return writer(brief, name, nth)
    return f"{brief.pick(_LINES, name, nth).format(brief.topic)} {brief.taken_up}".strip()
