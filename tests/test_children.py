"""Children: forked fast, heard while they live, and dead at once when they must be."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import textwrap
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from test_app import is_alive

from runner import children as room
from runner import seal
from runner.children import Children
from runner.errors import ChildLostError, StoppedError
from runner.worker.sealing.user import chosen

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from runner.children import Child

pytestmark = pytest.mark.own_zygote


def unheard(line: str) -> None:
    """What is printed there is of no interest."""


@asynccontextmanager
async def children() -> AsyncIterator[Children]:
    kept = Children()
    try:
        yield kept
    finally:
        await kept.close()


def order(tmp_path: Path, body: str, *, is_open: bool = True, **more: Any) -> dict[str, Any]:
    tasks, folder = tmp_path / "tasks", tmp_path / "folder"
    tasks.mkdir(exist_ok=True)
    folder.mkdir(exist_ok=True)
    (tasks / "it.py").write_text(
        "import os, signal, sys, time\nfrom runner import *\nfrom runner.worker.run import Run\n\n\n@task()\n"
        + textwrap.dedent(body)
    )
    return {
        "op": "run",
        "memory": 256,
        "folder": str(folder),
        "seal": seal.of_run(tmp_path, folder, chosen(), is_open=is_open),
        "environment": {"PATH": "/usr/bin:/bin"},
        "tasks": str(tasks),
        "file": "it.py",
        "task": "it",
        "run": "r1",
        "state": {},
        "slot": None,
        "now": "2026-11-24T09:00:00+00:00",
        "recent": [],
        **more,
    }


async def last_word(child: Child, order: dict[str, Any]) -> dict[str, Any]:
    await child.send(order)
    message: dict[str, Any] = {}
    while (said := await child.receive()) is not None:
        message = said
        if said["op"] in {"outcome", "failed", "looked", "broken"}:
            break
    return message


async def run(tmp_path: Path, body: str, **more: Any) -> tuple[dict[str, Any], list[str]]:
    printed: list[str] = []
    async with children() as kept:
        async with kept.fork(printed.append) as child:
            message = await last_word(child, order(tmp_path, body, **more))
            await asyncio.sleep(0)
        assert len(kept) == 0
    return message, printed


async def test_a_task_is_called_in_a_child_and_its_outcome_comes_back(tmp_path: Path) -> None:
    message, printed = await run(
        tmp_path,
        """
        async def it(run: Run):
            print("hello")
            run.state["n"] = 1
            run.degraded("half")
            return [Alert("all well"), None][:1]
        """,
    )
    assert message == {
        "op": "outcome",
        "made": [{"alert": "all well"}],
        "state": {"n": 1},
        "degraded": ["half"],
    }
    assert "hello" in printed


async def test_a_plain_function_works_and_needs_not_take_the_run(tmp_path: Path) -> None:
    message, _ = await run(tmp_path, "def it():\n    return Alert(os.environ.get('HOME', 'no home'))")
    assert message["made"] == [{"alert": "no home"}]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("def it():\n    return 3", "returned int (3); it may return None, an Alert, a Draft"),
        ("def it():\n    raise ValueError('boom')", "ValueError: boom"),
        ("def it():\n    sys.exit(3)", "SystemExit"),
        ("def it():\n    return bytearray(1 << 30)", "MemoryError"),
        ("def other():\n    pass", "no longer has a task it"),
        ("def it(:\n    pass", "SyntaxError"),
    ],
)
async def test_what_a_task_does_wrong_is_said_in_its_own_words(tmp_path: Path, body: str, words: str) -> None:
    message, _ = await run(tmp_path, body)
    assert message["op"] == "failed"
    assert words in message["error"]


async def test_a_child_that_dies_without_a_word_says_nothing_and_its_group_dies_with_it(
    tmp_path: Path,
) -> None:
    body = """
    def it():
        if os.fork():
            while not os.path.exists("pid"):
                time.sleep(0.001)
            os._exit(3)
        open("being written", "w").write(str(os.getpid()))
        os.rename("being written", "pid")
        time.sleep(60)
    """
    async with children() as kept, kept.fork(unheard) as child:
        assert (await last_word(child, order(tmp_path, body)))["op"] == "calling"
        assert await child.ended == "exit 3"
    pid = int((tmp_path / "folder" / "pid").read_text())
    deadline = time.monotonic() + 5
    while is_alive(pid):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


async def test_promise_17_twenty_that_ignore_everything_are_dead_at_once(tmp_path: Path) -> None:
    body = """
    def it():
        for number in range(1, 32):
            if number not in (9, 19):
                signal.signal(number, signal.SIG_IGN)
        while True:
            pass
    """
    body = body.replace("def it", "async def it")
    async with children() as kept:
        started = asyncio.Semaphore(0)
        ends: list[str] = []
        given = order(tmp_path, body)

        async def one() -> None:
            async with kept.fork(unheard) as child:
                await child.send(given)
                assert await child.receive() == {"op": "calling"}
                started.release()
                ends.append(await child.ended)

        async with asyncio.TaskGroup() as group:
            for _ in range(20):
                group.create_task(one())
            for _ in range(20):
                await started.acquire()
            assert await asyncio.to_thread(kept.kill_all) == 20
        assert set(ends) == {f"signal {signal.SIGKILL.value}"}
        assert len(kept) == 0


async def test_children_die_with_the_zygote_and_the_next_fork_starts_another(tmp_path: Path) -> None:
    async with children() as kept:
        async with kept.fork(unheard) as child:
            await child.send(order(tmp_path, "async def it():\n    while True: pass"))
            await child.receive()
            assert kept._process is not None
            os.kill(kept._process.pid, signal.SIGKILL)
            assert await child.ended == "the end of the zygote"
        async with kept.fork(unheard) as child:
            assert (await last_word(child, order(tmp_path, "def it():\n    pass")))["op"] == "outcome"


async def test_a_fork_that_is_thought_better_of_leaves_no_child_and_no_descriptor(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def one(kept: Children) -> None:
        async with kept.fork(unheard):
            await asyncio.sleep(60)

    async with children() as kept:
        async with kept.fork(unheard):
            pass
        before = descriptors()
        for steps in range(8):
            forks = [asyncio.create_task(one(kept)) for _ in range(5)]
            for _ in range(steps):
                await asyncio.sleep(0)
            for fork in forks:
                fork.cancel()
            await asyncio.gather(*forks, return_exceptions=True)
        deadline = time.monotonic() + 5
        while len(kept) or kept._forking or descriptors() > before:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.005)
    assert caplog.records == []


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_a_module_is_looked_at_in_a_child(tmp_path: Path) -> None:
    message, _ = await run(tmp_path, "def it():\n    '''Do it.'''", op="look")
    assert [(task["name"], task["description"]) for task in message["tasks"]] == [("it", "Do it.")]
    message, _ = await run(tmp_path, "def it():\n    pass\n\ntask(max_retrys=1)", op="look")
    assert message["op"] == "broken"
    assert "did you mean 'retries'" in message["error"]
    assert message["line"] == 10


async def test_a_zygote_that_is_gone_is_told_in_words_by_the_next_fork(tmp_path: Path) -> None:
    async with children() as kept:
        async with kept.fork(unheard):
            pass
        end_zygote(kept)
        with pytest.raises(ChildLostError, match="the process that tasks come from ended"):
            async with kept.fork(unheard):
                pass
        await asyncio.to_thread(time.monotonic)  # the loop hears of its end meanwhile
        async with kept.fork(unheard) as child:  # from another zygote
            assert child.pid


async def test_a_zygote_that_is_not_ready_in_time_is_told_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "START_S", 0.0)
    async with children() as kept:
        with pytest.raises(
            ChildLostError, match="was not ready within 0 s: this machine is too slow or too busy"
        ):
            async with kept.fork(unheard):
                pass
        monkeypatch.undo()
        async with kept.fork(unheard) as child:  # it is waited for again
            assert child.pid


async def test_a_zygote_that_ends_before_it_is_ready_keeps_nobody_waiting() -> None:
    async with children() as kept, asyncio.timeout(30):
        kept.start()
        end_zygote(kept)
        with pytest.raises(ChildLostError):
            async with kept.fork(unheard):
                pass
        async with kept.fork(unheard) as child:  # from another zygote
            assert child.pid


async def test_who_waits_for_a_zygote_hears_of_its_end_when_all_is_closed() -> None:
    kept = Children()
    kept.start()
    assert kept._process is not None
    kept._process.send_signal(signal.SIGSTOP)
    fork = asyncio.create_task(anext(kept.fork(unheard).gen))
    await asyncio.sleep(0)
    await kept.close()
    async with asyncio.timeout(30):
        with pytest.raises(ChildLostError, match="the process that tasks come from ended"):
            await fork


async def test_a_zygote_that_goes_right_after_its_last_word_leaves_nobody_waiting(tmp_path: Path) -> None:
    async with children() as kept, asyncio.timeout(30), kept.fork(unheard) as child:
        os.kill(child.pid, signal.SIGKILL)
        assert kept._control is not None
        select.select([kept._control], [], [], 30)  # its end is told, and not yet heard
        end_zygote(kept)
        assert await child.ended == "signal 9"


def end_zygote(kept: Children) -> None:
    """End the zygote while the loop hears nothing of it."""
    assert kept._process is not None
    kept._process.kill()
    kept._process.wait()


async def test_promise_17_a_delivery_that_was_let_go_before_stop_came_has_its_grace_from_a_late_watchdog(
    tmp_path: Path,
) -> None:
    kept = Children(tmp_path / "STOP")
    try:
        async with kept.fork(unheard) as spared, kept.fork(unheard) as other:
            assert kept._process is not None
            kept._process.send_signal(signal.SIGSTOP)  # the watchdog sleeps through both
            kept.spare(spared)
            (tmp_path / "STOP").touch()
            kept._process.send_signal(signal.SIGCONT)
            assert await asyncio.wait_for(other.ended, 15) == "signal 9"
            with pytest.raises(StoppedError):
                async with kept.fork(unheard):
                    pass
            assert not spared.end.done()
    finally:
        await kept.close()
