"""Zygotes for tests, forked from a process that has imported what a zygote imports: to start one takes longer than most tests.

What a forked one can't show, the tests show that are marked `own_zygote`, those that kill or hang a runner whose zygote
is its own, and every runner that is typed at a shell.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import socket
import sys
import warnings
from contextlib import suppress

WHOLE = 4096  #: bytes of an order, at most
_line: list[socket.socket] = []  #: the one to the process that zygotes are forked from, once it is there


class Zygote:
    """A zygote that was forked, in the place of the `Popen` of one that was started."""

    def __init__(self, process: int) -> None:
        self._process = process  #: a descriptor
        self._has_ended = False

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            if not self._has_ended:
                signal.pidfd_send_signal(self._process, signal.SIGKILL)

    def wait(self) -> None:
        """Until it has ended; its parent alone hears how."""
        if not self._has_ended:
            select.select([self._process], [], [])
            os.close(self._process)
            self._has_ended = True

    def __del__(self) -> None:
        """Whoever forgets a zygote is told, as whoever forgets a `Popen`."""
        if not self._has_ended:
            os.close(self._process)
            warnings.warn("a zygote was forgotten", ResourceWarning, stacklevel=2)


def zygote(control: int, stop: str) -> Zygote:
    """As `runner.children.zygote`, in a moment."""
    begin()
    (line,) = _line
    try:
        socket.send_fds(line, [json.dumps(stop).encode()], [control])
        _, (process,), _, _ = socket.recv_fds(line, 1, 1)
    except BaseException:
        _line.clear()  # another order would get the answer to this one
        raise
    return Zygote(process)


def begin() -> None:
    """Have the process that zygotes are forked from there before it is needed; it ends when its line does."""
    if _line:
        return
    from runner.children import bare  # not there, where these zygotes would have it too

    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = bare([__file__, str(theirs.fileno())], theirs.fileno())
    atexit.register(process.wait)
    atexit.register(ours.close)
    _line.append(ours)


def split_off() -> None:
    """Have zygotes forked from a copy of this process, which ends with it: they have all that it has imported.

    Calls of theirs are judged as its own are. Their forks are ordered over a socket: one call more that is judged.
    """
    from runner.worker.limits import die_with_parent

    parent = os.getpid()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        if not os.fork():
            try:
                die_with_parent(parent)
                ours.close()
                main(theirs.detach())
            finally:
                os._exit(0)
    _line[:] = [ours]


def main(descriptor: int) -> None:
    """Fork a zygote for each order, until nobody is there to order."""
    import httpx  # noqa: F401 - most that deliver do: they need not each do it anew

    from runner.worker import zygote

    line, parent = socket.socket(fileno=descriptor), os.getpid()
    while True:
        order, controls, _, _ = socket.recv_fds(line, WHOLE, 1)
        if not order:
            return
        pid = os.fork()
        if not pid:
            line.close()
            os.setsid()
            sys.argv = ["zygote", str(controls[0]), str(parent), json.loads(order)]
            zygote.main()
        process = os.pidfd_open(pid)
        socket.send_fds(line, [b"1"], [process])
        for each in (*controls, process):
            os.close(each)
        _forget()


def _forget() -> None:
    """Let the kernel forget those that have ended."""
    with suppress(ChildProcessError):
        while os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG):
            pass


if __name__ == "__main__":
    main(int(sys.argv[1]))
