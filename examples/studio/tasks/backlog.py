"""The backlog of topics, backlog/topics.csv: approved topics come below the others, written ones are struck out."""

import csv
import fcntl
import os
from collections.abc import Iterable
from pathlib import Path

FILE = "backlog/topics.csv"
COLUMNS = ("topic", "why")


def topics(path: Path) -> list[dict[str, str]]:
    """The topics that wait, oldest first."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def change(home: Path, add: Iterable[dict[str, str]] = (), strike: str = "") -> None:
    """Put topics below the others, and take one out; the same again changes nothing."""
    path = home / FILE
    with (path.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two drafts may be carried out at the same time
        rows = [row for row in topics(path) if row["topic"] != strike]
        known = {row["topic"] for row in rows}
        _write(path, [*rows, *(row for row in add if row["topic"] not in known)])


def _write(path: Path, rows: list[dict[str, str]]) -> None:
    new = path.with_name(".topics.new")
    with new.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
