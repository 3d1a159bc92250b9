"""Reviewing on a full screen: all of a draft first, then a yes; one after another, or those that were ticked."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from modules import note
from test_cli import listed, with_drafts
from test_terminal import terminal

from runner.review.console.page import Page
from runner.review.console.reviewing import Reviewing
from runner.testing import Rehearsal, rehearsal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import pytest

SIZE = (60, 12)


@asynccontextmanager
async def reviewing(home: Path, makes: str, *answers: str) -> AsyncIterator[tuple[Reviewing, Rehearsal]]:
    said = iter(answers)
    async with rehearsal(home) as it:
        it.drop("note.py", note(makes))
        await it.run("note")
        yield Reviewing(it.desk, "ana", lambda _: next(said)), it


def press(on: Reviewing, *keys: str) -> str:
    for key in keys:
        on.screen(*SIZE)
        assert on.press(key)
    return "\n".join(on.screen(*SIZE))


LONG = "return Note(text='\\n'.join(f'line {n}' for n in range(40)))"
THREE = "return [Note(text=f'say {word}') for word in ('one', 'two', 'three')]"


async def test_nothing_is_approved_before_its_last_line_was_on_the_screen(tmp_path: Path) -> None:
    async with reviewing(tmp_path, LONG) as (on, it):
        shown = press(on)
        assert "line 1 to 8 of" in shown
        assert "Read it to its end first" in press(on, "a")
        assert len(it.waiting()) == 1
        for _ in range(10):
            press(on, " ")
        assert "line 39" in press(on)
        assert "approved" in press(on, "a")
        await it.event("delivery.delivered")


async def test_what_was_ticked_is_approved_together_each_with_its_own_answer(tmp_path: Path) -> None:
    async with reviewing(tmp_path, THREE) as (on, it):
        first, second, third = (sheet.held.id for sheet in it.waiting())
        assert "☑" in press(on, "t")
        shown = press(on, "n", "t", "n", "t", "t")
        assert "the 2 ticked" in shown
        assert shown.splitlines()[-1].endswith("[q]uit")
        assert max(len(line) for line in shown.splitlines()) <= 80
        assert "difference to the last delivered" in press(on, "d")
        assert "difference to the last delivered" not in press(on, "t", "t")  # which is about the draft
        it.desk.reject(second, it.waiting()[1].held.digest, "ben", "no")
        shown = press(on, "A")
        assert f"approved {first}; draft {second} is rejected already" in shown.replace("\n", " ")
        assert [sheet.held.id for sheet in it.waiting()] == [third]


async def test_an_edit_must_be_read_anew_and_a_tick_does_not_reach_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDITOR", "sed -i s/two/2/")
    async with reviewing(tmp_path, "return Note(text='two')") as (on, it):
        assert "a new revision" in press(on, "t", "e")
        assert "is at revision 2" in press(on, "A")
        assert "say" not in press(on)
        assert "nothing was changed" in press(on, "e")
        assert it.waiting()[0].fields == {"text": "2"}


async def test_a_no_and_another_try_ask_in_a_line(tmp_path: Path) -> None:
    async with reviewing(tmp_path, THREE, "too dull", "", "shorter") as (on, it):
        assert "rejected" in press(on, "r")
        assert "needs feedback" in press(on, "v")
        assert "is being revised" in press(on, "v")
        assert (await it.event("draft.rejected"))["reason"] == "too dull"
        assert "Nothing waits." in press(on, "s")
        assert not on.press("q")


async def test_the_difference_to_what_was_delivered_last_is_a_key_away(tmp_path: Path) -> None:
    async with reviewing(tmp_path, "return Note(text='the same')") as (on, it):
        assert "No note of note was delivered so far." in press(on, "d")
        assert "approved" in press(on, "d", "a")
        await it.event("delivery.delivered")
        loaded = it.count("task.loaded")
        it.drop("note.py", note("return Note(text='another')"))
        await it.until(lambda: it.count("task.loaded") > loaded)
        await it.run("note")
        shown = press(on, "d")
        assert "-the same" in shown
        assert "+another" in shown


async def test_lines_and_screens_are_walked_by_keys(tmp_path: Path) -> None:
    async with reviewing(tmp_path, LONG) as (on, _):
        assert "line 2 to 9 of" in press(on, "j")
        assert "line 9 to 16 of" in press(on, " ")
        assert "line 8 to 15 of" in press(on, "\x1b[A")
        assert "line 1 to 8 of" in press(on, "b")
        assert "line 1 to 8 of" in press(on, "p", "?")


@given(text=st.text(max_size=300), width=st.integers(2, 40), height=st.integers(1, 9))
def test_a_page_holds_every_character_and_is_read_once_each_line_was_shown(
    text: str, width: int, height: int
) -> None:
    page = Page.of(text, width)
    assert "".join(page.lines) == "".join(line.expandtabs(8) for line in text.split("\n"))
    shown = {place for place, _ in enumerate(page.view(height), page.top)}
    while not page.is_read:
        assert len(shown) < len(page.lines)
        page.top += height
        shown |= {place for place, _ in enumerate(page.view(height), page.top)}
    assert len(shown) == len(page.lines)


def test_lines_that_were_jumped_over_are_not_read() -> None:
    page = Page.of("a\n" * 20, 80)
    page.view(3)
    page.top = 15
    page.view(6)
    assert not page.is_read


async def test_in_a_terminal_a_person_reads_ticks_and_approves(tmp_path: Path) -> None:
    ids = await with_drafts(tmp_path, 2)
    with terminal(tmp_path, "review") as (screen, process):
        screen.shows("1 of 2")
        screen.shows("[q]uit")
        screen.press("t")
        screen.shows("the 1 ticked")
        screen.press("A")
        screen.shows(f"approved {ids[0]}")
        screen.press("r")
        screen.shows("Why?")
        screen.type("too dry")
        screen.shows(f"rejected {ids[1]}")
        screen.shows("[q]uit")
        screen.press("q")
        assert process.wait(10) == 0
    states = {draft["id"]: draft["state"] for draft in listed(tmp_path, "pending", "--all")}
    assert states == {ids[0]: "approved", ids[1]: "rejected"}
