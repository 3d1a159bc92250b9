"""Plants the bugs of bugs.toml, one by one, in a copy of the project, and names the test that notices each.

    python tests/planted/plant.py [WORD ...]

With words: only the bugs whose name or file holds one of them. One that none of the tests notices which its list names
is a hole in the tests, and the exit code is 1.
"""

from __future__ import annotations

import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import tomllib
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).parents[2]
BUGS = Path(__file__).with_name("bugs.toml")
AT_ONCE = 2  #: copies worked on at the same time
LONGEST_S = 900  #: a test run that takes longer has noticed something
LEFT_OUT = shutil.ignore_patterns(".git", ".hypothesis", ".*_cache", ".runner", ".coverage*", "STOP")


@dataclass(frozen=True, slots=True)
class Bug:
    """A slip of the hand, and where it should be noticed."""

    name: str
    promise: int
    file: str
    was: str
    becomes: str
    tests: tuple[str, ...]

    def planted(self, text: str) -> str:
        """The file's text with the bug in it; raises `ValueError` unless what it replaces stands there once."""
        if text.count(self.was) != 1:
            raise ValueError(f"{self.name}: its text stands {text.count(self.was)} times in {self.file}")
        return text.replace(self.was, self.becomes)


def bugs(words: Sequence[str] = ()) -> list[Bug]:
    """The bugs on the list whose name or file holds one of the words; all without words."""
    listed = tomllib.loads(BUGS.read_text(encoding="utf-8"))["bug"]
    found = [_bug(**each) for each in listed]
    return [bug for bug in found if not words or any(word in bug.name or word in bug.file for word in words)]


def _bug(*, tests: list[str], **rest: Any) -> Bug:
    return Bug(tests=tuple(tests), **rest)


@contextmanager
def copy() -> Iterator[Path]:
    """The project and its virtual environment, to be spoilt; files are shared until they are written."""
    with tempfile.TemporaryDirectory(prefix="planted-") as folder:
        place = Path(folder) / "project"
        shutil.copytree(ROOT, place, symlinks=True, ignore=LEFT_OUT, copy_function=_share)
        for file in [*(place / ".venv/bin").iterdir(), *place.glob(".venv/lib/*/site-packages/*.pth")]:
            _move_home(file, place)
        yield place


def _share(source: str, target: str) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)


def _move_home(file: Path, place: Path) -> None:
    """Have a script or a path file of the environment name the copy."""
    if file.is_symlink() or str(ROOT).encode() not in (body := file.read_bytes()):
        return
    mode = file.stat().st_mode
    file.unlink()
    file.write_bytes(body.replace(str(ROOT).encode(), str(place).encode()))
    file.chmod(mode)


def notice(place: Path, tests: Sequence[str]) -> str:
    """The first test that fails there; empty when none does."""
    python = str(place / ".venv/bin/python")
    command = [python, "-m", "pytest", "-x", "-q", "-rfE", "--no-header", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "HYPOTHESIS_STORAGE_DIRECTORY": str(place / ".hypothesis")}
    try:
        done = subprocess.run(
            command,
            cwd=place,
            capture_output=True,
            check=False,
            text=True,
            timeout=LONGEST_S,
            env=environment,
        )
    except subprocess.TimeoutExpired:
        return f"one of {', '.join(tests)}, which hung"
    if done.returncode == 0:
        return ""
    found = re.search(r"^(?:FAILED|ERROR) (tests/.+?)(?: - .*)?$", done.stdout, re.MULTILINE)
    return found[1] if found else f"pytest itself (exit code {done.returncode})\n{done.stdout[-2000:]}"


def caught(bug: Bug, place: Path) -> str:
    """The test that notices the bug, and passes without it; empty when none does."""
    file = place / bug.file
    whole = file.read_text(encoding="utf-8")
    spoilt = bug.planted(whole)
    try:
        _write(file, spoilt)
        by = next((by for tests in bug.tests if (by := notice(place, [tests]))), "")
    finally:
        _write(file, whole)
    return "" if by.startswith("tests/") and notice(place, [by]) else by


def _write(file: Path, text: str) -> None:
    file.unlink()  # it may be shared with the project
    file.write_text(text, encoding="utf-8")


def try_all(found: Sequence[Bug]) -> int:
    """Plant each, print what noticed it; how many went unnoticed."""
    places: queue.SimpleQueue[Path] = queue.SimpleQueue()
    printing = threading.Lock()

    def attempt(bug: Bug) -> bool:
        place = places.get()
        try:
            by = caught(bug, place)
        finally:
            places.put(place)
        with printing:
            sys.stdout.write(f"{bug.promise:>2}  {bug.name}\n    {by or 'NOT NOTICED'}\n")
            sys.stdout.flush()
        return bool(by)

    with copy() as first, copy() as second, ThreadPoolExecutor(AT_ONCE) as pool:
        places.put(first)
        places.put(second)
        return list(pool.map(attempt, found)).count(False)


def main() -> int:
    """Plant what was asked for."""
    found = bugs(sys.argv[1:])
    missed = try_all(found)
    sys.stdout.write(f"{len(found) - missed} of {len(found)} planted bugs caught\n")
    return 1 if missed or not found else 0


if __name__ == "__main__":
    sys.exit(main())
