"""Each morning, what the runner did since yesterday: said to the owner alone."""

from runner import Alert, Run, cron, task


@task(cron("0 7 * * *"), budget=0)
async def daily_digest(run: Run) -> Alert:
    """Count yesterday's runs, drafts and dollars."""
    figures = await run.figures(days=1)
    lines = [
        f"{name}: {', '.join(f'{n} {status}' for status, n in counts.items())}"
        for name, counts in figures["runs"].items()
    ]
    missed = [f"{name} missed {count} slots" for name, count in figures["missed"].items()]
    waiting = figures["drafts"].get("pending", 0)
    return Alert("\n".join([f"{waiting} drafts wait; ${figures['cost_usd']:.2f} spent", *lines, *missed]))
