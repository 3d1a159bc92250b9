"""Commands of the command line, each in a process of its own, forked from one that has imported what they import.

To start Python and to import takes longer than most commands do. What a forked process can't show, such as a module
that nobody imported, `test_cli.py` shows with a process of its own for some commands each time, for all when it is told.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Mapping

WITHIN_S = 60.0  #: that a command may take
WHOLE = 1 << 16  #: bytes of an order, at most
_one_at_a_time = threading.Lock()
_environment = dict(os.environ)  #: as it was before tests changed it: it says whether coverage is measured


def typed(words: list[str], home: Path, environment: Mapping[str, str], given: str = "") -> tuple[str, int]:
    """What a command prints, diagnostics last, and its exit code; `given` is what is typed when it asks."""
    order = json.dumps({"words": words, "home": str(home), "environment": dict(environment)})
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        source.write(given.encode())
        source.seek(0)
        with _one_at_a_time:
            code = _carried_out(order.encode(), [source.fileno(), out.fileno(), err.fileno()])
        out.seek(0)
        err.seek(0)
        return (out.read() + err.read()).decode(), code


def _carried_out(order: bytes, files: list[int]) -> int:
    """The exit code of the command; one that takes too long is killed, with the process it came from."""
    assert len(order) < WHOLE, "the command is too long to be ordered"
    line, process = _line()
    try:
        socket.send_fds(line, [order], files)
        return int(line.recv(WHOLE))
    except BaseException:
        _line.cache_clear()
        line.close()
        os.killpg(process.pid, signal.SIGKILL)
        raise


@cache
def _line() -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """The line to the process that commands are forked from; it ends when the line does."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        command = [sys.executable, "-P", __file__, str(theirs.fileno())]
        process = subprocess.Popen(
            command, pass_fds=(theirs.fileno(),), env=_environment, start_new_session=True
        )
    ours.settimeout(WITHIN_S)
    atexit.register(process.wait)
    atexit.register(ours.close)
    return ours, process


def main(descriptor: int) -> None:
    """Carry out whatever is ordered, one after the other, until nobody is there to order."""
    import zygotes

    import runner.cli
    from runner import children

    rooms = [f"runner.cli.{path.stem}" for path in Path(runner.cli.__file__).parent.glob("*.py")]
    for name in [*rooms, "runner.rehearsal.stage", "runner.review.telegram.phone", "anthropic"]:
        import_module(name)
    zygotes.begin()
    children.zygote = zygotes.zygote  # type: ignore[assignment] # as in all tests
    gc.freeze()  # what a command inherits, it need not tidy up at its end
    line = socket.socket(fileno=descriptor)
    while True:
        order, files, _, _ = socket.recv_fds(line, WHOLE, 3)
        if not order:
            return
        pid = os.fork()
        if not pid:
            line.close()
            _become(json.loads(order), files)
        for each in files:
            os.close(each)
        _, status = os.waitpid(pid, 0)
        line.send(str(os.waitstatus_to_exitcode(status)).encode())


def _become(order: dict[str, Any], files: list[int]) -> NoReturn:
    from coverage import Coverage

    from runner.cli import main as command

    for number, each in enumerate(files):
        os.dup2(each, number)
        os.close(each)
    os.chdir(order["home"])
    os.environ.clear()
    os.environ.update(order["environment"])
    measuring = Coverage.current()
    if measuring is not None and "COVERAGE_PROCESS_CONFIG" not in os.environ:
        measuring.stop()
    sys.argv = ["runner", *order["words"]]
    try:
        command()
    except SystemExit as end:
        if isinstance(end.code, int):
            _leave(end.code)
        raise


def _leave(code: int) -> NoReturn:
    """End as Python does, but for tidying up all that was imported: that takes longer than most commands do."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parent))
    main(int(sys.argv[1]))
