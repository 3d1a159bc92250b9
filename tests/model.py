"""What ought to be so, in plain words: a dict of drafts, written from the promises and not from the gate.

Beside the real runner the walks carry this along. It knows no digest, no table and no event: a draft is its words,
a yes is a yes to words at a revision, and what the destination took is judged by the yeses that were given.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

LASTS = timedelta(days=3)  #: how long a draft waits
ENDED = frozenset({"delivered", "rejected", "withdrawn", "expired"})
#: what becomes of an attempt whose request meets that
FATES = {"": "delivered", "refused": "pending", "unsent": "uncertain", "unanswered": "uncertain"}


@dataclass(slots=True)
class Paper:
    """A draft."""

    kind: str  #: "plain", "keyed" (the destination drops repeats) or "found" (it can be asked)
    text: str
    code: int  #: version of the kind's code that the newest revision names
    expires: datetime
    state: str = "pending"
    revision: int = 1
    left: int = 2  #: how often it may be sent back
    hour: datetime | None = None  #: that an approval waits for
    yeses: int = 0  #: attempts that are allowed and not yet made
    asked: str = ""  #: what a revision under way will say
    is_stale: bool = False  #: a STOP came while its outcome was unknown: never sent again by itself

    def renew(self, text: str, code: int) -> None:
        """Another revision; each yes to the one before is void."""
        self.text, self.code, self.revision = text, code, self.revision + 1
        self.back()

    def back(self) -> None:
        """Ask again."""
        self.state, self.hour, self.yeses, self.is_stale = "pending", None, 0, False


@dataclass(slots=True)
class Model:
    """The drafts, whether all is stopped, and what the destination took."""

    now: datetime
    papers: dict[str, Paper] = field(default_factory=dict)
    code: int = 0  #: version of the kinds' code in tasks/
    known: int = 0  #: the one that the runner has read
    file: str = ""  #: the STOP file: "ours", "theirs" or none
    is_stopped: bool = False
    stops: int = 0  #: that were seen
    is_up: bool = True
    is_unread: bool = False  #: the code has not been read since the last stop
    taken: set[str] = field(default_factory=set)  #: words that took effect

    def add(self, draft: str, kind: str, text: str, *, left: int = 2) -> None:
        """A task made a draft."""
        self.papers[draft] = Paper(kind, text, self.known, self.now + LASTS, left=left)

    def is_live(self, paper: Paper, revision: int) -> bool:
        """Whether somebody who read that revision may decide on it now."""
        is_open = not self.is_stopped and paper.state == "pending" and self.now < paper.expires
        return is_open and paper.revision == revision

    def approve(self, paper: Paper, revision: int, hour: datetime | None = None) -> bool:
        """Yes; whether it is taken."""
        if not self.is_live(paper, revision) or (hour is not None and hour >= paper.expires):
            return False
        paper.state, paper.hour, paper.yeses = "approved", hour, 1
        return True

    def end(self, paper: Paper, revision: int, state: str) -> bool:
        """No, or never mind; whether it is taken."""
        if not self.is_live(paper, revision):
            return False
        paper.state = state
        return True

    def edit(self, paper: Paper, revision: int, text: str) -> bool:
        """Other words; whether they are taken."""
        if not self.is_live(paper, revision):
            return False
        paper.renew(text, paper.code)
        return True

    def revise(self, paper: Paper, revision: int, text: str) -> bool:
        """Another try; whether it will be made."""
        if not self.is_live(paper, revision) or not paper.left:
            return False
        paper.state, paper.left, paper.asked = "revising", paper.left - 1, text
        return True

    def undo(self, paper: Paper) -> bool:
        """Take a yes back; whether that is still possible."""
        if self.is_stopped or paper.state != "approved":
            return False
        paper.back()
        return True

    def resolve(self, paper: Paper, *, was_delivered: bool) -> bool:
        """Say how an unknown outcome ended; whether it was unknown."""
        if self.is_stopped or paper.state != "uncertain":
            return False
        if was_delivered:
            paper.state = "delivered"
        else:
            paper.back()
        return True

    def stop(self) -> None:
        """Halt: each yes that was not carried out is void, now and after, and no revision that was asked for is made."""
        if self.is_stopped:
            return
        self.is_stopped, self.stops = True, self.stops + 1
        for paper in self.papers.values():
            if paper.state in {"approved", "revising"}:
                paper.back()
            paper.is_stale = paper.is_stale or paper.state in {"uncertain", "delivering"}

    def resume(self) -> bool:
        """Go again; False while a STOP file is there that somebody else put there. Who asks sees the file."""
        self.see()
        if self.file == "theirs":
            return False
        self.file, self.is_stopped, self.is_unread = "", False, True
        return True

    def see(self) -> None:
        """Somebody looks for STOP."""
        if self.file:
            self.stop()

    def settle(self, fault: str = "") -> None:
        """What a runner that is up makes of all this; `fault` is what the one request meets that goes out."""
        if not self.is_up:
            return
        self.see()
        if not self.is_stopped and (self.is_unread or self.known != self.code):
            self._reread()
        for paper in self.papers.values():
            self._revised(paper)
        self._expire()
        if not self.is_stopped:
            for paper in self.papers.values():
                if paper.state == "approved" and (paper.hour is None or paper.hour <= self.now):
                    self._carry_out(paper, fault)
        self._expire()

    def _reread(self) -> None:
        """The code is read: what waits by other code is made anew."""
        self.known, self.is_unread = self.code, False
        for paper in self.papers.values():
            if paper.state in {"pending", "approved"} and paper.code != self.known:
                paper.renew(paper.text, self.known)

    def start(self) -> None:
        """A runner comes up: of what was under way nobody knows the end; the code is read, if that may be."""
        self.is_up = True
        for paper in self.papers.values():
            if paper.state == "delivering":
                paper.state = "uncertain"
        self.see()
        if not self.is_stopped:
            self._reread()

    def _revised(self, paper: Paper) -> None:
        if paper.state == "revising" and self.is_stopped:
            paper.back()
        elif paper.state == "revising":
            paper.renew(paper.asked, self.known)

    def _expire(self) -> None:
        for paper in self.papers.values():
            if paper.state in {"pending", "approved"} and self.now >= paper.expires:
                paper.state, paper.yeses, paper.hour = "expired", 0, None

    def _carry_out(self, paper: Paper, fault: str) -> None:
        if paper.code != self.known:
            paper.renew(paper.text, self.known)
            return
        paper.state, paper.hour, paper.yeses = FATES[fault], None, 0

    def inquire(self, fault: str = "") -> None:
        """Ask about what is uncertain, or send it again where a repeat is dropped."""
        for paper in self.papers.values():
            if paper.state != "uncertain" or self.is_stopped or paper.code != self.known:
                continue
            if paper.kind == "found" and paper.text in self.taken:
                paper.state = "delivered"
            elif paper.kind == "found":
                paper.back()
            elif self.may_repeat(paper) and not fault:
                paper.state = "delivered"

    def may_repeat(self, paper: Paper) -> bool:
        """Whether the runner may send an uncertain draft once more, by itself."""
        is_safe = paper.kind == "keyed" and not paper.is_stale and self.now < paper.expires
        return is_safe and paper.state == "uncertain" and paper.code == self.known and not self.is_stopped

    def judge(self, body: dict[str, Any], *, is_refused: bool) -> str:
        """What is wrong with a request that the destination got; empty when a live yes stands behind it."""
        about = f"{body['text']!r} of code {body['code']}"
        paper = next((each for each in self.papers.values() if each.text == body["text"]), None)
        if paper is None:
            return f"{about} was sent, which no draft says now"
        if body["code"] != paper.code:
            return f"{about} was sent by other code than {paper.code}, which was approved"
        if self.now >= paper.expires or (paper.hour is not None and self.now < paper.hour):
            return f"{about} was sent out of its time"
        if self.is_stopped:
            return f"{about} was sent while all was stopped"
        paper.yeses -= 1
        if paper.yeses < 0:
            return f"{about} was sent without a yes, or once more than there were yeses"
        if not is_refused:
            self.taken.add(paper.text)
        return ""
