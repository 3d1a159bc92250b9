"""The cards of drafts: issued with each revision, kept true to the store, replaced when they are in doubt.

What a card says below its content, and which buttons it has, is always made from the store as it stands; so a card
never says what is not so, whoever decided and wherever.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from runner.attachment import attachments
from runner.draft import render
from runner.gate import ASKED, State
from runner.review.telegram.card import Face, Part, comparison, enclosures, is_unaltered, parts
from runner.review.telegram.difference import lines
from runner.review.telegram.post import composed
from runner.review.telegram.reviewers import Subject
from runner.review.telegram.wording import before, fate, head
from runner.store import drafts, phone, stops

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from sqlalchemy import Connection, Row

    from runner.review.telegram.reviewers import Reviewers
    from runner.store.phone import Rows
    from runner.store.store import Store, Transaction

AGAIN_S = 5.0  #: before a card takes the place of one that was lost; twice as long before each further one
AGAIN_MOST_S = 600.0
NEWER = "⤵ There is a newer card below; this one decides nothing."
LOST = "⤵ Telegram did not say whether this arrived; there is another card below."


@dataclass(slots=True)
class Cards:
    """Makes and keeps the cards."""

    store: Store
    reviewers: Reviewers
    zone: ZoneInfo
    sealing: Callable[[str], str]  #: whether a task is sealed, in words
    again_s: float = AGAIN_S

    def subject(self, connection: Connection, draft: str) -> Subject:
        """What a decision on the draft would be about."""
        return self.about(drafts.get(connection, draft))

    def about(self, row: Row[Any]) -> Subject:
        """The same, of a draft's row."""
        return Subject(row.task, row.kind, self.reviewers.label_of(row.task))

    def issue(self, tx: Transaction, draft: str, not_before: datetime | None = None) -> None:
        """A card of the newest revision in each chat that it concerns; the older ones are dead."""
        for chat in self.reviewers.chats_for(self.subject(tx.connection, draft)):
            self.issue_in(tx, draft, chat, not_before=not_before)

    def issue_in(
        self, tx: Transaction, draft: str, chat: int, *, tries: int = 0, not_before: datetime | None = None
    ) -> None:
        """A card in one chat, in the place of those it has there."""
        for old in phone.cards_of(tx.connection, draft, chat):
            self._kill(tx, old, NEWER)
        held, content = drafts.held(tx.connection, draft), drafts.content(tx.connection, draft)
        top = head(tx.connection, draft, content, self.zone, self.sealing)
        face = Face(draft, held.revision, held.digest, top)
        number = phone.add_card(tx, draft, held.digest, chat, tries)
        (last, was), new = before(tx.connection, draft), json.loads(content)["fields"]
        above = [
            *enclosures(list(attachments(new)), draft, held.revision),
            *comparison(lines(was, new), last, draft, held.revision),
        ]
        for place, part in enumerate([*above, *parts(render(content), face)]):
            phone.add_post(
                tx,
                chat,
                "card",
                _wanted(part),
                card=number,
                place=place,
                file=part.file,
                not_before=not_before,
            )

    def _kill(self, tx: Transaction, old: Row[Any], line: str) -> None:
        """Nothing can be decided on it any more; what was sent of it says so."""
        phone.set_card(tx, old.id, "dead")
        sent = [post for post in phone.posts_of(tx.connection, old.id) if post.message is not None]
        for post in phone.posts_of(tx.connection, old.id):
            if post.message is None:
                phone.kill_post(tx, post.id)
            else:
                phone.put_buttons(tx, post.id, [])
        if sent:
            phone.want(tx, sent[-1], line=line, buttons=[])

    def refresh(self, tx: Transaction, draft: str) -> None:
        """Have every card of the draft that is whole say what became of it."""
        for row in phone.cards_of(tx.connection, draft):
            if row.state == "live":
                self._refresh(tx, row)

    def _refresh(self, tx: Transaction, row: Row[Any]) -> None:
        held = drafts.held(tx.connection, row.draft)
        if held.digest != row.digest:
            self._kill(tx, row, NEWER)
            return
        line = fate(tx.connection, row.draft, self.zone)
        self.put_buttons(tx, row, choices(held.state, held.revisions_left, is_stopped=_is_stopped(tx)), line)

    def put_buttons(self, tx: Transaction, row: Row[Any], rows: Rows, line: str | None = None) -> None:
        """Buttons below the last message of a card, which is whole."""
        last = phone.posts_of(tx.connection, row.id)[-1]
        keyboard = phone.put_buttons(tx, last.id, rows, row.draft, row.digest)
        changes = {} if line is None else {"line": line}
        phone.want(tx, last, buttons=keyboard, **changes)

    def reissue(self, tx: Transaction, row: Row[Any]) -> None:
        """Another card in the place of one that is in doubt."""
        self.issue_in(tx, row.draft, row.chat)

    def accepted(self, tx: Transaction, post: Row[Any], returned: dict[str, Any]) -> None:
        """A message is shown: once it is all of its card's, unaltered, the buttons come."""
        if post.card is None:
            return
        row, wanted = phone.card(tx.connection, post.card), json.loads(post.wanted)
        if row.state != "sending":
            return
        if not is_unaltered({**wanted, "text": composed(wanted)}, returned):
            self._distrust(tx, row)
        elif all(each.message is not None for each in phone.posts_of(tx.connection, row.id)):
            phone.set_card(tx, row.id, "live")
            self._refresh(tx, phone.card(tx.connection, row.id))

    def _distrust(self, tx: Transaction, row: Row[Any]) -> None:
        self._kill(tx, row, f"⚠ Telegram changed this text. Decide at the terminal: runner show {row.draft}")
        tx.tell("card.altered", level="error", draft=row.draft, chat=row.chat)

    def lost(self, tx: Transaction, post: Row[Any]) -> None:
        """A message of a card may have arrived or not: the card is dead, another one comes."""
        if post.card is None:
            return
        row = phone.card(tx.connection, post.card)
        if row.state == "dead":
            return
        self._kill(tx, row, LOST)
        held = drafts.held(tx.connection, row.draft)
        if held.digest == row.digest:
            pause = min(self.again_s * 2**row.tries, AGAIN_MOST_S)
            hour = tx.now + timedelta(seconds=pause)
            self.issue_in(tx, row.draft, row.chat, tries=row.tries + 1, not_before=hour)

    def refused(self, tx: Transaction, post: Row[Any], reason: str) -> None:
        """Telegram takes a message under no circumstances: its card is dead, and that is told."""
        about = None
        if post.card is not None:
            row = phone.card(tx.connection, post.card)
            about = row.draft
            if row.state != "dead":
                self._kill(tx, row, LOST)
        tx.tell("telegram.refused", level="error", chat=post.chat, draft=about, reason=reason)

    def issue_missing(self, tx: Transaction, draft: str, not_before: datetime | None) -> None:
        """A card in each chat that the draft concerns, if it waits for a person and has none."""
        is_asked = drafts.held(tx.connection, draft).state in ASKED
        if is_asked and not phone.cards_of(tx.connection, draft):
            self.issue(tx, draft, not_before)


def _is_stopped(tx: Transaction) -> bool:
    return stops.latched(tx.connection) is not None


def _wanted(part: Part) -> dict[str, Any]:
    about = {"name": part.name, "form": part.form, "size": part.size, "sha256": part.sha256}
    return {"text": part.text, "entities": list(part.entities), **about}


def choices(state: State, revisions_left: int, *, is_stopped: bool) -> Rows:
    """The buttons for a draft in that state."""
    if is_stopped and state is not State.UNCERTAIN:
        return []
    match state:
        case State.PENDING:
            again = [("🔁 Revise", "revise", "")] if revisions_left else []
            return [
                [("✅ Approve", "approve", ""), ("❌ Reject", "ask_reason", "")],
                [("✏️ Edit", "edit", ""), *again, ("⏰ Later", "ask_hour", "")],
            ]
        case State.APPROVED:
            return [[("↩️ Undo", "undo", "")]]
        case State.UNCERTAIN:
            return [
                [("It was delivered", "resolve", "yes"), ("It was not", "resolve", "no")],
                [("🔎 Look again", "look", "")],
            ]
    return []
