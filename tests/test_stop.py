"""STOP: latched at first sight, closed whenever in doubt."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runner import lookout, stop
from runner.errors import StoppedError
from runner.lookout import watch
from runner.stop import Door, Stop
from runner.worker.sealing import seccomp
from runner.worker.sealing.seccomp import Step

if TYPE_CHECKING:
    from collections.abc import Callable

ORDINARY = 64_001  #: a user that nobody is


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


def test_promise_16_a_file_that_was_there_for_a_moment_stops_whoever_looks_next(tmp_path: Path) -> None:
    guard_, reasons = guard(tmp_path)
    with watch(guard_):
        for count in range(1, 101):
            (tmp_path / "STOP").touch()
            (tmp_path / "STOP").unlink()
            assert guard_.look()  # the file is gone; that it came is known to the kernel
            assert (guard_.times, len(reasons)) == (count, count)
            guard_.release()
        (tmp_path / "STOPPED").touch()
        assert not guard_.look()


def test_what_came_before_a_release_was_told_by_the_stop_that_is_released(tmp_path: Path) -> None:
    guard_, reasons = guard(tmp_path)
    with watch(guard_):
        guard_.engage("a pause")
        (tmp_path / "STOP").touch()
        (tmp_path / "STOP").unlink()
        guard_.release()
        assert not guard_.look()
    assert reasons == ["a pause"]


def test_promise_16_more_news_than_the_kernel_keeps_stops_since_the_file_may_be_among_it(
    tmp_path: Path,
) -> None:
    most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    descriptors = lookout._notices(tmp_path)
    for number in range(most + 1):
        (tmp_path / f"{number % 2}").touch()
        (tmp_path / f"{number % 2}").unlink()
    assert lookout._tells_of(descriptors[0], "STOP")
    assert not lookout._tells_of(descriptors[0], "STOP")
    os.close(descriptors[0])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_promise_16_a_folder_that_may_not_be_searched_stops_a_runner_of_an_ordinary_user() -> None:
    def act() -> str:
        os.setresuid(ORDINARY, ORDINARY, ORDINARY)
        return f"{stop.sight(closed / 'STOP')} {stop.sight(searchable / 'STOP')}"

    with tempfile.TemporaryDirectory() as folder:
        searchable = Path(folder)
        closed = searchable / "closed"
        closed.mkdir()
        closed.chmod(0o700)
        searchable.chmod(0o711)
        assert apart(act) == f"{closed / 'STOP'} can't be looked at: Permission denied None"


@pytest.mark.skipif(not seccomp.is_there(), reason="the kernel takes no filter")
def test_promise_16_a_disk_that_fails_stops(tmp_path: Path) -> None:
    """The fault is the kernel's: by a filter it answers EIO to whoever asks after a file."""

    def act() -> str:
        assert stop.sight(tmp_path / "STOP") is None
        numbers = (5, 6, 262, 332) if os.uname().machine == "x86_64" else (79, 291)  # of the kin of stat
        steps = [seccomp.load(seccomp.NUMBER_AT)]
        for number in numbers:
            steps += [Step(seccomp.EQUAL, 0, 1, number), seccomp.answer(seccomp.ERROR | errno.EIO)]
        seccomp.install([*steps, seccomp.answer(seccomp.ALLOW)])
        guard_, reasons = guard(tmp_path)
        assert guard_.look()
        return reasons[0]

    assert apart(act) == f"{tmp_path / 'STOP'} can't be looked at: Input/output error"


def apart(act: Callable[[], str]) -> str:
    """What an act comes to in a process of its own, which it may spoil."""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.write(write, act().encode())
        except BaseException as error:  # noqa: BLE001 - nothing may return into the tests
            os.write(write, repr(error).encode())
        finally:
            os._exit(0)
    os.close(write)
    with open(read, "rb") as said:  # noqa: PTH123 - a descriptor has no path
        words = said.read().decode()
    os.waitpid(pid, 0)
    return words
