"""The kinds that come with the runner: what they accept, and how they are delivered."""

from __future__ import annotations

import base64
import hmac
import time
from typing import TYPE_CHECKING, Any

import pytest
from deliveries import deliver
from pydantic import ValidationError

from runner import Delivery, NotDelivered
from runner.drafts import Article, Webhook
from runner.drafts.article import slug
from runner.rehearsal.destination import Answers, DropsResponse, StandInDestination

if TYPE_CHECKING:
    from pathlib import Path

    from runner.draft import Draft


def article(**more: Any) -> Article:
    return Article(**{"title": 'On "Testing"', "body": "One lesson.", **more})


async def test_an_article_is_a_markdown_file_with_front_matter(tmp_path: Path) -> None:
    delivery = Delivery("k1", tmp_path)
    receipt = await article().deliver(delivery)
    written = tmp_path / "published" / "on-testing.md"
    assert written.read_text() == '---\ntitle: "On \\"Testing\\""\nkey: k1\n---\n\nOne lesson.\n'
    assert receipt.url == written.as_uri()
    assert [path.name for path in written.parent.iterdir()] == ["on-testing.md"]


async def test_the_same_article_again_is_the_same_file_and_another_is_never_written_over(
    tmp_path: Path,
) -> None:
    delivery = Delivery("k1", tmp_path)
    assert await article().find(delivery) is None
    first = await article().deliver(delivery)
    assert await article().deliver(delivery) == first == await article().find(delivery)
    with pytest.raises(NotDelivered, match="is there already, and is another"):
        await article(body="Another lesson.").deliver(delivery)
    assert "One lesson." in (tmp_path / "published" / "on-testing.md").read_text()
    assert await article(body="Another lesson.").find(delivery) is None


async def test_an_article_that_cannot_be_written_is_certainly_not_delivered(tmp_path: Path) -> None:
    (tmp_path / "published").write_text("a file")
    with pytest.raises(NotDelivered, match="can't be written"):
        await article().deliver(Delivery("k1", tmp_path))


async def test_an_article_does_not_follow_a_link_out_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "published").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "published" / "blog").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NotDelivered, match="leads out"):
        await article(folder="published/blog").deliver(Delivery("k1", tmp_path))


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (Article, {"title": "", "body": "x"}),
        (Article, {"title": "x" * 201, "body": "x"}),
        (Article, {"title": "x", "body": "x", "folder": "published/../tasks"}),
        (Article, {"title": "x", "body": "x", "folder": "/etc"}),
        (Article, {"title": "x", "body": "x", "slug": "../x"}),
        (Article, {"title": "x", "body": "x", "autor": "me"}),
        (Webhook, {"url": "http://example.com/", "body": {}}),
        (Webhook, {"url": "https://me:pw@example.com/", "body": {}}),
        (Webhook, {"url": "file:///etc/passwd", "body": {}}),
        (Webhook, {"url": "https://example.com/", "body": [1]}),
    ],
)
def test_a_draft_that_does_not_fit_its_kind_is_refused_when_it_is_made(
    kind: type[Draft], fields: dict[str, Any]
) -> None:
    with pytest.raises(ValidationError):
        kind(**fields)


def test_a_slug_is_made_of_any_title() -> None:
    assert slug("Größe & Maß: 3 Tips!") == "groe-ma-3-tips"
    assert len(slug("日本")) == 12


async def test_a_webhook_posts_its_body_with_the_key() -> None:
    async with StandInDestination() as there:
        hook = Webhook(url=f"{there.url}/hooks/1", body={"n": 1})
        delivery = Delivery("k1", None)  # type: ignore[arg-type] # no folder is needed
        receipt = await hook.deliver(delivery)
        await delivery.http.aclose()
        (arrival,) = there.effects
        assert (arrival.path, arrival.key, receipt.id) == ("/hooks/1", "k1", "k1")
        assert arrival.body == b'{"n":1}'


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        (Answers(422, "no title"), NotDelivered, "refused with 422: no title"),
        (Answers(503, "busy"), RuntimeError, "503"),
        (Answers(429, "slow"), RuntimeError, "429"),
        (DropsResponse(), Exception, ""),
    ],
)
async def test_only_a_plain_refusal_says_that_a_webhook_was_not_delivered(
    fault: Any, error: type[Exception], words: str
) -> None:
    async with StandInDestination() as there:
        there.script(fault)
        delivery = Delivery("k1", None)  # type: ignore[arg-type]
        with pytest.raises(error, match=words or None) as caught:
            await Webhook(url=f"{there.url}/", body={}).deliver(delivery)
        await delivery.http.aclose()
        assert isinstance(caught.value, NotDelivered) is (error is NotDelivered)
    with pytest.raises(NotDelivered, match="could not be reached"):
        await Webhook(url="http://127.0.0.1:9/", body={}).deliver(Delivery("k1", None))  # type: ignore[arg-type]


async def test_in_rehearsal_every_request_goes_to_the_stand_in() -> None:
    async with StandInDestination() as there:
        delivery = Delivery("k1", None, rehearsal=there.url)  # type: ignore[arg-type]
        await Webhook(url="https://shop.example.com/x", body={}).deliver(delivery)
        await delivery.http.aclose()
        assert [arrival.path for arrival in there.effects] == ["/x"]


async def test_a_signed_webhook_is_signed_as_its_receiver_checks_it() -> None:
    secret = b"a secret of thirty-two characters"
    written = f"whsec_{base64.b64encode(secret).decode()}"
    async with StandInDestination() as there:
        hook = Webhook(url=f"{there.url}/", body={"total": 1, "city": "Köln"})
        await deliver(hook, there.url, {"signed": True}, WEBHOOK_SECRET=written)
        await deliver(hook, there.url, {"signed": True}, key="k2", WEBHOOK_SECRET=secret.decode())
        for arrival in there.effects:
            head = arrival.headers
            signed = f"{head['webhook-id']}.{head['webhook-timestamp']}.".encode() + arrival.body
            mac = base64.b64encode(hmac.new(secret, signed, "sha256").digest()).decode()
            assert head["webhook-signature"] == f"v1,{mac}"
            assert head["webhook-id"] == head["idempotency-key"]
            assert abs(int(head["webhook-timestamp"]) - time.time()) < 3600
        assert arrival.body == '{"total":1,"city":"Köln"}'.encode()


async def test_a_webhook_that_is_to_be_signed_is_never_sent_without() -> None:
    async with StandInDestination() as there:
        hook = Webhook(url=f"{there.url}/", body={})
        with pytest.raises(NotDelivered, match="WEBHOOK_SECRET is not to be had"):
            await deliver(hook, there.url, {"signed": True})
        with pytest.raises(NotDelivered, match="no base64"):
            await deliver(hook, there.url, {"signed": True}, WEBHOOK_SECRET="whsec_!")
        await deliver(hook, there.url, {}, WEBHOOK_SECRET="unused")
        assert "webhook-signature" not in there.effects[0].headers
        assert len(there.effects) == 1


def test_a_secret_is_to_be_had_only_by_the_kind_that_names_it() -> None:
    delivery = Delivery("k1", None, _secrets={"TOKEN": "hush"})  # type: ignore[arg-type]
    assert delivery.secret("TOKEN") == "hush"
    assert "hush" not in repr(delivery)
    with pytest.raises(NotDelivered, match="name it in the kind's secrets"):
        delivery.secret("OTHER")
