"""Feeds are read in the task's own process, and a hostile one harms nothing else."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as some
from modules import note

from runner.errors import FetchError
from runner.testing import rehearsal
from runner.worker.feed import Entry, Feed, parsed

if TYPE_CHECKING:
    from pathlib import Path

URL = "https://news.example.com/feed"
RSS = """<?xml version="1.0" encoding="iso-8859-1"?>
<rss version="2.0"><channel><title>Neues aus der Küche</title>
<item><guid>1</guid><title>Größer</title><link>https://news.example.com/1</link>
<description>&lt;b&gt;Now&lt;/b&gt;&lt;script&gt;alert(1)&lt;/script&gt;</description>
<pubDate>Tue, 24 Nov 2026 09:00:00 +0100</pubDate></item>
<item><title>Undated</title></item>
</channel></rss>"""
ATOM = """<feed xmlns="http://www.w3.org/2005/Atom"><title>A</title>
<entry><id>urn:1</id><title>T</title><link href="/1"/><updated>2026-11-24T09:00:00Z</updated></entry></feed>"""
BOMB = (
    '<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY a "aaaaaaaaaaaaaaaa">'
    + "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 16}">' for n in range(10))
    + "]><rss version='2.0'><channel><title>&k;</title><item><title>&k;</title></item></channel></rss>"
)


def test_rss_is_read_whatever_encoding_it_claims() -> None:
    feed = parsed(RSS, URL)
    assert feed.title == "Neues aus der Küche"
    first, second = feed.entries
    moment = datetime(2026, 11, 24, 8, tzinfo=UTC)
    assert first == Entry(
        "https://news.example.com/1", "Größer", "https://news.example.com/1", "<b>Now</b>", moment
    )
    assert second == Entry("Undated", "Undated", "", "", None)


def test_atom_is_read_and_its_links_are_whole() -> None:
    (entry,) = parsed(ATOM, URL).entries
    moment = datetime(2026, 11, 24, 9, tzinfo=UTC)
    assert entry == Entry("urn:1", "T", "https://news.example.com/1", "", moment)


@pytest.mark.parametrize(
    "text", ["", "<h1>Not found</h1>", "/etc/passwd", "https://evil.example.com/feed", "{}"]
)
def test_what_is_no_feed_is_said_and_never_opened_as_an_address(text: str) -> None:
    with pytest.raises(FetchError, match=r"https://news\.example\.com/feed is no feed"):
        parsed(text, URL)


def test_a_file_that_a_feed_names_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("treasure")
    named = f'<!DOCTYPE rss [<!ENTITY x SYSTEM "file://{tmp_path}/secret">]>'
    text = f'<?xml version="1.0"?>{named}<rss version="2.0"><channel><title>&x;</title></channel></rss>'
    try:
        assert "treasure" not in parsed(text, URL).title
    except FetchError as error:
        assert "treasure" not in str(error)  # noqa: PT017 - either way will do


@given(some.text())
def test_any_text_is_a_feed_or_none(text: str) -> None:
    for whole in (text, RSS.replace("Größer", text)):
        with suppress(FetchError):  # and no other
            assert isinstance(parsed(whole, URL), Feed)


async def test_a_task_reads_a_feed_and_a_hostile_one_harms_its_run_alone(tmp_path: Path) -> None:
    body = f"feed = (await run.fetch('{URL}')).feed()\nreturn Note(text=' '.join(each.title for each in feed.entries))"
    async with rehearsal(tmp_path) as it:
        it.drop("note.py", note(body, options=f"reads=('{URL}',), retries=0, memory=256"))
        it.drop("other.py", note("return None").replace("async def note", "async def other"))
        it.destination.pages["/feed"] = RSS
        await it.run("note")
        assert (await it.draft("note")).fields["text"] == "Größer Undated"
        it.destination.pages["/feed"] = BOMB
        run = await it.run("note")
        assert run.status in {"ok", "error"}
        assert all(len(sheet.fields["text"]) < 1000 for sheet in it.waiting("note"))
        assert (await it.run("other")).status == "ok"
