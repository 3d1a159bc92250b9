"""A small HTTP/1.1 server on loopback that can also misbehave: pause, stop early, or drop the line.

The protocol is h11's business; a stand-in gives a handler, which answers each `Request` through a `Reply`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

import h11

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    Handler = Callable[["Request", "Reply"], Awaitable[None]]

HOST = "127.0.0.1"  #: a stand-in is never seen from another machine
_CHUNK = 65_536  #: bytes asked of the socket at once

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asked for; header names are lower-case, a repeated one keeps its last value."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON; raises `ValueError` when it is none."""
        return json.loads(self.body)


class Ledger(list[T], Generic[T]):
    """A list in order of arrival that can be waited on."""

    def __init__(self) -> None:
        super().__init__()
        self._grown = asyncio.Condition()

    async def note(self, item: T) -> None:
        """Add the item and wake whoever waits for it."""
        async with self._grown:
            self.append(item)
            self._grown.notify_all()

    async def nth(self, count: int, within: float) -> T:
        """The item that made it `count` long; raises `TimeoutError` after `within` seconds without it."""
        try:
            async with asyncio.timeout(within), self._grown:
                await self._grown.wait_for(lambda: len(self) >= count)
        except TimeoutError:
            raise TimeoutError(f"waited {within:g} s for {count}, got {len(self)}") from None
        return self[count - 1]

    async def until(self, seek: Callable[[], R | None], within: float, what: str) -> R:
        """What `seek` finds, which is asked again after each arrival; `TimeoutError` names `what` was sought."""
        found: list[R] = []
        try:
            async with asyncio.timeout(within), self._grown:
                while (each := seek()) is None:
                    await self._grown.wait()
                found.append(each)
        except TimeoutError:
            raise TimeoutError(f"waited {within:g} s for {what}") from None
        return found[0]


class Reply:
    """The answer to one request: sent whole, or in pieces, or broken off."""

    def __init__(
        self,
        request: Request,
        wire: h11.Connection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._request, self._wire, self._reader, self._writer = request, wire, reader, writer

    async def send(
        self, status: int = 200, body: bytes | str = b"", headers: Mapping[str, str] | None = None
    ) -> None:
        """Answer completely."""
        content = body.encode() if isinstance(body, str) else body
        await self.start(status, {"content-length": str(len(content)), **(headers or {})})
        if content and self._request.method != "HEAD":
            await self.piece(content)
        await self.finish()

    async def send_json(
        self, value: Any, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        """Answer completely, with JSON."""
        kind = {"content-type": "application/json"}
        await self.send(status, json.dumps(value, ensure_ascii=False), {**kind, **(headers or {})})

    async def start(self, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        """Send the head; without a content-length, the pieces that follow are chunks."""
        await self._emit(h11.Response(status_code=status, headers=list((headers or {}).items())))

    async def piece(self, data: bytes | str) -> None:
        """Send a piece of the body; raises `ConnectionResetError` when the client has hung up."""
        if self._reader.at_eof():
            raise ConnectionResetError("the client hung up")
        await self._emit(h11.Data(data=data.encode() if isinstance(data, str) else data))

    async def finish(self) -> None:
        """End the answer as the protocol wants it ended."""
        await self._emit(h11.EndOfMessage())

    async def pause(self, seconds: float | None = None) -> None:
        """Send nothing for a while, None for ever; raises `ConnectionResetError` once the client hangs up."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while data := await self._reader.read(_CHUNK):
                    self._wire.receive_data(data)  # the next request, come early
                raise ConnectionResetError("the client hung up")

    async def until(self, done: asyncio.Future[Any], seconds: float) -> None:
        """Send nothing until `done` or for so long; raises `ConnectionResetError` once the client hangs up."""
        pause = asyncio.create_task(self.pause(seconds))
        try:
            await asyncio.wait({pause, done}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            pause.cancel()
            await asyncio.wait({pause})
        if not pause.cancelled():
            pause.result()

    def drop(self) -> None:
        """Break the connection off, in the middle of whatever was being sent."""
        self._writer.transport.abort()

    async def _emit(self, event: h11.Event) -> None:
        if data := self._wire.send(event):
            self._writer.write(data)
            await self._writer.drain()


class Server:
    """An HTTP/1.1 server on loopback for as long as its ``async with`` lasts.

    Port 0 (the default) lets the kernel choose. A handler that fails is raised when the server closes: a
    stand-in's own mistake must not pass for a fault of the outside world.
    """

    def __init__(self, handler: Handler, *, port: int = 0) -> None:
        self._handler = handler
        self._port = port
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._mistakes: list[Exception] = []

    @property
    def url(self) -> str:
        """The address to give to a client, without a slash at its end."""
        if self._server is None:
            raise RuntimeError("a stand-in has no address before `async with` opens it")
        return f"http://{HOST}:{self._port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, HOST, self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._server is not None:
            self._server.close()
            for connection in self._connections:
                connection.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)
            await self._server.wait_closed()
        if self._mistakes:
            raise self._mistakes[0]

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.create_task(self._attend(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._converse(reader, writer)
            writer.close()
        except (ConnectionError, h11.RemoteProtocolError):
            pass  # the client's doing
        except Exception as mistake:  # noqa: BLE001  # kept, and raised when the server closes
            self._mistakes.append(mistake)
        finally:
            if not writer.is_closing():
                writer.transport.abort()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire = h11.Connection(h11.SERVER)
        while request := await _read(wire, reader, writer):
            await self._handler(request, Reply(request, wire, reader, writer))
            if writer.is_closing() or wire.our_state is not h11.DONE:
                return
            wire.start_next_cycle()


async def _read(
    wire: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> Request | None:
    """The next request on the connection; None when the client has no more."""
    head: h11.Request | None = None
    body = bytearray()
    while True:
        event = wire.next_event()
        if event is h11.NEED_DATA:
            if wire.they_are_waiting_for_100_continue:
                writer.write(wire.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
            wire.receive_data(await reader.read(_CHUNK))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            return _request(head, bytes(body))
        else:
            return None


def _request(head: h11.Request, body: bytes) -> Request:
    target = urlsplit(head.target.decode("ascii"))
    return Request(
        method=head.method.decode("ascii"),
        path=unquote(target.path),
        query=dict(parse_qsl(target.query, keep_blank_values=True)),
        headers={name.decode("ascii"): value.decode("latin-1") for name, value in head.headers},
        body=body,
    )
