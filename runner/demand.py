"""Runs on demand: refused in words where they must not begin, whoever asks for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.errors import RunError, StoppedError
from runner.stop import sight
from runner.store import runs, slots, stops, waiting
from runner.store.store import new_id

if TYPE_CHECKING:
    from runner.catalog import Catalog
    from runner.stop import Stop
    from runner.store.store import Store


def submit(store: Store, stop: Stop, catalog: Catalog, name: str, number: str | None = None) -> str:
    """Queue a run; its id, which is `number` if one is given. Raises `RunnerError` when the task must not run now."""
    number = number or new_id()
    stop.look()  # before the transaction, since what is done at its first sight may be one itself
    with store.change() as tx:
        latch = stops.latched(tx.connection)
        reason = latch.reason if latch else stop.reason or sight(stop.path)
        if reason is not None:
            raise StoppedError(f"stopped ({reason}): no run begins; let it go again: runner resume")
        task = catalog.task(name)
        if task.name in slots.paused(tx.connection):
            raise RunError(f"{task.name} is paused; unpause it first: runner unpause {task.name}")
        count, most = waiting.count(tx.connection, task.name), task.limits.max_pending
        if most and count >= most:
            raise RunError(
                f"{count} drafts of {task.name} wait already (max_pending={most}); decide on them first: runner pending"
            )
        if not runs.exists(tx.connection, number):
            runs.add(tx, number, task.name)
    return number
