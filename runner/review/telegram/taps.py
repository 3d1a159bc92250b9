"""Judges taps. What was tapped must be the live card that we sent, shown as we sent it, by one who may decide."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from runner.errors import GoneError, RunnerError, StoreError
from runner.gate import ASKED, State
from runner.review.telegram.answer import Answer, refusal
from runner.review.telegram.hours import free, later
from runner.store import drafts, phone, stops

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Row

    from runner.review.desk import Desk
    from runner.review.telegram.asks import Asks
    from runner.review.telegram.cards import Cards
    from runner.review.telegram.read import Tap
    from runner.review.telegram.reviewers import Reviewers
    from runner.store.phone import Rows
    from runner.store.store import Store, Transaction

REASONS = ("too long", "wrong tone", "not true", "not now")
OUTDATED = "This card is out of date. The newest one is below; /pending brings it again."
RENEWED = "This card was out of date; nothing was decided. It has new buttons in a moment."
HOURS: Rows = [
    [
        ("in 1 h", "later", "1h"),
        ("this evening", "later", "evening"),
        ("tomorrow morning", "later", "morning"),
    ],
    [("✅ Approve for the next free hour", "approve_at", "")],
    [("← Back", "back", "")],
]
ALTERED = "This is not the card as it was sent. A fresh one comes; nothing was decided."


def _is_as_sent(tap: Tap, post: Row[Any]) -> bool:
    """Whether the message that was tapped is, as Telegram returns it, the one that was sent."""
    return post.returned is not None and tap.returned == json.loads(post.returned)


def _reasons() -> Rows:
    """One-tap reasons for a no, two in a row."""
    buttons = [(reason, "reject", reason) for reason in REASONS]
    own = [("in my words…", "reason", ""), ("no reason", "reject", "")]
    return [buttons[:2], buttons[2:], own, [("← Back", "back", "")]]


@dataclass(slots=True)
class Taps:
    """Carries out what buttons mean."""

    store: Store
    desk: Desk
    cards: Cards
    reviewers: Reviewers
    asks: Asks
    frozen: Callable[[], str]  #: why nothing is decided by Telegram; empty when it is
    look_again: Callable[[], None]  #: at what became of uncertain deliveries

    def take(self, tap: Tap) -> Answer:
        """Judge a listed person's tap in a chat of ours, and carry it out if it is what it seems."""
        with self.store.read() as connection:
            button = phone.button(connection, tap.nonce)
            post = phone.post(connection, button.post) if button is not None else None
        if button is None or post is None or (post.chat, post.message) != (tap.chat.id, tap.message):
            return self._outdated(tap)
        if reason := self.frozen():
            self._refused(tap, button, reason)
            return refusal(f"Decisions by Telegram are frozen: {reason}")
        answer = (
            self._plain(tap, button, post) if button.draft is None else self._about_draft(tap, button, post)
        )
        if post.card is not None or answer.is_alert:
            return answer
        return replace(answer, then=(*answer.then, lambda tx: phone.want(tx, post, buttons=[])))

    def _outdated(self, tap: Tap) -> Answer:
        """A button that means nothing, or no longer; a draft that waits without a card gets one."""
        self._refused(tap, None, "the button means nothing, or no longer")
        with self.store.read() as connection:
            if (latch := stops.latched(connection)) is not None:
                return refusal(f"🛑 Stopped: {latch.reason}. Nothing is decided until /resume.")
            post = phone.said(connection, tap.chat.id, tap.message)
            row = phone.card(connection, post.card) if post is not None and post.card is not None else None
            if row is not None and row.state == "live":
                return Answer(RENEWED, is_alert=True, then=(lambda tx: self.cards.refresh(tx, row.draft),))
            if row is None or phone.cards_of(connection, row.draft, row.chat):
                return refusal(OUTDATED)
            is_waiting = drafts.held(connection, row.draft).state is State.PENDING
        return Answer(
            OUTDATED, is_alert=True, then=(lambda tx: self.cards.reissue(tx, row),) if is_waiting else ()
        )

    def _about_draft(self, tap: Tap, button: Row[Any], post: Row[Any]) -> Answer:
        with self.store.read() as connection:
            subject = self.cards.subject(connection, button.draft)
        if not self.reviewers.may_decide(tap.person, subject):
            self._refused(tap, button, "the draft is not this person's to decide")
            return refusal(f"Drafts of {subject.task} are not yours to decide.")
        if not _is_as_sent(tap, post):
            self._refused(tap, button, "the card was not as it was sent")
            return Answer(ALTERED, is_alert=True, then=(lambda tx: self._replace(tx, post),))
        return self._act(tap, button, post)

    def _replace(self, tx: Transaction, post: Row[Any]) -> None:
        row = phone.card(tx.connection, post.card) if post.card is not None else None
        if row is not None and row.state == "live":
            self.cards.reissue(tx, row)

    def _act(self, tap: Tap, button: Row[Any], post: Row[Any]) -> Answer:
        by = self.reviewers.name(tap.person)
        try:
            return self._carry_out(tap, button, post, by)
        except StoreError:
            raise  # no refusal: nothing was judged
        except RunnerError as error:
            # whoever was faster: the card says so
            return Answer(str(error), is_alert=True, then=(lambda tx: self.cards.refresh(tx, button.draft),))

    def _carry_out(self, tap: Tap, button: Row[Any], post: Row[Any], by: str) -> Answer:
        """The one place where a tap becomes a decision; the desk takes it or refuses it."""
        draft, digest, argument = button.draft, button.digest, button.argument
        match button.action:
            case "approve":
                is_enough = self.desk.approve(draft, digest, by)
                return Answer(
                    "Done" if is_enough else "Your yes is on record; it needs another person's too."
                )
            case "approve_at":
                hour = free(self.store, self.cards.zone)
                if not self.desk.approve(draft, digest, by, not_before=hour):
                    return Answer("Your yes is on record; it needs another person's too.")
                return Answer(f"Approved; it goes out {hour.astimezone(self.cards.zone):%a %H:%M}")
            case "reject":
                self.desk.reject(draft, digest, by, argument)
            case "revise_with":
                self.desk.revise(draft, digest, by, argument)
            case "undo":
                self.desk.undo(draft, by)
            case "resolve":
                self.desk.resolve(draft, by, was_delivered=argument == "yes")
            case _:
                return self._prepare(tap, button, post)
        return Answer("Done")

    def _prepare(self, tap: Tap, button: Row[Any], post: Row[Any]) -> Answer:
        """What decides nothing yet."""
        match button.action:
            case "ask_reason":
                return self._menu(post, _reasons())
            case "ask_hour":
                return self._menu(post, HOURS)
            case "back":
                return Answer(then=(lambda tx: self.cards.refresh(tx, button.draft),))
            case "later":
                return self._later(button, post)
            case "look":
                self.look_again()
                return Answer("The destination is being asked, where it can be.")
            case "edit" | "edit_field" | "revise" | "reason":
                return self.asks.begin(tap, button)
        raise GoneError(f"this button ({button.action}) means nothing any more")

    def _menu(self, post: Row[Any], rows: Rows) -> Answer:
        """Other buttons in the place of these."""

        def put(tx: Transaction) -> None:
            row = phone.card(tx.connection, post.card)
            if row.state == "live":
                self.cards.put_buttons(tx, row, rows)

        return Answer(then=(put,) if post.card is not None else ())

    def _later(self, button: Row[Any], post: Row[Any]) -> Answer:
        hour = later(button.argument, self.store.clock.now(), self.cards.zone)

        def put(tx: Transaction) -> None:
            held = drafts.held(tx.connection, button.draft)
            if held.state is State.PENDING and held.digest == button.digest:
                self.cards.issue_in(
                    tx, button.draft, post.chat, not_before=min(hour, held.expires - timedelta(hours=1))
                )

        return Answer(f"It comes again {hour.astimezone(self.cards.zone):%a %H:%M}", then=(put,))

    def _plain(self, tap: Tap, button: Row[Any], post: Row[Any]) -> Answer:
        """A button that is about no draft."""
        if not self.reviewers.is_owner(tap.person) or not _is_as_sent(tap, post):
            self._refused(tap, button, "it is the owner's to decide")
            return refusal("That is the owner's to decide.")
        try:
            if button.action == "resume":
                was_stopped = self.desk.resume(self.reviewers.name(tap.person))
                return Answer("Resumed: slots fire again." if was_stopped else "It goes already.")
        except StoreError:
            raise  # no refusal: nothing was judged
        except RunnerError as error:
            return refusal(str(error))
        return self._next(tap, button)

    def _next(self, tap: Tap, button: Row[Any]) -> Answer:
        """The next of the drafts that wait."""
        return Answer(then=(lambda tx: self.show(tx, tap.chat.id, tap.person, after=button.argument),))

    def show(self, tx: Transaction, chat: int, person: int, after: str = "") -> None:
        """The oldest draft that waits for this person, past that one, as a card; and a button for the next."""
        waiting = [
            row
            for row in drafts.listed(tx.connection, ASKED)
            if self.reviewers.may_decide(person, self.cards.about(row))
        ]
        ids = [row.id for row in waiting]
        rest = waiting[ids.index(after) + 1 :] if after in ids else waiting
        if not rest:
            self._say(tx, chat, "Nothing waits." if not waiting else "That was the last one that waits.")
            return
        self.cards.issue_in(tx, rest[0].id, chat)
        if len(rest) > 1:
            rows = [[("▶ Next", "next", rest[0].id)]]
            self._say(tx, chat, f"{len(rest) - 1} more wait.", rows)

    def _say(self, tx: Transaction, chat: int, text: str, rows: Rows | None = None) -> None:
        number = phone.add_post(tx, chat, "answer", {"text": text, "entities": []})
        if rows:
            phone.want(tx, phone.post(tx.connection, number), buttons=phone.put_buttons(tx, number, rows))

    def _refused(self, tap: Tap, button: Row[Any] | None, reason: str) -> None:
        self.store.tell(
            "decision.refused",
            level="warning",
            draft=button.draft if button is not None else None,
            decision=button.action if button is not None else "tap",
            by=self.reviewers.name(tap.person),
            reason=reason,
        )
