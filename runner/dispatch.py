"""Whose turn it is: starts the queued runs that may start now, oldest first."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runner.clock import parse, stamp
from runner.errors import GoneError
from runner.store import runs, slots

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping
    from datetime import datetime

    from sqlalchemy import Row

    from runner.catalog import Declared
    from runner.stop import Stop
    from runner.store.store import Store, Transaction

#: runs that are claimed in one transaction, so that a tap never waits long; its commit looks again
AT_ONCE = 3


@dataclass(slots=True)
class Dispatch:
    """At most `most` runs at a time; one of each task; one of all that use the same thing."""

    store: Store
    stop: Stop
    find: Callable[[str], Declared]  #: the task of that name; raises `GoneError` when there is none
    begin: Callable[[Transaction, str, Declared], Any]  #: claims a run; None when somebody was faster
    carry_out: Callable[[Any], Awaitable[None]]  #: makes the attempt that was claimed
    most: int
    soon: Callable[[], None]  #: has `look` called once the loop is free: whoever waited may have its turn
    _running: dict[str, Declared] = field(default_factory=dict)  #: by run
    _work: set[asyncio.Task[None]] = field(default_factory=set)
    _timer: asyncio.TimerHandle | None = None
    _is_closed: bool = False

    @property
    def running(self) -> Collection[str]:
        """The runs that are under way here."""
        return self._running.keys()

    @property
    def _is_full(self) -> bool:
        return len(self._running) >= self.most

    def look(self) -> None:
        """Start what may start; end what never will."""
        if self._is_closed or self._is_full or self.stop.look():  # whoever ends looks again
            return
        with self.store.read() as connection:
            waiting = runs.queued(connection)
            paused = slots.paused(connection) if waiting else {}
        if not waiting:
            return
        self._wait_for([run.not_before for run in waiting if run.not_before])
        parked = {run.task for run in waiting if run.parked}
        chosen: dict[str, Declared] = {}
        try:
            for run in waiting:
                if len(chosen) == AT_ONCE or self._is_full:
                    break
                if (task := self._choose(run, paused, parked)) is not None:
                    chosen[run.id] = self._running[run.id] = task
            if chosen:
                self._start(chosen)
        except BaseException:
            for name in chosen:
                del self._running[name]
            raise

    def _choose(self, run: Row[Any], paused: dict[str, str], parked: set[str]) -> Declared | None:
        """The task of a run that may start now; None when it may not."""
        is_early = run.not_before and run.not_before > stamp(self.store.clock.now())
        # a person asked for a revision; it is theirs, and it leaves run.state alone
        is_barred = not run.revises and (run.task in paused or run.task in parked)
        if run.parked or is_early or run.id in self._running or is_barred:
            return None
        try:
            task = self.find(run.task)
        except GoneError as error:
            with self.store.change() as tx:
                runs.finish(tx, run.id, "error", str(error), was="queued")
            return None
        return task if self._is_free(task) else None

    def _is_free(self, task: Declared) -> bool:
        taken = {thing for other in self._running.values() for thing in other.limits.uses}
        is_under_way = any(other.name == task.name for other in self._running.values())
        return not is_under_way and taken.isdisjoint(task.limits.uses)

    def _start(self, chosen: Mapping[str, Declared]) -> None:
        """Claim them all in one transaction, then begin."""
        with self.store.change() as tx:
            claimed = {run: self.begin(tx, run, task) for run, task in chosen.items()}
        for run, attempt in claimed.items():
            work = asyncio.get_running_loop().create_task(self._carry_out(run, attempt))
            self._work.add(work)
            work.add_done_callback(self._work.discard)

    async def _carry_out(self, run: str, attempt: Any) -> None:
        try:
            if attempt is not None:
                await self.carry_out(attempt)
        finally:
            del self._running[run]
            self.soon()

    def _wait_for(self, hours: list[str]) -> None:
        """Look again when the next of these hours has come."""
        if self._timer is not None:
            self._timer.cancel()
        now = self.store.clock.now()
        if later := [hour for hour in hours if hour > stamp(now)]:
            self._timer = asyncio.get_running_loop().call_later(_seconds(now, min(later)), self.soon)

    async def close(self) -> None:
        """Cut off what is under way, and wait until it is over."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        for work in self._work:
            work.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)


def _seconds(now: datetime, hour: str) -> float:
    return max(0.0, (parse(hour) - now).total_seconds()) + 0.001
