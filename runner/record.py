"""Putting on record what a command changed, whether a runner is up or not."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from runner import wake
from runner.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runner.store.store import Store


@contextmanager
def written(store: Store, home: Path) -> Iterator[None]:
    """Put on record what a command changes: in the files at once, or by the runner that is up, which is woken."""
    try:
        yield
    finally:
        journal = Journal(home / "logs", store)
        if journal.open():
            try:
                journal.sync()
            finally:
                journal.close()
        wake.tap(home / ".runner" / "wake")
