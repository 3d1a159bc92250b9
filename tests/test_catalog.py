"""The catalog: what is dropped into tasks/ is found, checked and replaced; what is broken breaks only itself."""

from __future__ import annotations

import asyncio
import os
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from runner import catalog as catalogs
from runner.catalog import Catalog, News
from runner.children import Children
from runner.errors import GoneError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

GOOD = "from runner import cron, task\n\n@task(cron('0 9 * * *'))\ndef {name}(run):\n    '''Say {name}.'''\n"


def drop(home: Path, file: str, text: str | None = None) -> None:
    path = home / "tasks" / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(GOOD.format(name=path.stem) if text is None else text)


@asynccontextmanager
async def opened(home: Path) -> AsyncIterator[Catalog]:
    children = Children()
    try:
        yield Catalog(home, children)
    finally:
        await children.close()


async def test_what_is_dropped_is_found_with_its_schedule_and_limits(tmp_path: Path) -> None:
    drop(tmp_path, "greet.py")
    drop(tmp_path, "shop/prices.py")
    drop(tmp_path, "_shared.py", "raise SystemExit")
    async with opened(tmp_path) as catalog:
        news = await catalog.scan()
        assert [task.name for task in news.loaded] == ["greet", "prices"]
        greet = catalog.task("greet")
        assert (greet.file, greet.description, greet.schedule) == (
            "greet.py",
            "Say greet.",
            "At 09:00 every day",
        )
        assert catalog.task("prices").file == "shop/prices.py"
        assert not await catalog.scan()


async def test_a_changed_module_replaces_the_old_and_a_removed_one_is_gone(tmp_path: Path) -> None:
    drop(tmp_path, "greet.py")
    async with opened(tmp_path) as catalog:
        await catalog.scan()
        before = catalog.task("greet").source
        drop(tmp_path, "greet.py", GOOD.format(name="greet") + "# more\n")
        assert [task.name for task in (await catalog.scan()).loaded] == ["greet"]
        assert catalog.task("greet").source != before
        (tmp_path / "tasks" / "greet.py").unlink()
        assert await catalog.scan() == News(removed=("greet",), gone=("greet",))
        with pytest.raises(GoneError, match="there are: none"):
            catalog.task("greet")


async def test_a_change_in_what_tasks_share_is_a_change_in_them(tmp_path: Path) -> None:
    drop(tmp_path, "_shared.py", "WORD = 'a'\n")
    drop(tmp_path, "greet.py", "from _shared import WORD\n" + GOOD.format(name="greet"))
    async with opened(tmp_path) as catalog:
        await catalog.scan()
        before = catalog.task("greet").source
        drop(tmp_path, "_shared.py", "WORD = 'other'\n")
        await catalog.scan()
        assert catalog.task("greet").source != before


async def test_a_broken_module_is_said_with_its_place_and_its_last_good_version_is_not_kept(
    tmp_path: Path,
) -> None:
    drop(tmp_path, "greet.py")
    drop(tmp_path, "other.py")
    async with opened(tmp_path) as catalog:
        await catalog.scan()
        drop(tmp_path, "greet.py", GOOD.format(name="greet") + "\nif:\n")
        news = await catalog.scan()
        assert (news.removed, news.gone) == (("greet",), ())
        assert str(news.broken[0]).startswith("tasks/greet.py:7: SyntaxError")
        assert list(catalog.tasks) == ["other"]
        with pytest.raises(GoneError, match="SyntaxError"):
            catalog.task("greet")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import os; os._exit(3)", "ended the process \\(exit 3\\)"),
        ("raise SystemExit(2)", "SystemExit"),
        ("while True: pass", "not imported within 0.5 s"),
        ("x = bytearray(1 << 33)", "MemoryError"),
        ("import nowhere", "No module named 'nowhere'"),
        (
            "from runner import task\n@task(retrys=3)\ndef f(run): pass",
            "greet.py:2: @task has no option 'retrys'",
        ),
    ],
)
async def test_what_a_module_does_at_import_breaks_only_itself(
    tmp_path: Path, text: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogs, "LOOK_S", 0.5)
    drop(tmp_path, "greet.py", text)
    drop(tmp_path, "other.py")
    async with opened(tmp_path) as catalog:
        await catalog.scan()
        assert list(catalog.tasks) == ["other"]
        with pytest.raises(GoneError, match=words):
            catalog.task("greet")


async def test_two_tasks_of_one_name_are_an_error_that_names_both_files(tmp_path: Path) -> None:
    drop(tmp_path, "greet.py")
    drop(tmp_path, "again.py", GOOD.format(name="greet"))
    async with opened(tmp_path) as catalog:
        await catalog.scan()
        assert catalog.tasks == {}
        for broken in catalog.broken.values():
            assert "tasks/again.py and tasks/greet.py" in broken.reason


async def test_a_kind_of_the_owners_is_known_by_its_schema_and_its_code(tmp_path: Path) -> None:
    text = (
        "from typing import ClassVar\nfrom runner import Draft, task\n\nclass Note(Draft):\n    text: str\n"
        "    secrets: ClassVar = ('TOKEN',)\n    async def deliver(self, delivery): ...\n\n"
        "@task()\ndef note(run): ...\n"
    )
    drop(tmp_path, "note.py", text)
    async with opened(tmp_path) as catalog:
        await catalog.scan()
        kind = catalog.kind("note.py", "note")
        assert kind is not None
        assert (kind.title, kind.file, kind.finds) == ("Note", "note.py", False)
        assert kind.secrets == ("TOKEN",)
        assert kind.schema_["properties"] == {"text": {"title": "Text", "type": "string"}}
        assert kind.source == catalog.task("note").source
        assert catalog.kind("note.py", "other") is None


async def test_what_cannot_be_looked_at_and_links_in_a_circle_are_passed(tmp_path: Path) -> None:
    drop(tmp_path, "greet.py")
    drop(tmp_path, "shop/prices.py")
    tasks = tmp_path / "tasks"
    (tasks / "dangling.py").symlink_to(tmp_path / "nowhere.py")
    (tasks / "itself.py").symlink_to(tasks / "itself.py")
    (tasks / "loop").symlink_to(".")
    (tasks / "shop" / "up").symlink_to(tasks)
    os.mkfifo(tasks / "pipe.py")
    async with opened(tmp_path) as catalog:
        await catalog.scan()
        assert (list(catalog.tasks), catalog.broken) == (["greet", "prices"], {})


async def test_tasks_that_are_a_file_are_no_tasks(tmp_path: Path) -> None:
    (tmp_path / "tasks").write_text("a file")
    async with opened(tmp_path) as catalog:
        assert not await catalog.scan()


async def test_a_name_that_is_no_utf_8_is_broken_and_said_with_escapes(tmp_path: Path) -> None:
    drop(tmp_path, "greet.py")
    drop(tmp_path, os.fsdecode(b"\xff.py"), "")
    async with opened(tmp_path) as catalog:
        (broken,) = (await catalog.scan()).broken
        assert str(broken) == "tasks/\\xff.py: its name is no UTF-8; rename it"
        assert list(catalog.tasks) == ["greet"]


async def test_a_change_in_another_task_module_is_a_change_in_those_that_import_it(tmp_path: Path) -> None:
    drop(tmp_path, "words.py", "WORD = 'a'\n" + GOOD.format(name="words"))
    drop(tmp_path, "greet.py", "from words import WORD\n" + GOOD.format(name="greet"))
    drop(tmp_path, "other.py")
    async with opened(tmp_path) as catalog:
        await catalog.scan()
        before = catalog.task("greet").source
        drop(tmp_path, "words.py", "WORD = 'longer'\n" + GOOD.format(name="words"))
        assert [task.name for task in (await catalog.scan()).loaded] == ["greet", "words"]
        assert catalog.task("greet").source != before


async def test_a_module_that_took_too_long_is_looked_at_again_though_it_did_not_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogs, "LOOK_S", 0.5)
    waits = "import pathlib\nwhile not pathlib.Path(__file__).with_name('go').exists(): pass\n"
    drop(tmp_path, "greet.py", waits + GOOD.format(name="greet"))
    async with opened(tmp_path) as catalog:
        await catalog.scan()
        drop(tmp_path, "go", "")
        monkeypatch.setattr(catalogs, "LOOK_S", 10.0)
        assert not await catalog.scan()  # not yet: that would be hammering
    monkeypatch.setattr(catalogs, "AGAIN_S", 0.0)
    (tmp_path / "tasks" / "go").unlink()
    monkeypatch.setattr(catalogs, "LOOK_S", 0.5)
    async with opened(tmp_path) as catalog:
        assert (await catalog.scan()).broken
        drop(tmp_path, "go", "")
        monkeypatch.setattr(catalogs, "LOOK_S", 10.0)
        assert [task.name for task in (await catalog.scan()).loaded] == ["greet"]


async def test_a_module_saved_while_watching_is_found(tmp_path: Path) -> None:
    async with opened(tmp_path) as catalog, asyncio.timeout(10):
        watch = catalog.watch()
        first = asyncio.ensure_future(anext(watch))
        drop(tmp_path, "greet.py")
        assert [task.name for task in (await first).loaded] == ["greet"]
        (tmp_path / "tasks" / "greet.py").unlink()
        assert (await anext(watch)).removed == ("greet",)


async def test_a_module_saved_just_before_it_is_watched_is_found_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogs, "POLL_S", 3600)
    async with opened(tmp_path) as catalog, asyncio.timeout(10):
        await catalog.scan()
        drop(tmp_path, "greet.py")
        async with aclosing(catalog.watch()) as watch:
            assert [task.name for task in (await anext(watch)).loaded] == ["greet"]


async def test_a_watch_that_is_left_before_anything_changed_leaves_nothing_behind(tmp_path: Path) -> None:
    drop(tmp_path, "greet.py")
    async with opened(tmp_path) as catalog:
        before = asyncio.all_tasks()
        async with aclosing(catalog.watch()) as watch:
            await anext(watch)
        assert asyncio.all_tasks() == before


async def test_no_child_is_left_after_looking(tmp_path: Path) -> None:
    drop(tmp_path, "greet.py", "import os, time\nif os.fork() == 0:\n    time.sleep(60)\nos._exit(0)\n")
    async with opened(tmp_path) as catalog:
        await catalog.scan()
        assert len(catalog.children) == 0
