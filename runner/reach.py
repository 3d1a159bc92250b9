"""What a task may reach beyond its own folder: how it names that in its declaration, and how an owner is told of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runner.declare import Limits

#: what of the project no task may read; nor anything below a name that begins with a dot
PRIVATE = frozenset({"logs", "stop", "runner.toml"})
_DOMAIN = re.compile(r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+(?!\d+$)[a-z0-9-]{2,63}")


def _project_file(name: str) -> str:
    parts = name.split("/")
    if name.startswith("/") or "\\" in name or ".." in parts:
        raise ValueError("it leads out of the project folder; name a file below it, e.g. 'topics.csv'")
    if "" in parts or "." in parts or not name.isprintable():
        raise ValueError("write a plain path below the project folder, e.g. 'notes/topics.csv'")
    if parts[0].lower() in PRIVATE or any(part.startswith(".") for part in parts):
        raise ValueError("it is the runner's own or hidden, and no task reads that")
    return name


def _domain(name: str) -> str:
    if not _DOMAIN.fullmatch(name):
        raise ValueError(
            "write a domain alone, in small letters, e.g. 'example.com'; what is below it belongs to it"
        )
    return name


def is_within(domain: str, declared: Iterable[str]) -> bool:
    """Whether the domain is one of those that are declared, or below one."""
    return any(domain == each or domain.endswith(f".{each}") for each in declared)


Domain = Annotated[str, AfterValidator(_domain)]  #: and all below it
ProjectFile = Annotated[
    str, AfterValidator(_project_file)
]  #: its path below the project folder, with slashes


def reach(limits: Limits) -> list[str]:
    """What a task with these limits reaches beyond its folder, a few words each; empty when nothing."""
    words = [] if limits.sealed else ["open: network and programs"]
    words += [f"reads {', '.join(limits.files)}"] if limits.files else []
    words += [f"gets {', '.join(limits.reads)}"] if limits.reads else []
    words += [f"Claude searches and fetches {', '.join(limits.web)}"] if limits.web else []
    return words
