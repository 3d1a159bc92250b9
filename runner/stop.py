"""STOP, asked at every door. It fails closed: only a STOP file that is certainly absent means go."""

from __future__ import annotations

import os
import stat
import threading
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from runner.errors import StoppedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GRACE_S = 10.0  #: how long a delivery that has begun may take to learn its outcome after STOP
REASON_MAX = 500  #: characters of a reason that are kept
READ_MAX = 65_536  #: bytes of the file that are read
GLIMPSED = "the STOP file was there for a moment"
SIGNATURE = "-- written by `runner stop`; `runner resume` takes it away"


class Door(StrEnum):
    """Where something begins, and STOP is asked first."""

    SLOT = "slot"  #: a task is due
    RUN = "run"  #: a child is about to start
    CLAUDE = "claude"  #: a request is about to go to Claude
    TOOL = "tool"  #: a tool is about to be called in a child
    FETCH = "fetch"  #: a page is about to be fetched
    DRAFT = "draft"  #: what a run returned is about to be recorded
    DECISION = "decision"  #: somebody decides on a draft
    DELIVERY = "delivery"  #: an attempt is about to begin


@dataclass(slots=True)
class Stop:
    """The guard of every door of one process, for the STOP file at `path`."""

    path: Path
    latch: Callable[[str], None]  #: called once, at first sight, with the reason
    appeared: Callable[[], bool] = lambda: False  #: whether the file came since the last such question
    times: int = 0  #: how often it was engaged, this time included; counted before `reason` tells of it
    recorded: int = 0  #: how many of those times are in the store, or were found there
    _reason: str | None = field(default=None)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def reason(self) -> str | None:
        """Why it is engaged; None when it is not."""
        return self._reason

    @property
    def is_recorded(self) -> bool:
        """Whether the stop that is engaged is in the store, or was."""
        return self.recorded == self.times

    def look(self) -> bool:
        """Whether the runner is stopped; the first sight of the file latches it."""
        with self._lock:  # so that what one thread was told of is engaged before another looks
            has_appeared = self.appeared()
            if self._reason is None:
                reason = sight(self.path) or (GLIMPSED if has_appeared else None)
                if reason is not None:
                    self.engage(reason)
            return self._reason is not None

    def ask(self, door: Door, since: int | None = None) -> None:
        """Pass the door, or raise `StoppedError` that names it.

        `since`, how often it was engaged when this was claimed, refuses also after a stop that came and went since.
        """
        if self.look():
            raise StoppedError(
                f"stopped ({self._reason}): no {door} may begin; `runner resume` lets it go again"
            )
        if since is not None and self.times != since:
            raise StoppedError(f"STOP was engaged before its {door} began")

    def engage(self, reason: str) -> None:
        """Stop; nothing but `release` undoes it."""
        with self._lock:
            if self._reason is None:
                self.times += 1
                self._reason = reason
                self.latch(reason)

    def explain(self, reason: str) -> None:
        """Know better why it is engaged."""
        if self._reason is not None:
            self._reason = reason

    def release(self) -> None:
        """Go again, if the file is gone; else the next look engages anew."""
        with self._lock:
            self.appeared()  # what came until now was told by this stop
            self._reason = None


def sight(path: Path) -> str | None:
    """Why the file says stop; None when it is certainly absent. Never raises."""
    try:
        os.lstat(path)
    except FileNotFoundError:
        return None if path.parent.is_dir() else f"the folder {path.parent} is gone"
    except OSError as error:
        return f"{path} can't be looked at: {error.strerror}"
    return _text(path)


def _read(path: Path) -> str:
    """What is written there; nothing when it is no file. Never waits, as for the other end of a pipe."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
        return os.read(descriptor, READ_MAX).decode("utf-8", "replace") if is_file else ""
    finally:
        os.close(descriptor)


def _text(path: Path) -> str:
    try:
        lines = _read(path)[:REASON_MAX].splitlines()
    except OSError:
        lines = []
    return next(
        (line.strip() for line in lines if line.strip() and line != SIGNATURE), "the STOP file is there"
    )


def write(path: Path, reason: str) -> None:
    """Create the STOP file with a reason, marked as ours; one that is there already stays as it is."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as file:
        file.write(f"{reason[:REASON_MAX] or 'stopped by its owner'}\n{SIGNATURE}\n")


def remove_ours(path: Path) -> bool:
    """Take the STOP file away if the runner wrote it; whether none is left."""
    try:
        if SIGNATURE in _read(path):
            path.unlink()
    except FileNotFoundError:
        return sight(path) is None
    except OSError:
        return False
    return sight(path) is None
