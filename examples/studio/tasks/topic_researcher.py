"""Look for topics each Monday, unless enough wait; those that you approve go into the backlog."""

from typing import Annotated, ClassVar

from backlog import FILE, change, topics
from pydantic import BaseModel, Field

from runner import Delivery, Draft, Receipt, Run, Web, cron, task

ENOUGH = 50


class Topic(BaseModel):
    """Something to write about."""

    topic: Annotated[str, Field(min_length=1, max_length=200)]
    why: Annotated[str, Field(min_length=1, max_length=300)]


class Topics(Draft):
    """Topics for the backlog."""

    topics: Annotated[list[Topic], Field(min_length=1, max_length=5)]

    writes: ClassVar = ("backlog",)
    once: ClassVar = "key"

    async def deliver(self, delivery: Delivery) -> Receipt:
        """Put them below the others."""
        change(delivery.home, add=[topic.model_dump() for topic in self.topics])
        return Receipt(id=FILE)


@task(cron("0 6 * * mon"), files=(FILE,), web=("docs.python.org", "en.wikipedia.org"), label="studio")
async def topic_researcher(run: Run) -> Topics | None:
    """Find up to five topics for the blog."""
    listed, broken = topics(run.files[FILE])
    for words in broken:
        run.degraded(words)
    waiting = [row["topic"] for row in listed]
    if len(waiting) >= ENOUGH:
        run.log.info("enough topics wait", count=len(waiting))
        return None
    return await run.claude(
        f"Search for what is new about running a small software studio, and name five topics that our blog could take "
        f"up. Not one of: {waiting}",
        returns=Topics,
        web=Web(max_uses=5),
    )
