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
    assert trial(elsewhere.SANDBOX, whole, "sealed") == (0, "")
    found = trial(elsewhere.LEAK, leaky, "sealed")
    assert found[0] == 1
    assert "can begin another process" in found[1]
    assert "read a file of yours" not in found[1]


@pytest.mark.no_cover
def test_a_sandbox_must_leave_open_tasks_what_they_need(tmp_path: Path) -> None:
    yards = [tmp_path / "whole", tmp_path / "tight"]
    for yard in yards:
        yard.mkdir()
    assert trial(elsewhere.SANDBOX, yards[0], "open") == (0, "")
    code, found = trial(elsewhere.TIGHT, yards[1], "open")
    assert code == 1
    assert "can't begin a program: " in found


def trial(which: str, yard: Path, tasks: str) -> tuple[int, str]:
    """How the trial of that sandbox ended, and what it found wrong."""
    words = [
        sys.executable,
        "-W",
        "error",
        elsewhere.__file__,
        which,
        "runner.worker.sealing.trial",
        tasks,
        str(yard),
    ]
    done = subprocess.run(
        words, capture_output=True, text=True, timeout=60, check=False, start_new_session=True
    )
    return done.returncode, done.stderr


def test_where_there_is_no_such_sandbox_none_is_believed_in() -> None:
    assert "sandbox_init" in seatbelt.fault()


def test_a_link_in_a_folders_place_opens_nothing(tmp_path: Path) -> None:
    (tmp_path / "own").symlink_to(tmp_path)
    with pytest.raises(OSError, match="own is a link, and must be a folder: remove it"):
        seatbelt.restrict([], [str(tmp_path / "own")], is_open=False)


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
    assert not said["is_whole"]
    assert said["reached"] == [{"text": "hello"}]
    assert said["status"] == "stopped"
    assert not is_alive(said["killed"])
    deadline = time.monotonic() + 10
    while is_alive(said["left"]):
        assert time.monotonic() < deadline, "a child outlived its runner"
        time.sleep(0.01)
    if which == elsewhere.SANDBOX:
        assert said["open"] == said["printed"] == []
        assert [words.partition(",")[0] for words in said["lacking"]] == ["macOS's own sandbox holds tasks"]
    else:
        assert {"connect by TCP", "begin a program", "leave its group"} <= set(said["open"])
        assert said["deserted"] == "the child ended without an outcome (exit 3)"
        assert "has left its group: it was not killed" in " ".join(said["printed"])
        assert len(said["lacking"]) == 3
        assert "macOS's own sandbox is not used" in said["lacking"][2]
