"""The Message Batches API of the stand-in for Claude: takes, holds, ends and loses batches as it is told to."""

from __future__ import annotations

import itertools
import json
import re
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from runner.rehearsal.http import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable

    from runner.rehearsal.http import Reply, Request

PATH = "/v1/messages/batches"
NAME = re.compile(r"^[a-zA-Z0-9_-]{1,64}$")
NEEDED = ("model", "max_tokens", "messages")


@dataclass(frozen=True, slots=True)
class LosesReply:
    """The batch is taken, and the line drops before that is said; `is_taken` False: it drops before anything is."""

    is_taken: bool = True


@dataclass(frozen=True, slots=True)
class Holds:
    """The batch is taken, and that is said after so many seconds; None: never."""

    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Overloaded:
    """No batch is taken now, and that is said."""


@dataclass(frozen=True, slots=True)
class FailsAfter:
    """The batch is taken, and an error is said, as by a gateway that did not hear so in time."""

    status: int = 504


@dataclass(frozen=True, slots=True)
class Expires:
    """Nobody comes to the batch in time."""


@dataclass(frozen=True, slots=True)
class Lingers:
    """The batch does not end, though it is cancelled, until all are to end."""


@dataclass(frozen=True, slots=True)
class Errs:
    """The batch ends with an error of that type."""

    type: str = "api_error"
    message: str = "a fault on demand"


Fate = LosesReply | Holds | Overloaded | FailsAfter | Expires | Lingers | Errs


@dataclass(slots=True)
class _Batch:
    id: str
    requests: list[dict[str, Any]]
    fate: Fate | None
    looks: int  #: how often it may be looked at before it ends
    status: Literal["in_progress", "canceling", "ended"] = "in_progress"
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    results: list[dict[str, Any]] = field(default_factory=list)

    @property
    def is_due(self) -> bool:
        """Whether it has ended, though nobody has looked yet."""
        return self.status == "in_progress" and self.looks == 0


class StandInBatches:
    """The batches of one stand-in; `answer` is what its Claude says to a request."""

    def __init__(self, answer: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        self._answer = answer
        self._made: dict[str, _Batch] = {}
        self._fates: deque[Fate | None] = deque()
        self._numbers = itertools.count(1)
        self.created: Ledger[dict[str, Any]] = Ledger()  #: each request of each batch, in order
        self.canceled: Ledger[str] = Ledger()  #: ids
        self.looks = 1  #: how often a batch is in progress when it is looked at; -1: for ever
        self.failing: dict[str, int] = {}  #: a "look" or "cancel" that is answered with that status
        self.keeps_results = True  #: False: it knows the batches, and their results no more
        self.is_stubborn = False  #: what is cancelled ends well all the same

    def script(self, *fates: Fate | None) -> None:
        """Queue what becomes of the next batches, one each; None and all after them go well."""
        self._fates.extend(fates)

    def end_all(self) -> None:
        """Let every batch end when it is next looked at."""
        self.looks = 0
        for batch in self._made.values():
            batch.looks = 0
            if isinstance(batch.fate, Lingers):
                batch.fate, batch.status = None, "in_progress"

    def forget_all(self) -> None:
        """Know of no batch any more."""
        self._made.clear()

    async def serve(self, request: Request, reply: Reply, url: str) -> bool:
        """Answer a request that is for batches; False when it is for something else."""
        match (request.method, request.path.removeprefix(PATH).split("/")):
            case "POST", [""]:
                await self._create(request, reply, url)
            case "GET", ["", _] if "look" in self.failing:
                await reply.send_json(_error("api_error", "a fault on demand"), self.failing["look"])
            case "POST", ["", _, "cancel"] if "cancel" in self.failing:
                await reply.send_json(_error("api_error", "a fault on demand"), self.failing["cancel"])
            case "GET", ["", name] if name in self._made:
                await reply.send_json(self._look(self._made[name], url))
            case "POST", ["", name, "cancel"] if name in self._made:
                await self._cancel(self._made[name], reply, url)
            case "GET", ["", name, "results"] if name in self._made:
                lines = [json.dumps(each, ensure_ascii=False) for each in self._made[name].results]
                await reply.send(body="\n".join(lines), headers={"content-type": "application/x-jsonl"})
            case _:
                return False
        return True

    async def _create(self, request: Request, reply: Reply, url: str) -> None:
        asked = request.json().get("requests") or []
        names = [each.get("custom_id") for each in asked]
        if not names or len(set(names)) < len(names) or not all(NAME.match(str(name)) for name in names):
            await reply.send_json(_invalid("requests.custom_id: must be unique, 1-64 of a-zA-Z0-9_-"), 400)
            return
        fate = self._fates.popleft() if self._fates else None
        if fate == LosesReply(is_taken=False):
            reply.drop()
            return
        if isinstance(fate, Overloaded):
            await reply.send_json(_error("overloaded_error", "a fault on demand"), 529)
            return
        batch = _Batch(f"msgbatch_rehearsal_{next(self._numbers):04}", asked, fate, self.looks)
        self._made[batch.id] = batch
        for each in asked:
            await self.created.note(each)
        if isinstance(fate, LosesReply):
            reply.drop()
            return
        if isinstance(fate, FailsAfter):
            await reply.send_json(_error("api_error", "a fault on demand"), fate.status)
            return
        if isinstance(fate, Holds):
            await reply.pause(fate.seconds)
        await reply.send_json(_told(batch, url))

    def _look(self, batch: _Batch, url: str) -> dict[str, Any]:
        is_cancelled = batch.status == "canceling" and not isinstance(batch.fate, Lingers)
        if is_cancelled or batch.is_due:
            self._end(batch)
        batch.looks -= 1
        told = _told(batch, url)
        return told if self.keeps_results else {**told, "results_url": None}

    def _end(self, batch: _Batch) -> None:
        batch.results = [
            {"custom_id": each["custom_id"], "result": self._result(batch, each["params"])}
            for each in batch.requests
        ]
        batch.status = "ended"

    def _result(self, batch: _Batch, asked: dict[str, Any]) -> dict[str, Any]:
        if batch.status == "canceling" and not self.is_stubborn:
            return {"type": "canceled"}
        if isinstance(batch.fate, Expires):
            return {"type": "expired"}
        missing = [name for name in NEEDED if name not in asked]
        if missing:
            return _errored("invalid_request_error", f"{missing[0]}: Field required")
        if isinstance(batch.fate, Errs):
            return _errored(batch.fate.type, batch.fate.message)
        message = self._answer(asked)
        usage = {**message["usage"], "service_tier": "batch"}
        return {"type": "succeeded", "message": {**message, "usage": usage}}

    async def _cancel(self, batch: _Batch, reply: Reply, url: str) -> None:
        if batch.is_due:
            self._end(batch)
        if batch.status == "ended":
            await reply.send_json(_invalid(f"{batch.id} has ended"), 400)
            return
        batch.status = "canceling"
        await self.canceled.note(batch.id)
        await reply.send_json(_told(batch, url))


def _error(kind: str, message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}}


def _invalid(message: str) -> dict[str, Any]:
    return _error("invalid_request_error", message)


def _errored(kind: str, message: str) -> dict[str, Any]:
    return {"type": "errored", "error": {**_error(kind, message), "request_id": "req_rehearsal"}}


def _told(batch: _Batch, url: str) -> dict[str, Any]:
    """The batch as the API tells of it."""
    counts = dict.fromkeys(("processing", "succeeded", "errored", "canceled", "expired"), 0)
    for each in batch.results:
        counts[each["result"]["type"]] += 1
    counts["processing"] = len(batch.requests) - len(batch.results)
    has_ended = batch.status == "ended"
    return {
        "id": batch.id,
        "type": "message_batch",
        "processing_status": batch.status,
        "request_counts": counts,
        "created_at": batch.created.isoformat(),
        "expires_at": (batch.created + timedelta(days=1)).isoformat(),
        "ended_at": datetime.now(UTC).isoformat() if has_ended else None,
        "archived_at": None,
        "cancel_initiated_at": None,
        "results_url": f"{url}{PATH}/{batch.id}/results" if has_ended else None,
    }
