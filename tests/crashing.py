"""A runner that a test kills: real, on the test's stand-ins, with an owner beside it who approves whatever waits."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from runner import settings
from runner.app import App, StandIns
from runner.errors import RunnerError
from runner.gate import State
from runner.store import drafts

LOOK_S = 0.02


def serve(order: dict[str, Any]) -> int:
    """Be the runner that was ordered, or carry out one command of the command line."""
    if "command" in order:
        from runner.cli.commands import run

        sys.argv = ["runner", *order["command"]]
        return int(run() or 0)
    asyncio.run(_up(order))
    return 0


async def _up(order: dict[str, Any]) -> None:
    every = timedelta(seconds=order["every_s"]) if "every_s" in order else None
    stand_ins = StandIns(order["claude"], order["destination"], every, order.get("telegram", ""))
    app = App(settings.load(Path(order["home"])), stand_ins=stand_ins)
    try:
        async with app.up():
            hurry(app)
            say("ready")
            await attend(app, approves=order["approves"], resumes=order["resumes"])
    except RunnerError as error:
        say(f"refused: {error}")


def hurry(app: App) -> None:
    """Have no test wait for the pauses that are kept for people's sake."""
    from runner.review.telegram import phone
    from runner.review.telegram.poll import Rhythm
    from runner.review.telegram.post import Pace

    if app.phone is not None:
        app.phone.sender.pace = Pace(0, 0, 0, 0.01)
        app.phone.poll.rhythm = Rhythm(again_s=0.02)
        app.phone.cards.again_s = 0.01
        phone.AGAIN_S = 0.1


async def attend(app: App, *, approves: bool, resumes: bool) -> None:
    """What the owner does at the terminal, for ever: resume what is stopped, approve what waits."""
    was = None
    while True:
        if app.stop.reason != was:
            was = app.stop.reason
            say(f"stopped: {was}" if was else "resumed")
        try:
            if was is not None and resumes:
                app.desk.resume("the owner")
                was = None
            elif approves:
                approve_all(app)
        except RunnerError as error:
            say(f"{error}")
        await asyncio.sleep(LOOK_S)


def approve_all(app: App) -> None:
    with app.store.read() as connection:
        waiting = drafts.listed(connection, frozenset({State.PENDING}))
    for row in waiting:
        try:
            app.desk.approve(row.id, row.digest, "the owner")
        except RunnerError as error:
            say(f"{error}")


def say(words: str) -> None:
    print(words, flush=True)  # noqa: T201
