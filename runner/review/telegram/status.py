"""Tells the owners what happens: one message for each run, repeated troubles folded into one, nothing at night but what can't wait."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from runner.clock import parse
from runner.review.telegram import questions
from runner.review.telegram.answer import plain
from runner.review.telegram.hours import is_quiet
from runner.review.telegram.wording import fate
from runner.store import phone, runs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from runner.catalog import Declared
    from runner.review.telegram.reviewers import Reviewers, Subject
    from runner.store.store import Transaction

GOOD = frozenset({"ok"})
INSTANTS = ("slot", "since", "expires")
SILENT = frozenset({"stopped"})  #: statuses that STOP explains by itself
SPARE = timedelta(minutes=1)  #: how long past its time a run may take before it is an alarm
#: what can't wait for the morning
URGENT = frozenset({"stop.engaged", "stop.released", "delivery.uncertain", "telegram.thawed"})
#: what is told as it comes, whatever a task's `notify` says
PLAINLY = {
    "stop.engaged": "🛑 STOPPED: {reason} ({by}). Nothing runs or is delivered until /resume.",
    "stop.released": "▶️ Resumed by {by}: slots fire again.",
    "telegram.thawed": "Decisions by Telegram are taken again.",
    "alert.raised": "🔔 {task}: {text}",
    "draft.waiting": "⏳ {task}: draft {draft} waits since {since} and expires {expires}. /pending shows it.",
    "heartbeat.missed": "⚠ The dead man's switch was not asked: {reason}",
    "heartbeat.resumed": "The dead man's switch is asked again.",
    "budget.near": "💰 {reason}.",
    "budget.paused": "⏸ {task} paused itself: {reason}. Once you have, or in its next day or month: /unpause {task}",
    "delivery.uncertain": "❓ {task}: draft {draft} may have been delivered or not: {reason}. Its card has a way on.",
}
#: troubles that fold: what is told, and of what they are one
TROUBLES = {
    "slot.missed": "{task}: missed its slot of {slot}: {reason}",
    "budget.exceeded": "{task}: {reason}",
    "batch.lost": "{task}: whether a batch arrived can't be told ({reason}); its question may be paid for twice",
    "task.broken": "tasks/{file}:{line}: {reason}",
}
RUNS = frozenset({"run.started", "run.retried", "run.finished"})  #: told or not as their task's `notify` says
TOLD = frozenset({*PLAINLY, *TROUBLES, *RUNS})  #: the events that may be worth a message


@dataclass(slots=True)
class Status:
    """Turns events into messages for the owners."""

    reviewers: Reviewers
    tasks: Callable[[], Mapping[str, Declared]]
    zone: ZoneInfo
    quiet_hours: str

    def held(self, now: datetime) -> datetime | None:
        """Until when what can wait is held back; None is not at all."""
        return is_quiet(self.quiet_hours, now, self.zone)

    def tell(self, tx: Transaction, event: Mapping[str, Any]) -> None:
        """Say what the event is worth."""
        name = str(event["event"])
        if name in PLAINLY:
            text = PLAINLY[name].format_map(_Known(self._local(event))) + questions.words(event)
            self.say(tx, questions.topic(event), text, is_urgent=name in URGENT)
        elif name in TROUBLES:
            place = event.get("task") or event.get("file")
            if name == "task.broken" or self._notify(event) != "never":
                self._fold(tx, f"{name} {place}", TROUBLES[name].format_map(_Known(self._local(event))))
        elif name in RUNS:
            self._run(tx, name, event)

    def follow(self, tx: Transaction, draft: str, subject: Subject, *, is_news: bool = True) -> None:
        """What becomes of a draft whose card is not among the owners' own messages; no news corrects what was told."""
        if set(self.reviewers.chats()) <= set(self.reviewers.chats_for(subject)):
            return
        words = fate(tx.connection, draft, self.zone)
        text = f"{subject.task}, draft {draft}: {words or 'it waits for a decision'}"
        self._edit(tx, f"draft {draft}", text, may_post=is_news and bool(words))

    def _notify(self, event: Mapping[str, Any]) -> str:
        known = self.tasks().get(str(event.get("task")))
        return known.limits.notify if known is not None else "problems"

    def _local(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """The event with its instants as the owner's clock shows them."""
        shown = {name: parse(event[name]).astimezone(self.zone) for name in INSTANTS if event.get(name)}
        return {**event, **{name: f"{at:%a %d %b %H:%M}" for name, at in shown.items()}}

    def _run(self, tx: Transaction, name: str, event: Mapping[str, Any]) -> None:
        """A run's own message where all runs are told; troubles fold wherever they are told."""
        notify, status = self._notify(event), event.get("status")
        if notify == "never":
            return
        if notify == "always":
            self._own(tx, name, event)
        if name == "run.finished" and status in GOOD:
            self._well_again(tx, str(event["task"]))
        elif name == "run.finished" and status not in SILENT:
            reason = f": {event['error']}" if event.get("error") else ""
            self._fold(
                tx, f"trouble {event['task']}", f"{event['task']}: run {event['run']} {status}{reason}"
            )

    def _own(self, tx: Transaction, name: str, event: Mapping[str, Any]) -> None:
        words = {
            "run.started": "▶ {task}: run {run} is under way",
            "run.retried": "↻ {task}: run {run} will be tried again: {error}",
            "run.finished": "{icon} {task}: run {run} {status} in {duration_s} s, ${cost_usd}{made}",
        }[name]
        made = f"; made {', '.join(event['made'])}" if event.get("made") else ""
        icon = "✅" if event.get("status") in GOOD else "⚠"
        text = words.format_map(_Known({**event, "icon": icon, "made": made}))
        self._edit(tx, f"run {event['run']}", text)

    def _edit(self, tx: Transaction, topic: str, text: str, *, may_post: bool = True) -> None:
        """One message about the topic in each chat, which says the newest; none where there is none, unless `may_post`."""
        for chat in self.reviewers.chats():
            last = phone.about(tx.connection, topic, chat)
            if last is not None:
                phone.want(tx, last, text=plain([text]))
            elif may_post:
                self._post(tx, chat, topic, text)

    def _fold(self, tx: Transaction, topic: str, text: str) -> None:
        """One message about a trouble in each chat, with how often it came."""
        at = f"{tx.now.astimezone(self.zone):%d %b %H:%M}"
        for chat in self.reviewers.chats():
            last = phone.about(tx.connection, topic, chat)
            count = json.loads(last.wanted).get("count", 1) + 1 if last is not None else 1
            times = f" ({count} in a row, last {at})"
            if last is None:
                self._post(tx, chat, topic, f"⚠ {text}")
            else:
                phone.want(tx, last, text=plain([f"⚠ {text}{times}"]), count=count)

    def _well_again(self, tx: Transaction, task: str) -> None:
        """A task that failed ran well: the next trouble is a new one."""
        topic = f"trouble {task}"
        for chat in self.reviewers.chats():
            if (last := phone.about(tx.connection, topic, chat)) is not None:
                at = f"{tx.now.astimezone(self.zone):%d %b %H:%M}"
                phone.want(tx, last, line=f"✅ It ran well again {at}.")
                phone.rename(tx, last.id, f"past {topic}")

    def say(self, tx: Transaction, topic: str, text: str, *, is_urgent: bool = False) -> None:
        """A message to each chat of the owners."""
        for chat in self.reviewers.chats():
            self._post(tx, chat, topic, text, is_urgent=is_urgent)

    def _post(self, tx: Transaction, chat: int, topic: str, text: str, *, is_urgent: bool = False) -> None:
        wanted = {"text": plain(text.split("\n")), "entities": []}
        hour = None if is_urgent else self.held(tx.now)
        phone.add_post(
            tx, chat, topic, wanted, rank=phone.FIRST if is_urgent else phone.LAST, not_before=hour
        )

    def look_for_overdue(self, tx: Transaction) -> None:
        """A run that began and should have ended long ago is an alarm, once."""
        for row in runs.running(tx.connection):
            known = self.tasks().get(row.task)
            if known is None or row.started is None:
                continue
            bound = known.limits.timeout * max(row.attempt, 1) + SPARE * 2**row.attempt
            topic = f"overdue {row.id}"
            if parse(row.started) + bound > tx.now or not self.reviewers.chats():
                continue
            if phone.about(tx.connection, topic, self.reviewers.chats()[0]) is None:
                words = f"🚨 {row.task}: run {row.id} began {_ago(tx.now - parse(row.started))} ago and has not ended."
                self.say(tx, topic, words, is_urgent=True)


class _Known(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return ""


def _ago(span: timedelta) -> str:
    hours, minutes = divmod(int(span.total_seconds()) // 60, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
