"""Fields of a draft that are the task's to say: Claude is not asked for them, nor for files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modules import note

from runner.rehearsal.claude import Says
from runner.testing import rehearsal

if TYPE_CHECKING:
    from pathlib import Path

FILE = "file: Attachment{}"


def picturing(body: str, *, default: str = "") -> str:
    module = note(body, options="retries=0", extra=FILE.format(default))
    return module.replace(
        "from runner import", "from runner.attachment import Attachment\nfrom runner import"
    )


async def test_a_given_field_is_not_asked_for_and_stands_as_it_was_given(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.drop(
            "note.py",
            note("return await run.claude('Write.', returns=Note, given={'to': 'all'})", extra="to: str"),
        )
        it.claude.script(Says(json={"text": "hello"}))
        await it.run("note")
        schema = it.claude.requests[0]["output_config"]["format"]["schema"]
        assert (list(schema["properties"]), schema["required"]) == (["text"], ["text"])
        assert (await it.draft()).fields == {"text": "hello", "to": "all"}


async def test_what_claude_says_to_a_given_field_all_the_same_does_not_count(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.drop(
            "note.py",
            note("return await run.claude('Write.', returns=Note, given={'to': 'all'})", extra="to: str"),
        )
        it.claude.script(Says(json={"text": "hello", "to": "my friends"}))
        await it.run("note")
        assert (await it.draft()).fields["to"] == "all"


async def test_claude_is_asked_for_no_file(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.drop(
            "note.py", picturing("return await run.claude('Write.', returns=Note)", default=" | None = None")
        )
        assert (await it.run("note")).error is None
        assert list(it.claude.requests[0]["output_config"]["format"]["schema"]["properties"]) == ["text"]
        assert (await it.draft()).fields["file"] is None


async def test_a_file_that_a_draft_needs_is_given_or_missed_in_words(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.drop("note.py", picturing("return await run.claude('Write.', returns=Note)"))
        assert "Note.file is a file, which Claude can't write; give it" in str((await it.run("note")).error)
        body = "(run.folder / 'a.txt').write_text('x')\nfile = await run.attach('a.txt')\n"
        body += "return await run.claude('Write.', returns=Note, given={'file': file})"
        it.drop("note.py", picturing(body))
        await it.until(lambda: it.count("task.loaded") == 2, "the change")
        assert (await it.run("note")).error is None
        assert (await it.draft()).fields["file"]["name"] == "a.txt"
