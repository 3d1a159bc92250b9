"""What is answered to a person: a word at once, and messages that are kept with the update they answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runner.draft import visible
from runner.review.telegram.card import MOST, sendable, units
from runner.store import phone

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runner.store.phone import Rows
    from runner.store.store import Transaction

TOAST_MOST = 190  #: characters of a word at once (https://core.telegram.org/bots/api#answercallbackquery)

Then = "Callable[[Transaction], None]"


@dataclass(frozen=True, slots=True)
class Answer:
    """To a tap or to a message."""

    toast: str = ""  #: shown over the chat for a moment; empty is nothing
    is_alert: bool = False  #: shown until it is dismissed
    then: tuple[Callable[[Transaction], None], ...] = ()  #: what is kept with it


NOTHING = Answer()


def refusal(words: str) -> Answer:
    """A no that is to be read."""
    return Answer(words, is_alert=True)


def message(
    chat: int,
    lines: Sequence[str],
    *,
    reply_to: int | None = None,
    rows: Rows | None = None,
    **more: Any,
) -> Callable[[Transaction], None]:
    """Have a message sent, with buttons below it that are about no draft."""

    def put(tx: Transaction) -> None:
        wanted = {"text": plain(lines), "entities": [], "reply_to": reply_to, **more}
        number = phone.add_post(tx, chat, "answer", wanted, rank=phone.FIRST)
        if rows:
            phone.want(tx, phone.post(tx.connection, number), buttons=phone.put_buttons(tx, number, rows))

    return put


def plain(lines: Sequence[str]) -> str:
    """Lines of ours as one message; what does not fit is said to be left out."""
    kept: list[str] = []
    for line in lines:
        text = sendable(visible(line)).strip() or "·"
        if sum(units(each) + 1 for each in (*kept, text)) > MOST - 80:
            kept.append(f"… and {len(lines) - len(kept)} lines more; see them at the terminal")
            break
        kept.append(text)
    return "\n".join(kept)
