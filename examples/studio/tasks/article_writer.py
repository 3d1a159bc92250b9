"""Write an article on the oldest topic of the backlog: a brief, a draft, an edit. Send it back as often as you like.

A revision is paid for the edit alone: the brief and the draft are on record.
"""

from datetime import timedelta
from typing import Annotated, ClassVar

from backlog import FILE, change, topics, waits
from pydantic import Field

from runner import Alert, Delivery, Receipt, Run, cron, task
from runner.drafts import Article

VOICE = "notes/voice.md"


class BlogArticle(Article):
    """An article of the blog; once it is there, its topic is struck from the backlog."""

    topic: Annotated[str, Field(min_length=1, max_length=200)]

    writes: ClassVar = ("published", "backlog")

    async def deliver(self, delivery: Delivery) -> Receipt:
        """Write the file, then strike the topic; neither where the list can't be read."""
        waits(delivery.home, self.topic)
        receipt = await super().deliver(delivery)
        change(delivery.home, strike=self.topic)
        return receipt

    async def find(self, delivery: Delivery) -> Receipt | None:
        """The article, if all of its delivery was done."""
        return None if waits(delivery.home, self.topic) else await super().find(delivery)


@task(
    cron("30 7 * * tue"),
    files=(FILE, VOICE),
    max_pending=1,
    revisions=5,
    expires=timedelta(days=14),
    label="studio",
)
async def article_writer(run: Run) -> BlogArticle | Alert:
    """Draft one article for the blog."""
    waiting, broken = topics(run.files[FILE])
    for words in broken:
        run.degraded(words)
    if not waiting:
        return Alert(f"There is no topic to write about: approve some, or add them to {FILE}.")
    topic, why = waiting[0]["topic"], waiting[0]["why"]
    voice = run.files[VOICE].read_text(encoding="utf-8")  # asked three times, so it is cached
    brief = await run.claude(
        f"Write the brief of an article about {topic}. Why we want it: {why}\n"
        "Say whom it is for, its one message, five points in order, and what to leave out.",
        system=voice,
    )
    draft = await run.claude(
        f"Write an article about {topic}: 700 words of Markdown, by this brief.\n\n{brief}", system=voice
    )
    return await run.claude(
        f"Edit our article about {topic}: cut what says nothing, check it against the brief, mend what is not our "
        f"voice.\n\nThe brief:\n{brief}\n\nThe article:\n{draft}",
        system=voice,
        returns=BlogArticle,
        given={"topic": topic, "slug": None, "folder": "published/blog"},
    )
