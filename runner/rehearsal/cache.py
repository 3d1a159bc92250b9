"""The prompt cache of the stand-in for Claude: what was marked is kept for five minutes from its last use."""

from __future__ import annotations

import hashlib
import json
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KEPT_S = 300.0
LEAST = 1024  #: tokens; what is shorter is not kept, marked or not
BACK = 20  #: blocks before a mark in which an earlier prefix is looked for


class Cache:
    """Prefixes of prompts that were seen."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._seen: dict[str, float] = {}  #: when each prefix was last used

    def usage(self, asked: dict[str, Any]) -> dict[str, Any]:
        """The prompt tokens of a request as the API bills them; what it marks is kept from now on."""
        prefixes = list(_prefixes(asked))
        marks = [place for place, (_, size, is_marked) in enumerate(prefixes) if is_marked and size >= LEAST]
        read = max((size for mark in marks for size in self._found(prefixes, mark)), default=0)
        end = prefixes[marks[-1]][1] if marks else 0
        for mark in marks:
            self._seen[prefixes[mark][0]] = self.clock()
        return {
            "input_tokens": max(tokens(json.dumps(asked)) - end, 0),
            "cache_creation_input_tokens": end - read,
            "cache_read_input_tokens": read,
            "cache_creation": {"ephemeral_5m_input_tokens": end - read, "ephemeral_1h_input_tokens": 0},
        }

    def _found(self, prefixes: list[tuple[str, int, bool]], mark: int) -> Iterator[int]:
        """The sizes of the prefixes that end at that mark or shortly before it, and are still kept."""
        for name, size, _ in prefixes[max(0, mark - BACK) : mark + 1]:
            if self.clock() - self._seen.get(name, -KEPT_S) < KEPT_S:
                self._seen[name] = self.clock()
                yield size


def tokens(text: str) -> int:
    """How many a text has, reckoned at four characters each."""
    return len(text) // 4


def _prefixes(asked: dict[str, Any]) -> Iterator[tuple[str, int, bool]]:
    """Each prefix of the prompt: what tells it from any other, its tokens, and whether it ends in a mark."""
    digest, size = hashlib.sha256(str(asked["model"]).encode()), 0
    for block in _blocks(asked):
        plain = json.dumps({name: value for name, value in block.items() if name != "cache_control"})
        digest.update(plain.encode())
        size += tokens(plain)
        yield digest.hexdigest(), size, "cache_control" in block


def _blocks(asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The prompt in the order in which the API reads it: tools, system, messages."""
    yield from asked.get("tools") or []
    yield from _texts(asked.get("system") or [])
    for message in asked["messages"]:
        yield from ({**block, "role": message["role"]} for block in _texts(message["content"]))


def _texts(content: Any) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content
