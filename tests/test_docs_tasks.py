"""The page on tasks tells the truth: what it shows is loaded and run as it stands."""

from __future__ import annotations

import re
from pathlib import Path

from runner.rehearsal.claude import Says
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


async def test_the_error_of_the_page_is_said_so(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.drop("linkedin_post.md", shown("markdown")[0].replace("schedule:", "shedule:"))
        told = await it.event("task.broken")
        assert f"tasks/{told['file']}:{told['line']}: {told['reason']}" in PAGE
