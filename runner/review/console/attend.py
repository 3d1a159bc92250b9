"""Deciding at the terminal, one draft after another, while the runner works beside it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from runner.draft import visible
from runner.errors import RunnerError
from runner.gate import State
from runner.review.console import editing
from runner.review.console.lines import STYLES, line
from runner.store import drafts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from zoneinfo import ZoneInfo

    from runner.review.desk import Desk, Sheet

SETTLE_S = 1.0  #: before the next question, so that one sees what became of the last
CHOICES = "[a]pprove  [e]dit  re[v]ise  [r]eject  [l]ater  {more}[q]uit"


@dataclass(slots=True)
class Attendant:
    """Shows each draft that waits and asks; what happens meanwhile is told between two questions."""

    desk: Desk
    zone: ZoneInfo
    by: str
    console: Console = field(default_factory=lambda: Console(highlight=False))
    phone: Callable[[str], None] | None = None  #: shows what the bot said of a draft, where there is a phone
    _held_back: list[Mapping[str, Any]] = field(default_factory=list)
    _is_asking: bool = False
    _put_off: set[str] = field(default_factory=set)  #: digests that were to come later
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def heard(self, event: Mapping[str, Any]) -> None:
        """Tell an event, or keep it until the question is answered."""
        self._changed.set()
        if self._is_asking:
            self._held_back.append(event)
        elif words := line(event, self.zone):
            self.console.print(Text(words, STYLES.get(str(event.get("level")), "dim")), soft_wrap=True)

    async def attend(self) -> None:
        """Ask about draft after draft, until the person quits."""
        while True:
            self._changed.clear()
            sheet = self._next()
            if sheet is None:
                await self._changed.wait()
            elif not await self._ask(sheet):
                return
            else:
                await asyncio.sleep(SETTLE_S)

    def _next(self) -> Sheet | None:
        with self.desk.store.read() as connection:
            waiting = drafts.listed(connection, frozenset({State.PENDING}))
        found = next((row.id for row in waiting if row.digest not in self._put_off), None)
        return self.desk.sheet(found) if found else None

    async def _ask(self, sheet: Sheet) -> bool:
        """Show a draft whole, and carry out what the person says; False when they quit."""
        self._is_asking = True
        self.console.print(Text(f"\n{sheet.rendering}\n"), soft_wrap=True)
        if sheet.note:
            self.console.print(Text(f"note: {visible(sheet.note)}", "yellow"))
        try:
            return await self._obey(sheet, await self._line(self._choices()))
        except EOFError:
            return False
        except RunnerError as error:
            self.console.print(Text(visible(str(error)), "red"))
            return True
        finally:
            self._is_asking = False
            held, self._held_back = self._held_back, []
            for event in held:
                self.heard(event)

    def _choices(self) -> str:
        return CHOICES.format(more="[p]hone  " if self.phone is not None else "")

    async def _obey(self, sheet: Sheet, said: str) -> bool:
        draft, digest = sheet.held.id, sheet.held.digest
        match said.strip().lower()[:1]:
            case "a":
                self.desk.approve(draft, digest, self.by)
            case "r":
                self.desk.reject(draft, digest, self.by, await self._line("why? (the task is told)"))
            case "v":
                self.desk.revise(draft, digest, self.by, await self._line("what is to change?"))
            case "e":
                fields = await asyncio.to_thread(editing.in_editor, sheet.fields)
                if fields != sheet.fields:
                    self.desk.edit(draft, digest, self.by, fields)
            case "l":
                self._put_off.add(digest)
            case "p" if self.phone is not None:
                self.phone(draft)
            case "q":
                return False
        return True  # anything else means nothing: the draft is shown again

    async def _line(self, question: str) -> str:
        return await asyncio.to_thread(self.console.input, Text(f"{question} > ", "bold"))
