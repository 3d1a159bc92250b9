"""macOS's own sandbox: what a process, and all that it starts, may read, write, reach and begin.

Who wrote this profile had no Mac. So it is used only where that very machine has shown that it closes each way out and
leaves Python at work, `fault` has it tried, and even there no task is called sealed.
"""

from __future__ import annotations

import ctypes
import functools
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from runner.worker import BARE
from runner.worker.sealing.kernel import libc

if TYPE_CHECKING:
    from collections.abc import Iterable

#: where macOS and its package managers keep what programs and libraries are made of
SYSTEM = (
    *("/System/Library", "/System/Volumes/Preboot/Cryptexes", "/Library/Apple", "/private/var/db/timezone"),
    *("/opt/homebrew/Cellar", "/opt/homebrew/lib", "/usr/local/Cellar", "/opt/local/lib"),
)
ALWAYS = ("file-read-metadata", "sysctl-read", "process-info* (target self)", "signal (target self)")
WHERE_OPEN = (
    *("network*", "system-socket", "process-exec", "process-fork", "mach-lookup", "ipc-posix*"),
    *("signal (target same-sandbox)", 'file-read* (literal "/")'),
)
TRIAL = ("-I", "-m", "runner.worker.sealing.trial")
TRIAL_S = 30.0  #: within which the trial must have ended


def profile(reads: Iterable[str], writes: Iterable[str], *, is_open: bool) -> str:
    """The rules, in the sandbox's own language: what is not allowed is refused."""
    allowed = [
        *ALWAYS,
        f"file-read* file-map-executable {_places([*SYSTEM, *reads])}",
        f"file-read* file-write* {_places(writes)}",
        *(WHERE_OPEN if is_open else ()),
    ]
    return "\n".join(["(version 1)", "(deny default)", *(f"(allow {each})" for each in allowed)])


def restrict(reads: Iterable[str], writes: Iterable[str], *, is_open: bool) -> None:
    """Close everything else, for this process and all it starts, for ever; raises `OSError` when refused.

    A task can put a link in its folder's place: what that leads to is not opened to its next run.
    """
    writes = list(writes)
    if links := [path for path in writes if Path(path).is_symlink()]:
        raise OSError(f"{links[0]} is a link, and must be a folder: remove it")
    why = ctypes.c_char_p()
    rules = profile(reads, writes, is_open=is_open).encode()
    if libc.sandbox_init(rules, ctypes.c_uint64(0), ctypes.byref(why)):
        raise OSError(f"macOS refuses the sandbox: {(why.value or b'').decode(errors='replace')}")


@functools.cache
def fault() -> str:
    """What was found wrong when a process locked itself in, as sealed tasks are and as open ones; empty where nothing was.

    Asked once; where it is empty, the sandbox is used.
    """
    return _fault("sealed") or _fault("open")


def _fault(which: str) -> str:
    try:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as yard:
            done = subprocess.run(  # noqa: S603 - our own interpreter and module
                [sys.executable, *TRIAL, which, yard],
                env=BARE,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                start_new_session=True,  # whoever leads a session can't leave its group: no sandbox closes that way
                timeout=TRIAL_S,
                check=False,
            )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"it could not be tried: {error}"
    if not done.returncode:
        return ""
    said = done.stderr.decode(errors="replace").strip().splitlines() or [f"it ended by {done.returncode}"]
    return f"{which} tasks: {said[-1]}"


def _places(paths: Iterable[str]) -> str:
    """The filter for these files, and for all that is below them: by their real paths, as the sandbox sees them."""
    real = dict.fromkeys(os.path.realpath(path) for path in paths)
    return " ".join(f'(subpath "{_escaped(path)}")' for path in real)


def _escaped(path: str) -> str:
    return path.replace("\\", "\\\\").replace('"', '\\"')
