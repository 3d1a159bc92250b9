"""What a call costs, and what it can't cost more than."""

import socket
from decimal import Decimal
from typing import Any, Never

import pytest

from runner.claude import price

HAIKU = "claude-haiku-5-5"
FABLE = "claude-fable-5-2"


def cost(model: str, usage: dict[str, Any]) -> Decimal:
    known = price.cost(model, usage)
    assert known is not None
    return known


def upper_bound(model: str, request: dict[str, Any]) -> Decimal:
    known = price.upper_bound(model, request)
    assert known is not None
    return known


def asking(text: str = "Write a post.", **more: Any) -> dict[str, Any]:
    return {
        "model": FABLE,
        "max_tokens": 1_000,
        "messages": [{"role": "user", "content": text}],
        **more,
    }


def test_a_call_costs_what_the_price_list_says() -> None:
    usage = {"input_tokens": 1_000_000, "output_tokens": 1_000_000}
    assert cost(FABLE, usage) == Decimal(48)


def test_reading_the_cache_is_cheaper_and_writing_it_dearer_than_plain_input() -> None:
    plain = cost(FABLE, {"input_tokens": 1_000, "output_tokens": 0})
    read = cost(FABLE, {"input_tokens": 0, "cache_read_input_tokens": 1_000, "output_tokens": 0})
    written = cost(FABLE, {"input_tokens": 0, "cache_creation_input_tokens": 1_000, "output_tokens": 0})
    assert read < plain < written


def test_an_unknown_model_has_no_price() -> None:
    assert price.cost("claude-nobody-9", {"input_tokens": 1, "output_tokens": 1}) is None
    assert price.upper_bound("claude-nobody-9", asking()) is None


@pytest.mark.parametrize("model", [HAIKU, FABLE])
@pytest.mark.parametrize("text", ["a", "é€😀" * 500, "word " * 30_000])
def test_no_call_of_text_costs_more_than_its_upper_bound(model: str, text: str) -> None:
    request = asking(text)
    dearest = {"input_tokens": len(text.encode()) + 2_000, "output_tokens": 1_000}
    assert upper_bound(model, request) >= cost(model, dearest)


def test_the_bound_of_a_long_prompt_is_at_the_dearer_context_tier() -> None:
    short, long = asking("x" * 50_000), asking("x" * 150_000)
    assert upper_bound(HAIKU, long) > 3 * 2 * upper_bound(HAIKU, short)


def test_the_bound_covers_the_premium_of_writing_the_cache() -> None:
    plain = asking("x" * 10_000)
    cached = {**plain, "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    written = {
        "input_tokens": 0,
        "cache_creation_input_tokens": 10_000,
        "cache_creation": {"ephemeral_1h_input_tokens": 10_000},
        "output_tokens": 1_000,
    }
    assert upper_bound(FABLE, cached) >= cost(FABLE, written) > upper_bound(FABLE, plain)


def test_prices_are_known_without_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> Never:
        raise AssertionError("a price must not be fetched")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert upper_bound(FABLE, asking()) > 0
