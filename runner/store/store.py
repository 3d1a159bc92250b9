"""The store itself: opening it, and the transactions in which everything changes."""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import (
    Connection,
    Engine,
    bindparam,
    create_engine,
    event,
    func,
    insert,
    make_url,
    select,
    text,
)
from sqlalchemy.exc import ArgumentError, DatabaseError, IntegrityError

from runner.clock import Clock, stamp
from runner.errors import StoreError
from runner.store.migrations import migrate
from runner.store.schema import drafts, events

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

_TELL = insert(events)
_AFTER = (
    select(events.c.seq, events.c.body)
    .where(events.c.seq > bindparam("after"))
    .order_by(events.c.seq)
    .limit(bindparam("most"))
)
_NEWEST = select(func.coalesce(func.max(events.c.seq), 0))
ALPHABET = "23456789abcdefghjkmnpqrstvwxyz"  #: of ids; without what is easily misread
BUSY_MS = 30_000
WAY_ON = (
    "Nothing was changed. The journal in logs/ tells all that happened; move the store away to start with an empty one, "
    "or put a back-up in its place"
)
PUT_BACK = "the store was put back: it knows of event {mine} and the journal of {seq}; look in logs/ what was done since"


def new_id() -> str:
    """An id for a run or a draft: ten letters and digits, 49 random bits."""
    return "".join(secrets.choice(ALPHABET) for _ in range(10))


@dataclass(frozen=True, slots=True)
class Transaction:
    """One transaction: its connection, its instant, and the events that are committed with it."""

    connection: Connection
    now: datetime
    is_rehearsal: bool = False  #: then each event says so

    def tell(self, name: str, /, *, level: str = "info", **details: Any) -> None:
        """Put an event on record with this transaction; details that are None are left out."""
        details["rehearsal"] = self.is_rehearsal or None
        known = {key: value for key, value in details.items() if value is not None}
        body = {"ts": stamp(self.now), "event": name, "level": level, **known}
        self.connection.execute(_TELL, {"body": _written(body)})


class Store:
    """The truth, in one database. Committing is what makes a thing so."""

    def __init__(self, url: str, clock: Clock | None = None, *, is_rehearsal: bool = False) -> None:
        self.clock = clock or Clock()
        self.url = url
        self.is_rehearsal = is_rehearsal
        self.committed: Callable[[], None] = _nobody  #: called after each change that was made here
        self._engine = _engine(url)
        self._reading = _reading(url)

    def open(self) -> None:
        """Create or upgrade the tables. Raises `StoreError` when the database can't be used."""
        file = make_url(self.url).database
        try:
            if file:
                Path(file).parent.mkdir(parents=True, exist_ok=True)
            with self._engine.begin() as connection:
                migrate(connection)
        except (DatabaseError, OSError) as error:
            reason = getattr(error, "orig", None) or error
            raise StoreError(f"the store {file} can't be used: {reason}. {WAY_ON}") from error

    @contextmanager
    def change(self) -> Iterator[Transaction]:
        """A transaction that writes: committed as a whole at the end, or not at all."""
        with self._said(), self._engine.begin() as connection:
            yield Transaction(connection, self.clock.now(), self.is_rehearsal)
        self.committed()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that only reads, and never waits for a writer."""
        with self._said(), self._reading.connect() as connection:
            yield connection

    @contextmanager
    def _said(self) -> Iterator[None]:
        """The database's own troubles in the owner's words."""
        try:
            yield
        except IntegrityError:
            raise  # a guard that held, which is its caller's to understand
        except DatabaseError as error:
            file = make_url(self.url).database
            raise StoreError(
                f"the store {file} can't be used now: {error.orig}. What was not said to be done was not done"
            ) from error

    def tell(self, name: str, /, *, level: str = "info", **details: Any) -> None:
        """Put an event on record by itself."""
        with self.change() as tx:
            tx.tell(name, level=level, **details)

    def version(self) -> int:
        """A number that changes when another process has committed."""
        # asked where this one writes: a connection that reads would tell of our own changes too
        with self._said(), self._engine.connect() as connection:
            unlocked = connection.execution_options(isolation_level="AUTOCOMMIT")
            number: int = unlocked.execute(text("PRAGMA data_version")).scalar_one()
            return number

    def last_seq(self) -> int:
        """The number of the newest event; 0 when there is none."""
        with self.read() as connection:
            return self.last_seq_in(connection)

    def last_seq_in(self, connection: Connection) -> int:
        """The same, as a transaction sees it."""
        newest: int = connection.execute(_NEWEST).scalar_one()
        return newest

    def events_after(self, seq: int, limit: int = 1000) -> list[tuple[int, str]]:
        """The next events in order: their numbers and their JSON."""
        with self.read() as connection:
            found = connection.execute(_AFTER, {"after": seq, "most": limit})
            return [(row.seq, row.body) for row in found]

    def prune(self, through: int) -> None:
        """Forget the events up to that number: they are in the journal, which is their place."""
        with self._said(), self._engine.begin() as connection:
            connection.execute(events.delete().where(events.c.seq <= through))

    def newest_events(self, count: int) -> list[dict[str, Any]]:
        """The last so many events, in order."""
        query = select(events.c.body).order_by(events.c.seq.desc()).limit(count)
        with self.read() as connection:
            return [orjson.loads(body) for body in reversed(list(connection.execute(query).scalars()))]

    def continue_after(self, seq: int) -> None:
        """Number the next event above `seq`: the journal is ahead, so the store was lost, or put back.

        One with drafts was put back, and is stopped: what it holds as approved may long have been delivered.
        """
        from runner.store import stops  # noqa: PLC0415 - hardly ever needed

        with self.change() as tx:
            mine = self.last_seq_in(tx.connection)
            tx.connection.execute(insert(events).values(seq=seq, body=""))
            tx.connection.execute(events.delete().where(events.c.seq == seq, events.c.body == ""))
            if tx.connection.execute(select(drafts.c.id).limit(1)).first():
                stops.engage(tx, PUT_BACK.format(mine=mine, seq=seq), "the store")

    def check(self) -> None:
        """Look for damage; raises `StoreError` when there is some."""
        with self.read() as connection:
            found = connection.execute(text("PRAGMA quick_check(1)")).scalar_one()
        if found != "ok":
            raise StoreError(f"the store {make_url(self.url).database} is damaged: {found}. {WAY_ON}")

    def close(self) -> None:
        """Let go of every connection."""
        self._reading.dispose()
        self._engine.dispose()


def _written(body: dict[str, Any]) -> str:
    """The event as JSON; a detail that JSON has no words for is told as Python writes it, so that none is lost."""
    try:
        return orjson.dumps(body, default=str).decode()
    except TypeError:
        plain = {_legible(key): _plain(value) for key, value in body.items()}
        return orjson.dumps(plain, default=str).decode()


def _plain(value: Any) -> Any:
    try:
        orjson.dumps(value, default=str)
    except TypeError:
        try:
            return _legible(value) if isinstance(value, str) else ascii(value)
        except Exception:  # noqa: BLE001 - a value of anybody's may do anything when it is asked
            return f"<{type(value).__name__}>"
    return value


def _legible(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _nobody() -> None:
    """Nobody waits for changes."""


def _engine(url: str) -> Engine:
    """What writes."""
    engine = _opened(url, "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # a writer takes its lock at once, so that what it read cannot change before it writes
        if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _reading(url: str) -> Engine:
    """What reads, and can do nothing else."""
    return _opened(url, "query_only=ON", isolation_level="AUTOCOMMIT", pool_reset_on_return=None)


def _opened(url: str, *pragmas: str, **how: Any) -> Engine:
    arguments = {"timeout": BUSY_MS / 1000, "check_same_thread": False}
    try:
        if not url.startswith("sqlite"):
            kind = make_url(url).drivername  # the rest may hold a password in more than one place
            raise StoreError(f"RUNNER_DATABASE_URL names {kind}: only sqlite:///… works so far")
        engine = create_engine(url, connect_args=arguments, pool_use_lifo=True, **how)
    except (ArgumentError, TypeError, ValueError):
        raise StoreError("RUNNER_DATABASE_URL is no address of a database; write sqlite:///…") from None

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, record: Any) -> None:
        connection.isolation_level = None  # we begin and commit ourselves
        for pragma in (f"busy_timeout={BUSY_MS}", *pragmas):
            connection.execute(f"PRAGMA {pragma}")

    return engine
