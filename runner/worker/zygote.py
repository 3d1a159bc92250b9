"""The small process that children are forked from: single-threaded, with what a child needs imported already.

It forks when it is told to, says which child has ended, and lets the kernel forget a child only when the supervisor
says so: until then its pid can't be given to another process, so that a kill never meets a stranger.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import socket
import sys
from typing import NoReturn

from runner.worker import child, limits

MESSAGE_MAX = 4096


def main() -> NoReturn:
    """Serve the supervisor on the descriptor that the command line names, until it is gone."""
    control = socket.socket(fileno=int(sys.argv[1]))
    limits.die_with_parent(int(sys.argv[2]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor decides when it is over
    wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    gc.freeze()  # what is shared with the children stays shared
    control.send(b'{"op": "ready"}')
    live: dict[int, int] = {}
    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(wake_read, select.POLLIN)
    while True:
        ready = dict(poll.poll())
        if wake_read in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(wake_read, 4096)
            _report_ended(control, live)
        if control.fileno() in ready:
            _obey(control, live, (wake_read, wake_write))


def _obey(control: socket.socket, live: dict[int, int], wake: tuple[int, int]) -> None:
    data, descriptors, _, _ = socket.recv_fds(control, MESSAGE_MAX, 2)
    if not data:
        os._exit(0)
    message = json.loads(data)
    if message["op"] == "reap":
        os.waitpid(message["pid"], 0)
        return
    parent = os.getpid()
    pid = os.fork()
    if not pid:
        _become(control, descriptors, wake, parent)
    for descriptor in descriptors:
        os.close(descriptor)
    live[pid] = message["child"]
    control.send(json.dumps({"op": "forked", "child": message["child"], "pid": pid}).encode())


def _become(control: socket.socket, descriptors: list[int], wake: tuple[int, int], parent: int) -> NoReturn:
    """The child's first steps after the fork."""
    try:
        os.setsid()
        limits.die_with_parent(parent)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        control.close()
        for descriptor in wake:
            os.close(descriptor)
        channel, output = descriptors
        for target in (1, 2):
            os.dup2(output, target)
        os.close(output)
        child.serve(socket.socket(fileno=channel))
    except BaseException:  # noqa: BLE001 - nothing may return into the zygote's loop
        import traceback

        traceback.print_exc()
    finally:
        os._exit(70)


def _report_ended(control: socket.socket, live: dict[int, int]) -> None:
    for pid in list(live):
        ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended is not None:
            number = live.pop(pid)
            report = {
                "op": "ended",
                "child": number,
                "signalled": ended.si_code != os.CLD_EXITED,
                "status": ended.si_status,
            }
            control.send(json.dumps(report).encode())


if __name__ == "__main__":
    main()
