"""A stand-in destination: takes what is delivered, keeps a ledger of it, and loses things on demand."""

from __future__ import annotations

import hashlib
import json
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runner.rehearsal.http import Ledger, Reply, Request, Server

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runner.rehearsal.service import Service

_LOOKUP = "/arrivals/"  #: GET /arrivals/<key> tells whether a key has taken effect
_GOOD, _UNCHANGED = 200, 304
_REFUSED = 400  #: from this status on, an answer means that nothing took effect


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request that reached the destination and was recorded."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at: float  #: seconds of the monotonic clock
    key: str | None  #: its Idempotency-Key; None: it had none
    repeated: bool  #: an arrival with the same key had already taken effect


@dataclass(frozen=True, slots=True)
class DropsRequest:
    """The connection breaks before the request is recorded: it never arrived."""


@dataclass(frozen=True, slots=True)
class DropsResponse:
    """The request is recorded and takes effect; the connection breaks before the answer."""


@dataclass(frozen=True, slots=True)
class Delays:
    """The request is recorded and takes effect at once; its answer comes `seconds` later."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Answers:
    """The destination answers so; from status 400 on, nothing takes effect."""

    status: int
    body: Any = ""  #: a string goes out as it is, anything else as JSON
    headers: Mapping[str, str] = field(default_factory=dict)


Step = DropsRequest | DropsResponse | Delays | Answers


class StandInDestination(Server):
    """Accepts deliveries at every path, and serves pages to be read.

    With `dedupes`, a second arrival of an Idempotency-Key gets the first one's answer and takes no effect.
    """

    def __init__(self, *, dedupes: bool = True, port: int = 0) -> None:
        super().__init__(self._answer, port=port)
        self.ledger: Ledger[Arrival] = Ledger()  #: every request to change something that was recorded
        self.effects: list[Arrival] = []  #: the arrivals that took effect
        self.visits: Ledger[Request] = Ledger()  #: every page asked for
        self.pages: dict[str, str | tuple[int, str]] = {"/health": "ok"}  #: by path, or by host and path
        self.redirects: dict[str, str] = {}
        self.services: dict[str, Service] = {}  #: those whose paths are answered as the real ones do, by name
        self.dates: dict[str, str] = {}  #: of pages that are known by their date, not by an ETag
        self._dedupes = dedupes
        self._script: deque[Step] = deque()
        self._answers: dict[str, dict[str, str]] = {}  # what each key was told

    def script(self, *steps: Step) -> None:
        """Queue what is to happen to the next deliveries, one step each; then all goes well again."""
        self._script.extend(steps)

    async def received(self, n: int, within: float = 5) -> Arrival:
        """Wait until `n` deliveries are in the ledger; the nth is returned."""
        return await self.ledger.nth(n, within)

    async def _answer(self, request: Request, reply: Reply) -> None:
        for service in self.services.values():
            if service.serves(request.path):
                await service.answer(request, reply)
                return
        if request.method not in {"GET", "HEAD"}:
            await self._take(request, reply)
        elif request.path.startswith(_LOOKUP):
            await self._look_up(request.path.removeprefix(_LOOKUP), reply)
        else:
            await self._show(request, reply)

    async def _take(self, request: Request, reply: Reply) -> None:
        step = self._script.popleft() if self._script else None
        if isinstance(step, DropsRequest):
            reply.drop()
            return
        refused = isinstance(step, Answers) and step.status >= _REFUSED
        answer = await self._record(request, refused=refused)
        match step:
            case DropsResponse():
                reply.drop()
            case Answers(status, body, headers) if isinstance(body, str):
                await reply.send(status, body, headers)
            case Answers(status, body, headers):
                await reply.send_json(body, status, headers)
            case _:
                if isinstance(step, Delays):
                    await reply.pause(step.seconds)
                await reply.send_json(answer)

    async def _record(self, request: Request, *, refused: bool) -> dict[str, str]:
        key = request.headers.get("idempotency-key")
        known = self._answers.get(key) if key is not None else None
        arrival = Arrival(
            method=request.method,
            path=request.path,
            headers=request.headers,
            body=request.body,
            at=time.monotonic(),
            key=key,
            repeated=known is not None,
        )
        answer = known if known is not None and self._dedupes else None
        if answer is None:
            answer = {} if refused else self._carry_out(arrival)
        await self.ledger.note(arrival)
        return answer

    def _carry_out(self, arrival: Arrival) -> dict[str, str]:
        self.effects.append(arrival)
        number = len(self.effects)
        page = f"/made/{number}"
        self.pages[page] = arrival.body.decode("utf-8", "replace")
        answer = {"id": f"made-{number}", "url": self.url + page}
        if arrival.key is not None:
            self._answers.setdefault(arrival.key, answer)
        return answer

    async def _look_up(self, key: str, reply: Reply) -> None:
        if key in self._answers:
            await reply.send_json({"key": key, **self._answers[key]})
        else:
            await reply.send_json({"error": f"no arrival with the key {json.dumps(key)}"}, 404)

    async def _show(self, request: Request, reply: Reply) -> None:
        await self.visits.note(request)
        if request.path in self.redirects:
            await reply.send(302, headers={"location": self.redirects[request.path]})
            return
        whole = request.headers.get("host", "") + request.path
        page = self.pages.get(whole, self.pages.get(request.path, (404, "no such page")))
        status, body = page if isinstance(page, tuple) else (200, page)
        kind = "text/html" if body.lstrip().startswith("<") else "text/plain"
        mark = self._mark(request.path, body)
        if status == _GOOD and mark[2] == request.headers.get(mark[1]):
            await reply.send(_UNCHANGED, headers={mark[0]: mark[2]})
            return
        await reply.send(status, body, {"content-type": f"{kind}; charset=utf-8", mark[0]: mark[2]})

    def _mark(self, path: str, body: str) -> tuple[str, str, str]:
        """What a page is known by: the header that tells it, the one that names it, its value."""
        if path in self.dates:
            return "last-modified", "if-modified-since", self.dates[path]
        return "etag", "if-none-match", f'"{hashlib.sha256(body.encode()).hexdigest()[:16]}"'
