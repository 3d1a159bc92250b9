"""Deliveries: one attempt for each approval, its intent on disk before it, and the truth about it afterwards."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from modules import FIND, note

from runner.courier import key_of
from runner.errors import DecisionError
from runner.gate import State
from runner.rehearsal.destination import Answers, Delays, DropsRequest, DropsResponse
from runner.stop import SIGNATURE
from runner.store import deliveries, drafts
from runner.testing import Rehearsal, rehearsal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import HandClock

KEYED = note(extra="once: ClassVar = 'key'")  #: the destination drops its repeats


async def approved(it: Rehearsal, module: str) -> str:
    """A draft of that module's, approved; its id."""
    it.drop("note.py", module)
    await it.run("note")
    sheet = await it.draft()
    it.desk.approve(sheet.held.id, sheet.held.digest, "ana")
    return sheet.held.id


def state(it: Rehearsal, draft: str) -> str:
    return it.desk.sheet(draft).held.state


def outcomes(it: Rehearsal, draft: str) -> list[str | None]:
    """What each attempt came to, as the store has it."""
    with it.app.store.read() as connection:
        return [each.outcome for each in deliveries.of(connection, draft)]


@contextmanager
def failing(it: Rehearsal, call: str) -> Iterator[None]:
    """The journal's file meets a full device at each write, or takes what is written and can't be synced."""
    spare, broken = os.pipe()  # fsync knows no pipes
    if call == "write":
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, broken)
        os.close(full)
    os.dup2(broken, it.app.journal._descriptor)
    yield
    os.close(spare)
    os.close(broken)


each_call = pytest.mark.parametrize("call", ["write", "fsync"])


async def test_the_intent_is_in_the_journal_on_disk_before_the_request_leaves(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.destination.script(Delays(0.3))
        draft = await approved(it, note())
        await it.destination.received(1)
        (path,) = (tmp_path / "logs").glob("*.jsonl")
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        (intent,) = [line for line in lines if line["event"] == "delivery.started"]
        assert (intent["draft"], intent["key"]) == (draft, it.destination.ledger[0].key)
        assert state(it, draft) == "delivering"


async def test_a_draft_that_was_certainly_not_delivered_asks_again_with_the_reason(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.destination.script(Answers(422))
        draft = await approved(it, note())
        event = await it.event("delivery.failed", draft=draft)
        assert event["reason"] == "the destination refused it"
        sheet = it.desk.sheet(draft)
        assert (sheet.held.state, sheet.held.approved) == ("pending", None)
        assert sheet.note == "it was not delivered: the destination refused it"


@pytest.mark.parametrize("fault", [DropsResponse(), Answers(503), DropsRequest()])
async def test_promise_3_an_attempt_whose_end_is_unknown_is_uncertain_and_never_repeated_blindly(
    tmp_path: Path, fault: Any
) -> None:
    async with rehearsal(tmp_path) as it:
        it.app.outbox.inquire_s = 0
        it.destination.script(fault)
        draft = await approved(it, note())
        await it.event("delivery.uncertain", draft=draft)
        await it.until(lambda: not it.app.outbox._work)
        assert state(it, draft) == "uncertain"
        assert it.count("delivery.started") == 1
        with pytest.raises(DecisionError, match="uncertain already"):
            it.desk.approve(draft, it.desk.sheet(draft).held.digest, "ana")


async def test_the_owner_resolves_what_is_uncertain(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.destination.script(DropsResponse(), DropsRequest())
        first = await approved(it, note())
        await it.event("delivery.uncertain", draft=first)
        it.desk.resolve(first, "ana", was_delivered=True)
        assert state(it, first) == "delivered"
        second = await approved(it, note())
        await it.event("delivery.uncertain", draft=second)
        it.desk.resolve(second, "ana", was_delivered=False)
        sheet = it.desk.sheet(second)
        assert sheet.held.state == "pending"
        it.desk.approve(second, sheet.held.digest, "ana")
        await it.event("delivery.delivered", draft=second)
        assert len(it.destination.effects) == 2


async def test_a_destination_that_can_be_asked_is_asked(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.app.outbox.inquire_s = 0
        it.destination.script(DropsResponse())
        arrived = await approved(it, note(find=FIND))
        await it.event("delivery.delivered", draft=arrived)
        it.destination.script(DropsRequest())
        lost = await approved(it, note(find=FIND))
        await it.event("draft.returned", draft=lost)
        assert "has not received it" in it.desk.sheet(lost).note
        assert len(it.destination.effects) == 1


async def test_a_destination_that_cannot_answer_leaves_it_uncertain(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.app.outbox.inquire_s = 0
        it.destination.script(DropsResponse())
        find = "async def find(self, delivery):\n    raise OSError('no answer')"
        draft = await approved(it, note(find=find))
        await it.event("delivery.uncertain", draft=draft)
        await it.until(lambda: not it.app.outbox._work and len(it.app.children) == 0)
        assert state(it, draft) == "uncertain"


async def test_where_a_repeat_is_dropped_by_its_key_it_is_sent_again_with_the_same_key(
    tmp_path: Path,
) -> None:
    async with rehearsal(tmp_path) as it:
        it.app.outbox.inquire_s = 0
        it.destination.script(DropsResponse())
        draft = await approved(it, KEYED)
        await it.event("delivery.delivered", draft=draft)
        first, second = it.destination.ledger
        assert first.key == second.key
        assert (len(it.destination.effects), second.repeated) == (1, True)


async def test_a_repeat_that_also_ends_unknown_waits_for_its_owner(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.app.outbox.inquire_s = 0
        it.destination.script(DropsResponse(), DropsResponse())
        draft = await approved(it, KEYED)
        await it.destination.received(2)
        await it.until(lambda: not it.app.outbox._work)
        assert state(it, draft) == "uncertain"


async def test_what_a_crash_cut_off_is_uncertain_and_looked_up_at_the_next_start(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        draft = await approved(it, note())
        await it.event("delivery.delivered", draft=draft)
        sheet = await _second(it)
        with it.app.store.change() as tx:  # as a crash after the claim leaves it
            drafts.approve(tx, sheet.held, "ana")
            held = drafts.held(tx.connection, sheet.held.id)
            drafts.move(tx, held, State.DELIVERING)
            deliveries.begin(tx, held, key_of(held))
    async with rehearsal(tmp_path) as it:
        event = await it.event("delivery.uncertain", draft=sheet.held.id)
        assert event["reason"] == "the runner ended while it was being delivered"
        assert len(it.destination.ledger) == 0


async def _second(it: Rehearsal) -> Any:
    await it.run("note")
    return await it.draft()


async def test_a_draft_whose_kinds_code_changed_asks_again_under_the_new_code(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.drop("note.py", note())
        await it.run("note")
        sheet = await it.draft()
        later = it.app.store.clock.now().replace(year=2099)
        with pytest.raises(DecisionError, match="expires before that hour"):
            it.desk.approve(sheet.held.id, sheet.held.digest, "ana", not_before=later)
        soon = sheet.held.expires.replace(microsecond=0)
        it.desk.approve(sheet.held.id, sheet.held.digest, "ana", not_before=soon)
        it.drop("note.py", note() + "\n# changed\n")
        event = await it.event("draft.revised", draft=sheet.held.id)
        assert event["reason"] == "the kind's code changed"
        again = it.desk.sheet(sheet.held.id)
        assert (again.held.state, again.held.revision, again.fields) == ("pending", 2, sheet.fields)
        assert again.held.digest != sheet.held.digest
        it.desk.approve(sheet.held.id, again.held.digest, "ana")
        await it.event("delivery.delivered", draft=sheet.held.id)


async def test_a_kind_whose_code_is_gone_is_not_delivered(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.drop("note.py", note())
        await it.run("note")
        sheet = await it.draft()
        (tmp_path / "tasks" / "note.py").unlink()
        await it.event("task.removed")
        it.desk.approve(sheet.held.id, sheet.held.digest, "ana")
        event = await it.event("draft.returned")
        assert event["reason"] == "the kind's code is gone or broken"


async def test_promise_24_a_delivery_holds_only_the_secrets_that_its_kind_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTE_TOKEN", "s3cret")
    monkeypatch.setenv("OTHER_TOKEN", "other")
    text = (
        "    async def deliver(self, delivery):\n        import os\n        found = [delivery.secret('NOTE_TOKEN')]\n"
        "        found += [value for value in os.environ.values() if 'other' in value or 's3cret' in value]\n"
        "        try:\n            delivery.secret('OTHER_TOKEN')\n"
        "        except NotDelivered as error:\n            found.append(str(error))\n"
        "        return Receipt(detail=str(len(found)))\n\n"
    )
    module = note(extra="secrets: ClassVar = ('NOTE_TOKEN',)").replace(
        "    async def deliver(", f"{text}    async def was("
    )
    async with rehearsal(tmp_path) as it:
        draft = await approved(it, module)
        event = await it.event("delivery.delivered", draft=draft)
        assert event["receipt"]["detail"] == "2"
    assert "s3cret" not in "".join(path.read_text() for path in (tmp_path / "logs").glob("*.jsonl"))


@pytest.mark.parametrize("name", ["ANTHROPIC_API_KEY", "RUNNER_TELEGRAM_TOKEN"])
async def test_promise_24_no_kind_is_given_a_secret_of_the_runners_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "1:the-runners-own")
    text = f"    async def deliver(self, delivery):\n        return Receipt(id=delivery.secret({name!r})[:3])\n\n"
    module = note(extra=f"secrets: ClassVar = ({name!r},)").replace(
        "    async def deliver(", f"{text}    async def was("
    )
    async with rehearsal(tmp_path) as it:
        draft = await approved(it, module)
        event = await it.event("delivery.failed", draft=draft)
        assert f"{name} is not to be had" in event["reason"]


async def test_a_delivery_that_is_under_way_when_stop_comes_learns_its_outcome(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.destination.script(Delays(0.4))
        draft = await approved(it, note())
        await it.destination.received(1)
        (tmp_path / "STOP").touch()
        await it.event("stop.engaged")
        await it.event("delivery.delivered", draft=draft)


async def test_promise_17_no_delivery_begins_after_stop(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.drop("note.py", note())
        await it.run("note")
        sheet = await it.draft()
        with it.app.store.change() as tx:
            drafts.approve(tx, sheet.held, "ana")
            (tmp_path / "STOP").write_text(SIGNATURE)
        await it.event("stop.engaged")
        await it.until(lambda: state(it, sheet.held.id) == "pending")
        assert len(it.destination.ledger) == 0


@each_call
async def test_promise_22_no_journal_no_delivery(tmp_path: Path, call: str) -> None:
    async with rehearsal(tmp_path) as it:
        it.drop("note.py", note())
        await it.run("note")
        sheet = await it.draft()
        with failing(it, call):
            it.desk.approve(sheet.held.id, sheet.held.digest, "ana")
            await it.until(lambda: it.app.stop.reason is not None)
            assert "can't be written" in str(it.app.stop.reason)
            await it.until(lambda: state(it, sheet.held.id) == "pending")
        assert len(it.destination.ledger) == 0


async def test_many_approved_at_once_are_each_delivered_once(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.drop("note.py", note("return [Note(text=str(n)) for n in range(20)]"))
        await it.run("note")
        for sheet in it.waiting():
            it.desk.approve(sheet.held.id, sheet.held.digest, "ana")
        await it.destination.received(20, within=20)
        await it.until(lambda: it.count("delivery.delivered") == 20)
        assert len(it.destination.ledger) == len({arrival.body for arrival in it.destination.effects}) == 20


async def test_promise_1_what_a_validator_would_change_on_the_way_out_is_not_delivered(
    tmp_path: Path,
) -> None:
    extra = (
        "@__import__('pydantic').field_validator('text')\n    @classmethod\n"
        "    def _sign(cls, v):\n        return v + ' #ad'\n"
    )
    async with rehearsal(tmp_path) as it:
        it.drop("note.py", note(extra=extra))
        row = await it.run("note")
        assert "Note changes its own content when it is read again" in row.error
        assert it.waiting() == []


async def test_promise_1_a_class_that_turns_upon_delivery_delivers_nothing(tmp_path: Path) -> None:
    extra = (
        "@__import__('pydantic').field_validator('text')\n    @classmethod\n"
        "    def _turn(cls, v):\n        import os\n        return v if '/folders/' in os.getcwd() else 'else'\n"
    )
    async with rehearsal(tmp_path) as it:
        draft = await approved(it, note(extra=extra))
        event = await it.event("delivery.failed", draft=draft)
        assert "makes something else of what was approved" in event["reason"]
        assert len(it.destination.ledger) == 0


async def test_promise_1_bytes_that_were_changed_in_the_store_are_not_delivered(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.drop("note.py", note())
        await it.run("note")
        sheet = await it.draft()
        with it.app.store.change() as tx:
            content = drafts.content(tx.connection, sheet.held.id).replace(b"hello", b"hullo")
            tx.connection.exec_driver_sql("UPDATE revisions SET content = ?", (content,))
        it.desk.approve(sheet.held.id, sheet.held.digest, "ana")
        event = await it.event("draft.returned", draft=sheet.held.id)
        assert event["reason"] == "the bytes are not those that were approved"
        assert len(it.destination.ledger) == 0


async def test_promise_1_the_digest_covers_code_that_a_delivery_imports_late(tmp_path: Path) -> None:
    module = note().replace("answer = await", "from _foot import FOOT\n        answer = await", 1)
    async with rehearsal(tmp_path) as it:
        it.drop("_foot.py", "FOOT = 'one'\n")
        it.drop("note.py", module)
        await it.run("note")
        sheet = await it.draft()
        it.drop("_foot.py", "FOOT = 'another'\n")
        await it.event("draft.revised", draft=sheet.held.id)
        with pytest.raises(DecisionError, match="read it again"):
            it.desk.approve(sheet.held.id, sheet.held.digest, "ana")


async def test_promise_1_code_that_nobody_could_digest_is_not_imported(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.drop("_foot.py", "FOOT = 'one'\n")
        it.drop("note.py", "FOOT = __import__('_' + 'foot').FOOT\n" + note())
        event = await it.event("task.broken", file="note.py")
        assert "tasks/_foot.py is imported in a way that can't be seen beforehand" in event["reason"]


async def test_promise_3_a_look_up_that_fails_says_nothing_of_the_attempt(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.app.outbox.inquire_s = 0
        it.destination.script(DropsResponse())
        find = "async def find(self, delivery):\n    raise NotDelivered('the key is not to be had')"
        draft = await approved(it, note(find=find))
        await it.event("delivery.uncertain", draft=draft)
        await it.until(lambda: not it.app.outbox._work and len(it.app.children) == 0)
        assert state(it, draft) == "uncertain"


async def test_promise_3_a_repeat_that_is_refused_says_nothing_of_the_attempt_before(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.app.outbox.inquire_s = 0
        it.destination.script(DropsResponse(), Answers(422))
        draft = await approved(it, KEYED)
        await it.destination.received(2)
        await it.until(lambda: not it.app.outbox._work and len(it.app.children) == 0)
        assert (state(it, draft), outcomes(it, draft)) == ("uncertain", ["uncertain"] * 2)


async def test_promise_3_only_a_look_up_is_believed_that_nothing_was_found(tmp_path: Path) -> None:
    forged = (
        "import gc\n        from runner.worker.channel import Channel\n"
        "        channel = next(each for each in gc.get_objects() if isinstance(each, Channel))\n"
        "        await channel.say('not_found')\n        answer = await"
    )
    async with rehearsal(tmp_path) as it:
        draft = await approved(it, note().replace("answer = await", forged, 1))
        await it.event("delivery.delivered", draft=draft)


async def test_promise_3_what_is_uncertain_is_not_sent_again_by_code_that_nobody_approved(
    tmp_path: Path,
) -> None:
    async with rehearsal(tmp_path) as it:
        it.app.outbox.inquire_s = 3600
        it.destination.script(DropsResponse())
        draft = await approved(it, KEYED)
        await it.event("delivery.uncertain", draft=draft)
        it.drop("note.py", KEYED + "\n# changed\n")
        await it.until(lambda: it.count("task.loaded") == 2, "the new code")
        await it.app.outbox._inquire(draft)
        assert (len(it.destination.ledger), state(it, draft)) == (1, "uncertain")


async def test_promise_3_a_repeat_that_was_dropped_does_not_renew_the_destinations_memory(
    tmp_path: Path, clock: HandClock
) -> None:
    extra = "once: ClassVar = 'key'\n    once_for: ClassVar = __import__('datetime').timedelta(minutes=50)"
    async with rehearsal(tmp_path) as it:
        clock.at = it.app.store.clock.now()
        it.app.store.clock = clock
        it.app.outbox.inquire_s = 3600
        it.destination.script(DropsResponse(), DropsResponse())
        draft = await approved(it, note(extra=extra))
        await it.event("delivery.uncertain", draft=draft)
        for _ in range(2):
            clock.move(minutes=40)
            await it.app.outbox._inquire(draft)
        assert (len(it.destination.ledger), state(it, draft)) == (2, "uncertain")


async def test_what_is_cut_off_at_the_end_is_uncertain_already_while_no_runner_is_up(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.destination.script(Delays(60))
        draft = await approved(it, note())
        await it.destination.received(1)
        await it.app.outbox.close(within=0.1)
        assert (state(it, draft), outcomes(it, draft)) == ("uncertain", ["uncertain"])


@each_call
async def test_promise_22_no_journal_no_repeat(tmp_path: Path, call: str) -> None:
    async with rehearsal(tmp_path) as it:
        it.app.outbox.inquire_s = 3600
        it.destination.script(DropsResponse())
        draft = await approved(it, KEYED)
        await it.event("delivery.uncertain", draft=draft)
        with failing(it, call):
            it.app.outbox._start(draft, it.app.outbox._inquire)
            await it.until(lambda: it.app.stop.reason is not None)
            await it.until(lambda: not it.app.outbox._work)
        assert (len(it.destination.ledger), state(it, draft)) == (1, "uncertain")


async def test_promise_18_what_was_uncertain_when_stop_came_is_never_sent_again(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as it:
        it.app.outbox.inquire_s = 0.5
        it.destination.script(DropsResponse())
        draft = await approved(it, KEYED)
        await it.event("delivery.uncertain", draft=draft)
        (tmp_path / "STOP").touch()
        await it.event("stop.engaged")
        (tmp_path / "STOP").unlink()
        it.desk.resume("ana")
        await it.event("stop.released")
        it.app.outbox.inquire_s = 0
        it.app.outbox.inquire()
        await it.until(lambda: not it.app.outbox._work)
        assert (len(it.destination.ledger), state(it, draft)) == (1, "uncertain")


async def test_promise_18_what_was_under_way_when_stop_came_is_never_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.halt.GRACE_S", 0.3)
    async with rehearsal(tmp_path) as it:
        it.app.outbox.inquire_s = 3600
        it.destination.script(Delays(60))
        draft = await approved(it, KEYED)
        await it.destination.received(1)
        it.desk.halt("ana")
        await it.event("delivery.uncertain", draft=draft)
        it.desk.resume("ana")
        await it.event("stop.released")
        await it.app.outbox._inquire(draft)
        assert (len(it.destination.ledger), state(it, draft)) == (1, "uncertain")


async def test_a_delivery_that_began_after_a_resume_is_not_killed_by_the_stop_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.halt.GRACE_S", 1)
    async with rehearsal(tmp_path) as it:
        it.drop("note.py", note())
        await it.run("note")
        it.desk.halt("ana")
        await it.event("stop.engaged")
        it.desk.resume("ana")
        await it.event("stop.released")
        it.destination.script(Delays(2))
        sheet = await it.draft()
        it.desk.approve(sheet.held.id, sheet.held.digest, "ana")
        await it.event("delivery.delivered", draft=sheet.held.id)


async def test_promise_17_a_delivery_that_takes_longer_than_its_grace_is_killed_and_uncertain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.halt.GRACE_S", 0.3)
    async with rehearsal(tmp_path) as it:
        it.destination.script(Delays(60))
        draft = await approved(it, note())
        await it.destination.received(1)
        (tmp_path / "STOP").touch()
        await it.event("delivery.uncertain", draft=draft)
        assert len(it.app.children) == 0


async def test_promise_24_no_secret_that_a_delivery_says_reaches_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTE_TOKEN", "s3cret")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-the-runners-own")
    module = note(extra="secrets: ClassVar = ('NOTE_TOKEN', 'ANTHROPIC_API_KEY')").replace(
        "answer = await",
        "print(delivery._secrets)\n        raise RuntimeError(f'no answer: {delivery._secrets}')\n        answer = await",
        1,
    )
    async with rehearsal(tmp_path) as it:
        draft = await approved(it, module)
        event = await it.event("delivery.uncertain", draft=draft)
        assert "[secret]" in event["reason"]
        await it.until(lambda: bool(it.found("log")))
    told = "".join(path.read_text() for path in (tmp_path / "logs").glob("*.jsonl"))
    assert "s3cret" not in told
    assert "sk-the-runners-own" not in told


async def test_what_a_child_says_in_half_characters_leaves_no_draft_stuck(tmp_path: Path) -> None:
    module = note().replace("answer = await", "raise RuntimeError(chr(0xdcff))\n        answer = await", 1)
    async with rehearsal(tmp_path) as it:
        draft = await approved(it, module)
        await it.event("delivery.uncertain", draft=draft)


async def test_a_revision_is_carried_out_though_its_task_is_paused(tmp_path: Path) -> None:
    from runner.store import slots

    async with rehearsal(tmp_path) as it:
        it.drop("note.py", note())
        await it.run("note")
        sheet = await it.draft()
        with it.app.store.change() as tx:
            slots.pause(tx, "note", "ana")
        it.desk.revise(sheet.held.id, sheet.held.digest, "ana", "warmer")
        await it.event("draft.revised", draft=sheet.held.id)
