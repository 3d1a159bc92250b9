"""Delivers what was approved: intent on disk first, then one attempt in a child, then what became of it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runner.clock import parse
from runner.courier import Claim, Outcome, key_of
from runner.draft import digest
from runner.errors import GoneError, JournalError, StoppedError, StoreError
from runner.gate import Held, Refusal, State, deliverable
from runner.stop import Door
from runner.store import attachments, deliveries, drafts, waiting

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sqlalchemy import Connection, Row

    from runner.courier import Courier
    from runner.draft import Kind
    from runner.stop import Stop
    from runner.store.store import Store, Transaction

INQUIRE_S = 10.0  #: before a destination is asked: what was cut off may still be on its way
CHANGED = "the kind's code changed"
SET_ANEW = "the kind's settings changed"
AT_ONCE = 8  #: deliveries under way at the same time


@dataclass(slots=True)
class Outbox:
    """Carries approved drafts to the world, each once."""

    store: Store
    stop: Stop
    courier: Courier
    sync: Callable[[], None]  #: puts the journal on disk; raises `JournalError`
    current: Callable[[Kind], Kind | None]  #: the kind as its code is now; None when it is gone or broken
    inquire_s: float = INQUIRE_S
    _work: dict[str, asyncio.Task[None]] = field(default_factory=dict)  #: by draft
    _timer: asyncio.TimerHandle | None = None
    _is_closed: bool = False

    def recover(self) -> None:
        """After a crash: an attempt that had begun may have arrived."""
        with self.store.change() as tx:
            under_way = drafts.listed(tx.connection, frozenset({State.DELIVERING}))
            for row in (row for row in under_way if row.id not in self._work):
                attempt = deliveries.last(tx.connection, row.id)
                assert attempt is not None
                held = drafts.held(tx.connection, row.id)
                note = "the runner ended while it was being delivered"
                deliveries.conclude(tx, held, attempt.id, State.UNCERTAIN, note=note)

    def inquire(self) -> None:
        """Look up, or safely repeat, what is uncertain; what allows neither waits for its owner."""
        with self.store.read() as connection:
            uncertain = drafts.listed(connection, frozenset({State.UNCERTAIN}))
        for row in uncertain:
            self._inquire_later(row.id)

    def _inquire_later(self, draft: str) -> None:
        asyncio.get_running_loop().call_later(self.inquire_s, self._start, draft, self._inquire)

    def look(self) -> None:
        """Expire what waited too long, begin what is due, and remember when to look again."""
        if self._is_closed:
            return
        with self.store.read() as connection:
            now = self.store.clock.now()
            ready = waiting.due(connection, now)
            hour = waiting.next_hour(connection, now)
        if hour is not None and hour <= now:
            with self.store.change() as tx:
                waiting.expire(tx)
                waiting.remind(tx)
            return  # the commit calls again
        self._wait_for(hour, now)
        if not self.stop.look():
            for draft in ready[: max(0, AT_ONCE - len(self._work))]:
                self._start(draft, self._deliver)

    def _start(self, draft: str, work: Callable[[str], Any]) -> None:
        if draft not in self._work and not self._is_closed:
            self._work[draft] = asyncio.get_running_loop().create_task(self._carry(draft, work))

    async def _carry(self, draft: str, work: Callable[[str], Any]) -> None:
        try:
            await work(draft)
        except (GoneError, StoppedError):
            pass  # decided elsewhere in this moment, or stopped: the draft says so itself
        except (JournalError, StoreError) as error:
            self.stop.engage(str(error))  # what had begun is uncertain once the store can be written again
            return
        finally:
            del self._work[draft]
        self.look()

    async def _deliver(self, draft: str) -> None:
        claim = self._claim(draft)
        if claim is None:
            return
        try:
            self.sync()  # journal first: a crash from here on must not deliver twice
        except JournalError as error:
            self._conclude(self._held(draft), claim, Outcome(State.PENDING, str(error)))
            raise
        await self._attempt(claim)

    def _held(self, draft: str) -> Held:
        with self.store.read() as connection:
            return drafts.held(connection, draft)

    def _claim(self, draft: str) -> Claim | None:
        """Take an approved draft, and commit that, before anything begins; None when it must not be delivered."""
        stops = self.stop.times
        self.stop.ask(Door.DELIVERY)
        with self.store.change() as tx:
            held = drafts.held(tx.connection, draft)
            content, kind = drafts.content(tx.connection, draft), drafts.kind_of(tx.connection, draft)
            now = self.current(kind)
            named = json.loads(content)["source"]
            refusal = deliverable(held, digest(content), named, now.source if now else None, tx.now)
            files = self._files(tx.connection, content)
            if isinstance(files, Refusal):
                refusal = refusal or files
            if refusal is not None:
                self._return(tx, held, refusal)
                self._rebind(tx, draft, now)
                return None
            assert now is not None
            assert not isinstance(files, Refusal)
            drafts.move(tx, held, State.DELIVERING)
            number = deliveries.begin(tx, held, key_of(held))
        return Claim(held, now, content, files, number, stops)

    def _files(self, connection: Connection, content: bytes) -> dict[str, bytes] | Refusal:
        """The bytes of the attachments that were approved; why they can't be had, otherwise."""
        try:
            return attachments.of(connection, content)
        except GoneError as error:
            return Refusal(str(error))

    def _return(self, tx: Transaction, held: Held, refusal: Refusal) -> None:
        if held.state is not State.APPROVED:
            return
        drafts.move(tx, held, State.PENDING, note=refusal.reason)
        tx.tell("draft.returned", level="warning", draft=held.id, digest=held.digest, reason=refusal.reason)

    def rebind(self) -> None:
        """Give each waiting draft whose kind's code changed a new revision, to be approved anew; none while stopped."""
        if self.stop.look():
            return
        with self.store.read() as connection:
            kinds = waiting.kinds_of(connection)
        pairs = [(kind, now) for kind in kinds if (now := self.current(kind)) and now.source != kind.source]
        for kind, now in pairs:
            with self.store.change() as tx:
                for draft in waiting.of_kind(tx.connection, kind):
                    self._return(tx, drafts.held(tx.connection, draft), Refusal(_change(kind, now)))
                    self._rebind(tx, draft, now)

    def _rebind(self, tx: Transaction, draft: str, kind: Kind | None) -> None:
        held, old = drafts.held(tx.connection, draft), drafts.kind_of(tx.connection, draft)
        if kind is not None and kind.source != old.source and held.state is State.PENDING:
            fields, reason = drafts.fields_of(tx.connection, draft), _change(old, kind)
            drafts.revise(tx, held, kind, fields, origin="code", event="draft.revised", reason=reason)

    async def _inquire(self, draft: str) -> None:
        """Ask the destination whether it has arrived; else, where it drops repeats, send it again."""
        with self.store.read() as connection:
            held, attempt = drafts.held(connection, draft), deliveries.last(connection, draft)
            content, kind = drafts.content(connection, draft), drafts.kind_of(connection, draft)
            files = self._files(connection, content)
        now, stops = self.current(kind), self.stop.times
        if isinstance(files, Refusal):
            return
        if held.state is not State.UNCERTAIN or attempt is None or now is None or now.source != kind.source:
            return
        if now.finds:
            self.stop.ask(Door.DELIVERY)
            await self._attempt(Claim(held, now, content, files, attempt.id, stops, is_look_up=True))
        elif attempt.may_repeat and self.store.clock.now() < held.expires and self._is_known(now, attempt):
            self.stop.ask(Door.DELIVERY)
            with self.store.change() as tx:
                number = deliveries.begin(tx, held, attempt.key, repeats=True)
            self.sync()
            await self._attempt(Claim(held, now, content, files, number, stops))

    def _is_known(self, kind: Kind, attempt: Row[Any]) -> bool:
        """Whether the destination still drops a repeat of the attempt's key."""
        if kind.once != "key" or kind.once_for is None:
            return kind.once == "key"
        with self.store.read() as connection:
            begun = [
                parse(each.started)
                for each in deliveries.of(connection, attempt.draft)
                if each.key == attempt.key
            ]
        # of the first: a repeat that was dropped renews nothing
        return self.store.clock.now() - min(begun) < kind.once_for

    async def _attempt(self, claim: Claim) -> None:
        """One child, one attempt, and its outcome on record, whatever happens."""
        held = self._held(claim.held.id)
        try:
            outcome = await self.courier.attempt(claim)
        except asyncio.CancelledError:
            self._conclude(
                held, claim, Outcome(State.UNCERTAIN, "the runner ended while it was being delivered")
            )
            raise
        if outcome is not None:
            self._conclude(held, claim, outcome)
            return
        with self.store.change() as tx:
            deliveries.end(tx, claim.number, "uncertain")

    def _conclude(self, held: Held, claim: Claim, outcome: Outcome) -> None:
        with self.store.change() as tx:
            if outcome.state is State.PENDING:
                drafts.move(tx, held, State.PENDING, note=outcome.note)
                deliveries.end(tx, claim.number, "not begun")
                tx.tell(
                    "draft.returned", level="warning", draft=held.id, digest=held.digest, reason=outcome.note
                )
                return
            deliveries.conclude(
                tx, held, claim.number, outcome.state, note=outcome.note, receipt=outcome.receipt
            )
            if outcome.state is State.FAILED:
                failed = drafts.held(tx.connection, held.id)
                drafts.move(tx, failed, State.PENDING, note=f"it was not delivered: {outcome.note}")
        if outcome.state is State.UNCERTAIN:
            self._inquire_later(held.id)

    def _wait_for(self, hour: datetime | None, now: datetime) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if hour is not None:
            seconds = min((hour - now).total_seconds() + 0.001, 3600.0)
            self._timer = asyncio.get_running_loop().call_later(seconds, self.look)

    async def close(self, within: float = 3.0) -> None:
        """Begin nothing more; let what is under way learn its outcome for some seconds, then cut it off."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        work = list(self._work.values())
        if work:
            await asyncio.wait(work, timeout=within)
        for each in work:
            each.cancel()
        await asyncio.gather(*work, return_exceptions=True)


def _change(old: Kind, new: Kind) -> str:
    return CHANGED if new.code != old.code else SET_ANEW
