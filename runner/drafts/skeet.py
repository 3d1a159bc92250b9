"""A post on Bluesky, by the AT Protocol."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from runner.draft import Draft
from runner.drafts.answer import ask, look

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runner.worker.deliver import Delivery, Receipt

PASSWORD = "BLUESKY_PASSWORD"  # noqa: S105 - the name of a secret
TEXT_MAX = 300
POSTS = "app.bsky.feed.post"
ALPHABET = "234567abcdefghijklmnopqrstuvwxyz"  #: of record keys, in their order
SPAN = 1 << 46  #: microseconds of 2024 and after, among which a key finds its place
BEGINS = 1_704_067_200_000_000  #: 2024-01-01, in microseconds
ABSENT = ("RecordNotFound", "Could not locate record")

_LINK = re.compile(r"https?://[^\s<>\"']+[^\s<>\"'.,;:!?)\]}]")


class Account(BaseModel):
    """Who speaks on Bluesky."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    handle: str = Field(
        pattern=r"^[a-z0-9-]+(\.[a-z0-9-]+)+$", description="who speaks", examples=["studio.bsky.social"]
    )
    server: str = Field(
        default="https://bsky.social",
        pattern=r"^https://[A-Za-z0-9.-]+(:[0-9]+)?$",
        description="where the account is",
    )


class Skeet(Draft):
    """A plain text by the account that the settings name; addresses in it become links to themselves."""

    text: Annotated[str, Field(min_length=1, max_length=TEXT_MAX, pattern=r"\S")]

    settings: ClassVar = Account
    secrets: ClassVar[tuple[str, ...]] = (PASSWORD,)

    async def deliver(self, delivery: Delivery) -> Receipt:
        """Create the record under a name of our choosing: there can't be two of that name."""
        did, headers = await self._begin(delivery)
        record = {
            "$type": POSTS,
            "text": self.text,
            "createdAt": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "facets": list(links(self.text)),
        }
        order = {"repo": did, "collection": POSTS, "rkey": record_key(delivery.key), "record": record}
        url = _method(delivery, "com.atproto.repo.createRecord")
        answer = await ask(delivery, "POST", url, json=order, headers=headers)
        return _receipt(delivery, answer.json()["uri"])

    async def find(self, delivery: Delivery) -> Receipt | None:
        """The record of that name, if it is there."""
        did, headers = await self._begin(delivery)
        wanted = {"repo": did, "collection": POSTS, "rkey": record_key(delivery.key)}
        url = _method(delivery, "com.atproto.repo.getRecord")
        answer = await delivery.http.get(url, params=wanted, headers=headers)
        if answer.status_code in {400, 404} and any(word in answer.text for word in ABSENT):
            return None
        answer.raise_for_status()
        return _receipt(delivery, answer.json()["uri"])

    async def _begin(self, delivery: Delivery) -> tuple[str, dict[str, str]]:
        """A session: the account's lasting name, and the headers that speak for it."""
        login = {"identifier": delivery.settings.handle, "password": delivery.secret(PASSWORD)}
        advice = {401: f"{PASSWORD} is not good: make an app password in Bluesky's settings"}
        url = _method(delivery, "com.atproto.server.createSession")
        session = (await look(delivery, "POST", url, json=login, advice=advice)).json()
        return session["did"], {"Authorization": f"Bearer {session['accessJwt']}"}


def record_key(key: str) -> str:
    """The record's name for a delivery key: a TID, as posts have to have, that the key alone decides."""
    number = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")
    tid = (BEGINS + number % SPAN) << 10 | number >> 54
    return "".join(ALPHABET[tid >> shift & 31] for shift in range(60, -1, -5))


def links(text: str) -> Iterator[dict[str, Any]]:
    """Where addresses stand in the text, in bytes, each leading to itself."""
    for found in _LINK.finditer(text):
        begin, end = (len(text[:place].encode()) for place in found.span())
        yield {
            "index": {"byteStart": begin, "byteEnd": end},
            "features": [{"$type": "app.bsky.richtext.facet#link", "uri": found[0]}],
        }


def _method(delivery: Delivery, name: str) -> str:
    return f"{delivery.settings.server}/xrpc/{name}"


def _receipt(delivery: Delivery, uri: str) -> Receipt:
    from runner.worker.deliver import Receipt  # noqa: PLC0415 - only in the child that delivers

    name = uri.rpartition("/")[2]
    return Receipt(id=uri, url=f"https://bsky.app/profile/{delivery.settings.handle}/post/{name}")
