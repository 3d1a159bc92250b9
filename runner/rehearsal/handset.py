"""A phone in the terminal: the chat with the bot as a person would see it, and their thumb."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.box import ROUNDED
from rich.console import Console, Group
from rich.panel import Panel
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import RenderableType

    from runner.rehearsal.telegram import StandInTelegram

PERSON = 1001  #: the numeric id of who holds it
WIDTH = 64  #: columns


@dataclass(frozen=True, slots=True)
class Handset:
    """One person's chat with the bot, on a stand-in for Telegram."""

    telegram: StandInTelegram
    person: int = PERSON

    def newest(self, button: str, text: str = "") -> dict[str, Any] | None:
        """The newest message with that button and that text; None when there is none yet."""
        found = reversed(self.telegram.messages(self.person))
        return next(
            (each for each in found if text in _text(each) and (not button or button in _names(each))), None
        )

    def message(self, number: int) -> dict[str, Any]:
        """A message as it stands now."""
        return self.telegram.message(self.person, number)

    def tap(self, message: dict[str, Any], button: str) -> None:
        """Tap a button of a message."""
        self.telegram.taps(self.person, message["message_id"], button)

    def says(self, text: str) -> None:
        """Write to the bot."""
        self.telegram.says(self.person, text)

    def draw(self, about: str = "", count: int = 3, console: Console | None = None) -> None:
        """Print the chat's newest messages: those about one draft, by its id, or all of them."""
        console = console or Console(highlight=False)
        found = [each for each in self.telegram.messages(self.person) if about in _text(each)]
        if not found:
            console.print("nothing yet: messages go out about one a second")
        for message in found[-count:]:
            console.print(drawn(message))


def drawn(message: dict[str, Any]) -> RenderableType:
    """One message, as it looks on a phone."""
    rows = message.get("reply_markup", {}).get("inline_keyboard", [])
    lines = [
        Text("  ".join(f"[ {button['text']} ]" for button in row), "bold cyan", justify="center")
        for row in rows
    ]
    file = message.get("document", {}).get("file_name")
    parts = [Text(f"📎 {file}", "bold")] if file else [Text("🖼", "bold")] if "photo" in message else []
    is_ours = message["from"]["is_bot"]
    bubble = Panel(Text(_text(message)), box=ROUNDED, width=WIDTH, border_style="green" if is_ours else "dim")
    return Group(*parts, bubble, *lines)


def _text(message: dict[str, Any]) -> str:
    return str(message.get("text") or message.get("caption") or "")


def _names(message: dict[str, Any]) -> list[str]:
    rows = message.get("reply_markup", {}).get("inline_keyboard", [])
    return [str(button["text"]) for row in rows for button in row]
