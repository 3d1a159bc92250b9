"""Claude's own web tools, as the stand-in Claude plays them: what is looked for, and what the API would make of that.

Nothing is fetched: a page says that it is a rehearsal's. What the API refuses is refused: a domain that is no domain, an
address that no allowed domain covers, more uses than the request allows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Sequence

SEARCH, FETCH = "web_search", "web_fetch"
_DOMAIN = re.compile(r"[a-z0-9.-]+(/[^\s?#]*)?")


@dataclass(frozen=True, slots=True)
class Looks:
    """Claude searches for these words, or fetches that address; one of the two."""

    search: str = ""
    fetch: str = ""


def tools(asked: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The web tools that a request offers, by name."""
    return {
        tool["name"]: tool for tool in asked.get("tools") or () if str(tool.get("type")).startswith("web_")
    }


def fault(asked: dict[str, Any]) -> str:
    """What the API would refuse of the web tools of a request; empty when nothing."""
    for name, tool in tools(asked).items():
        for domain in tool.get("allowed_domains") or ():
            if not _DOMAIN.fullmatch(domain):
                return f"tools.{name}.allowed_domains: {domain!r} is not a valid domain"
        if tool.get("max_uses") is not None and tool["max_uses"] < 1:
            return f"tools.{name}.max_uses: must be at least 1"
        if tool.get("allowed_domains") and tool.get("blocked_domains"):
            return f"tools.{name}: allowed_domains and blocked_domains can't be used together"
    return ""


def own_looks(asked: dict[str, Any], topic: str) -> tuple[Looks, ...]:
    """What Claude looks for without a script: one search, once in a conversation that offers it."""
    has_looked = any(
        isinstance(message["content"], list)
        and any(block.get("type") == "server_tool_use" for block in message["content"])
        for message in asked["messages"]
    )
    return (Looks(search=topic),) if SEARCH in tools(asked) and not has_looked else ()


def blocks(asked: dict[str, Any], looks: Sequence[Looks], number: int) -> list[dict[str, Any]]:
    """The blocks of an answer that tell of the looks, each with its result."""
    offered, used = tools(asked), dict.fromkeys((SEARCH, FETCH), 0)
    found: list[dict[str, Any]] = []
    for place, look in enumerate(looks):
        name = SEARCH if look.search else FETCH
        tool = offered.get(name)
        if tool is None:
            raise AssertionError(f"the script has Claude use {name}, which the request does not offer")
        used[name] += 1
        is_over = used[name] > (tool.get("max_uses") or used[name])
        identity = f"srvtoolu_rehearsal_{number:04}_{place}"
        given = {"query": look.search} if look.search else {"url": look.fetch}
        result = _result(name, tool, look, is_over=is_over)
        found += [
            {"type": "server_tool_use", "id": identity, "name": name, "input": given},
            {"type": f"{name}_tool_result", "tool_use_id": identity, "content": result},
        ]
    return found


def _result(name: str, tool: dict[str, Any], look: Looks, *, is_over: bool) -> Any:
    error = f"{name}_tool_result_error"
    if is_over:
        return {"type": error, "error_code": "max_uses_exceeded"}
    domains = [str(domain) for domain in tool.get("allowed_domains") or ("example.com",)]
    if name == SEARCH:
        return [_found(domain, look.search) for domain in domains]
    if not _covers(domains, look.fetch):
        return {"type": error, "error_code": "url_not_allowed"}
    text = {"type": "text", "media_type": "text/plain", "data": f"A rehearsal's page for {look.fetch}."}
    document = {"type": "document", "source": text, "title": "A page", "citations": None}
    return {"type": "web_fetch_result", "url": look.fetch, "content": document, "retrieved_at": None}


def _found(domain: str, query: str) -> dict[str, Any]:
    return {
        "type": "web_search_result",
        "url": f"https://{domain}/",
        "title": f"{domain} on {query}"[:80],
        "encrypted_content": "cmVoZWFyc2Fs",
        "page_age": None,
    }


def _covers(domains: Sequence[str], url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return any(host == domain or host.endswith(f".{domain}") for domain in domains)


def usage(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What the bill says of the looks: those that came to something."""
    done = [
        block["type"].removesuffix("_tool_result")
        for block in found
        if block["type"].endswith("_tool_result")
        and not (isinstance(block["content"], dict) and "error_code" in block["content"])
    ]
    counts = {f"{name}_requests": done.count(name) for name in (SEARCH, FETCH)}
    return {"server_tool_use": counts} if found else {}
