"""Hears what people do: fetched, kept in one transaction with the offset, then handled; confirmed by the next fetch.

So a crash at any step loses nothing: what was not kept is fetched again, what was not handled is handled at the next
start. Of two processes that read one bot's messages each sees only some of them: then nothing is decided here until
the other is gone.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from runner.errors import StoreError
from runner.review.telegram.wire import ConflictError, LineError, ThrottledError, TokenError
from runner.store import phone

if TYPE_CHECKING:
    from collections.abc import Callable

    from runner.review.telegram.wire import Wire
    from runner.store.store import Store

KINDS = ["message", "callback_query"]  #: of updates; nothing else is asked for
KEPT = timedelta(days=2)  #: how long handled updates are remembered; Telegram repeats none older than one
SLOWEST_S = 60.0
OTHER = (
    "another process reads this bot's messages. Stop it; if it is none of yours, have @BotFather /revoke the token and put "
    "the new one into .env. Decide at the terminal meanwhile: runner pending"
)
HOOK = (
    "a webhook at {host} takes this bot's messages. If it is yours, take it away: runner telegram link --take-over; if "
    "not, have @BotFather /revoke the token. Decide at the terminal meanwhile: runner pending"
)


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How long the poll waits for what."""

    wait_s: float = 50.0  #: for something to happen; also how long all must be quiet before decisions thaw
    again_s: float = 1.0  #: after a failure; twice as long after each further one
    conflict_s: float = 20.0  #: after a conflict, so that two pollers don't fight


@dataclass(slots=True)
class Poll:
    """The hearing half of the phone."""

    store: Store
    wire: Wire
    handle: Callable[[int, dict[str, Any]], bool]  #: False when there was nothing to do
    rhythm: Rhythm = field(default_factory=Rhythm)
    frozen: str = ""  #: why decisions by Telegram are frozen; empty when they aren't
    _failures: int = 0
    _heard: float = 0.0  #: when Telegram last answered, by the steady clock

    async def work(self) -> None:
        """Hear for ever."""
        self._heard = self.store.clock.monotonic()
        while True:
            try:
                self.catch_up()
                await self._look_for_hook()
                while True:
                    await self._once()
                    self._failures = 0
            except (LineError, StoreError) as error:
                await asyncio.sleep(self._failed(error))

    def trouble(self) -> str:
        """Why taps may not be heard; empty when they are."""
        silent = self.store.clock.monotonic() - self._heard
        is_silent = silent > self.rhythm.wait_s + SLOWEST_S
        return self.frozen or (f"Telegram did not answer for {silent:.0f} s" if is_silent else "")

    def catch_up(self) -> None:
        """Handle what was kept and not handled."""
        with self.store.read() as connection:
            left = phone.unhandled(connection)
        idle = [number for number, update in left if not self.handle(number, update)]
        if idle:
            with self.store.change() as tx:
                phone.handled(tx, *idle)

    async def _once(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        found = await self._fetch()
        self._heard = self.store.clock.monotonic()
        self.keep(found)
        self.catch_up()
        if self.frozen and loop.time() - began >= self.rhythm.wait_s * 0.9:
            self._thaw()

    async def _fetch(self) -> list[dict[str, Any]]:
        with self.store.read() as connection:
            offset = phone.remembered(connection, "offset")
        wait = self.rhythm.wait_s
        found = await self.wire.call(
            "getUpdates",
            wait,
            timeout=int(wait),
            allowed_updates=KINDS,
            offset=int(offset) if offset else None,
        )
        return [each for each in found if isinstance(each, dict) and isinstance(each.get("update_id"), int)]

    def keep(self, found: list[dict[str, Any]]) -> None:
        """Commit what was fetched; only then may a further fetch confirm it."""
        if found:
            with self.store.change() as tx:
                phone.receive(tx, found)
                phone.forget(tx, tx.now - KEPT)

    async def _look_for_hook(self) -> None:
        found = await self.wire.call("getWebhookInfo")
        if url := str(found.get("url") or ""):
            raise ConflictError(HOOK.format(host=urlsplit(url).hostname or "an unknown address"))

    def _failed(self, error: Exception) -> float:
        """How long to wait after that."""
        if isinstance(error, ConflictError):
            self._freeze(str(error) if "webhook at" in str(error) else OTHER)
            return self.rhythm.conflict_s
        if isinstance(error, ThrottledError):
            return error.seconds
        if isinstance(error, TokenError):
            self._freeze(str(error))
            return SLOWEST_S
        self._failures += 1
        return min(self.rhythm.again_s * 2.0 ** min(self._failures - 1, 10), SLOWEST_S)

    def _freeze(self, reason: str) -> None:
        if self.frozen == reason:
            return
        self.frozen = reason  # first, so that it holds even where it can't be put on record
        with suppress(StoreError), self.store.change() as tx:
            phone.remember(tx, "frozen", reason)
            tx.tell("telegram.frozen", level="error", reason=reason)

    def _thaw(self) -> None:
        self.frozen = ""
        with self.store.change() as tx:
            phone.remember(tx, "frozen", "")
            tx.tell("telegram.thawed")
