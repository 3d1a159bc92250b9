"""Each morning, what the journal says of the last day: said to you alone, and without Claude."""

from runner import Alert, Run, cron, task

GOOD = ("ok", "running")


@task(cron("0 7 * * *"), budget=0, label="studio")
async def daily_digest(run: Run) -> Alert:
    """Sum up the last day."""
    figures = await run.figures(days=1)
    ran = sum(sum(counts.values()) for counts in figures["runs"].values())
    lines = [
        f"drafts that wait for you: {figures['drafts'].get('pending', 0)}",
        f"drafts of which nobody knows whether they arrived: {figures['drafts'].get('uncertain', 0)}",
        f"runs: {ran}, of {len(figures['runs'])} tasks, for ${figures['cost_usd']:.2f}",
    ]
    lines += [
        f"{name}: {count} {status}"
        for name, counts in figures["runs"].items()
        for status, count in counts.items()
        if status not in GOOD
    ]
    lines += [f"{name}: {count} slots missed" for name, count in figures["missed"].items()]
    return Alert("\n".join(lines))
