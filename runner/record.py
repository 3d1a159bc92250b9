"""Putting on record what a command changed, whether a runner is up or not."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from runner import stop, wake
from runner.errors import JournalError
from runner.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runner.store.store import Store


@contextmanager
def written(store: Store, home: Path) -> Iterator[None]:
    """Put on record what a command changes: in the files at once, or by the runner that is up, which is woken.

    Raises `JournalError` before anything is changed when the files can't be written. When that shows only afterwards,
    it stops everything: what was changed must not have its effect unrecorded.
    """
    _sync(store, home)
    try:
        yield
    finally:
        try:
            _sync(store, home)
        except JournalError as error:
            raise JournalError(f"{error}. {_stopped(home, str(error))}") from error
        finally:
            wake.tap(home / ".runner" / "wake")


def _sync(store: Store, home: Path) -> None:
    journal = Journal(home / "logs", store)
    if journal.open():
        try:
            journal.sync()
        finally:
            journal.close()


def _stopped(home: Path, reason: str) -> str:
    """Stop everything; what to say of that."""
    try:
        stop.write(home / "STOP", reason)
    except OSError as error:
        return f"STOP can't be written either ({error.strerror}): kill the runner"
    return "What was asked for may be done though it is not on record, so all is stopped now; mend that, then: runner resume"
