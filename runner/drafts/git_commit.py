"""A change of one file, committed to a branch and pushed: in a bare clone below repositories/, with no file checked out."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from runner.draft import Draft
from runner.drafts.git import NAME, ROOT, Git, Refused
from runner.errors import NotDelivered

if TYPE_CHECKING:
    from runner.worker.deliver import Delivery, Receipt

TOKEN = "GIT_TOKEN"  # noqa: S105 - the name of a secret
CONTENT_MAX = 1_000_000
MESSAGE_MAX = 5_000

#: letters, digits and a few marks; no part begins with a dot, so that neither .. nor .git nor .github is one
PATH = r"^[A-Za-z0-9_]([A-Za-z0-9_. -]*[A-Za-z0-9_-])?(/[A-Za-z0-9_]([A-Za-z0-9_. -]*[A-Za-z0-9_-])?)*$"
AUTHOR = r"^[^<>\x00-\x1f]+ <[^<>\s]+@[^<>\s]+>$"
FILE = "100644"  #: git's word for a file that is no program
MODES = (FILE, "100755")
TRAILER = "Delivery-Key"


class Clone(BaseModel):
    """Where commits go, and in whose name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    repository: str = Field(
        pattern=rf"^{ROOT}/[A-Za-z0-9_][A-Za-z0-9_.-]*$",
        description="made by `git clone --bare`",
        examples=["repositories/site.git"],
    )
    branch: str = Field(default="main", pattern=NAME, description="what commits are added to")
    remote: str = Field(
        default="origin",
        pattern=NAME,
        description="what they are pushed to: https with GIT_TOKEN, or a folder below repositories/",
    )
    author: str = Field(
        pattern=AUTHOR, description="in whose name", examples=["The studio <studio@example.com>"]
    )
    user: str = Field(
        default="git", pattern=r"^[^:\s]+$", description="beside GIT_TOKEN, where the remote asks for one"
    )


class GitCommit(Draft):
    """One file of the repository that the settings name, with `content` as all of it: new, or in place of what it was."""

    path: Annotated[str, Field(pattern=PATH, max_length=300)]
    content: Annotated[str, Field(max_length=CONTENT_MAX)]
    message: Annotated[str, Field(min_length=1, max_length=MESSAGE_MAX, pattern=r"\S")]

    settings: ClassVar = Clone
    secrets: ClassVar[tuple[str, ...]] = (TOKEN,)
    writes: ClassVar[tuple[str, ...]] = (ROOT,)

    async def deliver(self, delivery: Delivery) -> Receipt:
        """Commit on top of the branch as this clone has it, and push; refused where the remote's has moved on."""
        git = _git(delivery)
        try:
            tip = await self._tip(git, delivery.settings)
            with tempfile.TemporaryDirectory() as scratch:
                commit = await self._commit(git, tip, delivery.key, Path(scratch) / "index")
        except (RuntimeError, TimeoutError) as error:
            raise NotDelivered(f"nothing was pushed: {error}") from error
        try:
            await git.push(commit, tip, delivery.settings.branch)
        except Refused as error:
            raise NotDelivered(f"{delivery.settings.remote} refused it: {error}") from error
        return await _pushed(git, commit, delivery.settings.branch)

    async def find(self, delivery: Delivery) -> Receipt | None:
        """The commit on the remote's branch that names the key."""
        git, branch = _git(delivery), delivery.settings.branch
        tip = await git.fetched(branch)
        wanted = f"--grep=^{TRAILER}: {delivery.key}$"
        found = await git.run("log", "--format=%H", "--max-count=1", wanted, tip)
        return await _pushed(git, found, branch) if found else None

    async def _tip(self, git: Git, there: Clone) -> str:
        """The commit that the branch is at, here and there; raises `NotDelivered` when they differ."""
        here = await git.run("rev-parse", "--verify", f"refs/heads/{there.branch}^{{commit}}")
        beyond = await git.fetched(there.branch)
        if here != beyond:
            where, branch, remote = there.repository, there.branch, there.remote
            raise NotDelivered(
                f"{branch} has moved on: {remote} has it at {beyond[:10]}, and {where} at {here[:10]}; see what changed, "
                f"then: git -C {where} fetch {remote} {branch}:{branch}, and approve it again"
            )
        return here

    async def _commit(self, git: Git, tip: str, key: str, index: Path) -> str:
        """The commit, made of objects alone: no file is checked out, and none of the clone's is touched."""
        mode = (await git.run("ls-tree", tip, "--", self.path)).partition(" ")[0] or FILE
        if mode not in MODES:
            raise NotDelivered(
                f"{self.path} is no file there, but a folder, a link or a repository of its own"
            )
        blob = await git.run("hash-object", "-w", "--stdin", given=self.content)
        await git.run("read-tree", tip, index=index)
        await git.run("update-index", "--add", "--cacheinfo", f"{mode},{blob},{self.path}", index=index)
        tree = await git.run("write-tree", index=index)
        if tree == await git.run("rev-parse", f"{tip}^{{tree}}"):
            raise NotDelivered(f"{self.path} is there already, exactly so")
        words = f"{self.message.strip()}\n\n{TRAILER}: {key}\n"
        return await git.run("commit-tree", tree, "-p", tip, given=words)


def _git(delivery: Delivery) -> Git:
    there: Clone = delivery.settings
    return Git.of(
        delivery.home,
        there.repository,
        remote=there.remote,
        author=there.author,
        login=lambda: f"{there.user}:{delivery.secret(TOKEN)}",
    )


async def _pushed(git: Git, commit: str, branch: str) -> Receipt:
    """The receipt for a commit that is there; the branch of this clone follows, if it was where the commit began."""
    from runner.worker.deliver import Receipt  # noqa: PLC0415 - only in the child that delivers

    with suppress(RuntimeError, TimeoutError):  # it is delivered all the same
        await git.run("update-ref", f"refs/heads/{branch}", commit, f"{commit}^")
    return Receipt(id=commit, detail=f"{branch} {commit[:10]}")
