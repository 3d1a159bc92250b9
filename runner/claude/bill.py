"""What an exchange with the API came to, from the usage it told."""

from collections.abc import Mapping
from typing import Any

from runner.claude.price import cost, uncached
from runner.claude.question import Spent


def bill(
    asked: str, answered: str, usage: Mapping[str, Any], *, is_whole: bool = True, is_batch: bool = False
) -> Spent:
    """The bill: `asked` and `answered` are the model's names, of which the price list may know only one."""
    tokens = {name: value for name, value in usage.items() if isinstance(value, int)}
    counted = {"input_tokens": 0, "output_tokens": 0, **usage}
    model, price = answered, cost(answered, counted, is_batch=is_batch)
    if price is None:
        model, price = asked, cost(asked, counted, is_batch=is_batch)
    plain = uncached(model, counted)
    return Spent(
        model=answered,
        input_tokens=tokens.get("input_tokens", 0),
        output_tokens=tokens.get("output_tokens", 0),
        cache_read_tokens=tokens.get("cache_read_input_tokens", 0),
        cache_write_tokens=tokens.get("cache_creation_input_tokens", 0),
        cost_usd=price,
        is_lower_bound=not is_whole,
        saved_usd=None if price is None or plain is None else plain - price,
    )
