"""A child from its first message to its last: it is told what it is for, does that, and leaves."""

from __future__ import annotations

import asyncio
import errno
import importlib
import json
import os
import socket
import sys
import traceback
from typing import TYPE_CHECKING, Any, NoReturn

from runner.errors import MarkdownError, RunnerError
from runner.worker import limits, sealing

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

#: where each order is carried out
WORKS = {"run": "run", "deliver": "deliver", "look": "look", "fit": "fitting", "probe": "probe"}
ORDER_MAX = 64 << 20  #: bytes of the first message
REFUSED = frozenset({errno.EPERM, errno.EACCES, errno.EXDEV})  #: how the seal says no

SEALED = (
    "the task is sealed: it has no network, no other programs and no files but its own folder and those in files=; "
    "sealed=False in @task opens network and programs"
)
OPEN = "its files are closed but for its own folder, and for what a delivery's kind names in writes"


def serve(channel: socket.socket, parent: int) -> NoReturn:
    """Carry out the one order that comes over the socket, sealed before any line of the owner's runs, then leave."""
    order = _order(channel)
    if order is None:
        os._exit(0)  # the supervisor thought better of it
    limits.confine(order["memory"])
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    sys.dont_write_bytecode = True
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr] # a killed child flushes nothing
    work = _work(order["op"])
    try:
        _seal(sealing.Seal.of(order["seal"]), parent)
    except OSError as error:
        channel.sendall(json.dumps({"op": "unsealed", "error": str(error)}).encode() + b"\n")
        os._exit(1)
    limits.die_with_line(channel, parent)  # a thread, and threads that are there already stay unsealed
    asyncio.run(work(order, channel))
    os._exit(0)


def _seal(seal: sealing.Seal, parent: int) -> None:
    sealing.become(seal)
    limits.die_with_parent(parent)  # said anew: a change of user forgets it
    sealing.lock(seal)


def _order(channel: socket.socket) -> dict[str, Any] | None:
    data = bytearray()
    while not data.endswith(b"\n"):
        piece = channel.recv(1 << 16)
        if not piece or len(data) > ORDER_MAX:
            return None
        data += piece
    order: dict[str, Any] = json.loads(data)
    return order


def _work(op: str) -> Callable[[dict[str, Any], socket.socket], Coroutine[Any, Any, None]]:
    module = importlib.import_module(f"runner.worker.{WORKS[op]}")
    work: Callable[[dict[str, Any], socket.socket], Coroutine[Any, Any, None]] = module.work
    return work


def complaint(error: BaseException, below: str, *, is_open: bool) -> dict[str, Any]:
    """An exception as the owner should read it: a sentence, and where in their own code it was raised."""
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(below)
    ]
    words = str(error) or type(error).__name__
    if not isinstance(error, RunnerError):
        words = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if any(_is_refusal(each) for each in _causes(error)):
        words += f" ({OPEN if is_open else SEALED})"
    report: dict[str, Any] = {"error": words, "kind": type(error).__name__}
    if isinstance(error, MarkdownError):
        report |= {"file": error.file, "line": error.line}
    elif isinstance(error, SyntaxError) and (error.filename or "").startswith(below):
        report |= {"file": error.filename, "line": error.lineno}
    elif frames:
        report |= {"file": frames[-1].filename, "line": frames[-1].lineno}
    return report


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and those that it came of."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_refusal(error: BaseException) -> bool:
    """Whether the seal may be what made it: a refusal by the kernel, or a name that could not be looked up."""
    return isinstance(error, socket.gaierror) or (isinstance(error, OSError) and error.errno in REFUSED)
