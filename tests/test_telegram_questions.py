"""A task's question on the phone: told with its alert, answered by a reply, by an owner alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from modules import note
from phones import GROUP, OWNER, Hand, phoned, said

from runner.rehearsal.telegram import StandInTelegram
from runner.store import questions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

ASKS = note("return Alert('A person wrote.', question='Who is Ana?')")


@pytest.fixture
async def tg() -> AsyncIterator[StandInTelegram]:
    async with StandInTelegram() as server:
        yield server


async def asked(hand: Hand) -> int:
    """The message that asks."""
    hand.it.drop("note.py", ASKS)
    await hand.it.run("note")
    message = await hand.reads("Who is Ana?")
    assert "A person wrote." in said(message)
    return int(message["message_id"])


async def test_a_reply_to_the_alert_is_the_answer(tmp_path: Path, tg: StandInTelegram) -> None:
    async with phoned(tmp_path, tg) as hand:
        question = await asked(hand)
        tg.says(OWNER, "A friend.", reply_to=question)
        await hand.reads("Your answer is kept; the next run of note is told.")
        told = await hand.it.event("question.answered")
        assert (told["answer"], told["by"]) == ("A friend.", hand.phone.reviewers.name(OWNER))
        tg.says(OWNER, "A stranger.", reply_to=question)
        await hand.reads("Nothing was changed: question")
        assert hand.it.count("question.answered") == 1


async def test_words_that_are_no_reply_answer_nothing(tmp_path: Path, tg: StandInTelegram) -> None:
    async with phoned(tmp_path, tg) as hand:
        await asked(hand)
        await hand.handled(tg.says(OWNER, "A friend."))
        with hand.it.app.store.read() as connection:
            assert questions.count(connection) == 1


async def test_an_answer_that_comes_while_stopped_is_refused_with_that_word(
    tmp_path: Path, tg: StandInTelegram
) -> None:
    async with phoned(tmp_path, tg) as hand:
        question = await asked(hand)
        hand.it.desk.halt("ana", "too loud")
        await hand.it.event("stop.engaged")
        tg.says(OWNER, "A friend.", reply_to=question)
        assert "too loud" in said(await hand.reads("Nothing was changed"))


async def test_a_reviewer_who_is_no_owner_answers_nothing(tmp_path: Path, tg: StandInTelegram) -> None:
    (tmp_path / "runner.toml").write_text(
        f'[telegram]\nchat = {GROUP}\n\n[reviewers.bo]\nid = 7\ntasks = ["note"]\n'
    )
    async with phoned(tmp_path, tg) as hand:
        hand.it.drop("note.py", ASKS)
        await hand.it.run("note")
        message = await hand.reads("Who is Ana?", chat=GROUP)
        tg.says(7, "A friend.", chat=GROUP, reply_to=int(message["message_id"]))
        await hand.reads("That is the owner's to answer.", chat=GROUP)
        assert hand.it.count("question.answered") == 0
