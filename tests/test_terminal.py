"""The terminal, as a person sees it and types into it: a real one, by a pseudo-terminal."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from test_cli import RUNNER, environment, runner

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


class Screen:
    """What a program shows, and a keyboard for it."""

    def __init__(self, terminal: int) -> None:
        self._terminal = terminal
        self.text = ""

    def shows(self, words: str, within: float = 30) -> str:
        """Wait until those words came; what came since the last ones, and the screen goes on from there."""
        deadline = time.monotonic() + within
        while words not in self.text:
            assert time.monotonic() < deadline, f"{words!r} is not in:\n{self.text}"
            if select.select([self._terminal], [], [], 0.1)[0]:
                try:
                    piece = os.read(self._terminal, 65536)
                except OSError:  # the program has ended
                    piece = b""
                self.text += ESCAPES.sub("", piece.decode(errors="replace"))
        before, _, self.text = self.text.partition(words)
        return before + words

    def type(self, line: str) -> None:
        self.press(f"{line}\n")

    def press(self, keys: str) -> None:
        os.write(self._terminal, keys.encode())


@contextmanager
def terminal(home: Path, *words: str) -> Iterator[tuple[Screen, subprocess.Popen[bytes]]]:
    ours, theirs = pty.openpty()
    kept = {**environment(), "TERM": "xterm", "LINES": "50", "EDITOR": "sed -i s/^▌title/▌title/"}
    process = subprocess.Popen(
        [RUNNER, *words], cwd=home, stdin=theirs, stdout=theirs, stderr=theirs, env=kept
    )
    os.close(theirs)
    try:
        yield Screen(ours), process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)
        os.close(ours)


def test_the_demo_lets_a_person_decide_in_the_terminal(tmp_path: Path) -> None:
    with terminal(tmp_path, "demo") as (screen, process):
        screen.shows("what it drafts waits for you here")
        screen.shows("[q]uit >")
        screen.type("?")  # means nothing: the draft is shown again
        assert "▌title" in screen.shows("[q]uit >")
        screen.type("a")
        screen.shows("approved by")
        screen.shows("delivered")
        screen.shows("[q]uit >")
        screen.type("r")
        screen.shows("why?")
        screen.type("too dry")
        screen.shows("rejected by")
        screen.shows("[q]uit >")
        screen.type("v")
        screen.shows("what is to change?")
        screen.type("")
        screen.shows("a revision needs feedback")
        screen.shows("[q]uit >")
        screen.type("l")
        while "[ ✅ Approve ]" not in screen.shows("[q]uit >"):
            screen.type("p")  # the card as it looks on a phone, once it has come there
        screen.type("e")  # the editor changes nothing
        screen.shows("[q]uit >")
        screen.type("q")
        screen.shows("the runner has ended")
        assert process.wait(10) == 0


def test_a_runner_that_is_up_keeps_a_live_line_for_each_task(tmp_path: Path) -> None:
    runner(tmp_path, "init", "--examples")
    with terminal(tmp_path, "up") as (screen, process):
        screen.shows("A day may cost at most $1.00")
        screen.shows("No phone is connected; to read and decide there: runner telegram link")
        screen.shows("waiting")
        screen.shows("site_monitor")
        assert "handed to the runner" in runner(tmp_path, "run", "daily_digest")
        screen.shows("daily_digest: 0 drafts wait")
        process.send_signal(signal.SIGINT)
        screen.shows("the runner has ended")
        assert process.wait(10) == 0
