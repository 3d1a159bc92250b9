"""Asks a person for words: a message that wants a reply, and a row that says what the reply is for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runner.attachment import attachments
from runner.errors import RunnerError, StoreError
from runner.review.console import editing
from runner.review.telegram.answer import NOTHING, Answer, message, refusal
from runner.review.telegram.card import said
from runner.store import drafts, phone

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Row

    from runner.review.desk import Desk
    from runner.review.telegram.cards import Cards
    from runner.review.telegram.read import Said, Tap
    from runner.review.telegram.reviewers import Reviewers
    from runner.store.store import Store, Transaction

QUESTIONS = {
    "edit_field": "Send the new text of {argument} of draft {draft}, as a reply to this. It will ask again before it goes anywhere.",
    "revise": "What is to change in draft {draft}? Send it as a reply to this.",
    "reason": "Why not draft {draft}? Send it as a reply to this; the task is told.",
}
FIELDS_MOST = 40  #: a draft of more fields is edited at the terminal


@dataclass(slots=True)
class Asks:
    """Conversations, each of one question and one answer, which outlive a crash."""

    store: Store
    desk: Desk
    cards: Cards
    reviewers: Reviewers
    frozen: Callable[[], str]

    def begin(self, tap: Tap, button: Row[Any]) -> Answer:
        """Ask the person who tapped."""
        if button.action != "edit":
            return self._ask(tap, button, button.action, button.argument)
        with self.store.read() as connection:
            whole = drafts.fields_of(connection, button.draft)
        fields = [name for name, value in whole.items() if not any(attachments(value))]
        if not fields:
            return refusal("It holds nothing but files, which nobody edits; approve or reject it.")
        if len(fields) == 1:
            return self._ask(tap, button, "edit_field", fields[0])
        if len(fields) > FIELDS_MOST:
            return refusal(
                f"It has {len(fields)} fields; edit it at the terminal: runner edit {button.draft}"
            )
        rows = [[(said(name, 60) or "·", "edit_field", name)] for name in fields]

        def put(tx: Transaction) -> None:
            post = phone.post(tx.connection, button.post)
            row = phone.card(tx.connection, post.card)
            if row.state == "live":
                self.cards.put_buttons(tx, row, [*rows, [("← Back", "back", "")]])

        return Answer("Which field?", then=(put,))

    def _ask(self, tap: Tap, button: Row[Any], action: str, argument: str) -> Answer:
        words = QUESTIONS[action].format(draft=button.draft, argument=said(argument, 60))

        def put(tx: Transaction) -> None:
            wanted = {"text": words, "entities": [], "asks": True, "reply_to": tap.message}
            number = phone.add_post(tx, tap.chat.id, "ask", wanted, rank=phone.FIRST)
            phone.ask(tx, number, tap.person, button.draft, button.digest, action, argument)

        return Answer("Send your words as a reply.", then=(put,))

    def hear(self, words: Said) -> Answer:
        """A reply: to a question of ours, or to a card, which is feedback once it is confirmed."""
        with self.store.read() as connection:
            post = phone.said(connection, words.chat.id, words.reply_to or 0)
            asked = phone.asked(connection, post.id) if post is not None else None
            row = phone.card(connection, post.card) if post is not None and post.card is not None else None
        if asked is not None:
            return self._answered(words, asked)
        return self._offer(words, row) if row is not None and row.state == "live" else NOTHING

    def _may(self, words: Said, draft: str) -> str:
        """Why this person's words are not taken; empty when they are."""
        with self.store.read() as connection:
            subject = self.cards.subject(connection, draft)
        if not self.reviewers.may_decide(words.person, subject):
            return f"Drafts of {subject.task} are not yours to decide."
        reason = self.frozen()
        return f"Decisions by Telegram are frozen: {reason}" if reason else ""

    def _answered(self, words: Said, asked: Row[Any]) -> Answer:
        if words.person != asked.person:
            return NOTHING
        if reason := self._may(words, asked.draft):
            return self._reply(words, reason)
        try:
            return self._reply(words, self._take(words, asked))
        except StoreError:
            raise  # no refusal: nothing was judged
        except RunnerError as error:
            return self._reply(words, f"Nothing was changed: {error}")

    def _take(self, words: Said, asked: Row[Any]) -> str:
        by = self.reviewers.name(words.person)
        match asked.action:
            case "edit_field":
                with self.store.read() as connection:
                    fields = drafts.fields_of(connection, asked.draft)
                new = editing.changed(fields, [f"{asked.argument}={words.text}"])
                self.desk.edit(asked.draft, asked.digest, by, new)
                return f"Draft {asked.draft} has your words now. Its new card waits for a yes."
            case "revise":
                self.desk.revise(asked.draft, asked.digest, by, words.text)
                return f"Draft {asked.draft} is being revised."
        self.desk.reject(asked.draft, asked.digest, by, words.text)
        return f"Rejected {asked.draft}; the task is told why."

    def _offer(self, words: Said, row: Row[Any]) -> Answer:
        """Words that were not asked for decide nothing before a tap says so."""
        if reason := self._may(words, row.draft):
            return self._reply(words, reason)

        def put(tx: Transaction) -> None:
            text = f"Send draft {row.draft} back with these words?"
            wanted = {"text": text, "entities": [], "reply_to": words.message}
            number = phone.add_post(tx, words.chat.id, "answer", wanted, rank=phone.FIRST)
            rows = [[("🔁 Yes, revise", "revise_with", words.text)]]
            keyboard = phone.put_buttons(tx, number, rows, row.draft, row.digest)
            phone.want(tx, phone.post(tx.connection, number), buttons=keyboard)

        return Answer(then=(put,))

    def _reply(self, words: Said, text: str) -> Answer:
        return Answer(then=(message(words.chat.id, [text], reply_to=words.message),))
