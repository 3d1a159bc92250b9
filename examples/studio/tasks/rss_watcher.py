"""Look into the feeds we follow every hour; tell what is new, each entry once."""

from runner import Alert, Run, every, task
from runner.errors import FetchError

FEEDS = ("https://news.example.com/feed.xml", "https://blog.example.com/atom.xml")
KNOWN = 500  #: entries of each feed that are remembered


@task(every(hours=1), reads=FEEDS, budget=0, label="watch")
async def rss_watcher(run: Run) -> Alert | None:
    """Tell what is new in our feeds."""
    news = [line for url in FEEDS for line in await _new(run, url)]
    return Alert("\n".join(news)) if news else None


async def _new(run: Run, url: str) -> list[str]:
    """A line for each entry of a feed that was not there before."""
    try:
        page = await run.fetch(url)
        feed = page.feed() if page.changed else None
    except FetchError as error:
        run.degraded(str(error))
        return []
    known = run.state.get(url, [])
    entries = [entry for entry in feed.entries if entry.id not in known] if feed else []
    run.state[url] = [*known, *(entry.id for entry in entries)][-KNOWN:]
    return [f"{entry.title} {entry.link}".strip() for entry in entries]
