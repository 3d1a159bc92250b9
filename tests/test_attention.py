"""The owner's attention: reminded twice, never asked the same twice, and told which task wastes it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from modules import note
from sqlalchemy import text
from test_schedule import outcomes, schedule, settle, task
from test_store import put, told

from runner import every
from runner.store import runs, waiting
from runner.store.stats import of_tasks
from runner.store.store import Store
from runner.testing import rehearsal

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from conftest import HandClock


def test_a_draft_that_waits_is_told_at_half_and_at_nine_tenths_of_its_life(
    store: Store, clock: HandClock
) -> None:
    with store.change() as tx:
        put(tx, hours=10)
    begun = clock.now()
    seen = []
    while (hour := moment(store)) is not None:
        clock.at = hour
        with store.change() as tx:
            waiting.expire(tx)
            waiting.remind(tx)
        seen.append(((clock.now() - begun) / timedelta(hours=1), told(store)[-1]["event"]))
    assert seen == [(5, "draft.waiting"), (9, "draft.waiting"), (10, "draft.expired")]


def moment(store: Store) -> datetime | None:
    with store.read() as connection:
        return waiting.next_hour(connection, store.clock.now())


def test_after_a_long_sleep_one_reminder_is_enough(store: Store, clock: HandClock) -> None:
    with store.change() as tx:
        put(tx, hours=10)
        put(tx, "m2x7", hours=1000)
    clock.move(hours=9.5)
    for _ in range(3):
        with store.change() as tx:
            waiting.remind(tx)
    assert [(event["event"], event["draft"]) for event in told(store)[2:]] == [("draft.waiting", "k3v9")]


def test_a_store_of_before_there_were_reminders_is_upgraded(store: Store) -> None:
    with store.change() as tx:
        put(tx)
        for change in (
            "DROP INDEX drafts_by_reminder",
            "ALTER TABLE drafts DROP COLUMN remind",
            "UPDATE meta SET value = '3' WHERE name = 'schema'",
        ):
            tx.connection.execute(text(change))
    again = Store(store.url, store.clock)
    again.open()
    with again.change() as tx:
        assert waiting.remind(tx) == 0
        put(tx, "m2x7")
    again.close()


async def test_what_waits_already_is_not_asked_twice(tmp_path: Path) -> None:
    async with rehearsal(tmp_path, is_scheduled=False) as it:
        it.drop("note.py", note("return Note(text='The shop is closed today.')"))
        await it.run("note")
        first = it.waiting()[0].held.id
        second = await it.run("note")
        assert [sheet.held.id for sheet in it.waiting()] == [first]
        assert it.found("draft.folded", draft=first, run=second.id)
        it.desk.reject(first, it.waiting()[0].held.digest, "the owner", "we are open")
        await it.run("note")
        assert len(it.waiting()) == 1


async def test_all_tasks_together_ask_for_no_more_than_their_owner_wants(
    store: Store, clock: HandClock, tmp_path: Path
) -> None:
    async with schedule(
        store, tmp_path, task(every(minutes=1), max_pending=0, overlap="queue"), max_pending=2
    ) as kept:
        with store.change() as tx:
            put(tx, "k3v9")
        clock.move(minutes=1)
        settle(kept)
        with store.change() as tx:
            put(tx, "m2x7")
        clock.move(minutes=1)
        settle(kept)
        assert [outcome for *_, outcome in outcomes(store)][-1] == "skipped: max_pending_total"


async def test_a_task_that_drafts_nothing_runs_however_much_waits(
    store: Store, clock: HandClock, tmp_path: Path
) -> None:
    async with schedule(store, tmp_path, task(every(minutes=1)), max_pending=1) as kept:
        with store.change() as tx:
            put(tx)
            tx.connection.execute(text("UPDATE drafts SET task = 'another'"))
        clock.move(minutes=1)
        settle(kept)
        assert [outcome for *_, outcome in outcomes(store)] == ["run"]


async def test_the_owner_sees_which_task_wastes_their_attention(tmp_path: Path) -> None:
    async with rehearsal(tmp_path, is_scheduled=False) as it:
        it.drop("note.py", note("return [Note(text=f'one two three {n}') for n in range(4)]"))
        row = await it.run("note")
        kept, edited, refused, sent_back = it.waiting()
        desk = it.desk
        desk.approve(kept.held.id, kept.held.digest, "ana")
        new = desk.edit(edited.held.id, edited.held.digest, "ana", {"text": "one two four 1"})
        desk.approve(edited.held.id, new, "ana")
        desk.reject(refused.held.id, refused.held.digest, "ana", "too dull")
        desk.revise(sent_back.held.id, sent_back.held.digest, "ana", "shorter")
        with it.app.store.change() as tx:
            runs.spent(tx, row.id, "note", "m", (1, 1), None, is_lower_bound=False)
        with it.app.store.read() as connection:
            (found,) = of_tasks(connection, it.app.store.clock.now() - timedelta(days=1))
    assert (found.made, found.unchanged, found.edited, found.revised, found.rejected) == (4, 1, 1, 1, 1)
    assert found.reasons == ["too dull"]
    assert found.change == pytest.approx(0.2, abs=0.11)
    assert found.hours == pytest.approx(0, abs=0.1)
    assert found.cost_per_delivered is None
