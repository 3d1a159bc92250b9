"""STOP is asked at every door: each is listed here with what happens before it, and a door that nobody asks fails."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from modules import note

import runner
from runner.errors import StoppedError
from runner.rehearsal.claude import Calls, Says
from runner.stop import Door, Stop
from runner.store import runs
from runner.testing import Rehearsal, rehearsal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


async def slot(it: Rehearsal) -> None:
    it.drop("note.py", note())
    await it.event("slot.missed", reason="stopped")


async def run(it: Rehearsal) -> None:
    it.drop("note.py", note())
    await started(it)


async def claude(it: Rehearsal) -> None:
    it.drop("note.py", note("return await run.claude('x', returns=Note)"))
    await started(it)
    assert len(it.claude.requests) == 0


async def tool(it: Rehearsal) -> None:
    it.claude.script(Calls("used", {}), Says("x"))
    it.drop("note.py", note("def used():\n    print('used')\nreturn await run.claude('x', tools=[used])"))
    await started(it)
    assert it.found("log", message="used") == []


async def fetch(it: Rehearsal) -> None:
    page = "https://example.com/health"
    it.drop("note.py", note(f"await run.fetch('{page}')", options=f"reads=('{page}',)"))
    await started(it)
    assert len(it.destination.visits) == 0


async def draft(it: Rehearsal) -> None:
    it.drop("note.py", note())
    await started(it)
    assert it.waiting() == []


async def started(it: Rehearsal) -> None:
    """A run that meets the shut door ends as stopped."""
    await it.until(lambda: "note" in it.app.catalog.tasks)
    with it.app.store.change() as tx:
        runs.add(tx, "r1", "note")
    event = await it.event("run.finished", run="r1")
    assert event["status"] == "stopped"


async def decision(it: Rehearsal) -> None:
    it.drop("note.py", note())
    await it.run("note")
    sheet = await it.draft()
    with pytest.raises(StoppedError):
        it.desk.approve(sheet.held.id, sheet.held.digest, "ana")
    await it.event("decision.refused")


async def delivery(it: Rehearsal) -> None:
    it.drop("note.py", note())
    await it.run("note")
    sheet = await it.draft()
    it.desk.approve(sheet.held.id, sheet.held.digest, "ana")
    await it.event("stop.engaged")
    await it.until(lambda: it.desk.sheet(sheet.held.id).held.state == "pending")
    assert len(it.destination.ledger) == 0


BEHIND: dict[Door, Callable[[Rehearsal], Awaitable[None]]] = {
    Door.SLOT: slot,
    Door.RUN: run,
    Door.CLAUDE: claude,
    Door.TOOL: tool,
    Door.FETCH: fetch,
    Door.DRAFT: draft,
    Door.DECISION: decision,
    Door.DELIVERY: delivery,
}


@pytest.mark.parametrize("door", Door)
async def test_nothing_passes_a_door_once_stop_is_there(
    door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """STOP appears in the very moment in which the door is asked."""
    ask = Stop.ask

    def appear(stop: Stop, asked: Door, since: int | None = None) -> None:
        if asked is door:
            stop.path.touch()
        ask(stop, asked, since)

    monkeypatch.setattr(Stop, "ask", appear)
    async with rehearsal(tmp_path, every=timedelta(seconds=1) if door is Door.SLOT else None) as it:
        await BEHIND[door](it)


def test_every_door_is_asked_somewhere() -> None:
    asked = set()
    for path in Path(runner.__file__).parent.rglob("*.py"):
        asked |= set(re.findall(r"\.ask\(Door\.([A-Z]+)[,)]", path.read_text()))
    assert asked == {door.name for door in Door}
    assert set(BEHIND) == set(Door)
