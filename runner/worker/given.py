"""What a run is given beside its questions: pages, files, decisions, a place in the log."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.errors import RunError

if TYPE_CHECKING:
    from runner.worker.channel import Channel
    from runner.worker.feed import Feed


@dataclass(frozen=True, slots=True)
class Web:
    """Where Claude may search and fetch for one question: ``run.claude(…, web=Web())``.

    `domains` are among those that the task's `web` declares, or below them; empty means all of them. `max_uses` bounds
    the searches, and the fetches likewise.
    """

    domains: tuple[str, ...] = ()
    max_uses: int = 5


@dataclass(frozen=True, slots=True)
class Page:
    """What `run.fetch` got."""

    url: str
    status: int
    text: str
    changed: bool = True  #: whether it differs from what the last run that came to its end got
    certificate: str = ""  #: until when its server's is good, ISO 8601 in UTC; empty without https

    @property
    def certificate_until(self) -> datetime | None:
        """Until when the certificate of its server is good, in UTC; None for a page without https."""
        return datetime.fromisoformat(self.certificate) if self.certificate else None

    def feed(self) -> Feed:
        """The page read as a feed, RSS or Atom; raises `FetchError` when it is none."""
        from runner.worker.feed import parsed

        return parsed(self.text, self.url)


@dataclass(frozen=True, slots=True)
class Revision:
    """What a revision run is asked to write anew."""

    fields: dict[str, Any]  #: of the draft as its reviewer last saw it
    feedback: str


@dataclass(frozen=True, slots=True)
class Recent:
    """A decision on one of the task's drafts, or an answer to what the task asked."""

    decision: str
    reason: str
    at: str
    draft: str
    question: str = ""  #: that the owner answered; then `decision` is "answer", and `reason` what they said


class Files(dict[str, Path]):
    """The project's files that the task may read, by the names that its `files` give them."""

    def __missing__(self, name: str) -> Path:
        raise RunError(
            f"run.files[{name!r}]: the task is not declared to read that; add it to @task(files=(…,))"
        )


class Log:
    """Lines for the journal, beside what the runner writes there itself."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def info(self, message: str, **details: Any) -> None:
        """Put a line on record."""
        self._channel.tell("log", level="info", message=message, details=details)

    def warning(self, message: str, **details: Any) -> None:
        """Put a line on record that deserves a look."""
        self._channel.tell("log", level="warning", message=message, details=details)
