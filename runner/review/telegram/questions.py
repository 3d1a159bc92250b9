"""Questions of tasks on the phone: told with the alert that carries them, and answered by a reply to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runner.errors import RunnerError
from runner.review import questions
from runner.review.telegram.answer import Answer, message
from runner.store import phone

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runner.review.telegram.asks import Asks
    from runner.review.telegram.read import Said

TOPIC = "question "  #: of a message that asks, before the question's id


def topic(event: Mapping[str, Any]) -> str:
    """What the message about an alert is about: the question it carries, if it does."""
    return f"{TOPIC}{event['question_id']}" if event.get("question_id") else str(event["event"])


def words(event: Mapping[str, Any]) -> str:
    """What stands below an alert that carries a question; empty below any other."""
    return f"\n❔ {event['question']}\nReply to this message to answer." if event.get("question_id") else ""


def heard(asks: Asks, said: Said) -> Answer | None:
    """An owner's reply to a message that asks, kept as the answer; None for any other reply."""
    with asks.store.read() as connection:
        post = phone.said(connection, said.chat.id, said.reply_to or 0)
    if post is None or not post.topic.startswith(TOPIC):
        return None
    return Answer(then=(message(said.chat.id, [_kept(asks, said, post.topic)], reply_to=said.message),))


def _kept(asks: Asks, said: Said, topic: str) -> str:
    if not asks.reviewers.is_owner(said.person):
        return "That is the owner's to answer."
    if reason := asks.frozen():
        return f"Decisions by Telegram are frozen: {reason}"
    try:
        by, number = asks.reviewers.name(said.person), topic.removeprefix(TOPIC)
        task = questions.answer(asks.store, asks.desk.stop, number, by, said.text)
    except RunnerError as error:
        return f"Nothing was changed: {error}"
    return f"Your answer is kept; the next run of {task} is told."
