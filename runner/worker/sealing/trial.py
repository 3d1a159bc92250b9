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

UNUSED = "wave"  #: a module of the standard library that nobody has imported yet


def main(yard: Path) -> None:
    """Lock this process in, work a little, try each way out; raises for what does not work, exits for what is open."""
    home, own = yard / "home", yard / "own"
    for folder in (home, own):
        folder.mkdir()
    os.chdir(own)
    canary = home / "canary"
    canary.write_text("a file of the owner's")
    with socket.create_server(("127.0.0.1", 0)) as there:
        port = there.getsockname()[1]
        seatbelt.restrict(readable(home, is_open=False), [str(own), NOWHERE], is_open=False)
        _work(own)
        found = tried({"canary": str(canary), "port": port, "pid": os.getppid()})
    sys.exit(", ".join(way for way, refusal in found if refusal is None) or 0)


def _work(own: Path) -> None:
    importlib.import_module(UNUSED)
    asyncio.run(asyncio.sleep(0))
    (own / "file").write_text("kept")
    if (own / "file").read_text() != "kept":
        raise OSError("what was written is not there")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
