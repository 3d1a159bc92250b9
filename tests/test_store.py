"""The store: guarded changes, in one transaction with the events that tell of them."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import update

from runner.draft import Kind, digest
from runner.errors import GoneError, StoppedError, StoreError
from runner.gate import State
from runner.review.desk import Desk
from runner.stop import Stop
from runner.store import decisions, deliveries, drafts, money, runs, slots, stops, waiting
from runner.store.drafts import Origin
from runner.store.schema import meta
from runner.store.store import Store, Transaction, new_id

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import HandClock

NOTE = Kind(name="note", title="Note", module="notes", file="tasks/notes.py", schema_={}, source="ab" * 32)


def put(tx: Transaction, draft: str = "k3v9", text: str = "Hello", hours: float = 72) -> str:
    origin = Origin(task="greet", run="r1", place=0, call=None)
    drafts.add(tx, draft, origin, NOTE, {"text": text}, timedelta(hours=hours), 2)
    return draft


def told(store: Store) -> list[dict[str, Any]]:
    return [json.loads(body) for _, body in store.events_after(0)]


def approve(store: Store, draft: str, **values: Any) -> None:
    with store.change() as tx:
        held = drafts.held(tx.connection, draft)
        drafts.move(tx, held, State.APPROVED, approved=held.digest, approved_by="ana", **values)


def test_promise_2_an_attempt_that_arrived_keeps_its_outcome(store: Store) -> None:
    with store.change() as tx:
        held = drafts.held(tx.connection, put(tx))
        number = deliveries.begin(tx, held, "key")
        deliveries.end(tx, number, "uncertain")
        deliveries.end(tx, number, "delivered", {"id": "1"})
        deliveries.end(tx, number, "uncertain")
        last = deliveries.last(tx.connection, held.id)
    assert last is not None
    assert (last.outcome, json.loads(last.receipt)) == ("delivered", {"id": "1"})


def test_whatever_moves_a_draft_voids_the_yes_that_waits_for_another_persons(store: Store) -> None:
    with store.change() as tx:
        draft = put(tx)
        decisions.endorse(tx, drafts.held(tx.connection, draft), "ana")
    approve(store, draft)
    with store.change() as tx:
        drafts.move(tx, drafts.held(tx.connection, draft), State.PENDING)  # taken back: two must say yes anew
        assert decisions.yeses(tx.connection, drafts.held(tx.connection, draft)) == ()


def test_what_reads_can_change_nothing(store: Store) -> None:
    with pytest.raises(StoreError, match="attempt to write a readonly database"), store.read() as connection:
        connection.execute(meta.delete())


def test_the_version_changes_by_what_others_commit_alone(store: Store) -> None:
    before = store.version()
    store.tell("ours")
    assert told(store)
    assert store.version() == before
    other = Store(store.url)
    other.tell("theirs")
    other.close()
    assert store.version() != before


def test_a_draft_and_the_event_that_tells_of_it_are_committed_together_or_not_at_all(store: Store) -> None:
    def fail(tx: Transaction) -> None:
        put(tx)
        raise RuntimeError

    with pytest.raises(RuntimeError), store.change() as tx:
        fail(tx)
    assert told(store) == []
    with store.change() as tx:
        put(tx)
    (event,) = told(store)
    with store.read() as connection:
        held = drafts.held(connection, "k3v9")
        assert digest(drafts.content(connection, "k3v9")) == held.digest == event["digest"]
    assert event["fields"] == {"text": "Hello"}


def test_an_event_that_json_has_no_words_for_is_told_all_the_same(store: Store) -> None:
    class Odd:
        def __repr__(self) -> str:
            raise RuntimeError

    store.tell("log", n=2**70, text="ab\udcff", keys={(1, 2): 3}, odd=Odd(), name="x", fine=[1, "é"])
    (event,) = told(store)
    assert (event["n"], event["text"], event["keys"]) == (str(2**70), "ab\\udcff", "{(1, 2): 3}")
    assert (event["odd"], event["name"], event["fine"]) == ("<Odd>", "x", [1, "é"])


def test_a_damaged_page_is_told_in_words(store: Store, tmp_path: Path) -> None:
    for number in range(200):
        store.tell("alert.raised", text=f"{number} " + "x" * 1000)
    store.close()
    path = tmp_path / ".runner" / "store.db"
    data = bytearray(path.read_bytes())
    data[4096 * 5 :] = b"x" * (len(data) - 4096 * 5)
    path.write_bytes(data)
    with pytest.raises(StoreError, match=r"can't be used now: .*malformed"):
        store.events_after(0)


def test_of_two_deciders_who_both_asked_in_time_one_wins(store: Store) -> None:
    with store.change() as tx:
        put(tx)
    with store.read() as connection:
        held = drafts.held(connection, "k3v9")

    def decide(state: State) -> bool:
        try:
            with store.change() as tx:
                drafts.move(tx, held, state)
        except GoneError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        won = list(pool.map(decide, [State.APPROVED, State.REJECTED] * 10))
    assert won.count(True) == 1


def test_promise_9_who_decides_on_an_old_revision_changes_nothing_of_the_new(store: Store) -> None:
    with store.change() as tx:
        put(tx)
        old = drafts.held(tx.connection, "k3v9")
        drafts.revise(tx, old, NOTE, {"text": "Hi"}, origin="edit", by="ana", event="draft.edited")
    with pytest.raises(GoneError, match="decided elsewhere"), store.change() as tx:
        drafts.move(tx, old, State.APPROVED, approved=old.digest, approved_by="bob")
    with store.read() as connection:
        held = drafts.held(connection, "k3v9")
        assert (held.state, held.revision, held.approved) == (State.PENDING, 2, None)


def test_promise_18_a_stop_that_only_the_store_knows_of_refuses_each_decision(
    store: Store, tmp_path: Path
) -> None:
    with store.change() as tx:
        put(tx)
        stops.engage(tx, "too loud", "ana")
    desk = Desk(store, Stop(tmp_path / "STOP", lambda _: None))  # there is no file, or no more
    digest = desk.sheet("k3v9").held.digest
    for decide in (desk.approve, desk.reject, desk.withdraw):
        with pytest.raises(StoppedError, match=r"stopped \(too loud\): nothing is decided"):
            decide("k3v9", digest, "ana")
    assert desk.sheet("k3v9").held.state is State.PENDING
    desk.resume("ana")
    assert desk.approve("k3v9", digest, "ana")


def test_a_new_revision_voids_the_approval_and_changes_the_digest(store: Store) -> None:
    with store.change() as tx:
        put(tx)
    with store.change() as tx:
        held = drafts.held(tx.connection, "k3v9")
        new = drafts.revise(tx, held, NOTE, {"text": "Hi"}, origin="edit", by="ana", event="draft.edited")
    with store.read() as connection:
        held = drafts.held(connection, "k3v9")
        assert (held.revision, held.digest, held.approved) == (2, new, None)
        assert drafts.fields_of(connection, "k3v9") == {"text": "Hi"}
        assert drafts.fields_of(connection, "k3v9", 1) == {"text": "Hello"}
        with pytest.raises(GoneError, match="no revision 3"):
            drafts.content(connection, "k3v9", 3)


def test_promise_19_what_is_queued_when_stop_comes_or_goes_never_begins(store: Store) -> None:
    with store.change() as tx:
        runs.add(tx, "r1", "greet")
        stops.engage(tx, "too loud", "ana")
    with store.read() as connection:
        row = runs.get(connection, "r1")
        assert (row.status, row.error) == ("stopped", "stopped: too loud")
    with store.change() as tx:
        runs.add(tx, "r2", "greet")
        stops.release(tx, "ana")
        runs.add(tx, "r3", "greet")
    with store.read() as connection:
        assert runs.get(connection, "r2").status == "stopped"
        assert [row.id for row in runs.queued(connection)] == ["r3"]


def test_promise_18_stop_voids_each_approval_not_yet_begun(store: Store) -> None:
    with store.change() as tx:
        put(tx, "k3v9")
        put(tx, "m2x7")
    approve(store, "k3v9")
    with store.change() as tx:
        assert stops.engage(tx, "too loud", "ana")
        assert not stops.engage(tx, "again", "ana")
    with store.read() as connection:
        latch = stops.latched(connection)
        assert latch is not None
        assert latch.reason == "too loud"
        assert {row.state for row in drafts.listed(connection)} == {"pending"}
    with store.change() as tx:
        assert stops.release(tx, "ana")
        assert not stops.release(tx, "ana")
    names = [event["event"] for event in told(store)]
    assert names[-3:] == ["stop.engaged", "draft.returned", "stop.released"]


def test_what_nobody_decides_expires_approved_or_not(store: Store, clock: HandClock) -> None:
    with store.change() as tx:
        put(tx, "k3v9", hours=1)
        put(tx, "m2x7", hours=1)
        put(tx, "p4d8", hours=9)
    approve(store, "m2x7")
    with store.read() as connection:
        assert waiting.next_hour(connection, clock.now()) == clock.now() + timedelta(minutes=30)  # a reminder
    clock.move(hours=1)
    with store.change() as tx:
        assert waiting.expire(tx) == 2
    with store.read() as connection:
        assert [row.id for row in drafts.listed(connection)] == ["p4d8"]


def test_an_approval_for_a_later_hour_is_due_then(store: Store, clock: HandClock) -> None:
    with store.change() as tx:
        put(tx)
    approve(store, "k3v9", not_before="2026-11-24T10:00:00.000Z")
    with store.read() as connection:
        assert waiting.due(connection, clock.now()) == []
        assert waiting.due(connection, clock.move(hours=1)) == ["k3v9"]


def test_an_id_may_be_written_short_while_that_means_one_thing(store: Store) -> None:
    with store.change() as tx:
        put(tx, "k3v9")
        put(tx, "k3m2")
    with store.read() as connection:
        assert drafts.resolve(connection, "k3v") == "k3v9"
        for prefix, words in (
            ("k3", "more than one draft"),
            ("zz", "no draft 'zz'"),
            ("%", "no draft"),
            ("", "more of it"),
        ):
            with pytest.raises(GoneError, match=words):
                drafts.resolve(connection, prefix)
        with pytest.raises(GoneError, match="no draft zz"):
            drafts.held(connection, "zz")
        with pytest.raises(GoneError, match="no draft zz"):
            drafts.get(connection, "zz")


def test_a_run_is_claimed_once_and_keeps_what_it_was_first_given(store: Store) -> None:
    with store.change() as tx:
        runs.add(tx, "r1", "greet")
        first = runs.begin(tx, "r1", {"state": {"n": 1}})
        assert first is not None
        assert runs.begin(tx, "r1", {}) is None
        assert runs.retry(tx, "r1", "boom", timedelta(seconds=5))
        assert not runs.retry(tx, "r1", "boom", timedelta(seconds=5))
        again = runs.begin(tx, "r1", {"state": {"n": 2}})
        assert again is not None
        assert (again.attempt, json.loads(again.inputs)) == (2, {"state": {"n": 1}})
        assert runs.finish(tx, "r1", "ok")
        assert not runs.finish(tx, "r1", "error")
    with store.read() as connection:
        assert runs.resolve(connection, "r") == "r1"
        assert runs.is_open(connection, "greet") == 0


def test_money_is_exact_and_summed_by_run_task_and_day(store: Store, clock: HandClock) -> None:
    with store.change() as tx:
        runs.add(tx, "r1", "greet")
        for _ in range(3):
            runs.spent(tx, "r1", "greet", "m", (10, 5), Decimal("0.000000001"), is_lower_bound=False)
        runs.spent(tx, "r1", "greet", "m", (1, 1), None, is_lower_bound=True)
    with store.read() as connection:
        assert runs.bill(connection, "r1") == (Decimal("3E-9"), 31, 16)
        assert money.spent(connection, clock.now()) == Decimal("3E-9")
        assert money.spent(connection, clock.move(days=1)) == 0
        (row,) = runs.costs(connection, clock.move(days=-2))
        assert (row.task, row.calls, row.input_tokens) == ("greet", 4, 31)
        assert [row.cost for row in runs.recent(connection)] == [3]


def test_a_cursor_moves_once_and_a_slot_that_ran_stays_so(store: Store, clock: HandClock) -> None:
    start = clock.now()
    with store.change() as tx:
        slots.schedule(tx, ["greet"])
    later = clock.move(minutes=10)
    with store.change() as tx:
        slots.schedule(tx, ["greet"])
        assert slots.advance(tx, "greet", start, later)
        assert not slots.advance(tx, "greet", start, later)
        slots.record(tx, "greet", later, "run", run="r1")
        slots.record(tx, "greet", later, "missed: asleep")
    with store.read() as connection:
        assert slots.scheduled(connection, ["greet"]) == {"greet": later}
        assert slots.cursor(connection, "greet") == later
        assert [row.outcome for row in slots.recent(connection, "greet")] == ["run"]
    with store.change() as tx:
        slots.unschedule(tx, ["greet"])
    with store.read() as connection:
        assert slots.cursor(connection, "greet") is None


def test_a_pause_is_kept_until_it_is_taken_back(store: Store) -> None:
    with store.change() as tx:
        slots.pause(tx, "greet", "ana")
    with store.read() as connection:
        assert list(slots.paused(connection)) == ["greet"]
    with store.change() as tx:
        assert slots.unpause(tx, "greet", "ana")
        assert not slots.unpause(tx, "greet", "ana")


def test_a_task_keeps_its_state_and_a_run_the_calls_it_paid_for(store: Store) -> None:
    with store.change() as tx:
        runs.add(tx, "r1", "greet")
        runs.keep_state(tx, "greet", {"n": 1})
        runs.keep_state(tx, "greet", {"n": 2})
        runs.answered(tx, "r1", 0, "d1", {"prompt": "a"}, {"text": "b"})
        runs.answered(tx, "r1", 0, "d2", {"prompt": "c"}, {"text": "d"})
    with store.read() as connection:
        assert runs.state(connection, "greet") == {"n": 2}
        assert runs.state(connection, "other") == {}
        call = runs.call(connection, "r1", 0)
        assert call is not None
        assert call.digest == "d2"
        assert runs.call(connection, "r1", 1) is None


def test_the_reasons_of_decisions_are_kept_for_the_next_run(store: Store) -> None:
    with store.change() as tx:
        put(tx)
        decisions.decided(tx, drafts.held(tx.connection, "k3v9"), "reject", "ana", "too long")
        assert waiting.count(tx.connection, "greet") == 1
    with store.read() as connection:
        (lesson,) = decisions.lessons(connection, "greet")
        assert (lesson.decision, lesson.reason) == ("reject", "too long")


def test_a_store_that_cannot_be_used_says_so_and_where_the_copy_of_the_truth_is(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_bytes(b"no database " * 500)
    with pytest.raises(StoreError, match="The journal in logs/ tells all"):
        Store(f"sqlite:///{tmp_path}/store.db").open()
    with pytest.raises(StoreError, match="only sqlite"):
        Store("postgresql://me:secret@db/x")
    with pytest.raises(StoreError) as caught:
        Store("mysql://me:secret@db/x")
    assert "secret" not in str(caught.value)


def test_opening_twice_upgrades_once_and_finds_no_damage(store: Store) -> None:
    store.open()
    store.check()
    assert len({new_id() for _ in range(1000)}) == 1000


def test_a_store_that_a_newer_runner_made_is_refused(store: Store) -> None:
    with store.change() as tx:
        tx.connection.execute(update(meta).where(meta.c.name == "schema").values(value="999"))
    with pytest.raises(StoreError, match="of version 999"):
        store.open()
