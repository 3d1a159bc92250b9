"""STOP: latched at first sight, closed whenever in doubt."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from runner import stop
from runner.errors import StoppedError
from runner.stop import Door, Stop

if TYPE_CHECKING:
    from collections.abc import Callable
from pathlib import Path


def guard(folder: Path) -> tuple[Stop, list[str]]:
    reasons: list[str] = []
    return Stop(folder / "STOP", reasons.append), reasons


def test_without_the_file_every_door_is_open(tmp_path: Path) -> None:
    guard_, reasons = guard(tmp_path)
    for door in Door:
        guard_.ask(door)
    assert (reasons, guard_.reason) == ([], None)


def test_promise_16_first_sight_latches_and_the_file_may_go_again(tmp_path: Path) -> None:
    guard_, reasons = guard(tmp_path)
    (tmp_path / "STOP").write_text("too loud\nand more")
    with pytest.raises(StoppedError, match="too loud"):
        guard_.ask(Door.DELIVERY)
    (tmp_path / "STOP").unlink()
    for door in Door:
        with pytest.raises(StoppedError, match=f"no {door} may begin"):
            guard_.ask(door)
    assert reasons == ["too loud"]
    guard_.release()
    guard_.ask(Door.RUN)


def test_promise_16_whatever_is_called_stop_stops(tmp_path: Path) -> None:
    makers: dict[str, Callable[[Path], object]] = {
        "folder": Path.mkdir,
        "dangling": lambda path: path.symlink_to(tmp_path / "nowhere"),
        "binary": lambda path: path.write_bytes(b"\xff\x00"),
        "empty": Path.touch,
        "pipe": os.mkfifo,
        "endless": lambda path: path.symlink_to("/dev/zero"),
    }
    for name, make in makers.items():
        (tmp_path / name).mkdir()
        make(tmp_path / name / "STOP")
        assert guard(tmp_path / name)[0].look(), name


def test_promise_16_a_folder_that_is_gone_or_unreadable_stops(tmp_path: Path) -> None:
    assert guard(tmp_path / "gone")[0].look()
    (tmp_path / "file").touch()
    assert "can't be looked at" in str(stop.sight(tmp_path / "file" / "STOP"))


def test_a_stop_of_ours_is_taken_away_by_resume_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "STOP"
    stop.write(path, "lunch")
    stop.write(path, "a second reason changes nothing")
    assert stop.sight(path) == "lunch"
    assert stop.remove_ours(path)
    assert stop.remove_ours(path)
    path.touch()
    assert not stop.remove_ours(path)
    assert path.exists()
    path.unlink()
    path.mkdir()
    assert not stop.remove_ours(path)
    path.rmdir()
    os.mkfifo(path)
    assert not stop.remove_ours(path)


def test_a_reason_that_is_no_utf_8_or_very_long_stops_and_is_ours(tmp_path: Path) -> None:
    path = tmp_path / "STOP"
    stop.write(path, "\udcff" + "a" * 100_000)
    assert str(stop.sight(path)).startswith("?aaa")
    assert stop.remove_ours(path)
