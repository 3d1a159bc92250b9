"""The stand-in destination records what reached it, and loses what it is told to lose."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from runner.rehearsal.destination import Answers, Delays, DropsRequest, DropsResponse, StandInDestination
from runner.rehearsal.http import Reply, Request, Server


@pytest.fixture
async def destination() -> AsyncIterator[StandInDestination]:
    async with StandInDestination() as server:
        yield server


@pytest.fixture
async def client(destination: StandInDestination) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=destination.url, timeout=5) as client:
        yield client


KEY = {"Idempotency-Key": "k1"}


async def test_a_delivery_is_recorded_and_answered(
    destination: StandInDestination, client: httpx.AsyncClient
) -> None:
    answer = await client.post("/posts", json={"title": "Hi"}, headers=KEY)
    arrival = await destination.received(1)
    assert answer.json() == {"id": "made-1", "url": f"{destination.url}/made/1"}
    assert (arrival.method, arrival.path, arrival.key, arrival.repeated) == ("POST", "/posts", "k1", False)
    assert arrival.body == b'{"title":"Hi"}'
    assert (await client.get(answer.json()["url"])).text == '{"title":"Hi"}'


async def test_a_repeated_key_gets_the_same_answer_and_no_second_effect(
    destination: StandInDestination, client: httpx.AsyncClient
) -> None:
    first = await client.post("/posts", headers=KEY)
    second = await client.post("/posts", headers=KEY)
    assert first.json() == second.json()
    assert [arrival.repeated for arrival in destination.ledger] == [False, True]
    assert len(destination.effects) == 1


async def test_a_destination_that_does_not_dedupe_does_it_twice() -> None:
    async with StandInDestination(dedupes=False) as server, httpx.AsyncClient(base_url=server.url) as client:
        await client.post("/posts", headers=KEY)
        await client.post("/posts", headers=KEY)
        assert len(server.effects) == 2


async def test_a_dropped_request_never_arrived(
    destination: StandInDestination, client: httpx.AsyncClient
) -> None:
    destination.script(DropsRequest())
    with pytest.raises(httpx.TransportError):
        await client.post("/posts", headers=KEY)
    assert not destination.ledger
    assert (await client.get("/arrivals/k1")).status_code == 404


async def test_a_dropped_response_took_effect_all_the_same(
    destination: StandInDestination, client: httpx.AsyncClient
) -> None:
    destination.script(DropsResponse())
    with pytest.raises(httpx.TransportError):
        await client.post("/posts", headers=KEY)
    assert len(destination.effects) == 1
    assert (await client.get("/arrivals/k1")).json()["id"] == "made-1"


async def test_a_delayed_answer_is_recorded_at_once(
    destination: StandInDestination, client: httpx.AsyncClient
) -> None:
    destination.script(Delays(60))
    with pytest.raises(httpx.ReadTimeout):
        await client.post("/posts", timeout=httpx.Timeout(5, read=0.05))
    await destination.received(1)
    assert len(destination.effects) == 1


async def test_a_short_delay_ends_in_an_answer(
    destination: StandInDestination, client: httpx.AsyncClient
) -> None:
    destination.script(Delays(0.01))
    assert (await client.post("/posts")).json()["id"] == "made-1"


async def test_a_refusal_is_recorded_and_has_no_effect(
    destination: StandInDestination, client: httpx.AsyncClient
) -> None:
    destination.script(Answers(429, {"error": "slow down"}, {"retry-after": "3"}), Answers(201, "made"))
    refused = await client.post("/posts", headers=KEY)
    assert (refused.status_code, refused.json(), refused.headers["retry-after"]) == (
        429,
        {"error": "slow down"},
        "3",
    )
    assert len(destination.ledger) == 1
    assert not destination.effects
    assert (await client.post("/posts", headers=KEY)).text == "made"
    assert len(destination.effects) == 1


async def test_pages_and_redirects_are_visits_and_not_arrivals(
    destination: StandInDestination, client: httpx.AsyncClient
) -> None:
    destination.pages |= {"/a b": "<p>hello</p>", "/down": (503, "out")}
    destination.redirects["/old"] = f"{destination.url}/health"
    assert (await client.get("/health")).text == "ok"
    assert (await client.get("/a%20b?x=1")).headers["content-type"].startswith("text/html")
    assert (await client.get("/down")).status_code == 503
    assert (await client.get("/nowhere")).status_code == 404
    assert (await client.get("/old", follow_redirects=True)).text == "ok"
    assert (await client.head("/health")).headers["content-length"] == "2"
    assert [visit.path for visit in destination.visits][:2] == ["/health", "/a b"]
    assert destination.visits[1].query == {"x": "1"}
    assert not destination.ledger


async def test_waiting_for_what_never_comes_says_how_far_it_got(destination: StandInDestination) -> None:
    with pytest.raises(TimeoutError, match="for 1, got 0"):
        await destination.received(1, within=0.01)


async def test_waiting_ends_with_the_arrival(
    destination: StandInDestination, client: httpx.AsyncClient
) -> None:
    waiting = asyncio.create_task(destination.received(1))
    await client.post("/posts")
    assert (await waiting).path == "/posts"


async def test_many_requests_share_one_connection() -> None:
    seen: set[int] = set()

    async def count(request: Request, reply: Reply) -> None:
        seen.add(id(reply._writer))
        await reply.send(200, request.body)

    async with Server(count) as server, httpx.AsyncClient(base_url=server.url) as client:
        for number in range(5):
            assert (await client.post("/", content=str(number) * 100_000)).text == str(number) * 100_000
    assert len(seen) == 1


async def test_what_is_no_http_is_cut_off(destination: StandInDestination) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(destination.url).port)
    writer.write(b"\x00nonsense\r\n\r\n")
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


async def test_a_mistake_of_the_stand_in_is_raised_when_it_closes() -> None:
    async def stumble(request: Request, reply: Reply) -> None:
        raise LookupError("mine")

    server = await Server(stumble).__aenter__()
    async with httpx.AsyncClient(base_url=server.url) as client:
        with pytest.raises(httpx.TransportError):
            await client.get("/")
    with pytest.raises(LookupError, match="mine"):
        await server.__aexit__(None, None, None)


async def test_closing_ends_a_connection_that_still_waits() -> None:
    async def wait(request: Request, reply: Reply) -> None:
        await reply.start()
        await reply.pause()

    async with httpx.AsyncClient(timeout=5) as client:
        async with Server(wait) as server:
            stream = client.stream("GET", server.url)
            answer = await stream.__aenter__()
        with pytest.raises(httpx.TransportError):
            await answer.aread()
        await stream.__aexit__(None, None, None)


def test_a_server_has_no_address_before_it_opens() -> None:
    with pytest.raises(RuntimeError, match="no address"):
        _ = StandInDestination().url
