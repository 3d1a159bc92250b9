"""What a task may reach beyond its own folder: how it names that in its declaration, and how an owner is told of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator

if TYPE_CHECKING:
    from runner.declare import Limits

#: what of the project no task may read; nor anything below a name that begins with a dot
PRIVATE = frozenset({"logs", "stop", "runner.toml"})


def _project_file(name: str) -> str:
    parts = name.split("/")
    if name.startswith("/") or "\\" in name or ".." in parts:
        raise ValueError("it leads out of the project folder; name a file below it, e.g. 'topics.csv'")
    if "" in parts or "." in parts or not name.isprintable():
        raise ValueError("write a plain path below the project folder, e.g. 'notes/topics.csv'")
    if parts[0].lower() in PRIVATE or any(part.startswith(".") for part in parts):
        raise ValueError("it is the runner's own or hidden, and no task reads that")
    return name


ProjectFile = Annotated[
    str, AfterValidator(_project_file)
]  #: its path below the project folder, with slashes


def reach(limits: Limits) -> list[str]:
    """What a task with these limits reaches beyond its folder, a few words each; empty when nothing."""
    words = [] if limits.sealed else ["open: network and programs"]
    words += [f"reads {', '.join(limits.files)}"] if limits.files else []
    words += [f"gets {', '.join(limits.reads)}"] if limits.reads else []
    return words
