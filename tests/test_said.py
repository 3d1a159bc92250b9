"""What a child may say: whatever it sends ends its own run in words, and nothing else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from modules import note

from runner import catalog, fit, quota, said, vet
from runner.draft import Kind
from runner.errors import DraftError, RunError
from runner.testing import rehearsal

if TYPE_CHECKING:
    from pathlib import Path

OUTCOME = {"op": "outcome", "made": [], "state": {}, "degraded": []}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"{", "no JSON"),
        (b"\xff", "no JSON"),
        (b"[1]", "no message"),
        (b'{"op": NaN}', "no JSON"),
        (b'{"op": "\\ud800"}', "no JSON"),
        (b'{"op": ' + b"[" * 100_000, "no JSON"),
        (b'{"op": ' + b"[" * 200 + b"]" * 200 + b"}", "more than 64 deep"),
        (b'{"op": ' + b"9" * 5000 + b"}", "no JSON"),
    ],
)
def test_a_line_that_no_record_could_hold_is_refused(line: bytes, words: str) -> None:
    with pytest.raises(RunError, match=words):
        said.parsed(line)


def test_a_line_of_many_lists_that_are_not_deep_is_taken() -> None:
    message = {"op": "x", "made": [[[]] for _ in range(200)], "text": "\u20ac"}
    assert said.parsed(json.dumps(message).encode()) == message


MESSAGES: list[Any] = [
    {"op": {}},
    {"op": ["x"] * 10_000},
    {},
    {**OUTCOME, "made": ["alert"]},
    {**OUTCOME, "made": [{"draft": "note"}]},
    {**OUTCOME, "made": [{"draft": "note", "fields": [1]}]},
    {**OUTCOME, "made": [{"draft": ["note"], "fields": {}}]},
    {**OUTCOME, "made": [{"draft": "note", "fields": {"text": "x"}, "call": 1 << 70}]},
    {**OUTCOME, "made": [{"draft": "note", "fields": {"text": "x"}, "call": True}]},
    {**OUTCOME, "made": [{"draft": "note", "fields": {"text": 1 << 70}}]},
    {**OUTCOME, "made": [{"alert": {}}]},
    {**OUTCOME, "state": []},
    {**OUTCOME, "degraded": 3},
    {**OUTCOME, "degraded": [{}]},
    {"op": "failed", "error": "x", "file": "y"},
    {"op": "failed", "error": ["x"]},
    {"op": "failed"},
    {"op": "failed", "error": "x" * (7 << 20)},
    {"op": "tooled", "tool": {}},
    {"op": "tooled", "tool": 10**30, "text": "x"},
    {"op": "tooled"},
    {"op": "unfit", "position": True},
    {"op": "unfit", "position": 10**30},
    {"op": "claude", "id": {}, "position": 10**30, "prompt": "x"},
    {"op": "claude", "position": "x"},
    {"op": "fetch", "url": {}},
    {"op": "fetch", "url": "http://[::1"},
    {"op": "figures", "days": {}},
    {"op": "log", "message": {}, "details": {"x": "y" * (4 << 20)}},
    {"op": "log", "level": {}},
]


async def test_no_message_however_odd_does_more_than_end_its_own_run(tmp_path: Path) -> None:
    body = (
        "import asyncio, json, pathlib\n"
        "message = json.loads((pathlib.Path(__file__).parent / 'said.json').read_text())\n"
        "run._channel._writer.write(json.dumps(message).encode() + b'\\n')\n"
        'run._channel._writer.write(b\'{"op": "failed", "error": "the end"}\\n\')\n'
        "await asyncio.sleep(60)"
    )
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "note.py").write_text(note(body, options="retries=0"))
    async with rehearsal(tmp_path, is_scheduled=False) as it:
        for message in MESSAGES:
            (tmp_path / "tasks" / "said.json").write_text(json.dumps(message))
            row = await it.run("note")
            assert row.status in {"error", "ok"}, message
            assert len(row.error or "") < 5000
        it.drop("note.py", note())
        await it.until(lambda: it.count("task.loaded") > 0)
        assert (await it.run("note")).status == "ok"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("while True: await run._channel.say('log', message='x' * 100)", "more than 20,000 messages"),
        (
            "while True: run._channel._writer.write(b'x' * (1 << 20)); await run._channel._writer.drain()",
            "8 MB",
        ),
    ],
)
async def test_a_flood_ends_its_own_run_while_others_go_on(tmp_path: Path, line: str, words: str) -> None:
    async with rehearsal(tmp_path) as it:
        it.drop(
            "flood.py",
            f"from runner import task\n@task(retries=0, memory=4096)\nasync def flood(run):\n    {line}\n",
        )
        it.drop("note.py", note())
        await it.until(lambda: len(it.app.catalog.tasks) == 2)
        assert (await it.run("note")).status == "ok"
        row = await it.run("flood")
        assert (row.status, words in row.error) == ("error", True), row.error


def kind(rule: dict[str, Any]) -> Kind:
    schema = {"type": "object", "properties": {"text": rule}, "$defs": {"all": {}}}
    return Kind(name="note", title="Note", module="note", file="note.py", schema_=schema, source="s")


RULES = [
    ({"type": "string", "pattern": "^(a+)+$"}, "could not be told within 0.5 s"),
    ({"$ref": "http://127.0.0.1:9/x"}, "can't be followed"),
    ({"$ref": "#/properties/text"}, "can't be followed"),
    ({"type": "integer"}, "doesn't fit: text"),
]


@pytest.mark.parametrize(("rule", "words"), RULES)
def test_an_edit_is_checked_in_a_process_of_its_own(
    rule: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit, "WITHIN_S", 2.0 if "pattern" in rule else 30.0)
    with pytest.raises(DraftError, match=words.replace("0.5", "2")):
        fit.check_apart(kind(rule), {"text": "a" * 40 + "!"})
    fit.check_apart(kind({}), {"text": "a"})


@pytest.mark.parametrize(("rule", "words"), RULES)
async def test_a_kind_s_rules_are_followed_in_a_child_and_not_for_ever(
    tmp_path: Path, rule: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vet, "WITHIN_S", 0.5 if "pattern" in rule else 10.0)
    async with rehearsal(tmp_path) as it:
        with pytest.raises(DraftError, match=words):
            await vet.vet(it.app.children, tmp_path, [(kind(rule), {"text": "a" * 40 + "!"})])
        await vet.vet(it.app.children, tmp_path, [(kind({}), {"text": "a"})])


LIES = {
    "name": "report['tasks'][0]['name'] = '../../elsewhere'",
    "trigger": "report['tasks'][0]['triggers'] = [{'type': 'cron', 'expression': 'nonsense'}]",
    "interval": "report['tasks'][0]['triggers'] = [{'type': 'every', 'interval': 'PT0S'}]",
    "retries": "report['tasks'][0]['limits']['retries'] = 10 ** 30",
    "line": "report.clear(); report.update(error='x', line={}, op='broken')",
    "nothing": "report.clear()",
    "depth": "report['tasks'] = eval('[' * 80 + ']' * 80)",
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
async def test_a_module_that_lies_about_itself_is_broken_and_no_other(tmp_path: Path, lie: str) -> None:
    module = (
        "from runner import task\nfrom runner.worker.channel import Channel\nsay = Channel.say\n"
        "async def lie(self, op, **report):\n"
        f"    report['op'] = op\n    {lie}\n    await say(self, report.pop('op', 'looked'), **report)\n"
        "Channel.say = lie\n\n@task()\ndef liar(): pass\n"
    )
    async with rehearsal(tmp_path) as it:
        it.drop("liar.py", module)
        it.drop("note.py", note())
        await it.until(lambda: "liar.py" in it.app.catalog.broken and "note" in it.app.catalog.tasks)
        assert (await it.run("note")).status == "ok"
    assert not (tmp_path / ".runner" / "elsewhere").exists()


async def test_a_module_that_floods_when_it_is_read_breaks_only_itself(tmp_path: Path) -> None:
    module = (
        "import os\nfor n in range(3, 64):\n    try: os.write(n, b'{]\\n' * 10)\n    except OSError: pass\n"
    )
    async with rehearsal(tmp_path) as it:
        it.drop("flood.py", module)
        await it.until(lambda: "flood.py" in it.app.catalog.broken)
        assert "no JSON" in it.app.catalog.broken["flood.py"].reason
        assert isinstance(it.app.catalog, catalog.Catalog)


async def test_a_delivery_that_says_half_of_it_is_heard_all_the_same(tmp_path: Path) -> None:
    module = (
        "import asyncio, gc\nfrom runner import Draft, task\nfrom runner.worker.channel import Channel\n\n"
        "class Odd(Draft):\n    text: str\n\n    async def deliver(self, delivery):\n"
        "        channel = next(each for each in gc.get_objects() if isinstance(each, Channel))\n"
        "        await channel.say('not_delivered')\n        await asyncio.sleep(60)\n\n"
        "@task()\ndef odd():\n    return Odd(text='x')\n"
    )
    async with rehearsal(tmp_path) as it:
        it.drop("odd.py", module)
        await it.run("odd")
        sheet = await it.draft()
        it.desk.approve(sheet.held.id, sheet.held.digest, "ana")
        assert (await it.event("delivery.failed", draft=sheet.held.id))["reason"] == "None"


async def test_a_task_may_not_keep_more_than_its_disk(tmp_path: Path) -> None:
    options = "disk=1, retries=0"
    fill = "for n in range(10_000):\n    (run.folder / str(n)).write_bytes(b'x' * 100_000)\nreturn None"
    async with rehearsal(tmp_path) as it:
        it.drop("note.py", note(fill, options=options))
        row = await it.run("note")
        assert row.status == "error"
        assert "holds more than 1 MB" in row.error
        assert "holds more than 1 MB" in (await it.run("note")).error


def test_what_a_folder_holds_is_counted_without_following_links(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "link").symlink_to("/")
    with (tmp_path / "deep" / "er" / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    assert not quota.is_over(tmp_path, 1 << 20)
    (tmp_path / "deep" / "er" / "full").write_bytes(b"x" * (2 << 20))
    assert quota.is_over(tmp_path, 1 << 20)
    assert not quota.is_over(tmp_path / "nowhere", 1)
