"""What tasks make, and what people decide at the terminal."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from walker import KINDS, Walker, faults, goes, has, is_up, moments, mostly, which

from runner.declare import Limits
from runner.errors import GoneError


class Deciding(Walker):
    """The steps of tasks and of people at the terminal."""

    @precondition(goes)
    @rule(kind=st.sampled_from([*KINDS, "all of them"]))
    def a_task_makes(self, kind: str) -> None:
        if kind == "all of them":
            self._run()
        else:
            self.propose(kind)
        self.settle()

    def _run(self) -> None:
        run = self.world.wants_run()
        self.ground.run(self.world.settle())
        for row in self.world.made_by(run):
            self.model.add(row.id, row.kind, f"{row.kind.title()} of {run}", left=Limits().revisions)
        assert len(self.world.made_by(run)) == 3

    @precondition(mostly)
    @rule(number=which, fault=faults)
    def approve(self, number: int, fault: str) -> None:
        self._approve(number, fault=fault)

    @precondition(mostly)
    @rule(number=which, hours=st.sampled_from([2, 2, 80]), back=st.sampled_from([0, 1]))
    def approve_oddly(self, number: int, hours: int, back: int) -> None:
        """For an hour that comes or is too late, or what stands there no longer."""
        self._approve(number, hours=hours, back=back)

    def _approve(self, number: int, *, hours: int = 0, fault: str = "", back: int = 0) -> None:
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

    @precondition(lambda walk: goes(walk) and has("pending")(walk) and walk.world.telegram is None)
    @rule(number=which)
    def its_bytes_are_changed_behind_everybodys_back(self, number: int) -> None:
        draft, paper = self.pick(number, "pending")
        if paper.code != self.model.known or not self.model.is_live(paper, paper.revision):
            return
        digest = self.world.digest(draft, paper.revision)
        with self.world.changed_bytes(draft, paper.revision):
            self.world.desk.approve(draft, digest, "ana")
            self.settle()

    @precondition(mostly)
    @rule(number=which, state=st.sampled_from(["rejected", "withdrawn"]))
    def say_no(self, number: int, state: str) -> None:
        draft, paper = self.pick(number, "pending")
        digest = self.world.digest(draft, paper.revision)
        self.model.see()
        act = self.world.desk.reject if state == "rejected" else self.world.desk.withdraw
        self.decide(self.model.end(paper, paper.revision, state), lambda: act(draft, digest, "ana"))
        self.settle()

    @precondition(mostly)
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

    @precondition(mostly)
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

    @precondition(has("approved"))
    @rule(number=which)
    def undo(self, number: int) -> None:
        draft, paper = self.pick(number, "approved")
        self.model.see()
        self.decide(self.model.undo(paper), lambda: self.world.desk.undo(draft, "ana"))
        self.settle()

    @precondition(has("uncertain"))
    @rule(number=which, was_delivered=st.booleans())
    def resolve(self, number: int, was_delivered: bool) -> None:  # noqa: FBT001 - drawn
        draft, paper = self.pick(number, "uncertain")
        self.model.see()
        self.decide(
            self.model.resolve(paper, was_delivered=was_delivered),
            lambda: self.world.desk.resolve(draft, "ana", was_delivered=was_delivered),
        )
        self.settle()

    @precondition(lambda walk: is_up(walk) and has("uncertain")(walk))
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

    @precondition(lambda walk: goes(walk) and walk.uncertain("found"))
    @rule(number=which, moment=moments, was_delivered=st.booleans())
    def resolved_while_it_is_looked_into(self, number: int, moment: int, was_delivered: bool) -> None:  # noqa: FBT001
        found = self.uncertain("found")
        draft, paper = found[number % len(found)]
        again = [each for _, each in self.uncertain("keyed") if self.model.may_repeat(each)]
        for each in again:
            each.yeses += 1
        is_first = self.ground.run(self._resolve_at(draft, moment, was_delivered=was_delivered))
        self.judge()
        if is_first:
            assert self.model.resolve(paper, was_delivered=was_delivered)
        self.model.inquire()
        for each in again:
            each.yeses = 0
        self.settle()

    async def _resolve_at(self, draft: str, moment: int, *, was_delivered: bool) -> bool:
        """Whether the owner was faster than the look-up."""
        self._ask_around()
        await asyncio.sleep(moment / 2000)
        try:
            self.world.desk.resolve(draft, "ana", was_delivered=was_delivered)
        except GoneError:
            return False
        finally:
            await self.world.settle()
        return True

    async def _inquire(self) -> None:
        self._ask_around()
        await asyncio.sleep(0.0005)
        await self.world.settle()

    def _ask_around(self) -> None:
        assert self.world.app is not None
        box = self.world.app.outbox
        box.inquire_s, late = 0.0, box.inquire_s
        box.inquire()
        box.inquire_s = late
