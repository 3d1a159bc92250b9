"""What `runner up` shows: a line for each event, and below them, on a terminal, a live line for each task."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from runner.clock import parse
from runner.draft import visible
from runner.due import upcoming
from runner.review.console.lines import STYLES, line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from runner.catalog import Catalog, Declared

REFRESH = 2  #: times a second


class Board:
    """The terminal of a runner that is up."""

    def __init__(self, zone: ZoneInfo, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        self._zone = zone
        self._last: dict[str, str] = {}
        self._waiting: dict[str, set[str]] = {}

    def heard(self, event: Mapping[str, Any]) -> None:
        """Show an event, and remember what the tasks' lines say of it."""
        self._remember(event)
        if words := line(event, self._zone):
            self.console.print(Text(words, STYLES.get(str(event.get("level")), "")), soft_wrap=True)

    def _remember(self, event: Mapping[str, Any]) -> None:
        name, task, draft = str(event["event"]), event.get("task"), event.get("draft")
        if task and name.startswith(("run.", "slot.")):
            status = event.get("status") or event.get("reason") or name.partition(".")[2]
            self._last[task] = f"{status} {parse(event['ts']).astimezone(self._zone):%H:%M:%S}"
        if draft and task:
            self._count(name, task, draft)

    def _count(self, name: str, task: str, draft: str) -> None:
        waiting = self._waiting.setdefault(task, set())
        if name in {"draft.pending", "draft.revised", "draft.edited", "draft.returned"}:
            waiting.add(draft)
        elif name.startswith("draft."):
            waiting.discard(draft)

    def expect(self, task: str, drafts: set[str]) -> None:
        """Begin with the drafts that wait already."""
        self._waiting[task] = drafts

    @contextmanager
    def live(self, catalog: Catalog, now: Callable[[], datetime]) -> Iterator[None]:
        """Keep a line for each task at the bottom of a terminal; elsewhere, only events are shown."""
        if not self.console.is_terminal:
            yield
            return
        with Live(
            get_renderable=lambda: self._table(catalog.tasks, now()),
            console=self.console,
            refresh_per_second=REFRESH,
            transient=True,
        ):
            yield

    def _table(self, tasks: Mapping[str, Declared], now: datetime) -> Table:
        table = Table(box=SIMPLE_HEAD, pad_edge=False, expand=True)
        for head in ("task", "next", "last", "waiting"):
            table.add_column(head, no_wrap=True)
        for task in tasks.values():
            slot = next(upcoming(task.triggers, now, self._zone), None)
            following = f"{slot.astimezone(self._zone):%a %d %b %H:%M:%S}" if slot else "on demand"
            waiting = len(self._waiting.get(task.name, ()))
            cells = (task.name, following, self._last.get(task.name, "not yet"), str(waiting or ""))
            table.add_row(*(Text(visible(cell)) for cell in cells))
        return table


def outlook(tasks: Mapping[str, Declared], zone: ZoneInfo, now: datetime) -> list[str]:
    """What is scheduled and what a run of it may cost, a line for each task."""
    lines = []
    for task in tasks.values():
        slot = next(upcoming(task.triggers, now, zone), None)
        following = f", next {slot.astimezone(zone):%a %d %b %H:%M}" if slot else ""
        words = [f"at most ${task.limits.budget:.2f} a run", *task.reach]
        lines.append(f"  {visible(task.name)}: {task.schedule}{following}; {'; '.join(words)}")
    return lines
