"""Asking Claude, against the stand-in: whole answers, tools, everything that breaks, and how calls end."""

from __future__ import annotations

import asyncio
import gc
import logging
import subprocess
import sys
import time
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Never

import pytest

from runner.claude.ask import Claude
from runner.claude.question import Answer, Question, Spent, Tool
from runner.errors import BudgetError, ClaudeError, StoppedError, TransientClaudeError
from runner.rehearsal.claude import (
    Calls,
    Drops,
    EndsEarly,
    Fails,
    Garbles,
    MidStreamError,
    Says,
    Stalls,
    StandInClaude,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

KEY = "sk-ant-rehearsal-0123456789"
MODEL = "claude-haiku-5-5"
LOOK_UP = Tool(
    name="look_up",
    description="Look up a word.",
    schema={"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]},
)


def question(prompt: str = "Write a post.", **more: Any) -> Question:
    return Question(**{"prompt": prompt, "model": MODEL, "max_tokens": 500, **more})


class Switch:
    """What the guard looks at."""

    stopped = False

    def guard(self) -> None:
        if self.stopped:
            raise StoppedError


@dataclass
class Bench:
    """A stand-in API, the client under test, and what the supervisor would see."""

    api: StandInClaude
    claude: Claude
    switch: Switch
    bills: list[Spent] = field(default_factory=list)
    held: int = 0
    most_held: int = 0
    tool_calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    async def call_tool(self, name: str, arguments: dict[str, Any]) -> tuple[str, bool]:
        self.tool_calls.append((name, arguments))
        return f"{name} gave 42", False

    @contextmanager
    def reserve(self, model: str, request: dict[str, Any]) -> Iterator[None]:
        assert model == request["model"]
        self.held += 1
        self.most_held = max(self.most_held, self.held)
        try:
            yield
        finally:
            self.held -= 1

    async def ask(self, asked: Question | None = None, **more: Any) -> Answer:
        hooks = {"call_tool": self.call_tool, "spent": self.bills.append, "reserve": self.reserve, **more}
        return await self.claude.ask(asked or question(), **hooks)

    def start(self, asked: Question | None = None) -> asyncio.Task[Answer]:
        return asyncio.create_task(self.ask(asked))


@asynccontextmanager
async def a_bench(**more: Any) -> AsyncIterator[Bench]:
    async with StandInClaude() as api:
        options = {"base_url": api.url, "concurrency": 4, "stall_s": 20.0, **more}
        switch = Switch()
        bench = Bench(api, Claude(KEY, guard=switch.guard, **options), switch)
        bench.claude.prepare()
        try:
            yield bench
        finally:
            await bench.claude.close()


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with a_bench() as made:
        yield made


# --- whole answers


async def test_an_answer_carries_its_text_and_what_it_took(bench: Bench) -> None:
    bench.api.script(Says(text="Test the unhappy path first."))
    answer = await bench.ask()
    assert answer.text == "Test the unhappy path first."
    assert answer.stop_reason == "end_turn"
    assert answer.output_tokens > 0
    assert answer.cost_usd is not None
    assert answer.cost_usd > 0
    assert [bill.is_lower_bound for bill in bench.bills] == [False]
    assert bench.bills[0].cost_usd == answer.cost_usd
    assert bench.held == 0


async def test_all_of_the_question_is_told(bench: Bench) -> None:
    bench.api.script(Says(json={"stars": 3}))
    schema = {"type": "object", "properties": {"stars": {"type": "integer", "maximum": 5}}}
    turns = ({"role": "assistant", "content": "{}"}, {"role": "user", "content": "Fill it in."})
    await bench.ask(question(system="Be brief.", effort="low", schema=schema, turns=turns))
    told = bench.api.requests[0]
    assert told["system"] == "Be brief."
    assert told["max_tokens"] == 500
    assert told["stream"] is True
    assert told["messages"] == [{"role": "user", "content": "Write a post."}, *turns]
    assert told["output_config"]["effort"] == "low"
    assert told["output_config"]["format"]["type"] == "json_schema"


async def test_a_constraint_the_api_doesnt_keep_is_told_in_words(bench: Bench) -> None:
    bench.api.script(Says(json={"stars": 3}))
    schema = {"type": "object", "properties": {"stars": {"type": "integer", "maximum": 5}}}
    await bench.ask(question(schema=schema))
    stars = bench.api.requests[0]["output_config"]["format"]["schema"]["properties"]["stars"]
    assert "maximum" not in stars
    assert "maximum: 5" in stars["description"]


async def test_a_form_that_cant_be_asked_for_is_an_error_before_any_request(bench: Bench) -> None:
    with pytest.raises(ClaudeError, match="form of answer"):
        await bench.ask(question(schema={"type": "object", "properties": {"anything": {}}}))
    assert len(bench.api.requests) == 0


# --- tools


async def test_tools_are_called_until_claude_answers(bench: Bench) -> None:
    bench.api.script(Calls("look_up", {"word": "a"}), Calls("look_up", {"word": "b"}), Says(text="done"))
    answer = await bench.ask(question(tools=(LOOK_UP,)))
    assert answer.text == "done"
    assert bench.tool_calls == [("look_up", {"word": "a"}), ("look_up", {"word": "b"})]
    assert answer.output_tokens == sum(bill.output_tokens for bill in bench.bills)
    result = bench.api.requests[1]["messages"][-1]["content"][0]
    assert (result["type"], result["content"], result["is_error"]) == (
        "tool_result",
        "look_up gave 42",
        False,
    )


async def test_a_tool_that_fails_tells_claude_so(bench: Bench) -> None:
    async def fail(name: str, arguments: dict[str, Any]) -> tuple[str, bool]:
        return "no such word", True

    bench.api.script(Calls("look_up", {"word": "a"}), Says(text="sorry"))
    await bench.ask(question(tools=(LOOK_UP,)), call_tool=fail)
    result = bench.api.requests[1]["messages"][-1]["content"][0]
    assert (result["content"], result["is_error"]) == ("no such word", True)


async def test_a_tool_that_isnt_there_is_never_called(bench: Bench) -> None:
    bench.api.script(Calls("send_money", {}), Says(text="ok"))
    await bench.ask(question(tools=(LOOK_UP,)))
    assert bench.tool_calls == []
    result = bench.api.requests[1]["messages"][-1]["content"][0]
    assert result["is_error"] is True
    assert "look_up" in result["content"]


async def test_calling_tools_without_end_is_an_error(bench: Bench) -> None:
    bench.api.script(*(Calls("look_up", {"word": "a"}) for _ in range(30)))
    with pytest.raises(ClaudeError, match="no answer in 25 turns"):
        await bench.ask(question(tools=(LOOK_UP,)))
    assert len(bench.api.requests) == 25


async def test_a_paused_turn_is_continued(bench: Bench) -> None:
    bench.api.script(Says(text="first, ", stop_reason="pause_turn"), Says(text="then"))
    answer = await bench.ask()
    assert answer.text == "first, then"
    assert bench.api.requests[1]["messages"][-1]["role"] == "assistant"


async def test_a_running_tool_takes_no_place_among_the_calls() -> None:
    async with a_bench(concurrency=1) as bench:
        bench.api.script(Calls("look_up", {"word": "a"}), Says(text="inner"), Says(text="outer"))

        async def ask_again(name: str, arguments: dict[str, Any]) -> tuple[str, bool]:
            return (await bench.ask(question("And meanwhile?"))).text, False

        answer = await bench.ask(question(tools=(LOOK_UP,)), call_tool=ask_again)
        assert answer.text == "outer"


async def test_no_more_calls_are_open_than_allowed() -> None:
    async with a_bench(concurrency=2) as bench:
        bench.api.script(*(Says(text="x") for _ in range(6)))
        await asyncio.gather(*(bench.ask() for _ in range(6)))
        assert bench.most_held == 2


# --- what is no answer


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        ("max_tokens", "cut at max_tokens=500"),
        ("refusal", "refused"),
        ("model_context_window_exceeded", "outgrew the context"),
        ("something_new", "something_new"),
    ],
)
async def test_a_partial_answer_is_an_error_but_is_paid(bench: Bench, reason: Any, sentence: str) -> None:
    bench.api.script(Says(text="Half a po", stop_reason=reason))
    with pytest.raises(ClaudeError, match=sentence) as caught:
        await bench.ask()
    assert not caught.value.is_transient
    assert len(bench.bills) == 1


@pytest.mark.parametrize(
    "step", [MidStreamError(after=1), Drops(after=1), EndsEarly(after=1), Garbles(after=1)], ids=repr
)
async def test_a_stream_that_breaks_may_be_tried_again_and_is_a_lower_bound(bench: Bench, step: Any) -> None:
    bench.api.script(step)
    with pytest.raises(TransientClaudeError):
        await bench.ask()
    assert [bill.is_lower_bound for bill in bench.bills] == [True]
    assert bench.held == 0


async def test_silence_is_ended_by_the_stall_limit() -> None:
    async with a_bench(stall_s=0.2) as bench:
        bench.api.script(Stalls(after=1))
        with pytest.raises(TransientClaudeError, match=r"silent for 0\.2 s"):
            await bench.ask()
        assert [bill.is_lower_bound for bill in bench.bills] == [True]


@pytest.mark.parametrize("text", ["Sure! Here it is:", "", '{"stars": '])
async def test_an_answer_that_isnt_the_json_asked_for_is_an_error(bench: Bench, text: str) -> None:
    bench.api.script(Says(text=text))
    with pytest.raises(TransientClaudeError):
        await bench.ask(question(schema={"type": "object", "properties": {}}))


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (400, "refused the request"),
        (401, "ANTHROPIC_API_KEY was not accepted"),
        (403, "lacks the permission"),
        (404, "claude-haiku-5-5.*RUNNER_MODEL"),
        (413, "larger than"),
    ],
)
async def test_a_refusal_of_the_api_says_what_to_do_and_costs_nothing(
    bench: Bench, status: int, sentence: str
) -> None:
    bench.api.script(Fails(status))
    with pytest.raises(ClaudeError, match=sentence) as caught:
        await bench.ask()
    assert not caught.value.is_transient
    assert bench.bills == []
    assert len(bench.api.requests) == 1


@pytest.mark.parametrize("status", [429, 500, 529])
async def test_what_may_pass_is_tried_three_times(bench: Bench, status: int) -> None:
    bench.api.script(*(Fails(status, retry_after=0.01) for _ in range(3)))
    with pytest.raises(TransientClaudeError, match=str(status)):
        await bench.ask()
    assert len(bench.api.requests) == 3
    assert bench.bills == []


async def test_an_api_that_has_recovered_answers(bench: Bench) -> None:
    bench.api.script(Fails(529, retry_after=0.01), Says(text="back"))
    assert (await bench.ask()).text == "back"


async def test_an_api_that_isnt_there_is_transient_and_costs_nothing() -> None:
    async with a_bench(base_url="http://127.0.0.1:9") as bench:
        with pytest.raises(TransientClaudeError, match="connection to Claude's API failed"):
            await bench.ask()
        assert bench.bills == []


# --- stopping


@pytest.mark.parametrize("step", [Stalls(after=1), Fails(429, retry_after=600)], ids=repr)
async def test_a_cancelled_call_ends_at_once(bench: Bench, step: Any) -> None:
    bench.api.script(step)
    call = bench.start()
    await bench.api.received(1, within=5)
    began = time.perf_counter()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert time.perf_counter() - began < 0.05
    assert bench.held == 0
    assert [bill.is_lower_bound for bill in bench.bills] == [True]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SSL_CERT_FILE", "/nowhere/ca.pem"),
        ("ALL_PROXY", "socks5://ana:secret@127.0.0.1:1080"),
        ("HTTPS_PROXY", "ftp://ana:secret@127.0.0.1"),
        ("HTTP_PROXY", "http://ana:secret@host:port"),
    ],
)
def test_an_environment_that_the_sdk_cannot_use_is_told_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    claude = Claude(KEY, base_url=None, concurrency=1, guard=lambda: None)
    with pytest.raises(
        ClaudeError, match=f"look at the proxies and certificates of the environment: .*{name}"
    ) as told:
        claude.prepare()
    assert "secret" not in str(told.value)
    del told
    gc.collect()  # what is let go does not complain


WARMED = """
import sys
import anthropic, httpx2, pydantic
from runner.claude.warm import warm

def unbuilt():
    modules = [module for name, module in sys.modules.items() if name.startswith("anthropic.types")]
    types = {each for module in modules for each in vars(module).values() if isinstance(each, type)}
    return sum(issubclass(each, pydantic.BaseModel) and not each.__pydantic_complete__ for each in types)

fails = httpx2.MockTransport(lambda _: httpx2.Response(529, json={"type": "error", "error": {"type": "overloaded_error"}}))
message = {"role": "user", "content": ""}
print(anthropic.types.Message.__pydantic_complete__)
warm()
print(anthropic.types.Message.__pydantic_complete__)
left = unbuilt()
with anthropic.Anthropic(api_key="none", http_client=httpx2.Client(transport=fails), max_retries=0) as sdk:
    try:
        sdk.messages.create(model="", max_tokens=1, messages=[message])
    except anthropic.APIStatusError:
        print(left - unbuilt())
"""


def test_the_sdk_builds_its_types_before_the_first_answer_and_the_first_error() -> None:
    said = subprocess.run([sys.executable, "-c", WARMED], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["False", "True", "0"]


async def test_a_cancelled_stream_is_hung_up(bench: Bench) -> None:
    bench.api.script(Stalls(after=1))
    call = bench.start()
    await bench.api.received(1, within=5)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await bench.api.hung_up(1, within=5)


async def test_a_call_cancelled_while_it_waits_its_turn_costs_nothing() -> None:
    async with a_bench(concurrency=1) as bench:
        bench.api.script(Stalls(after=1))
        first = bench.start()
        await bench.api.received(1, within=5)
        second = bench.start()
        await asyncio.sleep(0)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        assert bench.bills == []
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first


async def test_nothing_is_asked_while_stopped(bench: Bench) -> None:
    bench.switch.stopped = True
    with pytest.raises(StoppedError):
        await bench.ask()
    assert len(bench.api.requests) == 0


async def test_a_retry_is_not_sent_once_stopped(bench: Bench) -> None:
    bench.api.script(Fails(500, retry_after=0.05), Says(text="too late"))
    call = bench.start()
    await bench.api.received(1, within=5)
    bench.switch.stopped = True
    with pytest.raises(StoppedError):
        await call
    assert len(bench.api.requests) == 1


async def test_no_further_tool_runs_once_stopped(bench: Bench) -> None:
    async def stop(name: str, arguments: dict[str, Any]) -> tuple[str, bool]:
        bench.switch.stopped = True
        return "stopped meanwhile", False

    bench.api.script(Calls("look_up", {"word": "a"}), Says(text="too late"))
    with pytest.raises(StoppedError):
        await bench.ask(question(tools=(LOOK_UP,)), call_tool=stop)
    assert len(bench.api.requests) == 1


async def test_a_call_over_budget_is_never_sent(bench: Bench) -> None:
    def refuse(model: str, request: dict[str, Any]) -> Never:
        raise BudgetError("the day's budget is used up")

    with pytest.raises(BudgetError, match="used up"):
        await bench.ask(reserve=refuse)
    assert len(bench.api.requests) == 0
    assert bench.bills == []


# --- the key


@pytest.mark.parametrize("step", [Fails(401), Fails(400), Drops(after=1), Garbles(after=1)], ids=repr)
async def test_the_key_is_in_no_error_and_no_log(
    bench: Bench, step: Any, caplog: pytest.LogCaptureFixture
) -> None:
    bench.api.script(step)
    with caplog.at_level(logging.DEBUG), pytest.raises(ClaudeError) as caught:
        await bench.ask()
    assert KEY not in caplog.text
    assert KEY not in repr(bench.claude)
    assert KEY not in str(caught.getrepr(chain=True))


@pytest.mark.parametrize("key", [None, "", "sk-ant-\nsplit", "schlüssel"])
async def test_without_a_key_the_owner_is_told_where_to_put_one(bench: Bench, key: str | None) -> None:
    bench.claude = Claude(key, base_url=bench.api.url, concurrency=1, guard=bench.switch.guard)
    with pytest.raises(ClaudeError, match=r"set ANTHROPIC_API_KEY in the environment or \.env") as caught:
        await bench.ask()
    assert not key or key not in str(caught.value)
    assert len(bench.api.requests) == 0


# --- questions as values


def test_a_question_survives_json() -> None:
    asked = question(
        tools=(LOOK_UP,), turns=({"role": "user", "content": "again"},), schema={"type": "object"}
    )
    assert Question.from_json(asked.as_json()) == asked


def test_the_same_question_has_the_same_digest_and_any_change_another() -> None:
    variants = [
        question(),
        question("Write a book."),
        question(model="claude-opus-5-5"),
        question(max_tokens=501),
        question(system="Be brief."),
        question(effort="low"),
        question(schema={"type": "object"}),
        question(tools=(LOOK_UP,)),
        question(turns=({"role": "user", "content": "again"},)),
    ]
    assert len({variant.digest for variant in variants}) == len(variants)
    assert question().digest == question().digest


def test_a_question_that_is_no_text_is_an_error_of_its_own() -> None:
    with pytest.raises(ClaudeError, match="can't be written as JSON"):
        _ = question("\ud800").digest


def test_importing_the_room_imports_neither_the_sdk_nor_the_prices() -> None:
    code = (
        "import sys, runner.claude.ask, runner.claude.budget;"
        "sys.exit(any(name in sys.modules for name in ('anthropic', 'genai_prices', 'httpx2')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
