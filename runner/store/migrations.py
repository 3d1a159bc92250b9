"""The numbered steps that lead from one version of the tables to the next."""

from collections.abc import Callable

from sqlalchemy import Connection, Index, insert, inspect, select, text, update

from runner.errors import StoreError
from runner.store.pages import pages
from runner.store.questions import questions
from runner.store.schema import (
    METADATA,
    asks,
    attachments,
    batches,
    buttons,
    cards,
    given,
    meta,
    posts,
    updates,
    warnings,
    yeses,
)

PHONE = (updates, cards, posts, buttons, asks, yeses)  #: the tables of step 2
LATER = (
    *PHONE,
    attachments,
    pages,
    questions,
    warnings,
    batches,
    given,
)  #: those that the first version did not have


def _create(connection: Connection) -> None:
    METADATA.create_all(connection, tables=[table for table in METADATA.sorted_tables if table not in LATER])


def _add_phone(connection: Connection) -> None:
    METADATA.create_all(connection, tables=PHONE)


def _add_attachments(connection: Connection) -> None:
    METADATA.create_all(connection, tables=[attachments])


def _add_reminders(connection: Connection) -> None:
    _add_column(connection, "drafts", "remind TEXT")
    _index(connection, "drafts_by_reminder")


def _add_pages_and_questions(connection: Connection) -> None:
    METADATA.create_all(connection, tables=[pages, questions])


def _add_money(connection: Connection) -> None:
    METADATA.create_all(connection, tables=[warnings])
    _add_column(connection, "spending", "label TEXT NOT NULL DEFAULT ''")
    _add_column(connection, "spending", "cache_read_tokens INTEGER NOT NULL DEFAULT 0")
    _add_column(connection, "spending", "cache_write_tokens INTEGER NOT NULL DEFAULT 0")
    _add_column(connection, "spending", "saved_nano_usd INTEGER")


def _add_batches(connection: Connection) -> None:
    METADATA.create_all(connection, tables=[batches, given])
    _add_column(connection, "runs", "parked TEXT")


def _stand_in_line(connection: Connection) -> None:
    connection.execute(text("DROP INDEX IF EXISTS posts_waiting"))
    _index(connection, "posts_in_line")
    _index(connection, "posts_by_hour")


def _add_column(connection: Connection, table: str, column: str) -> None:
    """A column that a table of an earlier step lacks; a table that was made today has it."""
    known = {each["name"] for each in inspect(connection).get_columns(table)}
    if column.partition(" ")[0] not in known:
        connection.execute(text(f"ALTER TABLE {table} ADD COLUMN {column}"))


def _index(connection: Connection, name: str) -> None:
    indexes = [each for table in METADATA.tables.values() for each in table.indexes]
    found: Index = next(each for each in indexes if each.name == name)
    found.create(connection, checkfirst=True)


MIGRATIONS: tuple[Callable[[Connection], None], ...] = (
    _create,
    _add_phone,
    _add_attachments,
    _add_reminders,
    _add_pages_and_questions,
    _add_money,
    _add_batches,
    _stand_in_line,
)


def migrate(connection: Connection) -> None:
    """Bring the tables to the newest version; each step that lacks is taken once, in order.

    Raises `StoreError` for tables that a newer runner made.
    """
    version = 0
    if inspect(connection).has_table("meta"):
        version = int(connection.execute(select(meta.c.value).where(meta.c.name == "schema")).scalar_one())
    if version > len(MIGRATIONS):
        raise StoreError(
            f"a newer runner made the store: its tables are of version {version}, and this one knows {len(MIGRATIONS)}; "
            "use that runner, or the back-up from before the upgrade"
        )
    for step in MIGRATIONS[version:]:
        step(connection)
    if version == 0:
        connection.execute(insert(meta).values(name="schema", value=str(len(MIGRATIONS))))
    elif version < len(MIGRATIONS):
        connection.execute(update(meta).where(meta.c.name == "schema").values(value=str(len(MIGRATIONS))))
