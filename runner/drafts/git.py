"""The git program, told what to do in one bare clone: nothing of the clone's starts a program, and nobody is asked."""

from __future__ import annotations

import asyncio
import base64
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runner.errors import NotDelivered

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = "repositories"  #: the only folder that holds clones
NAME = r"^[A-Za-z0-9_][A-Za-z0-9_-]*([./][A-Za-z0-9_-]+)*$"  #: of a branch, or of a remote
WITHIN_S = 60.0  #: of each thing that git is told
SHOWN = 500  #: characters of git's words that a complaint keeps
PROTOCOLS = "GIT_ALLOW_PROTOCOL"
FETCHED = "refs/runner"  #: where the clone keeps what the remote's branches were last

#: above the clone's own configuration, whatever that says
SAFE = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "credential.helper": "",
    "gc.auto": "0",
    "http.followRedirects": "false",  # else a token would follow
    "maintenance.auto": "false",
    "safe.directory": "*",  # the order says which folder, not git
}


class Refused(Exception):  # noqa: N818 - an answer, and no fault
    """The remote did not take what was pushed; the words are git's."""


@dataclass(frozen=True, slots=True)
class Git:
    """One clone, and the remote it speaks to."""

    folder: Path
    url: str
    environment: dict[str, str]

    @classmethod
    def of(cls, home: Path, repository: str, *, remote: str, author: str, login: Callable[[], str]) -> Git:
        """The clone at that path of the project; raises `NotDelivered` where there is none that is fit."""
        root, folder = (home / ROOT).resolve(), (home / repository).resolve()
        if not folder.is_relative_to(root):
            raise NotDelivered(f"{repository} leads out of {ROOT}/")
        if not (folder / "HEAD").is_file() or not (folder / "objects").is_dir():
            raise NotDelivered(
                f"{repository} is no bare clone; make one: git clone --bare ADDRESS {repository}"
            )
        url = _address(folder, remote)
        settings = dict(SAFE)
        if url.startswith("https://"):
            basic = base64.b64encode(login().encode()).decode()
            settings["http.extraHeader"] = f"Authorization: Basic {basic}"
        elif Path(url).is_absolute() and Path(url).resolve().is_relative_to(root):
            url = os.path.relpath(Path(url).resolve(), folder)  # as with GIT_DIR
        else:
            raise NotDelivered(
                f"{repository} has {url} as its {remote}: that is neither https:// nor a folder below {ROOT}/, "
                "and a delivery reaches no other"
            )
        return cls(folder, url, _environment(settings, author))

    async def fetched(self, branch: str) -> str:
        """The commit that the remote's branch is at, with all it stands on."""
        kept = f"{FETCHED}/{branch}"
        await self.run("fetch", "--quiet", "--no-tags", self.url, f"+refs/heads/{branch}:{kept}")
        return await self.run("rev-parse", "--verify", f"{kept}^{{commit}}")

    async def push(self, commit: str, tip: str, branch: str) -> None:
        """Make the commit the branch's newest there, if it is still at `tip`; raises `Refused`, or whatever `run` does."""
        lease = f"--force-with-lease=refs/heads/{branch}:{tip}"  # it is a child of that, so nothing is overwritten
        words = ("push", "--porcelain", "--no-verify", lease, self.url, f"{commit}:refs/heads/{branch}")
        code, said, complaint = await self._tell(words)
        refused = [line for line in said.splitlines() if line.startswith("!")]
        if refused:
            why = refused[0].rpartition("\t")[2]
            raise Refused(f"{why}: {complaint}"[:SHOWN])
        if code:
            raise RuntimeError(f"git push: {complaint[:SHOWN]}")

    async def run(self, *words: str, given: str = "", index: Path | None = None) -> str:
        """What git says to that; raises `RuntimeError` with its complaint, or `TimeoutError`."""
        code, said, complaint = await self._tell(words, given, index)
        if code:
            raise RuntimeError(f"git {words[0]}: {complaint[:SHOWN]}")
        return said

    async def _tell(
        self, words: tuple[str, ...], given: str = "", index: Path | None = None
    ) -> tuple[int, str, str]:
        more = {"GIT_INDEX_FILE": str(index)} if index else {}
        pipe = asyncio.subprocess.PIPE
        git = await asyncio.create_subprocess_exec(
            "git",
            *words,
            cwd=self.folder,
            env={**self.environment, **more},
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
        )
        try:
            async with asyncio.timeout(WITHIN_S):
                said, complaint = await git.communicate(given.encode())
        except TimeoutError:
            git.kill()
            await git.wait()
            raise TimeoutError(f"git {words[0]} took longer than {WITHIN_S:g} s") from None
        assert git.returncode is not None
        return (
            git.returncode,
            said.decode(errors="replace").strip(),
            complaint.decode(errors="replace").strip(),
        )


def _address(folder: Path, remote: str) -> str:
    """Where the clone pushes to; asked of git, since its configuration has ways of its own to say it."""
    import subprocess  # noqa: PLC0415 - only in the child that delivers

    command = ["git", "remote", "get-url", "--push", remote]
    try:
        asked = subprocess.run(  # noqa: S603 - no word of it is a model's
            command, cwd=folder, env=_environment(SAFE), capture_output=True, text=True, check=False
        )
    except FileNotFoundError as error:
        raise NotDelivered("git is not installed on this machine") from error
    if asked.returncode:
        raise NotDelivered(f"{folder.name}: {asked.stderr.strip()[:SHOWN]}")
    return asked.stdout.strip()


def _environment(settings: dict[str, str], author: str = "runner <runner@localhost>") -> dict[str, str]:
    name, _, address = author.removesuffix(">").partition(" <")
    told = {
        "GIT_DIR": ".",  # each command is begun there; git asks of no way there whether it may go it
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "false",
        PROTOCOLS: os.environ.get(PROTOCOLS, "file:https"),
        "GIT_CONFIG_COUNT": str(len(settings)),
    }
    told |= {
        f"GIT_{who}_{what}": said
        for who in ("AUTHOR", "COMMITTER")
        for what, said in (("NAME", name), ("EMAIL", address))
    }
    for number, (key, value) in enumerate(settings.items()):
        told |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    kept = {key: os.environ[key] for key in ("PATH", "HOME", "TMPDIR", "LANG") if key in os.environ}
    return kept | told
