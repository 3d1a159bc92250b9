"""Describe what is new in products.csv: up to ten drafts a night, read as a set: runner review --run RUN.

All of them are asked in one batch at half price, which may take until the morning.
"""

import asyncio
from datetime import timedelta
from typing import Annotated, ClassVar

from pydantic import Field
from shop import FILE, SKU, Product, products

from runner import Alert, Delivery, Draft, Receipt, Run, cron, task

AT_ONCE = 10
VOICE = "notes/voice.md"


class ProductDescription(Draft):
    """What the shop says of a product; edit it to your liking before it goes live."""

    sku: Annotated[str, Field(pattern=SKU)]
    headline: Annotated[str, Field(min_length=1, max_length=80)]
    text: Annotated[str, Field(min_length=1, max_length=1200)]

    once: ClassVar = "key"
    account: ClassVar = "shop.example.com"
    secrets: ClassVar = ("SHOP_TOKEN",)

    async def deliver(self, delivery: Delivery) -> Receipt:
        """Put it into the shop."""
        answer = await delivery.http.put(
            f"https://shop.example.com/api/products/{self.sku}/description",
            json={"headline": self.headline, "text": self.text},
            headers={
                "Authorization": f"Bearer {delivery.secret('SHOP_TOKEN')}",
                "Idempotency-Key": delivery.key,
            },
        )
        answer.raise_for_status()
        return Receipt(id=self.sku, url=f"https://shop.example.com/products/{self.sku}")


@task(
    cron("0 1 * * *"),
    files=(FILE, VOICE),
    patience=timedelta(hours=6),
    expires=timedelta(days=7),
    label="shop",
)
async def product_descriptions(run: Run) -> list[ProductDescription | Alert]:
    """Draft what the shop says of each new product."""
    listed, broken = products(run.files[FILE])
    for words in broken:
        run.degraded(words)
    done = run.state.setdefault("done", [])
    new = [product for product in listed if product.sku not in done][:AT_ONCE]
    voice = run.files[VOICE].read_text(encoding="utf-8")
    drafts = await asyncio.gather(*(_described(run, product, voice) for product in new))
    run.state["done"] = [*done, *(product.sku for product in new)]
    return [*drafts, *([Alert("\n".join(broken))] if broken else [])]


async def _described(run: Run, product: Product, voice: str) -> ProductDescription:
    return await run.claude(
        f"Write a headline and at most 80 words about {product.name}, for our shop. Say nothing beyond these facts, "
        f"and no price: {product.facts}\n\nOur voice:\n{voice}",
        returns=ProductDescription,
        given={"sku": product.sku},
    )
