"""What of the seal this platform has: said in `runner doctor`, at start, and wherever a task is called sealed."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass

from runner.worker.sealing import COVERS_TRUNCATE, landlock, seatbelt, seccomp

SOCKETS_ABI = 9
CALLS = "network, programs, other processes"
WHOLE = f"files, {CALLS}"
SANDBOX = "macOS's own sandbox holds tasks, by a profile that was tried on no Mac but this one; trust them as open ones"


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the seal."""

    name: str
    holds: bool
    words: str


@dataclass(frozen=True, slots=True)
class SealReport:
    """What there is to seal with."""

    system: str  #: the kernel, by name and release
    abi: int  #: of Landlock; 0: there is none
    has_filter: bool  #: whether system calls can be refused
    sandbox: str | None = (
        None  #: what is wrong with macOS's own on this machine, empty where it is used; None elsewhere
    )

    @property
    def is_whole(self) -> bool:
        """Whether a task that is declared sealed is sealed."""
        return self.abi > 0 and self.has_filter

    @property
    def lacking(self) -> list[str]:
        """What is open to sealed tasks all the same, a sentence each; empty where the seal is whole."""
        return [part.words for part in self.parts() if not part.holds]

    def parts(self) -> list[Part]:
        """Each part of the seal, and whether sealed tasks are held by it."""
        if self.sandbox == "":
            return [Part(WHOLE, holds=False, words=SANDBOX)]
        return [self._files(), self._calls(), *self._sandbox()]

    def _files(self) -> Part:
        if not self.abi:
            return Part(
                "files",
                holds=False,
                words=f"{self.system} has no Landlock (Linux has it from 5.13 on): tasks can read and write your files",
            )
        shorts = [] if self.abi >= COVERS_TRUNCATE else ["cutting files short is refused everywhere"]
        shorts += [] if self.abi >= landlock.SCOPE_ABI else ["open tasks can signal your other processes"]
        shorts += [] if self.abi >= SOCKETS_ABI else ["open tasks can connect to your unix sockets"]
        return Part("files", holds=True, words="; ".join([f"Landlock, ABI {self.abi}", *shorts]))

    def _sandbox(self) -> list[Part]:
        words = (
            f"macOS's own sandbox is not used, since this Mac was seen not to be held by it: {self.sandbox}"
        )
        return [Part(WHOLE, holds=False, words=words)] if self.sandbox else []

    def _calls(self) -> Part:
        if self.has_filter:
            return Part(CALLS, holds=True, words="seccomp, a filter of our own")
        return Part(
            CALLS,
            holds=False,
            words=f"{self.system} takes no filter of ours: tasks can reach the network and begin programs",
        )


def report() -> SealReport:
    """What this very platform has."""
    system = f"{platform.system()} {platform.release()} on {platform.machine()}"
    if sys.platform != "linux":
        sandbox = seatbelt.fault() if sys.platform == "darwin" else None
        return SealReport(system, 0, has_filter=False, sandbox=sandbox)
    return SealReport(system, landlock.abi(), seccomp.is_there())
