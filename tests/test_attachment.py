"""Files that go out with a draft: what was approved is what is delivered, byte for byte, whoever changed what meanwhile."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import CSV, PNG, showing
from pydantic import Field
from test_cli import runner

from runner.attached import Attached
from runner.attachment import FILE_MAX, TOGETHER_MAX, Attachment, attachments, described
from runner.draft import Draft
from runner.errors import DeclarationError, DraftError
from runner.store.schema import attachments as kept
from runner.testing import rehearsal

if TYPE_CHECKING:
    from pathlib import Path

    from runner.review.desk import Sheet
    from runner.testing import Rehearsal

ANA = "ana"


async def drafted(it: Rehearsal, module: str = "") -> Sheet:
    it.drop("showing.py", module or showing())
    await it.run("showing")
    return await it.draft()


async def test_what_was_attached_is_delivered_byte_for_byte_though_the_folder_changed(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        sheet = await drafted(it)
        folder = tmp_path / ".runner" / "folders" / "showing"
        assert (folder / "dot.png").read_bytes() == b"changed since"
        for path in folder.iterdir():
            path.unlink()
        it.desk.approve(sheet.held.id, sheet.held.digest, ANA)
        await it.event("delivery.delivered", draft=sheet.held.id)
        assert [each.body for each in it.destination.effects] == [PNG, CSV]
        assert [each.headers["x-name"] for each in it.destination.effects] == ["dot.png", "orders.csv"]


async def test_name_type_size_and_sha256_are_shown_and_the_digest_covers_them(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        sheet = await drafted(it)
        sha256 = hashlib.sha256(PNG).hexdigest()
        told = {"name": "dot.png", "media_type": "image/png", "size": len(PNG), "sha256": sha256}
        assert sheet.fields["picture"] == told
        for words in ("dot.png", "image/png", f'"size": {len(PNG)}', sha256, "orders.csv", "text/csv"):
            assert words in sheet.rendering
        assert sheet.rendering.count(sha256) == 2  # by the field, and among all attachments
        event = await it.event("draft.pending")
        assert event["fields"] == sheet.fields


async def test_attachments_are_saved_from_the_terminal_to_be_looked_at(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        draft = (await drafted(it)).held.id
    shown = runner(tmp_path, "show", draft, "--save", "looks")
    assert "to look at its 2 attachment(s)" in shown
    assert (tmp_path / "looks" / "1-dot.png").read_bytes() == PNG
    assert (tmp_path / "looks" / "2-orders.csv").read_bytes() == CSV
    assert "File exists" in runner(tmp_path, "show", draft, "--save", "looks", code=2)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("return Showing(text='x', picture=Attachment(name='a.png', media_type='image/png', size=5, sha256='ab' * 32))",
         "'a.png' was not attached by this run"),
        ("it = await run.attach('dot.png')\n    return Showing(text='x', picture=it.model_copy(update={{'name': 'b.png'}}))",
         "'b.png' was not attached by this run"),
        ("return Showing(text='x', picture=await run.attach('none.png'))", "No such file"),
        ("return Showing(text='x', picture=await run.attach('/etc/hostname'))", "not in run.folder"),
        ("(run.folder / 'link').symlink_to('/etc/hostname')\n    return Showing(text='x', picture=await run.attach('link'))",
         "not in run.folder"),
        ("return Showing(text='x', picture=await run.attach('week 47.csv', name='a.png'))", "its bytes are none"),
        ("return Showing(text='x', picture=await run.attach('dot.png', name='../dot.png'))", "is no name"),
        (f"(run.folder / 'big').write_bytes(b'x' * {FILE_MAX + 1})\n    return Showing(text='x', picture=await run.attach('big'))",
         "more than 5,242,880 bytes"),
    ],
)  # fmt: skip
async def test_what_cannot_be_attached_is_an_error_in_words(tmp_path: Path, body: str, words: str) -> None:
    async with rehearsal(tmp_path) as it:
        module = showing(body.replace("{{", "{").replace("}}", "}"), **{"dot.png": PNG, "week 47.csv": CSV})
        it.drop("showing.py", module.replace("@task()", "@task(retries=0)"))
        row = await it.run("showing")
        assert row.status == "error"
        assert words in row.error
        assert it.waiting() == []


async def test_a_file_of_the_largest_size_comes_through(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        body = f"(run.folder / 'big').write_bytes(b'x' * {FILE_MAX})\n    return Showing(text='x', picture=await run.attach('big'))"
        sheet = await drafted(it, showing(body))
        it.desk.approve(sheet.held.id, sheet.held.digest, ANA)
        await it.event("delivery.delivered")
        (arrival,) = it.destination.effects
        assert arrival.body == b"x" * FILE_MAX


async def test_an_edit_may_drop_an_attachment_and_make_up_none(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        sheet = await drafted(it)
        made_up = {**sheet.fields["picture"], "name": "other.png"}
        for fields in ({**sheet.fields, "picture": made_up}, {**sheet.fields, "rest": [made_up]}):
            with pytest.raises(DraftError, match="not change it or add one"):
                it.desk.edit(sheet.held.id, sheet.held.digest, ANA, fields)
        new = it.desk.edit(
            sheet.held.id, sheet.held.digest, ANA, {**sheet.fields, "text": "mine", "rest": []}
        )
        it.desk.approve(sheet.held.id, new, ANA)
        await it.event("delivery.delivered")
        assert [each.body for each in it.destination.effects] == [PNG]


async def test_a_revision_has_the_files_of_its_own_run(tmp_path: Path) -> None:
    body = """if run.revision:
        (run.folder / "dot.png").write_bytes((run.folder / "dot.png").read_bytes() + b"revised")
    return Showing(text="hello", picture=await run.attach("dot.png"))"""
    async with rehearsal(tmp_path) as it:
        sheet = await drafted(it, showing(body))
        it.desk.revise(sheet.held.id, sheet.held.digest, ANA, "another picture")
        await it.event("draft.revised")
        sheet = await it.draft()
        it.desk.approve(sheet.held.id, sheet.held.digest, ANA)
        await it.event("delivery.delivered")
        assert [each.body for each in it.destination.effects] == [PNG + b"revised"]


@pytest.mark.parametrize("damage", ["UPDATE attachments SET content = x'00'", "DELETE FROM attachments"])
async def test_promise_1_an_attachment_that_was_changed_in_the_store_is_not_delivered(
    tmp_path: Path, damage: str
) -> None:
    async with rehearsal(tmp_path) as it:
        sheet = await drafted(it)
        with it.app.store.change() as tx:
            tx.connection.exec_driver_sql(damage)
        it.desk.approve(sheet.held.id, sheet.held.digest, ANA)
        event = await it.event("draft.returned", draft=sheet.held.id)
        assert "is not in the store as it was shown" in event["reason"]
        assert len(it.destination.ledger) == 0


async def test_the_same_file_is_kept_once(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        await drafted(it)
        await it.run("showing")
        with it.app.store.read() as connection:
            assert {row.content for row in connection.execute(kept.select())} == {PNG, CSV}


def test_a_kind_with_an_attachment_is_never_auto() -> None:
    with pytest.raises(DeclarationError, match="may hold free text"):
        type(
            "Loud", (Draft,), {"auto": True, "__annotations__": {"auto": ClassVar[bool], "file": Attachment}}
        )


def message(name: str, content: bytes) -> dict[str, Any]:
    return {"name": name, "content": base64.b64encode(content).decode()}


@given(
    st.dictionaries(
        st.sampled_from(["name", "content", "size", "sha256"]), st.none() | st.text() | st.integers()
    )
)
@settings(deadline=None)
def test_whatever_a_child_sends_as_a_file_is_kept_as_it_is_or_refused_in_words(said: dict[str, Any]) -> None:
    attached = Attached()
    try:
        told = attached.take(said)
    except DraftError:
        assert attached.files({}) == {}
    else:
        assert attached.files({"file": told}) == {told["sha256"]: base64.b64decode(said["content"])}


def test_a_child_can_claim_no_size_and_no_digest_of_its_own() -> None:
    attached = Attached()
    told = attached.take(
        {**message("a.txt", b"true"), "sha256": "ab" * 32, "size": 1, "media_type": "image/png"}
    )
    assert told == described("a.txt", b"true").model_dump()
    for lie in ({"sha256": "ab" * 32}, {"size": 1}, {"media_type": "image/png"}, {"name": "b.txt"}):
        with pytest.raises(DraftError, match="was not attached"):
            attached.files({"deep": [{"in": {**told, **lie}}]})


def test_the_files_of_one_run_have_a_limit_together() -> None:
    attached, rest = Attached(), TOGETHER_MAX
    while rest:
        size = min(rest, FILE_MAX)
        attached.take(message("a.bin", bytes([rest % 251]) * size))
        attached.take(message("again.bin", bytes([rest % 251]) * size))  # the same bytes cost nothing
        rest -= size
    with pytest.raises(DraftError, match="together"):
        attached.take(message("one-more.bin", b"!"))


@pytest.mark.parametrize(
    "name", ["", ".hidden", "a/b", "a\\b", "a\n", "a\u202egnp.exe", "x" * 101, "-", "a\x00"]
)
def test_a_name_that_leads_elsewhere_or_hides_something_is_refused(name: str) -> None:
    with pytest.raises(DraftError, match="is no name"):
        described(name, b"x")


@pytest.mark.parametrize(
    ("name", "content", "media_type"),
    [
        ("a.png", PNG, "image/png"),
        ("a.JPG", b"\xff\xd8\xff\xe0", "image/jpeg"),
        ("a.pdf", b"%PDF-1.7", "application/pdf"),
        ("a.csv.gz", b"x", "application/octet-stream"),
        ("Übersicht", PNG, "application/octet-stream"),
    ],
)
def test_the_type_is_what_the_name_says_if_the_bytes_agree(
    name: str, content: bytes, media_type: str
) -> None:
    assert described(name, content).media_type == media_type


def test_attachments_are_found_wherever_they_stand() -> None:
    one, two = described("a.txt", b"1").model_dump(), described("b.txt", b"2").model_dump()
    fields = {"text": json.dumps(one), "list": [[one]], "dict": {"x": two}, "like": {**one, "more": 1}}
    assert list(attachments(fields)) == [one, two]


class Optional(Draft):
    """A kind that may have a file."""

    file: Annotated[Attachment | None, Field(default=None)]


def test_a_kind_may_have_a_file_or_none() -> None:
    assert Optional(file=None).model_dump() == {"file": None}
