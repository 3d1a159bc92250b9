"""The manual, as tests: what an owner may rely on, one thing at a time."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from modules import note

from runner.errors import DecisionError, DraftError, StoppedError
from runner.tables import KindRule
from runner.testing import rehearsal

if TYPE_CHECKING:
    from pathlib import Path

ANA = "ana"


async def test_a_dropped_task_fires_on_schedule_and_what_it_wants_in_the_world_waits(tmp_path: Path) -> None:
    async with rehearsal(tmp_path, every=timedelta(seconds=1)) as it:
        it.drop("note.py", note("return await run.claude('Write a note.', returns=Note)"))
        sheet = await it.draft("note")
        assert sheet.held.state == "pending"
        assert sheet.fields["text"] in sheet.rendering
        assert len(it.destination.ledger) == 0


async def test_an_approved_draft_is_delivered_once_with_the_destinations_receipt(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.drop("note.py", note())
        await it.run("note")
        sheet = await it.draft()
        it.desk.approve(sheet.held.id, sheet.held.digest, ANA)
        event = await it.event("delivery.delivered", draft=sheet.held.id)
        assert event["receipt"]["url"] == "https://notes.example.com/1"
        (arrival,) = it.destination.effects
        assert arrival.body == b'{"text":"hello"}'
        assert it.desk.sheet(sheet.held.id).held.state == "delivered"


async def test_a_rejected_draft_is_never_delivered_and_its_reason_reaches_the_next_prompt(
    tmp_path: Path,
) -> None:
    async with rehearsal(tmp_path) as it:
        it.drop("note.py", note("return await run.claude('Write a note.', returns=Note)"))
        await it.run("note")
        sheet = await it.draft()
        it.desk.reject(sheet.held.id, sheet.held.digest, ANA, "too long by half")
        await it.run("note")
        assert "too long by half" in it.claude.requests[-1]["system"]
        with pytest.raises(DecisionError, match="rejected already"):
            it.desk.approve(sheet.held.id, sheet.held.digest, ANA)
        assert len(it.destination.ledger) == 0


async def test_an_edit_is_a_new_revision_in_the_owners_words_and_asks_again(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.drop("note.py", note(extra="to: str = 'all'"))
        await it.run("note")
        old = await it.draft()
        new = it.desk.edit(old.held.id, old.held.digest, ANA, {"text": "goodbye", "to": "all"})
        with pytest.raises(DecisionError, match="read it again"):
            it.desk.approve(old.held.id, old.held.digest, ANA)
        it.desk.approve(old.held.id, new, ANA)
        assert (await it.destination.received(1)).body == b'{"text":"goodbye"}'
        with pytest.raises(DecisionError):
            it.desk.edit(old.held.id, new, ANA, {"text": "too late", "to": "all"})


async def test_an_edit_must_fit_the_kind_as_a_task_must(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.drop("note.py", note(extra="to: str = 'all'"))
        await it.run("note")
        sheet = await it.draft()
        for fields, words in (
            ({"text": "a", "to": 3}, "to: 3 is not of type 'string'"),
            ({"text": "a", "to": "b", "cc": "c"}, "no field cc"),
        ):
            with pytest.raises(DraftError, match=words):
                it.desk.edit(sheet.held.id, sheet.held.digest, ANA, fields)


async def test_a_revision_replays_what_was_paid_for_and_continues_the_call_that_wrote_the_draft(
    tmp_path: Path,
) -> None:
    body = (
        "brief = await run.claude('Outline a note.')\n"
        "draft = await run.claude(f'Write it: {brief}', returns=Note)\n"
        "run.state['written'] = run.state.get('written', 0) + 1\nreturn draft"
    )
    async with rehearsal(tmp_path) as it:
        it.drop("note.py", note(body))
        await it.run("note")
        sheet = await it.draft()
        run = it.desk.revise(sheet.held.id, sheet.held.digest, ANA, "warmer, please")
        event = await it.event("draft.revised", draft=sheet.held.id)
        assert it.count("claude.asked", run=run) == 1
        *_, answer, wish = it.claude.requests[-1]["messages"]
        assert answer["role"] == "assistant"
        assert "warmer, please" in wish["content"]
        assert event["digest"] != sheet.held.digest
        revised = it.desk.sheet(sheet.held.id)
        assert (revised.held.revision, revised.held.revisions_left) == (2, 2)
        (finished,) = it.found("run.finished", run=run)
        assert finished["status"] == "ok"


async def test_an_approval_can_be_taken_back_until_its_hour_comes(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.drop("note.py", note())
        await it.run("note")
        sheet = await it.draft()
        later = it.app.store.clock.now() + timedelta(hours=1)
        it.desk.approve(sheet.held.id, sheet.held.digest, ANA, not_before=later)
        assert it.desk.sheet(sheet.held.id).held.state == "approved"
        it.desk.undo(sheet.held.id, ANA)
        assert it.desk.sheet(sheet.held.id).held.state == "pending"
        soon = it.app.store.clock.now() + timedelta(seconds=0.2)
        it.desk.approve(sheet.held.id, sheet.held.digest, ANA, not_before=soon)
        await it.event("delivery.delivered", draft=sheet.held.id)
        assert it.app.store.clock.now() >= soon


async def test_a_draft_that_nobody_decides_on_expires(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        options = "expires=__import__('datetime').timedelta(seconds=0.3)"
        it.drop("note.py", note(options=options))
        await it.run("note")
        await it.event("draft.expired")
        assert it.waiting() == []


async def test_a_run_may_make_several_drafts_and_say_things_to_its_owner(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.drop("note.py", note("return [Note(text='one'), Alert('look at these'), Note(text='two')]"))
        await it.run("note")
        assert [sheet.fields["text"] for sheet in it.waiting()] == ["one", "two"]
        assert (await it.event("alert.raised"))["text"] == "look at these"


WEIGHT = note("return Weight(value=3)").replace(
    "class Note(Draft):",
    """class Weight(Draft):
    value: int
    auto: ClassVar = True

    async def deliver(self, delivery):
        await delivery.http.post("https://shop.example.com/", json={"value": self.value})
        return Receipt()


class Note(Draft):""",
)


async def test_a_kind_without_any_free_text_may_be_delivered_without_a_human(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.drop("note.py", WEIGHT)
        await it.run("note")
        assert (await it.destination.received(1)).body == b'{"value":3}'
        assert (await it.event("draft.approved"))["by"].startswith("auto")


@pytest.mark.parametrize("needs", [1, 2])
async def test_a_kind_for_which_the_owner_demands_approvals_never_goes_without_a_human(
    tmp_path: Path, needs: int
) -> None:
    async with rehearsal(tmp_path, kinds={"weight": KindRule(approvals=needs)}) as it:
        it.drop("note.py", WEIGHT)
        await it.run("note")
        held = (await it.draft()).held
        people = ["ana", "bob"][:needs]
        assert [it.desk.approve(held.id, held.digest, by) for by in people] == [
            by == people[-1] for by in people
        ]
        assert (await it.destination.received(1)).body == b'{"value":3}'
        assert (await it.event("draft.approved"))["by"] == people[-1]


async def test_a_kind_that_may_hold_words_can_never_go_without_a_human(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.drop("note.py", note(extra="auto: ClassVar = True"))
        event = await it.event("task.broken")
        assert "Note.text may hold free text, so Note can't be auto" in event["reason"]


async def test_stop_halts_all_and_removing_the_file_restarts_nothing(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.drop("note.py", note())
        await it.run("note")
        sheet = await it.draft()
        later = it.app.store.clock.now() + timedelta(hours=1)
        it.desk.approve(sheet.held.id, sheet.held.digest, ANA, not_before=later)
        stop = tmp_path / "STOP"
        stop.write_text("too loud")
        assert (await it.event("stop.engaged"))["reason"] == "too loud"
        # what was approved asks again; what is decided meanwhile is refused
        assert it.desk.sheet(sheet.held.id).held.state == "pending"
        with pytest.raises(StoppedError, match="too loud"):
            it.desk.approve(sheet.held.id, sheet.held.digest, ANA)
        with pytest.raises(StoppedError, match="still there"):
            it.desk.resume(ANA)
        stop.unlink()
        with pytest.raises(StoppedError):
            it.desk.approve(sheet.held.id, sheet.held.digest, ANA)
        assert it.desk.resume(ANA)
        it.desk.approve(sheet.held.id, sheet.held.digest, ANA)
        await it.event("delivery.delivered")


async def test_a_broken_module_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.drop("note.py", note())
        it.drop(
            "bad.py", "from runner import cron, task\n\n@task(cron('0 9 * * 1-6/x'))\ndef bad(run): ...\n"
        )
        event = await it.event("task.broken")
        assert (event["file"], event["line"]) == ("bad.py", 3)
        assert '"1-6/x" is no weekday' in event["reason"]
        assert (await it.run("note")).status == "ok"


async def test_everything_that_a_rehearsal_made_says_so(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.drop("note.py", note())
        await it.run("note")
        assert '"rehearsal"' in (await it.draft()).rendering
        assert all(event["rehearsal"] for event in it.events)
