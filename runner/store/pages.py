"""What each task got of the web when a run of it last came to its end, so that it need not be sent again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import (
    Column,
    Connection,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    bindparam,
    delete,
    func,
    select,
)
from sqlalchemy.dialects.sqlite import insert as upsert

from runner.clock import stamp
from runner.store.schema import METADATA

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runner.store.store import Transaction

PAGES_MAX = 200  #: of one task
TEXT_MAX = 32 << 20  #: characters of all its pages together
DIGEST = 16  #: hex digits that tell one content from another

pages = Table(
    "pages",
    METADATA,
    Column("task", Text, nullable=False),
    Column("url", Text, nullable=False),  #: as the task asked for it
    Column("found", Text, nullable=False),  #: where it was, after redirects
    Column("status", Integer, nullable=False),
    Column("text", Text, nullable=False),
    Column("etag", Text, nullable=False),
    Column("modified", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("at", Text, nullable=False),
    PrimaryKeyConstraint("task", "url"),
)

# asked at each start of a run: building a query costs more than answering it
_DIGESTS = select(pages.c.url, pages.c.digest).where(pages.c.task == bindparam("task"))


@dataclass(frozen=True, slots=True)
class Kept:
    """A page, and by what its server knows whether it changed."""

    url: str  #: where it was found, after redirects
    status: int
    text: str
    etag: str = ""
    modified: str = ""  #: as the server dated it
    certificate: str = ""  #: until when the server's is good, ISO 8601 in UTC; not kept from run to run

    @property
    def digest(self) -> str:
        """What tells this answer from another."""
        return hashlib.sha256(f"{self.status}\0{self.text}".encode()).hexdigest()[:DIGEST]


def digests(connection: Connection, task: str) -> dict[str, str]:
    """What tells the pages that the task is known to have got, by the addresses it asked for."""
    return {row.url: row.digest for row in connection.execute(_DIGESTS, {"task": task})}


def known(connection: Connection, task: str, url: str) -> Kept | None:
    """The page as the task last got it; None when it did not."""
    row = connection.execute(select(pages).where(pages.c.task == task, pages.c.url == url)).first()
    return Kept(row.found, row.status, row.text, row.etag, row.modified) if row else None


def keep(tx: Transaction, task: str, got: Mapping[str, Kept]) -> None:
    """Remember what a run got, by the addresses it asked for; the oldest go when they are too many."""
    for url, page in got.items():
        row = upsert(pages).values(
            task=task,
            url=url,
            found=page.url,
            status=page.status,
            text=page.text,
            etag=page.etag,
            modified=page.modified,
            digest=page.digest,
            at=stamp(tx.now),
        )
        changed = {column.name: row.excluded[column.name] for column in pages.c if not column.primary_key}
        tx.connection.execute(row.on_conflict_do_update(index_elements=["task", "url"], set_=changed))
    if got:
        _prune(tx, task)


def _prune(tx: Transaction, task: str) -> None:
    newest = select(pages.c.url, func.length(pages.c.text).label("size")).where(pages.c.task == task)
    total = 0
    for place, row in enumerate(tx.connection.execute(newest.order_by(pages.c.at.desc(), pages.c.url)).all()):
        total += row.size
        if place >= PAGES_MAX or total > TEXT_MAX:
            tx.connection.execute(delete(pages).where(pages.c.task == task, pages.c.url == row.url))
