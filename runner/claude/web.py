"""Claude's own web tools: offered for the domains of a question, counted over its exchanges, and told from the answer.

The plain versions of both tools are used: the later ones may run code on the results before Claude sees them
(https://docs.claude.com/en/docs/agents-and-tools/tool-use/web-search-tool and …/web-fetch-tool).
"""

from typing import TYPE_CHECKING, Any

from runner.claude.question import Web
from runner.errors import ClaudeError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from anthropic.types import ContentBlock, Message

SEARCH, FETCH = "web_search", "web_fetch"
TYPES = {SEARCH: "web_search_20250305", FETCH: "web_fetch_20250910"}
RESULT_TOKENS = 10_000  #: that a fetch may bring, and that a search is reckoned at
SAID_MAX = 2_000  #: characters of a query or an address that are put on record


class Searching:
    """The web tools of one question, over all its exchanges."""

    def __init__(self, web: Web | None) -> None:
        self._web = web
        self._used = dict.fromkeys(TYPES, 0)

    def tools(self) -> list[dict[str, Any]]:
        """The tools as the next request offers them; the API takes no bound below one."""
        return [self._tool(name, self._web) for name in TYPES] if self._web else []

    def _tool(self, name: str, web: Web) -> dict[str, Any]:
        left = max(web.max_uses - self._used[name], 1)
        tool = {"type": TYPES[name], "name": name, "max_uses": left, "allowed_domains": list(web.domains)}
        return tool | ({"max_content_tokens": RESULT_TOKENS} if name == FETCH else {})

    def hear(self, message: "Message") -> None:
        """Count what was used; raises `ClaudeError` for more than the question allows."""
        usage = message.usage.server_tool_use
        if self._web is None or usage is None:
            return
        self._used[SEARCH] += usage.web_search_requests or 0
        self._used[FETCH] += usage.web_fetch_requests or 0
        for name, used in self._used.items():
            if used > self._web.max_uses:
                raise ClaudeError(
                    f"Claude used {name} {used} times over several turns; raise max_uses={self._web.max_uses}, or ask for less"
                )


def deeds(content: "Iterable[ContentBlock]") -> tuple[dict[str, str], ...]:
    """What was searched for and fetched, in order."""
    found = []
    for block in content:
        if block.type == "server_tool_use" and block.name in TYPES:
            key = "query" if block.name == SEARCH else "url"
            found.append({block.name.removeprefix("web_"): _said(block.input, key)})
    return tuple(found)


def _said(given: Any, key: str) -> str:
    return str(given.get(key, ""))[:SAID_MAX] if isinstance(given, dict) else ""


def answered(content: "Iterable[ContentBlock]") -> tuple[str, bool]:
    """The text after the last result from the web, and whether there was one: what stands before it is a thought aloud."""
    text, has_looked = "", False
    for block in content:
        if block.type == "text":
            text += block.text
        elif block.type.endswith("_tool_result"):
            text, has_looked = "", True
    return text, has_looked
