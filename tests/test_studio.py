"""The thirteen tasks of examples/studio, each from its slot to what its owner sees, its approval and its delivery."""

from __future__ import annotations

import importlib
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from studio import STUDIO, copied, studio
from test_cli import runner

from runner import Delivery
from runner.rehearsal.claude import Says
from runner.review.questions import answer

if TYPE_CHECKING:
    from runner.testing import Rehearsal

SHOP = "https://shop.example.com"
BY = "ana"
TASKS = sorted(re.findall(r"^\| `(\w+)\.(?:md|py)` \|", (STUDIO / "README.md").read_text(), re.MULTILINE))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return copied(tmp_path / "studio")


async def ran(it: Rehearsal, task: str) -> None:
    row = await it.run(task)
    assert row.status == "ok", row.error


async def told(it: Rehearsal, task: str, nth: int = 0) -> str:
    """What the task's alert says; the first one's, unless said otherwise."""
    await it.until(lambda: it.count("alert.raised", task=task) > nth, f"an alert of {task}")
    return str(it.found("alert.raised", task=task)[nth]["text"])


async def delivered(it: Rehearsal, task: str) -> dict[str, Any]:
    """Approve the oldest draft of the task; how its delivery ended."""
    sheet = await it.draft(task)
    it.desk.approve(sheet.held.id, sheet.held.digest, BY)
    return await it.event("delivery.delivered", draft=sheet.held.id)


def published(it: Rehearsal) -> list[dict[str, Any]]:
    """What LinkedIn has of ours."""
    return it.destination.services["linkedin"].effects


async def a_post(it: Rehearsal) -> None:
    await ran(it, "linkedin_post")
    text = (await it.draft("linkedin_post")).fields["text"]
    await delivered(it, "linkedin_post")
    assert [(post["author"], post["text"]) for post in published(it)] == [("urn:li:organization:42", text)]
    await ran(it, "linkedin_post")
    assert text in str(it.claude.requests[-1]["messages"])  # not the same lesson again


async def a_comment(it: Rehearsal) -> None:
    await ran(it, "linkedin_comment")
    assert "There is a post to comment on" in await told(it, "linkedin_comment")
    assert it.waiting() == []
    assert len(it.claude.requests) == 0
    (asked,) = it.found("alert.raised")
    answer(it.app.store, it.app.stop, asked["question_id"], BY, "they let us try a kiln for a month")
    await ran(it, "linkedin_comment")
    assert "let us try a kiln" in str(it.claude.requests[0]["messages"])
    await delivered(it, "linkedin_comment")
    assert [each["on"] for each in published(it)] == ["urn:li:activity:7123456789"]
    await ran(it, "linkedin_comment")
    assert it.waiting() == []  # there is no other post


async def topics(it: Rehearsal) -> None:
    path = it.app.home / "backlog" / "topics.csv"
    before = path.read_text()
    await ran(it, "topic_researcher")
    (found,) = it.found("claude.searched")
    assert found["task"] == "topic_researcher"
    first = (await it.draft("topic_researcher")).fields["topics"][0]["topic"]
    assert path.read_text() == before
    await delivered(it, "topic_researcher")
    assert path.read_text().startswith(before)
    assert first in path.read_text()
    path.write_text("topic,why\n" + "".join(f"topic {number},because\n" for number in range(50)))
    asked = len(it.claude.requests)
    await ran(it, "topic_researcher")
    assert (it.waiting(), len(it.claude.requests)) == ([], asked)


async def an_article(it: Rehearsal) -> None:
    topic = "what a checklist before each release saved us"
    await ran(it, "article_writer")
    assert len(it.claude.requests) == 3
    sheet = await it.draft("article_writer")
    run = it.desk.revise(sheet.held.id, sheet.held.digest, BY, "shorter, please")
    await it.event("draft.revised", draft=sheet.held.id)
    assert it.count("claude.asked", run=run) == 1  # the brief and the draft are not paid for again
    assert "shorter, please" in str(it.claude.requests[-1]["messages"])
    done = await delivered(it, "article_writer")
    assert sheet.fields["topic"] == topic
    assert Path(done["receipt"]["url"].removeprefix("file://")).parent == it.app.home / "published" / "blog"
    assert topic not in (it.app.home / "backlog" / "topics.csv").read_text()
    await ran(it, "article_writer")
    assert (await it.draft("article_writer")).fields["topic"] != topic


async def a_newsletter(it: Rehearsal) -> None:
    await ran(it, "weekly_newsletter")
    assert "The spring catalogue is at the printer's" in it.claude.requests[0]["messages"][0]["content"]
    await delivered(it, "weekly_newsletter")
    assert it.mail.envelopes == [["readers@example.com"]]


async def descriptions(it: Rehearsal) -> None:
    run = await it.run("product_descriptions")
    drafts = it.waiting("product_descriptions")
    assert [(each.fields["sku"], each.run) for each in drafts] == [
        (sku, run.id) for sku in ("MU-001", "MU-002", "BO-001", "PL-001")
    ]
    assert len(it.claude.batches.created) == 4  # asked at half price, all of them
    assert it.claude.requests == []
    first = drafts[0]
    digest = it.desk.edit(
        first.held.id, first.held.digest, BY, {**first.fields, "text": "A mug as it should be."}
    )
    it.desk.approve(first.held.id, digest, BY)
    await it.event("delivery.delivered", draft=first.held.id)
    (arrival,) = it.destination.effects
    assert arrival.path == "/api/products/MU-001/description"
    assert json.loads(arrival.body)["text"] == "A mug as it should be."
    await ran(it, "product_descriptions")
    assert len(it.waiting("product_descriptions")) == 3  # none is new


async def weights(it: Rehearsal) -> None:
    it.claude.script(Says(json={"relevance": 0.5, "sales": 0.3, "freshness": 0.1, "margin": 0.1}))
    await ran(it, "ranking_weights")
    await it.event("delivery.delivered", task="ranking_weights")
    assert (await it.event("draft.approved"))["by"].startswith("auto")
    (arrival,) = it.destination.effects
    assert (arrival.path, json.loads(arrival.body)["sales"]) == ("/api/ranking", 0.3)


async def the_site(it: Rehearsal) -> None:
    health = "shop.example.com/checkout/health"
    await ran(it, "site_monitor")
    assert await told(it, "site_monitor") == f"https://{health} is down: it answers 404"
    await ran(it, "site_monitor")
    it.destination.pages[health] = "ok"
    await ran(it, "site_monitor")
    assert await told(it, "site_monitor", 1) == f"https://{health} is up again"
    assert it.count("alert.raised") == 2


async def certificates(it: Rehearsal) -> None:
    await ran(it, "certificate_expiry")
    first, second = (await told(it, "certificate_expiry")).splitlines()
    assert re.fullmatch(rf"{SHOP}/: its certificate is good for 1[12] more days, until \d\d \w+", second)
    assert first.startswith("https://studio.example.com/: ")
    await ran(it, "certificate_expiry")
    assert it.count("alert.raised") == 1  # the next is a week before the end


async def the_shop(it: Rehearsal) -> None:
    await ran(it, "shop_check")
    assert (await told(it, "shop_check")).splitlines() == [
        f"{SHOP}/products/MU-002: it says 1.25 EUR, and products.csv 12.50",
        f"{SHOP}/products/BO-001: it answers 404",
        "PL-001 is not in the sitemap",
    ]


async def feeds(it: Rehearsal) -> None:
    await ran(it, "rss_watcher")
    assert len((await told(it, "rss_watcher")).splitlines()) == 3
    await ran(it, "rss_watcher")
    feed = it.destination.pages["news.example.com/feed.xml"]
    assert isinstance(feed, str)
    more = f"<item><guid>kiln-1</guid><title>Kilns</title><link>{SHOP}/kilns</link></item><item><guid>clay-2</guid>"
    it.destination.pages["news.example.com/feed.xml"] = feed.replace("<item><guid>clay-2</guid>", more)
    await ran(it, "rss_watcher")
    assert await told(it, "rss_watcher", 1) == f"Kilns {SHOP}/kilns"


async def a_day(it: Rehearsal) -> None:
    await ran(it, "linkedin_post")
    await ran(it, "daily_digest")
    lines = (await told(it, "daily_digest")).splitlines()
    assert lines[0] == "drafts that wait for you: 1"
    assert re.fullmatch(r"runs: 2, of 2 tasks, for \$0\.\d\d", lines[2])


async def a_month(it: Rehearsal) -> None:
    await ran(it, "linkedin_post")
    sheet = await it.draft("linkedin_post")
    it.desk.reject(sheet.held.id, sheet.held.digest, BY, "no lesson in it")
    await ran(it, "monthly_report")
    text = await told(it, "monthly_report")
    assert re.search(r"^  linkedin_post: \$0\.\d\d$", text, re.MULTILINE)
    assert "  linkedin_post: 1 made: 1 rejected; decided after 0.0 h" in text
    assert "no lesson" not in text  # whose reasons are its own


WALKS = {
    "article_writer": an_article,
    "certificate_expiry": certificates,
    "daily_digest": a_day,
    "linkedin_comment": a_comment,
    "linkedin_post": a_post,
    "monthly_report": a_month,
    "product_descriptions": descriptions,
    "ranking_weights": weights,
    "rss_watcher": feeds,
    "shop_check": the_shop,
    "site_monitor": the_site,
    "topic_researcher": topics,
    "weekly_newsletter": a_newsletter,
}


def test_the_studio_has_thirteen_tasks_three_of_them_in_markdown_and_each_is_walked_through() -> None:
    assert sorted(WALKS) == TASKS
    assert len(TASKS) == 13
    assert len(list((STUDIO / "tasks").glob("*.md"))) == 3


@pytest.mark.parametrize("task", WALKS)
async def test_each_task_goes_from_its_run_to_what_it_is_for(home: Path, task: str) -> None:
    async with studio(home) as it:
        await WALKS[task](it)


async def test_an_empty_backlog_is_told_and_claude_is_not_asked(home: Path) -> None:
    (home / "backlog" / "topics.csv").write_text("topic,why\n")
    async with studio(home) as it:
        await ran(it, "article_writer")
        assert "There is no topic to write about" in await told(it, "article_writer")
        assert len(it.claude.requests) == 0


async def test_a_feed_that_is_none_is_told_and_the_others_are_read(home: Path) -> None:
    async with studio(home) as it:
        it.destination.pages["news.example.com/feed.xml"] = "<p>We have moved.</p>"
        row = await it.run("rss_watcher")
        assert (row.status, "is no feed" in row.error) == ("degraded", True)
        assert await told(it, "rss_watcher") == "What broke in the post https://blog.example.com/packing"


def test_the_project_checks_clean(home: Path) -> None:
    said = runner(home, "check")
    assert "13 tasks are sound, 0 modules are broken" in said
    assert "needs" not in said  # .env.example names every secret


@pytest.mark.no_cover
def test_one_command_rehearses_all_and_reckons_their_month(home: Path) -> None:
    said = runner(home, "rehearse", "--cost")
    assert "\n13 tasks, 10 drafts, 7 alerts, 0 problems\n" in said
    for task in TASKS:
        assert f"\n▸ {task}: " in said
    paid, plain = re.search(r"in all \$([\d.]+) instead of \$([\d.]+)", said).groups()  # type: ignore[union-attr]
    assert float(paid) < float(plain)
    assert re.search(
        r"^ *linkedin_comment +2\d +\$0\.0\d[1-9]", said, re.MULTILINE
    )  # with the answer, it asks Claude
    assert said.count("It would go out by itself") == 1
    assert "it asks: Who is the head of a clay supplier to us" in said
    assert not (home / "published").exists()
    assert not (home / ".runner" / "store.db").exists()


def test_a_rehearsal_of_all_fails_over_a_task_that_does_and_one_that_is_broken(tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "a.py").write_text(
        "from runner import task\n\n@task(retries=0)\ndef bad(run):\n    raise ValueError('boom')\n"
        "\n@task()\ndef quiet(run):\n    return None\n"
    )
    (tmp_path / "tasks" / "b.py").write_text("from runner import tusk\n")
    said = runner(tmp_path, "rehearse", code=1)
    assert "error: " in said
    assert "boom" in said
    assert "nothing to say" in said
    assert "tasks/b.py:1: " in said
    assert "2 tasks, 0 drafts, 0 alerts, 2 problems" in said


async def test_an_article_is_not_delivered_before_its_topic_is_struck_and_then_only_once(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(home / "tasks"))
    article = importlib.import_module("article_writer").BlogArticle(
        title="A checklist", body="It held.", topic="what a checklist before each release saved us"
    )
    waiting = (home / "backlog" / "topics.csv").read_text()
    delivery = Delivery("a" * 40, home)
    receipt = await article.deliver(delivery)
    done = (home / "backlog" / "topics.csv").read_text()
    assert article.topic not in done
    assert await article.find(delivery) == receipt
    (home / "backlog" / "topics.csv").write_text(waiting)  # cut off between the two
    assert await article.find(delivery) is None
    assert await article.deliver(delivery) == receipt
    assert (home / "backlog" / "topics.csv").read_text() == done
    for name in ("article_writer", "backlog", "lists"):
        del sys.modules[name]
