"""The backlog of topics, backlog/topics.csv: approved topics come below the others, written ones are struck out."""

import csv
import fcntl
import os
from collections.abc import Iterable
from pathlib import Path

from lists import read

from runner import NotDelivered

FILE = "backlog/topics.csv"
COLUMNS = ("topic", "why")


def topics(path: Path) -> tuple[list[dict[str, str]], list[str]]:
    """The topics that wait, oldest first, and what is wrong with other lines."""
    sound, broken = read(path, FILE, COLUMNS)
    return [row for _, row in sound], broken


def waits(home: Path, topic: str) -> bool:
    """Whether a topic is in the list; raises `NotDelivered` for a list that can't be read."""
    return any(row[:1] == [topic] for row in _rows(home / FILE))


def change(home: Path, add: Iterable[dict[str, str]] = (), strike: str = "") -> None:
    """Put topics below the others, and take one out; the same again changes nothing, nor does it what others wrote."""
    path = home / FILE
    with (path.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two drafts may be carried out at the same time
        rows = [row for row in _rows(path) if row[:1] != [strike]]
        known = {row[0] for row in rows if row}
        new = [[each[column] for column in COLUMNS] for each in add if each["topic"] not in known]
        _write(path, [*rows, *new])


def _rows(path: Path) -> list[list[str]]:
    """Every line as it is, sound or not."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.reader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise NotDelivered(f"{FILE} can't be read ({error}); mend it, and approve again") from error


def _write(path: Path, rows: list[list[str]]) -> None:
    new = path.with_name(".topics.new")
    with new.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
