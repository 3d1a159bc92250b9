"""A stand-in for a git remote: a real bare repository below the rehearsal's own folder, and a clone of it."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

WHO = {
    f"GIT_{who}_{what}": "rehearsal@localhost"
    for who in ("AUTHOR", "COMMITTER")
    for what in ("NAME", "EMAIL")
}
FIRST = "A repository of a rehearsal.\n"


def make(home: Path, repository: str, branch: str = "main", remote: str = "origin") -> Path:
    """The remote, with one file on its branch, and the clone at that path of the project; one that is there stays."""
    clone = home / repository
    there = clone.with_name(f"{clone.name}.remote")
    if clone.exists():
        return there
    there.mkdir(parents=True)
    git(there, "init", "--quiet", "--bare", f"--initial-branch={branch}")
    blob = git(there, "hash-object", "-w", "--stdin", given=FIRST)
    tree = git(there, "mktree", given=f"100644 blob {blob}\tREADME.md\n")
    git(there, "update-ref", f"refs/heads/{branch}", git(there, "commit-tree", tree, given="Begin"))
    git(there, "clone", "--quiet", "--bare", f"--origin={remote}", str(there), str(clone))
    return there


def git(folder: Path, *words: str, given: str = "") -> str:
    """What git says to that in the folder; raises `subprocess.CalledProcessError`."""
    known = {**os.environ, **WHO, "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null"}
    told = subprocess.run(  # noqa: S603 - a stand-in's own words
        ["git", "-c", "safe.directory=*", *words],  # noqa: S607 - whichever git there is
        cwd=folder,
        env=known,
        input=given,
        capture_output=True,
        text=True,
        check=True,
    )
    return told.stdout.strip()
