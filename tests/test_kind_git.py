"""A change of one file, committed and pushed: with real repositories."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from deliveries import KEY, check, deliver
from pydantic import ValidationError

from runner import NotDelivered
from runner.drafts import GitCommit
from runner.errors import DraftError
from runner.rehearsal.repository import git, make
from runner.tables import KindRule
from runner.testing import rehearsal

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="there is no git on this machine")

SITE = "repositories/site.git"
THERE: dict[str, Any] = {"repository": SITE, "author": "Studio <studio@example.com>"}
CHANGE = GitCommit(path="data/prices.json", content='{"a": 1}\n', message="Raise a price")


async def send(home: Path, draft: GitCommit = CHANGE, *, find: bool = False, **more: str) -> Any:
    return await deliver(draft, "", {**THERE, **more}, home=home, find=find)


def hook(remote: Path, name: str, line: str) -> None:
    path = remote / "hooks" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)


async def test_a_change_is_one_commit_on_the_remotes_branch(tmp_path: Path) -> None:
    remote = make(tmp_path, SITE)
    receipt = await send(tmp_path)
    assert git(remote, "rev-parse", "main") == receipt.id == git(tmp_path / SITE, "rev-parse", "main")
    assert git(remote, "show", "main:data/prices.json") == CHANGE.content.strip()
    assert git(remote, "show", "main:README.md").startswith("A repository")
    told = git(remote, "log", "-1", "--format=%an <%ae>|%B", "main")
    assert told == f"{THERE['author']}|{CHANGE.message}\n\nDelivery-Key: {KEY}"


async def test_one_change_can_follow_another(tmp_path: Path) -> None:
    remote = make(tmp_path, SITE)
    await send(tmp_path)
    await send(tmp_path, GitCommit(path="data/prices.json", content="{}", message="Lower it"))
    assert git(remote, "rev-list", "--count", "main") == "3"


async def test_a_branch_that_moved_on_is_told_and_nothing_is_pushed(tmp_path: Path) -> None:
    remote = make(tmp_path, SITE)
    other = make(tmp_path, "repositories/other.git")
    git(other, "push", str(remote), "main:elsewhere")
    tree = git(remote, "rev-parse", "main^{tree}")
    git(
        remote, "update-ref", "refs/heads/main", git(remote, "commit-tree", tree, "-p", "main", given="Other")
    )
    moved = git(remote, "rev-parse", "main")
    with pytest.raises(
        NotDelivered, match=rf"main has moved on: origin has it at {moved[:10]}.*approve it again"
    ):
        await send(tmp_path)
    assert git(remote, "rev-parse", "main") == moved
    git(tmp_path / SITE, "fetch", "origin", "main:main")
    await send(tmp_path)
    assert git(remote, "rev-parse", "main^") == moved


async def test_a_push_that_the_remote_refuses_is_certainly_not_delivered(tmp_path: Path) -> None:
    remote = make(tmp_path, SITE)
    hook(remote, "pre-receive", "echo no >&2; exit 1")
    with pytest.raises(NotDelivered, match=r"origin refused it: .*pre-receive hook declined"):
        await send(tmp_path)
    assert git(remote, "rev-list", "--count", "main") == "1"
    assert await send(tmp_path, find=True) is None


async def test_a_push_whose_answer_was_lost_is_found_on_the_branch(tmp_path: Path) -> None:
    remote = make(tmp_path, SITE)
    hook(remote, "reference-transaction", 'test "$1" != committed || kill -9 $PPID')
    with pytest.raises(RuntimeError, match="git push"):
        await send(tmp_path)
    (remote / "hooks" / "reference-transaction").unlink()
    assert git(remote, "rev-list", "--count", "main") == "2"
    assert git(tmp_path / SITE, "rev-list", "--count", "main") == "1"
    found = await send(tmp_path, find=True)
    assert found.id == git(remote, "rev-parse", "main") == git(tmp_path / SITE, "rev-parse", "main")


@pytest.mark.parametrize(
    "path",
    [
        "../x",
        "a/../x",
        ".git/config",
        "a/.git/hooks/x",
        ".github/workflows/x.yml",
        "/etc/x",
        "a//b",
        "-x",
        "a/",
        "x:y",
    ],
)
def test_a_path_never_leads_out_or_into_what_git_reads(path: str) -> None:
    with pytest.raises(ValidationError):
        GitCommit(path=path, content="", message="x")
    with pytest.raises(DraftError, match="path"):
        check(GitCommit.model_construct(path=path, content="", message="x"), THERE)


async def test_only_a_file_is_written_over(tmp_path: Path) -> None:
    remote = make(tmp_path, SITE)
    blob = git(remote, "hash-object", "-w", "--stdin", given="/etc/passwd")
    tree = git(remote, "mktree", given=f"120000 blob {blob}\tlink\n100644 blob {blob}\tfile\n")
    git(remote, "update-ref", "refs/heads/main", git(remote, "commit-tree", tree, "-p", "main", given="Link"))
    git(tmp_path / SITE, "fetch", "origin", "main:main")
    for path, words in (
        ("link", "is no file there"),
        ("link/x", "nothing was pushed"),
        ("file/x", "nothing was"),
    ):
        with pytest.raises(NotDelivered, match=words):
            await send(tmp_path, GitCommit(path=path, content="x", message="x"))
    with pytest.raises(NotDelivered, match="file is there already, exactly so"):
        await send(tmp_path, GitCommit(path="file", content="/etc/passwd", message="x"))
    assert git(remote, "rev-list", "--count", "main") == "2"


async def test_no_hook_of_the_clone_is_run(tmp_path: Path) -> None:
    make(tmp_path, SITE)
    for name in ("pre-push", "reference-transaction", "post-index-change", "pre-auto-gc"):
        hook(tmp_path / SITE, name, f"touch {tmp_path}/ran; exit 1")
    await send(tmp_path)
    assert not (tmp_path / "ran").exists()


async def test_a_clone_that_is_not_fit_is_told_before_anything_begins(tmp_path: Path) -> None:
    with pytest.raises(
        NotDelivered, match=r"no bare clone; make one: git clone --bare ADDRESS repositories/site\.git"
    ):
        await send(tmp_path)
    make(tmp_path, SITE)
    with pytest.raises(NotDelivered, match="nothing was pushed: git rev-parse"):
        await send(tmp_path, branch="other")
    with pytest.raises(NotDelivered, match="No such remote"):
        await send(tmp_path, remote="other")
    git(tmp_path / SITE, "remote", "set-url", "origin", "git@example.com:studio/site.git")
    with pytest.raises(NotDelivered, match="neither https:// nor a folder below repositories/"):
        await send(tmp_path)
    git(tmp_path / SITE, "remote", "set-url", "origin", "https://example.com/site.git")
    with pytest.raises(NotDelivered, match="GIT_TOKEN is not to be had"):
        await send(tmp_path)
    for name in ("../site", "repositories/../site", "/etc", "elsewhere/site"):
        with pytest.raises(DraftError, match="repository"):
            check(CHANGE, {**THERE, "repository": name})


TASK = '''
from runner import task
from runner.drafts import GitCommit

@task()
def price():
    """Raise a price."""
    return GitCommit(path="data/prices.json", content="{}", message="Raise a price")
'''


@pytest.fixture
def folder() -> Iterator[Path]:
    """A project that its children may enter, whoever they run as: git asks for that, on the remote's side."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        home.chmod(0o755)
        yield home


async def test_an_approved_change_is_pushed_by_a_sealed_child(folder: Path) -> None:
    async with rehearsal(folder, kinds={"git_commit": KindRule.model_validate(THERE)}) as it:
        it.drop("price.py", TASK)
        await it.run("price")
        draft = await it.draft()
        it.desk.approve(draft.held.id, draft.held.digest, "ann")
        delivered = await it.event("delivery.delivered")
        remote = folder / f"{SITE}.remote"
        assert git(remote, "rev-parse", "main") == delivered["receipt"]["id"]


async def test_in_a_rehearsal_no_remote_is_reached(tmp_path: Path) -> None:
    make(tmp_path, SITE)
    git(tmp_path / SITE, "remote", "set-url", "origin", "https://example.com/site.git")
    (tmp_path / ".env").write_text("GIT_TOKEN=a-long-token")
    async with rehearsal(tmp_path, kinds={"git_commit": KindRule.model_validate(THERE)}) as it:
        it.drop("price.py", TASK)
        await it.run("price")
        draft = await it.draft()
        it.desk.approve(draft.held.id, draft.held.digest, "ann")
        failed = await it.event("delivery.failed")
        assert "transport 'https' not allowed" in failed["reason"]
