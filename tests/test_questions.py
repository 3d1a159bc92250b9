"""A task may ask its owner, and never waits for the answer: it is told to the next run."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner
from modules import note

from runner import Alert
from runner.cli.commands import cli
from runner.errors import DecisionError, GoneError, StoppedError
from runner.review.console.lines import line
from runner.review.questions import answer
from runner.store import questions
from runner.store.store import Store
from runner.testing import rehearsal

if TYPE_CHECKING:
    from pathlib import Path

    from runner.testing import Rehearsal

ASKS = (
    "told = [each for each in run.recent if each.decision == 'answer']\n"
    "if told:\n    return Note(text=f'{told[0].question} {told[0].reason}')\n"
    "return Alert('A person wrote.', question='Who is Ana?')"
)


async def asked(it: Rehearsal, module: str = "") -> str:
    it.drop("note.py", module or note(ASKS))
    await it.run("note")
    return str((await it.event("alert.raised"))["question_id"])


async def test_a_run_asks_and_ends_and_the_next_one_is_told_the_answer(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        number = await asked(it)
        assert (await it.event("alert.raised"))["question"] == "Who is Ana?"
        assert answer(it.app.store, it.app.stop, number[:5], "ana", "A friend.") == "note"
        told = await it.event("question.answered")
        assert (told["task"], told["asked"], told["answer"], told["by"]) == (
            "note",
            "Who is Ana?",
            "A friend.",
            "ana",
        )
        await it.run("note")
        assert (await it.draft()).fields["text"] == "Who is Ana? A friend."


async def test_the_answer_reaches_claude_with_its_question_among_the_lessons(tmp_path: Path) -> None:
    body = ASKS.replace(
        "Note(text=f'{told[0].question} {told[0].reason}')", "Note(text=await run.claude('Write.'))"
    )
    async with rehearsal(tmp_path) as it:
        number = await asked(it, note(body))
        answer(it.app.store, it.app.stop, number, "ana", "A friend.")
        await it.run("note")
        assert (
            "to the question 'Who is Ana?' the owner answered: A friend." in it.claude.requests[0]["system"]
        )


async def test_decisions_and_answers_come_in_the_order_of_time(tmp_path: Path) -> None:
    body = "run.state['recent'] = [each.decision for each in run.recent]\nreturn [Note(text=str(len(run.recent))), "
    body += "Alert('x', question=f'{len(run.recent)}?')]"
    async with rehearsal(tmp_path) as it:
        number = await asked(it, note(body, options="max_pending=0"))
        sheet = await it.draft()
        it.desk.reject(sheet.held.id, sheet.held.digest, "ana", "no")
        answer(it.app.store, it.app.stop, number, "ana", "yes")
        await it.run("note")
        later = await it.draft()
        it.desk.reject(later.held.id, later.held.digest, "ana", "no")
        await it.run("note")
        with it.app.store.read() as connection:
            from runner.store import runs

            assert runs.state(connection, "note")["recent"] == ["reject", "answer", "reject"]


async def test_a_question_that_waits_is_not_asked_twice(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        number = await asked(it)
        await it.run("note")
        assert [event["question_id"] for event in it.found("alert.raised")] == [number, number]
        with it.app.store.read() as connection:
            assert questions.count(connection) == 1


async def test_the_first_answer_stands_and_the_same_words_once_more_change_nothing(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        number = await asked(it)
        for _ in range(2):
            answer(it.app.store, it.app.stop, number, "ana", "A friend.")
        with pytest.raises(DecisionError, match=r"was answered by ana already: A friend\."):
            answer(it.app.store, it.app.stop, number, "bo", "A stranger.")
        await it.event("question.answered")
        assert it.count("question.answered") == 1


async def test_what_is_no_answer_is_refused_and_so_is_any_while_stopped(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        number = await asked(it)
        for words in ("", "  ", "x" * 4097):
            with pytest.raises(DecisionError, match="an answer is a text"):
                answer(it.app.store, it.app.stop, number, "ana", words)
        with pytest.raises(GoneError, match="there is no question"):
            answer(it.app.store, it.app.stop, "nothing", "ana", "x")
        it.desk.halt("ana", "too loud")
        await it.event("stop.engaged")
        with pytest.raises(StoppedError, match="too loud"):
            answer(it.app.store, it.app.stop, number, "ana", "x")
        with it.app.store.read() as connection:
            assert questions.count(connection) == 1


async def test_a_question_that_is_too_long_is_an_error_in_words(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.drop("note.py", note("return Alert('x', question='y' * 1001)"))
        assert "question is a text of at most 1,000 characters" in str((await it.run("note")).error)


def test_an_alert_without_a_question_asks_nothing() -> None:
    assert Alert("The shop answers again.").question == ""


def test_an_owner_finds_and_answers_questions_at_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNNER_HOME", str(tmp_path))
    (tmp_path / "tasks").mkdir()
    store = Store(f"sqlite:///{tmp_path}/.runner/store.db")
    store.open()
    with store.change() as tx:
        questions.ask(tx, "q2345", "note", "run", "Who is Ana?")
    runner = CliRunner()
    assert "Who is Ana?" in runner.invoke(cli, ["answer"]).output
    (listed,) = json.loads(runner.invoke(cli, ["answer", "--json"]).output)
    assert (listed["id"], listed["task"]) == ("q2345", "note")
    assert "questions that wait for your answer: 1" in runner.invoke(cli, ["status"]).output
    assert "say what you answer" in runner.invoke(cli, ["answer", "q2"]).output
    assert "the next run of note is told" in runner.invoke(cli, ["answer", "q2", "a", "friend"]).output
    with store.read() as connection:
        row = questions.get(connection, "q2345")
    assert (row.answer, row.by != "") == ("a friend", True)
    assert "no task asks anything" in runner.invoke(cli, ["answer"]).output
    (logged,) = (tmp_path / "logs").glob("*.jsonl")
    assert '"question.answered"' in logged.read_text()
    store.close()


def test_the_log_says_how_to_answer() -> None:
    event = {
        "ts": datetime(2026, 11, 24, tzinfo=UTC).isoformat(),
        "event": "alert.raised",
        "task": "note",
        "text": "Hm.",
    }
    asks = {**event, "question": "Who?", "question_id": "q2345"}
    assert line(event, ZoneInfo("UTC")).endswith("note: Hm.")
    assert line(asks, ZoneInfo("UTC")).endswith("note: Hm. Who? Answer: runner answer q2345 …")


async def test_a_markdown_task_may_ask_and_is_told(tmp_path: Path) -> None:
    text = "---\nkind: Alert\nlearns: no\nfields: {question: 'More of it?'}\n---\nSay something. {{ run.recent }}\n"
    async with rehearsal(tmp_path) as it:
        it.drop("hello.md", text)
        await it.run("hello")
        number = str((await it.event("alert.raised"))["question_id"])
        answer(it.app.store, it.app.stop, number, "ana", "Less.")
        await it.run("hello")
        told = it.claude.requests[1]["messages"][0]["content"]
        assert "- to the question 'More of it?' the owner answered: Less. (20" in told
