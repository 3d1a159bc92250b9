"""What a command changes is on record, or nothing comes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runner import stop
from runner.errors import GoneError, JournalError
from runner.journal import Journal, entries
from runner.record import written

if TYPE_CHECKING:
    from pathlib import Path

    from runner.store.store import Store


def names(store: Store) -> list[str]:
    return [event["event"] for event in store.newest_events(10)]


def test_what_a_command_changes_is_in_the_files_when_it_ends(store: Store, tmp_path: Path) -> None:
    with written(store, tmp_path):
        store.tell("task.paused", task="greet")
    assert [entry["event"] for _, entry in entries(tmp_path / "logs")] == ["task.paused"]


def test_promise_22_nothing_is_changed_where_the_journal_cannot_be_written(
    store: Store, tmp_path: Path
) -> None:
    (tmp_path / "logs").write_text("a file")
    with pytest.raises(JournalError, match="can't be written"), written(store, tmp_path):
        store.tell("task.paused", task="greet")
    assert names(store) == []
    assert stop.sight(tmp_path / "STOP") is None


def test_promise_22_a_change_that_could_not_be_put_on_record_stops_everything(
    store: Store, tmp_path: Path
) -> None:
    def change() -> None:
        (tmp_path / "logs").rename(tmp_path / "elsewhere")
        (tmp_path / "logs").write_text("a file")
        store.tell("task.paused", task="greet")

    with pytest.raises(JournalError, match="all is stopped now"), written(store, tmp_path):
        change()
    assert names(store) == ["task.paused"]
    assert "can't be written" in str(stop.sight(tmp_path / "STOP"))


def test_what_a_refusal_told_is_on_record_too(store: Store, tmp_path: Path) -> None:
    def refuse() -> None:
        store.tell("decision.refused", draft="x")
        raise GoneError

    with pytest.raises(GoneError), written(store, tmp_path):
        refuse()
    assert [entry["event"] for _, entry in entries(tmp_path / "logs")] == ["decision.refused"]


def test_the_runner_that_is_up_writes_in_a_commands_place(store: Store, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "logs", store)
    assert journal.open()
    with written(store, tmp_path):
        store.tell("task.paused", task="greet")
    assert list(entries(tmp_path / "logs")) == []
    journal.sync()
    assert len(list(entries(tmp_path / "logs"))) == 1
    journal.close()
