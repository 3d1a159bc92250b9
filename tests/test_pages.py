"""What a task got before is not sent again, and the task is told whether it changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from modules import note
from test_fetch import READS, shop

from runner.store import pages
from runner.store.pages import Kept
from runner.testing import rehearsal

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import HandClock

    from runner.store.store import Store
    from runner.testing import Rehearsal

URL = "https://shop.example.com/prices"
WATCH = (
    f"page = await run.fetch('{URL}')\nreturn Note(text=f'{{page.changed}} {{page.status}} {{page.text}}')"
)


def watching(body: str = WATCH, **options: Any) -> str:
    given = {"reads": (URL,), "max_pending": 0, **options}
    return note(body, options=", ".join(f"{name}={value!r}" for name, value in given.items()))


async def saw(it: Rehearsal) -> str:
    run = await it.run("note")
    with it.app.store.read() as connection:
        from runner.store import drafts

        (row,) = drafts.of_run(connection, run.id)
        return str(drafts.fields_of(connection, row.id)["text"])


@pytest.mark.parametrize("date", ["", "Tue, 24 Nov 2026 09:00:00 GMT"])
async def test_a_page_that_did_not_change_is_not_sent_again(date: str) -> None:
    async with shop() as (there, fetcher):
        if date:
            there.dates["/health"] = date
        first = await fetcher.get(READS[0], READS)
        again = await fetcher.get(READS[0], READS, first)
        assert (first.text, again) == ("ok", first)
        asked = there.visits[1].headers
        mark = asked.get("if-modified-since") if date else asked.get("if-none-match")
        assert mark == (date or first.etag)
        there.pages["/health"] = "changed"
        there.dates["/health"] = "Tue, 24 Nov 2026 10:00:00 GMT"
        assert (await fetcher.get(READS[0], READS, first)).text == "changed"


async def test_what_a_page_is_known_by_is_told_to_that_very_address_alone() -> None:
    async with shop() as (there, fetcher):
        known = await fetcher.get(READS[0], READS)
        there.redirects["/items/a"] = "/health"
        page = await fetcher.get("http://shop.example.com/items/a", READS, known)
        assert page == known  # asked for where the redirect leads, and unchanged there
        assert ["if-none-match" in visit.headers for visit in there.visits] == [False, False, True]


async def test_a_page_that_failed_is_asked_for_anew() -> None:
    async with shop() as (there, fetcher):
        there.pages["/health"] = (503, "busy")
        page = await fetcher.get(READS[0], READS)
        assert (page.status, page.etag) == (503, "")


async def test_a_task_is_told_whether_a_page_changed_since_its_last_run(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.destination.pages["/prices"] = "3"
        it.drop("note.py", watching())
        assert await saw(it) == "True 200 3"
        assert await saw(it) == "False 200 3"
        assert it.destination.visits[-1].headers["if-none-match"]
        it.destination.pages["/prices"] = "4"
        assert await saw(it) == "True 200 4"
        it.destination.pages["/prices"] = (500, "down")
        assert await saw(it) == "True 500 down"
        assert await saw(it) == "False 500 down"
        assert [event["changed"] for event in it.found("page.fetched")] == [True, False, True, True, False]


async def test_a_change_is_news_until_a_run_comes_to_its_end_with_it(tmp_path: Path) -> None:
    body = f"page = await run.fetch('{URL}')\nif not (run.folder / 'well').exists():\n"
    body += "    (run.folder / 'well').touch()\n    raise OSError('ill')\nreturn Note(text=str(page.changed))"
    async with rehearsal(tmp_path) as it:
        it.destination.pages["/prices"] = "3"
        it.drop("note.py", watching(body, retries=0))
        assert (await it.run("note")).status == "error"
        assert await saw(it) == "True"
        assert await saw(it) == "False"


async def test_a_later_attempt_is_told_of_the_change_as_the_first_was(tmp_path: Path) -> None:
    body = f"page = await run.fetch('{URL}')\nif not (run.folder / 'well').exists():\n"
    body += "    (run.folder / 'well').touch()\n    raise OSError('ill')\nreturn Note(text=str(page.changed))"
    async with rehearsal(tmp_path) as it:
        it.destination.pages["/prices"] = "3"
        it.drop("note.py", watching(body, retries=1))
        assert await saw(it) == "True"
        assert it.count("run.retried") == 1


async def test_a_revision_is_told_what_the_run_was_told_that_made_the_draft(tmp_path: Path) -> None:
    body = f"page = await run.fetch('{URL}')\nif not page.changed:\n    return None\n"
    body += "return await run.claude(f'Tell of {page.text}', returns=Note)"
    async with rehearsal(tmp_path) as it:
        it.destination.pages["/prices"] = "3"
        it.drop("note.py", watching(body))
        await it.run("note")
        sheet = await it.draft("note")
        assert (await it.run("note")).status == "ok"  # nothing new: no draft
        it.desk.revise(sheet.held.id, sheet.held.digest, "ana", "warmer, please")
        await it.event("draft.revised", draft=sheet.held.id)


async def test_no_task_is_told_what_another_got(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.destination.pages["/prices"] = "3"
        it.drop("note.py", watching())
        it.drop("other.py", watching().replace("async def note", "async def other"))
        await saw(it)
        await it.run("other")
        assert [event["changed"] for event in it.found("page.fetched")] == [True, True]


def test_the_oldest_pages_go_when_they_are_too_many(
    store: Store, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "PAGES_MAX", 3)
    monkeypatch.setattr(pages, "TEXT_MAX", 10)

    def kept(*got: Kept) -> list[str]:
        clock.move(seconds=1)
        with store.change() as tx:
            pages.keep(tx, "task", {page.url: page for page in got})
        with store.read() as connection:
            return sorted(pages.digests(connection, "task"))

    assert kept(Kept("a", 200, "x"), Kept("b", 200, "x")) == ["a", "b"]
    assert kept(Kept("c", 200, "x")) == ["a", "b", "c"]
    assert kept(Kept("a", 200, "y")) == ["a", "b", "c"]
    assert kept(Kept("d", 200, "x")) == ["a", "c", "d"]
    assert kept(Kept("e", 200, "x" * 9)) == ["d", "e"]


@pytest.mark.parametrize("mark", ["x" * 501, "grün", "a\tb"])
async def test_a_mark_that_no_server_means_is_not_sent_back(mark: str) -> None:
    from runner.fetch import _mark

    assert _mark(mark) == ""
