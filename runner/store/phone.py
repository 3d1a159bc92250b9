"""What the phone told us and was told: updates, cards, the messages of each chat, and the buttons under them."""

from __future__ import annotations

import json
import secrets
from itertools import chain
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, bindparam, case, delete, func, insert, or_, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from runner.clock import stamp
from runner.store.schema import asks, buttons, cards, meta, posts, updates

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from runner.store.store import Transaction

NONCE_BYTES = 24  #: 192 random bits, which nobody guesses
FIRST, CARD, LAST = range(3)  #: ranks: answers and what was decided; what is to be decided; what is only told
NO_CHAT = -(1 << 63)  #: before every chat that there is

Rows = list[list[tuple[str, str, str]]]  #: of buttons: words, action, argument

# what every turn asks is put together once
_WORD = select(meta.c.value).where(meta.c.name == bindparam("name"))
_UNHANDLED = select(updates.c.id, updates.c.body).where(updates.c.handled.is_(None)).order_by(updates.c.id)
_WAITS = posts.c.state == "waiting"
_CHAT = select(func.min(posts.c.chat)).where(_WAITS, posts.c.chat > bindparam("after"))
_BUSY = select(posts.c.chat).where(posts.c.state == "sending")
_FIRST = (
    select(posts)
    .where(_WAITS, posts.c.chat == bindparam("chat"), posts.c.chat.not_in(_BUSY))
    .where(or_(posts.c.not_before.is_(None), posts.c.not_before <= bindparam("now")))
    .order_by(posts.c.rank, posts.c.id)
    .limit(1)
)
_NEXT = select(func.min(posts.c.not_before)).where(_WAITS, posts.c.not_before > bindparam("now"))
_SAID = upsert(meta)
_REMEMBER = _SAID.on_conflict_do_update(index_elements=["name"], set_={"value": _SAID.excluded.value})
_ADD_CARD, _ADD_POST = insert(cards), insert(posts)
_CARD = select(cards).where(cards.c.id == bindparam("number"))
_CARDS = (
    select(cards).where(cards.c.draft == bindparam("draft"), cards.c.state != "dead").order_by(cards.c.id)
)
_CARDS_IN = _CARDS.where(cards.c.chat == bindparam("chat"))
_SET_CARD = update(cards).where(cards.c.id == bindparam("number")).values(state=bindparam("now_is"))
_POST = select(posts).where(posts.c.id == bindparam("number"))
_POSTS = select(posts).where(posts.c.card == bindparam("number")).order_by(posts.c.place)
_WANT = (
    update(posts)
    .where(posts.c.id == bindparam("number"), posts.c.state != "dead")
    .values(version=posts.c.version + 1)
)
_WAKE = (
    update(posts).where(posts.c.id == bindparam("number"), posts.c.state == "shown").values(state="waiting")
)
_NOW_IS = case((posts.c.version > bindparam("sent"), "waiting"), else_="shown")
_SHOWN = (
    update(posts)
    .where(posts.c.id == bindparam("number"))
    .values(state=case((posts.c.state == "sending", _NOW_IS), else_=posts.c.state))
)
_CLAIM = update(posts).where(posts.c.id == bindparam("number"), _WAITS).values(state="sending")


def remember(tx: Transaction, name: str, value: str) -> None:
    """Keep a word about the phone itself."""
    tx.connection.execute(_REMEMBER, {"name": f"telegram.{name}", "value": value})


def remembered(connection: Connection, name: str) -> str:
    """That word; empty when there is none."""
    return connection.execute(_WORD, {"name": f"telegram.{name}"}).scalar() or ""


def receive(tx: Transaction, found: Iterable[Mapping[str, Any]]) -> None:
    """Keep updates that came, each once, with the offset that confirms them."""
    rows = [{"id": each["update_id"], "body": json.dumps(each), "received": stamp(tx.now)} for each in found]
    if rows:
        tx.connection.execute(upsert(updates).on_conflict_do_nothing(), rows)
        remember(tx, "offset", str(max(row["id"] for row in rows) + 1))


def unhandled(connection: Connection) -> list[tuple[int, dict[str, Any]]]:
    """The updates that were kept and not handled, oldest first."""
    return [(row.id, json.loads(row.body)) for row in connection.execute(_UNHANDLED)]


def handled(tx: Transaction, *numbers: int) -> None:
    """Never handle these updates again."""
    tx.connection.execute(update(updates).where(updates.c.id.in_(numbers)).values(handled=stamp(tx.now)))


def forget(tx: Transaction, before: datetime) -> None:
    """Let go of updates handled before that: Telegram repeats none that is older than a day."""
    tx.connection.execute(delete(updates).where(updates.c.handled < stamp(before)))


def begin_anew(tx: Transaction) -> None:
    """Forget what another bot heard and said: nothing of it can be tapped or changed by this one."""
    tx.connection.execute(delete(updates))
    disarm(tx)
    tx.connection.execute(delete(asks))
    tx.connection.execute(update(posts).values(state="dead"))
    tx.connection.execute(update(cards).values(state="dead"))
    remember(tx, "offset", "")


def add_card(tx: Transaction, draft: str, digest: str, chat: int, tries: int) -> int:
    """A new card, on its way; its number."""
    row = {"draft": draft, "digest": digest, "chat": chat, "tries": tries}
    done = tx.connection.execute(_ADD_CARD, {"state": "sending", "created": stamp(tx.now), **row})
    assert done.inserted_primary_key is not None
    return int(done.inserted_primary_key[0])


def card(connection: Connection, number: int) -> Row[Any]:
    """A card's row."""
    return connection.execute(_CARD, {"number": number}).one()


def cards_of(connection: Connection, draft: str, chat: int | None = None) -> list[Row[Any]]:
    """The cards of a draft that are not dead, oldest first; `chat` None is in every chat."""
    query = _CARDS if chat is None else _CARDS_IN
    return list(connection.execute(query, {"draft": draft, "chat": chat}))


def set_card(tx: Transaction, number: int, state: str) -> None:
    """Change a card's state."""
    tx.connection.execute(_SET_CARD, {"number": number, "now_is": state})


def add_post(
    tx: Transaction,
    chat: int,
    topic: str,
    wanted: Mapping[str, Any],
    *,
    rank: int = CARD,
    card: int | None = None,
    place: int = 0,
    file: str | None = None,
    not_before: datetime | None = None,
) -> int:
    """A message that is to be sent, at once or not before an instant; its number."""
    row = {
        "chat": chat,
        "topic": topic,
        "rank": rank,
        "card": card,
        "place": place,
        "file": file,
        "wanted": json.dumps(wanted),
        "version": 1,
        "state": "waiting",
        "not_before": stamp(not_before) if not_before else None,
        "created": stamp(tx.now),
    }
    done = tx.connection.execute(_ADD_POST, row)
    assert done.inserted_primary_key is not None
    return int(done.inserted_primary_key[0])


def want(tx: Transaction, post: Row[Any], **changes: Any) -> None:
    """Have a message say something else in these parts; what it says already is left alone."""
    wanted = json.loads(post.wanted)
    if all(wanted.get(name) == value for name, value in changes.items()):
        return
    rank = LAST if post.rank == LAST else FIRST
    values = {"wanted": json.dumps({**wanted, **changes}), "rank": rank}
    tx.connection.execute(_WANT, {"number": post.id, **values})
    tx.connection.execute(_WAKE, {"number": post.id})


def post(connection: Connection, number: int) -> Row[Any]:
    """A message's row."""
    return connection.execute(_POST, {"number": number}).one()


def posts_of(connection: Connection, number: int) -> list[Row[Any]]:
    """The messages of a card, in their order."""
    return list(connection.execute(_POSTS, {"number": number}))


def said(connection: Connection, chat: int, message: int) -> Row[Any] | None:
    """Our message with that id in that chat; None when it is none of ours."""
    return connection.execute(select(posts).where(posts.c.chat == chat, posts.c.message == message)).first()


def about(connection: Connection, topic: str, chat: int) -> Row[Any] | None:
    """The newest message in a chat about a topic."""
    query = select(posts).where(posts.c.topic == topic, posts.c.chat == chat, posts.c.state != "dead")
    return connection.execute(query.order_by(posts.c.id.desc()).limit(1)).first()


def rename(tx: Transaction, number: int, topic: str) -> None:
    """Have a message be about something else from now on."""
    tx.connection.execute(update(posts).where(posts.c.id == number).values(topic=topic))


def due(connection: Connection, now: datetime) -> list[Row[Any]]:
    """The message of each chat whose turn it is; a chat in which one is being sent has none.

    Each chat is looked up by itself, so that thousands of messages in a line cost no more than one.
    """
    found: list[Row[Any]] = []
    chat: int | None = NO_CHAT
    while (chat := connection.execute(_CHAT, {"after": chat}).scalar()) is not None:
        found += connection.execute(_FIRST, {"chat": chat, "now": stamp(now)})
    return sorted(found, key=lambda each: int(each.id))


def next_post(connection: Connection, now: datetime) -> str | None:
    """When the next message that waits for its hour is to be sent."""
    found: str | None = connection.execute(_NEXT, {"now": stamp(now)}).scalar()
    return found


def count_waiting(connection: Connection) -> int:
    """How many messages wait to be sent."""
    query = select(func.count()).select_from(posts).where(posts.c.state.in_(("waiting", "sending")))
    return connection.execute(query).scalar_one()


def claim_post(tx: Transaction, number: int) -> Row[Any] | None:
    """Take a message to send it; None when somebody was faster, or it is no longer wanted."""
    is_claimed = tx.connection.execute(_CLAIM, {"number": number}).rowcount
    return post(tx.connection, number) if is_claimed else None


def shown(tx: Transaction, sent: Row[Any], message: int, returned: Mapping[str, Any]) -> None:
    """Telegram accepted what the row says; if more is wanted since, it waits again."""
    values = {"message": message, "returned": json.dumps(returned)}
    tx.connection.execute(_SHOWN, {"number": sent.id, "sent": sent.version, **values})


def put_back(tx: Transaction, number: int) -> None:
    """A message that was not accepted waits again."""
    query = update(posts).where(posts.c.id == number, posts.c.state == "sending")
    tx.connection.execute(query.values(state="waiting"))


def sending(connection: Connection) -> list[Row[Any]]:
    """The messages whose sending a crash cut off."""
    return list(connection.execute(select(posts).where(posts.c.state == "sending")))


def kill_post(tx: Transaction, number: int) -> None:
    """A message that is not to be sent or changed any more; its buttons mean nothing."""
    tx.connection.execute(update(posts).where(posts.c.id == number).values(state="dead"))
    tx.connection.execute(delete(buttons).where(buttons.c.post == number))


def put_buttons(
    tx: Transaction, number: int, rows: Rows, draft: str | None = None, digest: str | None = None
) -> list[list[dict[str, str]]]:
    """Buttons for a message in the place of those it has, as Telegram takes them.

    Each has a nonce of its own; one that stays keeps it.
    """
    of = (buttons.c.post == number, buttons.c.draft.is_(draft), buttons.c.digest.is_(digest))
    query = select(buttons.c.action, buttons.c.argument, buttons.c.nonce).where(*of)
    known = {(row.action, row.argument): row.nonce for row in tx.connection.execute(query)}
    wanted = [(action, argument) for row in rows for _, action, argument in row]
    nonces = {key: known.get(key) or secrets.token_urlsafe(NONCE_BYTES) for key in wanted}
    tx.connection.execute(
        delete(buttons).where(buttons.c.post == number, buttons.c.nonce.not_in(list(nonces.values())))
    )
    about = {"post": number, "draft": draft, "digest": digest}
    for action, argument in wanted:
        row = upsert(buttons).values(
            nonce=nonces[action, argument], action=action, argument=argument, **about
        )
        tx.connection.execute(row.on_conflict_do_nothing())
    return [
        [{"text": words, "callback_data": nonces[action, argument]} for words, action, argument in row]
        for row in rows
    ]


def renew_buttons(tx: Transaction, number: int) -> None:
    """The buttons that a message is to have, with other nonces: those before mean nothing from now on."""
    row = post(tx.connection, number)
    keyboard = json.loads(row.wanted).get("buttons") or []
    for each in chain.from_iterable(keyboard):
        nonce = secrets.token_urlsafe(NONCE_BYTES)
        tx.connection.execute(
            update(buttons).where(buttons.c.nonce == each["callback_data"]).values(nonce=nonce)
        )
        each["callback_data"] = nonce
    if keyboard:
        want(tx, row, buttons=keyboard)


def disarm(tx: Transaction) -> None:
    """Have no button mean anything any more that is on a screen now, or on its way there."""
    tx.connection.execute(delete(buttons))


def with_buttons(connection: Connection) -> list[str]:
    """The drafts about which a button means something."""
    return list(
        connection.execute(select(buttons.c.draft).where(buttons.c.draft.is_not(None)).distinct()).scalars()
    )


def button(connection: Connection, nonce: str) -> Row[Any] | None:
    """What a button means; None when it means nothing, or no longer."""
    return connection.execute(select(buttons).where(buttons.c.nonce == nonce)).first()


def ask(
    tx: Transaction, number: int, person: int, draft: str, digest: str, action: str, argument: str = ""
) -> None:
    """Have a message ask a person for words about a draft."""
    row = {"post": number, "person": person, "draft": draft, "digest": digest}
    tx.connection.execute(insert(asks).values(action=action, argument=argument, **row))


def asked(connection: Connection, number: int) -> Row[Any] | None:
    """What a message asks; None when it asks nothing."""
    return connection.execute(select(asks).where(asks.c.post == number)).first()
