"""Systems that are not Linux: runs are processes of their own there, and what is called sealed was tried."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import elsewhere
import pytest
from test_app import is_alive

from runner.children import Children
from runner.errors import RunError
from runner.worker.sealing import seatbelt

if TYPE_CHECKING:
    from pathlib import Path


def test_a_python_that_must_let_go_of_a_child_to_know_its_end_is_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "waitid")
    with pytest.raises(RunError, match=r"the runner needs Python 3\.13 or newer; this is 3"):
        Children(tmp_path / "STOP").start()


@pytest.mark.no_cover  # whoever is locked in can keep no account of its lines
def test_a_sandbox_is_believed_by_what_it_was_seen_to_close_and_not_where_it_leaks(tmp_path: Path) -> None:
    whole, leaky = tmp_path / "whole", tmp_path / "leaky"
    for folder in (whole, leaky):
        folder.mkdir()
    assert trial(elsewhere.SANDBOX, whole) == ""
    found = trial(elsewhere.LEAK, leaky)
    assert "begin another process" in found
    assert "read a file of yours" not in found


def trial(which: str, yard: Path) -> str:
    """What the trial of that sandbox found open."""
    words = [
        sys.executable,
        "-W",
        "error",
        elsewhere.__file__,
        which,
        "runner.worker.sealing.trial",
        str(yard),
    ]
    done = subprocess.run(
        words, capture_output=True, text=True, timeout=60, check=False, start_new_session=True
    )
    return done.stderr


def test_where_there_is_no_such_sandbox_none_is_believed_in() -> None:
    assert not seatbelt.holds()


def test_a_place_of_any_name_is_a_place_in_the_profile_and_no_rule_of_its_own(tmp_path: Path) -> None:
    odd = [f'{tmp_path}/a"b', f"{tmp_path}/back\\", f'{tmp_path}/x") (subpath "/etc', f"{tmp_path}/é ü"]
    found = elsewhere.rules(seatbelt.profile(odd, odd[:1], is_open=False))
    assert found["file-read*"] == [*seatbelt.SYSTEM, *odd, odd[0]]
    assert found["file-write*"] == odd[:1]
    assert {"network*", "process-exec", "process-fork", "mach-lookup"}.isdisjoint(found)


@pytest.mark.no_cover
@pytest.mark.parametrize("which", [elsewhere.NONE, elsewhere.SANDBOX])
def test_without_what_linux_alone_has_tasks_run_are_stopped_and_die_with_the_runner(
    tmp_path: Path, which: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", elsewhere.__file__, which, tmp_path],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    said = json.loads(done.stdout)
    assert said["reached"] == [{"text": "hello"}]
    assert said["status"] == "stopped"
    assert not is_alive(said["killed"])
    deadline = time.monotonic() + 10
    while is_alive(said["left"]):
        assert time.monotonic() < deadline, "a child outlived its runner"
        time.sleep(0.01)
    if which == elsewhere.SANDBOX:
        assert (said["is_whole"], said["open"], said["lacking"]) == (True, [], [])
    else:
        assert not said["is_whole"]
        assert {"connect by TCP", "begin a program", "read a file of yours"} <= set(said["open"])
        assert len(said["lacking"]) == 2
