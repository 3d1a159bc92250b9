"""The record of all that happened: `logs/YYYY-MM-DD.jsonl`, one JSON object a line, each naming the hash of the last.

Events are committed to the store with what they tell of; the journal writes them to the files in their order. A
crash between the two loses nothing: writing resumes after the last whole line in the files. What fails to be
written or synced is never tried again as if it had not failed: `JournalError` is for STOP.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar

import orjson

from runner.chain import START, Problem, Reading, Verdict, hash_of, mending, number_of
from runner.errors import JournalError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

P = ParamSpec("P")
R = TypeVar("R")

BATCH = 1000  #: events read from the store at once


class Events(Protocol):
    """Where the journal reads what to write: the store."""

    def events_after(self, seq: int, limit: int = 1000) -> list[tuple[int, str]]:
        """The next events in order: their numbers and their JSON."""

    def continue_after(self, seq: int) -> None:
        """Number the next event above `seq`."""

    def last_seq(self) -> int:
        """The number of the newest event."""


@dataclass(slots=True)
class Journal:
    """The files in `folder`, written by one process at a time."""

    folder: Path
    events: Events
    heard: Callable[[dict[str, Any]], None] | None = None  #: told each entry once it is written
    _seq: int = 0
    _head: str = START
    _descriptor: int = -1
    _day: str = ""
    _lock: int = -1
    _is_dirty: bool = False
    _failed: str = field(default="")

    @property
    def head(self) -> tuple[int, str]:
        """The number and the hash of the last line written."""
        return self._seq, self._head

    def open(self, patience_s: float = 0.0) -> bool:
        """Take the files for this process and find their end; False when another process holds them so long."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            is_ours = _lock_within(self._lock, patience_s)
        except OSError as error:
            raise JournalError(f"the journal in {self.folder} can't be written: {error.strerror}") from error
        if not is_ours:
            self.close()
            return False
        try:
            self._resume()
        except OSError as error:
            raise JournalError(f"the journal in {self.folder} can't be read: {error.strerror}") from error
        return True

    def _resume(self) -> None:
        for path in reversed(files(self.folder)):
            lines = path.read_bytes().splitlines(keepends=True)
            whole = next((line for line in reversed(lines) if number_of(line) is not None), None)
            if whole is not None:
                self._seq, self._head = number_of(whole) or 0, hash_of(whole)
                break
        if self._seq > self.events.last_seq():
            self.events.continue_after(self._seq)
        if found := files(self.folder):
            self._turn(found[-1].stem)

    def write(self) -> int:
        """Write what was committed since; how many lines. Raises `JournalError` when that fails, now and ever after."""
        count = 0
        is_more = True
        while is_more:
            batch = self.events.events_after(self._seq, BATCH)
            for seq, body in batch:
                self._append(seq, body)
            count += len(batch)
            is_more = len(batch) == BATCH
        return count

    def sync(self) -> None:
        """Write what was committed since, and come back when it is on disk."""
        self.write()
        if self._is_dirty:
            self._attempt(os.fsync, self._descriptor)
            self._is_dirty = False

    def _append(self, seq: int, body: str) -> None:
        entry = orjson.loads(body)
        day = entry["ts"][:10]
        if day > self._day:
            self._turn(day)
        line = orjson.dumps({"ts": "", "seq": 0, **entry} | {"seq": seq, "prev": self._head}) + b"\n"
        self._attempt(_write_all, self._descriptor, line)
        self._seq, self._head, self._is_dirty = seq, hash_of(line), True
        if self.heard is not None:
            self.heard(entry)

    def _turn(self, day: str) -> None:
        """Go on in the file of that day; a torn last line there is closed and marked."""
        if self._descriptor >= 0:
            self._attempt(os.fsync, self._descriptor)
            os.close(self._descriptor)
        path = self.folder / f"{day}.jsonl"
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._descriptor = self._attempt(os.open, path, flags, 0o600)
        self._day = day
        if end := mending(path.read_bytes()):
            self._attempt(_write_all, self._descriptor, end)

    def _attempt(self, act: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        if self._failed:
            raise JournalError(self._failed)
        try:
            return act(*args, **kwargs)
        except OSError as error:
            self._failed = f"the journal in {self.folder} can't be written ({error.strerror}): nothing may happen unrecorded"
            raise JournalError(self._failed) from error

    def close(self) -> None:
        """Let go of the files."""
        for descriptor in (self._descriptor, self._lock):
            with suppress(OSError):
                os.close(descriptor)
        self._descriptor = self._lock = -1


def _lock_within(descriptor: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.02)
        else:
            return True


def _write_all(descriptor: int, line: bytes) -> None:
    while line:
        line = line[os.write(descriptor, line) :]


def files(folder: Path) -> list[Path]:
    """The journal's files, oldest first."""
    return [path for path in _named(folder) if path.is_file()]


def _named(folder: Path) -> list[Path]:
    """Whatever is called like a file of the journal."""
    return sorted(folder.glob("[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9].jsonl"))


def verify(folder: Path, told: str = "") -> Verdict:
    """Read every line and its chain, across files; problems are listed, nothing is changed.

    The chain shows what was changed, lost or moved before its last line. Of that line, and of lines lost after it, only
    a head that was told elsewhere can speak: `told` is such a hash, empty is none. What came after the last head told
    may be rewritten by whoever can write the files, and no reading shows it. Torn lines and their marks stand outside
    the chain: what they held is written again, whole, after them.
    """
    verdict = Verdict()
    for path in _named(folder):
        try:
            lines = path.read_bytes().split(b"\n")
        except OSError as error:
            verdict.problems.append(Problem(path.name, 0, f"it can't be read: {error.strerror}"))
            continue
        Reading(verdict, path.name, told).judge(lines)
    if told and not verdict.told:
        reason = "no event has the head that was told: something up to it was changed or lost"
        verdict.problems.append(Problem("", 0, reason))
    return verdict


Place = tuple[str, int]  #: a file of the journal, and how many of its bytes are read


def entries(folder: Path, place: Place = ("", 0)) -> Iterator[tuple[Place, dict[str, Any]]]:
    """The events on record from that place on, oldest first, each with the place after it; torn lines are passed."""
    for path in files(folder):
        if path.stem < place[0]:
            continue
        read = place[1] if path.stem == place[0] else 0
        with path.open("rb") as lines:
            lines.seek(read)
            for line in lines:
                if not line.endswith(b"\n"):
                    break  # it is being written, or torn
                read += len(line)
                if number_of(line) is not None and {"ts", "event"} <= (entry := orjson.loads(line)).keys():
                    yield (path.stem, read), entry
