"""Follows what happens, event by event, and has the chats told: a place in the events that is kept with what it led to."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runner.gate import OPEN
from runner.store import drafts, phone

if TYPE_CHECKING:
    from runner.review.telegram.cards import Cards
    from runner.review.telegram.status import Status
    from runner.store.store import Store, Transaction

BATCH = 50  #: events in one transaction, so that a tap never waits long
#: what asks for a decision anew
ASKS = frozenset({"draft.pending", "draft.revised", "draft.edited", "draft.returned", "delivery.failed"})
CAN_WAIT = frozenset({"draft.pending", "draft.returned"})  #: for the end of the quiet hours
TELLS = ("draft.", "delivery.")
QUIETLY = "undone"  #: the reason of a return that whoever tapped knows of


@dataclass(slots=True)
class Feed:
    """Turns events into cards and messages, each once."""

    store: Store
    cards: Cards
    status: Status

    def begin(self) -> None:
        """Take up where it was left; at the very first, with what waits now."""
        with self.store.change() as tx:
            if not phone.remembered(tx.connection, "seen"):
                phone.remember(tx, "seen", str(self.store.last_seq_in(tx.connection)))
            self.cards.reconcile(tx)

    def step(self) -> bool:
        """Follow some events; whether there may be more."""
        with self.store.read() as connection:
            seen = int(phone.remembered(connection, "seen") or 0)
        batch = self.store.events_after(seen, BATCH)
        if not batch:
            return False
        events = [json.loads(body) for _, body in batch if body]
        with self.store.change() as tx:
            for event in events:
                self._take(tx, event)
            phone.remember(tx, "seen", str(batch[-1][0]))
        return len(batch) == BATCH

    def _take(self, tx: Transaction, event: dict[str, Any]) -> None:
        name, draft = str(event["event"]), event.get("draft")
        if name in {"stop.engaged", "stop.released"}:
            for each in phone.living(tx.connection):
                self.cards.refresh(tx, each)
        elif draft and name.startswith(TELLS):
            self._about(tx, str(draft), name, event)
        self.status.tell(tx, event)

    def _about(self, tx: Transaction, draft: str, name: str, event: dict[str, Any]) -> None:
        state = drafts.held(tx.connection, draft).state
        is_asked = name in ASKS and state in OPEN and event.get("reason") != QUIETLY
        if is_asked and event.get("digest") == drafts.held(tx.connection, draft).digest:
            self.cards.issue(tx, draft, self.status.held(tx.now) if name in CAN_WAIT else None)
        else:
            self.cards.refresh(tx, draft)
        self.status.follow(tx, draft, self.cards.subject(tx.connection, draft))
