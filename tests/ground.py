"""The ground that walks go over, made once for many: a loop, a folder, a zygote.

All that walks meet is real: `App` with its rooms, a SQLite file, the journal, the desk of another process, the Telegram
loop on a stand-in, deliveries and runs in sealed children over HTTP. What differs from `runner up`: one zygote serves
all walks (to start one costs more than a walk), nothing watches the folder or taps the runner (a walk does it, and
waits until all is quiet), the clock is set by hand, and whether an edit fits is told by the same function in this
process, not in a new interpreter.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from modules import three

from runner import settings
from runner.children import Children
from runner.fit import check_fields
from runner.review import desk
from runner.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

MEMORY = Path("/dev/shm")  #: a folder that no fsync slows down, where there is one
FILE = "walk.py"


class Ground:
    """What all walks share: a loop, a folder, a zygote."""

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="walks-", dir=MEMORY if MEMORY.is_dir() else None))
        self.loop = asyncio.new_event_loop()
        self.troubles: list[str] = []  #: what went wrong where nobody waited
        self.loop.set_exception_handler(lambda _, about: self.troubles.append(str(about)))
        self.settings = settings.load(self.home)
        self.children = Children(self.home / "STOP")
        self.modules: dict[int, Any] = {}  #: what was read of each version of the code, which costs a child
        self._blank = self.home / "blank.db"
        self._first = Store(f"sqlite:///{self._blank}")
        self._given = pytest.MonkeyPatch()
        # nothing here speaks TLS, and to read the usual certificates is slow
        self._given.delenv("SSL_CERT_FILE", raising=False)
        self._given.setenv("SSL_CERT_DIR", str(self.home))
        self._given.setattr(desk, "check_apart", check_fields)
        self.run(self._start())

    async def _start(self) -> None:
        self.children.start()
        self._first.open()
        self._first.close()

    def share(self, store: Store) -> None:
        """Have a store take the SQL that was written for others: to write it anew costs more than to run it."""
        for engine, first in (
            (store._engine, self._first._engine),
            (store._reading, self._first._reading),
        ):
            engine.dialect = first.dialect
            engine._compiled_cache = first._compiled_cache

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    def clear(self) -> None:
        """As it was before the first walk."""
        for path in (self.home / "STOP", self.home / ".runner", self.home / "logs"):
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        (self.home / ".runner").mkdir()
        shutil.copyfile(self._blank, self.home / ".runner" / "store.db")
        self.troubles.clear()
        self.write(0)

    def write(self, code: int) -> None:
        """Save that version of the kinds' code; in place, and dated by its number."""
        path = self.home / "tasks" / FILE
        path.parent.mkdir(exist_ok=True)
        path.write_text(three(code), encoding="utf-8")
        os.utime(path, (1_700_000_000 + code, 1_700_000_000 + code))

    def close(self) -> None:
        self.run(self.children.close())
        self.loop.close()
        self._given.undo()
        shutil.rmtree(self.home)


@pytest.fixture(scope="session")
def ground() -> Iterator[Ground]:
    found = Ground()
    yield found
    found.close()
