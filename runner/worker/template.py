"""Placeholders in a prompt: ``{{ run.slot }}``. They name things; there is no code in them, and what is put in is not read again."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

from runner.errors import MarkdownError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_PLACEHOLDER = re.compile(r"\{\{([^{}\n]*)\}\}")
_OPEN = "{{"


def names(text: str, known: Sequence[str], line: int) -> list[str]:
    """The placeholders of a text that begins at that line; raises `MarkdownError` for one that is not `known`."""
    return [
        _known(name, known, line + text.count("\n", 0, place)) for place, name in _placeholders(text, line)
    ]


def _placeholders(text: str, line: int) -> Iterator[tuple[int, str]]:
    place = text.find(_OPEN)
    while place >= 0:
        match = _PLACEHOLDER.match(text, place)
        if match is None:
            raise MarkdownError(
                "{{ begins a placeholder that does not end on its line; write e.g. {{ run.slot }}",
                line=line + text.count("\n", 0, place),
            )
        yield place, match[1].strip()
        place = text.find(_OPEN, match.end())


def _known(name: str, known: Sequence[str], line: int) -> str:
    if name in known:
        return name
    like = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = (
        f"did you mean {like[0]}?" if like else f"there are {', '.join(known)}; a file must stand in include:"
    )
    raise MarkdownError(f"there is no placeholder {{{{ {name} }}}}; {hint}", line=line)


def filled(text: str, values: Mapping[str, Callable[[], str]]) -> str:
    """The text with each placeholder's value in its place; one that is named twice is asked for once."""
    said: dict[str, str] = {}

    def put(match: re.Match[str]) -> str:
        name = match[1].strip()
        if name not in said:
            said[name] = values[name]()
        return said[name]

    return _PLACEHOLDER.sub(put, text)
