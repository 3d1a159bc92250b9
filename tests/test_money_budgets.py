"""Money under control: each budget is kept before the call, told in time, and its owner asked."""

from __future__ import annotations

import sqlite3
from decimal import Decimal
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner
from modules import note
from phones import phoned

from runner.cli.commands import cli
from runner.errors import SettingsError
from runner.purses import Purses
from runner.rehearsal.telegram import StandInTelegram
from runner.settings import load
from runner.store import money, runs, slots
from runner.store.store import Store
from runner.testing import Rehearsal, rehearsal

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import HandClock

ASKS = "return await run.claude('x', returns=Note)"
TASK_BUDGET = "[budgets.tasks.note]\nday = {}\n"
LABEL_BUDGET = "[budgets.labels.acme]\nmonth = {}\n"


def settings(home: Path, text: str) -> None:
    (home / "runner.toml").write_text(text)


def spend(it: Rehearsal, amount: str, *, task: str = "note", label: str = "") -> None:
    with it.app.store.change() as tx:
        runs.spent(tx, "r0", task, "m", (1, 1), Decimal(amount), is_lower_bound=False, label=label)


def is_paused(it: Rehearsal) -> bool:
    with it.app.store.read() as connection:
        return "note" in slots.paused(connection)


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        (TASK_BUDGET.format(0.001), "", "the day's budget of task note of $0.001 ([budgets.tasks.note])"),
        (LABEL_BUDGET.format(0.001), "label='acme'", "the month's budget of label acme of $0.001"),
    ],
)
async def test_a_task_whose_own_budget_is_used_up_pauses_itself_and_asks(
    tmp_path: Path, text: str, options: str, words: str
) -> None:
    settings(tmp_path, text)
    async with rehearsal(tmp_path) as it:
        it.drop("note.py", note(ASKS, options=options))
        assert words in (await it.run("note")).error
        assert is_paused(it)
        assert words in (await it.event("budget.paused"))["reason"]
        assert it.found("task.paused")[0]["by"] == "its budget"
        assert it.claude.requests == []


async def test_a_budget_of_all_pauses_nobody(tmp_path: Path) -> None:
    settings(tmp_path, "monthly_budget_usd = 0.001\n")
    async with rehearsal(tmp_path) as it:
        it.drop("note.py", note(ASKS))
        assert "the month's budget of $0.001 (RUNNER_MONTHLY_BUDGET_USD)" in (await it.run("note")).error
        assert not is_paused(it)
        assert it.found("budget.exceeded")


async def test_a_run_that_asks_on_and_on_beyond_a_budget_is_told_of_once(tmp_path: Path) -> None:
    settings(tmp_path, "monthly_budget_usd = 0.001\n")
    async with rehearsal(tmp_path) as it:
        insists = "for n in range(9):\n    try: await run.claude(f'{n}', max_tokens=64_000)\n    except Exception: pass"
        it.drop("note.py", note(insists))
        await it.run("note")
        assert len(it.found("budget.exceeded")) == 1


async def test_a_task_pauses_once_its_own_budget_is_used_up_though_its_run_was_told_of_for_another(
    tmp_path: Path,
) -> None:
    settings(tmp_path, TASK_BUDGET.format(1))
    async with rehearsal(tmp_path) as it:
        insists = "import asyncio\nwhile True:\n    try: await run.claude('x')\n    except Exception: await asyncio.sleep(0.05)"
        it.drop("note.py", note(insists, options="budget=0.0001, retries=0"))
        await it.until(lambda: "note" in it.app.catalog.tasks)
        with it.app.store.change() as tx:
            runs.add(tx, "r1", "note")
        await it.event("budget.exceeded", run="r1")
        assert not is_paused(it)
        spend(it, "1.00")
        await it.event("budget.paused", run="r1")


async def test_a_budget_that_is_nearly_spent_is_told_once_whatever_restarts(tmp_path: Path) -> None:
    settings(tmp_path, TASK_BUDGET.format(10))
    told = []
    for amount in ("7.00", "1.50", "0.10"):
        async with rehearsal(tmp_path) as it:
            spend(it, amount)
            it.drop("note.py", note(ASKS))
            assert (await it.run("note")).status == "ok"
            await it.event("run.finished")
            told.append([event["reason"] for event in it.found("budget.near")])
    assert [len(each) for each in told] == [0, 1, 0]
    assert told[1][0].startswith("85 % of the day's budget of task note of $10.00")


async def test_the_owner_is_asked_on_the_phone_and_answers_there(tmp_path: Path) -> None:
    settings(tmp_path, TASK_BUDGET.format(0.001))
    async with StandInTelegram() as tg, phoned(tmp_path, tg) as hand:
        hand.it.drop("note.py", note(ASKS))
        await hand.it.run("note")
        message = await hand.reads("note paused itself")
        assert "/unpause note" in message["text"]
        tg.says(hand.person, "/unpause note")
        await hand.it.event("task.unpaused", task="note")


async def test_a_day_begins_at_the_owners_midnight_and_a_month_on_its_first(
    store: Store, clock: HandClock, tmp_path: Path
) -> None:
    known = load(tmp_path).model_copy(
        update={"timezone": "Asia/Tokyo", "daily_budget_usd": Decimal(1), "monthly_budget_usd": Decimal(9)}
    )
    clock.at = clock.at.replace(month=11, day=30, hour=16, tzinfo=ZoneInfo("UTC"))  # 1 December in Tokyo
    purses = Purses(known, clock)
    with store.change() as tx:
        runs.spent(tx, "r", "t", "m", (1, 1), Decimal(1), is_lower_bound=False)
    clock.move(hours=-2)
    with store.change() as tx:
        runs.spent(tx, "r", "t", "m", (1, 1), Decimal(2), is_lower_bound=False)
    clock.move(hours=2)
    with store.read() as connection:
        day, month = purses._of_all(connection)
    assert (day.spent, day.period) == (Decimal(1), "2026-12-01")
    assert (month.spent, month.period) == (Decimal(1), "2026-12")


def test_a_budget_of_nobody_is_told_by_check_since_it_bounds_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "note.py").write_text(note(options="label='acme'"))
    settings(
        tmp_path, TASK_BUDGET.format(1) + "[budgets.tasks.noet]\nday = 1\n[budgets.labels.acmee]\nday = 1\n"
    )
    monkeypatch.setenv("RUNNER_HOME", str(tmp_path))
    result = CliRunner().invoke(cli, ["check"], standalone_mode=False)
    assert result.return_value == 1
    assert "[budgets.tasks.noet] bounds nothing; there are note" in result.output
    assert "[budgets.labels.acmee] bounds nothing; there are acme" in result.output


def test_rules_and_reviewers_for_what_is_not_there_are_told_by_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "note.py").write_text(note())
    rules = "[kinds.emial]\napprovals = 2\n[kinds.note]\napprovals = 1\n[kinds.article]\napprovals = 1\n"
    settings(tmp_path, rules + "[reviewers.eve]\nid = 5\ntasks = ['note', 'noet']\nkinds = ['notes']\n")
    monkeypatch.setenv("RUNNER_HOME", str(tmp_path))
    result = CliRunner().invoke(cli, ["check"], standalone_mode=False)
    assert result.return_value == 1
    assert result.output.count("runner.toml: ") == 3
    assert "[kinds.emial] is about no kind; there are article, " in result.output
    assert "[reviewers.eve] names a task 'noet' that is not there" in result.output
    assert "[reviewers.eve] names a kind 'notes' that is not there" in result.output


def test_a_misspelt_word_in_a_budget_is_refused(tmp_path: Path) -> None:
    settings(tmp_path, "[budgets.tasks.note]\nweek = 1\n")
    with pytest.raises(SettingsError, match=r"budgets\.tasks\.note\.week"):
        load(tmp_path)


def test_a_store_from_before_learns_whose_money_it_was(tmp_path: Path, clock: HandClock) -> None:
    path = tmp_path / "store.db"
    store = Store(f"sqlite:///{path}", clock)
    store.open()
    store.close()
    with sqlite3.connect(path) as connection:
        for name in ("label", "cache_read_tokens", "cache_write_tokens", "saved_nano_usd"):
            connection.execute(f"ALTER TABLE spending DROP COLUMN {name}")
        connection.execute("DROP TABLE warnings")
        connection.execute(
            "INSERT INTO spending (at, run, task, model, input_tokens, output_tokens, cost_nano_usd, is_lower_bound)"
            " VALUES ('2026-11-24T09:00:00.000Z', 'r', 't', 'm', 1, 1, 1000000000, 0)"
        )
        connection.execute("UPDATE meta SET value = '5' WHERE name = 'schema'")
    for _ in range(2):
        store = Store(f"sqlite:///{path}", clock)
        store.open()
        with store.change() as tx:
            runs.spent(tx, "r", "t", "m", (1, 1), Decimal(2), is_lower_bound=False, label="acme")
        store.close()
    with store.read() as connection:
        assert money.spent(connection, clock.now()) == 5
        assert money.spent(connection, clock.now(), label="acme") == 4
    store.close()
