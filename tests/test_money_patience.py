"""Patience: questions by batch at half price; a parked run is a row, and nothing that ends loses or repeats it unsaid."""

from __future__ import annotations

import asyncio
import itertools
import json
import sqlite3
import time
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from modules import note

from runner.declare import Limits
from runner.rehearsal.batches import Errs, Expires, FailsAfter, Holds, Lingers, LosesReply, Overloaded
from runner.rehearsal.claude import Calls, Says, StandInClaude
from runner.rehearsal.destination import StandInDestination
from runner.store import batches, runs
from runner.store.store import new_id
from runner.testing import Rehearsal, rehearsal

if TYPE_CHECKING:
    from pathlib import Path

    from nursery import Nursery

PATIENT = "patience=__import__('datetime').timedelta(hours=12)"
SHORTLY = "patience=__import__('datetime').timedelta(seconds=1)"
HOURLY = f"__import__('runner').every(hours=1), {PATIENT}"
ASKS = "return await run.claude('x', returns=Note)"


def patient(body: str = ASKS, *, options: str = "") -> str:
    return note(body, options=f"{PATIENT}, {options}")


def start(it: Rehearsal, task: str = "note") -> str:
    run = new_id()
    with it.app.store.change() as tx:
        runs.add(tx, run, task)
    return run


def rows(home: Path, query: str) -> list[Any]:
    with sqlite3.connect(home / ".runner" / "store.db") as connection:
        return list(connection.execute(query))


async def test_a_patient_task_pays_half_and_ends_as_any_other(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.drop("note.py", patient())
        row = await it.run("note")
        assert (row.status, row.attempt, row.parked) == ("ok", 1, None)
        assert it.claude.requests == []
        assert it.found("run.parked")
        assert it.found("claude.asked")[0]["question"]["prompt"] == "x"
        assert it.found("claude.answered")[0]["text"] == json.dumps((await it.draft()).fields)
        ((cost, saved),) = rows(tmp_path, "SELECT cost_nano_usd, saved_nano_usd FROM spending")
        assert cost == saved > 0


async def test_a_parked_run_has_no_process_and_keeps_the_next_slot_from_starting(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.claude.batches.looks = -1
        it.drop("note.py", patient())
        await it.event("task.loaded")
        start(it)
        await it.event("run.parked")
        await it.event("batch.sent")
        await it.until(lambda: len(it.app.children) == 0 and not it.app.dispatch.running, "no process")
        with it.app.store.read() as connection:
            assert runs.is_open(connection, "note")
        it.claude.batches.end_all()
        assert (await it.event("run.finished"))["status"] == "ok"


async def test_the_next_run_waits_for_a_parked_one_whose_state_it_goes_on_from(tmp_path: Path) -> None:
    body = "run.state['n'] = run.state.get('n', 0) + 1\nreturn Note(text=await run.claude('x'))"
    async with rehearsal(tmp_path) as it:
        it.claude.batches.looks = -1
        it.drop("note.py", patient(body, options="overlap='queue'"))
        await it.event("task.loaded")
        first = start(it)
        await it.event("run.parked")
        second = start(it)
        await it.event("batch.sent")
        assert it.found("run.started", run=second) == []
        it.claude.batches.end_all()
        await it.event("run.finished", run=second, status="ok")
        assert it.found("run.finished")[0]["run"] == first
        with it.app.store.read() as connection:
            assert runs.state(connection, "note") == {"n": 2}


async def test_two_questions_at_once_wait_together_and_a_third_after_them(tmp_path: Path) -> None:
    body = (
        "import asyncio\none, two = await asyncio.gather(run.claude('one'), run.claude('two'))\n"
        "return Note(text=await run.claude(f'{one} {two}'))"
    )
    async with rehearsal(tmp_path) as it:
        it.drop("note.py", patient(body))
        row = await it.run("note")
        assert (row.status, row.attempt) == ("ok", 1)
        assert it.count("run.parked") == 2
        prompts = [each["params"]["messages"][0]["content"] for each in it.claude.batches.created]
        assert set(prompts[:2]) == {"one", "two"}
        assert len(prompts) == 3


async def test_a_question_with_tools_is_asked_directly(tmp_path: Path) -> None:
    body = (
        "def look_up(word: str) -> str:\n    '''Look up.'''\n    return word\n"
        "return Note(text=await run.claude('x', tools=[look_up]))"
    )
    async with rehearsal(tmp_path) as it:
        it.claude.script(Calls("look_up", {"word": "a"}), Says("done"))
        it.drop("note.py", patient(body))
        assert (await it.run("note")).status == "ok"
        assert (len(it.claude.requests), len(it.claude.batches.created)) == (2, 0)


async def test_a_revision_is_asked_directly_since_a_person_waits(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.drop("note.py", patient())
        await it.run("note")
        sheet = await it.draft()
        it.desk.revise(sheet.held.id, sheet.held.digest, "ana", "shorter")
        await it.event("draft.revised")
        assert (len(it.claude.requests), len(it.claude.batches.created)) == (1, 1)


@pytest.mark.parametrize("fate", [Expires(), Errs("api_error"), Errs("overloaded_error")])
async def test_a_batch_that_came_to_nothing_is_told_and_its_question_asked_directly(
    tmp_path: Path, fate: Expires | Errs
) -> None:
    async with rehearsal(tmp_path) as it:
        it.claude.batches.script(fate)
        it.drop("note.py", patient())
        row = await it.run("note")
        assert (row.status, row.attempt) == ("ok", 1)
        assert it.found("batch.ended", state="failed")[0]["reason"]
        assert len(it.claude.requests) == 1
        ((saved,),) = rows(tmp_path, "SELECT saved_nano_usd FROM spending")
        assert saved == 0


async def test_an_invalid_question_fails_the_run_in_words(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.claude.batches.script(Errs("invalid_request_error", "messages: too odd"))
        it.drop("note.py", patient())
        row = await it.run("note")
        assert (row.status, row.attempt) == ("error", 1)
        assert "messages: too odd" in row.error
        assert it.claude.requests == []


async def test_an_answer_that_was_cut_fails_the_run_and_is_on_the_bill(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.claude.script(Says(text="{", stop_reason="max_tokens"))
        it.drop("note.py", patient())
        assert "cut at max_tokens=4096" in (await it.run("note")).error
        assert len(rows(tmp_path, "SELECT * FROM spending")) == 1


async def test_an_answer_that_fits_no_draft_is_asked_for_anew_by_batch(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.claude.script(Says(json={"text": 3}), Says(json={"text": "good"}))
        it.drop("note.py", patient())
        row = await it.run("note")
        assert (row.status, row.attempt) == ("ok", 2)
        assert (len(it.claude.requests), len(it.claude.batches.created)) == (0, 2)


async def test_a_batch_of_which_nobody_knows_is_told_and_asked_anew(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.claude.batches.script(LosesReply())
        it.drop("note.py", patient())
        assert (await it.run("note")).status == "ok"
        assert it.count("batch.lost") == 1
        assert len(it.claude.batches.created) == 2
        with it.app.store.read() as connection:  # it may be on the bill, so it counts
            assert batches.held(connection, it.app.store.clock.now()) > 0


async def test_a_batch_that_a_gateway_gave_up_on_may_have_arrived(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.claude.batches.script(FailsAfter(504))
        it.drop("note.py", patient())
        assert (await it.run("note")).status == "ok"
        assert (it.count("batch.lost"), len(it.claude.batches.created)) == (1, 2)


async def test_a_batch_that_arrived_and_could_not_be_put_on_record_is_told_and_asked_anew(
    tmp_path: Path,
) -> None:
    async with rehearsal(tmp_path) as it:
        it.drop("note.py", patient())
        await it.event("task.loaded")
        rows(
            tmp_path,
            "CREATE TRIGGER full BEFORE UPDATE ON batches WHEN new.state = 'open' "
            "AND NOT EXISTS (SELECT 1 FROM batches WHERE state = 'lost') BEGIN SELECT RAISE(ABORT, 'no'); END",
        )
        assert (await it.run("note")).status == "ok"
        assert (it.count("batch.lost"), len(it.claude.batches.created)) == (1, 2)


async def test_a_question_whose_batches_are_lost_again_is_asked_directly(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.claude.batches.script(LosesReply(is_taken=False), LosesReply(is_taken=False))
        it.drop("note.py", patient())
        assert (await it.run("note")).status == "ok"
        assert (it.count("batch.lost"), len(it.claude.requests)) == (2, 1)


async def test_when_patience_is_over_the_batch_is_cancelled_and_the_question_asked_directly(
    tmp_path: Path,
) -> None:
    async with rehearsal(tmp_path) as it:
        it.claude.batches.looks = -1
        it.drop("note.py", note(ASKS, options=SHORTLY))
        row = await it.run("note")
        assert (row.status, row.attempt) == ("ok", 1)
        assert (len(it.claude.batches.canceled), len(it.claude.requests)) == (1, 1)
        assert it.found("batch.canceled")[0]["reason"] == "the task's patience is over"


async def test_a_batch_that_is_cancelled_and_does_not_end_is_waited_for_no_longer_than_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "CANCEL", timedelta(seconds=1))
    async with rehearsal(tmp_path) as it:
        it.claude.batches.looks = -1
        it.claude.batches.script(Lingers())
        it.drop("note.py", note(ASKS, options=SHORTLY))
        row = await it.run("note")
        assert (row.status, row.attempt) == ("ok", 1)
        assert (len(it.claude.batches.canceled), len(it.claude.requests)) == (1, 1)
        assert it.found("batch.ended") == []


async def test_a_batch_that_ended_before_it_could_be_cancelled_is_used(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.claude.batches.looks = -1
        it.app.patience.look_s = 2
        it.drop("note.py", note(ASKS, options=SHORTLY))
        await it.event("task.loaded")
        start(it)
        await it.event("batch.sent")
        it.claude.batches.end_all()
        assert (await it.event("run.finished"))["status"] == "ok"
        assert (len(it.claude.batches.canceled), len(it.claude.requests)) == (0, 0)
        assert len(rows(tmp_path, "SELECT * FROM spending")) == 1


async def test_a_run_goes_on_though_its_batch_can_be_neither_cancelled_nor_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "CANCEL", timedelta(seconds=1))
    monkeypatch.setattr("runner.patience.ENDED", timedelta(seconds=4))
    async with rehearsal(tmp_path) as it:
        it.claude.batches.looks = -1
        it.drop("note.py", note(ASKS, options=SHORTLY))
        await it.event("task.loaded")
        start(it)
        await it.event("batch.sent")
        it.claude.batches.forget_all()
        assert (await it.event("run.finished"))["status"] == "ok"
        assert len(it.claude.requests) == 1
        ended = await it.event("batch.ended")  # and counts against no budget from then on
        assert "404" in ended["reason"]


async def test_a_batch_that_ended_is_used_though_no_cancel_is_ever_taken(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.claude.batches.looks = -1
        it.claude.batches.failing["cancel"] = 500
        it.app.patience.look_s = 2
        it.drop("note.py", note(ASKS, options=SHORTLY))
        await it.event("task.loaded")
        start(it)
        await it.event("batch.sent")
        it.claude.batches.end_all()
        assert (await it.event("run.finished"))["status"] == "ok"
        assert (len(it.claude.requests), len(rows(tmp_path, "SELECT * FROM spending"))) == (0, 1)


async def test_a_key_that_is_refused_says_nothing_of_the_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "CANCEL", timedelta(seconds=1))
    monkeypatch.setattr("runner.patience.ENDED", timedelta(seconds=1))
    async with rehearsal(tmp_path) as it:
        it.claude.batches.looks = -1
        it.claude.batches.failing |= {"look": 401, "cancel": 401}
        it.drop("note.py", note(ASKS, options=SHORTLY))
        assert (await it.run("note")).status == "ok"  # asked directly, meanwhile
        await asyncio.sleep(1)
        it.claude.batches.failing.clear()
        it.claude.batches.end_all()
        assert (await it.event("batch.ended"))["state"] == "answered"
        assert len(rows(tmp_path, "SELECT * FROM spending")) == 2


async def test_a_batch_whose_result_the_api_no_longer_keeps_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "CANCEL", timedelta(seconds=1))
    for name in ("ENDED", "KEPT"):
        monkeypatch.setattr(f"runner.patience.{name}", timedelta(seconds=2))
    async with rehearsal(tmp_path) as it:
        it.claude.batches.keeps_results = False
        it.drop("note.py", note(ASKS, options=SHORTLY))
        assert (await it.run("note")).status == "ok"
        assert "results_url" in (await it.event("batch.ended", state="failed"))["reason"]
        with it.app.store.read() as connection:
            assert batches.held(connection, it.app.store.clock.now()) == 0


async def test_an_answer_that_comes_after_the_question_was_asked_directly_is_paid_and_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "CANCEL", timedelta(seconds=1))
    async with rehearsal(tmp_path) as it:
        it.claude.batches.looks = -1
        it.claude.batches.script(Lingers())
        it.claude.script(Says(json={"text": "direct"}), Says(json={"text": "late"}))
        it.drop("note.py", note(ASKS, options=SHORTLY))
        assert (await it.run("note")).status == "ok"
        it.claude.batches.end_all()
        await it.event("batch.ended", state="answered")
        assert it.count("batch.unused") == 1
        ((answer,),) = rows(tmp_path, "SELECT answer FROM calls")
        assert "direct" in json.loads(answer)["text"]
        assert len(rows(tmp_path, "SELECT * FROM spending")) == 2


async def test_a_parked_run_whose_older_batch_does_not_end_keeps_nobody_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "CANCEL", timedelta(seconds=1))
    async with rehearsal(tmp_path) as it:
        it.claude.batches.looks = -1
        it.claude.batches.script(Lingers())
        body = "return Note(text=await run.claude('two ' + await run.claude('one')))"
        it.drop("note.py", note(body, options=SHORTLY.replace("=1", "=5")))
        await it.event("task.loaded")
        start(it)
        await it.claude.batches.created.nth(2, 30)
        await it.event("run.parked")
        it.app.patience.look_s = 60
        commits = itertools.count()
        committed = it.app.store.committed
        monkeypatch.setattr(it.app.store, "committed", lambda: (next(commits), committed()))
        await asyncio.sleep(1)
        assert next(commits) < 20  # and not one after the other


async def test_what_a_cancelled_batch_had_answered_all_the_same_is_used(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.claude.batches.looks = -1
        it.claude.batches.is_stubborn = True
        it.drop("note.py", note(ASKS, options=SHORTLY))
        assert (await it.run("note")).status == "ok"
        assert (len(it.claude.batches.canceled), len(it.claude.requests)) == (1, 0)


async def test_stop_cancels_what_is_open_and_ends_its_run(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.claude.batches.looks = -1
        it.claude.batches.is_stubborn = True
        it.drop("note.py", patient())
        await it.event("task.loaded")
        start(it)
        await it.event("run.parked")
        await it.event("batch.sent")
        (tmp_path / "STOP").write_text("quiet")
        assert (await it.event("run.finished"))["status"] == "stopped"
        await it.event("batch.canceled")
        assert it.claude.batches.canceled == ["msgbatch_rehearsal_0001"]
        assert rows(tmp_path, "SELECT * FROM spending") == []
        (tmp_path / "STOP").unlink()
        assert it.app.desk.resume("ana")
        await it.event("batch.ended")  # what Claude had done by then is billed
        assert len(rows(tmp_path, "SELECT * FROM spending")) == 1
        assert it.waiting() == []


async def test_what_the_api_does_not_take_now_is_handed_over_later(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.claude.batches.script(Overloaded(), Overloaded())
        it.drop("note.py", patient())
        assert (await it.run("note")).status == "ok"
        assert (len(it.claude.batches.created), len(it.claude.requests)) == (1, 0)


async def test_what_was_not_handed_over_when_it_stopped_never_is(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.app.patience.look_s = 3600  # until then what was not taken is not handed over again
        it.claude.batches.script(Overloaded())
        it.drop("note.py", patient())
        await it.event("task.loaded")
        start(it)
        await it.event("log", level="warning")
        (tmp_path / "STOP").write_text("quiet")
        await it.event("run.finished", status="stopped")
        await it.event("batch.ended", state="dropped")
        assert len(it.claude.batches.created) == 0


async def test_what_is_being_handed_over_at_the_end_may_learn_that_it_arrived(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.claude.batches.script(Holds(0.5))
        it.drop("note.py", patient())
        await it.event("task.loaded")
        start(it)
        await it.claude.batches.created.nth(1, 10)
    assert rows(tmp_path, "SELECT state, batch FROM batches") == [("open", "msgbatch_rehearsal_0001")]


@pytest.mark.parametrize("options", ["", PATIENT])
async def test_open_batches_count_against_every_budget(tmp_path: Path, options: str) -> None:
    async with rehearsal(tmp_path, daily_budget_usd=Decimal("0.03")) as it:
        it.claude.batches.looks = -1
        it.drop("note.py", patient(ASKS.replace("'x'", "run.id")))
        it.drop("other.py", note(ASKS, options=options).replace("async def note", "async def other"))
        await it.event("task.loaded")
        start(it)
        await it.event("run.parked")
        error = (await it.run("other")).error
        assert "the day's budget of $0.03" in error
        assert "in flight" in error
        assert "$0.00 in flight" not in error


async def test_what_a_parked_run_fetched_is_given_to_it_again(tmp_path: Path) -> None:
    body = (
        "page = await run.fetch('https://shop.example.com/')\nreturn Note(text=await run.claude(page.text))"
    )
    async with rehearsal(tmp_path) as it:
        it.claude.batches.looks = -1
        it.destination.pages["/"] = "before"
        it.drop("note.py", patient(body, options="reads=('https://shop.example.com/',)"))
        await it.event("task.loaded")
        start(it)
        await it.event("run.parked")
        it.destination.pages["/"] = "after"
        it.claude.batches.end_all()
        assert (await it.event("run.finished"))["status"] == "ok"
        assert it.count("page.fetched") == 1
        assert it.claude.requests == []


async def test_a_question_that_changed_while_its_run_was_parked_is_asked_directly_and_told(
    tmp_path: Path,
) -> None:
    body = "import time\nreturn Note(text=await run.claude(str(time.time())))"
    async with rehearsal(tmp_path) as it:
        it.drop("note.py", patient(body))
        assert (await it.run("note")).status == "ok"
        assert "use run.now()" in it.found("batch.unused")[0]["reason"]
        assert (len(it.claude.requests), len(it.claude.batches.created)) == (1, 1)


def test_patience_is_a_length_of_time() -> None:
    assert Limits().patience == timedelta(0)
    with pytest.raises(ValueError, match="patience"):
        Limits(patience=timedelta(hours=-1))


# --- a runner that is killed


async def until(home: Path, query: str, wanted: Any) -> None:
    """Wait until the store of another process's runner says so."""
    await asyncio.to_thread(_until, home, query, wanted)


def _until(home: Path, query: str, wanted: Any) -> None:
    deadline = time.monotonic() + 30
    while not _holds(home, query, wanted):
        assert time.monotonic() < deadline, query
        time.sleep(0.02)


def _holds(home: Path, query: str, wanted: Any) -> bool:
    try:
        return bool(rows(home, query) == wanted)
    except sqlite3.OperationalError:
        return False  # the store is being made


@pytest.mark.no_cover
async def test_a_parked_run_survives_the_death_of_its_runner(tmp_path: Path, hatchery: Nursery) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "note.py").write_text(note(ASKS, options=f"{HOURLY}, retries=0"))
    async with StandInClaude() as claude, StandInDestination() as world:
        claude.batches.looks = -1
        async with hatchery.up(tmp_path, claude.url, world.url, every_s=1):
            await until(
                tmp_path,
                "SELECT count(*) FROM runs r JOIN batches b ON b.run = r.id "
                "WHERE r.parked IS NOT NULL AND b.state = 'open'",
                [(1,)],
            )
        claude.batches.end_all()
        async with hatchery.up(tmp_path, claude.url, world.url, every_s=1):
            await until(tmp_path, "SELECT status, attempt FROM runs ORDER BY created LIMIT 1", [("ok", 1)])
        assert len(claude.requests) == 0
        (first, *_) = rows(tmp_path, "SELECT run FROM spending ORDER BY id")
        assert first == rows(tmp_path, "SELECT id FROM runs ORDER BY created LIMIT 1")[0]


@pytest.mark.no_cover
async def test_killed_while_a_batch_is_handed_over_it_is_told_and_asked_anew(
    tmp_path: Path, hatchery: Nursery
) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "note.py").write_text(note(ASKS, options=HOURLY))
    async with StandInClaude() as claude, StandInDestination() as world:
        claude.batches.script(Holds())
        async with hatchery.up(tmp_path, claude.url, world.url, every_s=1):
            await claude.batches.created.nth(1, 30)
        async with hatchery.up(tmp_path, claude.url, world.url, every_s=1):
            await until(tmp_path, "SELECT status FROM runs ORDER BY created LIMIT 1", [("ok",)])
        first = claude.batches.created[0]["params"]
        assert [each["params"] for each in claude.batches.created[:2]] == [first, first]
        told = "SELECT count(*) FROM events WHERE body LIKE '%batch.lost%the runner was cut off while%'"
        assert rows(tmp_path, told) == [(1,)]
