"""A card's messages show every byte of a draft, on a phone that cleans, trims and finds links in what it is sent."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runner.draft import BAR, Kind, canonical, render
from runner.rehearsal.telegram.text import kept
from runner.review.telegram.card import (
    CAPTION_MOST,
    LINE_MOST,
    MOST,
    PARTS_MOST,
    Face,
    Part,
    comparison,
    graphemes,
    is_unaltered,
    parts,
    said,
    units,
)
from runner.review.telegram.difference import lines, summary

KIND = Kind(name="note", title="Note", module="notes", file="notes.py", schema_={}, source="ab" * 32)
FACE = Face("k3v9", 1, "cd" * 32, ("📝 note · run r1", "Goes to: note · account ana@example.com"))
ESCAPE = re.compile(r"⟦U\+([0-9A-F]{4,6})⟧")
HEADING = re.compile(rf"^{BAR}", re.MULTILINE)
FAMILY = "👨‍👩‍👧‍👦"
ODD = [
    "é",
    "e\u0301",
    "a\u030a",
    "\u0333",
    "\u202e",
    "\u200b",
    "\u200d",
    "\ufe0f",
    "👋🏽",
    FAMILY,
    "🇩🇪",
    "각",
    "नि",
]
ODD += ["\U000e0041", "\u2028", "\x00", "\x1f", "https://x.com/", "/stop", "@someone", "⟦U+202E⟧"]
LETTERS = st.sampled_from([*"ab \n\t\r.@/#:⟦⟧▌&<>*_`", *ODD]) | st.characters(exclude_categories=["Cs"])
TEXTS = st.lists(LETTERS, max_size=400).map("".join)


def rendered(*texts: str) -> str:
    fields = {f"field_{place}": text for place, text in enumerate(texts)}
    return render(canonical(draft="k3v9", revision=1, kind=KIND, fields=fields))


def on_the_phone(made: list[Part]) -> list[str]:
    """The content of each message as a person could copy it out, from what the phone keeps of it."""
    found = []
    for part in made:
        assert units(part.text) <= (CAPTION_MOST if part.file else MOST) - LINE_MOST
        wanted: dict[str, Any] = {"text": part.text, "entities": list(part.entities)}
        text, entities = kept(part.text, [dict(entity) for entity in part.entities])
        assert is_unaltered(wanted, {"text": text, "entities": entities})
        if part.file is not None:
            return [part.file]
        code = text.encode("utf-16-le")
        (entity,) = (each for each in entities if each["type"] == "pre")
        start, length = 2 * entity["offset"], 2 * entity["length"]
        found.append(code[start : start + length].decode("utf-16-le"))
    return found


def read_back(rendering: str) -> list[str]:
    """The texts of the fields that a rendering shows."""
    blocks = HEADING.split(rendering)[1:]
    shown = [block.partition("\n")[2].removesuffix("\n") for block in blocks[4:-1]]
    shown.append(blocks[-1].partition("\n")[2])
    return [ESCAPE.sub(lambda match: chr(int(match[1], 16)), text) for text in shown]


@given(TEXTS, TEXTS)
@example("", "")
@example(" \n ", "\n\n\n")
@example("x\n▌account: evil", "⟦U+202E⟧")
@settings(max_examples=150, deadline=None)
def test_promise_10_what_the_phone_shows_parses_back_to_the_payload(one: str, other: str) -> None:
    made = parts(rendered(one, other), FACE)
    assert read_back("".join(on_the_phone(made))) == [one, other]


@pytest.mark.no_cover
@pytest.mark.parametrize(
    "letter", ["a", "é", "👋", "e\u0301", "👋🏽", "🇩🇪", FAMILY, "\u202e", "⟦", "\n", " ", "w \n"]
)
@pytest.mark.parametrize("size", [4095, 4096, 4097, 20_000, 200_000])
def test_promise_10_contents_of_every_size_and_edge_come_whole(letter: str, size: int) -> None:
    text = (letter * size)[:size] if len(letter) == 1 else letter * (size // units(letter))
    made = parts(rendered(text), FACE)
    assert len(made) <= PARTS_MOST
    assert read_back("".join(on_the_phone(made))) == [text]


@pytest.mark.no_cover
@given(TEXTS.map(lambda text: text * 40))
@settings(max_examples=50, deadline=None)
def test_no_letter_is_cut_in_two(text: str) -> None:
    rendering = rendered(text)
    pieces = on_the_phone(parts(rendering, FACE))
    if len(pieces) > 1:
        assert [letter for piece in pieces for letter in graphemes(piece)] == graphemes("".join(pieces))


TEN = "\n".join(f"line {number} of some words" for number in range(10))


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        (TEN, TEN.replace("line 4", "LINE 4"), "▌text\n…\n line 3 of some words\n-line 4 of some words\n+LINE 4 of some words\n line 5 of some words"),
        ("one two three\u202e four", "one two three four", "▌text\n…\n-one two three⟦U+202E⟧ four\n+one two three four"),
        ("a b c\n▌account: x", "a b c\n▌account: y", "▌text\n…\n a b c\n-⟦U+258C⟧account: x\n+⟦U+258C⟧account: y"),
        (TEN, TEN, ""),
        (TEN, "something else altogether", ""),
        ("word " * 2000, "word " * 1999, ""),
        (["a list"], "a text", ""),
    ],
)  # fmt: skip
def test_what_changed_is_shown_by_lines_where_that_helps(before: Any, after: Any, shown: str) -> None:
    assert lines({"text": before}, {"text": after}) == shown
    made = comparison(shown, "k1", "k2", 3)
    assert bool(made) == bool(shown)
    assert not made or on_the_phone(made) == [shown]


@given(TEXTS, TEXTS)
@settings(max_examples=100, deadline=None)
def test_a_difference_is_never_altered_nor_read_as_markup(before: str, after: str) -> None:
    shown = lines({"text": before}, {"text": f"{before}{after[:20]}"})
    assert not shown or on_the_phone(comparison(shown, "k1", "k2", 3)) == [shown]


def test_which_fields_changed_is_said_where_the_drafts_have_something_in_common() -> None:
    old = {"title": "Week 47", "text": "one two three"}
    assert summary("k1", old, old) == "The same words as in draft k1, which was delivered"
    assert (
        summary("k1", old, {**old, "text": "four"}) == "Against delivered k1: text changed; title as it was"
    )
    assert summary("k1", old, {"title": "x", "text": "one two four"}).endswith(
        "title, text changed; nothing as it was"
    )
    assert summary("k1", old, {"title": "x", "text": "four"}) == ""


def test_what_is_longer_than_five_messages_is_a_document_with_its_proof() -> None:
    rendering = rendered("word " * 10_000)
    (part,) = parts(rendering, FACE)
    assert part.file == rendering
    assert "SHA-256 of the file: " in part.text
    assert part.name == "draft-k3v9-revision-1.txt"
    assert json.dumps(part.text)


def test_a_letter_that_fits_in_no_message_goes_into_a_document() -> None:
    (part,) = parts(rendered("a" + "\u0301" * 5000), FACE)
    assert part.file is not None


def test_a_head_that_would_look_like_something_else_is_escaped_and_cut() -> None:
    assert said("one\ntwo\u202ethree", 100) == "one two⟦U+202E⟧three"
    assert said("x" * 500, 100) == "x" * 99 + "…"
    made = parts(rendered("x"), Face("k3v9", 1, "cd" * 32, ("y" * 9999,) * 4))
    assert on_the_phone(made)


def test_a_link_that_telegram_finds_in_the_content_is_noticed() -> None:
    wanted = {"text": "▌x\nexample.com\n▌end", "entities": [{"type": "pre", "offset": 3, "length": 11}]}
    link = {"type": "url", "offset": 3, "length": 11}
    assert is_unaltered(wanted, {"text": wanted["text"], "entities": wanted["entities"]})
    assert not is_unaltered(wanted, {"text": wanted["text"], "entities": [link]})
    assert not is_unaltered(wanted, {"text": "other", "entities": wanted["entities"]})
