"""Tells the service manager that the runner is ready, alive, or ending; says nothing where there is none.

The protocol is systemd's: https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
"""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress

READY, ALIVE, ENDING = "READY=1", "WATCHDOG=1", "STOPPING=1"


def tell(word: str) -> None:
    """Say it to whoever started the runner, if it listens. Never fails: it is news, not work."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.sendto(word.encode(), address.replace("@", "\0", 1) if address[0] == "@" else address)


def patience() -> float | None:
    """Seconds after which the service manager kills a runner that it has not heard of; None when it waits for ever."""
    micro = os.environ.get("WATCHDOG_USEC", "")
    is_ours = os.environ.get("WATCHDOG_PID") in (None, str(os.getpid()))
    return int(micro) / 1e6 if micro.isdecimal() and int(micro) and is_ours else None


async def keep_alive() -> None:
    """Say that the loop turns, often enough, for ever; nothing where nobody wants to know."""
    if (seconds := patience()) is None:
        return
    while True:
        tell(ALIVE)
        await asyncio.sleep(seconds / 3)
