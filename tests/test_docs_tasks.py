"""The page on tasks tells the truth: what it shows is loaded and run as it stands."""

from __future__ import annotations

import re
from pathlib import Path

from runner.rehearsal.claude import Says
from runner.review.questions import answer
from runner.testing import rehearsal

PAGE = (Path(__file__).parents[1] / "docs" / "tasks.md").read_text()


def shown(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


async def test_the_markdown_task_of_the_page_drafts(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "voice.md").write_text("plain")
    async with rehearsal(tmp_path) as it:
        it.drop("linkedin_post.md", shown("markdown")[0])
        await it.run("linkedin_post")
        assert (await it.draft()).fields["folder"] == "published/linkedin"
        assert "Our voice:\nplain" in it.claude.requests[0]["messages"][0]["content"]


async def test_the_python_task_of_the_page_drafts_until_its_backlog_is_empty(tmp_path: Path) -> None:
    (tmp_path / "topics.csv").write_text("topic\nfakes\n")
    async with rehearsal(tmp_path) as it:
        it.drop("linkedin_post.py", shown("python")[0])
        it.claude.script(Says("one two three"))
        await it.run("linkedin_post")
        assert (await it.draft()).fields["folder"] == "published/linkedin"
        await it.run("linkedin_post")
        assert "backlog is empty" in (await it.event("alert.raised"))["text"]


def task_of(place: int) -> str:
    """A task of the page that leaves out its imports."""
    imports = "from runner import Alert, Run, Web, cron, every, task\nfrom runner.drafts import Article\n\n"
    return imports + shown("python")[place]


async def test_the_watch_of_the_page_tells_of_each_entry_once(tmp_path: Path) -> None:
    feed = "<rss version='2.0'><channel>{}</channel></rss>"
    async with rehearsal(tmp_path) as it:
        it.drop("news.py", task_of(1))
        it.destination.pages["/feed"] = feed.format("<item><title>One</title></item>")
        await it.run("news")
        await it.run("news")
        more = "<item><title>Two</title></item><item><title>One</title></item>"
        it.destination.pages["/feed"] = feed.format(more)
        await it.run("news")
        await it.until(lambda: it.count("alert.raised") == 2, "the second alert")
        assert [event["text"].strip() for event in it.found("alert.raised")] == ["One", "Two"]


async def test_the_question_of_the_page_is_asked_and_its_answer_used(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.drop("comment.py", task_of(2))
        await it.run("comment")
        asked = await it.event("alert.raised")
        answer(it.app.store, it.app.stop, asked["question_id"], "ana", "a supplier")
        await it.run("comment")
        assert "Its author to us: a supplier" in it.claude.requests[0]["messages"][0]["content"]
        await it.draft("comment")


async def test_the_search_of_the_page_searches(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.drop("prices.py", task_of(3))
        await it.run("prices")
        assert (await it.event("claude.searched"))["web"]
        assert await it.event("alert.raised")


async def test_the_error_of_the_page_is_said_so(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.drop("linkedin_post.md", shown("markdown")[0].replace("schedule:", "shedule:"))
        told = await it.event("task.broken")
        assert f"tasks/{told['file']}:{told['line']}: {told['reason']}" in PAGE
