"""Lists that people keep as CSV: each sound line is read, a broken one is told with its number and left out."""

import csv
from pathlib import Path

Line = tuple[int, dict[str, str]]  #: its number, and what stands in each column


def read(path: Path, name: str, columns: tuple[str, ...]) -> tuple[list[Line], list[str]]:
    """The sound lines, and what is wrong with the others; raises `ValueError` for a file that is no such list."""
    sound: list[Line] = []
    broken: list[str] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:  # Excel begins with a mark of its own
            reader = csv.reader(file, strict=True)
            header = next(reader, [])
            if header != list(columns):
                raise ValueError(
                    f"{name}, line 1: it should be {','.join(columns)}, and is {','.join(header)}"
                )
            try:
                for row in reader:
                    if len(row) == len(columns):
                        sound.append((reader.line_num, dict(zip(columns, row, strict=True))))
                    elif row:
                        words = (
                            f"{len(row)} columns and not {len(columns)}: quotes go around what holds a comma"
                        )
                        broken.append(f"{name}, line {reader.line_num}: {words}; it is left out")
            except csv.Error as error:
                broken.append(f"{name}, line {reader.line_num}: {error}; all from there on is left out")
    except UnicodeDecodeError:
        raise ValueError(f'{name} is not UTF-8; save it as "CSV UTF-8"') from None
    return sound, broken
