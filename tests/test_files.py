"""Files of the project that a task is declared to read: those, to be read, and no other."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from modules import note

from runner import files, settings, task
from runner.cli.commands import cli
from runner.errors import DeclarationError, RunError
from runner.rehearsal.stage import on_stage
from runner.testing import Rehearsal, rehearsal

if TYPE_CHECKING:
    from pathlib import Path


def reading(body: str, *names: str) -> str:
    return note(body, options=f"files={names!r}")


async def test_a_task_reads_the_files_that_it_names_as_they_are_when_it_runs(tmp_path: Path) -> None:
    (tmp_path / "topics.csv").write_text("tests\n")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "größe.md").write_text("short")
    body = "return Note(text=' '.join(run.files[name].read_text() for name in run.files))"
    async with rehearsal(tmp_path) as it:
        it.drop("note.py", reading(body, "topics.csv", "notes/größe.md"))
        await it.run("note")
        (tmp_path / "topics.csv").write_text("money\n")
        await it.run("note")
        assert [sheet.fields["text"] for sheet in it.waiting()] == ["tests\n short", "money\n short"]


async def test_a_file_that_a_task_does_not_name_is_not_given_to_it(tmp_path: Path) -> None:
    (tmp_path / "topics.csv").write_text("")
    async with rehearsal(tmp_path) as it:
        it.drop("note.py", reading("return Note(text=run.files['prices.csv'].read_text())", "topics.csv"))
        assert "add it to @task(files=" in str((await it.run("note")).error)


def anybodys(folder: Path, *names: str) -> None:
    """Files that anybody may write, so that it is the seal which refuses, whoever the runner is."""
    folder.chmod(0o777)
    for name in names:
        (folder / name).write_text("X=theirs")
        (folder / name).chmod(0o666)


@pytest.mark.parametrize(
    "deed",
    [
        "run.files['topics.csv'].with_name('prices.csv').read_text()",
        "run.files['topics.csv'].write_text('mine')",
        "run.files['topics.csv'].unlink()",
        "run.files['topics.csv'].with_name('.env').read_text()",
    ],
)
async def test_the_seal_opens_that_file_to_be_read_and_nothing_beside_it(tmp_path: Path, deed: str) -> None:
    anybodys(tmp_path, "topics.csv", "prices.csv", ".env")
    async with rehearsal(tmp_path) as it:
        it.drop("note.py", reading(deed, "topics.csv"))
        assert "Permission denied" in str((await it.run("note")).error)
    assert (tmp_path / "topics.csv").read_text() == "X=theirs"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("../topics.csv", "leads out of the project folder"),
        ("/etc/passwd", "leads out of the project folder"),
        ("notes//topics.csv", "plain path"),
        (".env", "no task reads that"),
        (".runner/store.db", "no task reads that"),
        ("notes/.hidden", "no task reads that"),
        ("logs/2026-11-24.jsonl", "no task reads that"),
        ("LOGS/2026-11-24.jsonl", "no task reads that"),
        ("runner.toml", "no task reads that"),
        ("STOP", "no task reads that"),
    ],
)
def test_what_no_task_may_read_is_refused_where_it_is_declared(name: str, words: str) -> None:
    with pytest.raises(DeclarationError, match=words):
        task(files=(name,))


def test_a_link_is_followed_inside_the_project_and_never_out_of_it_or_to_what_is_private(
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"
    (home / "notes").mkdir(parents=True)
    for path in (home / ".env", home / "topics.csv", tmp_path / "outside.csv"):
        path.write_text("x")
    for name, target in (("a", "topics.csv"), ("b", ".env"), ("c", "../outside.csv"), ("d", "d")):
        (home / name).symlink_to(target)
    (home / "e").symlink_to(tmp_path)
    assert files.found(home, ["a"]) == {"a": (home / "topics.csv").resolve()}
    for name in ("b", "c", "e/outside.csv"):
        with pytest.raises(RunError, match="is a link that leads to what no task reads"):
            files.found(home, [name])
    for name, words in (("d", "can't be read"), ("notes", "is no file"), ("topics.csv/x", "is not there")):
        with pytest.raises(RunError, match=words):
            files.found(home, [name])


async def test_a_task_whose_file_is_missing_is_broken_with_its_line_until_the_file_comes(
    tmp_path: Path,
) -> None:
    async with rehearsal(tmp_path) as it:
        it.drop("note.py", reading("return Note(text=run.files['topics.csv'].read_text())", "topics.csv"))
        told = await it.event("task.broken")
        assert told["reason"] == "note: topics.csv is not there; the task is declared to read it"
        line = (tmp_path / "tasks" / "note.py").read_text().splitlines()[told["line"] - 1]
        assert line.startswith("@task(files=")
        (tmp_path / "topics.csv").write_text("here")
        assert (await it.run("note")).status == "ok"


async def test_a_file_that_goes_between_the_look_and_the_run_is_said(tmp_path: Path) -> None:
    (tmp_path / "topics.csv").write_text("here")
    async with rehearsal(tmp_path) as it:
        it.drop("note.py", reading("return Note(text='x')", "topics.csv"))
        await it.event("task.loaded")
        found = it.app.catalog.tasks["note"]
        (tmp_path / "topics.csv").unlink()
        with pytest.raises(RunError, match=r"topics\.csv is not there"):
            it.app.catalog.files_of(found)


def test_what_a_task_reads_is_shown_where_it_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNNER_HOME", str(tmp_path))
    (tmp_path / "tasks").mkdir()
    (tmp_path / "topics.csv").write_text("")
    (tmp_path / "tasks" / "note.py").write_text(reading("return None", "topics.csv"))
    runner = CliRunner()
    (listed,) = json.loads(runner.invoke(cli, ["tasks", "--json"]).output)
    assert listed["reach"] == ["reads topics.csv"]
    assert "reads topics.csv" in runner.invoke(cli, ["tasks"]).output
    assert "tasks/note.py: note: reads topics.csv" in runner.invoke(cli, ["check"]).output


async def test_a_rehearsal_reads_the_projects_own_files(tmp_path: Path) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    (home / "tasks").mkdir(parents=True)
    elsewhere.mkdir()
    (elsewhere / "tasks").symlink_to(home / "tasks")
    (home / "topics.csv").write_text("here")
    body = "return Note(text=run.files['topics.csv'].read_text())"
    (home / "tasks" / "note.py").write_text(reading(body, "topics.csv"))
    events: list[dict[str, Any]] = []
    async with (
        on_stage(settings.load(home), elsewhere, events.append) as stage,
        stage.app.up(is_scheduled=False),
    ):
        it = Rehearsal(stage, events)
        await it.run("note")
        assert (await it.draft("note")).fields["text"] == "here"


async def test_a_file_that_a_task_reads_may_go_out_with_its_draft_and_no_other_of_the_project(
    tmp_path: Path,
) -> None:
    (tmp_path / "topics.csv").write_text("tests\n")
    (tmp_path / "prices.csv").write_text("")
    module = reading("return Note(text='x', file=await run.attach(run.files['topics.csv']))", "topics.csv")
    module = module.replace("    text: str\n", "    text: str\n    file: Attachment\n")
    module = module.replace(
        "from runner import", "from runner.attachment import Attachment\nfrom runner import"
    )
    async with rehearsal(tmp_path) as it:
        it.drop("note.py", module)
        assert (await it.run("note")).error is None
        assert (await it.draft("note")).fields["file"]["name"] == "topics.csv"
        it.drop("note.py", module.replace("run.files['topics.csv']", f"'{tmp_path}/prices.csv'"))
        await it.until(lambda: it.count("task.loaded") == 2, "the change")
        assert "nor one of run.files" in str((await it.run("note")).error)
