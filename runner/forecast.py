"""What a task will cost before it is enabled: what its rehearsal asked, counted, priced, and as often as it is due."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from runner.claude.price import cost
from runner.due import due
from runner.errors import ClaudeError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from runner.catalog import Declared

MONTH = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Forecast:
    """The most that one run costs, and a month of them."""

    calls: int
    input_tokens: int
    output_tokens: int  #: if every answer were as long as it may be
    run: Decimal  #: USD
    runs: int  #: in the next 30 days; 0: on demand only

    @property
    def month(self) -> Decimal:
        """USD in the next 30 days."""
        return self.run * self.runs


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that a rehearsal made."""

    request: dict[str, Any]
    is_batch: bool = False


async def forecast(
    task: Declared,
    asked: Sequence[Asked],
    count: Callable[[dict[str, Any]], Awaitable[int]],
    now: datetime,
    zone: ZoneInfo,
) -> Forecast:
    """Count and price what one run asked; raises `ClaudeError` for a model without a price, and what `count` raises."""
    prompts = [await count(each.request) for each in asked]
    answers = [int(each.request["max_tokens"]) for each in asked]
    prices = [_price(each, prompt) for each, prompt in zip(asked, prompts, strict=True)]
    slots = due(task.triggers, now, now + MONTH, zone)
    return Forecast(
        len(asked), sum(prompts), sum(answers), sum(prices, Decimal(0)), slots.count if slots else 0
    )


def _price(asked: Asked, prompt: int) -> Decimal:
    model = asked.request["model"]
    usage = {"input_tokens": prompt, "output_tokens": int(asked.request["max_tokens"])}
    price = cost(model, usage, is_batch=asked.is_batch)
    if price is None:
        raise ClaudeError(
            f"no price is known for the model {model!r}; update genai-prices, or choose another model"
        )
    return price
