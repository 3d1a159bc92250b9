"""The messages of a chat: each sent by one, and again when something else is wanted of it meanwhile."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from runner.store import phone

if TYPE_CHECKING:
    from sqlalchemy import Row

    from runner.store.store import Store, Transaction

CHAT = 42


def claimed(tx: Transaction, number: int) -> Row[Any]:
    """The message, which nobody else sends."""
    row = phone.claim_post(tx, number)
    assert row is not None
    return row


def test_a_message_is_claimed_by_one_and_a_dead_one_by_none(store: Store) -> None:
    with store.change() as tx:
        number, dead = (phone.add_post(tx, CHAT, "card", {"text": text}) for text in ("a", "b"))
        phone.kill_post(tx, dead)
        claimed(tx, number)
        assert phone.claim_post(tx, number) is None
        assert phone.claim_post(tx, dead) is None
        assert phone.post(tx.connection, dead).state == "dead"


def test_what_is_wanted_of_a_message_while_it_is_sent_is_sent_after_it(store: Store) -> None:
    with store.change() as tx:
        number = phone.add_post(tx, CHAT, "card", {"text": "a"})
        sent = claimed(tx, number)
        phone.want(tx, sent, line="approved")
        phone.shown(tx, sent, 7, {"text": "a"})
        row = phone.post(tx.connection, number)
        assert (row.state, row.message) == ("waiting", 7)
        again = claimed(tx, number)
        assert json.loads(again.wanted) == {"text": "a", "line": "approved"}
        phone.shown(tx, again, 7, {"text": "a\napproved"})
        assert phone.post(tx.connection, number).state == "shown"


def test_a_message_that_is_shown_waits_again_once_something_else_is_wanted(store: Store) -> None:
    with store.change() as tx:
        number = phone.add_post(tx, CHAT, "card", {"text": "a"})
        sent = claimed(tx, number)
        phone.shown(tx, sent, 7, {"text": "a"})
        phone.want(tx, phone.post(tx.connection, number), text="a")
        assert phone.post(tx.connection, number).state == "shown"  # it says so already
        phone.want(tx, phone.post(tx.connection, number), line="rejected")
        assert phone.post(tx.connection, number).state == "waiting"


def test_a_message_that_is_dead_wants_nothing_more_whatever_arrives(store: Store) -> None:
    with store.change() as tx:
        number = phone.add_post(tx, CHAT, "card", {"text": "a"})
        sent = claimed(tx, number)
        phone.kill_post(tx, number)
        phone.want(tx, sent, line="approved")
        phone.shown(tx, sent, 7, {"text": "a"})
        row = phone.post(tx.connection, number)
        assert (row.state, json.loads(row.wanted)) == ("dead", {"text": "a"})
