"""Follows what happens, event by event, and has the chats told: a place in the events that is kept with what it led to."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from runner.gate import OPEN
from runner.review.telegram.status import RUNS, TOLD
from runner.store import drafts, phone

if TYPE_CHECKING:
    from runner.review.telegram.cards import Cards
    from runner.review.telegram.status import Status
    from runner.store.store import Store, Transaction

LOOK = 500  #: events that are looked at together; most lead to nothing
MOST = 20  #: what the events of one transaction may weigh, so that a tap never waits long
DEAR = 10  #: what one weighs that has cards or messages made; one of a run, which mostly leads to nothing, weighs 1
ANEW = 4  #: drafts whose cards are looked at anew in one transaction, where all are to be
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

    #: drafts whose cards are to be looked at anew, in order, and whether one that has none is to get one
    _again: dict[str, bool] = field(default_factory=dict)

    def begin(self) -> None:
        """Take up where it was left; at the very first, with what waits now."""
        with self.store.change() as tx:
            if not phone.remembered(tx.connection, "seen"):
                phone.remember(tx, "seen", str(self.store.last_seq_in(tx.connection)))
            self._again = dict.fromkeys(phone.with_buttons(tx.connection), False)
            self._again |= dict.fromkeys(drafts.open_ids(tx.connection), True)

    def step(self) -> bool:
        """Follow some events, and look at some cards anew; whether there may be more to do."""
        with self.store.read() as connection:
            seen = int(phone.remembered(connection, "seen") or 0)
        ahead, again = self.store.events_after(seen, LOOK), list(islice(self._again.items(), ANEW))
        if not ahead and not again:
            return False
        events, last = _some(ahead)
        with self.store.change() as tx:
            touched = [draft for event in events for draft in self._take(tx, event)]
            for draft in dict.fromkeys(touched):  # once for all that became of it
                self.cards.refresh(tx, draft)
                self.status.follow(tx, draft, self.cards.subject(tx.connection, draft))
            for draft, may_issue in again:
                self._look_anew(tx, draft, may_issue=may_issue)
            phone.remember(tx, "seen", str(max(seen, last)))
        for draft, _ in again:
            del self._again[draft]
        return bool(self._again) or (bool(ahead) and last < ahead[-1][0]) or len(ahead) == LOOK

    def _look_anew(self, tx: Transaction, draft: str, *, may_issue: bool) -> None:
        """Have what is shown of a draft be so; there may be thousands, so that it is done a few at a time."""
        self.cards.refresh(tx, draft)
        self.status.follow(tx, draft, self.cards.subject(tx.connection, draft), is_news=False)
        if may_issue:
            self.cards.issue_missing(tx, draft, self.status.held(tx.now))

    def _take(self, tx: Transaction, event: dict[str, Any]) -> list[str]:
        """Tell of one event; the drafts whose cards are to say anew what is so."""
        name, draft = str(event["event"]), str(event.get("draft") or "")
        self.status.tell(tx, event)
        if name in {"stop.engaged", "stop.released"}:
            self._again = dict.fromkeys(drafts.open_ids(tx.connection), False) | self._again
            return []
        if not draft or not name.startswith(TELLS):
            return []
        held = drafts.held(tx.connection, draft)
        is_asked = name in ASKS and held.state in OPEN and event.get("reason") != QUIETLY
        if is_asked and event.get("digest") == held.digest:
            self.cards.issue(tx, draft, self.status.held(tx.now) if name in CAN_WAIT else None)
        return [draft]


def _some(ahead: list[tuple[int, str]]) -> tuple[list[dict[str, Any]], int]:
    """The next few events that lead to something, and the number of the last that was looked at."""
    found: list[dict[str, Any]] = []
    last = weight = 0
    for seq, body in ahead:
        event = json.loads(body) if body else {}
        name = str(event.get("event"))
        if name in TOLD or name.startswith(TELLS):
            weight += 1 if name in RUNS else DEAR
            if weight > MOST:
                break
            found.append(event)
        last = seq
    return found, last
