"""The supervisor's hold on its children: forking them, talking with them, and killing them all at once.

Each child is the leader of a process group of its own. A pid stays the child's until this side lets the
kernel forget it, so that a kill can come from any thread at any time and meets no stranger.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from platform import python_version
from typing import TYPE_CHECKING, Any

from runner import said
from runner.errors import ChildLostError, RunError, RunnerError, StoppedError
from runner.secrecy import Veil
from runner.worker import BARE
from runner.worker.limits import kill
from runner.worker.line import KIND, Line
from runner.worker.sealing.kernel import hide
from runner.worker.sealing.user import chosen

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from pathlib import Path

    from runner.worker.sealing.user import User

LINE_MAX = 8 << 20  #: bytes of a message from a child
MESSAGES_MAX = 20_000  #: messages from a child
OUTPUT_MAX = 64 << 10  #: bytes of a child's stdout and stderr that are kept
SEND_BUFFER = 1 << 20  #: bytes of orders to the zygote that may be under way
START_S = 60.0  #: how long the zygote may take to be ready
HELD_S = 5.0  #: how long a child that has ended is listened to still, should a process that left its group hold its line
DYING_S = 0.1  #: how long the end of one child may go untold because others of the same kill have not ended


@dataclass(slots=True)
class Child:
    """One child, from its fork to its end."""

    number: int
    channel: socket.socket
    output: int
    veil: Veil  #: over what it says
    is_spared: bool = False  #: a delivery under way, which STOP lets learn its outcome
    pid: int = 0
    heard: int = 0  #: messages
    forked: asyncio.Future[None] = field(default_factory=asyncio.Future)
    end: asyncio.Future[str] = field(default_factory=asyncio.Future)
    reader: asyncio.StreamReader | None = None  #: with its writer, once it is spoken with
    writer: asyncio.StreamWriter | None = None

    @property
    def ended(self) -> asyncio.Future[str]:
        """How it ended, once it has; whoever waits for this may be cancelled without harm to the others."""
        return asyncio.shield(self.end)

    async def send(self, message: Mapping[str, Any]) -> None:
        """Say something to the child; a child that is gone hears nothing."""
        assert self.writer is not None
        with suppress(ConnectionError):
            self.writer.write(json.dumps(message).encode() + b"\n")
            await self.writer.drain()

    async def receive(self) -> dict[str, Any] | None:
        """What the child says next; None when it has ended. Raises `RunError` for what is no message."""
        assert self.reader is not None
        try:
            line = await self.reader.readline()
        except ConnectionError:
            return None
        except ValueError as error:
            raise RunError(f"the child sent a line of more than {LINE_MAX >> 20} MB") from error
        if not line.endswith(b"\n"):
            return None
        self.heard += 1
        if self.heard > MESSAGES_MAX:
            raise RunError(f"the child sent more than {MESSAGES_MAX:,} messages")
        await asyncio.sleep(0)  # lines that are there already come without a pause; others are to have theirs
        message: dict[str, Any] = self.veil.over_all(said.parsed(line))
        if message.get("op") == "unsealed":  # said by the runner's own code, before any of the owner's
            raise RunError(
                f"its child could not be sealed, and did nothing: {said.short(message.get('error'))}"
            )
        return message


class Children:
    """All children of this process, and the zygote they are forked from."""

    def __init__(
        self,
        stop: Path | None = None,
        user: User | None = None,
        veil: Veil | None = None,
        *,
        is_halted: Callable[[], bool] = lambda: False,
    ) -> None:
        """`stop` is the STOP file that the zygote watches by itself; None: it watches none.

        `user` is whom children become where this process is root; None: one that is nobody's. `veil` is laid over all
        that a child says or prints, whatever was meant by it. `is_halted` is asked when a child is born: a stop that
        needs no file, which the zygote can't see, may have come since it was ordered.
        """
        self.user = user or chosen()
        self.veil = veil or Veil()
        self._is_halted = is_halted
        self._stop = stop
        self._live: dict[int, Child] = {}
        self._forking: dict[int, Child] = {}
        self._doomed: set[int] = set()  # numbers of those that were killed together and have not ended
        self._ends: list[tuple[Child, str]] = []  # how those ended that did since
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._control: Line | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._ready: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        return len(self._live)

    def start(self) -> None:
        """Start the zygote; children may be asked for at once, and wait until it is ready.

        Raises `RunError` where Python can't wait for a child without letting go of its pid.
        """
        if not hasattr(os, "waitid"):
            raise RunError(
                f"on {sys.platform} the runner needs Python 3.13 or newer; this is {python_version()}"
            )
        ours, theirs = socket.socketpair(socket.AF_UNIX, KIND)
        with theirs:
            self._process = zygote(theirs.fileno(), str(self._stop or ""))
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        ours.setblocking(False)  # noqa: FBT003 - the socket's own signature
        hide()
        self._control = Line(ours)
        self._ready = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().add_reader(ours, self._hear)

    @asynccontextmanager
    async def fork(self, hear: Callable[[str], None]) -> AsyncIterator[Child]:
        """A child that waits for its order; killed with its whole group, and forgotten, on the way out.

        What it prints is handed to `hear`, a line at a time. Raises `StoppedError` while STOP is there.
        """
        child = await self._fork()
        printing = asyncio.create_task(_listen(child, lambda line: hear(self.veil.over(line))))
        try:
            child.reader, child.writer = await asyncio.open_unix_connection(
                sock=child.channel, limit=LINE_MAX
            )
            child.end.add_done_callback(functools.partial(_hang_up, child.writer.transport))
            yield child
        finally:
            await asyncio.shield(self._bury(child, printing))

    async def _fork(self) -> Child:
        if self._control is None:
            self.start()
        assert self._ready is not None
        await _until_ready(self._ready)
        if self._control is None:
            raise ChildLostError
        ours, theirs = socket.socketpair()
        output, print_end = os.pipe()
        child = Child(next(self._numbers), ours, output, self.veil)
        try:
            with theirs, os.fdopen(print_end, "wb", 0):
                self._order("fork", [theirs.fileno(), print_end], child=child.number)
            self._forking[child.number] = child
            await child.forked
        except (RunnerError, asyncio.CancelledError):
            ours.close()  # a child that is born all the same finds nobody there, and leaves
            os.close(output)
            raise
        return child

    def spare(self, child: Child, *, is_spared: bool = True) -> None:
        """Let STOP leave this child its grace, or take that back; asked before what must not be cut off begins."""
        child.is_spared = is_spared
        if is_spared and self._control is not None:
            self._order("spare", child=child.number)

    def _order(self, op: str, descriptors: Sequence[int] = (), **about: int) -> None:
        """Tell the zygote what to do; raises `ChildLostError` when it can't be told."""
        assert self._control is not None
        try:
            self._control.send({"op": op, **about}, descriptors)
        except ConnectionError as error:
            raise ChildLostError from error
        except OSError as error:
            raise ChildLostError(
                f"the process that tasks come from can't be told: {error.strerror}"
            ) from error

    def _hear(self) -> None:
        assert self._control is not None
        try:
            messages = self._control.receive()
        except BlockingIOError:
            return
        if messages is None:
            self._mourn()
            return
        for message in messages:
            match message["op"]:
                case "ready":
                    assert self._ready is not None
                    self._ready.set_result(None)
                case "forked":
                    self._born(message["child"], message["pid"])
                case "refused":
                    self._refused(self._forking.pop(message["child"]))
                case "ended":
                    self._dead(message)

    def _born(self, number: int, pid: int) -> None:
        child = self._forking.pop(number)
        child.pid = pid
        with self._lock:
            self._live[number] = child
        if child.forked.cancelled():
            self.kill(child)
        elif self._is_halted():
            self.kill(child)
            self._refused(child)
        else:
            child.forked.set_result(None)

    def _refused(self, child: Child) -> None:
        if not child.forked.done():
            refusal = StoppedError("stopped: no child may begin; `runner resume` lets it go again")
            child.forked.set_exception(refusal)

    def _dead(self, message: dict[str, Any]) -> None:
        child = self._live.get(message["child"])
        if child is None:
            return
        how = f"signal {message['status']}" if message["signalled"] else f"exit {message['status']}"
        with self._lock:
            kill(child.pid)  # what is left of its group; the pid is still its own
            del self._live[child.number]
            self._doomed.discard(child.number)
        with suppress(ChildLostError):  # a zygote that is gone has nobody to let go of
            self._order("reap", pid=child.pid)
        self._ends.append((child, how))
        if not self._doomed:
            self._tell_ends()
        elif len(self._ends) == 1:
            asyncio.get_running_loop().call_later(DYING_S, self._tell_ends)

    def _tell_ends(self) -> None:
        """Let whoever waits for them go on: not before all are dead, since going on takes the processor from dying."""
        ends, self._ends = self._ends, []
        for child, how in ends:
            child.end.set_result(how)

    def _mourn(self) -> None:
        """The zygote is gone, and its children with it; the next fork starts another."""
        assert self._control is not None
        asyncio.get_running_loop().remove_reader(self._control)
        self._control.close()
        self._control = None
        if self._process is not None:
            self._process.wait()
        with self._lock:
            gone, self._live = list(self._live.values()), {}
            self._doomed.clear()
        self._tell_ends()
        for child in gone:
            child.end.set_result("the end of the zygote")
        self._leave_waiting_nobody()
        unborn, self._forking = list(self._forking.values()), {}
        for child in unborn:
            if not child.forked.done():
                child.forked.set_exception(ChildLostError())

    def _leave_waiting_nobody(self) -> None:
        """It will not be ready any more."""
        if self._ready is not None and not self._ready.done():
            self._ready.cancel()

    def kill_all(self, *, and_spared: bool = False) -> int:
        """Kill every child with its group, from any thread; how many. Those spared live unless `and_spared`."""
        with self._lock:
            doomed = [child for child in self._live.values() if and_spared or not child.is_spared]
            self._doomed |= {child.number for child in doomed}
            for child in doomed:
                kill(child.pid)
        return len(doomed)

    def kill(self, child: Child) -> None:
        """Kill one child with its group; one that has ended already is left alone."""
        with self._lock:
            if child.number in self._live:
                kill(child.pid)

    async def _bury(self, child: Child, printing: asyncio.Task[None]) -> None:
        self.kill(child)
        await child.ended
        if child.writer is None:
            child.channel.close()
        else:
            child.writer.close()
            with suppress(ConnectionError):
                await child.writer.wait_closed()
        await printing

    async def close(self) -> None:
        """Kill every child and end the zygote."""
        self.kill_all(and_spared=True)
        for child in list(self._live.values()):
            await child.ended
        if self._control is not None:
            asyncio.get_running_loop().remove_reader(self._control)
            self._control.close()
            self._control = None
        self._leave_waiting_nobody()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def zygote(control: int, stop: str) -> subprocess.Popen[bytes]:
    """Start the process that children are forked from."""
    return bare(["-m", "runner.worker.zygote", str(control), str(os.getpid()), stop], control)


def bare(words: Sequence[str], kept: int) -> subprocess.Popen[bytes]:
    """Start our interpreter with these words and the one descriptor that it keeps, in an environment with nothing of ours."""
    return subprocess.Popen(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-I", *words],
        pass_fds=(kept,),
        stdin=subprocess.DEVNULL,
        env=BARE,
        start_new_session=True,
    )


async def _until_ready(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        await asyncio.wait([ready], timeout=START_S)  # swallows no cancellation that comes with the result
    if ready.cancelled():
        raise ChildLostError
    if not ready.done():
        slow = f"was not ready within {START_S:g} s: this machine is too slow or too busy"
        raise ChildLostError(f"the process that tasks come from {slow}")


def _hang_up(transport: asyncio.WriteTransport, _ended: asyncio.Future[str]) -> None:
    asyncio.get_running_loop().call_later(HELD_S, transport.abort)


async def _listen(child: Child, hear: Callable[[str], None]) -> None:
    """Hand on what the child prints until it has ended, and nobody is left who could print in its place."""
    reader = asyncio.StreamReader(limit=OUTPUT_MAX)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(child.output, "rb", buffering=0)
    )
    reading = asyncio.create_task(_read_output(reader, hear))
    await child.ended
    _, held = await asyncio.wait([reading], timeout=HELD_S)
    transport.close()
    await reading
    if held:
        hear("… (a process that it began has left its group: it was not killed, and may be there still)")


async def _read_output(reader: asyncio.StreamReader, hear: Callable[[str], None]) -> None:
    """Hand on what is printed; past `OUTPUT_MAX` bytes it is read and dropped, with one word about it."""
    kept, rest = 0, b""
    while piece := await reader.read(1 << 14):
        if kept <= OUTPUT_MAX:
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                hear(line.decode(errors="replace"))
            kept += len(piece)
            if kept > OUTPUT_MAX:
                hear(f"… (more than {OUTPUT_MAX >> 10} kB; the rest is not kept)")
                rest = b""
    if rest:
        hear(rest.decode(errors="replace"))
