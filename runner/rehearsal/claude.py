"""A stand-in for the Claude Messages API, as the SDK speaks it: answers at once, and fails on demand.

Without a script it fills whatever JSON schema the request asks for, or writes a little prose on its topic. Tokens
are reckoned at four characters each.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from runner.rehearsal import web
from runner.rehearsal.batches import StandInBatches
from runner.rehearsal.cache import Cache, tokens
from runner.rehearsal.fill import fill
from runner.rehearsal.http import Ledger, Reply, Request, Server
from runner.rehearsal.words import Brief, prose

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runner.rehearsal.web import Looks

StopReason = Literal[
    "end_turn",
    "max_tokens",
    "stop_sequence",
    "tool_use",
    "pause_turn",
    "refusal",
    "model_context_window_exceeded",
]

#: https://docs.claude.com/en/api/errors
ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    529: "overloaded_error",
}


@dataclass(frozen=True, slots=True)
class Says:
    """Claude answers with these words, or with this value as JSON; with empty words after `looks`, with those alone."""

    text: str | None = None
    json: Any = None
    stop_reason: StopReason = "end_turn"
    looks: tuple[Looks, ...] = ()  #: at the web, before the words


@dataclass(frozen=True, slots=True)
class Calls:
    """Claude asks for a tool of the caller's."""

    name: str
    input: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Fails:
    """The API answers with an error; `retry_after` in seconds, None for no such header."""

    status: int
    retry_after: float | None = None
    message: str = "a fault on demand"


@dataclass(frozen=True, slots=True)
class MidStreamError:
    """After so many deltas the stream says that the API is overloaded."""

    after: int = 1


@dataclass(frozen=True, slots=True)
class Stalls:
    """After so many deltas nothing more comes, though the connection stays open."""

    after: int = 1


@dataclass(frozen=True, slots=True)
class Drops:
    """After so many deltas the connection breaks."""

    after: int = 1


@dataclass(frozen=True, slots=True)
class EndsEarly:
    """After so many deltas the stream ends cleanly, with no message_stop."""

    after: int = 1


@dataclass(frozen=True, slots=True)
class Garbles:
    """After so many deltas comes an event whose JSON is broken."""

    after: int = 1


Break = MidStreamError | Stalls | Drops | EndsEarly | Garbles
Step = Says | Calls | Fails | Break
Said = tuple[dict[str, Any], Says | Calls]  # a message, and what it says


class StandInClaude(Server):
    """The Messages API on loopback; `pace` is the pause between two deltas, in seconds."""

    def __init__(self, *, pace: float = 0, port: int = 0) -> None:
        super().__init__(self._answer, port=port)
        self.pace = pace
        self.requests: Ledger[dict[str, Any]] = Ledger()  #: what was asked of /v1/messages, in order
        self.counted: list[bytes] = []  #: what /v1/messages/count_tokens was told
        self.cache = Cache()
        self.batches = StandInBatches(self._in_batch)
        self._hung_up: Ledger[dict[str, Any]] = Ledger()
        self._script: deque[Step] = deque()

    @property
    def cut_short(self) -> int:
        """How many answers the client hung up on before their end."""
        return len(self._hung_up)

    def script(self, *steps: Step) -> None:
        """Queue what the next requests get, one step each; then Claude answers by itself again."""
        self._script.extend(steps)

    async def received(self, n: int, within: float = 5) -> dict[str, Any]:
        """Wait until /v1/messages has been asked `n` times; the nth request is returned."""
        return await self.requests.nth(n, within)

    async def hung_up(self, n: int, within: float = 5) -> dict[str, Any]:
        """Wait until `n` answers were cut short; the request behind the nth is returned."""
        return await self._hung_up.nth(n, within)

    async def _answer(self, request: Request, reply: Reply) -> None:
        if (request.method, request.path) == ("POST", "/v1/messages"):
            await self._message(request, reply)
        elif await self.batches.serve(request, reply, self.url):
            return
        elif (request.method, request.path) != ("POST", "/v1/messages/count_tokens"):
            await _fail(reply, Fails(404, message=f"no {request.method} {request.path} here"))
        elif fault := _fault(request):
            await _fail(reply, fault)
        else:
            self.counted.append(request.body)
            await reply.send_json({"input_tokens": tokens(request.body.decode())})

    async def _message(self, request: Request, reply: Reply) -> None:
        if fault := _fault(request):
            await _fail(reply, fault)
            return
        asked: dict[str, Any] = request.json()
        await self.requests.note(asked)
        step = self._script.popleft() if self._script else _own_answer(asked)
        try:
            if isinstance(step, Fails):
                await _fail(reply, step)
            elif asked.get("stream"):
                await self._stream(asked, step, reply)
            else:
                await _whole(self._envelope(asked, step), step, reply)
        except ConnectionError:
            await self._hung_up.note(asked)
            raise

    async def _stream(self, asked: dict[str, Any], step: Says | Calls | Break, reply: Reply) -> None:
        message, said = self._envelope(asked, step)
        await reply.start(200, {"content-type": "text/event-stream", "cache-control": "no-cache"})
        for event in _opening(message, said):
            await reply.piece(_sse(event))
        last = len(message["content"]) - 1
        for position, delta in enumerate(_deltas(said, last)):
            if not isinstance(step, Says | Calls) and position >= step.after:
                break
            await reply.piece(_sse(delta))
            await reply.pause(self.pace)
        if not isinstance(step, Says | Calls):
            await _break_off(step, reply)
            return
        for event in _closing(message):
            await reply.piece(_sse(event))
        await reply.finish()

    def _in_batch(self, asked: dict[str, Any]) -> dict[str, Any]:
        """What the next words of the script, or Claude by itself, say to a request of a batch."""
        step = self._script.popleft() if self._script else _own_answer(asked)
        assert not isinstance(step, Fails)  # a batch's faults are scripted there
        return self._envelope(asked, step)[0]

    def _envelope(self, asked: dict[str, Any], step: Says | Calls | Break) -> Said:
        """The whole message, as an answer without a stream carries it, and what it says."""
        said = step if isinstance(step, Says | Calls) else _own_answer(asked)
        return _message(asked, said, self.cache.usage(asked), number=len(self.requests)), said


async def _break_off(step: Break, reply: Reply) -> None:
    match step:
        case Drops():
            reply.drop()
            return
        case Stalls():
            await reply.pause()
        case MidStreamError():
            await reply.piece(_sse(_error("overloaded_error", "Overloaded")))
        case Garbles():
            await reply.piece('event: content_block_delta\ndata: {"type": "content_block_delta", "ind\n\n')
        case EndsEarly():
            pass
    await reply.finish()


async def _whole(answer: Said, step: Says | Calls | Break, reply: Reply) -> None:
    """Answer a request that wants no stream; a break then breaks the one body there is."""
    if isinstance(step, MidStreamError):
        await _fail(reply, Fails(529, message="Overloaded"))
        return
    message, _ = answer
    if isinstance(step, Says | Calls):
        await reply.send_json(message)
        return
    await reply.start(200, {"content-type": "application/json"})
    await reply.piece(json.dumps(message)[:-20])
    await _break_off(EndsEarly() if isinstance(step, Garbles) else step, reply)


async def _fail(reply: Reply, fault: Fails) -> None:
    headers = {} if fault.retry_after is None else {"retry-after": f"{fault.retry_after:g}"}
    kind = ERROR_TYPES.get(fault.status, "api_error")
    await reply.send_json(_error(kind, fault.message), fault.status, headers)


def _error(kind: str, message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_rehearsal"}


def _fault(request: Request) -> Fails | None:
    """What the API would refuse before it thinks: a missing key, a body that is no request."""
    key = request.headers.get("authorization", "").removeprefix("Bearer ") or request.headers.get("x-api-key")
    if not key or key == "invalid":
        return Fails(401, message="invalid x-api-key" if key else "x-api-key header is required")
    try:
        asked = request.json()
    except ValueError as error:
        return Fails(400, message=f"the request body is not valid JSON: {error}")
    needed = ("model", "messages") if request.path.endswith("tokens") else ("model", "max_tokens", "messages")
    for name in needed:
        if not isinstance(asked, dict) or name not in asked:
            return Fails(400, message=f"{name}: Field required")
    refused = web.fault(asked)
    return Fails(400, message=refused) if refused else None


def _own_answer(asked: dict[str, Any]) -> Says:
    """What Claude says without a script: the schema filled, or prose on the topic."""
    brief = Brief.of(asked)
    looks = web.own_looks(asked, brief.topic)
    wanted = (asked.get("output_config") or {}).get("format") or asked.get("output_format") or {}
    if wanted.get("type") == "json_schema":
        return Says(json=fill(wanted["schema"], brief), looks=looks)
    return Says(text=prose(brief), looks=looks)


def _words(said: Says | Calls) -> str:
    if isinstance(said, Calls):
        return json.dumps(said.input, ensure_ascii=False)
    return json.dumps(said.json, ensure_ascii=False) if said.text is None else said.text


def _block(said: Says | Calls, number: int) -> dict[str, Any]:
    if isinstance(said, Calls):
        return {
            "type": "tool_use",
            "id": f"toolu_rehearsal_{number:04}",
            "name": said.name,
            "input": said.input,
        }
    return {"type": "text", "text": _words(said), "citations": None}


def _message(
    asked: dict[str, Any], said: Says | Calls, usage: dict[str, Any], *, number: int
) -> dict[str, Any]:
    looked = [] if isinstance(said, Calls) else web.blocks(asked, said.looks, number)
    return {
        "id": f"msg_rehearsal_{number:04}",
        "type": "message",
        "role": "assistant",
        "model": asked["model"],
        "content": looked if looked and not _words(said) else [*looked, _block(said, number)],
        "stop_reason": "tool_use" if isinstance(said, Calls) else said.stop_reason,
        "stop_sequence": None,
        "usage": {**usage, "output_tokens": tokens(_words(said)), **web.usage(looked)},
    }


def _opening(message: dict[str, Any], said: Says | Calls) -> Iterator[dict[str, Any]]:
    usage = {**message["usage"], "output_tokens": 1}
    start = {**message, "content": [], "stop_reason": None, "usage": usage}
    yield {"type": "message_start", "message": start}
    *before, last = message["content"]
    for index, block in enumerate(before):
        yield from _at_once(block, index)
    empty: dict[str, Any] = {"input": {}} if isinstance(said, Calls) else {"text": ""} if _words(said) else {}
    yield {"type": "content_block_start", "index": len(before), "content_block": {**last, **empty}}
    yield {"type": "ping"}


def _at_once(block: dict[str, Any], index: int) -> Iterator[dict[str, Any]]:
    """A block of the web: what was asked for comes in a delta, as the API sends it; a result comes whole."""
    if block["type"] == "server_tool_use":
        delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        yield {"type": "content_block_start", "index": index, "content_block": {**block, "input": {}}}
        yield {"type": "content_block_delta", "index": index, "delta": delta}
    else:
        yield {"type": "content_block_start", "index": index, "content_block": block}
    yield {"type": "content_block_stop", "index": index}


def _deltas(said: Says | Calls, index: int) -> Iterator[dict[str, Any]]:
    words = _words(said)
    size = max(1, min(40, len(words) // 4))  # short answers come in several pieces too
    for start in range(0, len(words), size):
        part = words[start : start + size]
        if isinstance(said, Calls):
            delta = {"type": "input_json_delta", "partial_json": part}
        else:
            delta = {"type": "text_delta", "text": part}
        yield {"type": "content_block_delta", "index": index, "delta": delta}


def _closing(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield {"type": "content_block_stop", "index": len(message["content"]) - 1}
    delta = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    yield {"type": "message_delta", "delta": delta, "usage": message["usage"]}
    yield {"type": "message_stop"}


def _sse(event: dict[str, Any]) -> str:
    return f"event: {event['type']}\ndata: {json.dumps(event, ensure_ascii=False)}\n\n"
