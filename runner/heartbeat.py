"""A dead man's switch: an address is asked each minute while all is well, so that silence itself is an alarm."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from runner.errors import RunnerError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runner.store.store import Store

EVERY_S = 60.0
TIMEOUT_S = 10.0


@dataclass(slots=True)
class Heartbeat:
    """Asks `url` as long as every look finds nothing wrong; a look returns what is wrong, empty when nothing is."""

    url: str  #: empty: nobody is told
    looks: Mapping[str, Callable[[], str]]  #: by what is looked at
    store: Store
    every_s: float = EVERY_S
    _told: str = field(default="")  #: what was said last; empty while all is well

    async def work(self) -> None:
        """Beat for ever."""
        while self.url:
            await self.beat()
            await asyncio.sleep(self.every_s)

    async def beat(self) -> None:
        """One beat, or the reason why there is none, told once."""
        trouble = self.trouble() or await self._ask()
        if trouble == self._told:
            return
        with suppress(StoreError):  # a store that fails is for STOP, and the silence tells of it
            if trouble:
                self.store.tell("heartbeat.missed", level="error", reason=trouble)
            else:
                self.store.tell("heartbeat.resumed")
            self._told = trouble

    def trouble(self) -> str:
        """What is not well; empty when all is."""
        found = {name: _seen(look) for name, look in self.looks.items()}
        return "; ".join(f"{name}: {words}" for name, words in found.items() if words)

    async def _ask(self) -> str:
        """Ask the address; why that failed, without the address itself, which is known to its owner alone."""
        import httpx  # noqa: PLC0415 - only where there is a switch

        try:
            async with httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False) as client:
                answer = await client.get(self.url)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            return f"{urlsplit(self.url).hostname} can't be asked: {type(error).__name__}"
        return "" if answer.is_success else f"{urlsplit(self.url).hostname} answers {answer.status_code}"


def _seen(look: Callable[[], str]) -> str:
    try:
        return look()
    except RunnerError as error:
        return str(error)
