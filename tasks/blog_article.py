"""Draft a blog article each Tuesday: an outline first, then the text. Send it back as often as you like."""

from datetime import timedelta

from pydantic import BaseModel

from runner import Run, cron, task
from runner.drafts import Article


class Outline(BaseModel):
    """What the article will say."""

    title: str
    points: list[str]


@task(cron("30 7 * * tue"), revisions=5, expires=timedelta(days=14))
async def blog_article(run: Run) -> Article:
    """Draft one article for the studio's blog."""
    written = run.state.setdefault("titles", [])
    outline = await run.claude(
        f"Outline an article on running a small studio. Not one of: {written}", returns=Outline
    )
    article = await run.claude(
        f"Write the article, 600 words of Markdown: {outline.model_dump_json()}", returns=Article
    )
    run.state["titles"] = [*written, article.title][-50:]
    return article.model_copy(update={"folder": "published/blog"})
