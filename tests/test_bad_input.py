"""What bad input gets: a clear sentence, before anything is delivered, and the draft is kept where there is one.

- an over-long post: no draft; and an over-long edit leaves the draft as it was
- a recipient off the list: no draft
- a missing secret: the draft comes back, and goes once the secret is there
- a front matter with a misspelt key: that task is broken, with its line
- a CSV with a broken line: the line is told, and all others are drafted
- a branch that moved on: nothing is pushed, and the draft comes back
"""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from studio import copied, studio

from runner.errors import DraftError
from runner.rehearsal.claude import Says
from runner.rehearsal.repository import git, make
from runner.tables import KindRule
from runner.testing import rehearsal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runner.review.desk import Sheet
    from runner.testing import Rehearsal

LONG = "x" * 3001
BY = "ana"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return copied(tmp_path / "studio")


def changed(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


async def came_back(it: Rehearsal, task: str) -> tuple[Sheet, str]:
    """The draft after its approval came to nothing, and the reason; it waits again, as it was."""
    before = await it.draft(task)
    it.desk.approve(before.held.id, before.held.digest, BY)
    failed = await it.event("delivery.failed", draft=before.held.id)
    after = await it.draft(task)
    assert (after.held.id, after.fields) == (before.held.id, before.fields)
    assert failed["reason"] in after.note  # its reviewer reads it
    assert it.count("delivery.delivered") == 0
    return after, str(failed["reason"])


async def test_an_over_long_post_is_told_and_is_no_draft(home: Path) -> None:
    async with studio(home) as it:
        it.claude.script(*[Says(json={"text": LONG, "alt": "", "picture": None})] * 2)
        row = await it.run("linkedin_post")
        assert row.status == "error"
        assert "is no LinkedInPost: text: it has 3,001 characters as the destination counts them" in row.error
        assert (it.waiting(), it.count("delivery.started")) == ([], 0)


async def test_an_over_long_edit_is_told_and_the_draft_stays_as_it_was(home: Path) -> None:
    async with studio(home) as it:
        await it.run("linkedin_post")
        before = await it.draft()
        with pytest.raises(DraftError, match="text: it has 3,001 characters, and may have 3,000"):
            it.desk.edit(before.held.id, before.held.digest, BY, {**before.fields, "text": LONG})
        after = await it.draft()
        assert (after.held.digest, after.fields) == (before.held.digest, before.fields)


async def test_a_recipient_off_the_list_is_told_and_is_no_draft(home: Path) -> None:
    changed(home / "tasks" / "weekly_newsletter.md", "readers@example.com", "eve@example.com")
    async with studio(home) as it:
        row = await it.run("weekly_newsletter")
        assert row.status == "error"
        assert "'eve@example.com' is not listed in [kinds.email] recipients" in row.error
        assert (it.waiting(), it.mail.effects) == ([], [])


@pytest.mark.parametrize(
    ("task", "secret"),
    [
        ("linkedin_post", "LINKEDIN_TOKEN"),
        ("weekly_newsletter", "SMTP_PASSWORD"),
        ("product_descriptions", "SHOP_TOKEN"),
    ],
)
async def test_without_its_secret_a_draft_comes_back_and_goes_once_it_is_there(
    home: Path, task: str, secret: str
) -> None:
    changed(home / ".env", f"{secret}=a-made-up-secret", f"{secret}=")
    async with studio(home) as it:
        await it.run(task)
        draft, reason = await came_back(it, task)
        assert f"{secret} is not to be had" in reason
        assert ".env" in reason
        assert (it.destination.effects, it.mail.effects) == ([], [])
        changed(home / ".env", f"{secret}=", f"{secret}=a-made-up-secret")
        it.desk.approve(draft.held.id, draft.held.digest, BY)
        await it.event("delivery.delivered", draft=draft.held.id)


async def test_a_misspelt_key_of_a_front_matter_is_told_with_its_line_and_the_other_tasks_go_on(
    home: Path,
) -> None:
    changed(home / "tasks" / "linkedin_post.md", "schedule:", "shedule:")
    async with rehearsal(home) as it:
        told = await it.event("task.broken")
        assert (told["file"], told["line"]) == ("linkedin_post.md", 2)
        assert told["reason"] == "front matter has no key 'shedule'; did you mean 'schedule'?"
        assert len(it.app.catalog.tasks) == 12


@pytest.mark.parametrize(
    ("old", "new", "sentence", "left"),
    [
        ("12.50", "twelve", "line 3: price: Input should be a valid decimal; it is left out", 3),
        (
            "MU-002,",
            "MU2,",
            f"line 3: sku: String should match pattern '{r'^[A-Z]{2}-[0-9]{3}$'}'; it is left out",
            3,
        ),
        (
            '"0.08 l;',
            '0.08 l, "',
            "line 3: 6 columns and not 4: quotes go around what holds a comma; it is left out",
            3,
        ),
        (
            "12.50",
            "12.50\nBO-009,Lost",
            "line 3: 3 columns and not 4: quotes go around what holds a comma; it is left out",
            3,
        ),
        (
            'quality on request"',
            "quality on request",
            "line 5: unexpected end of data; all from there on is left out",
            3,
        ),
    ],
)
async def test_a_broken_line_of_a_csv_is_told_and_all_others_are_drafted(
    home: Path, old: str, new: str, sentence: str, left: int
) -> None:
    changed(home / "products.csv", old, new)
    async with studio(home) as it:
        row = await it.run("product_descriptions")
        assert row.status == "degraded"
        assert f"products.csv, {sentence}" in row.error
        assert f"products.csv, {sentence}" in (await it.event("alert.raised"))["text"]
        assert len(it.waiting("product_descriptions")) == left


async def test_a_broken_line_of_the_backlog_is_told_kept_and_in_nobodys_way(home: Path) -> None:
    path, line = home / "backlog" / "topics.csv", "what we learned, and what not,because, well\n"
    path.write_text(path.read_text() + line)
    async with studio(home) as it:
        row = await it.run("article_writer")
        assert row.status == "degraded"
        assert "backlog/topics.csv, line 4: 4 columns and not 2" in row.error
        sheet = await it.draft("article_writer")
        it.desk.approve(sheet.held.id, sheet.held.digest, BY)
        await it.event("delivery.delivered", draft=sheet.held.id)
        assert line in path.read_text()
        assert sheet.fields["topic"] not in path.read_text()


async def test_a_backlog_that_cannot_be_read_is_told_before_anything_is_delivered(home: Path) -> None:
    path = home / "backlog" / "topics.csv"
    async with studio(home) as it:
        await it.run("article_writer")
        path.write_bytes("topic,why\nüber Töne,weil\n".encode("latin-1"))
        draft, reason = await came_back(it, "article_writer")
        assert "backlog/topics.csv can't be read" in reason
        assert not (home / "published" / "blog").exists()
        row = await it.run("topic_researcher")
        assert 'backlog/topics.csv is not UTF-8; save it as "CSV UTF-8"' in row.error
        path.write_text("thema,why\n")
        row = await it.run("topic_researcher")
        assert "backlog/topics.csv, line 1: it should be topic,why, and is thema,why" in row.error
        assert it.desk.sheet(draft.held.id).held.state == "pending"


async def test_a_post_that_is_none_is_told_and_claude_is_not_asked(home: Path) -> None:
    (home / "comments.csv").write_text(
        "post,author,says\nhttps://example.com,somebody,hello\nurn:li:share:1\n"
    )
    async with studio(home) as it:
        row = await it.run("linkedin_comment")
        assert "comments.csv, line 2: a post begins with urn:li:" in row.error
        assert "comments.csv, line 3: 1 columns and not 3" in row.error
        assert it.claude.requests == []


PRICES = '''
from runner import task
from runner.drafts import GitCommit

@task()
def prices():
    """Put a price into the site."""
    return GitCommit(path="data/prices.json", content='{"mug": 18}', message="Set a price")
'''


@pytest.fixture
def yard() -> Iterator[Path]:
    """A project that its children may enter, whoever they run as: git asks for that, on the remote's side."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git on this machine")
async def test_a_branch_that_moved_on_is_told_and_the_draft_comes_back(yard: Path) -> None:
    there = {"repository": "repositories/site.git", "author": "Studio <studio@example.com>"}
    async with rehearsal(yard, kinds={"git_commit": KindRule.model_validate(there)}) as it:
        it.drop("prices.py", PRICES)
        await it.run("prices")
        remote = make(yard, there["repository"])
        tree = git(remote, "rev-parse", "main^{tree}")
        moved = git(remote, "commit-tree", tree, "-p", "main", given="Another's work")
        git(remote, "update-ref", "refs/heads/main", moved)
        _, reason = await came_back(it, "prices")
        assert re.search(rf"main has moved on: origin has it at {moved[:10]}.*approve it again", reason)
        assert git(remote, "rev-parse", "main") == moved
