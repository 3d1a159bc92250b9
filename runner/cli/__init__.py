"""The command line: `runner`, one file for each group of commands, each imported when it is first needed."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

MARKS = ("tasks", "runner.toml", ".runner")  #: any of them makes a folder a project


def main() -> NoReturn:
    """Carry out the command that was typed; `stop` without importing anything heavy."""
    words = sys.argv[1:]
    if words[:1] == ["stop"] and words[1:2] not in (["-h"], ["--help"]):
        sys.exit(stop(" ".join(words[1:])))
    from runner.cli.commands import run

    sys.exit(run())


def stop(reason: str) -> int:
    """Write the STOP file; the runner that is up sees it in milliseconds, and one that starts later stays stopped."""
    from runner import stop as stops

    named = os.environ.get("RUNNER_HOME") or "."
    try:
        path = Path(named).resolve() / "STOP"
        if not any((path.parent / mark).exists() for mark in MARKS):
            return _refuse(
                f"there is no project in {path.parent}, so nothing was stopped; go to its folder", 2
            )
        stops.write(path, reason)
    except OSError as error:
        return _refuse(f"STOP can't be written in {named}: {error.strerror}. Kill the runner instead.", 1)
    words = f"STOP: {stops.sight(path)}. Nothing in {path.parent} runs or is delivered until `runner resume`."
    print(_plain(words))  # noqa: T201
    return 0


def _refuse(words: str, code: int) -> int:
    print(f"runner: {_plain(words)}", file=sys.stderr)  # noqa: T201
    return code


def _plain(text: str) -> str:
    """The text with all that a terminal may obey shown as escapes; dearer escapes would cost an import."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
