"""Feeds (RSS, Atom), read in the task's own process: what a hostile one does, it does to that alone."""

from __future__ import annotations

import calendar
import io
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from runner.errors import FetchError


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a feed. A text that the feed leaves out is empty."""

    id: str  #: its own name for it; else its link, else its title
    title: str
    link: str
    summary: str  #: as HTML, without scripts
    published: datetime | None  #: in UTC; when it was changed, where it doesn't say


@dataclass(frozen=True, slots=True)
class Feed:
    """A feed, its entries in its own order, newest first as a rule."""

    title: str
    entries: tuple[Entry, ...]


def parsed(text: str, url: str) -> Feed:
    """The feed in a page; raises `FetchError` for what is none."""
    import feedparser

    # never the text itself: what looks like an address would be opened
    header = {"content-type": "application/xml; charset=utf-8", "content-location": url}
    found = feedparser.parse(io.BytesIO(text.encode()), response_headers=header)
    if not found.get("version"):
        reason = found.get("bozo_exception")
        raise FetchError(f"{url} is no feed" + (f": {reason}" if reason else "; it is neither RSS nor Atom"))
    return Feed(str(found.feed.get("title", "")), tuple(_entry(each) for each in found.entries))


def _entry(found: Any) -> Entry:
    title, link, summary = (str(found.get(name, "")) for name in ("title", "link", "summary"))
    moment = found.get("published_parsed") or found.get("updated_parsed")
    try:
        published = datetime.fromtimestamp(calendar.timegm(moment), UTC) if moment else None
    except (ValueError, OverflowError):
        published = None
    return Entry(str(found.get("id", "")) or link or title, title, link, summary, published)
