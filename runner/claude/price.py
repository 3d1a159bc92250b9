"""What a call of Claude costs, from the price list that ships with genai-prices; asks no network."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import orjson

from runner.claude.web import RESULT_TOKENS

#: what the API may add to a prompt by itself: the wrapping of tools and of a schema
_ADDED_TOKENS = 2_000


def cost(model: str, usage: Mapping[str, Any], *, is_batch: bool = False) -> Decimal | None:
    """What the API's ``usage`` comes to in USD, asked directly or in a batch; None when the model's price is unknown."""
    # 0.2 s that only the first call should pay
    from genai_prices import extract_usage  # noqa: PLC0415

    try:
        extracted = extract_usage({"model": model, "usage": dict(usage)}, provider_id="anthropic")
        return extracted.calc_price(price_context={"processing": "batch"} if is_batch else None).total_price
    except (LookupError, ValueError):
        return None


def uncached(model: str, usage: Mapping[str, Any]) -> Decimal | None:
    """What the same tokens would have cost asked directly and without a cache; None when the price is unknown."""
    names = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    prompt = sum(int(usage.get(name) or 0) for name in names)
    plain = {"input_tokens": prompt, "output_tokens": int(usage.get("output_tokens") or 0)}
    return cost(model, plain | {name: usage[name] for name in ("server_tool_use",) if usage.get(name)})


def upper_bound(model: str, request: Mapping[str, Any], *, is_batch: bool = False) -> Decimal | None:
    """What one exchange can't cost more than, in USD; None when the model's price is unknown.

    A token is at least one byte of the request, so its size in UTF-8 bounds the prompt; ``max_tokens``
    bounds the answer, thinking included. A prompt that large may reach a dearer context tier than the real
    one does, never a cheaper one.

    With Claude's own web tools this is a reckoning, not a bound: the API caps neither the results of a search nor a
    fetched document that is no text. Each use is taken at its fee and `RESULT_TOKENS`, all read anew after each.
    """
    body = orjson.dumps(dict(request))
    prompt = len(body) + _ADDED_TOKENS
    output = int(request["max_tokens"])
    if uses := {tool["name"]: tool["max_uses"] for tool in request.get("tools", ()) if "max_uses" in tool}:
        return cost(model, _searched(prompt, output, uses))
    usages = [{"input_tokens": prompt, "output_tokens": output}]
    if b'"cache_control"' in body:  # what is written to the cache costs a premium
        usages += [_written(prompt, output, ttl) for ttl in ("5m", "1h")]
    costs = [cost(model, usage, is_batch=is_batch) for usage in usages]
    known = [each for each in costs if each is not None]
    return max(known) if len(known) == len(costs) else None


def _searched(prompt: int, output: int, uses: Mapping[str, int]) -> dict[str, Any]:
    """The usage of an exchange in which Claude uses the web as often as it may."""
    count = sum(uses.values())
    whole = prompt + count * RESULT_TOKENS
    fees = {f"{name}_requests": number for name, number in uses.items()}
    return {
        **_written(whole, output, "5m"),
        "cache_read_input_tokens": count * whole,
        "server_tool_use": fees,
    }


def _written(prompt: int, output: int, ttl: str) -> dict[str, Any]:
    """The usage of a prompt that goes into the cache as a whole."""
    return {
        "input_tokens": 0,
        "cache_creation_input_tokens": prompt,
        "cache_creation": {f"ephemeral_{ttl}_input_tokens": prompt},
        "output_tokens": output,
    }
