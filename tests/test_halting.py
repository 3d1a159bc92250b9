"""STOP and the whole runner: however it comes, and whatever fails just then, nothing lives or begins beside it."""

from __future__ import annotations

import asyncio
import resource
import time
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from modules import note
from test_app import is_alive
from test_store import put

from runner.cli.looking import catalog
from runner.cli.project import Project
from runner.demand import submit
from runner.errors import StoppedError, StoreError
from runner.gate import State
from runner.review.desk import Desk
from runner.settings import load
from runner.stop import Stop, remove_ours, write
from runner.store import runs, stops
from runner.store.store import Store
from runner.testing import Rehearsal, rehearsal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import HandClock

    from runner.catalog import Declared
    from runner.store.store import Transaction

SPIN = """
from runner import task

@task()
def spin(run):
    print("begun")
    while True:
        pass
"""


async def spinning(it: Rehearsal) -> int:
    """The process of a run that goes on for ever."""
    it.drop("spin.py", SPIN)
    await it.until(lambda: "spin" in it.app.catalog.tasks)
    with it.app.store.change() as tx:
        runs.add(tx, "r1", "spin")
    await it.event("log", message="begun")
    (child,) = it.app.children._live.values()
    return child.pid


def dead(pid: int) -> None:
    """Wait for its end while the event loop is blocked: a thread has to have killed it."""
    deadline = time.monotonic() + 5
    while is_alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)


async def test_promise_17_a_stop_without_a_file_kills_the_children(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        pid = await spinning(it)
        it.app.stop.engage("the journal can't be written")
        dead(pid)
        assert (await it.event("run.finished"))["status"] == "stopped"


async def test_promise_17_a_stop_that_another_process_put_into_the_store_kills_the_children(
    tmp_path: Path,
) -> None:
    async with rehearsal(tmp_path) as it:
        pid = await spinning(it)
        other = Store(it.app.settings.database)
        with other.change() as tx:
            stops.engage(tx, "from elsewhere", "ana")
        other.close()
        await it.until(lambda: not is_alive(pid))
        assert it.app.stop.reason == "from elsewhere"


async def test_promise_17_a_child_that_is_born_after_a_stop_without_a_file_does_nothing(
    tmp_path: Path,
) -> None:
    async with rehearsal(tmp_path) as it:
        it.drop("note.py", "print('imported')\n" + note())
        await it.run("note")
        sheet = await it.draft()

        def sync() -> None:
            it.app.journal.sync()
            it.app.stop.engage("between the claim and the child")

        it.app.outbox.sync = sync
        it.desk.approve(sheet.held.id, sheet.held.digest, "ana")
        await it.event("draft.returned", draft=sheet.held.id)
        await it.until(lambda: not it.app.outbox._work and len(it.app.children) == 0)
        it.app.diagnostics.write_down()
        it.app.journal.write()
        assert it.found("log", message="imported", draft=sheet.held.id) == []
        assert state(it, sheet.held.id) is State.PENDING


async def test_promise_16_a_stop_between_a_resume_and_the_next_turn_of_the_loop_is_not_taken_for_the_last_one(
    tmp_path: Path,
) -> None:
    async with rehearsal(tmp_path) as it:
        it.app.stop.engage("first")
        await it.event("stop.engaged", reason="first")
        latch = it.app.stop.latch

        def late(reason: str) -> None:
            it.app.halt.follow()  # the loop was faster than the thread that saw the file
            latch(reason)

        it.app.stop.latch = late
        it.desk.resume("ana")
        (tmp_path / "STOP").touch()
        (tmp_path / "STOP").unlink()
        it.app.stop.look()
        await it.until(lambda: it.count("stop.engaged") == 2)
        with pytest.raises(StoppedError):
            it.desk.approve("x", "y", "ana")


def test_promise_17_halt_stops_where_no_file_can_be_written(tmp_path: Path, store: Store) -> None:
    reasons: list[str] = []
    desk = Desk(store, Stop(tmp_path / "STOP", reasons.append))
    with limited(resource.RLIMIT_NOFILE):
        desk.halt("ana", "too loud")
    assert not (tmp_path / "STOP").exists()
    assert reasons == ["too loud"]


@contextmanager
def limited(what: int) -> Iterator[None]:
    """Have the kernel refuse more of it to this process than it has now."""
    before = resource.getrlimit(what)
    resource.setrlimit(what, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(what, before)


async def test_promise_16_a_disk_that_takes_nothing_keeps_a_stop_from_the_record_for_a_while_and_from_nothing_else(
    tmp_path: Path,
) -> None:
    """The fault is the kernel's: a limit on the size of files, which every write of this process is past."""
    async with rehearsal(tmp_path) as it:
        it.drop("note.py", note())
        await it.run("note")
        sheet = await it.draft()
        pid = await spinning(it)
        later = it.app.store.clock.now() + timedelta(hours=1)
        it.desk.approve(sheet.held.id, sheet.held.digest, "ana", not_before=later)
        with limited(resource.RLIMIT_FSIZE):
            (tmp_path / "STOP").touch()
            dead(pid)
            (tmp_path / "STOP").unlink()
            await it.until(lambda: len(it.app.children) == 0)
            with pytest.raises(StoreError):
                it.desk.undo(sheet.held.id, "ana")
            assert state(it, sheet.held.id) is State.APPROVED  # the disk takes not even that it is void
        await it.until(lambda: state(it, sheet.held.id) is State.PENDING)
    async with rehearsal(tmp_path) as it:
        assert it.app.stop.reason is not None
        assert len(it.destination.ledger) == 0


def state(it: Rehearsal, draft: str) -> State:
    return it.desk.sheet(draft).held.state


@pytest.mark.parametrize("jump", [timedelta(days=366), timedelta(seconds=1), timedelta(days=-366)])
async def test_promise_18_a_clock_that_jumps_while_stopped_makes_no_approval_good_again(
    tmp_path: Path, clock: HandClock, jump: timedelta
) -> None:
    async with rehearsal(tmp_path, every=timedelta(hours=1)) as it:
        clock.move(minutes=5)
        it.app.store.clock = clock
        it.drop("note.py", note("return None"))
        it.drop(
            "kept.py",
            note(options="expires=timedelta(days=1000)")
            .replace("def note", "def kept")
            .replace("from typing", "from datetime import timedelta\nfrom typing"),
        )
        await it.run("kept")
        sheet = await it.draft()
        it.desk.approve(sheet.held.id, sheet.held.digest, "ana", not_before=clock.at + timedelta(minutes=5))
        (tmp_path / "STOP").touch()
        await it.event("draft.returned", draft=sheet.held.id)
        clock.at += jump
        it.app.schedule._settle_or_stop(it.app.schedule._tasks)  # as the heartbeat does when clocks part
        (tmp_path / "STOP").unlink()
        it.desk.resume("ana")
        await it.event("stop.released")
        clock.at += timedelta(minutes=10)
        it.app.schedule._settle_or_stop(it.app.schedule._tasks)
        await it.run("note")  # on demand: the runner goes again
        assert state(it, sheet.held.id) is State.PENDING
        assert it.count("delivery.started") == 0
        assert len(it.destination.ledger) == 0
        assert [event for event in it.found("run.started") if event.get("slot")] == []


async def test_promise_18_a_resume_that_is_faster_than_the_record_voids_what_was_approved_before(
    tmp_path: Path,
) -> None:
    async with rehearsal(tmp_path) as it:
        it.drop("note.py", note())
        await it.run("note")
        sheet = await it.draft()
        soon = it.app.store.clock.now() + timedelta(seconds=0.5)
        it.desk.approve(sheet.held.id, sheet.held.digest, "ana", not_before=soon)
        it.app.stop.engage("too loud")
        it.desk.resume("ana")  # before the loop had its turn
        assert state(it, sheet.held.id) is State.PENDING
        await it.event("stop.released")
        assert it.count("stop.engaged", reason="too loud") == 1


def test_promise_18_a_stop_and_a_resume_with_no_runner_up_void_what_was_approved_before(
    tmp_path: Path, store: Store
) -> None:
    with store.change() as tx:
        put(tx, "d1", "hello")
    reasons: list[str] = []
    desk = Desk(store, Stop(tmp_path / "STOP", reasons.append))
    digest = desk.sheet("d1").held.digest
    desk.approve("d1", digest, "ana")
    write(tmp_path / "STOP", "too loud")
    assert desk.resume("ana")
    assert desk.sheet("d1").held.state is State.PENDING


async def test_promise_18_a_delivery_that_had_not_begun_is_void_even_if_stop_came_and_went_meanwhile(
    tmp_path: Path,
) -> None:
    async with rehearsal(tmp_path) as it:
        it.drop("note.py", note())
        await it.run("note")
        sheet = await it.draft()

        def sync() -> None:
            it.app.journal.sync()
            it.app.outbox.sync = it.app.journal.sync
            it.app.stop.engage("between the claim and the child")
            it.desk.resume("ana")

        it.app.outbox.sync = sync
        it.desk.approve(sheet.held.id, sheet.held.digest, "ana")
        await it.event("delivery.started", draft=sheet.held.id)
        await it.until(lambda: state(it, sheet.held.id) is not State.DELIVERING)
        assert state(it, sheet.held.id) is State.PENDING
        assert len(it.destination.ledger) == 0
        it.desk.approve(sheet.held.id, sheet.held.digest, "ana")
        await it.event("delivery.delivered", draft=sheet.held.id)


async def test_promise_19_a_run_that_had_not_begun_does_not_begin_though_stop_came_and_went_meanwhile(
    tmp_path: Path,
) -> None:
    async with rehearsal(tmp_path) as it:
        claim = it.app.dispatch.begin

        def begin(tx: Transaction, run: str, task: Declared) -> Any:
            asyncio.get_running_loop().call_soon(stop_and_resume)
            return claim(tx, run, task)

        def stop_and_resume() -> None:
            it.app.dispatch.begin = claim
            it.app.stop.engage("between the claim and the child")
            it.desk.resume("ana")

        it.app.dispatch.begin = begin
        it.drop("note.py", note("(run.folder / 'here').touch()"))
        row = await it.run("note")
        assert (row.status, row.attempt) == ("stopped", 1)
        await it.until(lambda: not it.app.dispatch.running, "the end of what was claimed")
        trace = it.app.state_folder / "folders" / "note" / "here"
        assert not trace.exists()
        assert (await it.run("note")).status == "ok"
        assert trace.exists()


@pytest.mark.parametrize("is_full", [False, True])
async def test_promise_19_a_run_that_waits_for_its_turn_never_begins_though_stop_was_released_at_once(
    tmp_path: Path, *, is_full: bool
) -> None:
    async with rehearsal(tmp_path, max_runs=1) as it:
        it.drop("long.py", note("import time\ntime.sleep(60)", options="retries=0").replace("note(", "long("))
        it.drop("note.py", note("(run.folder / 'here').touch()"))
        await it.until(lambda: {"long", "note"} <= it.app.catalog.tasks.keys())
        if is_full:
            with it.app.store.change() as tx:
                runs.add(tx, "r1", "long")
            await it.event("run.started", run="r1")
        with it.app.store.change() as tx:
            runs.add(tx, "r2", "note")
        it.desk.halt("ana")
        it.desk.resume("ana")
        ended = await it.event("run.finished", run="r2")
        assert ended["status"] == "stopped"
        assert not (it.app.state_folder / "folders" / "note" / "here").exists()
        assert (await it.run("note")).status == "ok"


async def test_promise_19_a_run_that_was_cut_off_before_a_stop_does_not_go_on_after_it(
    tmp_path: Path, store: Store
) -> None:
    with store.change() as tx:
        runs.add(tx, "r1", "note")
        runs.begin(tx, "r1", {})  # and its runner was killed
    project = Project(load(tmp_path), store)
    project.desk.halt("ana")
    project.desk.resume("ana")
    with store.read() as connection:
        row = runs.get(connection, "r1")
    assert (row.status, row.error) == ("stopped", "stopped: STOP was engaged while it was under way")


async def test_promise_19_a_run_that_a_stop_ended_is_not_begun_by_the_runner_that_follows(
    tmp_path: Path,
) -> None:
    async with rehearsal(tmp_path) as it:
        it.drop("note.py", note("import asyncio; await asyncio.sleep(60)"))
        await it.until(lambda: "note" in it.app.catalog.tasks)
        with it.app.store.change() as tx:
            runs.add(tx, "r1", "note")
        await it.event("run.started", run="r1")
        it.app.stop.engage("too loud")
    async with rehearsal(tmp_path) as it:
        it.desk.resume("ana")
        with it.app.store.read() as connection:
            assert runs.get(connection, "r1").status in {"interrupted", "stopped"}
            assert runs.queued(connection) == []


async def queued_after_a_release_elsewhere(it: Rehearsal) -> None:
    """A run that another process queued, which had released a stop; the runner has heard of neither."""
    it.drop("note.py", note("return None"))
    await it.until(lambda: "note" in it.app.catalog.tasks)
    it.desk.halt("ana")
    await it.event("stop.engaged")
    remove_ours(it.app.stop.path)
    with it.app.store.change() as tx:
        stops.release(tx, "ana")
        runs.add(tx, "r1", "note")


async def test_promise_18_a_stop_that_comes_before_a_release_was_heard_of_is_none_the_less_one(
    tmp_path: Path,
) -> None:
    async with rehearsal(tmp_path) as it:
        await queued_after_a_release_elsewhere(it)
        it.desk.halt("bob")
        it.desk.resume("bob")
        ended = await it.event("run.finished", run="r1")
        assert ended["status"] == "stopped"


async def test_what_was_queued_after_a_resume_begins_though_somebody_resumes_again(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        await queued_after_a_release_elsewhere(it)
        it.desk.resume("bob")
        ended = await it.event("run.finished", run="r1")
        assert ended["status"] == "ok"


@pytest.mark.parametrize("is_released", [True, False])
async def test_promise_19_a_run_that_stop_killed_is_not_tried_again_though_stop_was_released_at_once(
    tmp_path: Path, *, is_released: bool
) -> None:
    async with rehearsal(tmp_path) as it:
        it.drop("note.py", note("run.log.info('here')\nimport time\ntime.sleep(60)", options="retries=3"))
        await it.until(lambda: "note" in it.app.catalog.tasks)
        with it.app.store.change() as tx:
            runs.add(tx, "r1", "note")
        await it.event("log", source="run.log")
        it.app.stop.engage("for a moment")
        if is_released:
            it.desk.resume("ana")
        ended = await it.event("run.finished", run="r1")
        assert ended["status"] == "stopped"
        assert it.found("run.retried") == []


def test_promise_16_a_run_is_refused_by_the_command_that_sees_stop_first(
    tmp_path: Path, store: Store
) -> None:
    project = Project(load(tmp_path), store)
    (tmp_path / "STOP").touch()
    with pytest.raises(StoppedError, match="the STOP file is there"):
        submit(store, project.desk.stop, catalog(tmp_path), "note")
    with store.read() as connection:
        assert stops.latched(connection) is not None
