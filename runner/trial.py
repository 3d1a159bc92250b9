"""Trying the seal for real, as `runner doctor` does: a sealed child goes for each way out."""

from __future__ import annotations

import asyncio
import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner import seal
from runner.errors import RunError

if TYPE_CHECKING:
    from pathlib import Path

    from runner.children import Children

WITHIN_S = 20.0
MEMORY_MB = 256


@dataclass(frozen=True, slots=True)
class Tried:
    """A way out, and what became of it."""

    way: str
    refusal: str | None  #: how it was closed; None: it was open


async def tried(children: Children, home: Path) -> list[Tried]:
    """Each way out that a sealed child tried; raises `RunError` when it could not tell."""
    with (
        seal.scratch(home) as yard,
        seal.scratch(home) as own,
        socket.create_server(("127.0.0.1", 0)) as there,
    ):
        canary = yard / "canary"
        canary.write_text("a file of the owner's")
        order = {
            "op": "probe",
            "memory": MEMORY_MB,
            "folder": str(own),
            "seal": seal.of_run(home, own, children.user, is_open=False),
            "environment": seal.environment(own),
            "canary": str(canary),
            "port": there.getsockname()[1],
            "pid": os.getpid(),
        }
        said: list[str] = []
        try:
            async with children.fork(said.append) as child, asyncio.timeout(WITHIN_S):
                await child.send(order)
                report = await child.receive()
        except TimeoutError:
            raise RunError(f"the child that tries the seal took longer than {WITHIN_S:g} s") from None
    if report is None or report.get("op") != "probed":
        raise RunError("; ".join(["the child that tries the seal ended without a word", *said[-1:]]))
    return [Tried(way, refusal) for way, refusal in report["tried"]]
