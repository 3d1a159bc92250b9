"""What people do on the phone, and what the line makes of it."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from phones import APPROVE, OWNER, REJECT, said
from walker import CAME, CAME_NOT, HEADING, UNDO, Walker, faults, has_line, which

from runner.rehearsal.destination import DropsRequest, DropsResponse

LATER, EDIT, REVISE = "⏰ Later", "✏️ Edit", "🔁 Revise"


class Tapping(Walker):
    """The steps of a phone."""

    @precondition(has_line)
    @rule(number=which, fault=faults)
    def tap(self, number: int, fault: str) -> None:
        found = [each for each in self.shown() if each[1] in {APPROVE, UNDO, CAME, CAME_NOT, REJECT, LATER}]
        if not found:
            return
        message, button, draft, revision = found[number % len(found)]
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
                self.model.resolve(paper, was_delivered=button == CAME)  # refused while all is stopped
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
            self.late.append((self.model.papers[draft], revision, self.model.stops))

    @precondition(has_line)
    @rule(
        method=st.sampled_from(["sendMessage", "editMessageText", "answerCallbackQuery", "getUpdates"]),
        step=st.sampled_from([DropsRequest(), DropsResponse()]),
    )
    def the_line_drops_a_call(self, method: str, step: DropsRequest | DropsResponse) -> None:
        assert self.world.telegram is not None
        self.world.telegram.script(step, method=method)


def _keys(message: dict[str, Any]) -> list[dict[str, Any]]:
    return [each for row in message.get("reply_markup", {}).get("inline_keyboard", []) for each in row]
