"""What each child is left, as its order says it: places to read, places to write, and whom it runs as."""

from __future__ import annotations

import functools
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.errors import RunError
from runner.worker import BARE
from runner.worker.sealing.places import NOWHERE, readable
from runner.worker.sealing.user import give

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from runner.worker.sealing.user import User

#: what of the project no kind may name in `writes`; nor anything whose name begins with a dot
PRIVATE = frozenset({"tasks", "logs", "STOP", "runner.toml", "runner"})

_readable = functools.cache(readable)


def of_run(
    home: Path, folder: Path, user: User | None, *, is_open: bool, files: Iterable[Path] = ()
) -> dict[str, Any]:
    """For a run: its own folder, `files` to be read, and where `is_open` the network and programs; the folder is made."""
    give(folder, user)
    order = _order(home, [folder], user, is_open=is_open)
    return {**order, "reads": [*order["reads"], *map(str, files)]}


def of_reading(home: Path, user: User | None, folder: Path | None = None) -> dict[str, Any]:
    """For a child that reads a module, or checks what was made: nothing but a folder that does not last."""
    if folder is not None:
        give(folder, user)
    return _order(home, [folder] if folder else [], user, is_open=False)


def of_delivery(home: Path, folder: Path, writes: Iterable[str], user: User | None) -> dict[str, Any]:
    """For a delivery: the network, a folder to work in, and the folders that its kind names; all are made.

    Raises `RunError` for a name that leads to what is the project's own, or out of the folder it begins in.
    """
    named = [_named(home, name) for name in writes]
    for place in (folder, *named):
        give(place, user)
    return _order(home, [folder, *named], user, is_open=True)


@contextmanager
def scratch(home: Path) -> Iterator[Path]:
    """A folder for one child, gone with it."""
    state = home / ".runner"
    state.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="scratch-", dir=state, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _order(home: Path, writes: Iterable[Path], user: User | None, *, is_open: bool) -> dict[str, Any]:
    return {
        "reads": _readable(home.resolve(), is_open=is_open),
        "writes": [*map(str, writes), NOWHERE],
        "open": is_open,
        "user": [user.uid, user.gid] if user else None,
    }


def _named(home: Path, name: str) -> Path:
    first, *rest = Path(name).parts or ("",)
    if first in {"", "/"} or first.startswith(".") or first in PRIVATE or ".." in rest:
        raise RunError(
            f"writes={name!r}: a kind may name folders of the project, but none of the runner's own"
        )
    root, place = (home / first).resolve(), (home / name).resolve()
    is_elsewhere = root.is_relative_to(home.resolve()) and root != home.resolve() / first
    if is_elsewhere or not place.is_relative_to(root) or home.resolve().is_relative_to(root):
        raise RunError(f"writes={name!r}: it leads to {place}, out of {first}/")
    return place


def environment(folder: Path) -> dict[str, str]:
    """All that a child finds in its environment: what belongs into a home or a temporary folder goes into its own."""
    return {
        **BARE,
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "TZ": "UTC",
    }
