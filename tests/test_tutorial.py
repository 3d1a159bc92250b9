"""The tutorial tells the truth: its commands are typed in its order into an empty folder, and print what it shows."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import pytest
from test_cli import RUNNER, environment

from runner.rehearsal.claude import StandInClaude

PAGE = (Path(__file__).parents[1] / "docs" / "tutorial.md").read_text(encoding="utf-8")
BLOCK = re.compile(
    r"(?:Save this as `(?P<file>[^`]+)`:\n\n)?^```(?P<kind>[a-z ]+)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
ID = re.compile(r"(?<![\w-])(?=[a-z]*\d)[23456789a-hjkmnp-z]{10}(?!\w)")
WITHIN_S = 60


@dataclass
class Reader:
    """Somebody who types what the page says."""

    folder: Path
    variables: dict[str, str]
    ids: dict[str, str] = field(default_factory=dict)  #: as the page has them, and as they came out
    second: subprocess.Popen[str] | None = None
    ear: threading.Thread = field(default_factory=threading.Thread)
    said: list[str] = field(default_factory=list)  #: in the second terminal

    def read(self, block: re.Match[str]) -> None:
        match block["kind"]:
            case "python":
                (self.folder / block["file"]).write_text(block["text"])
            case "console second":
                self.begin(block["text"])
            case "console" | "console key":
                for command, told in commands(block["text"]):
                    self.type(command, told)

    def type(self, command: str, told: str) -> None:
        """Type a command, and whatever the page answers to a question of its."""
        answers = re.findall(r"\[y/N\]: (\w)\n", told)
        shown = re.sub(r"(\[y/N\]: )\w\n", r"\1", told)
        done = subprocess.run(
            f"{self.known(command)}\npwd > {shlex.quote(str(self.variables['PLACE']))}",
            shell=True,
            cwd=self.folder,
            input="".join(f"{answer}\n" for answer in answers),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=WITHIN_S,
            check=False,
            env=self.variables,
        )
        self.folder = Path(Path(self.variables["PLACE"]).read_text().strip())
        self.compare(command, shown, done.stdout)

    def known(self, command: str) -> str:
        """The command with the ids that came out here in place of the page's."""
        words = command.split(" ")
        for page, real in self.ids.items():
            words = [real[: len(word)] if len(word) > 3 and page.startswith(word) else word for word in words]
        return " ".join(words)

    def compare(self, command: str, shown: str, real: str) -> None:
        expected = pattern(shown, self.ids)
        found = re.fullmatch(expected, plain(real))
        assert found, f"{command}\n--- the page:\n{shown}\n--- printed:\n{real}"
        self.ids |= {name.removeprefix("id_"): value for name, value in found.groupdict().items()}

    def begin(self, text: str) -> None:
        """Start a command in the second terminal, and wait for all that the page shows of it."""
        ((command, told),) = commands(text)
        self.second = subprocess.Popen(
            shlex.split(command),
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.variables,
        )
        assert self.second.stdout is not None
        self.ear = threading.Thread(target=self.listen, args=(self.second.stdout,))
        self.ear.start()
        deadline = time.monotonic() + WITHIN_S
        while not re.fullmatch(pattern(told, self.ids), plain("".join(self.said))):
            assert time.monotonic() < deadline, "".join(self.said)
            time.sleep(0.05)

    def listen(self, stream: IO[str]) -> None:
        with stream:
            self.said += iter(stream.readline, "")

    def end(self) -> None:
        if self.second is not None:
            self.second.send_signal(signal.SIGINT)
            assert self.second.wait(WITHIN_S) == 0, "".join(self.said)
            self.ear.join()
            self.second = None


def commands(text: str) -> list[tuple[str, str]]:
    return re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE)


def plain(text: str) -> str:
    """Without the rules of tables, and with runs of blanks as one: columns are as wide as what is in them."""
    lines = (re.sub(r"[ \t]+", " ", line).strip() for line in text.splitlines() if not set(line) <= set(" ─"))
    return "\n".join(line for line in lines if line)


def pattern(shown: str, known: dict[str, str]) -> str:
    """What the page shows as a pattern: `…` is anything, an id is the same one wherever it comes again."""
    seen: set[str] = set()

    def meant(found: re.Match[str]) -> str:
        if (word := found[0]) == "…":
            return ".*"
        if word in known:
            return known[word]
        again = word in seen
        seen.add(word)
        return f"(?P=id_{word})" if again else f"(?P<id_{word}>[23456789a-hjkmnp-z]{{10}})"

    parts = re.split(rf"(…|{ID.pattern})", re.sub(r"\n *…(?=\n)", "…", plain(shown)))
    return (
        "(?s:"
        + "".join(meant(m) if (m := re.fullmatch(rf"…|{ID.pattern}", p)) else re.escape(p) for p in parts)
        + ")"
    )


@pytest.mark.no_cover
async def test_every_command_of_the_tutorial_does_what_the_page_shows(tmp_path: Path) -> None:
    async with StandInClaude() as claude:
        (tmp_path / "empty").mkdir()
        path = f"{Path(RUNNER).parent}{os.pathsep}{os.environ['PATH']}"
        kept = {**environment(), "PATH": path, "PLACE": str(tmp_path / "place"), "COLUMNS": "100"}
        reader = Reader(tmp_path / "empty", kept)
        try:
            for block in BLOCK.finditer(PAGE):
                if block["kind"] == "console key":
                    reader.end()
                    kept |= {"ANTHROPIC_API_KEY": "sk-made-up", "ANTHROPIC_BASE_URL": claude.url}
                await asyncio.to_thread(reader.read, block)
        finally:
            reader.end()
        assert len(claude.requests) == 1


def test_what_the_page_does_not_run_is_the_installation_alone() -> None:
    kinds = [block["kind"] for block in BLOCK.finditer(PAGE)]
    assert kinds.count("sh") == 1
    assert set(kinds) == {"sh", "python", "console", "console second", "console key"}


def test_a_page_that_shows_another_thing_than_was_printed_is_found() -> None:
    known: dict[str, str] = {}
    assert re.fullmatch(pattern("draft k3v9x2m7pq …\n", known), "draft aaaaaaaaa2 is pending")
    assert not re.fullmatch(pattern("draft k3v9x2m7pq\n", known), "draft aaaaaaaaa2 is pending")
    assert not re.fullmatch(pattern("k3v9x2m7pq k3v9x2m7pq\n", known), "aaaaaaaaa2 aaaaaaaaa3")
