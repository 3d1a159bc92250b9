"""Runners by the dozen: a process that has imported what a runner imports, and forks one wherever a test wants it."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import crashing
import syscalls
import zygotes

from runner import children
from runner.worker.limits import die_with_parent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

Order = dict[str, Any]
READY_S = 60.0  #: how long a runner may take to come up
#: what a runner imports when it first needs it, and its zygote
HEAVY = (
    "anthropic",
    "genai_prices",
    "watchfiles",
    "runner.claude.ask",
    "runner.cli.commands",
    "runner.review.telegram.phone",
    "runner.worker.zygote",
)


def main(descriptor: int) -> None:
    """Fork whatever is ordered, until nobody is there to order."""
    for name in HEAVY:
        import_module(name)
    gc.freeze()  # what is shared with those that are born stays shared
    control = socket.socket(fileno=descriptor)
    while True:
        data, descriptors, _, _ = socket.recv_fds(control, 1 << 16, 2)
        if not data:
            return
        with suppress(ChildProcessError):
            while any(os.waitpid(-1, os.WNOHANG)):
                pass
        parent = os.getpid()
        pid = os.fork()
        if not pid:
            control.close()
            _become(json.loads(data), descriptors, parent)
        for each in descriptors:
            os.close(each)
        control.send(str(pid).encode())


def _become(order: Order, given: list[int], parent: int) -> NoReturn:
    code: Any = 70
    try:
        die_with_parent(parent)
        output, *channels = given
        os.dup2(output, 1)
        os.close(output)
        os.chdir(order["home"])
        for each in channels:
            syscalls.submit(socket.socket(fileno=each))
        if order.get("zygote") != "own" and "command" not in order:
            children.zygote = zygotes.zygote  # type: ignore[assignment] # as in all tests
            zygotes.split_off()  # here, so that the calls of children are judged too
        code = crashing.serve(order)
    except SystemExit as ended:
        code = ended.code
    except BaseException:  # noqa: BLE001 - nothing may return into the nursery's loop
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code or 0)


@dataclass(slots=True)
class Born:
    """A runner that was forked, and what it said so far."""

    pid: int
    lines: list[str] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    _rest: bytes = b""

    def follow(self, output: int) -> None:
        """Hear what it says, and notice its end."""
        loop, process = asyncio.get_running_loop(), os.pidfd_open(self.pid)

        def end() -> None:
            loop.remove_reader(process)
            os.close(process)
            self._hear(output)
            loop.remove_reader(output)
            os.close(output)
            self.ended.set()

        os.set_blocking(output, False)
        loop.add_reader(output, self._hear, output)
        loop.add_reader(process, end)

    def _hear(self, output: int) -> None:
        try:
            self._rest += os.read(output, 1 << 20)
        except BlockingIOError:
            return
        *lines, self._rest = self._rest.split(b"\n")
        self.lines += [line.decode() for line in lines]

    def has_said(self, word: str) -> bool:
        return any(line.startswith(word) for line in self.lines)

    async def kill(self) -> None:
        """Kill it with no warning, unless it has ended, and wait for its end."""
        if not self.ended.is_set():
            os.kill(self.pid, signal.SIGKILL)
        await self.ended.wait()


@dataclass(slots=True)
class Nursery:
    """Where runners are ordered."""

    control: socket.socket

    @asynccontextmanager
    async def up(self, home: Path, claude: str, destination: str, **order: Any) -> AsyncIterator[Born]:
        """A runner that is up, its owner approving whatever waits; in the end it is killed with no warning."""
        named = {"home": str(home), "claude": claude, "destination": destination}
        born = await self.bear({**named, "approves": True, "resumes": False, **order})
        try:
            deadline = time.monotonic() + READY_S
            while not born.has_said("ready"):
                assert time.monotonic() < deadline, born.lines
                assert not born.ended.is_set(), born.lines
                await asyncio.sleep(0.005)
            yield born
        finally:
            await born.kill()

    async def bear(
        self,
        order: Order,
        ends: Mapping[int, str] | None = None,
        judge: Callable[[syscalls.Point], int] | None = None,
    ) -> Born:
        """Start a runner; with a judge, its calls are judged by it."""
        output, end = os.pipe()
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)  # noqa: FBT003 - the socket's own signature
            given = [end] if judge is None else [end, theirs.fileno()]
            born = Born(await self._pid(order, given))
            os.close(end)
            born.follow(output)
            if judge is not None:
                theirs.close()
                await _readable(ours)
                _, (listener,), _, _ = socket.recv_fds(ours, 1, 1)
                syscalls.Watch(listener, born.pid, Path(order["home"]), ends or {}, judge)
        return born

    async def _pid(self, order: Order, given: list[int]) -> int:
        try:
            socket.send_fds(self.control, [json.dumps(order).encode()], given)
            return int(await asyncio.get_running_loop().sock_recv(self.control, 100))
        except BaseException:
            self.control.close()  # another order would get the answer to this one
            raise


async def _readable(channel: socket.socket) -> None:
    ready = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(channel, ready.set)
    await ready.wait()
    loop.remove_reader(channel)


@contextmanager
def nursery() -> Iterator[Nursery]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, __file__, str(theirs.fileno())]
    with ours, theirs:
        process = subprocess.Popen(command, pass_fds=(theirs.fileno(),))
        theirs.close()
        ours.setblocking(False)  # noqa: FBT003 - the socket's own signature
        try:
            yield Nursery(ours)
        finally:
            ours.close()
            process.wait()


if __name__ == "__main__":
    main(int(sys.argv[1]))
