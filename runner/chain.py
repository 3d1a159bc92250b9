"""The lines of the journal: each names the hash of the one before; a line that a crash cut off is marked and passed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import orjson

START = "0" * 64  #: what the first line names as the hash before it
MARK = b'{"torn":true}'  #: the line that marks the torn one before it


def hash_of(line: bytes) -> str:
    """What the next line names."""
    return hashlib.sha256(line.removesuffix(b"\n")).hexdigest()


def number_of(line: bytes) -> int | None:
    """The number a line bears; None when it is torn, a mark, or no line of ours."""
    try:
        seq = orjson.loads(line)["seq"]
    except (ValueError, KeyError, TypeError):
        return None
    return seq if type(seq) is int and seq > 0 else None


def _is_json(line: bytes) -> bool:
    try:
        orjson.loads(line)
    except ValueError:
        return False
    return True


def mending(content: bytes) -> bytes:
    """What closes and marks the line that a crash cut off, or the mark that another cut off; empty when none did."""
    last = content.rstrip(b"\n").rpartition(b"\n")[2]
    is_whole = not last or _is_json(last)
    return (b"" if content.endswith(b"\n") or not content else b"\n") + (b"" if is_whole else MARK + b"\n")


@dataclass(frozen=True, slots=True)
class Problem:
    """A place where the journal is not what was written."""

    file: str
    line: int
    what: str


@dataclass(slots=True)
class Verdict:
    """What a reading of the whole journal found."""

    lines: int = 0
    torn: int = 0  #: lines cut by a crash, marked and passed; no problem
    first: int = 0  #: number of the first event
    head: tuple[int, str] = (0, START)
    told: int = 0  #: number of the event that has the head which was told; 0: none
    problems: list[Problem] = field(default_factory=list)


@dataclass(slots=True)
class Reading:
    """The reading of one file."""

    verdict: Verdict
    name: str
    told: str
    is_begun: bool = False  #: an event of this file was read

    def judge(self, lines: list[bytes]) -> None:
        """List what is wrong with the lines, given those of the files before."""
        for number, line in enumerate(lines, 1):
            before, after = lines[number - 2 : number - 1], lines[number : number + 1]
            if line and (reason := self._judge(line, before, after)):
                self.verdict.problems.append(Problem(self.name, number, reason))

    def _judge(self, line: bytes, before: list[bytes], after: list[bytes]) -> str:
        if line == MARK:
            return "" if before and not _is_json(before[0]) else "it marks a line that is not torn"
        if not _is_json(line):
            self.verdict.torn += 1
            is_explained = not after or (after[0] and MARK.startswith(after[0]))
            return "" if is_explained else "it is no JSON, and no crash explains that"
        self.verdict.lines += 1
        seq = number_of(line)
        return "it is no event" if seq is None else self._follow(seq, line)

    def _follow(self, seq: int, line: bytes) -> str:
        """Take an event as the next; what speaks against that."""
        verdict, entry = self.verdict, orjson.loads(line)
        last, head = verdict.head
        verdict.first = verdict.first or seq
        verdict.head = (seq, hash_of(line))
        if verdict.head[1] == self.told:
            verdict.told = seq
        is_first, self.is_begun = not self.is_begun, True
        if seq != last + 1:
            return (
                f"event {seq} follows event {last}"
                if last
                else f"event {seq} is the first: those before it are gone"
            )
        if entry.get("prev") != head:
            return "the line before it was changed"
        is_of_day = str(entry.get("ts"))[:10] == self.name.removesuffix(".jsonl")
        return "" if is_of_day or not is_first else "the file is called like another day"
