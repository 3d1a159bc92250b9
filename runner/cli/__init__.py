"""The command line: `runner`, one file for each group of commands, each imported when it is first needed."""

from __future__ import annotations

import os
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Carry out the command that was typed; `stop` without importing anything heavy."""
    words = sys.argv[1:]
    if words[:1] == ["stop"] and not any(word.startswith("-") for word in words):
        sys.exit(stop(" ".join(words[1:])))
    from runner.cli.commands import run

    sys.exit(run())


def stop(reason: str) -> int:
    """Write the STOP file; the runner that is up sees it in milliseconds, and one that starts later stays stopped."""
    from pathlib import Path

    from runner import stop as stops

    path = Path(os.environ.get("RUNNER_HOME") or Path.cwd()) / "STOP"
    try:
        stops.write(path, reason)
    except OSError as error:
        print(f"runner: {path} can't be written: {error.strerror}. Kill the runner instead.", file=sys.stderr)  # noqa: T201
        return 1
    print(f"STOP: {stops.sight(path)}. Nothing runs or is delivered until `runner resume`.")  # noqa: T201
    return 0
