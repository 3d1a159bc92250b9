"""The cache: asked for where a prompt repeats, and told in the bill."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import pytest
from modules import note

from runner.claude import caching
from runner.claude.question import Question, Tool
from runner.rehearsal.cache import KEPT_S, Cache
from runner.rehearsal.claude import Calls, Says
from runner.testing import Rehearsal, rehearsal

if TYPE_CHECKING:
    from pathlib import Path

LONG = "Be brief. " * 600
TOOL = Tool(name="look_up", description="Look up.", schema={"type": "object"})
ASKS = "return await run.claude('x', system='Be brief. ' * 600, returns=Note{more})"


def question(**more: Any) -> Question:
    return Question(**{"prompt": "Write.", "model": "m", "max_tokens": 10, **more})


def bills(it: Rehearsal) -> list[tuple[int, int, int, int]]:
    """Of each call: tokens in, of them read and written, and the billionths of a dollar that were saved."""
    names = "input_tokens, cache_read_tokens, cache_write_tokens, saved_nano_usd"
    with sqlite3.connect(it.app.home / ".runner" / "store.db") as connection:
        return list(connection.execute(f"SELECT {names} FROM spending ORDER BY id"))


async def test_a_long_system_prompt_is_written_once_and_read_after_that(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.drop("note.py", note(ASKS.format(more="")))
        await it.run("note")
        await it.run("note")
        (first, second) = bills(it)
        assert (first[1], first[2]) == (0, second[1])
        assert second[1] > 1400
        assert second[2] == 0
        assert first[3] < 0 < first[3] + second[3]  # to write costs a quarter more, to read a tenth


async def test_a_task_that_wants_no_cache_has_none(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.drop("note.py", note(ASKS.format(more=", cache=False")))
        await it.run("note")
        assert [bill[1:] for bill in bills(it)] == [(0, 0, 0)]
        assert it.claude.requests[0]["system"] == "Be brief. " * 600


async def test_turns_with_tools_read_what_was_said_before(tmp_path: Path) -> None:
    body = (
        "def look_up(word: str) -> str:\n    '''Look up.'''\n    return word * 1200\n"
        "return Note(text=await run.claude('x ' * 3000, tools=[look_up]))"
    )
    async with rehearsal(tmp_path) as it:
        it.claude.script(Calls("look_up", {"word": "abcd"}), Calls("look_up", {"word": "efgh"}), Says("done"))
        it.drop("note.py", note(body))
        assert (await it.run("note")).status == "ok"
        read, written = [bill[1] for bill in bills(it)], [bill[2] for bill in bills(it)]
        assert read[0] == 0
        assert read[1] == written[0]
        assert read[2] == read[1] + written[1]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (question(), None),
        (question(system="Be brief.", learnt="Less of it."), "Be brief.\n\nLess of it."),
        (question(learnt="Less of it."), "Less of it."),
    ],
)
def test_what_is_short_is_told_as_it_always_was(asked: Question, told: str | None) -> None:
    assert caching.system(asked) == told


def test_what_decisions_teach_comes_after_the_mark_so_that_a_new_one_spoils_nothing() -> None:
    blocks = caching.system(question(system=LONG, learnt="Less of it."))
    assert blocks == [
        {"type": "text", "text": LONG, "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "Less of it."},
    ]


def test_long_tools_are_marked_where_no_system_prompt_is() -> None:
    tool = {"name": "look_up", "description": LONG, "input_schema": {}}
    request = {"messages": [{"role": "user", "content": "x"}], "tools": [tool, tool]}
    marked = caching.marked(question(tools=(TOOL,)), request)
    assert ["cache_control" in each for each in marked["tools"]] == [False, True]
    assert marked["messages"][0]["content"][0]["cache_control"] == {"type": "ephemeral"}
    assert request["messages"] == [{"role": "user", "content": "x"}]


def test_a_question_from_before_there_was_a_cache_has_the_digest_it_had() -> None:
    assert question().as_json().keys().isdisjoint({"learnt", "cache"})
    assert Question.from_json(question(cache=False, learnt="x").as_json()) == question(
        cache=False, learnt="x"
    )
    assert question(cache=False).digest != question().digest


def test_the_stand_in_forgets_after_five_minutes_without_use() -> None:
    at = [0.0]
    cache = Cache(lambda: at[0])
    asked = {"model": "m", "system": caching.system(question(system=LONG)), "messages": []}
    read = []
    for pause in (0, KEPT_S - 1, KEPT_S - 1, KEPT_S):
        at[0] += pause
        read.append(cache.usage(asked)["cache_read_input_tokens"] > 0)
    assert read == [False, True, True, False]
