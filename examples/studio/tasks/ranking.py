"""The kind of `ranking_weights.md`: numbers alone, so that it may go out without a human."""

from typing import Annotated, ClassVar

from pydantic import Field

from runner import Delivery, Draft, Receipt

Weight = Annotated[float, Field(ge=0, le=1)]


class RankingWeights(Draft):
    """By how much each thing counts where the shop ranks what it found."""

    relevance: Weight
    sales: Weight
    freshness: Weight
    margin: Weight

    auto: ClassVar = True
    once: ClassVar = "key"
    account: ClassVar = "shop.example.com"
    secrets: ClassVar = ("SHOP_TOKEN",)

    async def deliver(self, delivery: Delivery) -> Receipt:
        """Put them into force."""
        answer = await delivery.http.put(
            "https://shop.example.com/api/ranking",
            json=self.model_dump(),
            headers={
                "Authorization": f"Bearer {delivery.secret('SHOP_TOKEN')}",
                "Idempotency-Key": delivery.key,
            },
        )
        answer.raise_for_status()
        return Receipt(id=delivery.key)
