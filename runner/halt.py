"""What a stop does to this process: kill first, then write down; and hear when it is over."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runner.stop import GRACE_S, sight
from runner.store import stops

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from runner.children import Children
    from runner.stop import Stop
    from runner.store.store import Store


@dataclass(slots=True)
class Halt:
    """Makes the guard of the doors, the children and the store agree on whether the runner is stopped."""

    stop: Stop
    store: Store
    children: Children
    soon: Callable[[], None]  #: told that there may be something to do
    recover: Callable[[], None]  #: puts on record what could not be while the store failed
    was_stopped: bool = False  #: and the modules were not read since
    loop: asyncio.AbstractEventLoop = field(init=False)  #: of the runner that is up

    def engage(self) -> None:
        """STOP was seen, by whatever thread: kill first, then write it down."""
        self.was_stopped = True
        self.children.kill_all()
        self.loop.call_soon_threadsafe(self._write_down)

    def _write_down(self) -> None:
        self.loop.call_later(GRACE_S, self._grace_is_over)
        self.soon()

    def _grace_is_over(self) -> None:
        if self.stop.reason is not None:
            self.children.kill_all(and_spared=True)

    def follow(self) -> None:
        """Make the guard and the store agree: a stop is put on record, a resume is heard."""
        with self.store.read() as connection:
            latch = stops.latched(connection)
        reason = self.stop.reason
        # read after the reason: a stop seen in between is not taken for the last one
        is_recorded = self.stop.is_recorded
        if latch is not None:
            self.stop.engage(latch.reason)
            self.stop.recorded = self.stop.times
        elif reason is not None and is_recorded and sight(self.stop.path) is None:
            self.stop.release()
            self.recover()  # what could not be put on record while the store failed
        elif reason is not None:
            # its first sight may come before its first word
            self.stop.explain(sight(self.stop.path) or reason)
            with self.store.change() as tx:
                stops.engage(tx, str(self.stop.reason), "the STOP file")
            self.stop.recorded = self.stop.times
