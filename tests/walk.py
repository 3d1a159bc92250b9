"""The walk itself: each rule does one thing to the real runner and to the model beside it, then both must agree."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from model import LASTS, Model, Paper
from phones import APPROVE, OWNER, REJECT, buttons, said
from walking import Ground, World

from runner.errors import GoneError, RunnerError, StoppedError
from runner.journal import verify
from runner.rehearsal.destination import Answers, Delays, DropsRequest, DropsResponse, Step
from runner.review.telegram.cards import LOST, NEWER
from runner.store import drafts, phone, stops
from runner.store.drafts import Origin
from runner.store.store import new_id

if TYPE_CHECKING:
    from collections.abc import Callable

FAULTS: dict[str, Step] = {
    "refused": Answers(422),
    "unsent": DropsRequest(),
    "unanswered": DropsResponse(),
}
UNDO, LATER, EDIT, REVISE = "↩️ Undo", "⏰ Later", "✏️ Edit", "🔁 Revise"
CAME, CAME_NOT = "It was delivered", "It was not"
HEADING = re.compile(r"▌\w+ · draft (\w+) · revision (\d+)")

which = st.integers(0, 11)  #: of those that a rule may take
faults = st.sampled_from(["", "", *FAULTS])
moments = st.integers(0, 40)  #: half milliseconds


def is_up(walk: Walk) -> bool:
    return walk.model.is_up


def goes(walk: Walk) -> bool:
    return walk.model.is_up and not walk.model.is_stopped and not walk.model.file


def has_line(walk: Walk) -> bool:
    return walk.world.telegram is not None and walk.model.is_up


class Walk(RuleBasedStateMachine):
    """One walk."""

    ground: ClassVar[Ground]
    walked: ClassVar[int] = 0  #: walks that came to their end

    def __init__(self) -> None:
        super().__init__()
        self.world: World
        self.model: Model
        self.words = 0  # that were made up
        self.is_mute = False  # whether the journal met a full device
        self.old: list[tuple[dict[str, Any], str]] = []  # messages with buttons, as they once were
        self.updates: list[int] = []
        self.late: list[tuple[Paper, int]] = []  # yeses tapped while nobody listened
        self.read: dict[tuple[str, int], str] = {}

    @initialize(
        chance=st.integers(0, 4), kinds=st.lists(st.sampled_from(["Plain", "Keyed", "Found"]), max_size=3)
    )
    def begin(self, chance: int, kinds: list[str]) -> None:
        self.world = World(self.ground, has_phone=chance == 4)
        self.model = Model(self.world.clock.now())
        for kind in ["Plain", *kinds]:
            self._propose(kind)
        self.settle()

    # what tasks do

    def new_words(self) -> str:
        self.words += 1
        return f"words {self.words}"

    def _propose(self, kind: str) -> None:
        app, text, draft = self.world.app, self.new_words(), new_id()
        assert app is not None
        known = app._kinds_of(app.catalog.tasks["write"])[kind.lower()]
        with app.store.change() as tx:
            origin = Origin(task="write", run=self.world.had_run(tx), place=0, call=None)
            drafts.add(tx, draft, origin, known, {"text": text}, LASTS, 2)
        self.model.add(draft, kind.lower(), text)

    @precondition(goes)
    @rule(kind=st.sampled_from(["Plain", "Keyed", "Found", "all of them"]))
    def a_task_makes(self, kind: str) -> None:
        if kind == "all of them":
            self._run()
        else:
            self._propose(kind)
        self.settle()

    def _run(self) -> None:
        run = self.world.wants_run()
        self.ground.run(self.world.settle())
        for row in self.world.made_by(run):
            self.model.add(row.id, row.kind, f"{row.kind.title()} of {run}")
        assert len(self.world.made_by(run)) == 3

    # what people decide at the terminal

    def pick(self, number: int, *states: str) -> tuple[str, Paper]:
        """A draft, rather one in those states."""
        found = [(name, paper) for name, paper in self.model.papers.items() if paper.state in states]
        among = found if found and number % 4 else list(self.model.papers.items())
        return among[number % len(among)]

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

    @rule(
        number=which,
        hours=st.sampled_from([0, 0, 0, 2, 80]),
        fault=faults,
        back=st.sampled_from([0, 0, 0, 1]),
    )
    def approve(self, number: int, hours: int, fault: str, back: int) -> None:
        draft, paper = self.pick(number, "pending")
        revision = max(1, paper.revision - back)
        digest, hour = self.world.digest(draft, revision), None
        if hours:
            hour = self.model.now + timedelta(hours=hours)
        self.model.see()
        is_taken = self.model.approve(paper, revision, hour)
        fault = self.prepare(fault, self.goers()) if paper.code == self.model.known else ""
        self.decide(is_taken, lambda: self.world.desk.approve(draft, digest, "ana", not_before=hour))
        self.settle(fault)

    @rule(number=which, state=st.sampled_from(["rejected", "withdrawn"]))
    def say_no(self, number: int, state: str) -> None:
        draft, paper = self.pick(number, "pending")
        digest = self.world.digest(draft, paper.revision)
        self.model.see()
        act = self.world.desk.reject if state == "rejected" else self.world.desk.withdraw
        self.decide(self.model.end(paper, paper.revision, state), lambda: act(draft, digest, "ana"))
        self.settle()

    @rule(number=which)
    def edit(self, number: int) -> None:
        draft, paper = self.pick(number, "pending")
        digest, text = self.world.digest(draft, paper.revision), self.new_words()
        self.model.see()
        self.decide(
            self.model.edit(paper, paper.revision, text),
            lambda: self.world.desk.edit(draft, digest, "ana", {"text": text}),
        )
        self.settle()

    @rule(number=which)
    def revise(self, number: int) -> None:
        draft, paper = self.pick(number, "pending")
        digest, text = self.world.digest(draft, paper.revision), self.new_words()
        self.model.see()
        self.decide(
            self.model.revise(paper, paper.revision, text),
            lambda: self.world.desk.revise(draft, digest, "ana", text),
        )
        self.settle()

    @rule(number=which)
    def undo(self, number: int) -> None:
        draft, paper = self.pick(number, "approved")
        self.model.see()
        self.decide(self.model.undo(paper), lambda: self.world.desk.undo(draft, "ana"))
        self.settle()

    @rule(number=which, was_delivered=st.booleans())
    def resolve(self, number: int, was_delivered: bool) -> None:  # noqa: FBT001 - drawn
        draft, paper = self.pick(number, "uncertain")
        self.model.see()
        self.decide(
            self.model.resolve(paper, was_delivered=was_delivered),
            lambda: self.world.desk.resolve(draft, "ana", was_delivered=was_delivered),
        )
        self.settle()

    @precondition(is_up)
    @rule(fault=faults)
    def the_uncertain_is_looked_into(self, fault: str) -> None:
        again = [paper for paper in self.model.papers.values() if self.model.may_repeat(paper)]
        fault = self.prepare(fault, len(again))
        for paper in again:
            paper.yeses += 1
        self.ground.run(self._inquire())
        self.judge()
        self.model.inquire(fault)
        for paper in again:
            paper.yeses = 0
        self.settle()

    async def _inquire(self) -> None:
        assert self.world.app is not None
        box = self.world.app.outbox
        box.inquire_s, late = 0.0, box.inquire_s
        box.inquire()
        box.inquire_s = late
        await asyncio.sleep(0.0005)
        await self.world.settle()

    # stopping and going

    @rule(how=st.sampled_from(["theirs", "ours", "phone"]))
    def stop(self, how: str) -> None:
        if how == "phone" and self.world.telegram is not None:
            self.updates.append(self.world.telegram.says(OWNER, "/stop")["update_id"])
            if not self.model.is_up:
                return
            self.ground.run(self.world.settle())
            self.model.file = self.model.file or "ours"
        elif how == "theirs" or self.model.file:
            (self.world.home / "STOP").touch()
            self.model.file = self.model.file or "theirs"
        else:
            self.world.desk.halt("ana")
            self.model.file = "ours"
            self.model.see()
        self.settle()

    @rule()
    def the_stop_file_is_taken_away(self) -> None:
        (self.world.home / "STOP").unlink(missing_ok=True)
        self.model.file = ""
        self.settle()

    @rule()
    def resume(self) -> None:
        can = self.model.resume()
        self.decide(can, lambda: self.world.desk.resume("ana"))
        if can and self.is_mute and self.model.is_up:
            self.ground.run(self.world.settle())
            assert self.world.app is not None
            assert self.world.app.stop.reason is not None, "a runner whose journal is lost went on"
            self.model.stop()
            self.crash()
        self.settle()

    @precondition(goes)
    @rule(number=which, moment=moments)
    def stop_comes_while_it_goes_out(self, number: int, moment: int) -> None:
        draft, paper = self.pick(number, "pending")
        if not self.model.approve(paper, paper.revision):
            return
        self.world.desk.approve(draft, self.world.digest(draft, paper.revision), "ana")
        self.ground.run(self._stop_at(moment))
        state = self.world.rows()[draft].state
        was_sent = bool(self.judge())
        assert state in ({"delivered", "uncertain"} if was_sent else {"pending"}), (
            f"{draft} is {state} after STOP"
        )
        if state == "pending":
            self._came_back(draft, paper)
        else:
            paper.state, paper.yeses = state, 0
        self.model.file = "theirs"
        self.settle()

    async def _stop_at(self, moment: int) -> None:
        app = self.world.app
        assert app is not None
        app._soon()
        await asyncio.sleep(moment / 2000)
        began, sent = self.world.begun(), len(self.world.destination.ledger)
        (self.world.home / "STOP").touch()
        app.stop.look()
        await self.world.settle()
        after = len(self.world.destination.ledger) - sent
        assert after <= began, f"{after} requests began after STOP, with {began} under way"

    def _came_back(self, draft: str, paper: Paper) -> None:
        """It asks again: as it was, or as what the code makes of it now."""
        if self.world.rows()[draft].revision > paper.revision:
            assert paper.code != self.model.known
            paper.renew(paper.text, self.model.known)
        paper.back()

    # crashing and coming back

    @precondition(is_up)
    @rule()
    def crash(self) -> None:
        self.ground.run(self.world.crash())
        self.model.is_up, self.is_mute = False, False

    @precondition(lambda walk: not walk.model.is_up)
    @rule()
    def start(self) -> None:
        self.model.start()
        self.ground.run(self.world.start())
        self.model._expire()
        if self.late or self.world.telegram:
            self.ground.run(self.world.settle())
            self._follow_late()
        self.settle()

    def _follow_late(self) -> None:
        """What was tapped while nobody listened is taken, if it still may be."""
        rows = self.world.rows()
        for paper, revision in self.late:
            (draft,) = (name for name, each in self.model.papers.items() if each is paper)
            if rows[draft].state in {"approved", "delivered"} and paper.state == "pending":
                assert self.model.approve(paper, revision), f"a tap on revision {revision} was taken"
        self.late.clear()
        if self.model.file == "" and (self.world.home / "STOP").exists():
            self.model.file = "ours"

    @precondition(goes)
    @rule(number=which, moment=moments, is_held=st.booleans())
    def crash_while_it_goes_out(self, number: int, moment: int, is_held: bool) -> None:  # noqa: FBT001 - drawn
        draft, paper = self.pick(number, "pending")
        if not self.model.approve(paper, paper.revision):
            return
        is_held = is_held and paper.code == self.model.known
        if is_held:
            self.world.destination.script(Delays(60))
        self.world.desk.approve(draft, self.world.digest(draft, paper.revision), "ana")
        self.ground.run(self._crash_at(moment, is_held=is_held))
        self.world.destination._script.clear()
        state, was_sent = self.world.rows()[draft].state, bool(self.judge())
        assert state in ({"delivering", "delivered"} if was_sent else {"approved", "delivering", "pending"})
        if state == "pending":
            self._came_back(draft, paper)
        elif state != "approved":
            paper.state, paper.yeses = state, 0
        self.model.is_up, self.is_mute = False, False

    async def _crash_at(self, moment: int, *, is_held: bool) -> None:
        assert self.world.app is not None
        self.world.app._soon()
        if is_held:
            await self.world.destination.received(len(self.world.destination.ledger) + 1, within=20)
        else:
            await asyncio.sleep(moment / 2000)
        await self.world.crash()
        await self.world._rest(lambda: not self.world.destination._connections)

    # the world

    @rule(seconds=st.sampled_from([1, 3600, 6 * 3600, 26 * 3600, 73 * 3600, -1, -7200]))
    def the_clock_moves(self, seconds: int) -> None:
        self.model.now = self.world.clock.move(seconds=seconds)
        self.settle()

    @rule()
    def the_code_is_edited(self) -> None:
        self.model.code += 1
        self.ground.run(self.world.edit_code(self.model.code))
        self.settle()

    @precondition(lambda walk: goes(walk) and walk.world.telegram is None and not walk.is_mute)
    @rule(number=which, device=st.sampled_from(["/dev/full", "/dev/null"]))
    def the_journal_cannot_be_written(self, number: int, device: str) -> None:
        draft, paper = self.pick(number, "pending")
        if paper.code != self.model.known or not self.model.approve(paper, paper.revision):
            return
        self.world.break_journal(device)  # the second takes what is written, and fails to sync it
        self.world.desk.approve(draft, self.world.digest(draft, paper.revision), "ana")
        self.is_mute = True
        self.model.stop()
        self.settle()

    @precondition(lambda walk: walk.world.telegram is None)
    @rule(number=which)
    def the_disk_is_full(self, number: int) -> None:
        draft, paper = self.pick(number, "pending")
        digest = self.world.digest(draft, paper.revision)
        with self.world.full_disk():
            try:
                self.world.desk.approve(draft, digest, "ana")
            except RunnerError:
                pass
            else:
                raise AssertionError("approved, with nothing written")
            self.ground.run(self.world.settle())
        self.settle(is_followed=True)

    @precondition(lambda walk: goes(walk) and walk.world.telegram is None and not walk.is_mute)
    @rule(number=which)
    def the_disk_fills_up_after_a_yes(self, number: int) -> None:
        draft, paper = self.pick(number, "pending")
        if not self.model.approve(paper, paper.revision):
            return
        self.world.desk.approve(draft, self.world.digest(draft, paper.revision), "ana")
        with self.world.full_disk():
            self.ground.run(self.world.settle())
        self.is_mute = True
        self.model.stop()
        self.settle()

    # what people do on the phone

    def shown(self) -> list[tuple[dict[str, Any], str, str, int]]:
        """Each button of each card as it stands: message, words, draft, revision."""
        assert self.world.telegram is not None
        found = []
        for message in self.world.telegram.messages(OWNER):
            if (heading := HEADING.search(said(message))) is not None:
                found += [(message, words, heading[1], int(heading[2])) for words in buttons(message)]
        return found

    @precondition(has_line)
    @rule(
        number=which,
        fault=faults,
        button=st.sampled_from([APPROVE, APPROVE, UNDO, CAME, CAME_NOT, REJECT, LATER]),
    )
    def tap(self, number: int, fault: str, button: str) -> None:
        found = [each for each in self.shown() if each[1] == button]
        if not found:
            return
        message, _, draft, revision = found[number % len(found)]
        paper = self.model.papers[draft]
        self.old.append((message, button))
        self.model.see()
        match button:
            case "✅ Approve":
                assert self.model.approve(paper, revision), "a button for what can't be approved"
                fault = self.prepare(fault, self.goers()) if paper.code == self.model.known else ""
            case "↩️ Undo":
                assert self.model.undo(paper)
            case "It was delivered" | "It was not":
                assert self.model.resolve(paper, was_delivered=button == CAME)
        fault = fault if button == APPROVE else ""
        self._press(message, button)
        if button in {REJECT, LATER}:
            self.ground.run(self.world.settle())
            then = "too long" if button == REJECT else "in 1 h"
            assert button == LATER or self.model.end(paper, revision, "rejected")
            self._press(self.world.telegram.message(OWNER, message["message_id"]), then)  # type: ignore[union-attr]
        self.settle(fault)

    def _press(self, message: dict[str, Any], button: str) -> None:
        assert self.world.telegram is not None
        update = self.world.telegram.taps(OWNER, message["message_id"], button)
        self.updates.append(update["update_id"])

    @precondition(has_line)
    @rule(number=which, is_edit=st.booleans())
    def answer_in_words(self, number: int, is_edit: bool) -> None:  # noqa: FBT001 - drawn
        found = [each for each in self.shown() if each[1] == (EDIT if is_edit else REVISE)]
        if not found:
            return
        message, words, draft, revision = found[number % len(found)]
        assert self.world.telegram is not None
        self._press(message, words)
        self.ground.run(self.world.settle())
        asked = [each for each in self.world.telegram.messages(OWNER) if "as a reply to this" in said(each)]
        text, paper = self.new_words(), self.model.papers[draft]
        if not asked or draft not in said(asked[-1]):
            return  # the question was lost on its way
        update = self.world.telegram.says(OWNER, text, reply_to=asked[-1]["message_id"])
        self.updates.append(update["update_id"])
        assert (self.model.edit if is_edit else self.model.revise)(paper, revision, text)
        self.settle()

    @precondition(lambda walk: has_line(walk) and walk.old)
    @rule(number=which)
    def tap_a_card_as_it_was(self, number: int) -> None:
        message, button = self.old[number % len(self.old)]
        assert self.world.telegram is not None
        now = self.world.telegram.message(OWNER, message["message_id"])
        if now == message:
            return
        rows = message["reply_markup"]["inline_keyboard"]
        data = next(each["callback_data"] for row in rows for each in row if each["text"] == button)
        old = {"text": message["text"], "reply_markup": message["reply_markup"]}
        is_alike = now["text"] == message["text"]
        update = self.world.telegram.taps(OWNER, message["message_id"], data=data, altered=old)
        self.updates.append(update["update_id"])
        heading = HEADING.search(said(message))
        assert heading is not None
        paper, revision = self.model.papers[heading[1]], int(heading[2])
        is_valid = is_alike and any(data == each.get("callback_data") for each in _keys(now))
        if is_valid and button == APPROVE:
            self.model.see()
            self.model.approve(paper, revision)
        elif is_valid and button in {UNDO, CAME, CAME_NOT}:
            self.model.see()
            self.model.undo(paper) if button == UNDO else self.model.resolve(
                paper, was_delivered=button == CAME
            )
        self.settle()

    @precondition(lambda walk: has_line(walk) and walk.updates)
    @rule(number=which, second=which)
    def updates_come_again(self, number: int, second: int) -> None:
        assert self.world.telegram is not None
        for each in (number, second):
            self.world.telegram.redeliver(self.updates[each % len(self.updates)])
        self.settle()

    @precondition(has_line)
    @rule()
    def two_taps_come_in_the_wrong_order(self) -> None:
        found = [each for each in self.shown() if each[1] == APPROVE][:2]
        assert self.world.telegram is not None
        self.model.see()
        for message, button, draft, revision in found:
            self._press(message, button)
            assert self.model.approve(self.model.papers[draft], revision)
        self.world.telegram.updates.pending.reverse()
        self.settle()

    @precondition(lambda walk: walk.world.telegram is not None and not walk.model.is_up)
    @rule(number=which)
    def tap_while_nobody_listens(self, number: int) -> None:
        found = [each for each in self.shown() if each[1] == APPROVE]
        if found:
            message, button, draft, revision = found[number % len(found)]
            self._press(message, button)
            self.late.append((self.model.papers[draft], revision))

    @precondition(has_line)
    @rule(
        method=st.sampled_from(["sendMessage", "editMessageText", "answerCallbackQuery", "getUpdates"]),
        step=st.sampled_from([DropsRequest(), DropsResponse()]),
    )
    def the_line_drops_a_call(self, method: str, step: Step) -> None:
        assert self.world.telegram is not None
        self.world.telegram.script(step, method=method)  # type: ignore[arg-type]

    # what must be so

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


def _keys(message: dict[str, Any]) -> list[dict[str, Any]]:
    return [each for row in message.get("reply_markup", {}).get("inline_keyboard", []) for each in row]
