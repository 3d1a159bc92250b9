"""Posts in a WordPress site, found again by their slug."""

from __future__ import annotations

from typing import Any

import pytest
from deliveries import check, deliver
from pydantic import ValidationError

from runner import NotDelivered
from runner.drafts import WordPressPost
from runner.errors import DraftError
from runner.rehearsal.destination import Answers, DropsRequest, DropsResponse
from runner.rehearsal.wordpress import StandInWordPress

THERE: dict[str, Any] = {"site": "https://blog.example.com/de", "user": "runner"}
SITE = {"site": "https://blog.example.com", "user": "runner"}
POST = WordPressPost(title="One lesson", body="<p>Test first.</p>", status="publish")


async def send(
    there: StandInWordPress, password: str = "good", *, draft: WordPressPost = POST, find: bool = False
) -> Any:
    return await deliver(draft, there.url, SITE, find=find, WORDPRESS_PASSWORD=password)


@pytest.mark.parametrize("status", ["draft", "publish"])
async def test_a_post_is_there_as_it_was_shown(status: Any) -> None:
    async with StandInWordPress() as there:
        receipt = await send(there, draft=POST.model_copy(update={"status": status}))
        (made,) = there.effects
        assert (made["title"]["raw"], made["content"]["raw"]) == (POST.title, POST.body)
        assert (made["slug"], made["status"]) == ("one-lesson", status)
        assert (receipt.url, receipt.detail) == ("https://blog.example/one-lesson/", status)


def test_nobody_sees_a_post_that_does_not_say_so() -> None:
    assert WordPressPost(title="x", body="y").status == "draft"


async def test_a_post_never_takes_the_slug_of_another() -> None:
    async with StandInWordPress() as there:
        await send(there)
        other = WordPressPost(title="Another", body="x", slug="one-lesson", status="publish")
        with pytest.raises(NotDelivered, match="has the slug 'one-lesson' already; give the post another"):
            await send(there, draft=other)
        assert await send(there, draft=other, find=True) is None
        assert len(there.effects) == 1


@pytest.mark.parametrize("fault", [DropsRequest(), DropsResponse(), Answers(500, "oops")])
async def test_whether_a_post_arrived_can_be_asked(fault: Any) -> None:
    async with StandInWordPress() as there:
        there.script(fault)
        with pytest.raises(Exception, match=r"disconnected|500") as lost:
            await send(there)
        assert not isinstance(lost.value, NotDelivered)
        found = await send(there, find=True)
        assert (found is not None) is bool(there.effects) is isinstance(fault, DropsResponse)


async def test_a_refusal_of_wordpresss_is_told_with_what_to_do() -> None:
    async with StandInWordPress(token="good") as there:
        with pytest.raises(NotDelivered, match=r"401.*is WORDPRESS_PASSWORD an application password"):
            await send(there, "bad")
        there.script(Answers(403, {"code": "rest_cannot_create"}))
        with pytest.raises(NotDelivered, match="may not do that"):
            await send(there)
        with pytest.raises(NotDelivered, match=r"404.*is its REST API switched on"):
            await deliver(POST, there.url, THERE, WORDPRESS_PASSWORD="good")
    with pytest.raises(NotDelivered, match="could not be reached"):
        await deliver(POST, "http://127.0.0.1:9", SITE, WORDPRESS_PASSWORD="good")


def test_a_post_that_does_not_fit_is_refused_when_it_is_made() -> None:
    for wrong in ({"title": ""}, {"title": "x" * 201}, {"slug": "a/b"}, {"status": "private"}, {"body": ""}):
        with pytest.raises(ValidationError):
            WordPressPost.model_validate({"title": "x", "body": "y", **wrong})
    for site in ("http://blog.example.com", "https://me:pw@blog.example.com", "https://blog.example.com/?x"):
        with pytest.raises(DraftError, match="site"):
            check(POST, {"site": site, "user": "runner"})
