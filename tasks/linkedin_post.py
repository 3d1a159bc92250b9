"""Write a LinkedIn post each weekday at nine; it waits for approval, then lies in published/linkedin/ to be pasted."""

from runner import Run, cron, task
from runner.drafts import Article

PROMPT = """Write a LinkedIn post about one practical lesson in testing software.
At most 120 words, plain text, no hashtags. Title: a short name for it."""


@task(cron("0 9 * * mon-fri"))
async def linkedin_post(run: Run) -> Article:
    """Draft one LinkedIn post."""
    post = await run.claude(PROMPT, returns=Article)
    return post.model_copy(update={"folder": "published/linkedin"})
