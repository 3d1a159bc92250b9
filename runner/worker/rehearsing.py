"""A rehearsal as a delivery meets it: whatever the kind does, nothing but the stand-ins is reached."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from runner.errors import NotDelivered

if TYPE_CHECKING:
    from collections.abc import Iterable

    import httpx

PROGRAMS = ("os.exec", "os.posix_spawn", "os.spawn", "os.system", "os.startfile")  #: ways to begin another
REACH = ("socket.connect", "socket.sendto", "socket.sendmsg")
NAMES = ("socket.getaddrinfo", "socket.gethostbyname")
GIT = "git"  #: the one program of ours that a delivery may begin; it too reaches nothing but files


def detour(address: str) -> httpx.AsyncBaseTransport:
    """A transport that takes every request to the stand-in, whatever its address."""
    import httpx

    there = httpx.URL(address)

    class Detour(httpx.AsyncHTTPTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            request.url = request.url.copy_with(scheme=there.scheme, host=there.host, port=there.port)
            return await super().handle_async_request(request)

    return Detour()


def keep_in(stand_ins: Iterable[str]) -> None:
    """From now on this process reaches those addresses and no others: a guard against mistakes, not against malice."""
    open_to = {(parts.hostname, parts.port) for parts in map(urlsplit, stand_ins) if parts.port}
    hosts = {host for host, _ in open_to}
    os.environ["GIT_ALLOW_PROTOCOL"] = "file"

    def watch(event: str, args: tuple[Any, ...]) -> None:
        if event in REACH and isinstance(args[1], tuple) and args[1][:2] not in open_to:
            refuse(f"{args[1][0]}:{args[1][1]}")
        elif event in NAMES and args[0] is not None and _text(args[0]) not in hosts:
            refuse(_text(args[0]))
        elif event in PROGRAMS or (event == "subprocess.Popen" and not _is_git(args)):
            refuse("another program")

    sys.addaudithook(watch)


def _is_git(args: tuple[Any, ...]) -> bool:
    return _text(args[0] or args[1][0]) == GIT


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def refuse(what: str) -> None:
    """Say that it is a rehearsal."""
    raise NotDelivered(
        f"this is a rehearsal, and {what} is no stand-in; use delivery.http, which finds its way"
    )
