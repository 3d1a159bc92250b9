"""The journal: in order, chained, resumed after a crash, and checked."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from runner.errors import JournalError
from runner.journal import Journal, entries, files, verify
from runner.store.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import HandClock


def opened(store: Store, folder: Path) -> Journal:
    journal = Journal(folder, store)
    assert journal.open()
    return journal


def filled(store: Store, folder: Path, count: int = 5) -> Path:
    for number in range(count):
        store.tell("alert.raised", text=f"number {number}")
    journal = opened(store, folder)
    journal.sync()
    journal.close()
    return files(folder)[-1]


def test_events_stand_in_the_journal_in_order_each_naming_the_one_before(
    store: Store, tmp_path: Path
) -> None:
    path = filled(store, tmp_path / "logs")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert path.name == "2026-11-24.jsonl"
    assert [line["seq"] for line in lines] == [1, 2, 3, 4, 5]
    assert lines[0]["prev"] == "0" * 64
    verdict = verify(tmp_path / "logs")
    assert (verdict.lines, verdict.problems, verdict.head[0]) == (5, [], 5)


def test_a_new_day_has_a_new_file_and_the_chain_goes_on(
    store: Store, tmp_path: Path, clock: HandClock
) -> None:
    logs = tmp_path / "logs"
    filled(store, logs, 2)
    clock.move(days=1)
    filled(store, logs, 2)
    clock.move(days=-1)  # a clock that is set back does not take the journal with it
    filled(store, logs, 1)
    assert [path.stem for path in files(logs)] == ["2026-11-24", "2026-11-25"]
    assert (verify(logs).lines, verify(logs).problems) == (5, [])


@pytest.mark.parametrize("alien", [b"5", b"[]", b'"x"', b"null", b'{"seq": "7"}', b'{"seq": true}', b"{}"])
def test_a_line_that_is_no_event_is_found_and_passed(store: Store, tmp_path: Path, alien: bytes) -> None:
    path = filled(store, tmp_path / "logs")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], alien + b"\n", *lines[2:]]))
    (problem,) = verify(tmp_path / "logs").problems
    assert (problem.line, problem.what) == (3, "it is no event")
    assert [entry["seq"] for _, entry in entries(tmp_path / "logs")] == [1, 2, 3, 4, 5]
    filled(store, tmp_path / "logs", 1)


def test_a_folder_that_is_called_like_a_file_of_the_journal_is_found(store: Store, tmp_path: Path) -> None:
    filled(store, tmp_path / "logs")
    (tmp_path / "logs" / "2027-01-01.jsonl").mkdir()
    (problem,) = verify(tmp_path / "logs").problems
    assert (problem.file, problem.what) == ("2027-01-01.jsonl", "it can't be read: Is a directory")
    assert len(list(entries(tmp_path / "logs"))) == 5
    filled(store, tmp_path / "logs", 1)


def test_one_process_at_a_time_writes_it(store: Store, tmp_path: Path) -> None:
    journal = opened(store, tmp_path / "logs")
    assert not Journal(tmp_path / "logs", store).open()
    journal.close()
    assert Journal(tmp_path / "logs", store).open()


def test_promise_22_what_once_failed_to_be_written_fails_ever_after(store: Store, tmp_path: Path) -> None:
    journal = opened(store, tmp_path / "logs")
    store.tell("alert.raised", text="one")
    journal.sync()
    journal._descriptor, real = 987_654, journal._descriptor
    store.tell("alert.raised", text="two")
    with pytest.raises(JournalError, match="nothing may happen unrecorded"):
        journal.sync()
    journal._descriptor = real
    with pytest.raises(JournalError, match="nothing may happen unrecorded"):
        journal.sync()
    assert verify(tmp_path / "logs").lines == 1


def test_promise_22_a_day_is_on_disk_before_the_next_begins(
    store: Store, tmp_path: Path, clock: HandClock
) -> None:
    journal = opened(store, tmp_path / "logs")
    store.tell("alert.raised", text="the last of its day")
    journal.write()
    ends = os.pipe()  # which takes what is written, and can't be synced
    os.dup2(ends[1], journal._descriptor)
    clock.move(days=1)
    store.tell("alert.raised", text="the first of the next")
    with pytest.raises(JournalError, match="nothing may happen unrecorded"):
        journal.write()
    assert len(files(tmp_path / "logs")) == 1
    for each in ends:
        os.close(each)


def test_a_store_that_was_lost_goes_on_numbering_where_the_journal_ends(store: Store, tmp_path: Path) -> None:
    filled(store, tmp_path / "logs")
    empty = Store(f"sqlite:///{tmp_path}/new.db", store.clock)
    empty.open()
    filled(empty, tmp_path / "logs", 2)
    assert (verify(tmp_path / "logs").lines, verify(tmp_path / "logs").problems) == (5, [])
    filled(empty, tmp_path / "logs", 2)
    empty.close()
    assert [entry["seq"] for _, entry in entries(tmp_path / "logs")] == [1, 2, 3, 4, 5, 6, 7]


def test_a_folder_that_cannot_be_written_is_said(store: Store, tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file")
    with pytest.raises(JournalError, match="can't be written"):
        Journal(tmp_path / "logs", store).open()
