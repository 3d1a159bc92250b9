"""One event, one line, for people."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from runner.draft import visible

if TYPE_CHECKING:
    from collections.abc import Mapping
    from zoneinfo import ZoneInfo

SHOWN = 300  #: characters of what a task or Claude said

#: what each event says; one that is not here is not worth a line
_SENTENCES: dict[str, str] = {
    "runner.started": "the runner is ready (process {pid}): {tasks}",
    "runner.ended": "the runner has ended",
    "stop.engaged": "STOPPED: {reason}. Nothing runs or is delivered until `runner resume`",
    "stop.released": "released by {by}: slots fire again",
    "task.loaded": "{task}: loaded from tasks/{file}; {schedule}",
    "task.removed": "{task}: its module is gone; it is no longer scheduled",
    "task.broken": "tasks/{file}:{line}: {reason}",
    "task.paused": "{task}: paused by {by}",
    "task.unpaused": "{task}: unpaused by {by}",
    "slot.missed": "{task}: missed its slot of {slot}: {reason}",
    "slot.skipped": "{task}: skipped its slot of {slot}: {reason}",
    "run.started": "{task}: run {run} started",
    "claude.searched": "{task}: Claude looked on the web: {web}",
    "run.parked": "{task}: run {run} is parked until Claude's batch has ended",
    "batch.ended": "{task}: run {run}: its batch is {state}{why}",
    "batch.lost": "{task}: run {run}: whether a batch arrived can't be told ({reason}); its question is asked anew, "
    "and may be paid for twice",
    "batch.canceled": "{task}: run {run}: its batch is cancelled: {reason}",
    "batch.unused": "{task}: run {run}: {reason}",
    "run.retried": "{task}: run {run} will be tried again: {error}",
    "run.finished": "{task}: run {run} {status} in {duration_s} s, ${cost_usd}{problem}",
    "draft.pending": "{task}: draft {draft} ({kind}) waits: runner show {draft}",
    "draft.revised": "{task}: draft {draft} has revision {revision}: runner show {draft}",
    "draft.edited": "{task}: draft {draft} was edited by {by}; revision {revision} waits",
    "draft.approved": "{task}: draft {draft} approved by {by}",
    "draft.endorsed": "{task}: {by} said yes to draft {draft}; it needs another person's yes too",
    "draft.returned": "draft {draft} is pending again: {reason}",
    "draft.rejected": "{task}: draft {draft} rejected by {by}: {reason}",
    "draft.revising": "{task}: draft {draft} is being revised: {feedback}",
    "draft.expired": "{task}: draft {draft} expired undecided",
    "draft.waiting": "{task}: draft {draft} waits since {since} and expires {expires}: runner show {draft}",
    "draft.folded": "{task}: run {run} made draft {draft} once more, which waits already",
    "draft.withdrawn": "{task}: draft {draft} withdrawn by {by}",
    "delivery.started": "{task}: draft {draft}: delivery begins",
    "delivery.delivered": "{task}: draft {draft} delivered: {receipt}",
    "delivery.failed": "{task}: draft {draft} was not delivered: {reason}",
    "delivery.uncertain": "{task}: draft {draft} may have been delivered or not: {reason}. Look, then: "
    "runner resolve {draft} --delivered|--not-delivered",
    "decision.refused": "refused to {decision} draft {draft}: {reason}",
    "alert.raised": "{task}: {text}{asks}",
    "question.answered": "{task}: {by} answered question {question}: {answer}",
    "budget.exceeded": "{task}: {reason}",
    "budget.near": "{task}: {reason}",
    "budget.paused": "{task} paused itself: {reason}. Once you have, or in its next day or month: runner unpause {task}",
    "telegram.frozen": "decisions by Telegram are frozen: {reason}",
    "telegram.thawed": "decisions by Telegram are taken again",
    "telegram.stranger": "person {person} wrote to the bot in chat {chat} and got no answer: not listed, or not there",
    "telegram.refused": "Telegram refused a message in chat {chat}: {reason}",
    "card.altered": "Telegram changed the card of draft {draft}; decide at the terminal: runner show {draft}",
    "heartbeat.missed": "the dead man's switch was not asked: {reason}",
    "heartbeat.resumed": "the dead man's switch is asked again",
    "clock.moved": "{task}: the clock was moved from {was} to {now}",
    "log": "{task} {message}",
}
INSTANTS = frozenset({"slot", "since", "expires"})
STYLES = {"error": "bold red", "warning": "yellow"}


def line(event: Mapping[str, Any], zone: ZoneInfo) -> str:
    """The event in a sentence, with its time in the owner's zone; empty when it is not worth one."""
    sentence = _SENTENCES.get(str(event["event"]))
    if sentence is None:
        return ""
    known = {name: _shown(name, value, zone) for name, value in event.items()}
    problem = f": {known['error']}" if known.get("error") else ""
    mark = "[rehearsal] " if event.get("rehearsal") else ""
    asks = (
        f" {known['question']} Answer: runner answer {known['question_id']} …"
        if "question_id" in known
        else ""
    )
    why = f": {known['reason']}" if known.get("reason") else ""
    words = sentence.format_map(_Blank({**known, "problem": problem, "asks": asks, "why": why}))
    return f"{_clock(event['ts'], zone, '%H:%M:%S')} {mark}{words.strip()}"


class _Blank(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return ""


def _shown(name: str, value: Any, zone: ZoneInfo) -> str:
    if name in INSTANTS:
        return _clock(value, zone, "%a %d %b %H:%M")
    if name == "tasks":
        return (
            f"{len(value)} task{'s' * (len(value) != 1)}" if value else "no tasks yet; drop one into tasks/"
        )
    if name == "web":
        value = "; ".join(f"{deed} {what}" for each in value for deed, what in each.items())
    if name == "receipt":
        value = value.get("url") or value.get("id") or value.get("detail") or "no receipt"
    if name == "cost_usd":
        return f"{value:.4f}"
    text = visible(str(value)).replace("\n", " ")
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _clock(at: str, zone: ZoneInfo, form: str) -> str:
    return datetime.fromisoformat(at).astimezone(zone).strftime(form)
