"""Keeps looking where nothing taps: the folder, the store, the batches. Whatever goes wrong with one look, the next is made."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runner.catalog import News
from runner.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runner.catalog import Catalog
    from runner.halt import Halt
    from runner.patience import Patience
    from runner.store.store import Store

LOOK_S = 1.0  #: how often to look


@dataclass(slots=True)
class Watcher:
    """Looks, for ever, and hands on what it sees."""

    catalog: Catalog
    database: Store
    halt: Halt
    patience: Patience
    take: Callable[[News], None]  #: told what changed in tasks/
    soon: Callable[[], None]  #: told that there may be something to do
    say: Callable[..., None]  #: for diagnostics
    _said: set[str] = field(default_factory=set)  #: what went wrong, each told once

    async def folder(self) -> None:
        """Take what changes in the folder; whatever goes wrong with one change, the next is seen."""
        while True:
            with self.surviving("tasks/ could not be looked at"):
                self.take(News())  # what an iteration that failed left undone
                async with aclosing(self.catalog.watch()) as changes:
                    async for news in changes:
                        self.take(news)
            await asyncio.sleep(LOOK_S)

    async def batches(self) -> None:
        """See to what waits at Claude's."""
        while True:
            with self.surviving("batches could not be seen to"):
                await self.patience.work()
            await asyncio.sleep(LOOK_S)

    async def store(self) -> None:
        """Look around when another process has committed, or a stop is not on record."""
        version = -1
        while True:
            await asyncio.sleep(LOOK_S)
            with self.surviving("the store could not be looked at"):
                has_changed = version != (version := self.database.version())
                if has_changed or not self.halt.stop.is_recorded:
                    self.soon()

    @contextmanager
    def surviving(self, what: str) -> Iterator[None]:
        """Say what went wrong, once for the same thing, and let whoever watches go on; a lost store is for STOP."""
        try:
            yield
        except StoreError as error:
            self.halt.stop.engage(str(error))
        except Exception as error:  # noqa: BLE001 - a watcher that ended would leave the runner blind
            words = f"{what}: {type(error).__name__}: {error}"
            if words not in self._said:
                self._said.add(words)
                self.say("error", words)
