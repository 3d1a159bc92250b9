"""Commands: what a listed person may ask for in words. Only `/stop` is anyone's; the rest is the owners'."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING

from runner.due import upcoming
from runner.errors import GoneError, RunnerError, StoreError
from runner.review.console.lines import line
from runner.review.telegram.answer import NOTHING, Answer, message
from runner.store import figures, money, runs, slots, stops

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from zoneinfo import ZoneInfo

    from runner.catalog import Declared
    from runner.review.desk import Desk
    from runner.review.telegram.read import Said
    from runner.review.telegram.reviewers import Reviewers
    from runner.review.telegram.taps import Taps
    from runner.store.store import Store

#: each command, and what Telegram's menu says of it
MENU = {
    "pending": "the drafts that wait, oldest first",
    "status": "whether it runs, and what waits",
    "stop": "halt everything now",
    "resume": "let it go again",
    "tasks": "the tasks and when they are due",
    "run": "run a task now: /run TASK",
    "runs": "the newest runs",
    "log": "what happened last",
    "costs": "what Claude cost",
    "pause": "start no run of a task: /pause TASK",
    "unpause": "let it run again: /unpause TASK",
    "help": "these commands",
}
READING = "tasks/ is read again once a stop has ended; ask once more in a moment."
SHOWN = 10  #: runs, and lines of the record


@dataclass(slots=True)
class Commands:
    """Carries out commands."""

    store: Store
    desk: Desk
    taps: Taps
    reviewers: Reviewers
    zone: ZoneInfo
    tasks: Callable[[], Mapping[str, Declared]]
    submit: Callable[[str, str], str]  #: a task's name and an id: queues a run; raises `RunnerError`
    frozen: Callable[[], str]
    is_reading: Callable[
        [], bool
    ]  #: whether tasks/ is still being read, so that a task may be there and not known

    def take(self, words: Said, name: str, argument: str, number: int) -> Answer:
        """Carry out a command; `number` is the update's, which makes of a repetition the same again."""
        if name == "stop":
            return self._say(words, self._stop(words, argument))
        if not self.reviewers.is_owner(words.person):
            return self._say(words, ["Commands are the owner's; /stop is anyone's who is listed."])
        try:
            return self._obey(words, name, argument, number)
        except StoreError:
            raise  # no refusal: nothing was judged
        except GoneError as error:
            return self._say(words, [READING if self.is_reading() else str(error)])
        except RunnerError as error:
            return self._say(words, [str(error)])

    def _obey(self, words: Said, name: str, argument: str, number: int) -> Answer:
        match name:
            case "pending":
                return Answer(then=(lambda tx: self.taps.show(tx, words.chat.id, words.person),))
            case "resume":
                return self._ask_resume(words)
            case "run":
                run = self.submit(argument, f"tg{number}")
                return self._say(words, [f"Run {run} of {argument} is queued."])
            case "pause" | "unpause":
                return self._say(words, [self._pause(name, argument, self.reviewers.name(words.person))])
            case "help" | "start":
                return self._say(words, [f"/{each}: {what}" for each, what in MENU.items()])
        return self._say(words, self._look(name)) if name in MENU else NOTHING

    def _look(self, name: str) -> list[str]:
        match name:
            case "status":
                return self._status()
            case "tasks":
                return self._tasks()
            case "runs":
                return self._runs()
            case "log":
                return self._log()
        return self._costs()

    def _say(self, words: Said, lines: list[str]) -> Answer:
        return Answer(then=(message(words.chat.id, lines or ["Nothing."], reply_to=words.message),))

    def _stop(self, words: Said, reason: str) -> list[str]:
        by = self.reviewers.name(words.person)
        try:
            self.desk.halt(by, f"{reason} (by {by})" if reason else "")
        except OSError as error:
            return [f"The STOP file can't be written: {error.strerror}. Kill the runner instead."]
        return [f"🛑 STOPPED: {self.desk.stop.reason}. Nothing runs or is delivered until /resume."]

    def _ask_resume(self, words: Said) -> Answer:
        with self.store.read() as connection:
            latch = stops.latched(connection)
        if latch is None and self.desk.stop.reason is None:
            return self._say(words, ["It goes: no stop is in force."])
        reason = latch.reason if latch else self.desk.stop.reason
        lines = [
            f"Stopped: {reason}.",
            "Slots missed meanwhile are not caught up; approved drafts ask again.",
        ]
        rows = [[("Yes, resume", "resume", "")]]
        return Answer(then=(message(words.chat.id, lines, reply_to=words.message, rows=rows),))

    def _pause(self, name: str, task: str, by: str) -> str:
        if task not in self.tasks():
            raise GoneError(f"There is no task {task!r}; there are: {', '.join(self.tasks()) or 'none'}.")
        with self.store.change() as tx:
            if name == "unpause":
                return f"Unpaused {task}." if slots.unpause(tx, task, by) else f"{task} is not paused."
            slots.pause(tx, task, by)
        return f"Paused {task}; its slots are recorded as skipped."

    def _status(self) -> list[str]:
        now = self.store.clock.now()
        with self.store.read() as connection:
            latch, counted = stops.latched(connection), figures.by_state(connection)
            running = [row.task for row in runs.running(connection)]
            spent = money.spent(connection, now - timedelta(days=1))
        frozen = self.frozen()
        return [
            f"🛑 STOPPED: {latch.reason}" if latch else "✅ It runs.",
            *([f"⚠ Decisions by Telegram are frozen: {frozen}"] if frozen else []),
            f"Under way: {', '.join(running) or 'nothing'}",
            f"Drafts: {', '.join(f'{count} {state}' for state, count in counted.items()) or 'none'}",
            f"Spent in 24 hours: ${spent:.4f}",
        ]

    def _tasks(self) -> list[str]:
        now = self.store.clock.now()
        with self.store.read() as connection:
            paused = slots.paused(connection)
        lines = []
        for task in self.tasks().values():
            slot = next(islice(upcoming(task.triggers, now, self.zone), 1), None)
            following = f", next {slot.astimezone(self.zone):%a %d %b %H:%M}" if slot else ""
            notes = [*(["paused"] if task.name in paused else []), *task.reach]
            lines.append(" · ".join([f"{task.name}: {task.schedule}{following}", *notes]))
        return [*lines, READING] if self.is_reading() else lines

    def _runs(self) -> list[str]:
        with self.store.read() as connection:
            rows = runs.recent(connection, limit=SHOWN)
        return [
            f"{self._hour(row.started)} {row.task}: {row.status}, ${row.cost / 1e9:.4f}"
            f"{f': {row.error}' if row.error else ''}"
            for row in rows
        ]

    def _hour(self, at: str | None) -> str:
        return f"{datetime.fromisoformat(at).astimezone(self.zone):%d %b %H:%M}" if at else "waits"

    def _log(self) -> list[str]:
        events = self.store.newest_events(SHOWN * 10)
        return [words for event in events if (words := line(event, self.zone))][-SHOWN:]

    def _costs(self) -> list[str]:
        with self.store.read() as connection:
            rows = runs.costs(connection, self.store.clock.now() - timedelta(days=30))
        return [f"{row.task}: ${row.cost_nano_usd / 1e9:.4f}, {row.calls} calls in 30 days" for row in rows]
