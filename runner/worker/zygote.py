"""The small process that children are forked from: single-threaded, with what a child needs imported already.

It forks when it is told to, says which child has ended, and lets the kernel forget a child only when the supervisor
says so: until then its pid can't be given to another process, so that a kill never meets a stranger.

It is the watchdog too: it looks for STOP by itself, forks nothing while STOP is there, and kills every child, should
the supervisor be too busy or too ill to do so. A delivery that has begun is left its ten seconds.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

import jsonschema  # noqa: F401 - imported here, had by all; so are the orders' modules below

from runner import drafts  # noqa: F401 - likewise: nearly every module names one of them
from runner.stop import GRACE_S, sight
from runner.worker import child, deliver, fitting, limits, look, run  # noqa: F401
from runner.worker.line import Line
from runner.worker.sealing import prepare
from runner.worker.sealing.kernel import hide

LOOK_MS = 100  #: how often it looks for STOP while there are children


class Live:
    """The children that have not ended: which is which, and which are spared by STOP for a while."""

    def __init__(self, stop: Path | None) -> None:
        self.numbers: dict[int, int] = {}  #: by pid
        self.spared: set[int] = set()  #: numbers of deliveries that have begun
        self._stop = stop
        self._seen: float | None = None

    def is_stopped(self) -> bool:
        """Whether STOP is there, or may be; kills what must not live beside it."""
        if self._stop is None or sight(self._stop) is None:
            self._seen = None
            return False
        self._seen = self._seen or time.monotonic()
        has_had_its_time = time.monotonic() - self._seen > GRACE_S
        for pid, number in self.numbers.items():
            if number not in self.spared or has_had_its_time:
                limits.kill(pid)
        return True


def main() -> NoReturn:
    """Serve the supervisor on the descriptor that the command line names, until it is gone."""
    control = Line(socket.socket(fileno=int(sys.argv[1])))
    limits.die_with_parent(int(sys.argv[2]))
    hide()
    prepare()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor decides when it is over
    wake_read, wake_write = os.pipe()
    for end in (wake_read, wake_write):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    gc.freeze()  # what is shared with the children stays shared
    live = Live(Path(sys.argv[3]) if sys.argv[3] else None)
    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(wake_read, select.POLLIN)
    with contextlib.suppress(ConnectionError):  # the supervisor is gone, and hears no report
        control.send({"op": "ready"})
        _serve(control, live, poll, (wake_read, wake_write))
    os._exit(0)


def _serve(control: Line, live: Live, poll: select.poll, wake: tuple[int, int]) -> None:
    """Obey and report until the supervisor's end is closed."""
    while True:
        ready = dict(poll.poll(LOOK_MS if live.numbers else None))
        if wake[0] in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(wake[0], 4096)
            _report_ended(control, live)
        if control.fileno() in ready:
            messages = control.receive()
            if messages is None:
                return
            _obey(control, live, wake, messages)
        else:  # orders first: a delivery that was let go before STOP came has its grace
            live.is_stopped()


def _obey(control: Line, live: Live, wake: tuple[int, int], messages: list[dict[str, Any]]) -> None:
    for message in messages:
        match message["op"]:
            case "reap":
                os.waitpid(message["pid"], 0)
            case "spare":
                live.spared.add(message["child"])
            case "fork":
                descriptors = control.take()
                _fork(control, live, wake, message["child"], descriptors)
                for descriptor in descriptors:
                    os.close(descriptor)


def _fork(control: Line, live: Live, wake: tuple[int, int], number: int, descriptors: list[int]) -> None:
    if live.is_stopped():
        control.send({"op": "refused", "child": number})
        return
    parent = os.getpid()
    pid = os.fork()
    if not pid:
        _become(control, descriptors, wake, parent)
    os.setpgid(pid, pid)  # here as well as there: whoever hears of the child can kill its group at once
    live.numbers[pid] = number
    control.send({"op": "forked", "child": number, "pid": pid})


def _become(control: Line, descriptors: list[int], wake: tuple[int, int], parent: int) -> NoReturn:
    """The child's first steps after the fork."""
    try:
        os.setpgid(0, 0)
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
        os.set_inheritable(channel, False)  # noqa: FBT003 - the function's own signature
        child.serve(socket.socket(fileno=channel), parent)
    except BaseException:  # noqa: BLE001 - nothing may return into the zygote's loop
        import traceback

        traceback.print_exc()
    finally:
        os._exit(70)


def _report_ended(control: Line, live: Live) -> None:
    for pid in list(live.numbers):
        ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended is not None:
            number = live.numbers.pop(pid)
            live.spared.discard(number)
            report = {
                "op": "ended",
                "child": number,
                "signalled": ended.si_code != os.CLD_EXITED,
                "status": ended.si_status,
            }
            control.send(report)


if __name__ == "__main__":
    main()
