"""Every example in docs/kinds.md, from its settings to the stand-in of its service."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runner.catalog import built_ins
from runner.testing import rehearsal

if TYPE_CHECKING:
    from collections.abc import Iterator

DOC = (Path(__file__).parents[1] / "docs" / "kinds.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^### `(\w+)`\n(.*?)(?=^### |\Z)", DOC, re.MULTILINE | re.DOTALL))


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def test_every_kind_is_shown_with_what_uncertain_means_there() -> None:
    kinds = built_ins()
    assert SECTIONS.keys() == kinds.keys()
    for title, kind in kinds.items():
        assert re.search(rf"^\| `{title}` \| .+ \| .+ \|$", DOC, re.MULTILINE), title
        (example,) = blocks(SECTIONS[title], "python")
        assert len(example.split("\n\n\n")[1].splitlines()) <= 10, title
        for secret in kind.secrets:
            assert secret in SECTIONS[title], (title, secret)
        for setting in kind.settings.get("required", ()):
            assert f"{setting} = " in SECTIONS[title], (title, setting)


@pytest.fixture
def home() -> Iterator[Path]:
    """A project with the settings of all examples, that git may enter as whoever it is."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git on this machine")
async def test_every_example_is_drafted_approved_and_delivered_in_rehearsal(home: Path) -> None:
    secrets = {secret for kind in built_ins().values() for secret in kind.secrets}
    values = dict.fromkeys(secrets, "a-made-up-secret") | {"NOTIFY_URL": f"discord://{'1' * 18}/{'a' * 68}"}
    (home / "runner.toml").write_text("".join(blocks("".join(SECTIONS.values()), "toml")))
    (home / ".env").write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    async with rehearsal(home) as it:
        for title, text in SECTIONS.items():
            (example,) = blocks(text, "python")
            it.drop(f"{title.lower()}.py", example)
        for title, kind in built_ins().items():
            (task,) = re.findall(r"def (\w+)", blocks(SECTIONS[title], "python")[0])
            run = await it.run(task)
            assert run.status == "ok", (title, run.error)
            draft = await it.draft(task)
            it.desk.approve(draft.held.id, draft.held.digest, "ann")
            delivered = await it.event("delivery.delivered", task=task)
            assert delivered["kind"] == kind.name
