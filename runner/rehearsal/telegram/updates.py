"""The updates of a bot: kept until a later offset is asked for, and handed to one poller at a time."""

from __future__ import annotations

import asyncio
import copy
import time
from typing import TYPE_CHECKING, Any

from runner.rehearsal.telegram.call import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from runner.rehearsal.http import Reply
    from runner.rehearsal.telegram.call import Call

Update = dict[str, Any]

OTHER_POLL = (
    "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"
)
OTHER_WEBHOOK = "Conflict: terminated by setWebhook request"
WEBHOOK = "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first"
RETENTION_S = 86_400  #: how long an update waits for a poll
_MOST = 100  #: updates in one answer


class Updates:
    """The queue behind getUpdates (https://core.telegram.org/bots/api#getupdates)."""

    def __init__(self) -> None:
        self.pending: list[Update] = []  #: not yet confirmed
        self.allowed: list[str] = []  #: kinds that are asked for; empty: all
        self.now: Callable[[], float] = time.time  #: the clock by which updates grow old
        self.order: Callable[[list[Update]], list[Update]] = list  #: the order in which an answer holds them
        self._past: dict[int, Update] = {}
        self._made: dict[int, float] = {}
        self._again: list[Update] = []  # delivered once more, whatever was confirmed
        self._waiting: asyncio.Future[str] | None = None

    def add(self, kind: str, body: dict[str, Any]) -> Update:
        """Make an update; it isn't queued when its kind isn't allowed."""
        number = 500_000_001 + len(self._past)
        self._past[number] = update = {"update_id": number, kind: copy.deepcopy(body)}
        self._made[number] = self.now()
        if not self.allowed or kind in self.allowed:
            self.pending.append(update)
            self.interrupt()
        return copy.deepcopy(update)

    def add_again(self, update_id: int) -> None:
        """Deliver an update with the next answer once more, though it may have been confirmed."""
        self._again.append(self._past[update_id])
        self.interrupt()

    def interrupt(self, conflict: str = "") -> None:
        """End the open poll, if there is one: with what there is, or with a conflict."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(conflict)

    def confirm(self, call: Call) -> None:
        """Forget what the call's offset confirms, and take up which kinds it wants from now on."""
        offset = call.integer("offset")
        if offset < 0:  # so many from the end
            self.pending = self.pending[offset:]
        oldest = self.now() - RETENTION_S
        self.pending = [
            update
            for update in self.pending
            if update["update_id"] >= offset and self._made[update["update_id"]] > oldest
        ]
        if "allowed_updates" in call.params:
            self.allowed = call.structure("allowed_updates", list)

    async def take(self, call: Call, reply: Reply) -> list[Update]:
        """What there is, or what comes within the call's timeout; a newer poll that waits ends an older one."""
        limit = min(max(call.integer("limit", _MOST), 1), _MOST)
        timeout = call.integer("timeout")
        if timeout > 0 and not self.pending and not self._again:
            self.interrupt(OTHER_POLL)
            await self._wait(reply, timeout)
        again, self._again = self._again, []
        return self.order([*again, *self.pending][:limit])

    async def _wait(self, reply: Reply, timeout: float) -> None:  # noqa: ASYNC109 - the caller's own
        self._waiting = waiting = asyncio.get_running_loop().create_future()
        try:
            await reply.until(waiting, timeout)
        finally:
            if self._waiting is waiting:
                self._waiting = None
        if waiting.done() and (conflict := waiting.result()):
            raise Refusal(409, conflict)
