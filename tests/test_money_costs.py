"""What was spent: by whom and when, what the month will come to, and what a task will cost before it is enabled."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from modules import note
from test_cli import environment, listed, runner

from runner import chart
from runner.claude.price import cost
from runner.clock import Clock
from runner.costs import projection, sums, total
from runner.rehearsal.claude import StandInClaude
from runner.store import money, runs
from runner.store.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import HandClock

    from runner.costs import By

TOKYO = ZoneInfo("Asia/Tokyo")
NOW = datetime(2026, 11, 16, tzinfo=UTC)


def spend(store: Store, task: str, dollars: str | None, **more: Any) -> None:
    with store.change() as tx:
        price = None if dollars is None else Decimal(dollars)
        runs.spent(tx, "r", task, more.pop("model", "m"), (100, 10), price, is_lower_bound=False, **more)


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("task", {"b": 3.0, "a": 2.0}),
        ("label", {"acme": 4.0, "": 1.0}),
        ("model", {"m": 3.0, "n": 2.0}),
        ("day", {"2026-11-30": 1.0, "2026-12-01": 4.0}),
        ("month", {"2026-11": 1.0, "2026-12": 4.0}),
    ],
)
def test_costs_are_summed_by_what_is_asked_for_and_days_are_the_owners(
    store: Store, clock: HandClock, by: By, expected: dict[str, float]
) -> None:
    clock.at = datetime(2026, 11, 30, 14, 59, tzinfo=UTC)
    spend(store, "a", "1")
    clock.move(minutes=1)  # midnight in Tokyo
    spend(store, "a", "1", label="acme")
    spend(store, "b", "1", label="acme")
    spend(store, "b", "2", label="acme", model="n")
    with store.read() as connection:
        found = sums(money.rows(connection, clock.at - timedelta(days=1)), by, TOKYO)
    assert [(key, each.cost / 1e9) for key, each in found.items()] == list(expected.items())


def test_the_saved_share_is_of_what_it_would_have_cost_and_may_be_less_than_nothing(
    store: Store, clock: HandClock
) -> None:
    spend(store, "a", "1", saved=Decimal(3))
    spend(store, "b", "1.25", saved=Decimal("-0.25"))
    spend(store, "c", None)
    with store.read() as connection:
        found = sums(money.rows(connection, clock.at), "task", TOKYO)
    shares = {key: each.saved_share for key, each in found.items()}
    assert shares == {"a": 0.75, "b": -0.25, "c": 0.0}
    assert total(found.values()).unknown == 1


@pytest.mark.parametrize(
    ("spent", "first", "expected"),
    [
        (15, NOW - timedelta(days=90), 30),  # half of November
        (5, NOW - timedelta(days=5), 20),  # begun five days ago, with fifteen to come
        (5, NOW - timedelta(hours=5), None),
        (0, None, None),
    ],
)
def test_a_projection_goes_on_as_it_was_since_the_month_or_the_runner_began(
    spent: float, first: datetime | None, expected: float | None
) -> None:
    assert projection(spent, first, NOW, ZoneInfo("UTC")) == expected


def test_a_projection_at_the_end_of_december_knows_that_a_year_ends() -> None:
    now = datetime(2026, 12, 31, 12, tzinfo=UTC)
    assert projection(30.5, now - timedelta(days=99), now, ZoneInfo("UTC")) == 31


@pytest.fixture
def spent_here(tmp_path: Path) -> Path:
    (tmp_path / "tasks").mkdir()
    store = Store(f"sqlite:///{tmp_path}/.runner/store.db", Clock())
    store.open()
    spend(store, "blog_article", "0.30", label="<acme> & \x1b[31mson", saved=Decimal("0.10"))
    spend(store, "linkedin_post", "0.02")
    store.close()
    return tmp_path


def test_costs_are_a_table_and_json(spent_here: Path) -> None:
    told = runner(spent_here, "costs")
    assert [line.split()[:2] for line in told.splitlines() if "$0." in line][:3] == [
        ["blog_article", "1"],
        ["linkedin_post", "1"],
        ["all", "2"],
    ]
    assert "25%" in told
    assert "this month: $0.32 so far" in told
    dear, cheap = listed(spent_here, "costs")
    assert (dear["task"], dear["cost_usd"], dear["saved_share"]) == ("blog_article", 0.3, pytest.approx(0.25))
    assert (cheap["task"], cheap["calls"]) == ("linkedin_post", 1)
    (month,) = listed(spent_here, "costs", "--by", "month")
    assert month["projected_usd"] is None


def test_costs_are_drawn_as_whole_xml_whatever_the_names_are(spent_here: Path) -> None:
    assert "drawn into" in runner(spent_here, "costs", "--by", "label", "--svg", "costs.svg")
    drawn = ET.parse(spent_here / "costs.svg")
    texts = [text.text or "" for text in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert any(text.startswith("<acme> & ⟦U+001B⟧") for text in texts)
    assert "$0.3000" in texts
    widths = [float(bar.attrib["width"]) for bar in drawn.iter("{http://www.w3.org/2000/svg}rect")][1:]
    assert widths[1] / widths[0] == pytest.approx(0.02 / 0.30, abs=0.01)


def test_a_chart_of_nothing_is_a_chart() -> None:
    ET.fromstring(chart.bars("nothing", "", []))
    ET.fromstring(chart.bars("free", "", [("a", 0, "$0")]))


# --- before a task is enabled

BODY = (
    "one = await run.claude('a long question ' * 100, max_tokens=1000)\n"
    "return Note(text=await run.claude(one, max_tokens=2000))"
)


def test_a_forecast_without_a_key_is_reckoned_from_the_size(tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "note.py").write_text(note(BODY, options="__import__('runner').every(days=1)"))
    told = runner(tmp_path, "rehearse", "note", "--cost")
    assert "a run asks 2 times" in told
    assert "there is no key to have it counted" in told
    assert "answers of up to 3,000: at most $0.03" in told
    assert "30 runs in the next 30 days: at most $0.9" in told
    assert listed(tmp_path, "runs") == []


def test_a_forecast_of_a_patient_task_is_at_half_price(tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    patience = "patience=__import__('datetime').timedelta(hours=1)"
    (tmp_path / "tasks" / "note.py").write_text(note(BODY, options=patience))
    told = runner(tmp_path, "rehearse", "note", "--cost")
    assert "answers of up to 3,000: at most $0.015" in told
    assert "it runs on demand" in told


async def test_a_forecast_with_a_key_is_counted_by_the_api(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio

    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "note.py").write_text(note(BODY))
    async with StandInClaude() as claude:
        given = {"ANTHROPIC_BASE_URL": claude.url, "ANTHROPIC_API_KEY": "sk-test"}
        kept = {**environment(), **given}
        monkeypatch.setattr("test_cli.environment", lambda: kept)
        told = await asyncio.to_thread(runner, tmp_path, "rehearse", "note", "--cost")
        assert "counted by Claude's API" in told
        assert [json.loads(body)["max_tokens"] for body in claude.counted if b"max_tokens" in body] == []
        assert len(claude.counted) == 2
        assert claude.requests == []


def test_a_forecast_that_cannot_be_counted_loses_no_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "note.py").write_text(note(BODY))
    given = {"ANTHROPIC_BASE_URL": "http://127.0.0.1:9", "ANTHROPIC_API_KEY": "sk-test"}
    kept = {**environment(), **given}
    monkeypatch.setattr("test_cli.environment", lambda: kept)
    told = runner(tmp_path, "rehearse", "note", "--cost", code=1)
    assert "▌text" in told
    assert "the connection to Claude's API failed" in told


def test_prices_by_batch_are_half(tmp_path: Path) -> None:
    usage = {"input_tokens": 1000, "output_tokens": 1000}
    direct, batch = cost("claude-sonnet-5-5", usage), cost("claude-sonnet-5-5", usage, is_batch=True)
    assert direct is not None
    assert batch == direct / 2
