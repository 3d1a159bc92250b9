"""Claude's own search and fetch: only where the task declares it, counted, priced, on record, and shown."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from modules import note
from phones import phoned

from runner import task
from runner.catalog import Declared
from runner.claude.price import cost, upper_bound
from runner.claude.question import Question, Web
from runner.cli.commands import cli
from runner.declare import Limits
from runner.errors import DeclarationError
from runner.reach import is_within
from runner.rehearsal.claude import EndsEarly, Says
from runner.rehearsal.telegram import StandInTelegram
from runner.rehearsal.web import Looks
from runner.review.console.board import outlook
from runner.testing import rehearsal

if TYPE_CHECKING:
    from pathlib import Path

    from runner.testing import Rehearsal


def asking(call: str, options: str = "web=('example.com',), retries=0") -> str:
    body = f"from runner import Web\nreturn Note(text=await run.claude('Look at prices.', {call}))"
    return note(body, options=options)


async def ran(it: Rehearsal, module: str) -> Any:
    it.drop("note.py", module)
    return await it.run("note")


async def test_claude_looks_only_where_the_task_declares_it_and_what_it_looked_for_is_on_record(
    tmp_path: Path,
) -> None:
    async with rehearsal(tmp_path) as it:
        it.claude.script(
            Says("They rose.", looks=(Looks(search="prices"), Looks(fetch="https://a.example.com/x")))
        )
        assert (await ran(it, asking("web=Web(max_uses=3)"))).status == "ok"
        search, fetch = it.claude.requests[0]["tools"]
        assert search == {
            "type": "web_search_20250305",
            "name": "web_search",
            "max_uses": 3,
            "allowed_domains": ["example.com"],
        }
        assert (fetch["type"], fetch["allowed_domains"]) == ("web_fetch_20250910", ["example.com"])
        assert fetch["max_content_tokens"] == 10_000
        told = await it.event("claude.searched")
        assert told["web"] == [{"search": "prices"}, {"fetch": "https://a.example.com/x"}]
        assert it.found("claude.asked")[0]["question"]["web"] == {"domains": ["example.com"], "max_uses": 3}
        assert (await it.draft()).fields["text"] == "They rose."


async def test_a_search_is_paid_for_by_its_fee(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.claude.script(Says("They rose.", looks=(Looks(search="a"), Looks(search="b"))))
        await ran(it, asking("web=Web()"))
        answered = it.found("claude.answered")[0]
        usage = {name: answered[name] for name in ("input_tokens", "output_tokens")}
        plain = cost(answered["model"], usage)
        assert plain is not None
        assert Decimal(answered["cost_usd"]) == plain + 2 * Decimal("0.01")


@pytest.mark.parametrize(
    ("call", "options", "words"),
    [
        (
            "web=Web(domains=('shop.example.org',))",
            "web=('example.com',)",
            "shop.example.org is not among the task's web",
        ),
        (
            "web=Web(domains=('badexample.com',))",
            "web=('example.com',)",
            "is not among the task's web (example.com)",
        ),
        (
            "web=Web(domains=('com',))",
            "web=('example.com',)",
            "web.domains.0: Value error, write a domain alone",
        ),
        ("web=Web()", "", "the task declares no domain; add @task(web="),
        (
            "web=Web(max_uses=21)",
            "web=('example.com',)",
            "web.max_uses: Input should be less than or equal to 20",
        ),
        ("web=Web(max_uses=0)", "web=('example.com',)", "web.max_uses: Input should be greater than 0"),
    ],
)
async def test_what_a_task_did_not_declare_is_refused_in_words_before_claude_is_asked(
    tmp_path: Path, call: str, options: str, words: str
) -> None:
    async with rehearsal(tmp_path) as it:
        assert words in str((await ran(it, asking(call, options))).error)
        assert len(it.claude.requests) == 0
        assert it.count("run.retried") == 0  # another attempt would only repeat it


async def test_a_question_may_look_at_less_than_the_task_may(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        await ran(it, asking("web=Web(domains=('shop.example.com',))", "web=('example.com', 'example.org')"))
        assert it.claude.requests[0]["tools"][0]["allowed_domains"] == ["shop.example.com"]


async def test_without_the_word_claude_is_offered_no_web_though_the_task_declares_it(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        await ran(it, asking("max_tokens=100"))
        assert "tools" not in it.claude.requests[0]
        assert "web" not in it.found("claude.asked")[0]["question"]


async def test_a_paused_turn_is_continued_with_what_is_left_and_only_the_last_words_are_the_answer(
    tmp_path: Path,
) -> None:
    async with rehearsal(tmp_path) as it:
        it.claude.script(
            Says("Let me look.", stop_reason="pause_turn", looks=(Looks(search="a"), Looks(search="b"))),
            Says("", stop_reason="pause_turn", looks=(Looks(fetch="https://example.com/"),)),
            Says("They rose."),
        )
        await ran(it, asking("web=Web(max_uses=3)"))
        first, second, third = it.claude.requests
        assert [tool["max_uses"] for tool in second["tools"]] == [1, 3]
        assert [tool["max_uses"] for tool in third["tools"]] == [1, 2]
        assert first["messages"] == third["messages"][:1]
        kinds = [block["type"] for turn in third["messages"][1:] for block in turn["content"]]
        assert kinds == [
            *(
                "server_tool_use",
                "web_search_tool_result",
                "server_tool_use",
                "web_search_tool_result",
                "text",
            ),
            *("server_tool_use", "web_fetch_tool_result"),
        ]
        assert (await it.draft()).fields["text"] == "They rose."


async def test_a_thought_before_the_search_is_no_part_of_the_answer(tmp_path: Path) -> None:
    body = (
        "from pydantic import BaseModel\nfrom runner import Web\nclass Price(BaseModel):\n    cents: int\n"
        "price = await run.claude('Which?', returns=Price, web=Web())\nreturn Note(text=str(price.cents))"
    )
    async with rehearsal(tmp_path) as it:
        it.claude.script(
            Says("I shall look.", stop_reason="pause_turn"),
            Says(json={"cents": 3}, looks=(Looks(search="x"),)),
        )
        await ran(it, note(body, options="web=('example.com',)"))
        assert (await it.draft()).fields["text"] == "3"


async def test_more_looks_than_the_question_allows_are_refused_by_claude_and_told(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.claude.script(Says("They rose.", looks=(Looks(search="a"), Looks(search="b"))))
        assert (await ran(it, asking("web=Web(max_uses=1)"))).status == "ok"  # the API refused the second
        it.claude.script(
            Says("", stop_reason="pause_turn", looks=(Looks(search="a"),)),
            Says("x", looks=(Looks(search="b"),)),
        )
        assert "used web_search 2 times over several turns" in str(
            (await ran(it, asking("web=Web(max_uses=1)"))).error
        )


async def test_what_was_looked_for_is_on_record_though_the_answer_broke_off(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.claude.script(EndsEarly())
        assert "ended before it was whole" in str((await ran(it, asking("web=Web()"))).error)
        assert it.found("claude.searched")[0]["web"][0]["search"]


async def test_a_question_that_may_search_too_dearly_for_its_budget_is_not_asked(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        run = await ran(it, asking("web=Web()", "web=('example.com',), budget=0.05"))
        assert "the run's budget of $0.05" in str(run.error)
        assert len(it.claude.requests) == 0


def test_each_use_of_the_web_is_reckoned_with_before_it_happens() -> None:
    request = {"max_tokens": 100, "messages": []}
    tools = [{"name": "web_search", "max_uses": 2}, {"name": "web_fetch", "max_uses": 2}]
    plain, more = (upper_bound("claude-sonnet-5-5", {**request, **extra}) for extra in ({}, {"tools": tools}))
    assert plain is not None
    assert more is not None
    assert more > plain + 2 * Decimal("0.01")


def test_a_question_passes_through_json_and_one_without_the_web_is_what_it_was() -> None:
    plain = Question(prompt="x", model="m", max_tokens=1)
    web = Question(prompt="x", model="m", max_tokens=1, web=Web(domains=("example.com",), max_uses=2))
    for question in (plain, web):
        assert Question.from_json(json.loads(json.dumps(question.as_json()))) == question
    assert "web" not in plain.as_json()
    assert plain.digest != web.digest


@pytest.mark.parametrize(
    "domain",
    [
        "https://example.com",
        "example.com/blog",
        "*.example.com",
        "Example.com",
        "com",
        "10.0.0.1",
        "exämple.com",
        "a b.com",
        "",
    ],
)
def test_what_is_no_domain_is_refused_where_it_is_declared(domain: str) -> None:
    with pytest.raises(DeclarationError, match="write a domain alone"):
        task(web=(domain,))


def test_a_domain_covers_what_is_below_it_and_nothing_that_only_ends_alike() -> None:
    assert is_within("example.com", ("example.com",))
    assert is_within("a.b.example.com", ("example.org", "example.com"))
    assert not is_within("badexample.com", ("example.com",))
    assert not is_within("example.com", ("www.example.com",))


def test_where_claude_may_look_is_shown_wherever_the_task_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datetime import UTC, datetime
    from zoneinfo import ZoneInfo

    monkeypatch.setenv("RUNNER_HOME", str(tmp_path))
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "news.md").write_text(
        "---\nkind: Alert\nweb: [example.com, example.org]\n---\nLook.\n"
    )
    words, runner = "Claude searches and fetches example.com, example.org", CliRunner()
    (listed,) = json.loads(runner.invoke(cli, ["tasks", "--json"]).output)
    assert listed["reach"] == [words]
    assert words in runner.invoke(cli, ["check"]).output
    known = {
        "news": Declared(name="news", file="", source="", limits=Limits(web=("example.com", "example.org")))
    }
    assert words in outlook(known, ZoneInfo("UTC"), datetime.now(UTC))[0]


async def test_where_claude_may_look_is_on_the_card_and_in_the_list_on_the_phone(tmp_path: Path) -> None:
    async with StandInTelegram() as tg, phoned(tmp_path, tg) as hand:
        hand.it.drop("note.py", asking("web=Web()"))
        await hand.it.run("note")
        await hand.reads("Claude searches and fetches example.com")


async def test_a_markdown_task_that_declares_domains_looks_there(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.drop("news.md", "---\nkind: Alert\nweb: example.com\n---\nWhat is new?\n")
        await it.run("news")
        assert it.claude.requests[0]["tools"][0]["allowed_domains"] == ["example.com"]
        assert (await it.event("claude.searched"))["task"] == "news"
