"""Ended or failed at each write, fsync, commit and send: nothing is lost, nothing happens twice, and it is told.

Two ways are walked by a real runner: that of a draft, from the slot to the destination, and that of a tap, from the
phone to the destination. What is interposed is told in `syscalls.py`; a commit is the fsync of SQLite's -wal. A
sample of the points in `make test`, by a seed that is printed (`CRASH_SEED=…` takes it again); all of them, one after
the other until a whole walk runs through, with `--crash-points all`.
"""

from __future__ import annotations

import itertools
import os
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
import syscalls
from walks import WAYS, Fault, Walk, Way, healed, struck, until, walking

from runner.gate import State
from runner.journal import verify

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from nursery import Nursery
    from syscalls import Point

pytestmark = [
    pytest.mark.skipif(not syscalls.is_there(), reason="this kernel hands no system calls to a listener"),
    pytest.mark.no_cover,
]

LATER = 4  #: calls after the last to the destination: within the commit of what it answered


@dataclass(slots=True)
class Figures:
    """What many walks came to."""

    points: int = 0
    lost: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    untold: list[str] = field(default_factory=list)

    def add(self, walk: Walk, fault: Fault, lines: list[str]) -> None:
        where = f"{walk.way.name}, {fault.name} at {fault.at} ({fault.hit[0]}): "
        self.points += 1
        self.lost += [where + what for what in lost(walk, fault)]
        self.twice += [where + what for what in twice(walk)]
        self.untold += [where + what for what in untold(walk, fault, lines)]


def lost(walk: Walk, fault: Fault) -> list[str]:
    """What was promised and is not there."""
    states = walk.states()
    found = [f"draft {draft}" for draft in walk.promised - states.keys()]
    if State.DELIVERED in states.values() and not walk.destination.effects:
        found.append("a delivery")
    if fault.name == "kill" and not states:
        found.append("the run")  # it is tried again, since nobody stopped it
    if walk.tap and not walk.ask(f"SELECT 1 FROM updates WHERE id = {walk.tap} AND handled IS NOT NULL"):
        found.append("the tap")
    return found


def twice(walk: Walk) -> list[str]:
    """What happened more than once, by the destination's ledger."""
    words = Counter(arrival.body for arrival in walk.destination.effects)
    found = [f"delivery of {body!r}" for body, count in words.items() if count > 1]
    runs, slots = walk.ask("SELECT 1 FROM runs"), walk.ask("SELECT 1 FROM slots")
    return found + ["the run"] * (len(runs) > 1) + ["the slot"] * (len(slots) > 1)


def untold(walk: Walk, fault: Fault, lines: list[str]) -> list[str]:
    """What the owner was not told, or was told before it was on disk."""
    found = [str(problem) for problem in verify(walk.home / "logs").problems]
    uncertain = [draft for draft, state in walk.states().items() if state == State.UNCERTAIN]
    told = {entry["draft"] for entry in walk.entries("delivery.uncertain") if entry.get("reason")}
    found += [f"uncertain draft {draft}" for draft in uncertain if draft not in told]
    if uncertain and walk.tap and walk.card("❓") is None:
        found.append("uncertain, on the phone")
    if fault.name != "kill" and any(point.where.startswith("logs/") for point in fault.hit):
        found += [] if any(line.startswith(("stopped", "refused")) for line in lines) else ["no STOP"]
    return found + fault.early


async def walked(way: Way, hatchery: Nursery, name: str, at: int, figures: Figures) -> Fault:
    """One walk with one fault; what is wrong afterwards is added to the figures."""
    async with walking(way, hatchery) as walk:
        fault = Fault(name, at, walk.home / "logs")
        lines = await struck(walk, fault)
        if fault.hit:
            walk.promised = {entry["draft"] for entry in walk.entries("draft.pending")}
            await healed(walk, approves=not walk.tap or name != "kill")
            figures.add(walk, fault, lines)
        else:
            assert walk.is_over(), lines  # a runner that could not walk has met no fault either
        return fault


async def chosen(way: Way, hatchery: Nursery, name: str, count: str) -> Iterator[int]:
    """Which points: all, each in its turn; or so many, one from each stretch of the way, and the worst one."""
    if count == "all":
        return itertools.count(1)
    seed = int(os.environ.get("CRASH_SEED") or random.randrange(1 << 32))
    print(f"seed {seed}")  # noqa: T201 - shown when the test fails
    whole = await walked(way, hatchery, "", 0, Figures())
    judged = [point for point in whole.points if point.where != syscalls.TERMINAL]
    points = [point for point in judged if name != "ENOSPC" or point.what != "send"]
    stretch, chance = len(points) / int(count), random.Random(seed)
    drawn = [1 + int(stretch * (each + chance.random())) for each in range(int(count))]
    if name == "kill":
        sent = max(place for place, point in enumerate(points, 1) if point.where == "destination")
        drawn.append(sent + LATER)  # where a delivery has arrived and nobody has written it down
    return iter(drawn)


@pytest.mark.timeout(4 * 3600)
@pytest.mark.parametrize("name", ["kill", "EIO", "ENOSPC"])
@pytest.mark.parametrize("way", WAYS)
async def test_a_runner_that_is_killed_or_failed_at_any_call_loses_nothing_and_delivers_nothing_twice(
    tmp_path: Path, way: str, name: str, hatchery: Nursery, request: pytest.FixtureRequest
) -> None:
    figures, there = Figures(), await WAYS[way](tmp_path)
    count = request.config.getoption("--crash-points")
    for at in await chosen(there, hatchery, name, count):
        fault = await walked(there, hatchery, name, at, figures)
        if not fault.hit and count == "all":
            break  # a whole walk
        if not fault.hit:  # the last calls of a way need not come each time
            await walked(there, hatchery, name, max(1, at // 2), figures)
    found = (figures.points, len(figures.lost), len(figures.twice))
    request.node.user_properties.append(("crash points", found))
    assert figures.points
    assert (figures.lost, figures.twice, figures.untold) == ([], [], [])


@pytest.mark.parametrize("way", WAYS)
async def test_promises_4_and_22_nothing_is_told_or_delivered_before_what_it_rests_on_is_on_disk(
    tmp_path: Path, way: str, hatchery: Nursery
) -> None:
    async with walking(await WAYS[way](tmp_path), hatchery) as walk:
        fault = Fault("", 0, walk.home / "logs")
        await struck(walk, fault)
        made = {str(point) for point in fault.points}
        wanted = {"fsync .runner/store.db-wal", "send destination"} | (
            {"send telegram"} if walk.tap else set()
        )
        assert wanted <= made
        assert len(walk.destination.effects) == 1
        assert fault.early == []


async def test_promise_5_a_tap_is_in_the_store_before_telegram_is_told_that_it_came(
    tmp_path: Path, hatchery: Nursery
) -> None:
    async with walking(await WAYS["tap"](tmp_path), hatchery) as walk:
        early = []

        def judge(point: Point) -> int:
            if not walk.telegram.updates.pending and not walk.ask("SELECT 1 FROM updates"):
                early.append(str(point))  # a runner that ended here would never hear of the tap
            return 0

        born = await walk.up(judge, approves=False, resumes=False)
        await until(walk.is_over, lambda: born)
        await born.kill()
        assert walk.telegram.updates.pending == []
        assert early == []


async def test_promise_4_the_command_line_says_nothing_before_it_is_on_disk(
    tmp_path: Path, hatchery: Nursery
) -> None:
    async with walking(await WAYS["tap"](tmp_path), hatchery) as walk:
        ((draft, digest),) = walk.ask("SELECT draft, digest FROM cards")
        fault = Fault("", 0, walk.home / "logs")
        born = await hatchery.bear(
            {"home": str(walk.home), "command": ["approve", draft, "--digest", digest]}, {}, fault
        )
        await born.ended.wait()
        assert walk.states() == {draft: State.APPROVED}
        assert any(point.where == syscalls.TERMINAL for point in fault.points)
        assert fault.early == []


@pytest.mark.parametrize("call", ["fsync logs/", "write logs/"])
@pytest.mark.parametrize("way", WAYS)
async def test_promise_22_a_journal_that_failed_once_stops_all_and_is_not_trusted_again(
    tmp_path: Path, way: str, call: str, hatchery: Nursery
) -> None:
    async with walking(await WAYS[way](tmp_path), hatchery) as walk:
        fault = Fault("EIO", 1, walk.home / "logs", only=call)
        born = await walk.up(fault, approves=True, resumes=True)  # an owner who resumes whatever comes
        await until(lambda: len(born.lines) > 3, lambda: born)  # stopped, and again after each resume
        await born.kill()
        assert all(line.startswith("stopped: the journal") for line in born.lines[1:])
        assert len(fault.hit) == 1
        assert list(walk.destination.ledger) == []
        await healed(walk, approves=True)
        assert len(walk.destination.effects) <= 1
        assert verify(walk.home / "logs").problems == []
