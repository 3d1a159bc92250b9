"""A task can be a Markdown file: front matter that declares it, and the prompt; checked as strictly as a module."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as some

from runner import Run
from runner.catalog import Catalog
from runner.children import Children
from runner.cli.commands import cli
from runner.errors import GoneError, MarkdownError
from runner.rehearsal.claude import Says
from runner.testing import rehearsal
from runner.worker import frontmatter, template

if TYPE_CHECKING:
    from pathlib import Path

    from runner.catalog import Declared

POST = """\
---
schedule: 0 9 * * mon-fri
kind: Article
---

Write a post about testing.
"""

KINDS = """\
from typing import Annotated, ClassVar
from pydantic import Field
from runner import Delivery, Draft, Receipt
from _words import WORD

class NewsItem(Draft):
    text: Annotated[str, Field(max_length=20)]
    stars: int = 1

    async def deliver(self, delivery: Delivery) -> Receipt:
        await delivery.http.post("https://news.example.com/", json={"text": self.text, "stars": self.stars})
        return Receipt(id=WORD)
"""


def drop(home: Path, file: str, text: str) -> None:
    path = home / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


async def looked_at(home: Path) -> Catalog:
    children = Children()
    try:
        catalog = Catalog(home, children)
        await catalog.scan()
        return catalog
    finally:
        await children.close()


async def the_task(home: Path, text: str) -> Declared:
    drop(home, "tasks/post.md", text)
    catalog = await looked_at(home)
    return catalog.task("post")


def with_keys(*lines: str, body: str = "Write it.") -> str:
    return "\n".join(["---", *lines, "---", "", body, ""])


async def test_a_markdown_file_is_a_task_that_is_called_like_it(tmp_path: Path) -> None:
    found = await the_task(tmp_path, POST)
    assert (found.name, found.file, found.description) == ("post", "post.md", "Write a post about testing.")
    assert found.schedule == "At 09:00 on Monday through Friday"
    assert found.limits.budget == 0.50


async def test_every_limit_of_a_task_may_stand_above_the_prompt(tmp_path: Path) -> None:
    drop(tmp_path, "topics.csv", "")
    found = await the_task(
        tmp_path,
        with_keys(
            "kind: Article",
            "schedule: [0 9 * * mon-fri, every 90 minutes, at 2026-12-24T09:00, '@daily']",
            "tz: Europe/Berlin",
            "jitter: 2 min",
            "timeout: 1 hour 30 minutes",
            "retries: 0",
            "budget: 0.20",
            "missed: skip",
            "late: 2 h",
            "overlap: queue",
            "max_pending: 5",
            "uses: chrome-profile",
            "expires: 14 days",
            "revisions: 7",
            "reads: [https://example.com/health]",
            "files: topics.csv",
            "memory: 128",
            "disk: 10",
            "sealed: no",
            "notify: always",
            "learns: off",
            "label: on",
        ),
    )
    limits = found.limits
    assert (limits.timeout, limits.late, limits.expires) == (
        timedelta(minutes=90),
        timedelta(hours=2),
        timedelta(days=14),
    )
    assert (limits.retries, limits.budget, limits.max_pending, limits.revisions) == (0, 0.20, 5, 7)
    assert (limits.missed, limits.overlap, limits.notify) == ("skip", "queue", "always")
    assert (limits.uses, limits.reads) == (("chrome-profile",), ("https://example.com/health",))
    assert (limits.memory, limits.disk, limits.files) == (128, 10, ("topics.csv",))
    assert (limits.sealed, limits.learns, limits.label) == (False, False, "on")
    assert found.schedule == (
        "At 09:00 on Monday through Friday (Europe/Berlin); Every 1 hour 30 minutes; "
        "Once, at 2026-12-24 09:00 (Europe/Berlin); At 00:00 every day (Europe/Berlin)"
    )
    assert {trigger.jitter for trigger in found.triggers} == {timedelta(minutes=2), timedelta(0)}


#: what is wrong, by the name of the file that is wrong so; a number is the line that is told
WRONG = {
    "plain": ("Write a post.", 1, "does not begin with front matter"),
    "open_ended": ("---\nkind: Article\n", 1, "does not end"),
    "empty": ("---\n---\nWrite.\n", 2, "holds no keys"),
    "a_list": ("---\n- kind\n---\nWrite.\n", 2, "holds no keys"),
    "no_kind": (with_keys("budget: 1"), 2, "it names no kind"),
    "no_prompt": (with_keys("kind: Article", body=""), None, "there is no prompt"),
    "not-a-name": (with_keys("kind: Article"), None, "call it not_a_name.md"),
    "misspelt": (
        with_keys("kind: Article", "shedule: 0 9 * * *"),
        3,
        "no key 'shedule'; did you mean 'schedule'?",
    ),
    "unlike": (with_keys("kind: Article", "zzz: 1"), 3, "no key 'zzz'; there are timeout"),
    "twice": (with_keys("kind: Article", "budget: 1", "budget: 2"), 4, "budget stands twice"),
    "unknown_kind": (with_keys("kind: Artikel"), 2, "no kind 'Artikel'; did you mean Article?"),
    "no_such_kind": (with_keys("kind: Zzz"), 2, "built in are Article, "),
    "no_kind_at_all": (with_keys("kind: Attachment"), 2, "there is no kind 'Attachment'"),
    "no_such_module": (with_keys("kind: shop.kinds.Note"), 2, "there is no tasks/shop/kinds.py"),
    "no_class": (with_keys("kind: my_kinds.Nothing"), 2, "my_kinds has no kind 'Nothing'"),
    "no_draft": (with_keys("kind: my_kinds.WORD"), 2, "my_kinds has no kind 'WORD'"),
    "bad_cron": (with_keys("kind: Article", "schedule: 0 9 * * 1-6/x"), 3, '"1-6/x" is no weekday'),
    "star": (with_keys("kind: Article", "schedule: */10 * * * *"), 3, "put it into quotes"),
    "shorthand": (with_keys("kind: Article", "schedule: @daily"), 3, "put it into quotes"),
    "no_span": (with_keys("kind: Article", "timeout: 10"), 3, "timeout: '10' is no length of time"),
    "no_unit": (with_keys("kind: Article", "late: 3 fortnights"), 3, "is no length of time"),
    "often": (with_keys("kind: Article", "schedule: every 0 seconds"), 3, "too often"),
    "no_moment": (with_keys("kind: Article", "schedule: at Christmas"), 3, "is no date and time"),
    "no_zone": (with_keys("kind: Article", "schedule: 0 9 * * *", "tz: Mars"), 3, "is no time zone"),
    "negative": (with_keys("kind: Article", "budget: -1"), 3, "budget: '-1': it should be greater"),
    "no_number": (
        with_keys("kind: Article", "retries: some"),
        3,
        "retries: 'some': it should be a valid integer",
    ),
    "no_choice": (
        with_keys("kind: Article", "notify: sometimes"),
        3,
        "it should be 'problems', 'always' or 'never'",
    ),
    "empty_key": (with_keys("kind: Article", "label:"), 3, "a key says nothing"),
    "anchor": (with_keys("kind: Article", "uses: &a [x]"), 3, "can't use anchors"),
    "tag": (with_keys("kind: Article", "label: !!python/name:os.system x"), 3, "can't use tags"),
    "deep": (with_keys("kind: Article", f"uses: {'[' * 3000}"), 3, "deep"),
    "colon": (with_keys("kind: Article", "label: a: b"), 3, "is no YAML"),
    "placeholder": (
        with_keys("kind: Article", body="Write.\n\nNot {{ run.slit }}."),
        7,
        "no placeholder {{ run.slit }}; did you mean run.slot?",
    ),
    "code": (with_keys("kind: Article", body="{{ run.claude('x') }}"), 5, "no placeholder"),
    "unclosed": (with_keys("kind: Article", body="a\n{{ run.slot"), 6, "does not end on its line"),
    "in_system": (with_keys("kind: Article", "system: 'Be {{ kind }}'"), 3, "no placeholder {{ kind }}"),
    "outside": (
        with_keys("kind: Article", "include: ../x.md", body="{{ ../x.md }}"),
        3,
        "leads out of the project",
    ),
    "private": (with_keys("kind: Article", "include: .env", body="{{ .env }}"), 3, "no task reads that"),
    "missing": (
        with_keys("kind: Article", "include: none.md", body="{{ none.md }}"),
        3,
        "none.md is not there",
    ),
    "unused": (with_keys("kind: Article", "include: voice.md"), 3, "voice.md is put nowhere"),
    "no_field": (
        with_keys("kind: Article", "fields: {titel: x}"),
        3,
        "no field 'titel'; did you mean 'title'?",
    ),
    "unfit": (with_keys("kind: Webhook", "fields: {url: 'ftp://x/'}"), 3, "fields: url: "),
    "all_given": (
        with_keys("kind: Webhook", "fields: {url: 'https://example.com/', body: {a: b}}"),
        3,
        "nothing is left",
    ),
    "keeps": (with_keys("kind: Article", "keeps: titles"), 3, "no field 'titles'; did you mean 'title'?"),
}


async def test_what_is_wrong_is_said_with_its_line_and_what_to_do(tmp_path: Path) -> None:
    drop(tmp_path, "tasks/my_kinds.py", KINDS)
    drop(tmp_path, "tasks/_words.py", "WORD = 'a'\n")
    drop(tmp_path, "voice.md", "warm")
    drop(tmp_path, "tasks/good.md", POST)
    for name, (text, _, _) in WRONG.items():
        drop(tmp_path, f"tasks/{name}.md", text)
    (tmp_path / "tasks" / "latin.md").write_bytes("---\nkind: Größe\n---\nx".encode("latin-1"))
    catalog = await looked_at(tmp_path)
    assert list(catalog.tasks) == ["good"]
    for name, (_, line, words) in WRONG.items():
        broken = catalog.broken[f"{name}.md"]
        assert words in broken.reason, (name, broken)
        assert broken.line == line, (name, broken)
        assert str(broken).startswith(f"tasks/{name}.md:")
    assert "no UTF-8 text" in catalog.broken["latin.md"].reason
    with pytest.raises(GoneError, match="did you mean 'schedule'"):
        catalog.task("misspelt")


async def test_a_file_that_begins_with_an_underscore_is_no_task(tmp_path: Path) -> None:
    drop(tmp_path, "tasks/_voice.md", "warm")
    catalog = await looked_at(tmp_path)
    assert (catalog.tasks, catalog.broken) == ({}, {})


async def test_a_module_and_a_markdown_file_of_one_name_are_an_error_that_names_both(tmp_path: Path) -> None:
    drop(tmp_path, "tasks/post.md", POST)
    drop(tmp_path, "tasks/post.py", "from runner import task\n\n@task()\ndef post(run): ...\n")
    catalog = await looked_at(tmp_path)
    assert catalog.tasks == {}
    assert "tasks/post.md and tasks/post.py" in catalog.broken["post.md"].reason


async def test_a_saved_markdown_task_replaces_the_old_and_leaves_the_others_alone(tmp_path: Path) -> None:
    drop(tmp_path, "tasks/post.md", POST)
    drop(tmp_path, "tasks/other.md", POST)
    children = Children()
    catalog = Catalog(tmp_path, children)
    await catalog.scan()
    before = catalog.task("post").source
    drop(tmp_path, "tasks/post.md", POST.replace("testing", "money and time"))
    news = await catalog.scan()
    await children.close()
    assert [task.name for task in news.loaded] == ["post"]
    assert catalog.task("post").source != before


async def test_a_markdown_task_drafts_what_its_prompt_asks_for_and_waits_for_a_yes(tmp_path: Path) -> None:
    drop(tmp_path, "notes/voice.md", "Warm, {{ run.slot }} and short.")
    text = with_keys(
        "kind: Article",
        "include: notes/voice.md",
        "system: |",
        "  You write for a studio. {{ notes/voice.md }}",
        "model: claude-haiku-5-5",
        "max_tokens: 1234",
        "effort: low",
        "fields: {folder: published/linkedin}",
        body="Write about testing. Voice: {{notes/voice.md}}\nDecided: {{ run.recent }}\nKept: {{ run.state }}",
    )
    async with rehearsal(tmp_path) as it:
        it.drop("post.md", text)
        assert (await it.run("post")).status == "ok"
        asked = it.claude.requests[0]
        assert asked["messages"][0]["content"] == (
            "Write about testing. Voice: Warm, {{ run.slot }} and short.\nDecided: (none yet)\nKept: {}"
        )
        assert asked["system"] == "You write for a studio. Warm, {{ run.slot }} and short.\n"
        assert (asked["model"], asked["max_tokens"]) == ("claude-haiku-5-5", 1234)
        assert asked["output_config"]["effort"] == "low"
        assert "folder" not in asked["output_config"]["format"]["schema"]["properties"]
        sheet = await it.draft("post")
        assert (sheet.kind, sheet.fields["folder"]) == ("article", "published/linkedin")
        it.desk.approve(sheet.held.id, sheet.held.digest, "ana")
        await it.event("delivery.delivered")


async def test_the_moment_of_the_run_stands_for_its_slot(tmp_path: Path) -> None:
    async with rehearsal(tmp_path, every=timedelta(seconds=1)) as it:
        it.drop("post.md", with_keys("kind: Alert", "schedule: 0 9 * * *", body="It is {{ run.slot }}."))
        run = await it.event("run.started")
        asked = await it.claude.received(1)
        slot = str(run["slot"]).replace("T", " ")[:16]
        assert asked["messages"][0]["content"] == f"It is {slot} UTC."


async def test_a_task_whose_kind_is_alert_tells_the_owner_alone(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.drop("post.md", with_keys("kind: Alert", body="Say hello."))
        it.claude.script(Says("Hello, owner."))
        await it.run("post")
        assert (await it.event("alert.raised"))["text"] == "Hello, owner."
        assert it.waiting() == []


async def test_what_a_task_keeps_its_next_run_is_told(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.drop("post.md", with_keys("kind: Article", "keeps: title", body="Not one of {{ run.state }}."))
        for title in ("One", "Two"):
            it.claude.script(Says(json={"title": title, "body": "x", "slug": None, "folder": "published"}))
            await it.run("post")
        told = it.claude.requests[1]["messages"][0]["content"]
        assert json.loads(told.removeprefix("Not one of ").removesuffix(".")) == {"title": ["One"]}


async def test_a_decision_reaches_the_next_prompt(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.drop("post.md", with_keys("kind: Article", "learns: no", body="Mind: {{ run.recent }}"))
        await it.run("post")
        sheet = await it.draft()
        it.desk.reject(sheet.held.id, sheet.held.digest, "ana", "too long")
        await it.run("post")
        assert "- reject: too long (20" in it.claude.requests[1]["messages"][0]["content"]
        assert "system" not in it.claude.requests[1]


async def test_a_markdown_task_revises_its_draft_with_the_owners_words(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.drop("post.md", with_keys("kind: Article", "keeps: title"))
        await it.run("post")
        sheet = await it.draft()
        it.desk.revise(sheet.held.id, sheet.held.digest, "ana", "warmer, please")
        await it.event("draft.revised", draft=sheet.held.id)
        assert "warmer, please" in it.claude.requests[-1]["messages"][-1]["content"]
        assert it.desk.sheet(sheet.held.id).held.revision == 2


async def test_a_kind_of_the_owners_own_is_named_with_its_module_and_bound_to_its_code(
    tmp_path: Path,
) -> None:
    async with rehearsal(tmp_path) as it:
        it.drop("_words.py", "WORD = 'a'\n")
        it.drop("my_kinds.py", KINDS)
        it.drop("news.md", with_keys("kind: my_kinds.NewsItem", "fields: {stars: 3}"))
        it.claude.script(Says(json={"text": "hello"}))
        await it.run("news")
        sheet = await it.draft("news")
        assert (sheet.kind, sheet.fields) == ("news_item", {"text": "hello", "stars": 3})
        it.desk.approve(sheet.held.id, sheet.held.digest, "ana")
        assert (await it.destination.received(1)).body == b'{"text":"hello","stars":3}'
        it.claude.script(Says(json={"text": "again"}))
        await it.run("news")
        waiting = await it.draft("news")
        it.drop(
            "_words.py", "WORD = 'another'\n"
        )  # its code changed: what was shown is not what would be done
        await it.until(
            lambda: it.desk.sheet(waiting.held.id).held.digest != waiting.held.digest, "a new revision"
        )


async def test_an_answer_that_does_not_fit_its_kind_is_an_error_and_no_draft(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.drop("_words.py", "WORD = 'a'\n")
        it.drop("my_kinds.py", KINDS)
        it.drop("news.md", with_keys("kind: my_kinds.NewsItem", "retries: 0"))
        it.claude.script(Says(json={"text": "x" * 21}))
        assert "Claude's answer is no NewsItem: text" in str((await it.run("news")).error)
        assert it.waiting() == []


async def test_an_included_file_is_read_as_it_is_when_the_task_runs(tmp_path: Path) -> None:
    drop(tmp_path, "voice.md", "warm")
    async with rehearsal(tmp_path) as it:
        it.drop("post.md", with_keys("kind: Alert", "include: voice.md", body="{{ voice.md }}"))
        await it.run("post")
        drop(tmp_path, "voice.md", "cool")
        await it.run("post")
        said = [asked["messages"][0]["content"] for asked in it.claude.requests]
        assert said == ["warm", "cool"]
        (tmp_path / "voice.md").write_bytes(b"\xff")
        assert "voice.md is no UTF-8 text" in str((await it.run("post")).error)


def test_a_markdown_task_is_listed_checked_and_rehearsed_like_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNNER_HOME", str(tmp_path))
    drop(tmp_path, "voice.md", "warm")
    drop(tmp_path, "tasks/post.md", with_keys("kind: Article", "include: voice.md", body="{{ voice.md }}"))
    drop(tmp_path, "tasks/bad.md", with_keys("kind: Article", "shedule: x"))
    runner = CliRunner()
    post, bad = json.loads(runner.invoke(cli, ["tasks", "--json"]).output)
    assert (post["name"], post["file"], post["reach"]) == ("post", "post.md", ["reads voice.md"])
    assert (bad["name"], bad["broken"][:15]) == ("bad", "tasks/bad.md:3:")
    checked = runner.invoke(cli, ["check"], standalone_mode=False)
    assert (checked.return_value, "tasks/bad.md:3: front matter has no key" in checked.output) == (1, True)
    rehearsed = runner.invoke(cli, ["rehearse", "post"])
    assert "▌article" in rehearsed.output


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"),
        ("12:30", "12:30"),
        ("2026-12-24", "2026-12-24"),
        ("0o17", "0o17"),
        ("~", "~"),
        ("1_000", "1_000"),
    ],
)
def test_no_value_of_a_front_matter_is_guessed_at(text: str, value: str) -> None:
    assert frontmatter.parse(f"---\nlabel: {text}\n---\nx".encode()).values == {"label": value}


def test_a_file_from_another_system_is_read_alike() -> None:
    read = frontmatter.parse(b"\xef\xbb\xbf---\r\nkind: Article\r\n---\r\n\r\nOne\r\nTwo\r\n")
    assert (read.values, read.body, read.body_line) == ({"kind": "Article"}, "One\nTwo", 5)


def test_a_rule_across_the_prompt_ends_no_front_matter() -> None:
    assert frontmatter.parse(b"---\nkind: Article\n---\nOne\n---\nTwo").body == "One\n---\nTwo"


@given(some.text(), some.text())
def test_what_is_put_into_a_prompt_is_not_read_again(before: str, value: str) -> None:
    text = before.replace("{", "") + "{{ a }}{{ b }}"
    assert (
        template.filled(text, {"a": lambda: value, "b": lambda: "{{ a }}"})
        == text.replace("{{ a }}", value, 1).replace("{{ b }}", "{{ a }}")
        or "{{ b }}" in value
    )


@given(some.binary())
def test_any_file_is_front_matter_or_an_error_in_words(content: bytes) -> None:
    for whole in (content, b"---\n" + content + b"\n---\nx"):
        with suppress(MarkdownError):  # and no other
            assert all(isinstance(key, str) for key in frontmatter.parse(whole).values)


async def test_the_task_is_a_function_that_a_test_may_call(tmp_path: Path) -> None:
    from runner.worker.load import module_at

    drop(tmp_path, "post.md", POST)
    module = module_at(tmp_path, "post.md")
    assert module.task.name == "post"
    assert Run.claude.__doc__
