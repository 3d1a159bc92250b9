"""The only builder: hands each room its neighbours, and keeps them going while the runner is up."""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from runner import lock, lookout, notify, wake
from runner.account import settled
from runner.broker import Broker
from runner.catalog import Catalog, Declared, News, built_ins
from runner.children import Children
from runner.claude.ask import Claude
from runner.claude.batch import Batches
from runner.claude.budget import Budget
from runner.claude.price import upper_bound
from runner.courier import Courier
from runner.demand import submit
from runner.diagnostics import Diagnostics
from runner.dispatch import Dispatch
from runner.errors import AlreadyRunningError, JournalError, RunnerError, StoreError
from runner.execute import Executor
from runner.fetch import Fetcher, Place
from runner.halt import Halt
from runner.heartbeat import Heartbeat
from runner.journal import Journal
from runner.outbox import Outbox
from runner.patience import Patience
from runner.purses import Purses
from runner.review.desk import Desk
from runner.schedule import Schedule
from runner.secrecy import Veil
from runner.stop import Door, Stop
from runner.store import runs
from runner.store.store import Store
from runner.watcher import Watcher
from runner.worker.sealing.user import chosen

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping
    from pathlib import Path

    from runner.catalog import Broken
    from runner.draft import Kind
    from runner.review.telegram.phone import Phone
    from runner.settings import Settings
    from runner.store.store import Transaction

KEPT = 100_000  #: events that stay in the store once they are in the journal
PATIENCE_S = 1.0  #: with a command that is writing the journal when the runner starts
REHEARSED_AGAIN_S = 0.5  #: before a second attempt in a rehearsal, which nobody should wait for
REHEARSED_LOOK_S = 0.05  #: between two looks at a batch, likewise
REHEARSED_CERTIFICATE = timedelta(days=12)  #: for which a rehearsal's are good: soon enough to be told of
REHEARSAL = "rehearsal"  #: the account that every draft of a rehearsal names


@dataclass(frozen=True, slots=True)
class StandIns:
    """The addresses that take the place of the outside world in a rehearsal."""

    claude: str
    destination: str
    every: timedelta | None = None  #: makes each task due so often, whatever it says; None leaves them alone
    telegram: str = ""  #: empty: nobody has a phone
    project: Path | None = None  #: where the files lie that tasks read; None: with the tasks
    mail: str = ""  #: empty: none is taken


class App:
    """One project's runner, built and not yet started."""

    def __init__(
        self,
        settings: Settings,
        *,
        stand_ins: StandIns | None = None,
        heard: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        """`heard` is told each event once it is in the journal."""
        self.settings, self.stand_ins = settings, stand_ins
        self.home = settings.home
        self.store = Store(settings.database, is_rehearsal=stand_ins is not None)
        self.stop = Stop(self.home / "STOP", self._halted)
        self.journal = Journal(self.home / "logs", self.store, heard)
        self.veil = Veil()
        self.children = Children(
            self.home / "STOP", chosen(settings.task_user), self.veil, is_halted=self.stop.look
        )
        every = stand_ins.every if stand_ins else None
        project = stand_ins.project if stand_ins else None
        self.catalog = Catalog(self.home, self.children, self.stop.look, every, project)
        self.halt = Halt(self.stop, self.store, self.children, self._soon, self._recover)
        self.desk = Desk(self.store, self.stop, settings.approvals)
        self.phone: Phone | None = None  # while it is up and a bot is set
        self._is_turning = False
        self._catching_up: asyncio.Task[None] | None = None  # reads them

    @property
    def state_folder(self) -> Path:
        """Where the runner keeps what is its own."""
        return self.home / ".runner"

    @asynccontextmanager
    async def up(self, *, is_scheduled: bool = True) -> AsyncIterator[None]:
        """Be the one runner of this project while this lasts.

        Without `is_scheduled` no slot fires and nothing is delivered: only runs on demand are carried out. Raises
        `AlreadyRunningError`, `StoreError` or `JournalError` when it can't begin.
        """
        with ExitStack() as stack:
            self.state_folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(lock.hold(self.settings.lock))
            self._open(stack)
            self.children.start()
            try:
                self._build()
                await self._begin(is_scheduled=is_scheduled)
                watching = asyncio.create_task(self._watch())
                stack.enter_context(lookout.watch(self.stop))
                stack.enter_context(wake.listen(self.state_folder / "wake", self._soon))
                try:
                    notify.tell(notify.READY)
                    yield
                finally:
                    notify.tell(notify.ENDING)
                    ending = [each for each in (watching, self._catching_up) if each is not None]
                    for each in ending:
                        each.cancel()
                    await asyncio.gather(*ending, return_exceptions=True)
                    await self._end()
            finally:
                await self.children.close()

    def _open(self, stack: ExitStack) -> None:
        self._loop = self.halt.loop = asyncio.get_running_loop()
        self.store.open()
        stack.callback(self.store.close)
        self.store.check()
        if not self.journal.open(PATIENCE_S):
            raise AlreadyRunningError(f"another process writes the journal in {self.journal.folder}")
        stack.callback(self.journal.close)
        self.journal.sync()
        self.store.prune(self.journal.head[0] - KEPT)
        self.store.committed = self._soon
        self._learn_secrets()
        self.diagnostics = Diagnostics(self.store, self._loop, self.veil)
        logging.getLogger().addHandler(self.diagnostics)
        stack.callback(logging.getLogger().removeHandler, self.diagnostics)

    def _learn_secrets(self) -> None:
        """Hide the runner's own secrets, and those that the kinds name."""
        named = {name for kind in self.catalog.kinds.values() for name in kind.secrets}
        self.veil.learn(*self.settings.secrets(), *self.settings.named(named).values())

    def _build(self) -> None:
        settings, stand_ins = self.settings, self.stand_ins
        key = settings.anthropic_api_key.get_secret_value() if settings.anthropic_api_key else None
        self.claude = Claude(
            "rehearsal" if stand_ins else key,
            base_url=stand_ins.claude if stand_ins else settings.anthropic_base_url,
            concurrency=settings.max_claude_calls,
            guard=lambda: self.stop.ask(Door.CLAUDE),
        )
        self.fetcher = Fetcher(lambda: self.stop.ask(Door.FETCH))
        if stand_ins:
            good_until = self.store.clock.now() + REHEARSED_CERTIFICATE
            self.fetcher.find = _detour(stand_ins.destination, good_until.isoformat())
        self.purses = Purses(settings, self.store.clock)
        budget, say = Budget(), self.diagnostics.say
        api = Batches(self.claude)
        look_s = REHEARSED_LOOK_S if stand_ins else settings.batch_look_s
        self.patience = Patience(self.store, self.stop, api, budget, self.purses, upper_bound, say, look_s)
        self.watcher = Watcher(
            self.catalog, self.store, self.halt, self.patience, self._take, self._soon, say
        )
        broker = Broker(
            self.store,
            self.stop,
            self.claude,
            budget,
            self.purses,
            self.patience,
            self.fetcher,
            settings.model,
            upper_bound,
            is_paced=stand_ins is None,
        )
        self.executor = Executor(
            self.home,
            self.store,
            self.stop,
            self.children,
            broker,
            self._kinds_of,
            self.catalog.files_of,
            say,
            settings.approvals,
        )
        if stand_ins:
            self.executor.again_s = REHEARSED_AGAIN_S
        self.dispatch = Dispatch(
            self.store,
            self.stop,
            self.catalog.task,
            self.executor.begin,
            self.executor.carry_out,
            settings.max_runs,
            self._soon,
        )
        most = settings.gate.max_pending_total
        self.schedule = Schedule(self.store, self.stop, settings.zone, self.purses.are_spent, most)
        doubles = (stand_ins.destination, stand_ins.mail) if stand_ins else ()
        courier = Courier(self.home, self.stop, self.children, settings.named, say, *doubles)
        self.outbox = Outbox(self.store, self.stop, courier, self.journal.sync, self._current)

    def _connect(self) -> Phone | None:
        """The phone, if there is a bot; in a rehearsal only a stand-in's."""
        settings, token = self.settings, self.settings.telegram_token
        if token is None or (self.stand_ins and not self.stand_ins.telegram):
            return None
        from runner.review.telegram.phone import Neighbours, Phone  # noqa: PLC0415 - only where there is a bot

        others = Neighbours(
            lambda: self.catalog.tasks,
            lambda task, number: submit(self.store, self.stop, self.catalog, task, number),
            self.outbox.inquire,
            lambda: self.journal.head,
            self.diagnostics.say,
            lambda: self.halt.was_stopped or self._catching_up is not None,
        )
        if self.stand_ins:
            settings = settings.model_copy(update={"telegram_api": self.stand_ins.telegram})
        return Phone(settings, self.store, self.desk, token.get_secret_value(), others)

    def _kinds_of(self, task: Declared) -> Mapping[str, Kind]:
        """The kinds that a task's module knows; in a rehearsal, each draft's account says so."""
        return {kind.name: self._settled(kind) for kind in self.catalog.kinds_in(task.file)}

    def _settled(self, kind: Kind) -> Kind:
        return settled(kind, self.settings.given(kind.name), REHEARSAL if self.stand_ins else None)

    def _current(self, kind: Kind) -> Kind | None:
        found = built_ins().get(kind.title) if kind.file is None else self.catalog.kind(kind.file, kind.name)
        return found and self._settled(found)

    async def _begin(self, *, is_scheduled: bool) -> None:
        self._is_scheduled = is_scheduled
        self.halt.follow()
        self.stop.look()
        await self.catalog.scan()
        self._learn_secrets()
        self._recover()
        with self.store.change() as tx:
            tx.tell(
                "runner.started", pid=os.getpid(), tasks=sorted(self.catalog.tasks), stopped=self.stop.reason
            )
            _tell_broken(tx, self.catalog.broken.values())
        if is_scheduled:
            self.outbox.rebind()
            self.schedule.start()
            self.schedule.take(self.catalog.tasks)
            self.outbox.inquire()
            self.phone = self._connect()
            if self.phone is not None:
                self.phone.start()
        self._turn()

    def _recover(self) -> None:
        """Runs and deliveries that a crash cut off."""
        with self.store.change() as tx:
            for row in (row for row in runs.running(tx.connection) if row.id not in self.dispatch.running):
                task = self.catalog.tasks.get(row.task)
                if task is not None and row.attempt <= task.limits.retries and not self.stop.reason:
                    runs.interrupted(tx, row.id)
                else:
                    runs.finish(tx, row.id, "interrupted", "the runner ended while it was under way")
        self.outbox.recover()

    async def _watch(self) -> None:
        """Keep up with what nobody tells of."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.watcher.folder())
            group.create_task(self.watcher.store())
            group.create_task(self.watcher.batches())
            group.create_task(notify.keep_alive())
            if self._is_scheduled and self.stand_ins is None:
                group.create_task(self._heartbeat().work())

    def _heartbeat(self) -> Heartbeat:
        """What must be well for somebody else to hear of it each minute."""
        looks = {
            "slots": self.schedule.trouble,
            "phone": lambda: self.phone.trouble() if self.phone is not None else "",
            "journal": self._journal_trouble,
        }
        return Heartbeat(self.settings.heartbeat.url, looks, self.store)

    def _journal_trouble(self) -> str:
        try:
            self.journal.sync()
        except (JournalError, StoreError) as error:
            self.stop.engage(str(error))
            return str(error)
        return ""

    def _take(self, news: News) -> None:
        """Tell of what a scan changed, and go by it."""
        self._learn_secrets()
        if news:
            self._tell(news)
        if self._is_scheduled:
            self.schedule.take(self.catalog.tasks, news.gone)
            self.outbox.rebind()

    def _catch_up(self) -> None:
        """Read the modules, and look around again."""

        async def scan() -> None:
            with self.watcher.surviving("tasks/ could not be looked at"):
                self._take(await self.catalog.scan())
            self._catching_up = None
            self._soon()

        if self._catching_up is None:
            self._catching_up = self._loop.create_task(scan())

    def _tell(self, news: News) -> None:
        with self.store.change() as tx:
            for task in news.loaded:
                tx.tell("task.loaded", task=task.name, file=task.file, schedule=task.schedule)
            for name in news.gone:
                tx.tell("task.removed", task=name)
            _tell_broken(tx, news.broken)

    def _soon(self) -> None:
        """Look around once the loop is free; calls that come together are one."""
        if not self._is_turning:
            self._is_turning = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        """Write down what happened, and let go on what may: the heart of the runner."""
        self._is_turning = False
        try:
            self.journal.write()
        except (JournalError, StoreError) as error:
            self.stop.engage(str(error))
        try:
            self.halt.follow()
            self._begin_what_may()
            self.patience.tap()
            if self.phone is not None:
                self.phone.look()
        except StoreError as error:
            self.stop.engage(str(error))

    def _begin_what_may(self) -> None:
        """Runs and deliveries; after a stop only once the modules were read, since none was while it lasted."""
        if self.halt.was_stopped and self.stop.reason is None:
            self.halt.was_stopped = False
            self._catch_up()
        if self._catching_up is not None:
            return
        self.dispatch.look()
        if self._is_scheduled:
            self.outbox.look()

    def _halted(self, reason: str) -> None:
        self.halt.engage()

    async def _end(self) -> None:
        """End in order: no new decision, no new slot, no new run, no new delivery; then the last word."""
        if self.phone is not None:
            await self.phone.close()
        self.schedule.close()
        await self.dispatch.close()
        await self.outbox.close()
        await self.claude.close()
        await self.fetcher.close()
        self.store.committed = _nothing
        with suppress(RunnerError):
            self.halt.follow()  # a stop that could not be put on record until now
        with suppress(RunnerError):
            self.diagnostics.write_down()
            self.store.tell("runner.ended", pid=os.getpid())
            self.journal.sync()


def _tell_broken(tx: Transaction, found: Iterable[Broken]) -> None:
    for broken in found:
        tx.tell("task.broken", level="error", file=broken.file, line=broken.line, reason=broken.reason)


def _nothing() -> None:
    """Nobody looks around any more."""


def _detour(address: str, certificate: str) -> Callable[[str, int], Any]:
    """Find every host at a stand-in's address, each as if it had a certificate that is good until then."""
    host, _, port = address.removeprefix("http://").partition(":")

    async def find(name: str, number: int) -> Place:
        return Place(host, int(port), "http", certificate)

    return find
