"""Reviewing on a full screen: one draft after another, each read to its end before a yes is taken."""

from __future__ import annotations

import difflib
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runner.draft import visible
from runner.errors import RunnerError
from runner.gate import State
from runner.review.console import editing
from runner.review.console.page import Page
from runner.review.console.tables import ago
from runner.store import drafts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from runner.review.desk import Desk, Sheet

KEYS = "[a]pprove [t]ick [e]dit [r]eject re[v]ise [s]kip [d]iff [n]ext [p]rev [q]uit"
DOWN, UP = ("j", "\x1b[B", "\x1bOB", "\r", "\n"), ("k", "\x1b[A", "\x1bOA")
ON, BACK = (" ", "f", "\x1b[6~"), ("b", "\x1b[5~")
FRAME = 4  #: lines around the text: head, word, place, keys
READ_FIRST = "Read it to its end first: space"


@dataclass(slots=True)
class Reviewing:
    """What is on the screen, and what each key does to it. Decisions are the desk's."""

    desk: Desk
    by: str
    ask: Callable[[str], str]  #: a question to the person, answered in a line
    edit: Callable[[Mapping[str, Any]], dict[str, Any]] = (
        editing.in_editor
    )  #: the fields as the person leaves them
    run: str = ""  #: only the drafts of this run; empty: all that wait
    recorded: Callable[[], AbstractContextManager[Any]] = nullcontext  #: around each change
    word: str = ""  #: what the last key came to
    _place: int = 0
    _skipped: set[str] = field(default_factory=set)
    _ticked: dict[str, str] = field(default_factory=dict)  #: the digest of each ticked draft
    _read: set[str] = field(default_factory=set)  #: digests that were on the screen as a whole
    _pages: dict[tuple[str, bool, int], Page] = field(default_factory=dict)
    _is_diff: bool = False
    _size: tuple[int, int] = (80, 24)

    def waiting(self) -> list[str]:
        """The drafts that there are to review, oldest first."""
        with self.desk.store.read() as connection:
            rows = drafts.listed(connection, frozenset({State.PENDING}))
        return [row.id for row in rows if row.id not in self._skipped and self.run in ("", row.run)]

    def screen(self, width: int, height: int) -> list[str]:
        """The lines of the screen; what stands there of a draft counts as read."""
        self._size = width, height
        found = self.waiting()
        if not found:
            return ["Nothing waits.", visible(self.word), "", "[q]uit"]
        sheet = self._current(found)
        page = self._page(sheet)
        lines = page.view(max(1, height - FRAME))
        if page.is_read and not self._is_diff:
            self._read.add(sheet.held.digest)
        return [
            self._head(sheet, len(found)),
            *lines,
            *[""] * (height - FRAME - len(lines)),
            visible(self.word or sheet.note),
            self._where(page),
            KEYS,
        ]

    def press(self, key: str) -> bool:
        """Do what the key means; False when it means the end."""
        self.word = ""
        if key == "q":
            return False
        found = self.waiting()
        if found:
            try:
                self._obey(key, self._current(found), len(found))
            except RunnerError as error:
                self.word = str(error)
        return True

    def _obey(self, key: str, sheet: Sheet, count: int) -> None:
        was_diff, self._is_diff = self._is_diff, self._is_diff and key in (*DOWN, *UP, *ON, *BACK)
        if key in (*DOWN, *UP, *ON, *BACK):
            self._scroll(key, sheet)
        elif key in "np":
            self._turn(1 if key == "n" else -1, count)
        elif key == "d":
            self._is_diff = not was_diff
        elif key == "s":
            self._skipped.add(sheet.held.id)
        elif key in "at":
            self._agree(key, sheet)
        elif key == "A":
            self._approve_ticked()
        else:
            self._change(key, sheet)

    def _scroll(self, key: str, sheet: Sheet) -> None:
        step = max(1, self._size[1] - FRAME - 1) if key in (*ON, *BACK) else 1
        self._page(sheet).top += step if key in (*DOWN, *ON) else -step

    def _turn(self, by: int, count: int) -> None:
        self._place = (self._place + by) % count

    def _agree(self, key: str, sheet: Sheet) -> None:
        """A yes, at once or with others; only to what was on the screen as a whole."""
        draft, digest = sheet.held.id, sheet.held.digest
        if digest not in self._read:
            self.word = READ_FIRST
        elif key == "a":
            self._approve(draft, digest)
        elif self._ticked.pop(draft, None) is None:
            self._ticked[draft] = digest

    def _approve(self, draft: str, digest: str) -> None:
        with self.recorded():
            is_enough = self.desk.approve(draft, digest, self.by)
        self.word = (
            f"approved {draft}" if is_enough else f"your yes to {draft} is on record; another's is needed"
        )

    def _approve_ticked(self) -> None:
        """Each by itself, each with its own answer."""
        words = []
        for draft, digest in self._ticked.items():
            try:
                self._approve(draft, digest)
            except RunnerError as error:
                self.word = str(error)
            words.append(self.word)
        self._ticked.clear()
        self.word = "; ".join(words)

    def _change(self, key: str, sheet: Sheet) -> None:
        draft, digest = sheet.held.id, sheet.held.digest
        match key:
            case "r":
                reason = self.ask("Why? (the task is told; empty is no reason)")
                with self.recorded():
                    self.desk.reject(draft, digest, self.by, reason)
                self.word = f"rejected {draft}"
            case "v":
                feedback = self.ask("What is to change?")
                with self.recorded():
                    self.desk.revise(draft, digest, self.by, feedback)
                self.word = f"{draft} is being revised"
            case "e":
                fields = self.edit(sheet.fields)
                if fields == sheet.fields:
                    self.word = "nothing was changed"
                    return
                with self.recorded():
                    self.desk.edit(draft, digest, self.by, fields)
                self.word = f"{draft} has a new revision; read it, then approve it"

    def _current(self, found: list[str]) -> Sheet:
        self._place = min(self._place, len(found) - 1)
        return self.desk.sheet(found[self._place])

    def _page(self, sheet: Sheet) -> Page:
        key = (sheet.held.digest, self._is_diff, self._size[0])
        if key not in self._pages:
            text = self._difference(sheet) if self._is_diff else sheet.rendering
            self._pages[key] = Page.of(text, self._size[0])
        return self._pages[key]

    def _head(self, sheet: Sheet, count: int) -> str:
        now = self.desk.store.clock.now()
        tick = " ☑" if self._ticked.get(sheet.held.id) == sheet.held.digest else ""
        made, left = ago(sheet.created, now), ago(sheet.held.expires.isoformat(), now)
        return (
            f"{self._place + 1} of {count} · {sheet.task} · {sheet.kind} · made {made}, expires {left}{tick}"
        )

    def _where(self, page: Page) -> str:
        what = "difference to the last delivered" if self._is_diff else "draft"
        end = min(page.top + max(1, self._size[1] - FRAME), len(page.lines))
        more = "" if end == len(page.lines) else " · space goes on"
        ticked = f" · [A]pprove the {len(self._ticked)} ticked" if self._ticked else ""
        return f"── {what}: line {page.top + 1} to {end} of {len(page.lines)}{more}{ticked}"

    def _difference(self, sheet: Sheet) -> str:
        """What differs from the last draft of the task that was delivered."""
        with self.desk.store.read() as connection:
            last = drafts.last_delivered(connection, sheet.task, sheet.kind)
            old = drafts.fields_of(connection, last) if last else None
        if old is None:
            return f"No {sheet.kind} of {sheet.task} was delivered so far."
        return (
            "\n".join(_differing(old, sheet.fields)) or f"The same as in draft {last}, which was delivered."
        )


def _differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    before, after = (visible(editing.as_text(fields)).splitlines() for fields in (old, new))
    return [
        line.rstrip("\n")
        for line in difflib.unified_diff(before, after, "delivered", "this", n=2, lineterm="")
    ]
