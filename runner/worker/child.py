"""A child from its first message to its last: it is told what it is for, does that, and leaves."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import traceback
from typing import TYPE_CHECKING, Any, NoReturn

from runner.errors import RunnerError
from runner.worker import limits

if TYPE_CHECKING:
    import socket

ORDER_MAX = 64 << 20  #: bytes of the first message


def serve(channel: socket.socket) -> NoReturn:
    """Carry out the one order that comes over the socket, then leave."""
    order = _order(channel)
    if order is None:
        os._exit(0)  # the supervisor thought better of it
    limits.confine(order["memory"])
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    sys.dont_write_bytecode = True
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr] # a killed child flushes nothing
    limits.die_at_end_of_file(channel)
    asyncio.run(_carry_out(order, channel))
    os._exit(0)


def _order(channel: socket.socket) -> dict[str, Any] | None:
    data = bytearray()
    while not data.endswith(b"\n"):
        piece = channel.recv(1 << 16)
        if not piece or len(data) > ORDER_MAX:
            return None
        data += piece
    order: dict[str, Any] = json.loads(data)
    return order


async def _carry_out(order: dict[str, Any], channel: socket.socket) -> None:
    from runner.worker import deliver, look, run

    work = {"run": run.work, "deliver": deliver.work, "look": look.work}[order["op"]]
    await work(order, channel)


def complaint(error: BaseException, below: str) -> dict[str, Any]:
    """An exception as the owner should read it: a sentence, and where in their own code it was raised."""
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(below)
    ]
    words = str(error) or type(error).__name__
    if not isinstance(error, RunnerError):
        words = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    report: dict[str, Any] = {"error": words, "kind": type(error).__name__}
    if isinstance(error, SyntaxError) and (error.filename or "").startswith(below):
        report |= {"file": error.filename, "line": error.lineno}
    elif frames:
        report |= {"file": frames[-1].filename, "line": frames[-1].lineno}
    return report
