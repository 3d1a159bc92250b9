"""Drafts: their bytes, their digest, and the one rendering every surface shows."""

from __future__ import annotations

import enum
import json
import re
from typing import Annotated, Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from runner.draft import Alert, Draft, Kind, canonical, digest, render, visible
from runner.errors import DeclarationError, DraftError

NOTE = Kind(name="note", title="Note", module="notes", file="tasks/notes.py", schema_={}, source="ab" * 32)


def content(revision: int = 1, **fields: Any) -> bytes:
    return canonical(draft="k3v9", revision=revision, kind=NOTE, fields=fields)


def unescape(shown: str) -> str:
    return re.sub("⟦U\\+([0-9A-F]+)⟧", lambda match: chr(int(match[1], 16)), shown)


def parse(rendering: str) -> dict[str, Any]:
    """A rendering read back: the oracle that nothing was lost."""
    first, *blocks = rendering.removeprefix("▌").split("\n▌")
    kind, draft, revision = first.split(" · ")
    head = {
        "kind": kind,
        "draft": draft.removeprefix("draft "),
        "revision": int(revision.removeprefix("revision ")),
    }
    for name in ("account", "attachments", "source"):
        head[name] = json.loads(unescape(blocks.pop(0).removeprefix(f"{name}: ")))
    fields = {}
    for block in blocks:
        heading, _, value = block.partition("\n")
        name, _, typed = unescape(heading).partition(" (")
        fields[name] = json.loads(unescape(value)) if typed else unescape(value)
    return {**head, "fields": fields}


TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
NAMES = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)


@given(st.dictionaries(NAMES, JSON, max_size=4))
def test_every_byte_the_digest_covers_is_shown(fields: dict[str, Any]) -> None:
    bytes_ = content(**{"text": "▌body\n⟦U+0041⟧ \n", **fields})
    assert parse(render(bytes_)) == json.loads(bytes_)


@given(TEXT)
def test_what_is_shown_hides_nothing_and_leads_back_to_the_text(text: str) -> None:
    shown = visible(text)
    assert unescape(shown) == text
    assert not re.search(
        "[\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff\U000e0020-\U000e007f\x00-\x08\x7f]", shown
    )
    assert "▌" not in shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, größer, 日本", "plain, größer, 日本"),
        ("a\u202eb", "a⟦U+202E⟧b"),
        ("zero\u200bwidth", "zero⟦U+200B⟧width"),
        ("tag\U000e0041", "tag⟦U+E0041⟧"),
        ("no\u00a0break", "no⟦U+00A0⟧break"),
        ("line\r\n", "line⟦U+000D⟧\n"),
        ("https://p\u0430ypal.com/x", "https://p⟦U+0430⟧ypal.com/x"),
        ("write to b\u043ess@example.com", "write to b⟦U+043E⟧ss@example.com"),
        ("end \nnext", "end⟦U+0020⟧\nnext"),
        ("⟦U+202E⟧", "⟦U+27E6⟧U+202E⟧"),
        ("\u3164", "⟦U+3164⟧"),
    ],
)
def test_hidden_characters_are_shown_as_escapes(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_equal_content_has_equal_bytes_and_any_difference_another_digest() -> None:
    assert content(a="x", b=1) == content(b=1, a="x")
    others = [content(a="x", b=2), content(a="x "), content(2, a="x", b=1), content(a="x", b="1")]
    assert len({digest(bytes_) for bytes_ in [content(a="x", b=1), *others]}) == 5


def test_a_number_that_json_cannot_carry_exactly_is_refused() -> None:
    with pytest.raises(DraftError, match="note can't be written exactly"):
        content(count=2**60)
    with pytest.raises(DraftError, match="exactly"):
        content(text="\ud800")


def test_a_kind_is_named_after_its_class() -> None:
    class LinkedInPost(Draft):
        text: str

    class HTTPCall(Draft):
        text: str

    assert (LinkedInPost.kind(), HTTPCall.kind(), Draft.kind()) == ("linkedin_post", "http_call", "draft")


def test_a_kind_with_free_text_is_never_auto() -> None:
    class Mood(enum.Enum):
        GOOD = 1

    class Weights(Draft):
        auto: ClassVar[bool] = True
        weights: list[float]
        mood: Mood
        shop: Annotated[str, Field(pattern=r"^[a-z]{2}-\d+$")]

    assert Weights(weights=[0.5], mood=Mood.GOOD, shop="de-1").auto
    for words in (str, list[str], dict[str, int], str | None, Any, Alert):
        with pytest.raises(DeclarationError, match="may hold free text"):
            type(
                "Loud", (Draft,), {"auto": True, "__annotations__": {"auto": ClassVar[bool], "words": words}}
            )


async def test_a_kind_must_say_how_it_is_delivered() -> None:
    class Note(Draft):
        text: str

    with pytest.raises(NotImplementedError):
        await Note(text="x").deliver(None)


@pytest.mark.no_cover
def test_a_long_text_without_a_blank_is_shown_without_a_long_wait() -> None:
    text = "a" * 500_000  # a search that went back for every letter would take an hour
    assert visible(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "https://bank.com\u2044login.evil.example",
        "@p\u0430ypal",
        "\u0261oogle.com",
        "\uff47oogle\uff0ecom",
        "evil\u3002com",
        "a\U0001d159b",
        "a\U00016fe4b",
    ],
)
def test_promise_11_what_poses_as_part_of_an_address_is_escaped(text: str) -> None:
    assert visible(text).isascii() or "⟦U+" in visible(text)
    assert visible(text) != text
