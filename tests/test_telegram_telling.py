"""What the owner is told beside the cards: runs, troubles, the morning, and nothing at night that can wait."""

from __future__ import annotations

import json
from datetime import time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from conftest import HandClock
from modules import note
from phones import APPROVE, OWNER, phoned, said
from test_store import put

from runner.rehearsal.destination import Answers, DropsResponse
from runner.rehearsal.telegram import StandInTelegram
from runner.review.telegram.feed import LOOK, _some
from runner.review.telegram.hours import next_at
from runner.store import runs, slots
from runner.store.phone import cards_of
from runner.tables import Phone

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

QUIET = Phone(quiet_hours="00:00-23:59", digest_at="")


@pytest.fixture
async def tg() -> AsyncIterator[StandInTelegram]:
    async with StandInTelegram() as server:
        yield server


async def test_a_run_has_one_message_that_is_edited_as_it_goes(tmp_path: Path, tg: StandInTelegram) -> None:
    async with phoned(tmp_path, tg) as hand:
        hand.it.drop("note.py", note(options="notify='always'"))
        await hand.it.run("note")
        told = await hand.reads("✅ note: run")
        assert "ok in" in said(told)
        assert "made note" in said(told)
        await hand.shown(APPROVE)
        assert len([each for each in tg.messages(OWNER) if "note: run" in said(each)]) == 1


async def test_troubles_fold_and_end_when_it_runs_well_again(tmp_path: Path, tg: StandInTelegram) -> None:
    async with phoned(tmp_path, tg) as hand:
        hand.it.drop("note.py", note("raise ValueError('no luck')", options="retries=0"))
        for _ in range(3):
            await hand.it.run("note")
        told = await hand.reads("3 in a row")
        assert "no luck" in said(told)
        assert len([each for each in tg.messages(OWNER) if "no luck" in said(each)]) == 1
        hand.it.drop("note.py", note("return None"))
        await hand.it.until(lambda: len(hand.it.found("task.loaded")) == 2)
        await hand.it.run("note")
        await hand.reads("It ran well again")
        hand.it.drop("note.py", note("raise ValueError('no luck')", options="retries=0"))
        await hand.it.until(lambda: len(hand.it.found("task.loaded")) == 3)
        await hand.it.run("note")
        await hand.it.until(
            lambda: len([each for each in tg.messages(OWNER) if "no luck" in said(each)]) == 2
        )


async def test_a_task_that_says_never_is_not_told_of(tmp_path: Path, tg: StandInTelegram) -> None:
    async with phoned(tmp_path, tg) as hand:
        hand.it.drop("note.py", note("raise ValueError('no luck')", options="retries=0, notify='never'"))
        await hand.it.run("note")
        hand.it.drop("loud.py", note("return Alert('listen')").replace("async def note", "async def loud"))
        await hand.it.run("loud")
        await hand.reads("🔔 loud: listen")
        assert hand.sees("no luck") is None


async def test_a_broken_module_is_told_with_its_line(tmp_path: Path, tg: StandInTelegram) -> None:
    async with phoned(tmp_path, tg) as hand:
        hand.it.drop("bad.py", "def (")
        await hand.reads("tasks/bad.py:1")


async def test_quiet_hours_hold_all_but_stop_and_troubles_of_deliveries(
    tmp_path: Path, tg: StandInTelegram
) -> None:
    async with phoned(tmp_path, tg, telegram=QUIET, timezone="UTC") as hand:
        hand.it.destination.script(Answers(422), DropsResponse())
        hand.it.drop("note.py", note("return [Alert('listen'), Note(text='hello')]"))
        await hand.it.run("note")
        sheet = await hand.it.draft()
        hand.it.desk.approve(sheet.held.id, sheet.held.digest, "ana")
        await hand.shown(APPROVE, "it was not delivered")
        hand.it.desk.approve(sheet.held.id, sheet.held.digest, "ana")
        await hand.reads("may have been delivered or not")
        (tmp_path / "STOP").write_text("quiet, please")
        await hand.reads("🛑 STOPPED: quiet, please")
        assert hand.sees("listen") is None
        assert len([each for each in tg.messages(OWNER) if "▌text" in said(each)]) == 1


async def test_the_morning_sums_up_once(tmp_path: Path, tg: StandInTelegram) -> None:
    async with phoned(tmp_path, tg, timezone="UTC") as hand:
        hand.it.drop("note.py", note())
        await hand.it.run("note")
        clock = HandClock()
        clock.at = hand.it.app.store.clock.now()
        hand.it.app.store.clock = clock
        await hand.phone.tick()
        assert hand.sees("🌅") is None
        made, clock.at = clock.at, next_at(time(8), clock.at, ZoneInfo("UTC"))
        with hand.it.app.store.change() as tx:
            slots.record(tx, "note", clock.at, "missed: too late to be of use", count=2)
        age = (clock.at - made) // timedelta(hours=1)
        for _ in range(3):
            await hand.phone.tick()
        told = await hand.reads("🌅")
        for words in ("1 drafts wait", "note: 1 ok", "Spent: $0.0000 yesterday", "Journal: event"):
            assert words in said(told)
        assert f"{age} h old" in said(told)
        assert "note: 2 slots missed" in said(told)
        await hand.handled(tg.says(OWNER, "hello"))
        assert len([each for each in tg.messages(OWNER) if "🌅" in said(each)]) == 1


async def test_a_run_that_should_have_ended_is_an_alarm_once(tmp_path: Path, tg: StandInTelegram) -> None:
    async with phoned(tmp_path, tg) as hand:
        body = "print('begun')\nwhile not (run.folder / 'go').exists(): pass"
        hand.it.drop("note.py", note(body, options="retries=0"))
        await hand.it.until(lambda: "note" in hand.it.app.catalog.tasks)
        with hand.it.app.store.change() as tx:
            runs.add(tx, "r1", "note")
        await hand.it.event("log", message="begun")
        await hand.phone.tick()
        clock = HandClock()
        clock.at = hand.it.app.store.clock.now() + timedelta(minutes=15)
        hand.it.app.store.clock = clock
        for _ in range(3):
            await hand.phone.tick()
        await hand.reads("🚨 note: run r1 began 15 min ago and has not ended")
        (tmp_path / ".runner" / "folders" / "note" / "go").touch()
        await hand.it.event("run.finished")
        assert len([each for each in tg.messages(OWNER) if "🚨" in said(each)]) == 1


async def test_a_missed_slot_is_told(tmp_path: Path, tg: StandInTelegram) -> None:
    async with phoned(tmp_path, tg) as hand:
        with hand.it.app.store.change() as tx:
            for _ in range(2):
                tx.tell("slot.missed", task="note", slot="2026-11-24T09:00:00.000Z", reason="stopped")
        await hand.reads("note: missed its slot of Tue 24 Nov")
        await hand.reads("2 in a row")


@pytest.mark.no_cover
async def test_ten_thousand_lines_of_a_log_delay_no_card(tmp_path: Path, tg: StandInTelegram) -> None:
    async with phoned(tmp_path, tg) as hand:
        phone, store = hand.it.app.phone, hand.it.app.store
        assert phone is not None
        while phone.feed.step():
            pass
        with store.change() as tx:
            for number in range(10_000):
                tx.tell("log", task="note", message=f"line {number}")
            put(tx, "k3v9")
        steps = 1
        while phone.feed.step():
            steps += 1
        with store.read() as connection:
            assert cards_of(connection, "k3v9")
        assert steps <= 10_000 / LOOK + 1


@pytest.mark.parametrize(
    ("name", "at_once"),
    [
        ("draft.pending", 2),
        ("delivery.delivered", 2),
        ("run.finished", 20),
        ("log", LOOK),
    ],
)
def test_no_transaction_tells_so_much_that_a_tap_would_wait_for_it(name: str, at_once: int) -> None:
    ahead = [(seq, json.dumps({"event": name})) for seq in range(1, LOOK + 1)]
    told, last = _some(ahead)
    assert last == at_once
    assert len(told) == (0 if name == "log" else at_once)


async def test_the_summary_names_what_has_waited_longest_first(
    tmp_path: Path, tg: StandInTelegram, clock: HandClock
) -> None:
    async with phoned(tmp_path, tg) as hand:
        phone, store = hand.it.app.phone, hand.it.app.store
        assert phone is not None
        store.clock = clock
        for draft, hours in (("k3v9", 0), ("a2a2", 30), ("m2x7", 5)):
            clock.move(hours=-hours)
            with store.change() as tx:
                put(tx, draft)
            clock.move(hours=hours)
        with store.read() as connection:
            lines = phone.digest.lines(connection, clock.now())
        named = [line.split()[2] for line in lines if line.startswith("· ")]
        assert named == ["a2a2", "m2x7", "k3v9"]
