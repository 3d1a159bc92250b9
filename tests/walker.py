"""Who walks: carries the model beside the real runner, has both come to rest after each step, and compares."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant
from model import LASTS, Model, Paper
from phones import APPROVE, OWNER, buttons, said
from world import World

from runner.errors import GoneError, StoppedError
from runner.journal import verify
from runner.rehearsal.destination import Answers, DropsRequest, DropsResponse, Step
from runner.review.telegram.cards import LOST, NEWER
from runner.store import drafts, phone, stops
from runner.store.drafts import Origin
from runner.store.store import new_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from ground import Ground

FAULTS: dict[str, Step] = {
    "refused": Answers(422),
    "unsent": DropsRequest(),
    "unanswered": DropsResponse(),
}
KINDS = ("Plain", "Keyed", "Found")
UNDO, CAME, CAME_NOT = "↩️ Undo", "It was delivered", "It was not"
HEADING = re.compile(r"▌\w+ · draft (\w+) · revision (\d+)")

which = st.integers(0, 11)  #: of those that a rule may take
faults = st.sampled_from(["", "unanswered", *FAULTS, ""])
moments = st.integers(0, 40)  #: half milliseconds


def is_up(walk: Walker) -> bool:
    return walk.model.is_up


def goes(walk: Walker) -> bool:
    return walk.model.is_up and not walk.model.is_stopped and not walk.model.file


def has_line(walk: Walker) -> bool:
    return walk.world.telegram is not None and walk.model.is_up


def mostly(walk: Walker) -> bool:
    """While the runner goes; now and then while it doesn't, since much must be refused then."""
    return goes(walk) or walk.steps % 4 == 0


def has(state: str) -> Callable[[Any], bool]:
    return lambda walk: any(paper.state == state for paper in walk.model.papers.values())


class Walker(RuleBasedStateMachine):
    """The state of a walk, and what must be so after each step."""

    ground: ClassVar[Ground]
    walked: ClassVar[int] = 0  #: walks that came to their end

    def __init__(self) -> None:
        super().__init__()
        self.world: World
        self.model: Model
        self.steps = 0
        self.words = 0  # that were made up
        self.is_mute = False  # whether the journal met a full device
        self.old: list[tuple[dict[str, Any], str]] = []  # messages with buttons, as they once were
        self.updates: list[int] = []
        # yeses tapped while nobody listened: to which revision, and after how many stops
        self.late: list[tuple[Paper, int, int]] = []
        self.read: dict[tuple[str, int], str] = {}

    @initialize(chance=st.integers(0, 4), kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=3))
    def begin(self, chance: int, kinds: list[str]) -> None:
        self.world = World(self.ground, has_phone=chance == 4)
        self.model = Model(self.world.clock.now())
        for kind in ["Plain", *kinds]:
            self.propose(kind)
        self.settle()

    def new_words(self) -> str:
        self.words += 1
        return f"words {self.words}"

    def propose(self, kind: str) -> None:
        app, text, draft = self.world.app, self.new_words(), new_id()
        assert app is not None
        known = app._kinds_of(app.catalog.tasks["write"])[kind.lower()]
        with app.store.change() as tx:
            origin = Origin(task="write", run=self.world.had_run(tx), place=0, call=None)
            drafts.add(tx, draft, origin, known, {"text": text}, LASTS, 2)
        self.model.add(draft, kind.lower(), text)

    def pick(self, number: int, *states: str) -> tuple[str, Paper]:
        """A draft, rather one in those states."""
        found = [(name, paper) for name, paper in self.model.papers.items() if paper.state in states]
        among = found if found and number % 4 else list(self.model.papers.items())
        return among[number % len(among)]

    def uncertain(self, kind: str) -> list[tuple[str, Paper]]:
        """The drafts of a kind whose outcome is unknown."""
        papers = self.model.papers.items()
        return [(name, paper) for name, paper in papers if (paper.kind, paper.state) == (kind, "uncertain")]

    def decide(self, expected: bool, act: Callable[[], Any]) -> None:  # noqa: FBT001 - what the model says of it
        """Decide at the terminal; it must be taken exactly where the model takes it."""
        refusal = ""
        try:
            act()
        except (GoneError, StoppedError) as error:
            refusal = f"{type(error).__name__}: {error}"
        assert expected != bool(refusal), refusal or "taken, though it should be refused"

    def prepare(self, fault: str, goers: int = 1) -> str:
        """Have the one request that goes out meet that; a fault is for one alone."""
        if fault and goers == 1:
            self.world.destination.script(FAULTS[fault])
            return fault
        return ""

    def goers(self) -> int:
        due = [each for each in self.model.papers.values() if each.state == "approved"]
        is_free = self.model.is_up and not self.model.is_stopped
        return (
            len([each for each in due if each.hour is None or each.hour <= self.model.now]) if is_free else 0
        )

    def came_back(self, draft: str, paper: Paper) -> None:
        """It asks again: as it was, or as what the code makes of it now."""
        if self.world.rows()[draft].revision > paper.revision:
            assert paper.code != self.model.known
            paper.renew(paper.text, self.model.known)
        paper.back()

    def shown(self) -> list[tuple[dict[str, Any], str, str, int]]:
        """Each button of each card as it stands: message, words, draft, revision."""
        assert self.world.telegram is not None
        found = []
        for message in self.world.telegram.messages(OWNER):
            if (heading := HEADING.search(said(message))) is not None:
                found += [(message, words, heading[1], int(heading[2])) for words in buttons(message)]
        return found

    def judge(self) -> list[str]:
        """Whatever reached the destination must have been allowed to."""
        found = self.world.arrivals()
        for each in found:
            wrong = self.model.judge(
                json.loads(each.body), is_refused=each not in self.world.destination.effects
            )
            assert not wrong, wrong
        return [each.body.decode() for each in found]

    def settle(self, fault: str = "", *, is_followed: bool = False) -> None:
        """Let the runner and the model each come to rest, and compare."""
        self.ground.run(self.world.settle())
        self.judge()
        self.world.destination._script.clear()
        if is_followed and self.world.app is not None and self.world.app.stop.reason is not None:
            self.model.stop()
        self.model.settle(fault)

    @invariant()
    def all_is_as_it_should_be(self) -> None:
        self.steps += 1
        self.store_and_model_agree()
        self.stopped_is_stopped()
        self.cards_never_contradict_the_store()
        self.what_waits_is_asked_for()
        assert self.ground.troubles == []

    def store_and_model_agree(self) -> None:
        rows = self.world.rows()
        assert rows.keys() == self.model.papers.keys(), "a draft was lost, or came from nowhere"
        for draft, paper in self.model.papers.items():
            row = rows[draft]
            is_so = (str(row.state), row.revision) == (paper.state, paper.revision)
            assert is_so, (
                f"{draft} is {row.state} at {row.revision}; it should be {paper}; {self.world.told()}"
            )
            assert (row.state != "approved") or row.approved == row.digest
            if (draft, row.revision) not in self.read:
                self.read[draft, row.revision] = self.world.text(draft)
            assert self.read[draft, row.revision] == paper.text

    def stopped_is_stopped(self) -> None:
        with self.world.store.read() as connection:
            is_latched = stops.latched(connection) is not None
        assert is_latched == self.model.is_stopped
        if self.world.app is not None:
            assert (self.world.app.stop.reason is not None) == self.model.is_stopped

    def cards_never_contradict_the_store(self) -> None:
        if self.world.telegram is None or not self.model.is_up:
            return
        needs = {APPROVE: "pending", UNDO: "approved", CAME: "uncertain"}
        for _, words, draft, revision in self.shown():
            paper = self.model.papers[draft]
            if words in needs:
                assert (paper.state, paper.revision) == (needs[words], revision), f"{words} for {paper}"
        for message in self.world.telegram.messages(OWNER):
            heading = HEADING.search(said(message))
            if heading is not None and not any(word in said(message) for word in (NEWER, LOST)):
                self._check_fate(said(message), self.model.papers[heading[1]])

    def _check_fate(self, text: str, paper: Paper) -> None:
        for word, state in {"📬 delivered": "delivered", "❌ rejected by": "rejected"}.items():
            assert (word not in text) or paper.state == state, f"a card says {word} of {paper}"
        assert ("✅ approved by" not in text) or paper.state not in {"pending", "expired", "rejected"}

    def what_waits_is_asked_for(self) -> None:
        if self.world.telegram is None or not self.model.is_up or self.model.is_stopped:
            return
        with self.world.store.read() as connection:
            for draft, paper in self.model.papers.items():
                if paper.state in {"pending", "uncertain"}:
                    assert phone.cards_of(connection, draft), f"no card asks for {paper}"

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        self.ground.run(self.world.close())
        verdict = verify(self.world.home / "logs")
        assert verdict.problems == [], verdict.problems
        assert verdict.torn == 0
        type(self).walked += 1
