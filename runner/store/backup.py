"""A copy of the store, made while others use it, which delivers nothing by itself once it is put back."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from runner.store import stops
from runner.store.store import Store

if TYPE_CHECKING:
    from pathlib import Path

BY = "the back-up"


def copy(store: Store, path: Path) -> None:
    """Copy the store into the file `path`, checked and stopped. Raises `StoreError` when it is damaged.

    Stopped, since nobody can tell what was delivered between the copy and its being put back.
    """
    with store.read() as connection, closing(sqlite3.connect(path)) as target:
        source = connection.connection.driver_connection
        assert isinstance(source, sqlite3.Connection)
        source.backup(target)
    copied = Store(f"sqlite:///{path}", store.clock)
    try:
        copied.check()
        with copied.change() as tx:
            reason = (
                f"this is the back-up of {tx.now:%Y-%m-%d %H:%M} UTC: what was done later it does not know"
            )
            stops.engage(tx, reason, BY)
    finally:
        copied.close()
