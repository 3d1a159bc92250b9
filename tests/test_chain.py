"""What was done to the journal behind the runner's back: each change, loss or reordering up to the head told is found."""

from __future__ import annotations

import shutil
from itertools import combinations
from typing import TYPE_CHECKING

import pytest
from test_journal import filled, opened

from runner.chain import MARK
from runner.journal import entries, files, verify
from runner.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conftest import HandClock

DAYS = ("2026-11-24", "2026-11-25", "2026-11-26")
EACH = 3  #: lines a day


@pytest.fixture
def logs(store: Store, tmp_path: Path, clock: HandClock) -> Path:
    """A journal of three days."""
    for day in range(len(DAYS)):
        clock.move(days=min(day, 1))
        filled(store, tmp_path / "logs", EACH)
    return tmp_path / "logs"


@pytest.fixture
def told(logs: Path) -> str:
    """The head that its owner was told."""
    verdict = verify(logs)
    assert (verdict.problems, verdict.lines) == ([], EACH * len(DAYS))
    assert verify(logs, verdict.head[1]).told == verdict.lines
    return verdict.head[1]


def is_found(logs: Path, told: str = "") -> bool:
    return bool(verify(logs, told).problems)


@pytest.mark.no_cover
def test_promise_23_a_bit_of_any_byte_that_flips_is_found(logs: Path, told: str) -> None:
    for path in files(logs):
        whole = path.read_bytes()
        last = whole.rindex(b"\n", 0, -1) if path.stem == DAYS[-1] else len(whole)
        for place in range(len(whole)):
            flipped = bytearray(whole)
            flipped[place] ^= 1 << place % 8
            path.write_bytes(flipped)
            # of the newest line only the head that was told can speak
            assert is_found(logs, told), (path.name, place)
            assert is_found(logs) or place >= last, (path.name, place)
        path.write_bytes(whole)
    assert not is_found(logs, told)


def forgeries(lines: list[bytes]) -> Iterator[tuple[str, list[bytes]]]:
    """What can be done to the lines of a file."""
    for place, line in enumerate(lines):
        before, after = lines[:place], lines[place + 1 :]
        yield f"{place} dropped", [*before, *after]
        yield f"{place} duplicated", [*before, line, line, *after]
        yield f"{place} torn", [*before, line[:40] + b"\n", *after]
        yield f"{place} torn and marked", [*before, line[:40] + b"\n", MARK + b"\n", *after]
        yield f"{place} marked", [*before, line, MARK + b"\n", *after]
        yield f"{place} reworded", [*before, line.replace(b"number", b"Number"), *after]
        for other, instead in enumerate(lines):
            if other != place:
                yield f"{place} replaced by {other}", [*before, instead, *after]
                yield f"{other} again before {place}", [*before, instead, line, *after]
    for one, other in combinations(range(len(lines)), 2):
        swapped = list(lines)
        swapped[one], swapped[other] = lines[other], lines[one]
        yield f"{one} and {other} swapped", swapped
    for end in range(len(lines)):
        yield f"cut after {end}", lines[:end]


def test_promise_23_lines_dropped_swapped_replaced_or_repeated_are_found(logs: Path, told: str) -> None:
    for path in files(logs):
        whole = path.read_bytes()
        for what, forged in forgeries(whole.splitlines(keepends=True)):
            path.write_bytes(b"".join(forged))
            assert is_found(logs, told), f"{path.name}: {what}"
        path.write_bytes(whole)
    assert not is_found(logs, told)


@pytest.mark.parametrize("day", DAYS)
@pytest.mark.parametrize(
    "act",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: path.rename(path.with_suffix(".jsonl.old")),
        lambda path: path.rename(path.with_stem("2025-01-01")),
        lambda path: path.rename(path.with_stem("2027-01-01")),
        lambda path: shutil.copy(path, path.with_stem("2027-01-01")),
        lambda path: shutil.copy(path, path.with_stem("2025-01-01")),
    ],
    ids=["removed", "emptied", "put aside", "called older", "called newer", "copied on", "copied back"],
)
def test_promise_23_a_file_that_is_removed_renamed_or_copied_is_found(
    logs: Path, told: str, day: str, act: Callable[[Path], object]
) -> None:
    act(logs / f"{day}.jsonl")
    assert is_found(logs, told)


def test_promise_23_files_that_take_each_others_places_are_found(logs: Path, told: str) -> None:
    for one, other in combinations(files(logs), 2):
        first, second = one.read_bytes(), other.read_bytes()
        one.write_bytes(second)
        other.write_bytes(first)
        assert is_found(logs, told)
        one.write_bytes(first)
        other.write_bytes(second)
    assert not is_found(logs, told)


def cuts(path: Path, lines: int) -> Iterator[int]:
    """Cut a file at each byte of its last lines, the longest first; what is left of it."""
    whole = path.read_bytes()
    begin = len(b"".join(whole.splitlines(keepends=True)[:-lines]))
    for end in reversed(range(begin, len(whole))):
        path.write_bytes(whole[:end])
        yield end
    path.write_bytes(whole)


@pytest.mark.no_cover
def test_promise_23_cut_at_any_byte_of_its_last_three_lines_it_resumes_and_tells_all(
    store: Store, logs: Path, told: str
) -> None:
    path = files(logs)[-1]
    whole = path.read_bytes()
    for end in cuts(path, 3):
        assert is_found(logs, told) or path.read_bytes() == whole[:-1]
        resume(store, logs)
        verdict = verify(logs, told)
        assert (verdict.problems, verdict.head) == ([], (9, told)), end
        assert [entry["seq"] for _, entry in entries(logs)] == list(range(1, 10))
        assert verdict.torn == (b"\n" not in whole[end - 1 : end + 1] and end > 0), end


def test_promise_23_cut_with_its_store_lost_it_goes_on_and_the_loss_is_found(
    logs: Path, told: str, clock: HandClock
) -> None:
    path = files(logs)[-1]
    for end in cuts(path, 3):
        if end % 23:  # an empty store takes its time
            continue
        empty = Store(f"sqlite:///{logs.parent}/lost{end}.db", clock)
        empty.open()
        empty.tell("alert.raised", text="after the loss")
        resume(empty, logs)
        empty.close()
        assert not is_found(logs), end  # a chain that was cut and goes on is whole in itself
        assert is_found(logs, told), end


def resume(store: Store, logs: Path) -> None:
    journal = opened(store, logs)
    journal.sync()
    journal.close()


def test_a_mark_that_a_crash_cut_off_is_marked_too(store: Store, logs: Path, told: str) -> None:
    path = files(logs)[-1]
    path.write_bytes(path.read_bytes()[:-30])
    store.tell("alert.raised", text="one more")
    resume(store, logs)
    assert MARK in path.read_bytes()
    whole = path.read_bytes()
    begin = whole.index(MARK) - 1
    for end in range(begin, begin + len(MARK) + 2):
        path.write_bytes(whole[:end])
        resume(store, logs)
        assert (verify(logs, told).problems, verify(logs, told).head[0]) == ([], 10), end


def test_what_came_after_the_head_that_was_told_can_be_written_anew_unseen(
    store: Store, logs: Path, told: str
) -> None:
    """The limit of the promise, so that nobody believes more."""
    path = files(logs)[-1]
    until = path.read_bytes()
    store.tell("alert.raised", text="later")
    resume(store, logs)
    path.write_bytes(path.read_bytes().replace(b"later", b"other"))
    assert not is_found(logs, told)
    path.write_bytes(until)
    assert not is_found(logs, told)
