"""The bytes of attachments, each kept once, under its SHA-256."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from sqlalchemy import Connection, select
from sqlalchemy.dialects.sqlite import insert as upsert

from runner.attachment import attachments as named
from runner.errors import GoneError
from runner.store.schema import attachments

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runner.store.store import Transaction


def keep(tx: Transaction, files: Mapping[str, bytes]) -> None:
    """Keep files, by SHA-256; what is kept already is the same."""
    for sha256, content in files.items():
        row = upsert(attachments).values(sha256=sha256, content=content)
        tx.connection.execute(row.on_conflict_do_nothing())


def get(connection: Connection, sha256: str) -> bytes:
    """A file's bytes; raises `GoneError` when they are gone, or are others."""
    query = select(attachments.c.content).where(attachments.c.sha256 == sha256)
    content: bytes | None = connection.execute(query).scalar()
    if content is None or hashlib.sha256(content).hexdigest() != sha256:
        raise GoneError(f"the attachment with the SHA-256 {sha256[:12]}… is not in the store as it was shown")
    return content


def of(connection: Connection, content: bytes) -> dict[str, bytes]:
    """The files that a revision's content names, by SHA-256; raises `GoneError` likewise."""
    return {each["sha256"]: get(connection, each["sha256"]) for each in named(json.loads(content)["fields"])}
