"""Which code a module is made of: its file, and every file of the owner's that an import statement in it leads to.

Told before any line of it runs, so that it is never the module's own word; and nothing else of the owner's can be
imported by it afterwards, so that what was not digested is not run.
"""

from __future__ import annotations

import ast
import hashlib
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType


def files_of(tasks: Path, file: str) -> dict[str, bytes]:
    """The content of each file that makes up the module in `file`, by its path below `tasks`."""
    found: dict[str, bytes] = {}
    waiting = [file]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = (tasks / name).read_bytes()
            waiting += [other for other in _imported(name, found[name]) if (tasks / other).is_file()]
    return found


def digest_of(files: dict[str, bytes]) -> str:
    """SHA-256 over the files' names and contents, in hex."""
    total = hashlib.sha256()
    for name, content in sorted(files.items()):
        total.update(f"{name}\0{len(content)}\0".encode(errors="surrogateescape") + content)
    return total.hexdigest()


def _imported(file: str, content: bytes) -> Iterator[str]:
    """The files that its import statements, wherever they stand, may lead to; of a Markdown task, that of its kind."""
    if file.endswith(".md"):
        from runner.worker.frontmatter import kind_named

        yield from _candidates(kind_named(content).split(".")[:-1])
        return
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return  # it will be broken when it is imported
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _candidates(alias.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            near = list(Path(file).parts[: -node.level]) if node.level else []
            base = [*near, *(node.module or "").split(".")] if node.module else near
            for alias in node.names:
                yield from _candidates([*base, alias.name])


def _candidates(parts: Sequence[str]) -> Iterator[str]:
    for count in range(1, len(parts) + 1):
        path = "/".join(parts[:count])
        yield f"{path}.py"
        yield f"{path}/__init__.py"


class Only:
    """A finder that refuses what lies below `tasks` and is not among the files that were digested."""

    def __init__(self, tasks: Path, files: dict[str, bytes]) -> None:
        self._tasks = tasks
        self._known = set(files)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module's place, as Python finds it; raises `ImportError` for one that nobody approved."""
        spec = PathFinder.find_spec(fullname, path, target)
        origin = Path(spec.origin) if spec is not None and spec.has_location and spec.origin else None
        if origin is not None and origin.is_relative_to(self._tasks):
            name = str(origin.relative_to(self._tasks))
            if name not in self._known:
                raise ImportError(
                    f"tasks/{name} is imported in a way that can't be seen beforehand; write 'import {fullname}'"
                )
        return spec

    def watch(self) -> None:
        """Stand before every import of this process."""
        sys.meta_path.insert(0, self)
