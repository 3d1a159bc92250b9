"""The same month with cache and patience, and without either."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from modules import note

from runner.errors import RunError
from runner.rehearsal.compare import months
from runner.settings import load

if TYPE_CHECKING:
    from pathlib import Path

PATIENT = "patience=__import__('datetime').timedelta(hours=1)"
LONG = "return Note(text=await run.claude('x', system='Be brief. ' * 600))"


def task(name: str, due: str, more: str = "", body: str = LONG) -> str:
    text = note(body, options=f"__import__('runner').{due}, {more}")
    return text.replace("async def note", f"async def {name}")


async def test_patience_halves_a_month_and_the_cache_helps_what_repeats_within_minutes(
    tmp_path: Path,
) -> None:
    tasks = tmp_path / "tasks"
    tasks.mkdir()
    (tasks / "a.py").write_text(task("patient", "every(days=1)", PATIENT))
    (tasks / "b.py").write_text(task("often", "every(minutes=2)"))
    (tasks / "c.py").write_text(task("daily", "every(days=1)"))
    (tasks / "d.py").write_text(task("silent", "every(hours=1)", body="return None"))
    found = {each.task: each for each in await months(load(tmp_path), tasks)}
    assert {name: each.runs for name, each in found.items()} == {
        "patient": 30,
        "often": 21600,
        "daily": 30,
        "silent": 720,
    }
    assert found["patient"].paid == pytest.approx(found["patient"].plain / 2)
    assert found["often"].paid < found["often"].plain
    assert found["daily"].paid > found["daily"].plain  # written each day, and never read
    assert found["silent"].plain == 0


async def test_a_task_that_fails_is_said_and_not_reckoned_as_free(tmp_path: Path) -> None:
    tasks = tmp_path / "tasks"
    tasks.mkdir()
    (tasks / "a.py").write_text(task("bad", "every(days=1)", "retries=0", "raise ValueError('boom')"))
    with pytest.raises(RunError, match=r"bad can't be reckoned: .*boom"):
        await months(load(tmp_path), tasks)
