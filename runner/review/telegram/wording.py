"""What a card says above and below the content, from the store as it stands."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from runner.clock import parse
from runner.gate import State
from runner.review.telegram import difference
from runner.review.telegram.card import LINE_MOST, said
from runner.store import decisions, deliveries, drafts, runs, stops

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from sqlalchemy import Connection, Row

#: what each decision looks like on a card
DONE = {
    "approve": "✅ approved by {by} {at}",
    "reject": "❌ rejected by {by} {at}{reason}",
    "revise": "🔁 sent back by {by} {at}{reason}",
    "undo": "↩️ taken back by {by} {at}",
}
NOTED = frozenset({State.PENDING, State.EXPIRED, State.WITHDRAWN, State.UNCERTAIN})


def head(
    connection: Connection, draft: str, content: bytes, zone: ZoneInfo, sealing: Callable[[str], str]
) -> tuple[str, ...]:
    """Who made it, where it would go, what happens on approve, until when."""
    row, kind, body = drafts.get(connection, draft), drafts.kind_of(connection, draft), json.loads(content)
    (last, old), (cost, _, _) = before(connection, draft), runs.bill(connection, row.run)
    models = ", ".join(runs.models(connection, row.run)) or "no model"
    account = f" · account {body['account']}" if body["account"] else ""
    attached = f" · {len(body['attachments'])} attachments, above" if body["attachments"] else ""
    lines = (
        f"📝 {row.task} · run {row.run} · {models} · ${cost:.4f}",
        f"Goes to: {row.kind}{account}{attached}",
        f"On approve: {kind.title} delivers exactly what stands below, once",
        f"Expires {_when(parse(row.expires), zone)} · {sealing(row.task)}",
        difference.summary(last, old, body["fields"]) if last else "",
    )
    marked = ("REHEARSAL: nothing leaves", *lines) if body["account"] == "rehearsal" else lines
    return tuple(line for line in marked if line)


def before(connection: Connection, draft: str) -> tuple[str, dict[str, Any]]:
    """The task's last delivered draft of that kind, and its fields; empty where none was."""
    row = drafts.get(connection, draft)
    last = drafts.last_delivered(connection, row.task, row.kind)
    return (last, drafts.fields_of(connection, last)) if last is not None else ("", {})


def fate(connection: Connection, draft: str, zone: ZoneInfo) -> str:
    """Who decided what when, and what became of it; empty while there is nothing to say."""
    row = drafts.get(connection, draft)
    found = (*_notes(connection, row), _decided(connection, row, zone), _outcome(connection, row, zone))
    return said(" · ".join(words for words in found if words), LINE_MOST - 4)


def _notes(connection: Connection, row: Row[Any]) -> list[str]:
    """Why it waits again, or how it ended without a decision."""
    stopped = "🛑 stopped: nothing is decided until /resume" if stops.latched(connection) else ""
    if row.state not in NOTED:
        return []
    icon = {State.EXPIRED: "⌛", State.UNCERTAIN: "❓ it may have been delivered or not:"}
    said_yes = decisions.yeses(connection, drafts.held(connection, row.id))
    half = f"✅ {', '.join(said_yes)} said yes; it needs another person's yes too" if said_yes else ""
    word = f"{icon.get(State(row.state), '⚠')} {row.note}" if row.note else ""
    return [stopped if row.state == State.PENDING else "", half, word]


def _decided(connection: Connection, row: Row[Any], zone: ZoneInfo) -> str:
    last = decisions.last_decision(connection, row.id)
    if last is None or last.decision not in DONE or row.state in (State.PENDING, State.EXPIRED):
        return ""
    reason = f": {last.reason}" if last.reason else ""
    return DONE[last.decision].format(by=last.by, at=_when(parse(last.at), zone), reason=reason)


def _outcome(connection: Connection, row: Row[Any], zone: ZoneInfo) -> str:
    match row.state:
        case State.APPROVED:
            return f"goes out {_when(parse(row.not_before), zone)}" if row.not_before else "goes out now"
        case State.DELIVERING:
            return "📤 being delivered"
        case State.DELIVERED:
            last = deliveries.last(connection, row.id)
            receipt = json.loads(last.receipt) if last is not None and last.receipt else {}
            return f"📬 delivered: {receipt.get('url') or receipt.get('id') or receipt.get('detail') or 'no receipt'}"
        case State.REVISING:
            return "the revision is under way"
    return ""


def _when(at: datetime, zone: ZoneInfo) -> str:
    return f"{at.astimezone(zone):%a %d %b %H:%M}"
