"""Look at a page every ten minutes; say so when it goes down or comes back, and only then."""

from runner import Alert, Run, every, task
from runner.errors import FetchError

PAGE = "https://example.com/"


@task(every(minutes=10), reads=(PAGE,), retries=0, budget=0)
async def site_monitor(run: Run) -> Alert | None:
    """Watch one page."""
    try:
        page = await run.fetch(PAGE)
        answer = "up" if page.status < 400 else f"down: it answers {page.status}"
    except FetchError as error:
        answer = f"down: {error}"
    before, run.state["answer"] = run.state.get("answer", "up"), answer
    return None if answer == before else Alert(f"{PAGE} is {answer}")
