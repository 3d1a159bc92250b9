"""Measure the phone: from a tap to its decision and to the first line of its delivery, alone and below a backlog."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from runner.draft import Kind
from runner.rehearsal.handset import PERSON, Handset
from runner.rehearsal.telegram import TOKEN, StandInTelegram
from runner.review.telegram.post import Pace
from runner.store import drafts, phone
from runner.store.store import Store, new_id
from runner.testing import Rehearsal, rehearsal

if TYPE_CHECKING:
    from collections.abc import Callable

NOTE = """
import time
from runner import Draft, Receipt, task

class Note(Draft):
    text: str

    async def deliver(self, delivery):
        return Receipt(detail=repr(time.time()))

@task(max_pending=0)
def note(run):
    return [Note(text=str(n)) for n in range(40)]
"""
APPROVE = "✅ Approve"
BACKLOG = 1000


async def tap_lag(backlog: int = 0) -> tuple[list[float], list[float]]:
    """Seconds from each of forty taps to its decision, committed and in the journal, and to its delivery's first line.

    `backlog` is how many other cards wait to be sent, while none is.
    """
    decided: dict[str, float] = {}

    def heard(event: dict[str, Any]) -> None:
        if event["event"] == "draft.approved":
            decided[str(event["draft"])] = time.time()

    given = {"telegram_token": SecretStr(TOKEN), "telegram_owners": (PERSON,)}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        (Path(folder) / "tasks").mkdir()
        (Path(folder) / "tasks" / "note.py").write_text(NOTE)
        async with (
            StandInTelegram() as telegram,
            rehearsal(Path(folder), phone=telegram.url, heard=heard, **given) as it,
        ):
            await it.run("note")
            waiting = it.waiting()
            await _until(it, lambda: _count(it.app.store, "'live'") == len(waiting))
            await _until(it, lambda: all(_card(telegram, sheet.held.id) for sheet in waiting))
            if backlog:
                _pile_up(it, backlog)
            return await _tapped(it, telegram, [sheet.held.id for sheet in waiting], decided)


async def _tapped(
    it: Rehearsal, telegram: StandInTelegram, ids: list[str], decided: dict[str, float]
) -> tuple[list[float], list[float]]:
    to_decision, to_delivery = [], []
    for draft in ids:
        card = _card(telegram, draft)
        assert card is not None
        began = time.time()
        Handset(telegram).tap(card, APPROVE)
        event = await it.event("delivery.delivered", draft=draft)
        to_decision.append(decided[draft] - began)
        to_delivery.append(float(event["receipt"]["detail"]) - began)
    return to_decision, to_delivery


def _card(telegram: StandInTelegram, draft: str) -> dict[str, Any] | None:
    return Handset(telegram).newest(APPROVE, draft)


def _pile_up(it: Rehearsal, count: int) -> None:
    """So many cards that wait, in a chat where nothing is sent."""
    assert it.app.phone is not None
    it.app.phone.sender.pace = Pace()
    with it.app.store.change() as tx:
        for number in range(count):
            phone.add_post(tx, PERSON, "answer", {"text": f"number {number}", "entities": []})


async def thousand_cards() -> tuple[float, float]:
    """Seconds to make the cards of a thousand drafts, and to have them all shown with their buttons, with no pace kept."""
    kind = Kind(name="note", title="Note", module="n", file="n.py", schema_={}, source="ab" * 32)
    given = {"telegram_token": SecretStr(TOKEN), "telegram_owners": (PERSON,)}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        async with (
            StandInTelegram() as telegram,
            rehearsal(Path(folder), phone=telegram.url, **given) as it,
        ):
            began = time.perf_counter()
            _fill(it.app.store, kind)
            await _until(it, lambda: _count(it.app.store, "'sending', 'live'") == BACKLOG)
            made = time.perf_counter() - began
            await _until(it, lambda: _count(it.app.store, "'sending'") == 0)
            return made, time.perf_counter() - began


def _fill(store: Store, kind: Kind) -> None:
    with store.change() as tx:
        for place in range(BACKLOG):
            origin = drafts.Origin(task="note", run="r1", place=place, call=None)
            drafts.add(tx, new_id(), origin, kind, {"text": f"Note {place}"}, timedelta(days=3), 3)


def _count(store: Store, states: str) -> int:
    with store.read() as connection:
        query = f"SELECT count(*) FROM cards WHERE state IN ({states})"
        return int(connection.exec_driver_sql(query).scalar_one())


async def _until(it: Rehearsal, holds: Callable[[], bool]) -> None:
    while not holds():
        await asyncio.sleep(0.1)


def percentile(values: list[float], share: float) -> float:
    """The value below which that share lies."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


async def main() -> None:
    """Print all of it."""
    for backlog in (0, BACKLOG):
        for what, values in zip(("decision", "delivery"), await tap_lag(backlog), strict=True):
            middle, high = statistics.median(values), percentile(values, 0.95)
            print(
                f"tap to {what}, {backlog} messages waiting: median {1000 * middle:.1f} ms, p95 {1000 * high:.1f} ms"
            )
    made, shown = await thousand_cards()
    print(
        f"{BACKLOG} drafts: cards made after {made:.1f} s, all shown with their buttons after {shown:.1f} s"
    )


if __name__ == "__main__":
    asyncio.run(main())
