"""The phone as a whole: it hears, it is told what happens, it sends. Whatever fails here stops nothing else."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runner.errors import StoreError
from runner.review.telegram.asks import Asks
from runner.review.telegram.cards import Cards
from runner.review.telegram.commands import MENU, Commands
from runner.review.telegram.digest import Digest
from runner.review.telegram.feed import Feed
from runner.review.telegram.intake import Intake
from runner.review.telegram.poll import Poll
from runner.review.telegram.post import Sender
from runner.review.telegram.reviewers import Reviewers
from runner.review.telegram.status import Status
from runner.review.telegram.taps import Taps
from runner.review.telegram.wire import LineError, Wire
from runner.store import phone
from runner.worker.sealing.report import report

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runner.catalog import Declared
    from runner.review.desk import Desk
    from runner.settings import Settings
    from runner.store.store import Store

AGAIN_S = 30.0  #: before what failed in the background is tried again
PAUSE_S = 0.05  #: before what happened is told, so that what follows at once is told with it
TICK_S = 15.0  #: how often to look at what only time brings


@dataclass(frozen=True, slots=True)
class Neighbours:
    """What the app hands the phone."""

    tasks: Callable[[], Mapping[str, Declared]]
    submit: Callable[[str, str], str]  #: a task's name and an id: queues a run
    look_again: Callable[[], None]  #: at what became of uncertain deliveries
    head: Callable[[], tuple[int, str]]  #: number and hash of the journal's last line
    say: Callable[..., None]  #: for diagnostics
    is_reading: Callable[[], bool] = bool  #: whether tasks/ is still being read, after a stop


class Phone:
    """One bot, and the people who talk with it."""

    def __init__(self, settings: Settings, store: Store, desk: Desk, token: str, others: Neighbours) -> None:
        self.store, self._others = store, others
        self._is_whole = report().is_whole  # the seal of this platform
        self.wire = Wire(token, settings.telegram_api)
        self.reviewers = Reviewers.of(settings, self._label)
        self.cards = Cards(store, self.reviewers, settings.zone, self._sealing)
        self.poll = Poll(store, self.wire, self._handle)
        asks = Asks(store, desk, self.cards, self.reviewers, self._frozen)
        taps = Taps(store, desk, self.cards, self.reviewers, asks, self._frozen, others.look_again)
        commands = Commands(
            store,
            desk,
            taps,
            self.reviewers,
            settings.zone,
            others.tasks,
            others.submit,
            self._frozen,
            others.is_reading,
        )
        self.intake = Intake(store, self.wire, self.reviewers, taps, asks, commands, others.say)
        self.status = Status(self.reviewers, others.tasks, settings.zone, settings.telegram.quiet_hours)
        self.digest = Digest(store, self.status, settings.zone, settings.telegram.digest_at, others.head)
        self.feed = Feed(store, self.cards, self.status)
        self.sender = Sender(store, self.wire, self.cards)
        self._happened = asyncio.Event()
        self._work: list[asyncio.Task[None]] = []
        self._fallen = ""  # why a half of it fell silent

    def _label(self, task: str) -> str:
        known = self._others.tasks().get(task)
        return known.limits.label if known is not None else ""

    def _sealing(self, task: str) -> str:
        """Whether the task's code is sealed, which is never claimed where it isn't known."""
        known = self._others.tasks().get(task)
        beyond = "".join(f" · {words}" for words in known.reach if known.limits.sealed) if known else ""
        if known is not None and known.limits.sealed and self._is_whole:
            return f"🔒 sealed: its code reaches nothing outside{beyond}"
        return f"🔓 open: its code may reach the outside by itself{beyond}"

    def _frozen(self) -> str:
        return self.poll.frozen

    def _handle(self, number: int, update: dict[str, Any]) -> bool:
        return self.intake.handle(number, update)

    def start(self) -> None:
        """Begin to hear, to follow and to send."""
        self._know_bot()
        self.sender.recover()
        self.feed.begin()
        works = (self.poll.work, self.sender.work, self._follow, self._introduce, self._watch)
        self._work = [asyncio.create_task(work()) for work in works]
        for work in self._work:
            work.add_done_callback(self._ended)
        self.look()

    def _ended(self, work: asyncio.Task[None]) -> None:
        """A half of the phone that fell silent says so; the terminal goes on."""
        if not work.cancelled() and (error := work.exception()) is not None:
            self._fallen = (
                f"the phone fell silent: {error!r}; decide at the terminal, and start the runner anew"
            )
            self._others.say("error", self._fallen, source="telegram")

    def trouble(self) -> str:
        """Why the phone may be deaf or mute; empty when it is well."""
        return self._fallen or self.poll.trouble()

    def _know_bot(self) -> None:
        """Another bot than before knows nothing of the messages of the old one."""
        bot = self.wire.token.partition(":")[0]
        with self.store.change() as tx:
            if phone.remembered(tx.connection, "bot") != bot:
                phone.begin_anew(tx)
                phone.remember(tx, "bot", bot)
            phone.remember(tx, "frozen", "")

    def look(self) -> None:
        """Something was committed."""
        self._happened.set()

    async def _follow(self) -> None:
        """Turn events into messages, a few at a time, so that taps are heard between."""
        while True:
            await self._happened.wait()
            await asyncio.sleep(PAUSE_S)  # a delivery that a tap let go has its first steps before
            self._happened.clear()
            try:
                if self.feed.step():
                    self._happened.set()
            except StoreError as error:
                self._others.say("error", str(error), source="telegram")
                await asyncio.sleep(AGAIN_S)
                self._happened.set()
            self.sender.look()
            await asyncio.sleep(0)

    async def _watch(self) -> None:
        """Look at what only time brings."""
        while True:
            try:
                await self.tick()
            except StoreError as error:
                self._others.say("error", str(error), source="telegram")
            await asyncio.sleep(TICK_S)

    async def tick(self) -> None:
        """The morning's summary, and runs that should have ended."""
        await self.digest.look()
        with self.store.change() as tx:
            self.status.look_for_overdue(tx)
        self.sender.look()

    async def _introduce(self) -> None:
        """Learn the bot's name, and put the commands into Telegram's menu, for the owners alone."""
        menu = [{"command": name, "description": what} for name, what in MENU.items()]
        try:
            self.intake.bot = str((await self.wire.call("getMe"))["username"])
            for chat in self.reviewers.chats():
                scope = {"type": "chat", "chat_id": chat}
                await self.wire.call("setMyCommands", commands=menu, scope=scope)
        except LineError:
            await asyncio.sleep(AGAIN_S)
            await self._introduce()

    async def close(self) -> None:
        """Say and hear nothing more."""
        for each in self._work:
            each.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)
        await self.intake.close()
        await self.wire.close_line()
