"""Runs: what a task is given, what becomes of what it makes, and of what it does wrong."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from modules import note
from sqlalchemy import event

from runner.rehearsal.claude import Calls, Drops, Fails, Says
from runner.store import drafts, runs
from runner.testing import Rehearsal, rehearsal

if TYPE_CHECKING:
    from pathlib import Path


def kept(it: Rehearsal) -> dict[str, object]:
    with it.app.store.read() as connection:
        return runs.state(connection, "note")


@pytest.mark.parametrize(
    ("body", "options", "status", "words"),
    [
        ("return None", "", "ok", None),
        ("run.degraded('half of it'); return Note(text='x')", "", "degraded", "half of it"),
        ("raise ValueError('boom')", "retries=0", "error", "ValueError: boom"),
        ("return 3", "", "error", "it may return None, an Alert, a Draft, or a list of those"),
        (
            "import time; time.sleep(60)",
            "retries=0, timeout=__import__('datetime').timedelta(seconds=0.4)",
            "timeout",
            "timeout",
        ),
        ("import os; os._exit(7)", "retries=0", "error", "ended without an outcome (exit 7)"),
        ("import os; os.kill(os.getpid(), 9)", "retries=0", "error", "perhaps it used more than its memory"),
        ("return bytearray(1 << 30)", "retries=0, memory=64", "error", "MemoryError"),
        ("run.state['x'] = 'y' * (2 << 20)", "", "error", "run.state is larger than 1 MB"),
        ("run.state['x'] = object()", "retries=0", "error", "not JSON serializable"),
        ("return [Alert('x')] * 200", "", "error", "up to 100 drafts and alerts"),
        ("return Alert('x' * 20000)", "", "error", "at most 10,000 characters"),
        ("await run._channel.say('nonsense')", "", "error", "'nonsense', which means nothing"),
        (
            "run._channel._writer.write(b'{no json}\\n'); await __import__('asyncio').sleep(9)",
            "",
            "error",
            "no JSON",
        ),
        (
            "run._channel._writer.write(b'[1]\\n'); await __import__('asyncio').sleep(9)",
            "",
            "error",
            "no message",
        ),
        ("await run.fetch('https://other.example.com/')", "retries=0", "error", "not among the task's reads"),
        ("await run.figures(days=0)", "", "error", "from 1 to 400"),
        ("await run.claude('')", "", "error", "prompt"),
        (
            "return Note(text='a').model_copy(update={'text': 3})",
            "retries=0",
            "error",
            "the draft is no Note: text",
        ),
    ],
)
async def test_each_way_a_run_can_end_is_said_in_words(
    tmp_path: Path, body: str, options: str, status: str, words: str | None
) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "note.py").write_text(note(body, options=options))
    async with rehearsal(tmp_path, is_scheduled=False) as it:
        row = await it.run("note")
        assert row.status == status
        assert (words or "") in (row.error or "")
        assert it.found("run.finished")[0]["status"] == status
        if status not in runs.GOOD:
            assert it.waiting() == []


async def test_a_run_that_is_tried_again_pays_only_for_what_is_new(tmp_path: Path) -> None:
    body = (
        "one = await run.claude('One.')\nassert run.now().isoformat() == run.state.setdefault('now', run.now().isoformat())\n"
        "two = await run.claude('Two: ' + one)\nreturn Note(text=two)"
    )
    async with rehearsal(tmp_path) as it:
        it.claude.script(Says("first"), Drops(after=1))
        it.drop("note.py", note(body))
        row = await it.run("note")
        assert (row.status, row.attempt) == ("ok", 2)
        prompts = [asked["messages"][0]["content"] for asked in it.claude.requests]
        assert prompts.count("One.") == 1
        (retried,) = it.found("run.retried")
        assert "the connection to Claude's API failed" in retried["error"]


async def test_what_no_second_attempt_can_help_is_not_tried_again(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.claude.script(Fails(401))
        it.drop("note.py", note("return await run.claude('x', returns=Note)", options="retries=3"))
        row = await it.run("note")
        assert (row.status, row.attempt) == ("error", 1)
        assert "ANTHROPIC_API_KEY was not accepted" in row.error


async def test_an_answer_that_fits_no_draft_is_asked_for_anew(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.claude.script(Says(json={"text": 3}), Says(json={"text": "good"}))
        it.drop("note.py", note("return await run.claude('x', returns=Note)"))
        assert (await it.run("note")).status == "ok"
        assert (await it.draft()).fields == {"text": "good"}
        assert "Claude's answer is no Note: text" in it.found("run.retried")[0]["error"]


async def test_the_state_is_saved_with_the_outcome_or_not_at_all(tmp_path: Path) -> None:
    body = "run.state['n'] = run.state.get('n', 0) + 1\nif run.state['n'] == 2: raise ValueError\nreturn Note(text='x')"
    async with rehearsal(tmp_path) as it:
        it.drop("note.py", note(body, options="retries=0"))
        await it.run("note")
        assert kept(it) == {"n": 1}
        await it.run("note")
        assert kept(it) == {"n": 1}


async def test_what_a_task_prints_or_logs_is_in_the_journal(tmp_path: Path) -> None:
    body = "print('hello out')\nimport sys; print('hello err', file=sys.stderr)\nrun.log.warning('mind this', n=3)\nreturn None"
    async with rehearsal(tmp_path) as it:
        it.drop("note.py", note(body))
        row = await it.run("note")
        for message in ("hello out", "hello err", "mind this"):
            event = await it.event("log", message=message)
            assert (event["task"], event["run"]) == ("note", row.id)
        assert it.found("log", message="mind this")[0]["details"] == {"n": 3}


async def test_tools_are_functions_of_the_task_called_in_its_child(tmp_path: Path) -> None:
    body = (
        "here = []\ndef price(item: str) -> str:\n    '''Price of an item.'''\n    here.append(item)\n    return '3 EUR'\n"
        "text = await run.claude('How much?', tools=[price])\nreturn Note(text=f'{text} {here}')"
    )
    async with rehearsal(tmp_path) as it:
        it.claude.script(Calls("price", {"item": "tea"}), Says("It costs 3 EUR"))
        it.drop("note.py", note(body))
        await it.run("note")
        assert (await it.draft()).fields["text"] == "It costs 3 EUR ['tea']"


async def test_a_page_among_its_reads_is_fetched_by_the_supervisor(tmp_path: Path) -> None:
    page = "https://shop.example.com/health"
    async with rehearsal(tmp_path) as it:
        it.drop(
            "note.py",
            note(f"return Note(text=(await run.fetch('{page}')).text)", options=f"reads=('{page}',)"),
        )
        await it.run("note")
        assert (await it.draft()).fields["text"] == "ok"
        assert it.found("page.fetched")[0]["url"] == page


@pytest.fixture
def two_pages_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.fetch.PER_MINUTE", 2)
    monkeypatch.setattr("runner.fetch.MINUTE_S", 0.4)


async def test_a_task_gets_its_pages_no_faster_than_it_may_however_often_it_is_tried_again(
    tmp_path: Path, two_pages_at_once: None
) -> None:
    page = "https://shop.example.com/health"
    body = f"import asyncio\nawait asyncio.gather(*(run.fetch('{page}') for _ in range(3)))\nraise OSError"
    async with rehearsal(tmp_path) as it:
        it.app.executor.broker.is_paced = True
        it.drop("note.py", note(body, options=f"reads=('{page}',), retries=1"))
        began = time.monotonic()
        await it.run("note")
        assert len(it.found("page.fetched")) == 6
        assert time.monotonic() - began >= 0.8


async def test_what_is_refused_anyway_waits_for_no_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, two_pages_at_once: None
) -> None:
    monkeypatch.setattr("runner.fetch.MINUTE_S", 3600)
    page = "https://shop.example.com/health"
    body = (
        f"await run.fetch('{page}')\nawait run.fetch('{page}')\nawait run.fetch('https://evil.example.com')"
    )
    async with rehearsal(tmp_path) as it:
        it.app.executor.broker.is_paced = True
        it.drop("note.py", note(body, options=f"reads=('{page}',), retries=0"))
        assert "is not among the task's reads" in (await it.run("note")).error


async def test_a_budget_is_kept_before_each_call(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.drop(
            "note.py", note("return await run.claude('x', returns=Note)", options="budget=0.0001, retries=0")
        )
        row = await it.run("note")
        assert row.status == "error"
        assert "the run's budget of $0.0001" in row.error
        assert it.found("budget.exceeded")[0]["reason"] in row.error
        assert len(it.claude.requests) == 0


async def test_a_day_of_all_tasks_has_a_budget_too_and_an_unknown_price_fits_none(tmp_path: Path) -> None:
    async with rehearsal(tmp_path, daily_budget_usd=Decimal("0.0001")) as it:
        it.drop("note.py", note("return await run.claude('x', returns=Note)", options="retries=0"))
        assert "the day's budget of $0.0001 (RUNNER_DAILY_BUDGET_USD)" in (await it.run("note")).error
        it.drop(
            "other.py",
            note("await run.claude('x', model='claude-unheard-of')").replace("def note", "def other"),
        )
        assert "no price is known for the model 'claude-unheard-of'" in (await it.run("other")).error
        assert len(it.claude.requests) == 0


@pytest.mark.parametrize(("options", "most"), [("uses=('chrome',), retries=0", 32), ("retries=0", 1)])
async def test_tasks_that_use_the_same_thing_or_find_no_room_take_turns(
    tmp_path: Path, options: str, most: int
) -> None:
    module = (
        f"import time\nfrom runner import task\n\n@task({options})\ndef {{name}}(run):\n"
        "    print('begin'); time.sleep(0.2); print('end')\n"
    )
    (tmp_path / "tasks").mkdir()
    for name in ("one", "two"):
        (tmp_path / "tasks" / f"{name}.py").write_text(module.format(name=name))
    async with rehearsal(tmp_path, max_runs=most) as it:
        with it.app.store.change() as tx:
            for run, name in (("r1", "one"), ("r2", "two"), ("r3", "one")):
                runs.add(tx, run, name)
        await it.until(lambda: it.count("run.finished") == 3)
        order = [event["event"] for event in it.events if event["event"] in {"run.started", "run.finished"}]
        assert order == ["run.started", "run.finished"] * 3


async def test_a_stop_ends_what_waits_for_room_too(tmp_path: Path) -> None:
    async with rehearsal(tmp_path, max_runs=1) as it:
        it.drop("note.py", note("import time; time.sleep(60)", options="retries=0"))
        await it.until(lambda: "note" in it.app.catalog.tasks)
        with it.app.store.change() as tx:
            for run in ("r1", "r2", "r3"):
                runs.add(tx, run, "note")
        await it.event("run.started")
        (tmp_path / "STOP").touch()
        await it.until(lambda: it.count("run.finished") == 3)
        assert {event["status"] for event in it.events if event["event"] == "run.finished"} == {"stopped"}


async def test_a_revision_that_makes_nothing_leaves_the_draft_as_it_was(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.drop("note.py", note("return None if run.revision else Note(text='x')"))
        await it.run("note")
        sheet = await it.draft()
        it.desk.revise(sheet.held.id, sheet.held.digest, "ana", "better")
        await it.event("draft.returned", draft=sheet.held.id)
        again = it.desk.sheet(sheet.held.id)
        assert (again.held.revision, again.note) == (1, "the revision made no note")
        it.drop("note.py", note("raise ValueError('boom')", options="retries=0"))
        await it.event("draft.revised", draft=sheet.held.id)
        again = it.desk.sheet(sheet.held.id)
        it.desk.revise(sheet.held.id, again.held.digest, "ana", "better")
        await it.until(lambda: it.count("draft.returned") == 2)
        assert "the revision came to nothing: ValueError: boom" in it.desk.sheet(sheet.held.id).note


async def test_a_task_may_revise_by_hand(tmp_path: Path) -> None:
    body = "return Note(text=f'{run.revision.fields[\"text\"]}, {run.revision.feedback}' if run.revision else 'x')"
    async with rehearsal(tmp_path) as it:
        it.drop("note.py", note(body))
        await it.run("note")
        sheet = await it.draft()
        it.desk.revise(sheet.held.id, sheet.held.digest, "ana", "please")
        await it.event("draft.revised", draft=sheet.held.id)
        assert it.desk.sheet(sheet.held.id).fields == {"text": "x, please"}


async def test_stop_ends_runs_and_the_calls_they_wait_for(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.claude.pace = 5
        it.drop("note.py", note("return await run.claude('x', returns=Note)"))
        await it.until(lambda: "note" in it.app.catalog.tasks)
        with it.app.store.change() as tx:
            runs.add(tx, "r1", "note")
            runs.add(tx, "r2", "note")
        await it.claude.received(1)
        (tmp_path / "STOP").touch()
        await it.claude.hung_up(1)
        await it.until(lambda: it.count("run.finished", status="stopped") == 2)
        assert len(it.app.children) == 0
        assert it.count("run.started") == 1


async def test_a_run_that_the_end_of_the_runner_cut_off_is_tried_again_at_the_next_start(
    tmp_path: Path,
) -> None:
    async with rehearsal(tmp_path) as it:
        it.claude.pace = 5
        it.drop("note.py", note("return await run.claude('x', returns=Note)"))
        await it.until(lambda: "note" in it.app.catalog.tasks)
        with it.app.store.change() as tx:
            runs.add(tx, "r1", "note")
        await it.claude.received(1)
    async with rehearsal(tmp_path) as it:
        assert (await it.event("run.finished", run="r1"))["status"] == "ok"
        assert (await it.draft()).held.state == "pending"


async def test_several_attempts_and_drafts_leave_nothing_half_done(tmp_path: Path) -> None:
    async with rehearsal(tmp_path, every=timedelta(seconds=1)) as it:
        it.drop(
            "note.py",
            note(
                "import random\nif random.random() < 0.5: raise OSError\nreturn Note(text=str(run.now()))",
                options="max_pending=0",
            ),
        )
        await it.until(lambda: it.count("run.finished") >= 3)
        with it.app.store.read() as connection:
            made = drafts.listed(connection)
        good = it.count("run.finished", status="ok")
        assert len(made) in {good, good + 1}


async def test_promise_14_a_kind_whose_words_its_module_denies_waits_for_a_human_all_the_same(
    tmp_path: Path,
) -> None:
    lie = "import runner.draft\nrunner.draft.holds_text = lambda *_: False\n"
    async with rehearsal(tmp_path) as it:
        it.drop(
            "note.py",
            note(extra="auto: ClassVar = True").replace("\n\n\nclass Note", f"\n{lie}\n\nclass Note"),
        )
        await it.run("note")
        (kind,) = it.app.catalog.kinds_in("note.py")
        assert kind.auto  # the lie was believed so far
        assert (await it.draft()).held.state == "pending"
        assert it.count("draft.approved") == 0
        assert len(it.destination.ledger) == 0


async def test_figures_are_counted_for_one_run_at_a_time_and_not_in_the_loop(tmp_path: Path) -> None:
    body = "return Note(text=str((await run.figures())['drafts']))"
    async with rehearsal(tmp_path, max_runs=4, is_scheduled=False) as it:
        for name in "abcd":
            it.drop(f"{name}.py", note(body).replace("def note(", f"def {name}("))
        counting: list[str] = []
        seen: list[list[str]] = []

        def slowly(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
            if "GROUP BY runs.task, runs.status" in statement:
                counting.append(threading.current_thread().name)
                seen.append(list(counting))
                time.sleep(0.5)
                counting.pop()

        event.listen(it.app.store._reading, "before_cursor_execute", slowly)
        await asyncio.gather(*(it.run(name) for name in "abcd"))
        assert [len(each) for each in seen] == [1, 1, 1, 1]
        assert threading.main_thread().name not in {each for (each,) in seen}
