"""On the first of each month, what the last one cost, and which task was worth your attention."""

from datetime import timedelta
from typing import Any

from runner import Alert, Run, cron, task


@task(cron("0 7 1 * *"), budget=0, missed="once", late=timedelta(days=3), label="studio")
async def monthly_report(run: Run) -> Alert:
    """Report costs and approvals."""
    days = ((run.slot or run.now()) - timedelta(days=1)).day  # as many as the month had that ended yesterday
    figures = await run.figures(days=days)
    lines = [f"The last {days} days: ${figures['cost_usd']:.2f}"]
    lines += [f"  {name}: ${cost:.2f}" for name, cost in figures["cost_by_task"].items()]
    lines += ["Drafts, those that were least often right first:"] if figures["attention"] else ["No drafts."]
    lines += [_line(name, counts) for name, counts in figures["attention"].items()]
    return Alert("\n".join(lines))


def _line(name: str, counts: dict[str, Any]) -> str:
    words = ("unchanged", "edited", "revised", "rejected", "expired")
    came_to = ", ".join(f"{counts[word]} {word}" for word in words if counts[word])
    after = f"; decided after {counts['hours']:.1f} h" if counts["hours"] is not None else ""
    return f"  {name}: {counts['made']} made" + (f": {came_to}" if came_to else "") + after
