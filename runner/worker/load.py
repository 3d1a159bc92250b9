"""Bringing an owner's module into a child."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from runner.draft import Draft
from runner.errors import CatalogError

if TYPE_CHECKING:
    from types import ModuleType


def module_at(tasks: Path, file: str) -> ModuleType:
    """The module in that file below `tasks`; its neighbours there can be imported by it, the standard library first."""
    path = tasks / file
    if path.suffix == ".md":
        return _markdown(tasks, file)
    if str(tasks) not in sys.path:
        sys.path.append(str(tasks))
    name = ".".join(Path(file).with_suffix("").parts)
    if name in sys.modules or name.partition(".")[0] in sys.stdlib_module_names:
        name = f"tasks_{name}"  # the file is called like a library; the library keeps its name
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise CatalogError(f"{file} can't be read as a Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _markdown(tasks: Path, file: str) -> ModuleType:
    """A Markdown task as the module that its owner would have written."""
    from runner.worker.markdown import module_of

    if str(tasks) not in sys.path:
        sys.path.append(str(tasks))
    return module_of(tasks / file)


def kinds_of(module: ModuleType) -> list[type[Draft]]:
    """The kinds that a module names, its own and those it imports."""
    found = [value for value in vars(module).values() if inspect.isclass(value) and issubclass(value, Draft)]
    return [kind for kind in dict.fromkeys(found) if kind is not Draft]
