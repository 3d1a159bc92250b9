"""Look at our pages every ten minutes; say which went down or came back, and only then."""

from runner import Alert, Run, every, task
from runner.errors import FetchError

PAGES = (
    "https://studio.example.com/",
    "https://blog.example.com/",
    "https://shop.example.com/checkout/health",
)
BAD = 400  #: from this status on


@task(every(minutes=10), reads=PAGES, retries=0, budget=0, label="watch")
async def site_monitor(run: Run) -> Alert | None:
    """Watch our pages."""
    before = run.state.get("down", {})
    now = {page: words for page in PAGES if (words := await _fault(run, page))}
    run.state["down"] = now
    news = [f"{page} is down: {words}" for page, words in now.items() if page not in before]
    news += [f"{page} is up again" for page in before if page not in now]
    return Alert("\n".join(news)) if news else None


async def _fault(run: Run, page: str) -> str:
    """What is wrong with a page; empty when nothing."""
    try:
        status = (await run.fetch(page)).status
    except FetchError as error:
        return str(error)
    return f"it answers {status}" if status >= BAD else ""
