"""A stand-in for a mail server: SMTP on loopback, that refuses what it is told to, and loses answers on demand."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections import deque
from email import message_from_bytes
from email.policy import default
from typing import TYPE_CHECKING, Self

from runner.rehearsal.destination import Answers, DropsRequest, DropsResponse, Step
from runner.rehearsal.http import HOST

if TYPE_CHECKING:
    import ssl
    from email.message import EmailMessage

CLOSING_S = 0.2
END = b"\r\n.\r\n"


class Dropped(Exception):  # noqa: N818 - nothing is wrong with it
    """The connection is to be broken off."""


class StandInMail:
    """Keeps in `effects` each message that it took. With `tls` it speaks that, at once or when it is asked to."""

    def __init__(
        self, *, password: str = "", tls: ssl.SSLContext | None = None, at_once: bool = True, port: int = 0
    ) -> None:
        self.effects: list[EmailMessage] = []
        self.envelopes: list[list[str]] = []  #: the recipients of each, beside its headers
        self.refuses: dict[str, str] = {}  #: what a recipient, or a sender, is answered
        self.secured = 0  #: connections that were under TLS when a message came
        self._password, self.tls, self._at_once, self._port = password, tls, at_once, port
        self._script: deque[Step] = deque()
        self._talks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """The address to give to a client."""
        return f"smtp://{HOST}:{self._port}"

    @property
    def port(self) -> int:
        """The port alone."""
        return self._port

    def script(self, *steps: Step) -> None:
        """Queue what is to happen to the next messages, one step each; `Answers` is a code and its words."""
        self._script.extend(steps)

    async def __aenter__(self) -> Self:
        tls = self.tls if self._at_once else None
        self._server = await asyncio.start_server(self._accept, HOST, self._port, ssl=tls, limit=1 << 26)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._server.close()
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)
        await self._server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.create_task(_Talk(self, reader, writer).hold())
        self._talks.add(talk)
        talk.add_done_callback(self._talks.discard)

    def knows(self, password: str) -> bool:
        """Whether that is the password."""
        return self._password in {"", password}

    def take(self, content: bytes, recipients: list[str], *, is_secure: bool) -> str:
        """What a message is answered; raises `Dropped` where it gets none."""
        step = self._script.popleft() if self._script else None
        if isinstance(step, Answers):
            return f"{step.status} {step.body}"
        if isinstance(step, DropsRequest):
            raise Dropped
        self.effects.append(message_from_bytes(content, policy=default))
        self.envelopes.append(recipients)
        self.secured += is_secure
        if isinstance(step, DropsResponse):
            raise Dropped
        return f"250 queued as {len(self.effects)}"


class _Talk:
    """One connection."""

    def __init__(
        self, server: StandInMail, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._server, self._reader, self._writer = server, reader, writer
        self._is_known = False
        self._recipients: list[str] = []

    async def hold(self) -> None:
        """Answer until the client, or the script, has had enough."""
        try:
            await self._converse()
        except (Dropped, ConnectionError, asyncio.IncompleteReadError):
            pass  # the script's doing, or the client's
        finally:
            self._writer.transport.abort()
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(
                    CLOSING_S
                ):  # after a handshake that failed, nobody says that it is closed
                    await self._writer.wait_closed()

    async def _converse(self) -> None:
        await self._say("220 stand-in ESMTP")
        while line := (await self._reader.readline()).decode().strip():
            verb, _, rest = line.partition(" ")
            if verb.upper() == "QUIT":
                await self._say("221 bye")
                return
            await self._say(await self._answer(verb.upper(), rest))
            if verb.upper() == "STARTTLS" and self._server.tls is not None:
                await self._writer.start_tls(self._server.tls)

    async def _say(self, line: str) -> None:
        self._writer.write(f"{line}\r\n".encode())
        await self._writer.drain()

    async def _answer(self, verb: str, rest: str) -> str:
        match verb:
            case "EHLO" | "HELO":
                offer = "250-STARTTLS\r\n" if self._server.tls and not self._is_secure() else ""
                return f"250-stand-in\r\n{offer}250-8BITMIME\r\n250 AUTH PLAIN"
            case "STARTTLS":
                return "220 go ahead"
            case "AUTH":
                password = base64.b64decode(rest.partition(" ")[2]).decode().rpartition("\0")[2]
                self._is_known = self._server.knows(password)
                return "235 welcome" if self._is_known else "535 5.7.8 authentication failed"
            case "MAIL" | "RCPT":
                return self._envelope(verb, rest)
            case "DATA":
                await self._say("354 go ahead")
                content = (await self._reader.readuntil(END)).removesuffix(END) + b"\r\n"
                plain = content.replace(b"\r\n..", b"\r\n.")
                return self._server.take(plain, self._recipients, is_secure=self._is_secure())
        return "502 not implemented"

    def _envelope(self, verb: str, rest: str) -> str:
        address = rest[rest.index("<") + 1 : rest.index(">")]
        if not self._is_known:
            return "530 5.7.0 authentication required"
        if refusal := self._server.refuses.get(address):
            return refusal
        self._recipients = [] if verb == "MAIL" else [*self._recipients, address]
        return "250 ok"

    def _is_secure(self) -> bool:
        return self._writer.get_extra_info("ssl_object") is not None
