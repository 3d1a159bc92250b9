"""A card's messages, made of a rendering: nothing cut, nothing altered on the way. Pure.

The content stands in `pre` entities, in which Telegram looks for no links, and each message begins and ends with a
line of ours, so that no blank of the content is at an end where Telegram would trim it. Characters that Telegram
drops or replaces are shown as escapes, like those that hide.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from runner.draft import BAR, CLOSE, OPEN, visible

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MOST = 4096  #: UTF-16 units of a message (https://core.telegram.org/bots/api#sendmessage)
CAPTION_MOST = 1024  #: of a caption
LINE_MOST = 320  #: of the line that later says what became of it
PARTS_MOST = 5  #: messages of a card; past that it is a document
PICTURES = frozenset({"image/jpeg", "image/png", "image/webp"})  #: what Telegram shows as a photo
RESERVED = 160  #: for our own lines around a part

# what Telegram drops (tdlib's clean_input_string) or turns into a blank
_ALTERED = re.compile("[\t\r\u0000-\u0008\u000b-\u001f\u0333\u033f\u030a\u2028-\u202e]")
_ESCAPE = rf"{OPEN}U\+[0-9A-F]{{4,6}}{CLOSE}"
_CLUSTER = re.compile(rf"{_ESCAPE}|.", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Part:
    """One message of a card."""

    text: str
    entities: tuple[dict[str, Any], ...] = ()
    file: str | None = None  #: the document that carries the content; `text` is its caption then
    name: str = ""  #: of that document, or of the attachment
    form: str = "text"  #: "text", or "document" or "photo" with `text` as its caption
    size: int = 0  #: bytes of the file
    sha256: str = ""  #: of the attachment that it shows; empty: it shows none


@dataclass(frozen=True, slots=True)
class Face:
    """What a card shows besides the content."""

    draft: str
    revision: int
    digest: str
    head: tuple[str, ...] = field(default=())  #: lines above the content


def sendable(text: str) -> str:
    """The text with what Telegram would alter shown as escapes, which differ where the texts do."""
    return _ALTERED.sub(lambda match: f"{OPEN}U+{ord(match[0]):04X}{CLOSE}", text)


def said(text: str, most: int) -> str:
    """Somebody's words on one line of ours, cut to so many units."""
    line = " ".join(sendable(visible(text)).split())
    return line if units(line) <= most else f"{_first(line, most - 1)}…"


def units(text: str) -> int:
    """The length as Telegram counts it: in UTF-16 code units."""
    return len(text) + sum(char > "\uffff" for char in text)


def parts(rendering: str, face: Face) -> list[Part]:
    """The messages that show the whole rendering, in their order; the buttons belong below the last."""
    head = "\n".join(said(line, LINE_MOST) for line in face.head)
    foot = f"{BAR}end of draft {face.draft} · revision {face.revision} · digest {face.digest[:12]}"
    pieces = _pieces(sendable(rendering), MOST - LINE_MOST - RESERVED, units(head))
    if pieces is None:
        return [_document(rendering, face, head, foot)]
    count = len(pieces)
    begins = [
        f"{head}\n\n",
        *(f"{BAR}part {n} of {count} · draft {face.draft}\n" for n in range(2, count + 1)),
    ]
    ends = [*(f"{BAR}goes on in part {n} of {count}" for n in range(2, count + 1)), foot]
    return [_part(*each) for each in zip(begins, pieces, ends, strict=True)]


def _part(before: str, piece: str, after: str) -> Part:
    entity = {"type": "pre", "offset": units(before), "length": units(piece)}
    return Part(f"{before}{piece}\n{after}", (entity,))


def _document(rendering: str, face: Face, head: str, foot: str) -> Part:
    """One file that holds it all; its caption proves which."""
    seal = f"SHA-256 of the file: {hashlib.sha256(rendering.encode()).hexdigest()}"
    room = CAPTION_MOST - LINE_MOST - units(seal) - units(foot) - 4
    name = f"draft-{face.draft}-revision-{face.revision}.{'md' if 'body' in rendering else 'txt'}"
    text, size = f"{_first(head, room)}\n\n{seal}\n{foot}", len(rendering.encode())
    return Part(text, file=rendering, name=name, form="document", size=size)


def enclosures(attachments: Sequence[Mapping[str, Any]], draft: str, revision: int) -> list[Part]:
    """A message for each attachment, which shows it as what it is; they go before the content and its buttons."""
    return [
        _enclosure(
            each, f"{BAR}attachment {place} of {len(attachments)} · draft {draft} · revision {revision}\n"
        )
        for place, each in enumerate(attachments, 1)
    ]


def comparison(lines: str, last: str, draft: str, revision: int) -> list[Part]:
    """A message that shows what changed since the last delivered draft; none where there is nothing to show."""
    if not lines:
        return []
    return [
        _part(
            f"{BAR}changes since {last}, which was delivered · draft {draft} · revision {revision}\n",
            lines,
            f"{BAR}the whole content follows",
        )
    ]


def _enclosure(attachment: Mapping[str, Any], before: str) -> Part:
    is_picture = attachment["media_type"] in PICTURES
    after = (
        f"{BAR}Telegram may shrink what it shows; the file itself goes out"
        if is_picture
        else f"{BAR}this file goes out"
    )
    name, size, sha256 = str(attachment["name"]), int(attachment["size"]), str(attachment["sha256"])
    piece = f"{sendable(visible(name))}\n{attachment['media_type']}, {size:,} bytes\nSHA-256 {sha256}"
    form = "photo" if is_picture else "document"
    return replace(_part(before, piece, after), name=name, form=form, size=size, sha256=sha256)


def _pieces(text: str, most: int, head: int) -> list[str] | None:
    """The text in as few pieces as it takes, the first with room for a head; None when they are too many."""
    if units(text) > PARTS_MOST * most:
        return None
    pieces: list[str] = []
    clusters = graphemes(text)
    start = 0
    while start < len(clusters):
        end = _reach(clusters, start, most if pieces else most - head)
        if end == start or len(pieces) == PARTS_MOST:
            return None  # a letter that fits in no message, or more than may be
        pieces.append("".join(clusters[start:end]))
        start = end
    return pieces


def _reach(clusters: list[str], start: int, most: int) -> int:
    """Where a piece that begins at `start` ends: after a line if there is one in its last third, else where it must."""
    size, end, line = 0, start, start
    while end < len(clusters) and size + units(clusters[end]) <= most:
        size += units(clusters[end])
        end += 1
        if clusters[end - 1] == "\n" and size > most * 2 // 3:
            line = end
    return line if line > start and end < len(clusters) else end


def graphemes(text: str) -> list[str]:
    """The text in pieces that a person sees as one letter each; an escape of ours is one."""
    found: list[str] = []
    for match in _CLUSTER.finditer(text):
        if found and _extends(found[-1], match[0]):
            found[-1] += match[0]
        else:
            found.append(match[0])
    return found


def _extends(before: str, char: str) -> bool:
    """Whether the character belongs to the letter before it (Unicode Standard Annex 29; joiners are escaped)."""
    if before == "\n" or before.endswith(CLOSE):
        return False
    if unicodedata.category(char[0]).startswith("M") or "\U0001f3fb" <= char <= "\U0001f3ff":
        return True
    if "\U0001f1e6" <= char <= "\U0001f1ff":  # flags are pairs
        return len(before) == 1 and "\U0001f1e6" <= before <= "\U0001f1ff"
    return "\u1160" <= char <= "\u11ff" and "\u1100" <= before[0] <= "\u11ff"  # Hangul syllables in letters


def _first(text: str, most: int) -> str:
    """As many whole letters of the text as fit."""
    clusters = graphemes(text)
    return "".join(clusters[: _reach(clusters, 0, max(most, 0))])


def is_unaltered(part: dict[str, Any], returned: dict[str, Any]) -> bool:
    """Whether Telegram shows what it was given: the same text, no markup of its own in the content, and the file whole."""
    if not _has_file(part, returned):
        return False
    ours = part["entities"]
    spans = [(entity["offset"], entity["offset"] + entity["length"]) for entity in ours]
    foreign = [entity for entity in returned["entities"] if entity.get("type") != "pre"]
    return returned["text"] == part["text"] and not any(
        entity["offset"] < end and start < entity["offset"] + entity["length"]
        for entity in foreign
        for start, end in spans
    )


def _has_file(part: dict[str, Any], returned: dict[str, Any]) -> bool:
    """Whether the message carries the file that it should; of a photo, which Telegram makes smaller, its size says nothing."""
    match part.get("form", "text"):
        case "photo":
            return bool(returned.get("file"))
        case "document":
            return bool(returned.get("file")) and returned.get("size") == part["size"]
    return not returned.get("file")
