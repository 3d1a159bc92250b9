"""What the runner, its libraries and the tasks say beside the events: one stream, into the journal, without secrets."""

from __future__ import annotations

import logging
import traceback
from collections import deque
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    import asyncio
    from collections.abc import MutableMapping

    from runner.secrecy import Veil
    from runner.store.store import Store

FLUSH_S = 0.2  #: how long lines are gathered, so that a talkative task costs few commits
HELD_MAX = 2000  #: lines gathered; past that the oldest are dropped, and their number is said
LINE_MAX = 4000  #: characters of a line
TAKEN = frozenset({"event", "level", "message", "method_name", "prev", "rehearsal", "seq", "self", "ts"})


class Diagnostics(logging.Handler):
    """Gathers lines, and puts them on record in small batches."""

    def __init__(self, store: Store, loop: asyncio.AbstractEventLoop, veil: Veil) -> None:
        super().__init__(logging.WARNING)
        self._store, self._loop = store, loop
        self._veil = veil
        self._lines: deque[dict[str, Any]] = deque()
        self._dropped = 0
        self._timer: asyncio.TimerHandle | None = None
        self._log = structlog.wrap_logger(
            None,
            processors=[structlog.processors.add_log_level, self._redact, self._gather],
            wrapper_class=structlog.BoundLogger,
        )

    def say(self, level: str, message: str, /, **about: Any) -> None:
        """Put a line on record, soon; from any thread. A detail that is called like a part of the line is renamed."""
        details = {f"{name}_" if name in TAKEN else name: value for name, value in about.items()}
        getattr(self._log, level)("log", message=message, **details)

    def emit(self, record: logging.LogRecord) -> None:
        """Take a line of a library's."""
        words = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            words += "\n" + "".join(traceback.format_exception(record.exc_info[1]))
        self.say("error" if record.levelno >= logging.ERROR else "warning", words, source=record.name)

    def _redact(self, logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        for name, value in event.items():
            text = self._veil.over(str(value))
            if text != str(value) or isinstance(value, str):
                event[name] = text[:LINE_MAX]
        return event

    def _gather(self, logger: Any, method: str, event: MutableMapping[str, Any]) -> Any:
        if len(self._lines) >= HELD_MAX:
            self._lines.popleft()
            self._dropped += 1
        self._lines.append(dict(event))
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._plan)
        raise structlog.DropEvent

    def _plan(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(FLUSH_S, self.write_down)

    def write_down(self) -> None:
        """Put on record what was gathered."""
        self._timer = None
        if not self._lines:
            return
        lines, self._lines = self._lines, deque()
        dropped, self._dropped = self._dropped, 0
        with self._store.change() as tx:
            if dropped:
                tx.tell("log", level="warning", message=f"{dropped} lines came too fast and were not kept")
            for line in lines:
                tx.tell(line.pop("event"), **line)
