"""One walk's world: a destination, a phone if there is one, and a runner that comes, goes and is crashed."""

from __future__ import annotations

import asyncio
import json
import os
import resource
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from conftest import HandClock
from ground import FILE
from phones import AT_ONCE, OWNER
from pydantic import SecretStr
from sqlalchemy import event, select

from runner.app import App, StandIns
from runner.children import Children
from runner.clock import stamp
from runner.draft import digest
from runner.errors import StoreError
from runner.rehearsal.destination import StandInDestination
from runner.rehearsal.telegram import TOKEN, StandInTelegram
from runner.review.desk import Desk
from runner.review.telegram.poll import Rhythm
from runner.stop import Stop
from runner.store import drafts, phone, runs, stops
from runner.store.schema import drafts as drafts_table
from runner.store.store import Store, new_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ground import Ground
    from sqlalchemy import Row

    from runner.rehearsal.destination import Arrival
    from runner.store.store import Transaction

ALL = select(drafts_table).order_by(drafts_table.c.created, drafts_table.c.run, drafts_table.c.place)
BY_HAND = 3600.0  #: seconds; so late that only the walk itself looks
QUIET_S = 60.0  #: how long a runner may take to come to rest


class World:
    """One walk's world: a destination, a phone if there is one, and a runner that comes and goes."""

    def __init__(self, ground: Ground, *, has_phone: bool) -> None:
        self.ground, self.home, self.clock = ground, ground.home, HandClock()
        ground.clear()
        self.code = 0
        self.destination = StandInDestination()
        self.telegram = StandInTelegram() if has_phone else None
        self.app: App | None = None
        self._seen = 0  # requests of the ledger that were judged
        self._keys: dict[str, str | None] = {}  # of each words that were sent
        self.store = Store(f"sqlite:///{self.home}/.runner/store.db", self.clock, is_rehearsal=True)
        ground.share(self.store)
        self.stack = ExitStack()
        ground.run(self._open())

    async def _open(self) -> None:
        for server in filter(None, (self.destination, self.telegram)):
            await server.__aenter__()
        await self.start()

    @property
    def desk(self) -> Desk:
        """The desk of a command, which is a process of its own and sees STOP anew."""

        def latch(reason: str) -> None:
            with self.store.change() as tx:
                stops.engage(tx, reason, "the STOP file")

        return Desk(self.store, Stop(self.home / "STOP", latch))

    async def start(self) -> None:
        """Have a runner come up."""
        telegram = self.telegram.url if self.telegram else ""
        token = {"telegram_token": SecretStr(TOKEN), "telegram_owners": (OWNER,)} if telegram else {}
        known = self.ground.settings.model_copy(update=token)
        stand_ins = StandIns("http://127.0.0.1:1", self.destination.url, None, telegram)
        self.app = app = App(known, stand_ins=stand_ins)
        app.children = app.catalog.children = self.ground.children
        app.store.clock = self.clock
        self.ground.share(app.store)
        if (module := self.ground.modules.get(self.code)) is not None:
            app.catalog._modules = {FILE: module}
        self.stack = ExitStack()
        app._open(self.stack)
        app._build()
        app.outbox.inquire_s = BY_HAND
        await app._begin(is_scheduled=True)
        self._keep_modules()
        if app.phone is not None:
            app.phone.sender.pace = AT_ONCE
            app.phone.cards.again_s = 0.01
            app.phone.poll.rhythm = Rhythm(again_s=0.01)

    def _keep_modules(self) -> None:
        assert self.app is not None
        if FILE in self.app.catalog._modules:
            self.ground.modules[self.code] = self.app.catalog._modules[FILE]

    async def crash(self) -> None:
        """The runner's process is gone, with all that it held in memory; nothing more of it reaches the store."""
        app, self.app = self.app, None
        if app is None:
            return
        for engine in (app.store._engine, app.store._reading):
            event.listen(engine, "engine_connect", _refuse)
        app.outbox._is_closed = app.dispatch._is_closed = True
        self.ground.children.kill_all(and_spared=True)
        app.children = Children()  # its timers find none to kill
        app.diagnostics._lines.clear()
        app.schedule.close()
        mine = [
            each for each in asyncio.all_tasks() if _is_of(each, app) and each is not asyncio.current_task()
        ]
        for each in mine:
            each.cancel()
        await asyncio.gather(*mine, return_exceptions=True)
        await self._rest(lambda: not len(self.ground.children))
        if app.phone is not None:
            await app.phone.wire.close_line()
        self.stack.close()
        self.ground.troubles.clear()

    async def _rest(self, is_quiet: Callable[[], bool]) -> None:
        """Wait until that holds."""
        deadline, pause = self.ground.loop.time() + QUIET_S, 0.001
        while not is_quiet():
            assert self.ground.loop.time() < deadline, f"the runner did not come to rest within {QUIET_S:g} s"
            await asyncio.sleep(pause)
            pause = min(1.3 * pause, 0.02)  # where processes wait for a processor, to look costs them theirs

    async def settle(self) -> None:
        """Let the runner look around, and do all that it has to do at this instant."""
        if self.app is None:
            return
        self.app.stop.look()
        self.app._soon()
        if self.app.phone is not None:
            self.app.phone.sender.look()
        await self._rest(self._is_quiet)

    def _is_quiet(self) -> bool:
        app = self.app
        assert app is not None
        is_busy = (
            app._is_turning
            or app._catching_up is not None
            or app.outbox._work
            or app.dispatch._work
            or len(self.ground.children)
            or self.ground.children._forking
            or self.destination._connections
        )
        if is_busy:
            return False
        return app.phone is None or self._is_phone_quiet()

    def _is_phone_quiet(self) -> bool:
        assert self.app is not None
        assert self.app.phone is not None
        assert self.telegram is not None
        line, updates = self.app.phone, self.telegram.updates
        is_listening = updates._waiting is not None and not updates._waiting.done()
        if not is_listening or updates.pending or updates._again or line.intake._answers or line.sender._work:
            return False
        if line.feed._again:
            return False
        with self.store.read() as connection:  # what is dear to ask comes last
            seen = int(phone.remembered(connection, "seen") or 0)
            if seen < self.store.last_seq_in(connection) or phone.unhandled(connection):
                return False
            return not phone.due(connection, self.clock.now())

    @contextmanager
    def full_disk(self) -> Iterator[None]:
        """Every write to a file fails, in this process, by the kernel's own word (EFBIG)."""
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    def break_journal(self, device: str) -> None:
        """Have each further line of the journal go to that device."""
        assert self.app is not None
        broken = os.open(device, os.O_WRONLY)
        os.dup2(broken, self.app.journal._descriptor)
        os.close(broken)

    @contextmanager
    def changed_bytes(self, draft: str, number: int) -> Iterator[None]:
        """Somebody writes other words into the store, past all guards, and later takes them back."""
        with self.store.read() as connection:
            before = drafts.content(connection, draft, number)
        self._put(draft, number, before.replace(b'"text":"', b'"text":"not '))
        yield
        self._put(draft, number, before)

    def _put(self, draft: str, number: int, content: bytes) -> None:
        with self.store.change() as tx:
            tx.connection.exec_driver_sql(
                "UPDATE revisions SET content = ? WHERE draft = ? AND number = ?", (content, draft, number)
            )

    async def edit_code(self, code: int) -> None:
        """Save another version of the code, and let the runner see it."""
        self.code = code
        self.ground.write(code)
        if self.app is not None:
            self.app._take(await self.app.catalog.scan())
            self._keep_modules()

    def wants_run(self) -> str:
        """Queue a run of the task; its id."""
        assert self.app is not None
        run = new_id()
        with self.app.store.change() as tx:
            runs.add(tx, run, "write")
        return run

    def had_run(self, tx: Transaction) -> str:
        """A run that came to its end, as if it had just made something; its id."""
        run = new_id()
        runs.add(tx, run, "write")
        runs.begin(tx, run, {"now": stamp(tx.now), "slot": None, "state": {}, "recent": [], "lessons": ""})
        runs.finish(tx, run, "ok", None)
        return run

    def made_by(self, run: str) -> list[Row[Any]]:
        with self.store.read() as connection:
            return drafts.of_run(connection, run)

    def rows(self) -> dict[str, Row[Any]]:
        """Every draft as the store has it."""
        with self.store.read() as connection:
            return {row.id: row for row in connection.execute(ALL)}

    def told(self) -> str:
        """The last that happened, for whoever reads of a failure."""
        events = self.store.newest_events(8)
        return "\n".join(["last:", *(json.dumps({**each, "fields": None}) for each in events)])

    def text(self, draft: str) -> str:
        with self.store.read() as connection:
            return str(drafts.fields_of(connection, draft)["text"])

    def digest(self, draft: str, revision: int) -> str:
        """The digest that somebody read who read that revision."""
        with self.store.read() as connection:
            return digest(drafts.content(connection, draft, revision))

    def arrivals(self) -> list[Arrival]:
        """What reached the destination since this was last asked; the same words must bear the same key."""
        found = self.destination.ledger[self._seen :]
        self._seen = len(self.destination.ledger)
        for each in found:
            body = json.loads(each.body)
            assert self._keys.setdefault(f"{body}", each.key) == each.key, f"{body} came with another key"
        return found

    def begun(self) -> int:
        """How many deliveries have been told to go, and are under way."""
        return sum(child.is_spared for child in self.ground.children._live.values())

    async def close(self) -> None:
        await self.crash()
        self.store.close()
        for server in filter(None, (self.destination, self.telegram)):
            await server.__aexit__(None, None, None)


def _refuse(*_: Any) -> None:
    raise StoreError("this process is gone")


def _is_of(task: asyncio.Task[Any], app: App) -> bool:
    """Whether a task is the runner's, and not a stand-in's."""
    name = getattr(task.get_coro(), "__qualname__", "")
    code = getattr(task.get_coro(), "cr_code", None)
    where = code.co_filename if code is not None else ""
    others = ("/rehearsal/", "/asyncio/", "/children.py")  # a child's end is waited for
    return bool(name) and not any(other in where for other in others)
