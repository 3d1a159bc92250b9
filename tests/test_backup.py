"""A back-up is made while the runner is up; put back, it keeps what waits and delivers nothing by itself."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from test_cli import listed, runner, up, wait_for

if TYPE_CHECKING:
    from pathlib import Path

POST = """from runner import *
from runner.drafts import Article

@task()
def post(run):
    return Article(title='Hello', body='World')
"""
SLOW = """import asyncio
from typing import ClassVar
from runner import *

class Slow(Draft):
    text: str
    writes: ClassVar = ("published",)

    async def deliver(self, delivery: Delivery) -> Receipt:
        (delivery.home / "published" / "begun").touch()
        while not (delivery.home / "published" / "go").exists():
            await asyncio.sleep(0.02)
        return Receipt(id="1")

@task()
def slow(run):
    return Slow(text="hello")
"""


def project(home: Path, name: str, source: str) -> None:
    (home / "tasks").mkdir(parents=True)
    (home / "tasks" / f"{name}.py").write_text(source)


def approved(home: Path, task: str) -> str:
    """A draft of the task that was approved; nothing is up that could deliver it, or else it goes out."""
    runner(home, "run", task)
    (draft,) = (row["id"] for row in listed(home, "pending"))
    runner(home, "approve", draft, "--digest", listed(home, "show", draft)["digest"])
    return str(draft)


def count(home: Path, name: str) -> int:
    lines = [line for path in (home / "logs").glob("*.jsonl") for line in path.read_text().splitlines()]
    return sum(json.loads(line)["event"] == name for line in lines)


def test_a_backup_is_a_project_that_is_stopped_and_asks_anew_for_what_was_approved(tmp_path: Path) -> None:
    home, copy = tmp_path / "home", tmp_path / "copy"
    project(home, "post", POST)
    (home / ".env").write_text("ANTHROPIC_API_KEY=sk-test\n")
    draft = approved(home, "post")
    assert "the journal has 0 problems" in runner(home, "backup", str(copy))
    assert not (copy / ".env").exists()
    assert "STOPPED: this is the back-up of" in runner(copy, "status")
    assert listed(copy, "show", draft)["state"] == "pending"
    runner(copy, "resume")
    with up(copy):
        runner(copy, "approve", draft, "--digest", listed(copy, "show", draft)["digest"])
        wait_for(lambda: listed(copy, "show", draft)["state"] == "delivered")
    assert "whole" in runner(copy, "verify")
    assert listed(home, "show", draft)["state"] == "approved"
    assert "is there already" in runner(home, "backup", str(copy), code=2)
    assert "a part of what would be copied" in runner(home, "backup", "tasks/copy", code=2)


def test_a_delivery_that_was_in_flight_when_the_backup_was_made_is_uncertain_in_it(tmp_path: Path) -> None:
    home, copy = tmp_path / "home", tmp_path / "copy"
    project(home, "slow", SLOW)
    (home / "published").mkdir()
    with up(home):
        draft = approved(home, "slow")
        wait_for((home / "published" / "begun").exists)
        runner(home, "backup", str(copy))
        (home / "published" / "go").touch()
        wait_for(lambda: listed(home, "show", draft)["state"] == "delivered")
    with up(copy):
        assert listed(copy, "show", draft)["state"] == "uncertain"
    assert not (copy / "published").exists()


def test_promise_2_a_store_that_was_put_back_does_not_deliver_again_what_it_holds_as_approved(
    tmp_path: Path,
) -> None:
    project(tmp_path, "post", POST)
    draft = approved(tmp_path, "post")
    database = tmp_path / ".runner" / "store.db"
    shutil.copy(database, tmp_path / "old.db")
    with up(tmp_path):
        wait_for(lambda: listed(tmp_path, "show", draft)["state"] == "delivered")
    for path in database.parent.glob("store.db-*"):
        path.unlink()
    shutil.copy(tmp_path / "old.db", database)
    with up(tmp_path):
        assert "STOPPED: the store was put back" in runner(tmp_path, "status")
        assert listed(tmp_path, "show", draft)["state"] == "pending"
    assert count(tmp_path, "delivery.started") == 1
    assert "whole" in runner(tmp_path, "verify")
