"""Getting pages for tasks: only where `reads` allow, never inside the owner's own network, bounded in everything."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from runner.errors import FetchError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    import httpx

TIMEOUT_S = 20.0
PAGE_MAX = 2 << 20  #: bytes of a page
REDIRECTS = 5
PER_MINUTE = 60  #: pages for one run


@dataclass(frozen=True, slots=True)
class Fetched:
    """A page as the task is given it."""

    url: str  #: where it was found, after redirects
    status: int
    text: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a host was found."""

    host: str
    port: int
    scheme: str = ""  #: how it is spoken to; empty: as the URL says


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
class Fetcher:
    """The way out for `run.fetch`."""

    guard: Callable[[], None]  #: asked before each request
    find: Callable[[str, int], Awaitable[Place]] = resolve
    _client: httpx.AsyncClient | None = field(default=None)

    async def get(self, url: str, reads: Sequence[str]) -> Fetched:
        """The page at `url`, redirects followed where `reads` allow them; raises `FetchError` otherwise."""
        for _ in range(REDIRECTS + 1):
            if not allows(reads, url):
                raise FetchError(f"{url} is not among the task's reads; add it to @task(reads=(…,))")
            self.guard()
            answer, text = await self._request(url)
            if not answer.has_redirect_location:
                return Fetched(url, answer.status_code, text)
            url = urljoin(url, answer.headers["location"])
        raise FetchError(f"{url} was reached by more than {REDIRECTS} redirects")

    async def _request(self, url: str) -> tuple[httpx.Response, str]:
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
        headers = {"Host": parts.netloc.rpartition("@")[2], "User-Agent": "signoff-runner"}
        try:
            async with (
                asyncio.timeout(TIMEOUT_S),
                self._client.stream("GET", there, headers=headers, extensions=name) as answer,
            ):
                return answer, await _text(answer, url)
        except (httpx.HTTPError, TimeoutError) as error:
            raise FetchError(f"{url} could not be got: {str(error) or 'it took too long'}") from error

    async def close(self) -> None:
        """Let go of the connections."""
        if self._client is not None:
            await self._client.aclose()


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
