"""Look each morning how long our certificates are good, and say so three weeks, one week and each of three days before.

It stays sealed: the runner gets the page, checks its certificate as a browser does, and says until when that is good.
"""

from runner import Alert, Run, cron, task
from runner.errors import FetchError

PAGES = ("https://studio.example.com/", "https://shop.example.com/")
TOLD_AT = (21, 7, 3, 2, 1)  #: days before the end


@task(cron("0 6 * * *"), reads=PAGES, budget=0, label="watch")
async def certificate_expiry(run: Run) -> Alert | None:
    """Watch our certificates."""
    before, steps, news = run.state.get("steps", {}), {}, []
    for page in PAGES:
        words, steps[page] = await _left(run, page)
        if words and steps[page] != before.get(page):
            news.append(f"{page}: {words}")
    run.state["steps"] = steps
    return Alert("\n".join(news)) if news else None


async def _left(run: Run, page: str) -> tuple[str, int | None]:
    """What there is to say of a page's certificate, and which of the steps to its end it has reached."""
    try:
        until = (await run.fetch(page)).certificate_until
    except FetchError as error:
        return str(error), 0  # an expired one is told so
    if until is None:
        return "it has no certificate", 0
    days = (until - run.now()).days
    reached = min((step for step in TOLD_AT if days <= step), default=None)
    return (f"its certificate is good for {days} more days, until {until:%d %B}" if reached else ""), reached
