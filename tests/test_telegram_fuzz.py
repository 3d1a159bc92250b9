"""Whatever comes in, in whatever order and however often: it decides nothing that it should not, and breaks nothing."""

from __future__ import annotations

import json
import random
import tempfile
from collections import Counter
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phones import APPROVE, GROUP, OWNER, STRANGER
from pydantic import SecretStr
from test_store import put

from runner import settings as settings_room
from runner.errors import RunnerError
from runner.gate import State
from runner.review.desk import Desk
from runner.review.telegram.phone import Neighbours, Phone
from runner.stop import Stop
from runner.store import drafts, phone
from runner.store.store import Store
from runner.tables import Reviewer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.no_cover

BATCH = 500
BOB = 52  #: listed, and nothing of this is his to decide
MEMORY = Path("/dev/shm")  #: a folder that no fsync slows down, where there is one


class Deaf:
    """A phone whose line is cut: it handles what it is given, and what it would send stays in the store."""

    def __init__(self, home: Path) -> None:
        people = {"bob": Reviewer(id=BOB, tasks=("other",))}
        known = settings_room.load(home).model_copy(
            update={"telegram_owners": (OWNER,), "telegram_token": SecretStr("1:x"), "reviewers": people}
        )
        self.said: list[str] = []
        self.store = Store(f"sqlite:///{home}/store.db")
        self.store.open()
        self.desk = Desk(self.store, Stop(home / "STOP", self._say))
        others = Neighbours(dict, self._submit, self._say, lambda: (0, ""), self._say)
        self.phone = Phone(known, self.store, self.desk, "1:x", others)
        self._messages = 0

    def _say(self, *words: Any, **about: Any) -> None:
        self.said.append(" ".join(str(each) for each in words))

    def _submit(self, task: str, number: str) -> str:
        return number

    def draft(self, name: str) -> dict[str, Any]:
        """A draft whose card is shown; that message as Telegram has it."""
        with self.store.change() as tx:
            put(tx, name, f"the text of {name}")
            self.phone.cards.issue(tx, name)
        return self.shown(name)

    def shown(self, name: str) -> dict[str, Any]:
        """Have each message of a draft's newest card accepted; the last of them."""
        with self.store.change() as tx:
            (card,) = phone.cards_of(tx.connection, name)
            for post in phone.posts_of(tx.connection, card.id):
                self._accept(tx, post)
        with self.store.read() as connection:
            post = phone.posts_of(connection, card.id)[-1]
        wanted = json.loads(post.wanted)
        keyboard = {"inline_keyboard": wanted.get("buttons", [])}
        chat = {"id": OWNER, "type": "private"}
        look = {"text": wanted["text"], "entities": wanted["entities"], "reply_markup": keyboard}
        return {"message_id": post.message, "chat": chat, "date": 1, **look}

    def _accept(self, tx: Any, post: Any) -> None:
        self._messages += 1
        claimed = phone.claim_post(tx, post.id)
        if claimed is None:
            return
        wanted = json.loads(post.wanted)
        look = {"text": wanted["text"], "entities": wanted["entities"], "file": None, "size": None}
        phone.shown(tx, claimed, self._messages, look)
        self.phone.cards.accepted(tx, claimed, look)

    def hears(self, updates: list[dict[str, Any]]) -> None:
        """Take updates in as the poll does."""
        self.phone.poll.keep(updates)
        self.phone.poll.catch_up()

    def states(self) -> Counter[str]:
        """How many drafts are in each state."""
        with self.store.read() as connection:
            return Counter(row.state for row in drafts.listed(connection, frozenset(State)))


@contextmanager
def deaf() -> Iterator[Deaf]:
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        found = Deaf(Path(folder))
        try:
            yield found
        finally:
            found.store.close()


def tap(number: int, message: dict[str, Any], words: str, person: int = OWNER) -> dict[str, Any]:
    """An update: a tap on a button of a message."""
    rows = message["reply_markup"]["inline_keyboard"]
    data = next(each["callback_data"] for row in rows for each in row if each["text"] == words)
    query = {"id": f"{number}", "from": {"id": person, "is_bot": False}, "message": message, "data": data}
    return {"update_id": number, "callback_query": query}


JUNK: list[Any] = [
    None,
    "",
    "x" * 5000,
    -1,
    0,
    1.5,
    1 << 70,
    True,
    [],
    {},
    [[]],
    {"id": STRANGER},
    "\ud800",
    "\x00",
]
WORDS: list[dict[str, Any]] = [
    {"from": {"id": OWNER}, "text": "approve"},
    {"from": {"id": OWNER}, "text": "/approve draft1"},
    {"from": {"id": OWNER}, "text": "/stop", "forward_origin": {"type": "user"}},
    {"from": {"id": OWNER}, "text": "/stop", "chat": {"id": GROUP, "type": "supergroup"}},
    {"from": {"id": STRANGER}, "text": "/stop"},
    {"from": {"id": OWNER, "is_bot": True}, "text": "/stop"},
]


def fuzz(chance: random.Random, number: int, card: dict[str, Any]) -> dict[str, Any]:
    """A tap on the card of which at least one thing that matters is wrong, or words that mean nothing."""
    update: dict[str, Any] = json.loads(json.dumps(tap(number, card, APPROVE)))
    query = update["callback_query"]
    match chance.randrange(5):
        case 0 | 1:
            spoil_message(chance, query["message"])
        case 2 | 3:
            spoil_query(chance, query)
        case _:
            words = chance.choice([{"message": {**card, **chance.choice(WORDS)}}, {"edited_message": card}])
            return {"update_id": number, **chance.choice([words, {"callback_query": chance.choice(JUNK)}])}
    return update


def spoil_message(chance: random.Random, message: dict[str, Any]) -> None:
    match chance.randrange(6):
        case 0:
            message["text"] += chance.choice(" x\u200b")
        case 1:
            message["entities"] = [{"type": "bold", "offset": 0, "length": 1}]
        case 2:
            message["message_id"] += chance.choice([-1, 1, 99])
        case 3:
            message["chat"] = {"id": chance.choice([GROUP, STRANGER, OWNER]), "type": "supergroup"}
        case 4:
            message["chat"]["type"] = chance.choice(["channel", "group", ""])
        case _:
            message[chance.choice(["message_id", "chat", "text", "entities"])] = chance.choice(JUNK)


def spoil_query(chance: random.Random, query: dict[str, Any]) -> None:
    match chance.randrange(5):
        case 0:
            query["from"]["id"] = chance.choice([STRANGER, BOB, 0, -OWNER, OWNER + 1])
        case 1:
            query["data"] = "".join(chance.choices("abcABC123-_", k=chance.randrange(64)))
        case 2:
            query["data"] = query["data"][:-1] + chance.choice("!é ")
        case 3:
            query[chance.choice(["from", "message", "data"])] = chance.choice(JUNK)
        case _:
            del query[chance.choice(["from", "message", "data"])]


@pytest.mark.timeout(900)
def test_promise_7_fuzzed_updates_decide_nothing_and_break_nothing(pytestconfig: pytest.Config) -> None:
    count, seed = pytestconfig.getoption("--updates"), random.randrange(1 << 32)
    print(f"seed {seed}")  # noqa: T201 - shown when the test fails
    chance = random.Random(seed)
    with deaf() as it:
        card = it.draft("draft1")
        other = it.draft("draft2")
        for begin in range(1, count + 1, BATCH):
            it.hears(
                [fuzz(chance, number, chance.choice([card, other])) for number in range(begin, begin + BATCH)]
            )
            card, other = it.shown("draft1"), it.shown("draft2")  # what was in doubt was replaced
        assert it.states() == {"pending": 2}
        assert it.desk.stop.reason is None
        assert [words for words in it.said if "could not be handled" in words] == []
        with it.store.read() as connection:
            assert phone.unhandled(connection) == []
        it.hears([tap(count + BATCH + 1, card, APPROVE)])
        assert it.states() == {"pending": 1, "approved": 1}


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_promise_6_updates_repeated_and_permuted_change_nothing(data: st.DataObject) -> None:
    with deaf() as it:
        cards = [it.draft(name) for name in ("draft1", "draft2")]
        taps = [tap(100 + place, card, APPROVE) for place, card in enumerate(cards)]
        taps += [tap(110 + place, card, APPROVE) for place, card in enumerate(cards)]
        often = [each for each in taps for _ in range(data.draw(st.integers(0, 5)))]
        order = data.draw(st.permutations(often))
        tapped = {each["callback_query"]["message"]["message_id"] for each in often}
        while order:
            cut = data.draw(st.integers(1, len(order)))
            it.hears(order[:cut])
            order = order[cut:]
        assert it.states()["approved"] == len(tapped)
        assert it.states()["pending"] == 2 - len(tapped)
        names = [json.loads(body)["event"] for _, body in it.store.events_after(0)]
        assert names.count("draft.approved") == len(tapped)


@given(
    st.lists(st.sampled_from(["approve", "reject", "expire", "stop", "edit", "tap"]), min_size=2, max_size=6)
)
@settings(max_examples=40, deadline=None)
def test_promise_8_whoever_comes_first_has_decided_and_no_card_says_otherwise(acts: list[str]) -> None:
    with deaf() as it:
        it.phone.feed.begin()
        card = it.draft("draft1")
        digest = it.desk.sheet("draft1").held.digest
        doings: dict[str, Callable[[], Any]] = {
            "approve": lambda: it.desk.approve("draft1", digest, "ana"),
            "reject": lambda: it.desk.reject("draft1", digest, "ana"),
            "edit": lambda: it.desk.edit("draft1", digest, "ana", {"text": "other"}),
            "expire": lambda: expire(it),
            "stop": lambda: it.desk.halt("ana"),
        }
        for number, act in enumerate(acts):
            if act == "tap":
                it.hears([tap(number + 1, card, APPROVE)])
            else:
                with suppress(RunnerError):
                    doings[act]()
        while it.phone.feed.step():
            pass
        state = it.desk.sheet("draft1").held.state
        with it.store.read() as connection:
            lines = [
                json.loads(post.wanted).get("line") or ""
                for row in phone.cards_of(connection, "draft1")
                for post in phone.posts_of(connection, row.id)
            ]
        words = {State.APPROVED: "✅ approved", State.REJECTED: "❌ rejected", State.EXPIRED: "⌛"}
        for other, word in words.items():
            assert state is other or all(word not in line for line in lines), (state, lines)


def expire(it: Deaf) -> None:
    with it.store.change() as tx:
        held = drafts.held(tx.connection, "draft1")
        if held.state is State.PENDING:
            drafts.move(tx, held, State.EXPIRED, note="nobody decided in time")
            tx.tell("draft.expired", draft="draft1", task="greet", digest=held.digest)
