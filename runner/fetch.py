"""Getting pages for tasks: only where `reads` allow, never inside the owner's own network, bounded in everything."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import time
from collections import deque
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from runner.errors import FetchError
from runner.store.pages import Kept

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    import httpx

TIMEOUT_S = 20.0
PAGE_MAX = 2 << 20  #: bytes of a page
REDIRECTS = 5
UNCHANGED = 304
MARK_MAX = 500  #: characters of an ETag or a date that are kept
PER_MINUTE = 60  #: pages for one task
MINUTE_S = 60.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a host was found."""

    host: str
    port: int
    scheme: str = ""  #: how it is spoken to; empty: as the URL says
    certificate: str = ""  #: in a rehearsal, until when its certificate passes for good


async def resolve(host: str, port: int) -> Place:
    """The public address of a host, looked up once; raises `FetchError` for any that is not public."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise FetchError(f"{host} is not to be found: {error.strerror}") from error
    addresses = [str(entry[4][0]) for entry in found]
    for address in addresses:
        if not ipaddress.ip_address(address.partition("%")[0]).is_global:
            raise FetchError(
                f"{host} is {address}, an address inside your own network; run.fetch gets public pages only"
            )
    return Place(addresses[0], port)


@dataclass(slots=True)
class Pace:
    """So many pages a minute for one task, whoever's server they are on: who asks for more waits."""

    clock: Callable[[], float] = time.monotonic
    _turns: deque[float] = field(default_factory=lambda: deque(maxlen=PER_MINUTE))

    async def keep(self) -> None:
        """Take the next turn, and wait for it."""
        if (wait := self.take()) > 0:
            await asyncio.sleep(wait)

    def take(self) -> float:
        """Take the next turn; how long until it comes, in seconds."""
        now = self.clock()
        is_full = len(self._turns) == self._turns.maxlen
        turn = max(now, self._turns[0] + MINUTE_S) if is_full else now
        self._turns.append(turn)
        return turn - now


@dataclass(slots=True)
class Fetcher:
    """The way out for `run.fetch`."""

    guard: Callable[[], None]  #: asked before each request
    find: Callable[[str, int], Awaitable[Place]] = resolve
    _client: httpx.AsyncClient | None = field(default=None)

    async def get(self, url: str, reads: Sequence[str], before: Kept | None = None) -> Kept:
        """The page at `url`, redirects followed where `reads` allow them; raises `FetchError` otherwise.

        `before` is the page as it was got before: it is the answer where the server says that it did not change.
        """
        for _ in range(REDIRECTS + 1):
            self.check(url, reads)
            known = before if before is not None and before.url == url else None
            answer, text, certificate = await self._request(url, known)
            if known is not None and answer.status_code == UNCHANGED:
                return replace(known, certificate=certificate)
            if not answer.has_redirect_location:
                return replace(_kept(url, answer, text), certificate=certificate)
            url = urljoin(url, answer.headers["location"])
        raise FetchError(f"{url} was reached by more than {REDIRECTS} redirects")

    def check(self, url: str, reads: Sequence[str]) -> None:
        """Whether the page may be got now; raises `FetchError`, and what the guard raises, if not."""
        if not allows(reads, url):
            raise FetchError(f"{url} is not among the task's reads; add it to @task(reads=(…,))")
        self.guard()

    async def _request(self, url: str, known: Kept | None) -> tuple[httpx.Response, str, str]:
        import httpx  # noqa: PLC0415 - only runs that fetch need it

        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        place = await self.find(parts.hostname or "", port)
        if self._client is None:
            self._client = httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False)
        there = httpx.URL(url).copy_with(
            scheme=place.scheme or parts.scheme, host=place.host, port=place.port
        )
        name = {"sni_hostname": parts.hostname}
        headers = {"Host": parts.netloc.rpartition("@")[2], "User-Agent": "signoff-runner", **_unless(known)}
        try:
            async with (
                asyncio.timeout(TIMEOUT_S),
                self._client.stream("GET", there, headers=headers, extensions=name) as answer,
            ):
                certificate = _certificate(answer) or (place.certificate if parts.scheme == "https" else "")
                return answer, await _text(answer, url), certificate
        except (httpx.HTTPError, TimeoutError) as error:
            raise FetchError(f"{url} could not be got: {str(error) or 'it took too long'}") from error

    async def close(self) -> None:
        """Let go of the connections."""
        if self._client is not None:
            await self._client.aclose()


def _unless(known: Kept | None) -> dict[str, str]:
    """Headers that ask for a page only where it changed (RFC 9110, section 13.1)."""
    marks = {"If-None-Match": known.etag, "If-Modified-Since": known.modified} if known else {}
    return {name: mark for name, mark in marks.items() if mark}


def _kept(url: str, answer: httpx.Response, text: str) -> Kept:
    """The page; only a good one is asked for again by what its server knows it by."""
    if not answer.is_success:
        return Kept(url, answer.status_code, text)
    etag, modified = (_mark(answer.headers.get(name, "")) for name in ("etag", "last-modified"))
    return Kept(url, answer.status_code, text, etag, modified)


def _mark(header: str) -> str:
    """What a server knows a page by, if it may be sent back to it."""
    return header if len(header) <= MARK_MAX and header.isascii() and header.isprintable() else ""


def _certificate(answer: httpx.Response) -> str:
    """Until when the certificate is good that the server showed; empty where none was asked for."""
    tls = answer.extensions["network_stream"].get_extra_info("ssl_object")
    ends = tls.getpeercert().get("notAfter") if tls is not None else None
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(ends), UTC).isoformat() if ends else ""


async def _text(answer: httpx.Response, url: str) -> str:
    body = bytearray()
    async for piece in answer.aiter_bytes():
        body += piece
        if len(body) > PAGE_MAX:
            raise FetchError(f"{url} is larger than {PAGE_MAX >> 20} MB")
    return body.decode(answer.charset_encoding or "utf-8", errors="replace")


def allows(reads: Sequence[str], url: str) -> bool:
    """Whether `url` is one of `reads`, or below one that ends in ``/`` or ``*``; without fragment and dots."""
    parts = urlsplit(url)
    if parts.username or parts.fragment or "/.." in parts.path or "/%2e" in parts.path.lower():
        return False
    return any(url == read or (read[-1] in "/*" and url.startswith(read.rstrip("*"))) for read in reads)
