"""What halts and what breaks: STOP, crashes, clocks, edited code, a journal or a disk that takes no more."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from phones import OWNER
from walker import Walker, goes, has, is_up, moments, mostly, which

from runner.errors import RunnerError
from runner.rehearsal.destination import Delays

if TYPE_CHECKING:
    from model import Paper


class Halting(Walker):
    """The steps of STOP, and of the machine that the runner is on."""

    @precondition(mostly)
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

    @precondition(lambda walk: walk.model.file)
    @rule()
    def the_stop_file_is_taken_away(self) -> None:
        (self.world.home / "STOP").unlink(missing_ok=True)
        self.model.file = ""
        self.settle()

    @precondition(lambda walk: walk.model.is_stopped or walk.model.file)
    @rule()
    def resume(self) -> None:
        can = self.model.resume()
        self.decide(can, lambda: self.world.desk.resume("ana"))
        if can and self.is_mute and self.model.is_up:
            self.ground.run(self.world.settle())
            assert self.world.app is not None
            assert self.world.app.stop.reason is not None, "a runner whose journal is lost went on"
            self.model.stop()
            self._follow_new_code()
            self.crash()
        self.settle()

    def _follow_new_code(self) -> None:
        """What waited by old code was given a new revision, if the runner came to that before it stopped again."""
        rows = self.world.rows()
        for draft, paper in self.model.papers.items():
            is_old = paper.state == "pending" and paper.code != self.model.known
            if is_old and rows[draft].revision == paper.revision + 1:
                paper.renew(paper.text, self.model.known)

    @precondition(lambda walk: goes(walk) and not walk.is_mute and walk.steps % 5 == 2)
    @rule()
    def a_stop_comes_and_goes(self) -> None:
        self.stop("theirs")
        (self.world.home / "STOP").unlink()
        self.model.file = ""
        self.settle()
        self.resume()

    @precondition(lambda walk: goes(walk) and has("pending")(walk))
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
            self.came_back(draft, paper)
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

    @precondition(lambda walk: is_up(walk) and walk.steps % 4 == 1)
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
        for paper, revision, after in self.late:
            (draft,) = (name for name, each in self.model.papers.items() if each is paper)
            if rows[draft].state in {"approved", "delivered"} and paper.state == "pending":
                assert self.model.approve(paper, revision), f"a tap on revision {revision} was taken"
                assert after == self.model.stops, "a tap from before a stop was taken"
        self.late.clear()
        if self.model.file == "" and (self.world.home / "STOP").exists():
            self.model.file = "ours"

    @precondition(lambda walk: goes(walk) and has("pending")(walk))
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
            self.came_back(draft, paper)
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

    @precondition(mostly)
    @rule(seconds=st.sampled_from([1, 3600, 6 * 3600, 26 * 3600, 73 * 3600, -1, -7200]))
    def the_clock_moves(self, seconds: int) -> None:
        self.model.now = self.world.clock.move(seconds=seconds)
        self.settle()

    @precondition(lambda walk: walk.steps % 3 == 0)
    @rule()
    def the_code_is_edited(self) -> None:
        self.model.code += 1
        self.ground.run(self.world.edit_code(self.model.code))
        self.settle()

    @precondition(lambda walk: walk.world.telegram is None and mostly(walk))
    @rule(number=which, how=st.sampled_from(["/dev/full", "/dev/null", "before a yes", "after a yes"]))
    def nothing_can_be_written(self, number: int, how: str) -> None:
        """The journal meets a full device, or one that can't be synced; or the whole disk is full."""
        draft, paper = self.pick(number, "pending")
        digest = self.world.digest(draft, paper.revision)
        if how == "before a yes":
            with self.world.full_disk():
                with pytest.raises(RunnerError):
                    self.world.desk.approve(draft, digest, "ana")
                self.ground.run(self.world.settle())
            self.settle(is_followed=True)
        elif (
            goes(self)
            and not self.is_mute
            and self._is_sound(paper)
            and self.model.approve(paper, paper.revision)
        ):
            self._lose_what_is_written(draft, digest, how)

    def _is_sound(self, paper: Paper) -> bool:
        return paper.code == self.model.known

    def _lose_what_is_written(self, draft: str, digest: str, how: str) -> None:
        if how.startswith("/dev"):
            self.world.break_journal(how)
        self.world.desk.approve(draft, digest, "ana")
        if how == "after a yes":
            with self.world.full_disk():
                self.ground.run(self.world.settle())
        self.is_mute = True
        self.model.stop()
        self.settle()
