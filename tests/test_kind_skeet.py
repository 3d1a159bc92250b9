"""Posts on Bluesky, whose name we choose: so it can be asked for, and there are never two."""

from __future__ import annotations

from typing import Any

import pytest
from deliveries import check, deliver
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from runner import NotDelivered
from runner.drafts import Skeet
from runner.drafts.skeet import links, record_key
from runner.errors import DraftError
from runner.rehearsal.bluesky import TID, StandInBluesky
from runner.rehearsal.destination import Answers, DropsRequest, DropsResponse

WHO: dict[str, Any] = {"handle": "studio.bsky.social"}
SKEET = Skeet(text="Größe: see https://example.com/a?b=1, please.")


async def send(there: StandInBluesky, password: str = "good", *, find: bool = False) -> Any:
    return await deliver(SKEET, there.url, WHO, find=find, BLUESKY_PASSWORD=password)


async def test_a_skeet_is_there_as_it_was_shown_with_its_addresses_as_links() -> None:
    async with StandInBluesky() as there:
        receipt = await send(there)
        (record,) = there.effects
        assert record["text"] == SKEET.text
        (facet,) = record["facets"]
        place = facet["index"]
        marked = SKEET.text.encode()[place["byteStart"] : place["byteEnd"]].decode()
        assert marked == facet["features"][0]["uri"] == "https://example.com/a?b=1"
        assert receipt.url == f"https://bsky.app/profile/studio.bsky.social/post/{record['rkey']}"
        assert await send(there, find=True) == receipt


async def test_whether_a_skeet_arrived_can_be_asked() -> None:
    async with StandInBluesky() as there:
        there.script(DropsRequest(), DropsResponse())
        for is_there in (False, True):
            with pytest.raises(Exception, match="disconnected") as lost:
                await send(there)
            assert not isinstance(lost.value, NotDelivered)
            assert (await send(there, find=True) is not None) is is_there
        with pytest.raises(RuntimeError, match="already a value at key"):
            await send(there)
        assert len(there.effects) == 1


async def test_a_refusal_of_blueskys_is_told_with_what_to_do() -> None:
    async with StandInBluesky(token="good") as there:
        with pytest.raises(NotDelivered, match="BLUESKY_PASSWORD is not good: make an app password"):
            await send(there, "bad")
        there.script(Answers(429, {"error": "RateLimitExceeded"}))
        with pytest.raises(NotDelivered, match="approve it again later"):
            await send(there)
        there.script(Answers(502, ""))
        with pytest.raises(RuntimeError, match="502"):
            await send(there)
    with pytest.raises(NotDelivered, match="could not be reached"):
        await deliver(SKEET, "http://127.0.0.1:9", WHO, BLUESKY_PASSWORD="good")


@given(st.text())
def test_every_key_names_a_record_as_bluesky_wants_it_named(key: str) -> None:
    assert TID.match(record_key(key))
    assert record_key(key) == record_key(key)


def test_an_address_ends_before_the_sentence_does() -> None:
    found = [facet["features"][0]["uri"] for facet in links("(https://a.example/b). http://c.example!")]
    assert found == ["https://a.example/b", "http://c.example"]


def test_a_skeet_that_does_not_fit_is_refused_when_it_is_made() -> None:
    for text in ("", " ", "x" * 301):
        with pytest.raises(ValidationError):
            Skeet(text=text)
    with pytest.raises(DraftError, match="needs 'handle'"):
        check(SKEET, {})


@pytest.mark.parametrize("wrong", [{"rkey": "mine"}, {"record": {"$type": "x"}}, {"repo": "did:plc:other"}])
async def test_the_stand_in_refuses_what_bluesky_refuses(wrong: dict[str, Any]) -> None:
    record = {"$type": "app.bsky.feed.post", "text": "x", "createdAt": "2026-01-01T00:00:00Z"}
    whole = {
        "repo": "did:plc:rehearsal",
        "collection": record["$type"],
        "rkey": record_key("k"),
        "record": record,
    }
    assert StandInBluesky()._create(whole).status == 200
    assert StandInBluesky()._create({**whole, **wrong}).status == 400
    assert StandInBluesky()._create({**whole, "record": {**record, "text": "x" * 301}}).status == 400
