"""What the owner's settings say of a kind: shown on the card, covered by the digest, checked when a draft is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import pytest
from modules import note
from pydantic import BaseModel, Field, ValidationError

from runner import fit
from runner.account import settled
from runner.draft import Draft, Kind
from runner.errors import DraftError, SettingsError
from runner.rule import AllowedBy, Utf16
from runner.settings import load
from runner.tables import KindRule
from runner.testing import rehearsal

if TYPE_CHECKING:
    from pathlib import Path


class Desk(BaseModel):
    server: str = Field(pattern="^https://")
    room: int = 1
    people: tuple[str, ...] = ()


class Memo(Draft):
    to: list[Annotated[str, AllowedBy("people")]]
    text: Annotated[str, Utf16(4)] = ""

    settings: ClassVar = Desk


MEMO = Kind.of(Memo, "memo.py", "c0de")
GIVEN: dict[str, Any] = {"server": "https://a.example", "people": ["ann", "bob"]}


def test_where_a_draft_goes_is_what_the_settings_say_and_not_whom_they_allow() -> None:
    assert settled(MEMO, GIVEN).account == "server https://a.example · room 1"


def test_another_setting_is_another_source_of_the_same_code() -> None:
    one, other = settled(MEMO, GIVEN), settled(MEMO, {**GIVEN, "room": 2})
    assert one.source != other.source
    assert one.code == other.code == "c0de"
    assert settled(Kind.of(Draft, None, "s"), {}) == Kind.of(Draft, None, "s")
    assert settled(MEMO, {}).source == MEMO.source


def test_a_recipient_off_the_list_is_refused_when_the_draft_is_made() -> None:
    kind = settled(MEMO, GIVEN)
    fit.check_fields(kind, {"to": ["ann"], "text": ""})
    with pytest.raises(
        DraftError, match=r"to\.1: 'eve' is not listed in \[kinds\.memo\] people of runner\.toml"
    ):
        fit.check_fields(kind, {"to": ["ann", "eve"], "text": ""})
    nobody = settled(MEMO, {"server": "https://a.example"})
    with pytest.raises(DraftError, match="'ann' is not listed"):
        fit.check_fields(nobody, {"to": ["ann"], "text": ""})


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, r"the memo needs 'server': set it under \[kinds\.memo\] in runner\.toml"),
        ({**GIVEN, "peeple": []}, "has 'peeple', which the memo does not know; did you mean 'people'"),
        ({"server": "ftp://a"}, "server"),
    ],
)
def test_a_setting_that_is_missing_or_misspelt_is_told_when_a_draft_is_made(given: Any, words: str) -> None:
    with pytest.raises(DraftError, match=words):
        fit.check_fields(settled(MEMO, given), {"to": [], "text": ""})


def test_a_text_is_measured_as_the_destination_measures_it() -> None:
    assert Memo(to=[], text="abcd").text == "abcd"
    for text in ("ab🙂c", "abcde"):
        with pytest.raises(ValidationError, match="an emoji is two"):
            Memo(to=[], text=text)
    with pytest.raises(DraftError, match=r"text: it has 5 characters .* may have 4"):
        fit.check_fields(settled(MEMO, GIVEN), {"to": [], "text": "ab🙂c"})


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            'hosst = "smtp.example.com"',
            r"\[kinds\.email\] in runner\.toml has 'hosst', .* did you mean 'host'\?",
        ),
        ("port = 70000", "port"),
        ("aprovals = 2", r"has 'aprovals', .* did you mean 'approvals'\?"),
    ],
)
def test_what_was_set_amiss_for_a_built_in_kind_is_told_at_the_start(
    tmp_path: Path, line: str, words: str
) -> None:
    good = '[kinds.email]\nhost = "a.example"\nsender = "me@a.example"\n'
    (tmp_path / "runner.toml").write_text(good)
    assert load(tmp_path).given("email")["host"] == "a.example"
    (tmp_path / "runner.toml").write_text(good + line)
    with pytest.raises(SettingsError, match=words):
        load(tmp_path)
    (tmp_path / "runner.toml").write_text("[kinds.email]\napprovals = 2\n")
    assert load(tmp_path).approvals == {"email": 2}


SET = """
    class Desk(BaseModel):
        room: int
    settings: ClassVar = Desk
"""


def _told() -> str:
    return note("return Note(text='hello')", extra=SET).replace(
        '"text": self.text', '"text": f"{self.text} in {delivery.settings.room}"'
    )


async def test_a_kind_of_the_owners_is_given_its_settings(tmp_path: Path) -> None:
    async with rehearsal(tmp_path, kinds={"note": KindRule.model_validate({"room": 7})}) as it:
        it.drop("note.py", _told())
        await it.run("note")
        draft = await it.draft()
        it.desk.approve(draft.held.id, draft.held.digest, "ann")
        await it.event("delivery.delivered")
        assert it.destination.effects[0].body == b'{"text":"hello in 7"}'


async def test_what_was_approved_under_other_settings_is_asked_for_again(tmp_path: Path) -> None:
    async with rehearsal(
        tmp_path, kinds={"note": KindRule.model_validate({"room": 7})}, is_scheduled=False
    ) as it:
        it.drop("note.py", _told())
        await it.run("note")
        draft = await it.draft()
        it.desk.approve(draft.held.id, draft.held.digest, "ann")
    async with rehearsal(tmp_path, kinds={"note": KindRule.model_validate({"room": 8})}) as it:
        returned = await it.event("draft.returned")
        assert returned["reason"] == "the kind's settings changed"
        assert (await it.draft()).held.digest != draft.held.digest
        assert not it.destination.effects


@pytest.mark.parametrize(
    ("way", "what"),
    [
        ("socket.create_connection(('127.0.0.1', 9))", "127.0.0.1:9"),
        ("socket.getaddrinfo('shop.example.com', 443)", "shop.example.com"),
        ("subprocess.run(['curl', 'http://example.com'])", "another program"),
        ("os.system('true')", "another program"),
    ],
)
async def test_in_a_rehearsal_a_kind_reaches_nothing_but_the_stand_ins(
    tmp_path: Path, way: str, what: str
) -> None:
    module = note().replace(
        "answer = await", f"import os, socket, subprocess; {way}\n        answer = await", 1
    )
    async with rehearsal(tmp_path) as it:
        it.drop("note.py", module)
        await it.run("note")
        draft = await it.draft()
        it.desk.approve(draft.held.id, draft.held.digest, "ann")
        failed = await it.event("delivery.failed")
        assert f"this is a rehearsal, and {what} is no stand-in" in failed["reason"]
        assert not it.destination.effects


async def test_in_a_rehearsal_the_kinds_module_reaches_nothing_either_when_it_is_imported(
    tmp_path: Path,
) -> None:
    reach = "import inspect, socket\nif any('deliver' in f.filename for f in inspect.stack()):\n    "
    module = f"{reach}socket.create_connection(('127.0.0.1', 9))\n{note()}"
    async with rehearsal(tmp_path) as it:
        it.drop("note.py", module)
        await it.run("note")
        draft = await it.draft()
        it.desk.approve(draft.held.id, draft.held.digest, "ann")
        failed = await it.event("delivery.failed")
        assert "this is a rehearsal, and 127.0.0.1:9 is no stand-in" in failed["reason"]
