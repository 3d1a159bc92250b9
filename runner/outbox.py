"""Delivers what was approved: intent on disk first, then one attempt in a child, then what became of it."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runner import said, seal
from runner.clock import parse
from runner.draft import digest
from runner.errors import GoneError, JournalError, RunError, RunnerError, StoppedError, StoreError
from runner.gate import Held, Refusal, State, deliverable
from runner.stop import Door
from runner.store import attachments, deliveries, drafts, waiting

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy import Connection, Row

    from runner.children import Child, Children
    from runner.draft import Kind
    from runner.stop import Stop
    from runner.store.store import Store, Transaction

ATTEMPT_S = 120.0  #: how long an attempt may take; then its outcome is unknown
MEMORY_MB = 512
PRIVATE = frozenset({"ANTHROPIC_API_KEY", "RUNNER_TELEGRAM_TOKEN"})  #: the runner's own, for no kind
RECEIPT_MAX = 2000  #: characters of each part of a receipt
INQUIRE_S = 10.0  #: before a destination is asked: what was cut off may still be on its way
CHANGED = "the kind's code changed"
SET_ANEW = "the kind's settings changed"
AT_ONCE = 8  #: deliveries under way at the same time


@dataclass(frozen=True, slots=True)
class Claim:
    """An approved draft whose attempt is about to begin: its intent is on record."""

    held: Held
    kind: Kind
    content: bytes
    files: dict[str, bytes]  #: its attachments, by SHA-256
    number: int  #: of the delivery
    is_look_up: bool = False  #: only ask the destination whether an earlier attempt arrived


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an attempt came to."""

    state: State
    note: str = ""
    receipt: dict[str, Any] | None = None


@dataclass(slots=True)
class Outbox:
    """Carries approved drafts to the world, each once."""

    home: Path
    store: Store
    stop: Stop
    children: Children
    sync: Callable[[], None]  #: puts the journal on disk; raises `JournalError`
    current: Callable[[Kind], Kind | None]  #: the kind as its code is now; None when it is gone or broken
    secret: Callable[[str], str | None]
    say: Callable[..., None]
    rehearsal: str = ""  #: address of the stand-in that takes every request; empty: the real world
    mail: str = ""  #: in a rehearsal, the address of the stand-in that takes mail
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
        return Claim(held, now, content, files, number)

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
        """Give each waiting draft whose kind's code changed a new revision, to be read and approved anew."""
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
        now = self.current(kind)
        if isinstance(files, Refusal):
            return
        if held.state is not State.UNCERTAIN or attempt is None or now is None or now.source != kind.source:
            return
        if now.finds:
            self.stop.ask(Door.DELIVERY)
            await self._attempt(Claim(held, now, content, files, attempt.id, is_look_up=True))
        elif attempt.may_repeat and self.store.clock.now() < held.expires and self._is_known(now, attempt):
            self.stop.ask(Door.DELIVERY)
            with self.store.change() as tx:
                number = deliveries.begin(tx, held, attempt.key, repeats=True)
            self.sync()
            await self._attempt(Claim(held, now, content, files, number))

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
            outcome = await self._in_child(claim)
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

    async def _in_child(self, claim: Claim) -> Outcome | None:
        """What the child says of its attempt; None when a look-up was cut short, which changes nothing."""
        has_begun = False

        def begin(child: Child) -> None:
            nonlocal has_begun
            self.children.spare(child)
            try:
                self.stop.ask(Door.DELIVERY)  # the last look before the outside
            except StoppedError:
                self.children.spare(child, is_spared=False)
                self.children.kill(child)
                raise
            has_begun = True

        try:
            async with self.children.fork(lambda line: self._printed(claim, line)) as child:
                async with asyncio.timeout(ATTEMPT_S):
                    return await self._converse(claim, child, begin)
        except TimeoutError:
            reason = f"it took longer than {ATTEMPT_S:g} s"
        except RunnerError as error:
            reason = str(error)
        except Exception as error:  # noqa: BLE001 - whatever happened, what has begun may have arrived
            reason = f"{type(error).__name__}: {error}"
        return self._broken_off(claim, self._clean(reason), has_begun=has_begun)

    def _broken_off(self, claim: Claim, reason: str, *, has_begun: bool) -> Outcome | None:
        if claim.is_look_up or claim.held.state is State.UNCERTAIN:
            return None
        return Outcome(State.UNCERTAIN if has_begun else State.PENDING, reason)

    async def _converse(self, claim: Claim, child: Child, begin: Callable[[Child], None]) -> Outcome:
        await child.send(self._order(claim))
        while (message := await child.receive()) is not None:
            match message.get("op"):
                case "ready":
                    begin(child)
                    await child.send({"re": message.get("id"), "ok": None})
                case "delivered":
                    receipt = _receipt(message.get("receipt"))
                    return Outcome(
                        State.DELIVERED,
                        receipt={name: self._clean(text) for name, text in receipt.items()},
                    )
                case "not_found" if claim.is_look_up:
                    return Outcome(State.PENDING, "it was not delivered: the destination has not received it")
                case "not_delivered":
                    return _refused(claim, self._clean(said.short(message.get("error"))))
                case "uncertain":
                    raise RunError(said.short(message.get("error")))
        raise RunError(f"the child that delivered it ended without a word ({await child.ended})")

    def _order(self, claim: Claim) -> dict[str, Any]:
        content, kind = claim.content.decode(), claim.kind
        folder = self.home / ".runner" / "deliveries"
        return {
            "op": "deliver",
            "memory": MEMORY_MB,
            "folder": str(folder),
            "seal": seal.of_delivery(self.home, folder, kind.writes, self.children.user),
            "environment": seal.environment(folder),
            "home": str(self.home),
            "tasks": str(self.home / "tasks"),
            "file": kind.file,
            "module": kind.module,
            "title": kind.title,
            "source": kind.code,
            "kind": kind.model_dump(mode="json"),
            "content": content,
            "digest": claim.held.digest,
            "fields": json.loads(content)["fields"],
            "files": {sha256: base64.b64encode(each).decode() for sha256, each in claim.files.items()},
            "key": key_of(claim.held),
            "secrets": self._secrets(kind),
            "rehearsal": self.rehearsal,
            "mail": self.mail,
            "look_up": claim.is_look_up,
        }

    def _secrets(self, kind: Kind) -> dict[str, str]:
        """The secrets that a kind names, and no one of the runner's own."""
        names = [name for name in kind.secrets if name not in PRIVATE]
        found = {name: value for name in names if (value := self.secret(name)) is not None}
        self.children.veil.learn(*found.values())
        return found

    def _clean(self, reason: str) -> str:
        """Why it was broken off, in words that can be kept."""
        return self.children.veil.over(reason).encode(errors="replace").decode()

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

    def _printed(self, claim: Claim, line: str) -> None:
        self.say("info", line, draft=claim.held.id, source="print")

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


def key_of(held: Held) -> str:
    """The idempotency key: the same for the same content, so that a destination which dedupes takes it once."""
    return held.digest[:40]


def _receipt(said: Any) -> dict[str, Any]:
    """What the child says that the destination answered, kept within bounds."""
    known = said if isinstance(said, dict) else {}
    return {name: str(known.get(name, ""))[:RECEIPT_MAX] for name in ("id", "url", "detail")}


def _refused(claim: Claim, reason: str) -> Outcome:
    """Certainly not delivered, by this attempt; of an earlier one, whose end is unknown, that says nothing."""
    if claim.held.state is State.UNCERTAIN:
        raise RunError(reason)
    return Outcome(State.FAILED, reason)
