"""Walk through the shop's sitemap each morning: is each page there, and does it say the price of products.csv?"""

import re
from decimal import Decimal

from shop import FILE, products

from runner import Alert, Run, cron, task
from runner.errors import FetchError

SITEMAP = "https://shop.example.com/sitemap.xml"
PAGES = "https://shop.example.com/products/"
MOST = 50  #: pages a run; the runner gets 60 a minute
GOOD = 200
LOCATION = re.compile(r"<loc>\s*(\S+?)\s*</loc>")
PRICE = re.compile(r'itemprop="price"\s+content="([^"]*)"')


@task(cron("0 5 * * *"), reads=(SITEMAP, PAGES), files=(FILE,), budget=0, label="shop")
async def shop_check(run: Run) -> Alert | None:
    """Compare what the shop shows to what it should."""
    listed, wrong = products(run.files[FILE])
    prices = {product.sku: product.price for product in listed}
    found = [url for url in LOCATION.findall((await run.fetch(SITEMAP)).text) if url.startswith(PAGES)]
    if len(found) > MOST:
        run.degraded(f"the sitemap has {len(found)} products; the first {MOST} were looked at")
    seen = set()
    for url in found[:MOST]:
        sku, words = await _looked_at(run, url, prices)
        seen.add(sku)
        wrong += [f"{url}: {words}"] if words else []
    if len(found) <= MOST:
        wrong += [f"{sku} is not in the sitemap" for sku in prices if sku not in seen]
    return Alert("\n".join(wrong)) if wrong else None


async def _looked_at(run: Run, url: str, prices: dict[str, Decimal]) -> tuple[str, str]:
    """Which product a page shows, and what is wrong with it; empty when nothing."""
    sku = url.removeprefix(PAGES)
    try:
        page = await run.fetch(url)
    except FetchError as error:
        return sku, str(error)
    if page.status != GOOD:
        return sku, f"it answers {page.status}"
    match = PRICE.search(page.text)
    price = match[1] if match else ""
    if sku not in prices:
        return sku, f"{FILE} has no such product"
    if not re.fullmatch(r"\d+(\.\d\d)?", price) or Decimal(price) != prices[sku]:
        return sku, f"it says {price or 'no'} EUR, and {FILE} {prices[sku]}"
    return sku, ""
