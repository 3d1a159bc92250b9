"""Systems that are not Linux: runs are processes of their own there, and nothing is called sealed."""

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

if TYPE_CHECKING:
    from pathlib import Path


def test_a_python_that_must_let_go_of_a_child_to_know_its_end_is_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "waitid")
    with pytest.raises(RunError, match=r"the runner needs Python 3\.13 or newer; this is 3"):
        Children(tmp_path / "STOP").start()


@pytest.mark.no_cover
def test_without_what_linux_alone_has_tasks_run_are_stopped_and_die_with_the_runner_and_none_is_called_sealed(
    tmp_path: Path,
) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", elsewhere.__file__, tmp_path],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    said = json.loads(done.stdout)
    assert said["reached"] == [{"text": "hello"}]
    assert said["status"] == "stopped"
    assert not is_alive(said["killed"])
    deadline = time.monotonic() + 10
    while is_alive(said["left"]):
        assert time.monotonic() < deadline, "a child outlived its runner"
        time.sleep(0.01)
    assert done.stderr == ""
    assert {"connect by TCP", "begin a program", "read a file of yours"} <= set(said["open"])
    assert len(said["lacking"]) == 2
