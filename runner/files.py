"""The project's files that tasks are declared to read: found by the supervisor, and only where they may be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from runner.errors import RunError
from runner.reach import ProjectFile

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_allowed: TypeAdapter[str] = TypeAdapter(ProjectFile)


def found(home: Path, names: Iterable[str]) -> dict[str, Path]:
    """Where each file is, links followed as far as they stay inside; raises `RunError` for one that can't be read."""
    return {name: _found(home.resolve(), name) for name in names}


def _found(home: Path, name: str) -> Path:
    try:
        path = (home / _allowed.validate_python(name)).resolve(strict=True)
        _allowed.validate_python(path.relative_to(home).as_posix())
    except (FileNotFoundError, NotADirectoryError):
        raise RunError(f"{name} is not there; the task is declared to read it") from None
    except (ValidationError, ValueError):
        raise RunError(
            f"{name} is a link that leads to what no task reads; put the file itself there"
        ) from None
    except (OSError, RuntimeError) as error:
        raise RunError(f"{name} can't be read: {getattr(error, 'strerror', None) or error}") from None
    if not path.is_file():
        raise RunError(f"{name} is no file; name each file by itself")
    return path
