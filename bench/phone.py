"""Measure the phone: from a tap to its decision and to the first line of its delivery, alone and below a backlog."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from runner.draft import Kind
from runner.rehearsal.handset import PERSON, Handset
from runner.rehearsal.telegram import TOKEN, StandInTelegram
from runner.review.telegram.post import Pace
from runner.review.telegram.wire import Wire
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


@dataclass(frozen=True, slots=True)
class Lags:
    """Seconds from each tap, in order."""

    network: list[float] = field(
        default_factory=list
    )  #: to a client that only hears it: HTTP alone, at that moment
    decided: list[float] = field(default_factory=list)  #: to its decision, committed and in the journal
    begun: list[float] = field(default_factory=list)  #: to the first line of its delivery

    @property
    def beyond(self) -> list[float]:
        """To the first line of its delivery, less what the network took in the same moment."""
        return [begun - network for begun, network in zip(self.begun, self.network, strict=True)]


async def tap_lag(backlog: int = 0) -> Lags:
    """Forty taps, and before each one the same over a line where nobody does anything but hear it.

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
            StandInTelegram() as other,
            rehearsal(Path(folder), phone=telegram.url, heard=heard, **given) as it,
        ):
            await it.run("note")
            waiting = it.waiting()
            await _until(it, lambda: _count(it.app.store, "'live'") == len(waiting))
            await _until(it, lambda: all(_card(telegram, sheet.held.id) for sheet in waiting))
            if backlog:
                _pile_up(it, backlog)
            lags, ear = Lags(), Ear(other, Wire(TOKEN, other.url))
            for sheet in waiting:
                lags.network.append(await ear.hear())
                await _tap(it, telegram, sheet.held.id, decided, lags)
            await ear.wire.close_line()
            return lags


@dataclass(slots=True)
class Ear:
    """A client of the same library that waits in a long poll as the runner does, and does nothing but hear."""

    telegram: StandInTelegram
    wire: Wire
    offset: int | None = None
    polls: int = 0

    async def hear(self) -> float:
        """Seconds from a tap on a message like a card until this client has it."""
        message = await self.wire.call("sendMessage", chat_id=PERSON, text="a card " * 80)
        poll = asyncio.create_task(self.wire.call("getUpdates", 50, timeout=50, offset=self.offset))
        self.polls += 1
        await self.telegram.called("getUpdates", self.polls)
        began = time.time()
        self.telegram.taps(PERSON, message["message_id"], data="x" * 32)
        (update,) = await poll
        self.offset = update["update_id"] + 1
        return time.time() - began


async def _tap(
    it: Rehearsal, telegram: StandInTelegram, draft: str, decided: dict[str, float], lags: Lags
) -> None:
    card = _card(telegram, draft)
    assert card is not None
    began = time.time()
    Handset(telegram).tap(card, APPROVE)
    event = await it.event("delivery.delivered", draft=draft)
    lags.decided.append(decided[draft] - began)
    lags.begun.append(float(event["receipt"]["detail"]) - began)


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
        lags = await tap_lag(backlog)
        for what, values in {
            "being heard by a bare client": lags.network,
            "decision": lags.decided,
            "first line of delivery": lags.begun,
            "first line of delivery, beyond the network": lags.beyond,
        }.items():
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
