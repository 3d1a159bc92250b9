"""Draft a comment for each post in comments.csv, once you have said who its author is to you."""

from lists import read

from runner import Alert, Run, cron, task
from runner.drafts import LinkedInComment

FILE = "comments.csv"
COLUMNS = ("post", "author", "says")
URN = "urn:li:"


@task(cron("30 9 * * mon-fri"), files=(FILE,), label="studio")
async def linkedin_comment(run: Run) -> LinkedInComment | Alert | None:
    """Comment on the next post, or ask who wrote it."""
    done = run.state.setdefault("done", [])
    listed, broken = read(run.files[FILE], FILE, COLUMNS)
    rows = []
    for number, row in listed:
        if not row["post"].startswith(URN):
            broken.append(f"{FILE}, line {number}: a post begins with {URN}")
        elif row["post"] not in done:
            rows.append(row)
    for words in broken:
        run.degraded(words)
    if not rows:
        return None
    post = rows[0]
    question = f"Who is {post['author']} to us, and what should a comment say or leave out?"
    told = next((each.reason for each in run.recent if each.question == question), None)
    if told is None:
        return Alert(f"There is a post to comment on: {post['says']}", question=question)
    comment = await run.claude(
        f"Comment on a post by {post['author']}, in at most 60 words, as one would say it in person.\n\n"
        f"The post: {post['says']}\nThe author to us: {told}",
        returns=LinkedInComment,
        given={"post": post["post"]},
    )
    run.state["done"] = [*done, post["post"]]
    return comment
