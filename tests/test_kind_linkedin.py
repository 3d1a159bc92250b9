"""LinkedIn: what is shown is what readers see, and each refusal says what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from deliveries import check, deliver
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from runner import NotDelivered
from runner.attachment import described
from runner.drafts import LinkedInComment, LinkedInPost
from runner.drafts.linkedin_post import little
from runner.errors import DraftError
from runner.rehearsal.destination import Answers, DropsRequest, DropsResponse
from runner.rehearsal.linkedin import StandInLinkedIn, published

if TYPE_CHECKING:
    from runner.draft import Draft
    from runner.rehearsal.http import Request

WHO: dict[str, Any] = {"author": "urn:li:person:AbC"}
POST = LinkedInPost(text="One lesson (of many): *test* what_you <ship> #testing @here \\ | # c#")
COMMENT = LinkedInComment(post="urn:li:activity:7123", text="Well said (really).")


async def send(draft: Draft, there: StandInLinkedIn, token: str = "good", **more: Any) -> Any:
    return await deliver(draft, there.url, {**WHO, **more}, LINKEDIN_TOKEN=token)


async def test_readers_of_a_post_see_what_its_reviewer_saw() -> None:
    async with StandInLinkedIn() as there:
        receipt = await send(POST, there)
        assert there.effects == [
            {"id": receipt.id, "author": WHO["author"], "text": POST.text, "picture": None}
        ]
        assert receipt.url == f"https://www.linkedin.com/feed/update/{receipt.id}/"


PICTURE = b"\x89PNG\r\n\x1a\n and more"
CHART = LinkedInPost(text="A chart", picture=described("chart.png", PICTURE), alt="Orders rise")


async def test_a_post_has_the_picture_that_was_approved() -> None:
    async with StandInLinkedIn() as there:
        await deliver(CHART, there.url, WHO, files=(PICTURE,), LINKEDIN_TOKEN="good")
        (made,) = there.effects
        assert there.pictures[made["picture"]] == PICTURE
        assert b'"altText":"Orders rise"' in there.arrivals[-1].body


async def test_a_picture_that_does_not_arrive_is_no_post() -> None:
    class Elsewhere(StandInLinkedIn):
        def _offer(self, body: dict[str, Any]) -> Answers:
            return Answers(200, {"value": {"uploadUrl": "https://evil.example/x", "image": "urn:li:image:1"}})

    class Full(StandInLinkedIn):
        def _take(self, request: Request) -> Answers:
            return Answers(507, "full")

    for kind, words in ((Elsewhere, "evil.example, which is not its own"), (Full, "nothing was sent: .*507")):
        async with kind() as there:
            with pytest.raises(NotDelivered, match=words):
                await deliver(CHART, there.url, WHO, files=(PICTURE,), LINKEDIN_TOKEN="good")
            assert there.effects == []


def test_only_a_picture_goes_with_a_post() -> None:
    paper = described("paper.pdf", b"%PDF-1.7")
    with pytest.raises(ValidationError, match="is application/pdf; it may be image/png"):
        LinkedInPost(text="x", picture=paper)
    with pytest.raises(DraftError, match="picture"):
        check(LinkedInPost.model_construct(text="x", picture=paper, alt=""), WHO)
    check(CHART, WHO)


@given(st.text(alphabet=st.sampled_from("a1 #\\|{}@[]()<>*_~é\n"), max_size=30))
@settings(max_examples=300)
def test_no_character_of_a_post_is_markup(text: str) -> None:
    assert published(little(text)) == text


def test_a_hashtag_stays_one() -> None:
    assert little("#testing, not a#b or # alone") == "#testing, not a\\#b or \\# alone"


async def test_a_comment_is_plain_text() -> None:
    async with StandInLinkedIn() as there:
        await send(COMMENT, there)
        (made,) = there.effects
        assert (made["actor"], made["on"], made["text"]) == (WHO["author"], COMMENT.post, COMMENT.text)
        assert there.arrivals[0].path == "/rest/socialActions/urn:li:activity:7123/comments"


@pytest.mark.parametrize("draft", [POST, COMMENT])
async def test_a_refusal_of_linkedins_is_told_with_what_to_do(draft: Draft) -> None:
    async with StandInLinkedIn(token="good") as there:
        with pytest.raises(NotDelivered, match=r"401.*LINKEDIN_TOKEN is no longer good"):
            await send(draft, there, "old")
        with pytest.raises(NotDelivered, match=r"426.*retired its version 202401: set a newer one"):
            await send(draft, there, version="202401")
        there.script(Answers(429, "slow down", {"retry-after": "90"}))
        with pytest.raises(NotDelivered, match="approve it again in 90 seconds"):
            await send(draft, there)
        with pytest.raises(NotDelivered, match="LINKEDIN_TOKEN is not to be had"):
            await deliver(draft, there.url, WHO)
        assert there.effects == []


async def test_a_post_that_is_there_already_is_refused_by_linkedin_itself() -> None:
    async with StandInLinkedIn() as there:
        there.script(DropsResponse())
        with pytest.raises(Exception, match="disconnected") as lost:
            await send(POST, there)
        assert not isinstance(lost.value, NotDelivered)  # so that it is uncertain
        with pytest.raises(NotDelivered, match="Content is a duplicate of urn:li:share"):
            await send(POST, there)
        assert len(there.effects) == 1


@pytest.mark.parametrize("fault", [DropsRequest(), DropsResponse(), Answers(503, "busy")])
@pytest.mark.parametrize("draft", [POST, COMMENT])
async def test_an_answer_that_says_neither_yes_nor_no_is_uncertain(draft: Draft, fault: Any) -> None:
    async with StandInLinkedIn() as there:
        there.script(fault)
        with pytest.raises(Exception, match=r"disconnected|503") as caught:
            await send(draft, there)
        assert not isinstance(caught.value, NotDelivered)


@pytest.mark.parametrize("text", ["", "x" * 3001, "🙂" * 1501])
def test_a_post_that_is_too_long_is_refused_when_it_is_made(text: str) -> None:
    with pytest.raises(ValidationError):
        LinkedInPost(text=text)
    LinkedInPost(text="x" * 3000)


def test_a_comment_names_a_post_and_nothing_else() -> None:
    for post in ("urn:li:person:1", "https://evil.example/", "urn:li:share:1/../x"):
        with pytest.raises(ValidationError):
            LinkedInComment(post=post, text="x")


def test_who_speaks_is_the_owners_to_say() -> None:
    with pytest.raises(DraftError, match=r"needs 'author': set it under \[kinds.linkedin_post\]"):
        check(POST, {})
    with pytest.raises(DraftError, match="author"):
        check(POST, {"author": "me"})


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"linkedin-version": ""}, None, 400),
        ({"x-restli-protocol-version": ""}, None, 400),
        ({}, {"commentary": "x"}, 422),
        ({}, {"commentary": "x" * 3001}, 422),
    ],
)
async def test_the_stand_in_refuses_what_linkedin_refuses(headers: Any, body: Any, status: int) -> None:
    import httpx

    good = {"authorization": "Bearer x", "linkedin-version": "202608", "x-restli-protocol-version": "2.0.0"}
    whole = {**POST._body("urn:li:person:a"), **(body or {})}
    if status == 422 and len(whole["commentary"]) == 1:
        del whole["lifecycleState"]
    async with StandInLinkedIn() as there, httpx.AsyncClient() as client:
        answer = await client.post(f"{there.url}/rest/posts", json=whole, headers={**good, **headers})
        assert answer.status_code == status
