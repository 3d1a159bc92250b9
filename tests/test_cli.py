"""The command line, as its owner types it: real processes, exit codes, JSON, and sentences instead of tracebacks."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from modules import note
from typed import typed

from runner import settings
from runner.cli import commands
from runner.cli.commands import Commands
from runner.rehearsal.claude import StandInClaude
from runner.testing import rehearsal

if TYPE_CHECKING:
    from collections.abc import Iterator

RUNNER = str(Path(sys.executable).with_name("runner"))


def runner(home: Path, *words: str, given: str = "", code: int | None = 0) -> str:
    """What a command prints; it must end with that code (None: with any), and never with a traceback."""
    told, ended = typed([*words], home, environment(), given)
    assert "Traceback" not in told, told
    assert code in {ended, None}, told
    return told


def environment() -> dict[str, str]:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("RUNNER_", "ANTHROPIC_"))
    }
    return {**kept, "COLUMNS": "200"}


def listed(home: Path, *words: str) -> Any:
    return json.loads(runner(home, *words, "--json"))


@contextmanager
def up(home: Path, **given: str) -> Iterator[subprocess.Popen[str]]:
    """`runner up`, ready; it must end in order within five seconds of SIGTERM."""
    process = subprocess.Popen(
        [RUNNER, "up"],
        cwd=home,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment() | given,
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if "the runner is ready" in line:
                break
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        told, _ = process.communicate(timeout=5)
    assert process.returncode == 0, told
    assert "the runner has ended" in told


async def with_drafts(home: Path, count: int = 1) -> list[str]:
    """A project whose task has made drafts; their ids."""
    (home / "tasks").mkdir()
    (home / "tasks" / "note.py").write_text(
        note(f"return [Note(text=f'hello {{n}}') for n in range({count})]")
    )
    async with rehearsal(home, is_scheduled=False) as it:
        await it.run("note")
        return [sheet.held.id for sheet in it.waiting()]


def test_init_puts_a_project_into_an_empty_folder_that_works_as_it_stands(tmp_path: Path) -> None:
    told = runner(tmp_path, "init")
    files = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {"linkedin_post.md", "runner.toml", ".env.example", ".gitignore", ".gitkeep"}
    (command,) = re.findall(r"^next: runner (\w+ \w+)", told, re.MULTILINE)
    assert "▌title" in runner(tmp_path, *command.split())


def test_a_copy_of_env_example_is_read_by_its_owner_alone_and_sets_nothing(tmp_path: Path) -> None:
    told = runner(tmp_path, "init")
    (command,) = re.findall(r"^      (cp .*?)  ", told, re.MULTILINE)
    subprocess.run(command.split(), cwd=tmp_path, check=True)
    assert (tmp_path / ".env").stat().st_mode & 0o077 == 0
    assert settings.load(tmp_path) == settings.load(tmp_path / "logs").model_copy(
        update={"home": tmp_path, "daily_budget_usd": 1}
    )
    assert "✓ secrets: nobody else" in runner(tmp_path, "doctor", code=1)
    (tmp_path / ".env").chmod(0o644)
    assert "chmod 600 .env" in runner(tmp_path, "doctor", code=1)


def test_init_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "runner.toml").write_text("timezone = 'Europe/Berlin'\n")
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "note.py").write_text(note(extra="secrets: ClassVar = ('NOTE_KEY',)"))
    told = runner(tmp_path, "init")
    assert "wrote runner.toml" not in told
    assert "linkedin_post" not in told
    assert "next: runner rehearse note" in told
    assert "\n# for drafts of the kind Note\nNOTE_KEY=\n" in (tmp_path / ".env.example").read_text()
    assert "all of it is there already" in runner(tmp_path, "init")


def test_the_examples_come_for_the_asking_and_leave_a_name_that_is_taken(tmp_path: Path) -> None:
    runner(tmp_path, "init")
    told = runner(tmp_path, "init", "--examples")
    assert "wrote tasks/blog_article.py" in told
    assert "linkedin_post.py" not in told
    assert "4 tasks are sound, 0 modules are broken" in runner(tmp_path, "check")


def test_who_misspells_a_task_to_rehearse_is_told_where_it_was_looked_for(tmp_path: Path) -> None:
    runner(tmp_path, "init")
    told = runner(tmp_path, "rehearse", "linkedin", code=4)
    assert f"in {tmp_path}/tasks; there are: linkedin_post" in told


def test_tasks_are_listed_with_schedule_and_next_slots(tmp_path: Path) -> None:
    runner(tmp_path, "init", "--examples")
    (tmp_path / "tasks" / "bad.py").write_text("import nowhere\n")
    runner(tmp_path, "pause", "daily_digest")
    rows = listed(tmp_path, "tasks")
    digest = next(row for row in rows if row["name"] == "daily_digest")
    assert (digest["schedule"], len(digest["next"]), digest["paused"], digest["sealed"]) == (
        "At 07:00 every day",
        3,
        True,
        True,
    )
    assert "No module named 'nowhere'" in rows[-1]["broken"]
    assert rows[-1]["name"] == "bad"
    told = runner(tmp_path, "tasks")
    assert "At 07:00 every day" in told
    assert "paused" in told
    assert json.loads(runner(tmp_path, "check", "--json", code=1))["broken"][0]["file"] == "tasks/bad.py"
    runner(tmp_path, "unpause", "daily_digest")
    assert "not paused" in runner(tmp_path, "unpause", "daily_digest", code=4)
    assert "there is no task 'nobody'" in runner(tmp_path, "pause", "nobody", code=4)


@pytest.mark.no_cover
def test_any_command_has_what_it_needs_in_a_process_of_its_own(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    runner(tmp_path, "init")
    typed_words = (
        "check|tasks|runs|pending|status|log|verify|costs|stats|doctor|answer|completion bash|backup there|"
        "run nobody|rehearse nobody|pause nobody|unpause nobody|show none|approve none|edit none|undo none|"
        "withdraw none|reject none --reason no|revise none --feedback no|resolve none --delivered|stop|resume"
    )
    every = typed_words.split("|")
    count = min(len(every), pytestconfig.getoption("--commands"))
    for words in (every[place] for place in sorted(random.sample(range(len(every)), count))):
        done = subprocess.run(
            [RUNNER, *words.split()],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            env=environment(),
        )
        told = done.stdout + done.stderr
        assert done.returncode in {0, 1, 4}, (words, told)
        assert "a fault of the runner itself" not in told, (words, told)
    others = {"init", "up", "demo", "review", "telegram", "service"}  # typed so elsewhere
    assert {words.split()[0] for words in every} | others == set(Commands.rooms)


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("status",), 2, "runner init"),
        (("frobnicate",), 2, "No such command"),
        (("approve",), 2, "Missing argument"),
        (("--help",), 0, "and nothing else lets it out"),
        (("--version",), 0, "0.1.0"),
    ],
)
def test_an_empty_folder_is_told_how_to_begin(
    tmp_path: Path, words: tuple[str, ...], code: int, told: str
) -> None:
    assert told in runner(tmp_path, *words, code=code)


async def test_approving_shows_all_and_needs_a_yes_or_the_digest(tmp_path: Path) -> None:
    first, second = await with_drafts(tmp_path, 2)
    assert "Approve exactly this?" in runner(tmp_path, "approve", first, code=1)  # silence means no
    assert "Approve exactly this?" in runner(tmp_path, "approve", first, given="n\n", code=1)
    told = runner(tmp_path, "approve", first[:6], "--at", "23:59", given="y\n")
    assert "hello 0" in told
    assert "it goes out at" in told
    row = next(row for row in listed(tmp_path, "pending") if row["id"] == second)
    assert {"id", "task", "kind", "state", "revision", "digest", "fields", "created", "expires"} <= row.keys()
    assert "read it again" in runner(tmp_path, "approve", second, "--digest", "ab" * 32, code=4)
    assert "at least 12" in runner(tmp_path, "approve", second, "--digest", row["digest"][:4], code=4)
    runner(tmp_path, "approve", second, "--digest", row["digest"], "--at", "2099-01-01T09:00", code=4)
    runner(tmp_path, "approve", second, "--digest", row["digest"])
    assert "is approved, not pending" in runner(tmp_path, "approve", second, code=4)
    runner(tmp_path, "undo", second)
    assert listed(tmp_path, "show", second)["state"] == "pending"
    assert "no hour" in runner(tmp_path, "approve", second, "--at", "noon", code=2)
    assert "no draft 'lost'" in runner(tmp_path, "show", "lost", code=4)  # no id has an l or an o


async def test_an_hour_that_has_passed_or_never_comes_is_refused(tmp_path: Path) -> None:
    (draft,) = await with_drafts(tmp_path)
    digest = listed(tmp_path, "show", draft)["digest"]
    for hour, told in {
        "2020-01-01T09:00": "Wed 01 Jan 2020",
        "0001-01-01T00:00+14:00": "no hour",
        "9999-12-31T23:59-14:00": "no hour",
        "-": "no hour",
    }.items():
        assert told in runner(tmp_path, "approve", draft, "--digest", digest, "--at", hour, code=2)
    assert listed(tmp_path, "show", draft)["state"] == "pending"


async def test_a_draft_is_edited_rejected_revised_and_withdrawn(tmp_path: Path) -> None:
    first, second, third = await with_drafts(tmp_path, 3)
    assert "nothing was changed" in runner(tmp_path, "edit", first, "--set", "text=hello 0")
    assert "revision 2" in runner(tmp_path, "edit", first, "--set", "text=my own words")
    (tmp_path / "text.md").write_text("from a file\n")
    assert "from a file" in runner(tmp_path, "edit", first, "--file", "text=text.md")
    assert "No such file" in runner(tmp_path, "edit", first, "--file", "text=nowhere", code=2)
    assert "FIELD is one of text" in runner(tmp_path, "edit", first, "--set", "body=x", code=1)
    told = runner(tmp_path, "reject", first)
    assert "would teach the task" in told
    assert "it begins when the runner is up" in runner(tmp_path, "revise", second, "--feedback", "shorter")
    runner(tmp_path, "withdraw", third)
    assert "uncertain" in runner(tmp_path, "resolve", third, "--delivered", code=4)
    assert "say which" in runner(tmp_path, "resolve", third, code=2)
    states = {row["id"]: row["state"] for row in listed(tmp_path, "pending", "--all")}
    assert states == {first: "rejected", second: "revising", third: "withdrawn"}
    assert "my own words" not in runner(tmp_path, "pending", "--all")
    assert "refused to resolve" in runner(tmp_path, "log")
    assert "whole" in runner(tmp_path, "verify")


async def test_the_editor_is_the_owners_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (draft,) = await with_drafts(tmp_path)
    monkeypatch.setenv("EDITOR", "sed -i s/hello/goodbye/")
    assert "goodbye 0" in runner(tmp_path, "edit", draft)
    monkeypatch.setenv("EDITOR", "sed -i s/.text/wrong/")
    assert "the headings must stay" in runner(tmp_path, "edit", draft, code=1)
    monkeypatch.setenv("EDITOR", "true")
    assert "nothing was changed" in runner(tmp_path, "edit", draft)
    monkeypatch.setenv("EDITOR", "/nowhere/editor")
    assert "your editor could not be used" in runner(tmp_path, "edit", draft, code=1)


def test_stop_and_resume_work_with_no_runner_up(tmp_path: Path) -> None:
    runner(tmp_path, "init", "--examples")
    assert "too loud" in runner(tmp_path, "stop", "too", "loud")
    assert "STOPPED: too loud" in runner(tmp_path, "status")
    assert "stopped (too loud)" in runner(tmp_path, "run", "site_monitor", code=3)
    runner(tmp_path, "resume")
    assert "no stop is in force" in runner(tmp_path, "resume")
    (tmp_path / "STOP").write_text("mine")
    assert "remove it first" in runner(tmp_path, "resume", code=3)
    assert json.loads(runner(tmp_path, "status", "--json"))["stopped"] == "mine"


def test_stop_takes_every_word_and_shows_what_it_stopped(tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    reasons = {
        "--now -x please": "--now -x please",
        "a \x1b]0;pwned\x07 b": "a \\x1b]0;pwned\\x07 b",
        "\udcff": "?",
        "why --help": "why --help",
    }
    for words, shown in reasons.items():
        told = runner(tmp_path, "stop", *words.split(" "))
        assert f"STOP: {shown}. Nothing in {tmp_path} runs" in told
        (tmp_path / "STOP").unlink()
    assert "Usage" in runner(tmp_path, "stop", "--help")
    assert not (tmp_path / "STOP").exists()


def test_stop_claims_nothing_where_there_is_no_project(tmp_path: Path) -> None:
    assert f"no project in {tmp_path}, so nothing was stopped" in runner(tmp_path, "stop", code=2)
    assert not (tmp_path / "STOP").exists()


def test_a_runner_whose_address_of_claude_is_none_says_so_when_it_comes_up(tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    with up(tmp_path, ANTHROPIC_API_KEY="sk-ant-x", ANTHROPIC_BASE_URL="https://ana:pw@host:port") as process:
        assert process.stdout is not None
        told = next(line for line in process.stdout if "ANTHROPIC_BASE_URL" in line)
    assert "is no address; write one that begins with https://, or leave it out" in told
    assert "pw@" not in told


async def test_a_run_on_demand_is_carried_out_with_no_runner_up(tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "note.py").write_text(
        note("print('working'); return Note(text='hello')", options="max_pending=1")
    )
    told = runner(tmp_path, "run", "note")
    assert "ok" in told
    assert "working" in told
    (draft,) = listed(tmp_path, "pending")
    assert f"runner show {draft['id']}" in told
    assert "max_pending=1" in runner(tmp_path, "run", "note", code=1)
    (row,) = listed(tmp_path, "runs")
    assert (row["task"], row["status"], row["cost_usd"]) == ("note", "ok", 0)
    assert "ok" in runner(tmp_path, "runs", "--task", "note")
    assert "nothing was spent" in runner(tmp_path, "costs")
    (tmp_path / "tasks" / "note.py").write_text(note("raise ValueError('boom')", options="retries=0"))
    assert "ValueError: boom" in runner(tmp_path, "run", "note", code=1)
    runner(tmp_path, "pause", "note")
    assert "note is paused" in runner(tmp_path, "run", "note", code=1)


def test_without_a_key_what_asks_claude_fails_in_words(tmp_path: Path) -> None:
    runner(tmp_path, "init", "--examples")
    assert "set ANTHROPIC_API_KEY" in runner(tmp_path, "run", "blog_article", code=1)
    assert "ANTHROPIC_API_KEY is not set" in runner(tmp_path, "doctor", code=1)
    (tmp_path / ".env").write_text("ANTHROPIC_API_KEY=sk-test\nANTHROPIC_BASE_URL=http://127.0.0.1:9\n")
    told = runner(tmp_path, "doctor")
    assert "✓ tasks: 4 sound" in told
    assert "! key: ANTHROPIC_API_KEY is set and could not be tried: the connection" in told


async def test_with_a_key_the_same_code_asks_whoever_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner(tmp_path, "init", "--examples")
    async with StandInClaude() as claude:
        kept = {
            **environment(),
            "ANTHROPIC_BASE_URL": claude.url,
            "ANTHROPIC_API_KEY": "sk-from-the-environment",
        }
        monkeypatch.setattr("test_cli.environment", lambda: kept)
        told = await asyncio.to_thread(runner, tmp_path, "run", "blog_article")
        assert len(claude.requests) == 2
    (draft,) = listed(tmp_path, "pending")
    assert f"runner show {draft['id']}" in told
    assert "rehearsal" not in runner(tmp_path, "show", draft["id"])
    (cost,) = listed(tmp_path, "costs")
    assert (cost["task"], cost["calls"]) == ("blog_article", 2)
    assert cost["cost_usd"] > 0
    (day,) = listed(tmp_path, "costs", "--by", "day")
    assert (day["day"], day["cost_usd"]) == (draft["created"][:10], cost["cost_usd"])
    assert "sk-from" not in "".join(path.read_text() for path in (tmp_path / "logs").glob("*.jsonl"))


def test_a_rehearsal_shows_what_a_task_would_draft_and_keeps_nothing(tmp_path: Path) -> None:
    runner(tmp_path, "init", "--examples")
    told = runner(tmp_path, "rehearse", "blog_article")
    assert "▌title" in told
    assert "REHEARSAL" in told
    assert listed(tmp_path, "pending") == listed(tmp_path, "runs") == []
    assert "drafts wait" in runner(tmp_path, "rehearse", "daily_digest")


def test_the_runner_that_is_up_does_what_other_processes_ask(tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "note.py").write_text(note())
    (tmp_path / "tasks" / "post.py").write_text(
        "from runner import *\nfrom runner.drafts import Article\n\n@task()\ndef post(run):\n"
        "    return Article(title='Hello', body='World')\n"
    )
    with up(tmp_path) as process:
        assert f"process {process.pid}" in runner(tmp_path, "up", code=1)
        assert f"up, process {process.pid}" in runner(tmp_path, "status")
        assert "handed to the runner that is up" in runner(tmp_path, "run", "post")
        (draft,) = listed(tmp_path, "pending")
        runner(tmp_path, "approve", draft["id"], given="y\n")
        wait_for(lambda: listed(tmp_path, "show", draft["id"])["state"] == "delivered")
        assert "World" in (tmp_path / "published" / "hello.md").read_text()
        assert "published/hello.md" in runner(tmp_path, "show", draft["id"])
        assert "✓ runner: up" in runner(tmp_path, "doctor", code=1)
    assert "delivered" in runner(tmp_path, "log", "--task", "post")
    assert json.loads(runner(tmp_path, "log", "--json").splitlines()[0])["event"] == "runner.started"
    assert json.loads(runner(tmp_path, "verify", "--json"))["problems"] == []


def wait_for(holds: Any) -> None:
    deadline = time.monotonic() + 15
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_log_can_be_followed(tmp_path: Path) -> None:
    runner(tmp_path, "init", "--examples")
    with subprocess.Popen(
        [RUNNER, "log", "--follow"], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as follower:
        assert follower.stdout is not None
        runner(tmp_path, "pause", "site_monitor")
        assert "site_monitor: paused by" in follower.stdout.readline()
        follower.send_signal(signal.SIGINT)
        assert follower.wait(5) == 1


async def test_promise_22_nothing_is_approved_where_that_cannot_be_put_on_record(tmp_path: Path) -> None:
    (draft,) = await with_drafts(tmp_path)
    digest = listed(tmp_path, "show", draft)["digest"]
    (tmp_path / "logs").rename(tmp_path / "elsewhere")
    (tmp_path / "logs").write_text("a file")
    assert "the journal in" in runner(tmp_path, "approve", draft, "--digest", digest, code=1)
    assert listed(tmp_path, "show", draft)["state"] == "pending"


def test_a_journal_that_was_changed_is_found(tmp_path: Path) -> None:
    runner(tmp_path, "init", "--examples")
    runner(tmp_path, "pause", "site_monitor")
    runner(tmp_path, "unpause", "site_monitor")
    (path,) = (tmp_path / "logs").glob("*.jsonl")
    whole, told = path.read_text(), json.loads(runner(tmp_path, "verify", "--json"))["head"]
    assert "event 2 has the one you were told" in runner(tmp_path, "verify", "--head", told)
    path.write_text(whole.splitlines(keepends=True)[0])
    assert "no event has the head that was told" in runner(tmp_path, "verify", "--head", told, code=1)
    assert "copy all 64 characters" in runner(tmp_path, "verify", "--head", "a1b2", code=2)
    path.write_text(whole.replace("task.paused", "task.paled"))
    assert f"logs/{path.name}:2: the line before it was changed" in runner(tmp_path, "verify", code=1)
    assert "1 problems" in runner(tmp_path, "doctor", code=1)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("runner.toml", "timezon = 'x'", "did you mean 'timezone'?"),
        ("runner.toml", "daily_budget_usd = -1", "runner.toml: daily_budget_usd=-1"),
        (".env", "RUNNER_TIMEZONE=Mars/Base", "'Mars/Base' is no time zone"),
        (".runner/store.db", "no database " * 400, "journal in logs/ tells all"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, text: str, told: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / "tasks").mkdir()
    (tmp_path / name).write_text(text)
    done = subprocess.run(
        [RUNNER, "status"], cwd=tmp_path, capture_output=True, text=True, check=False, env=environment()
    )
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode in {1, 2}


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("costs", "--days", "99999999999"), 2, "is not in the range"),
        (("runs", "--limit", "9" * 30), 2, "is not in the range"),
        (("pause", "x\x1b]0;pwned\x07"), 4, "no task"),
    ],
)
def test_numbers_beyond_measure_and_control_characters_are_answered_in_words(
    tmp_path: Path, words: tuple[str, ...], code: int, told: str
) -> None:
    (tmp_path / "tasks").mkdir()
    said = runner(tmp_path, *words, code=code)
    assert told in said
    assert "\x1b" not in said


@pytest.mark.parametrize("url", ["foo", "sqlitefoo", "sqlite+nothing:///x.db", "mysql://u:p@h/d"])
def test_a_database_that_cannot_be_meant_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    (tmp_path / "tasks").mkdir()
    monkeypatch.setattr("test_cli.environment", lambda: {**os.environ, "RUNNER_DATABASE_URL": url})
    assert "RUNNER_DATABASE_URL" in runner(tmp_path, "status", code=1)


def test_a_state_folder_that_is_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / ".runner").touch()
    for words in (("status",), ("run", "note"), ("up",)):
        assert "runner: " in runner(tmp_path, *words, code=1)


async def test_text_that_is_no_utf_8_is_refused_in_words_and_changes_nothing(tmp_path: Path) -> None:
    (draft,) = await with_drafts(tmp_path)
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    assert "no UTF-8 text" in runner(tmp_path, "edit", draft, "--file", "text=binary", code=2)
    assert "no UTF-8 text" in runner(tmp_path, "reject", draft, "--reason", "\udcff", code=1)
    assert [row["state"] for row in listed(tmp_path, "pending")] == ["pending"]


def test_a_terminal_escape_of_a_broken_module_does_not_reach_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "evil.py").write_text("raise ValueError('\\x1b]0;pwned\\x07')\n")
    for words in (("check",), ("doctor",), ("run", "evil"), ("tasks",)):
        told = runner(tmp_path, *words, code=4 if words[0] == "run" else 0 if words[0] == "tasks" else 1)
        assert "pwned" in told
        assert "\x1b" not in told


def test_a_fault_of_the_runner_itself_is_a_sentence_and_its_traceback_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".runner").mkdir()
    monkeypatch.setenv("RUNNER_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["runner", "status"])
    monkeypatch.setitem(commands.Commands.rooms, "status", "nowhere")  # a command that can't be imported
    assert commands.run() == 1
    told = capsys.readouterr().err
    assert "a fault of the runner itself: ModuleNotFoundError" in told
    assert "Traceback" not in told
    assert "Traceback" in (tmp_path / ".runner" / "fault.txt").read_text()


@pytest.mark.no_cover
def test_the_tour_walks_the_whole_way_by_itself(tmp_path: Path) -> None:
    told = runner(tmp_path, "demo", "--tour")
    for words in ("dead", "verified", "holds the key", "1 call was paid", "system prompt"):
        assert words in told


def test_an_error_that_has_no_words_is_told_by_its_name() -> None:
    assert commands._told(TimeoutError()) == "the system: TimeoutError"
    assert commands._told(FileNotFoundError(2, "No such file", "a.py")) == "a.py: No such file"
