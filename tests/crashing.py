"""A runner that a test kills: real, on the test's stand-ins, with an owner beside it who approves whatever waits."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from pathlib import Path

from runner import settings
from runner.app import App, StandIns
from runner.errors import RunnerError
from runner.gate import State
from runner.store import drafts


async def main(home: Path, claude: str, destination: str) -> None:
    app = App(settings.load(home), stand_ins=StandIns(claude, destination, timedelta(seconds=1)))
    async with app.up():
        print("ready", flush=True)  # noqa: T201
        while True:
            approve_all(app)
            await asyncio.sleep(0.02)


def approve_all(app: App) -> None:
    with app.store.read() as connection:
        waiting = drafts.listed(connection, frozenset({State.PENDING}))
    for row in waiting:
        try:
            app.desk.approve(row.id, row.digest, "the owner")
        except RunnerError as error:
            print(error, flush=True)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
