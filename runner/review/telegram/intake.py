"""Takes in one update: who did it, whether that concerns us, and who carries it out."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from runner.errors import StoreError
from runner.review.telegram import questions
from runner.review.telegram.answer import NOTHING, TOAST_MOST, Answer, refusal
from runner.review.telegram.read import Said, Tap, read
from runner.review.telegram.wire import LineError
from runner.store import phone

if TYPE_CHECKING:
    from collections.abc import Callable

    from runner.review.telegram.asks import Asks
    from runner.review.telegram.commands import Commands
    from runner.review.telegram.reviewers import Reviewers
    from runner.review.telegram.taps import Taps
    from runner.review.telegram.wire import Wire
    from runner.store.store import Store

STRANGER_AGAIN = timedelta(hours=1)  #: how often one stranger is worth a line
STRANGERS_MOST = 1000  #: who are remembered for that


@dataclass(slots=True)
class Intake:
    """Handles updates, each to its end: what comes of it is kept with the mark that it was handled."""

    store: Store
    wire: Wire
    reviewers: Reviewers
    taps: Taps
    asks: Asks
    commands: Commands
    say: Callable[..., None]
    bot: str = ""  #: its name, once it is known
    _strangers: dict[tuple[int, int], datetime] = field(default_factory=dict)
    _answers: set[asyncio.Task[None]] = field(default_factory=set)

    def handle(self, number: int, update: dict[str, Any]) -> bool:
        """Do what the update asks, and keep with it that it was handled; False when there was nothing to do."""
        found = read(update)
        answer = self._judge(number, found) if found is not None else NOTHING
        if answer is NOTHING:
            return False
        with self.store.change() as tx:
            for then in answer.then:
                then(tx)
            phone.handled(tx, number)
        if isinstance(found, Tap):
            self._toast(found, answer)
        return True

    def _judge(self, number: int, found: Tap | Said) -> Answer:
        """Have it carried out; what can't be is told and passed, so that it blocks no other."""
        try:
            return self._act(number, found)
        except StoreError:
            raise  # nothing was done; it is handled when the store works again
        except Exception as error:  # noqa: BLE001 - whatever it is, the next tap must not wait for it
            self.say("error", f"update {number} could not be handled: {error!r}", source="telegram")
            return refusal("That could not be done; the runner's log says why.")

    def _act(self, number: int, found: Tap | Said) -> Answer:
        if not self.reviewers.is_listed(found.person) or not self.reviewers.is_ours(found.chat, found.person):
            self._stranger(found)
            return NOTHING
        if isinstance(found, Tap):
            return self.taps.take(found)
        command = found.command(self.bot)
        if command is not None:
            return self.commands.take(found, *command, number)
        if found.reply_to is None:
            return NOTHING
        return questions.heard(self.asks, found) or self.asks.hear(found)

    def _stranger(self, found: Tap | Said) -> None:
        """Somebody who is not listed, or a listed person elsewhere: no answer, and a line on record."""
        key, now = (found.person, found.chat.id), self.store.clock.now()
        if key in self._strangers and now - self._strangers[key] < STRANGER_AGAIN:
            return
        if len(self._strangers) >= STRANGERS_MOST:
            self._strangers.clear()
        self._strangers[key] = now
        what = "tap" if isinstance(found, Tap) else "message"
        self.store.tell(
            "telegram.stranger", level="warning", person=found.person, chat=found.chat.id, what=what
        )

    def _toast(self, tap: Tap, answer: Answer) -> None:
        """The word at once; that it came too late, or never, changes nothing."""
        with suppress(RuntimeError):  # without a loop nobody waits for it
            task = asyncio.get_running_loop().create_task(self._call(tap, answer))
            self._answers.add(task)
            task.add_done_callback(self._answers.discard)

    async def _call(self, tap: Tap, answer: Answer) -> None:
        with suppress(LineError):
            await self.wire.call(
                "answerCallbackQuery",
                callback_query_id=tap.query,
                text=answer.toast[:TOAST_MOST] or None,
                show_alert=answer.is_alert or None,
            )

    async def close(self) -> None:
        """Let the last words go out, within a moment."""
        if self._answers:
            await asyncio.wait(self._answers, timeout=1.0)
        for each in self._answers:
            each.cancel()
