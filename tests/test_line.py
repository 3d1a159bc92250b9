"""The line to the zygote: messages arrive whole and in order, whatever carries them, each with its descriptors."""

from __future__ import annotations

import os
import signal
import socket
from typing import TYPE_CHECKING, Any

import pytest

from runner.children import zygote
from runner.worker.line import KIND, Line

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=[KIND, socket.SOCK_STREAM])
def ends(request: pytest.FixtureRequest) -> Iterator[tuple[Line, Line]]:
    ours, theirs = (Line(end) for end in socket.socketpair(socket.AF_UNIX, request.param))
    yield ours, theirs
    ours.close()
    theirs.close()


def heard(line: Line, count: int) -> list[dict[str, Any]]:
    """So many messages, however they come."""
    found: list[dict[str, Any]] = []
    while len(found) < count:
        found += line.receive() or []
    return found


def test_messages_that_were_said_one_after_the_other_are_heard_so(ends: tuple[Line, Line]) -> None:
    ours, theirs = ends
    for number in range(3):
        ours.send({"number": number})
    assert heard(theirs, 3) == [{"number": 0}, {"number": 1}, {"number": 2}]


def test_each_message_has_its_own_descriptors(ends: tuple[Line, Line]) -> None:
    ours, theirs = ends
    pipes = [os.pipe() for _ in range(2)]
    ours.send({"op": "spare"})
    for pipe in pipes:
        ours.send({"op": "fork"}, pipe)
    taken: list[list[int]] = []
    while len(taken) < 2:
        taken += [theirs.take() for message in theirs.receive() or [] if message["op"] == "fork"]
    for pipe, (reading, writing) in zip(pipes, taken, strict=True):
        os.write(writing, b"here")
        assert os.read(pipe[0], 4) == b"here"
        assert os.fstat(reading).st_ino == os.fstat(pipe[0]).st_ino
        for each in (*pipe, reading, writing):
            os.close(each)


def test_a_message_that_comes_in_pieces_is_heard_once_it_is_whole() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        line = Line(theirs)
        ours.send(b'{"op": "re')
        assert line.receive() == []
        ours.send(b'ap"}\n{')
        assert line.receive() == [{"op": "reap"}]
        line.close()


def test_a_message_for_which_there_is_no_room_is_not_taken_for_said() -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)  # noqa: FBT003 - the socket's own signature
    line = Line(ours)
    with theirs, pytest.raises(BrokenPipeError, match="half of a message"):
        line.send({"words": "x" * 10_000_000})
    line.close()


def test_who_leaves_without_having_heard_all_is_gone(ends: tuple[Line, Line]) -> None:
    ours, theirs = ends
    ours.send({"op": "unheard"})
    theirs.close()
    assert ours.receive() is None


@pytest.mark.own_zygote
def test_a_zygote_whose_runner_is_gone_leaves_without_a_word_though_a_child_of_its_has_ended(
    capfd: pytest.CaptureFixture[str],
) -> None:
    ours, theirs = (Line(end) for end in socket.socketpair(socket.AF_UNIX, KIND))
    process = zygote(theirs.fileno(), "")
    theirs.close()
    channel = socket.socketpair()
    assert heard(ours, 1) == [{"op": "ready"}]
    ours.send({"op": "fork", "child": 1}, [channel[1].fileno(), 2])
    (forked,) = heard(ours, 1)
    ours.end.shutdown(socket.SHUT_RD)  # hears nothing any more, which the zygote meets as it reports
    os.kill(forked["pid"], signal.SIGKILL)
    assert process.wait(timeout=20) == 0
    for each in (ours, *channel):
        each.close()
    assert capfd.readouterr().err == ""
