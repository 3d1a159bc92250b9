"""The lock that a child puts on itself before any line of the owner's module runs, and that nothing opens again.

Landlock closes the files, seccomp the system calls, a user of its own the rest of what root could do; on a Mac, its own
sandbox the files and the calls. What this platform has of them is used; `report` says what it lacks.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runner.worker.sealing import landlock, seatbelt, seccomp, user

if TYPE_CHECKING:
    from collections.abc import Mapping

COVERS_TRUNCATE = 3  #: the first ABI of Landlock that does


@dataclass(frozen=True, slots=True)
class Seal:
    """What stays open to a child."""

    reads: tuple[str, ...]
    writes: tuple[str, ...]
    is_open: bool  #: to the network and to programs of its own; the files are closed all the same
    user: tuple[int, int] | None  #: whom it becomes; None: it stays who it is

    @classmethod
    def of(cls, order: Mapping[str, Any]) -> Seal:
        """The seal as an order writes it."""
        whom = order["user"]
        return cls(
            tuple(order["reads"]), tuple(order["writes"]), order["open"], tuple(whom) if whom else None
        )


def become(seal: Seal) -> None:
    """Be the user that the seal names."""
    if seal.user is not None:
        has_landlock = sys.platform == "linux" and landlock.abi() > 0
        user.become(*seal.user, may_read=has_landlock, may_pass_on=seal.is_open)


def prepare() -> None:
    """Find out what it takes another process to find out: a child can begin none."""
    if sys.platform == "darwin":
        seatbelt.fault()


def lock(seal: Seal) -> None:
    """Close everything else, for ever; only while there is one thread. Raises `OSError` rather than close half of it."""
    if sys.platform == "darwin" and not seatbelt.fault():
        seatbelt.restrict(seal.reads, seal.writes, is_open=seal.is_open)
    if sys.platform != "linux":
        return
    abi = landlock.abi()
    if abi:
        landlock.restrict(seal.reads, seal.writes, is_open=seal.is_open)
    if seccomp.is_there():
        seccomp.restrict(is_open=seal.is_open, covers_truncate=abi >= COVERS_TRUNCATE)
