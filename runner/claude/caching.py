"""Where a prompt may repeat: marks for the API's cache, which keeps everything up to a mark for five minutes.

Writing there costs a quarter more than plain input, reading a tenth of it. The API passes over marks after what is
too short, which is 1,024 tokens or more, depending on the model.
https://platform.claude.com/docs/en/build-with-claude/prompt-caching
"""

from typing import Any

import orjson

from runner.claude.question import Question

LEAST = 4096  #: bytes; nothing shorter is ever kept
MARK = {"type": "ephemeral"}


def system(question: Question) -> str | list[dict[str, Any]] | None:
    """What Claude is told before the conversation; what decisions teach changes, so it comes after the mark."""
    told, learnt = question.system, question.learnt
    if not told or not question.cache or len(told.encode()) < LEAST:
        return "\n\n".join(part for part in (told, learnt) if part) or None
    blocks = [{"type": "text", "text": told, "cache_control": MARK}]
    return [*blocks, {"type": "text", "text": learnt}] if learnt else blocks


def marked(question: Question, request: dict[str, Any]) -> dict[str, Any]:
    """The request with marks for a question that takes turns: after long tools, and after the conversation so far."""
    if not question.cache or not question.tools or question.web or len(orjson.dumps(request)) < LEAST:
        return request
    *before, last = request["messages"]
    if last["role"] == "user":
        request = {**request, "messages": [*before, {**last, "content": _marked(last["content"])}]}
    *others, tool = request["tools"]
    if isinstance(request.get("system"), list) or len(orjson.dumps(request["tools"])) < LEAST:
        return request  # the mark after the system prompt covers the tools, which come first
    return {**request, "tools": [*others, {**tool, "cache_control": MARK}]}


def _marked(content: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    return [*blocks[:-1], {**blocks[-1], "cache_control": MARK}]
