"""The front matter of a Markdown task: YAML between two lines of ``---``, read as texts, lists and tables of texts.

No value is guessed at: ``on``, ``12:30`` and ``2026-12-24`` stay the texts that they are, and whoever knows what a key
means makes of them what it wants. Anchors, tags and a key that stands twice are refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import yaml

from runner.errors import MarkdownError

FENCE = "---"
DEPTH_MAX = 8  #: lists and tables inside each other
QUOTES = "; where a value holds one of : # * @ [ { put it into quotes, e.g. schedule: '*/10 * * * *'"


@dataclass(frozen=True, slots=True)
class Front:
    """What stands above the prompt, and the prompt."""

    values: dict[str, Any]
    body: str
    body_line: int  #: the number of the body's first line
    lines: dict[str, int] = field(default_factory=dict)  #: where each key stands


def parse(content: bytes) -> Front:
    """The file's front matter and body; raises `MarkdownError` for what is none."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeError as error:
        raise MarkdownError(f"it is no UTF-8 text: {error}") from None
    lines = text.replace("\r\n", "\n").split("\n")
    if lines[0].rstrip() != FENCE:
        raise MarkdownError(
            "it does not begin with front matter: a line of ---, keys like kind:, and a line of ---; "
            "a file that is no task begins its name with _",
            line=1,
        )
    end = next((number for number, line in enumerate(lines[1:], 1) if line.rstrip() == FENCE), None)
    if end is None:
        raise MarkdownError("its front matter does not end: a second line of --- is missing", line=1)
    values, places = _table("\n".join(lines[1:end]))
    begin = next((number for number, line in enumerate(lines[end + 1 :], end + 1) if line.strip()), end)
    return Front(values, "\n".join(lines[begin:]).rstrip() if begin > end else "", begin + 1, places)


def kind_named(content: bytes) -> str:
    """What `kind:` says; empty where nothing can be read, which is told when the file is loaded."""
    try:
        kind = parse(content).values.get("kind")
    except MarkdownError:
        return ""
    return kind if isinstance(kind, str) else ""


def _table(text: str) -> tuple[dict[str, Any], dict[str, int]]:
    try:
        _look_over(text)
        node = yaml.compose(text, Loader=yaml.BaseLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        words = getattr(error, "problem", None) or str(error)
        raise MarkdownError(
            f"its front matter is no YAML: {words}{QUOTES}", line=mark.line + 2 if mark else None
        ) from None
    if not isinstance(node, yaml.MappingNode):
        raise MarkdownError("its front matter holds no keys; it needs one at least: kind: Article", line=2)
    return _mapping(node), {str(key.value): _line(key) for key, _ in node.value}


def _look_over(text: str) -> None:
    """Refuse what can't be read in little time and space, before anything is built of it."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.BaseLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEPTH_MAX:
            raise MarkdownError(f"lists and tables stand more than {DEPTH_MAX} deep", line=_line(event))
        if getattr(event, "anchor", None):
            raise MarkdownError(f"it can't use anchors (& and *){QUOTES}", line=_line(event))


def _value(node: yaml.Node) -> Any:
    match node:
        case yaml.ScalarNode(tag="tag:yaml.org,2002:str"):
            if not node.value and node.style is None:
                raise MarkdownError(
                    "a key says nothing; write its value, or take the line away", line=_line(node)
                )
            return node.value
        case yaml.SequenceNode(tag="tag:yaml.org,2002:seq"):
            return [_value(each) for each in node.value]
        case yaml.MappingNode(tag="tag:yaml.org,2002:map"):
            return _mapping(node)
    raise MarkdownError(f"it can't use tags (!){QUOTES}", line=_line(node))


def _mapping(node: yaml.MappingNode) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in node.value:
        name = _value(key)
        if not isinstance(name, str):
            raise MarkdownError("a key must be a word", line=_line(key))
        if name in found:
            raise MarkdownError(f"{name} stands twice", line=_line(key))
        found[name] = _value(value)
    return found


def _line(node: Any) -> int:
    """The line in the file: YAML counts from 0, and the fence stands above."""
    return int(node.start_mark.line) + 2
