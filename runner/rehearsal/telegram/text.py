"""Text as Telegram's servers keep it: counted in UTF-16, cleaned, trimmed, with the entities they find by themselves."""

from __future__ import annotations

import re
from typing import Any

from runner.rehearsal.telegram.call import bad

Entity = dict[str, Any]

#: what tdlib's clean_input_string takes out
_DROPPED = frozenset("\r\u0333\u033f\u030a") | {chr(code) for code in range(0x2028, 0x202F)}
_TYPES = {
    "mention",
    "hashtag",
    "cashtag",
    "bot_command",
    "url",
    "email",
    "phone_number",
    "bold",
    "italic",
    "underline",
}
_TYPES |= {"strikethrough", "spoiler", "blockquote", "expandable_blockquote", "code", "pre", "text_link"}
_TYPES |= {"text_mention", "custom_emoji", "date_time"}
#: within these, servers look for nothing
_OPAQUE = {"code", "pre", "text_link", "text_mention", "url", "email", "mention", "hashtag", "bot_command"}
_FOUND = re.compile(
    r"(?P<email>(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+)"
    r"|(?P<url>https?://[^\s<>\"]*[^\s<>\".,;:!?)']|(?<![\w@.-])(?:[\w-]+\.)+(?:com|net|org|io|dev|de|pt)\b(?:/\S*)?)"
    r"|(?P<mention>(?<!\w)@[A-Za-z]\w{4,31}\b)"
    r"|(?P<hashtag>(?<!\w)\#\w*[^\W\d]\w*)"
    r"|(?P<bot_command>(?<![\w/])/[A-Za-z0-9_]{1,32}\b)"
)


def units(text: str) -> int:
    """The length as Telegram counts it: in UTF-16 code units."""
    return len(text.encode("utf-16-le")) // 2


def kept(text: str, entities: list[Entity]) -> tuple[str, list[Entity]]:
    """The text and its entities as they come back: cleaned, trimmed, and with links found."""
    text, entities = _cleaned(text, entities)
    text, entities = _trimmed(text, entities)
    return text, sorted([*entities, *_found(text, entities)], key=lambda e: (e["offset"], -e["length"]))


def _cleaned(text: str, entities: list[Entity]) -> tuple[str, list[Entity]]:
    letters: list[str] = []
    moved: list[int] = []  # the new offset of each old one
    end = 0
    for letter in text:
        new = "" if letter in _DROPPED else " " if letter < " " and letter != "\n" else letter
        moved += [end] * units(letter)
        end += units(new)
        letters.append(new)
    moved.append(end)
    made = []
    for entity in entities:
        if entity.get("type") not in _TYPES:
            raise bad(f"can't parse entities: unsupported type {entity.get('type')!r}")
        start, stop = (moved[min(at, len(moved) - 1)] for at in _span(entity))
        made.append({**entity, "offset": start, "length": stop - start})
    return "".join(letters), made


def _trimmed(text: str, entities: list[Entity]) -> tuple[str, list[Entity]]:
    """Without blanks at the end, and at the start as far as no entity covers them."""
    first = min((entity["offset"] for entity in entities), default=units(text))
    blank = min(len(text) - len(text.lstrip(" \n")), first)
    text = text[blank:].rstrip(" \n")
    made = []
    for entity in entities:
        start = entity["offset"] - blank
        length = min(entity["length"], units(text) - start)
        if length > 0:
            made.append({**entity, "offset": start, "length": length})
    return text, made


def _found(text: str, entities: list[Entity]) -> list[Entity]:
    taken = [_span(entity) for entity in entities if entity["type"] in _OPAQUE]
    found = []
    for match in _FOUND.finditer(text):
        start, length = units(text[: match.start()]), units(match[0])
        if all(start >= stop or start + length <= begin for begin, stop in taken):
            found.append({"type": str(match.lastgroup), "offset": start, "length": length})
    return found


def _span(entity: Entity) -> tuple[int, int]:
    return entity["offset"], entity["offset"] + entity["length"]
