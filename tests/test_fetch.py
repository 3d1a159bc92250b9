"""Fetching: where the task's reads allow, and never inside the owner's own network."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import pytest
import trustme

from runner import fetch
from runner.errors import FetchError, StoppedError
from runner.fetch import PER_MINUTE, Fetcher, Pace, Place, allows, resolve
from runner.rehearsal.destination import StandInDestination

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

READS = ("http://shop.example.com/health", "http://shop.example.com/items/")


@asynccontextmanager
async def shop() -> AsyncIterator[tuple[StandInDestination, Fetcher]]:
    """A shop on the stand-in, found under whatever name is asked for."""
    async with StandInDestination() as there:
        port = urlsplit(there.url).port or 0

        async def find(host: str, _: int) -> Place:
            return Place("127.0.0.1", port)

        fetcher = Fetcher(lambda: None, find)
        yield there, fetcher
        await fetcher.close()


async def test_a_page_in_reads_is_got() -> None:
    async with shop() as (there, fetcher):
        there.pages["/items/1"] = "größer"
        assert (await fetcher.get(READS[0], READS)).text == "ok"
        page = await fetcher.get("http://shop.example.com/items/1", READS)
        assert (page.text, page.status) == ("größer", 200)
        assert (await fetcher.get("http://shop.example.com/items/9", READS)).status == 404


async def test_a_page_that_is_not_in_reads_is_refused_and_so_is_a_redirect_to_one() -> None:
    async with shop() as (there, fetcher):
        there.redirects = {
            "/items/a": "/items/b",
            "/items/b": "http://evil.example.com/?words",
            "/items/c": "/items/c",
        }
        with pytest.raises(FetchError, match=r"evil\.example\.com/\?words is not among the task's reads"):
            await fetcher.get("http://shop.example.com/items/a", READS)
        with pytest.raises(FetchError, match="more than 5 redirects"):
            await fetcher.get("http://shop.example.com/items/c", READS)
        assert len(there.visits) == 8


@pytest.mark.parametrize(
    ("url", "is_allowed"),
    [
        (READS[0], True),
        (READS[0] + "?words=hello", False),
        ("http://shop.example.com/items/1?x=y", True),
        ("http://shop.example.com/items/../secret", False),
        ("http://shop.example.com/items/%2e%2e/secret", False),
        ("http://me@shop.example.com/items/", False),
        ("http://shop.example.com.evil.example/items/", False),
        ("http://shop.example.com/items/#words", False),
    ],
)
def test_reads_are_taken_narrowly(url: str, *, is_allowed: bool) -> None:
    assert allows(READS, url) is is_allowed


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "10.0.0.1", "169.254.169.254", "::1", "192.168.1.1"]
)
async def test_an_address_inside_the_owners_network_is_refused(host: str) -> None:
    with pytest.raises(FetchError, match="inside your own network"):
        await resolve(host, 80)


async def test_a_host_that_is_not_there_is_said() -> None:
    with pytest.raises(FetchError, match="not to be found"):
        await resolve("nowhere.invalid", 80)
    assert await resolve("93.184.215.14", 443) == Place("93.184.215.14", 443)


async def test_a_page_too_large_or_broken_off_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    async with shop() as (there, fetcher):
        monkeypatch.setattr(fetch, "PAGE_MAX", 1 << 20)
        there.pages["/items/1"] = "x" * ((1 << 20) + 1)
        with pytest.raises(FetchError, match="larger than 1 MB"):
            await fetcher.get("http://shop.example.com/items/1", READS)

    async def nowhere(host: str, _: int) -> Place:
        return Place("127.0.0.1", 9)

    lost = Fetcher(lambda: None, nowhere)
    with pytest.raises(FetchError, match="could not be got"):
        await lost.get(READS[0], READS)
    await lost.close()


async def test_nothing_is_fetched_while_stopped() -> None:
    def stopped() -> None:
        raise StoppedError

    async with shop() as (there, fetcher):
        fetcher.guard = stopped
        with pytest.raises(StoppedError):
            await fetcher.get(READS[0], READS)
        assert there.visits == []


@asynccontextmanager
async def secure(**paper: Any) -> AsyncIterator[Fetcher]:
    """A site under TLS that answers every request alike, found under whatever name is asked for."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("shop.example.com", **paper).configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readuntil(b"\r\n\r\n")
        status = b"304 Not Modified" if b"If-None-Match" in asked else b"200 OK"
        body = b"" if status.startswith(b"304") else b"ok"
        head = b'HTTP/1.1 %s\r\nETag: "1"\r\nConnection: close\r\nContent-Length: %d\r\n\r\n'
        writer.write(head % (status, len(body)) + body)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]

    async def find(host: str, _: int) -> Place:
        return Place("127.0.0.1", port)

    fetcher = Fetcher(lambda: None, find, httpx.AsyncClient(verify=trusting))
    async with server:
        yield fetcher
        await fetcher.close()


PAGE = "https://shop.example.com/"


async def test_a_page_says_until_when_its_servers_certificate_is_good_though_it_did_not_change() -> None:
    ends = datetime(2090, 5, 3, 12, tzinfo=UTC)
    async with secure(not_after=ends) as fetcher:
        first = await fetcher.get(PAGE, (PAGE,))
        again = await fetcher.get(PAGE, (PAGE,), replace(first, certificate="long ago"))
        assert (first.text, again.text) == ("ok", "ok")
        assert first.certificate == again.certificate == ends.isoformat()
    async with shop() as (_, fetcher):
        assert (await fetcher.get(READS[0], READS)).certificate == ""


async def test_a_certificate_that_has_ended_is_an_error_in_words() -> None:
    past = datetime(2020, 1, 1, tzinfo=UTC)
    async with secure(not_before=past, not_after=past + timedelta(days=90)) as fetcher:
        with pytest.raises(FetchError, match="certificate has expired"):
            await fetcher.get(PAGE, (PAGE,))


def test_a_run_that_asks_for_more_pages_than_a_minute_has_room_for_waits() -> None:
    now = [0.0]
    pace = Pace(clock=lambda: now[0])
    assert [pace.take() for _ in range(PER_MINUTE)] == [0.0] * PER_MINUTE
    now[0] = 20.0
    assert [pace.take(), pace.take()] == [40.0, 40.0]
    now[0] = 1000.0
    assert pace.take() == 0.0
