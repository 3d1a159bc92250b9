"""The child's end of the socket: one JSON message a line, questions with numbers, answers that name them."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import TYPE_CHECKING, Any

from runner import errors

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable

LINE_MAX = 32 << 20  #: bytes of a message from the supervisor


class Channel:
    """Asks the supervisor, and calls a tool when it asks back."""

    def __init__(self, tool: Callable[[str, dict[str, Any]], Awaitable[tuple[str, bool]]]) -> None:
        self._tool = tool
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self, end: socket.socket) -> None:
        """Begin to talk over that socket."""
        self._reader, self._writer = await asyncio.open_unix_connection(sock=end, limit=LINE_MAX)
        self._start(self._listen())

    def _start(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def tell(self, op: str, **args: Any) -> None:
        """Say something that needs no answer."""
        self._writer.write(json.dumps({"op": op, **args}).encode() + b"\n")

    async def say(self, op: str, **args: Any) -> None:
        """Say something that needs no answer, and wait until it is on its way."""
        self.tell(op, **args)
        await self._writer.drain()

    async def ask(self, op: str, **args: Any) -> Any:
        """Ask for something; raises the error that the supervisor answers with."""
        number = next(self._numbers)
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        await self.say(op, id=number, **args)
        return await future

    async def _listen(self) -> None:
        while line := await self._reader.readline():
            message = json.loads(line)
            if "tool" in message:
                self._start(self._use(message))
            elif future := self._waiting.pop(message["re"], None):
                _settle(future, message)

    async def _use(self, message: dict[str, Any]) -> None:
        text, is_error = await self._tool(message["name"], message["input"])
        await self.say("tooled", tool=message["tool"], text=text, is_error=is_error)


async def no_tools(name: str, args: dict[str, Any]) -> tuple[str, bool]:
    """What a child answers that lends no tools."""
    return f"there is no tool {name}", True


def _settle(future: asyncio.Future[Any], message: dict[str, Any]) -> None:
    if future.done():
        return
    if "error" in message:
        kind = getattr(errors, message.get("type", ""), errors.RunError)
        future.set_exception(kind(message["error"]))
    else:
        future.set_result(message["ok"])
