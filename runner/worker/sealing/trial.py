"""Trying macOS's sandbox on this machine, in a process that is there for nothing else: exits with 0 where it holds.

It must close every way out, and Python must still work inside.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import socket
import sys
from pathlib import Path

from runner.worker.probe import tried
from runner.worker.sealing import seatbelt
from runner.worker.sealing.places import NOWHERE, readable

FILES = (
    "read a file of yours",
    "write a file of yours",
    "remove a file of yours",
    "list the project's folder",
)
WHERE_OPEN = (
    "connect by TCP",
    "begin a program",
    "begin another process",
)  #: what open tasks and deliveries need
UNUSED = "wave"  #: a module of the standard library that nobody has imported yet


def main(which: str, yard: Path) -> None:
    """Lock this process in, work a little, try each way out; raises for what does not work, exits for what is wrong."""
    is_open = which == "open"
    home, own = yard / "home", yard / "own"
    for folder in (home, own):
        folder.mkdir()
    os.chdir(own)
    canary = home / "canary"
    canary.write_text("a file of the owner's")
    with socket.create_server(("127.0.0.1", 0)) as there:
        port = there.getsockname()[1]
        seatbelt.restrict(readable(home, is_open=is_open), [str(own), NOWHERE], is_open=is_open)
        _work(own)
        found = dict(tried({"canary": str(canary), "port": port, "pid": os.getppid()}))
    closed = FILES if is_open else found
    wrong = [f"can {way}" for way in closed if found[way] is None]
    wrong += [f"can't {way}: {found[way]}" for way in WHERE_OPEN if is_open and found[way] is not None]
    sys.exit("; ".join(wrong) or 0)


def _work(own: Path) -> None:
    importlib.import_module(UNUSED)
    asyncio.run(asyncio.sleep(0))
    (own / "file").write_text("kept")
    if (own / "file").read_text() != "kept":
        raise OSError("what was written is not there")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
