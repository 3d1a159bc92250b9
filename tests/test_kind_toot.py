"""Posts on Mastodon, which drops a repeat of a key for an hour."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from deliveries import check, deliver
from pydantic import ValidationError

from runner import NotDelivered
from runner.drafts import Toot
from runner.errors import DraftError
from runner.rehearsal.destination import Answers, DropsResponse
from runner.rehearsal.mastodon import StandInMastodon
from runner.tables import KindRule
from runner.testing import rehearsal

if TYPE_CHECKING:
    from pathlib import Path

THERE: dict[str, Any] = {"server": "https://social.example", "visibility": "unlisted"}
TOOT = Toot(text="One lesson. #testing")


async def send(there: StandInMastodon, token: str = "good", draft: Toot = TOOT) -> Any:
    return await deliver(draft, there.url, THERE, MASTODON_TOKEN=token)


async def test_a_toot_is_sent_once_whatever_is_repeated() -> None:
    async with StandInMastodon() as there:
        there.script(DropsResponse())
        with pytest.raises(Exception, match="disconnected") as lost:
            await send(there)
        assert not isinstance(lost.value, NotDelivered)
        receipt = await send(there)
        assert there.effects == [{"status": TOOT.text, "visibility": "unlisted"}]
        assert receipt.url == "https://social.example/@studio/1"


async def test_a_refusal_of_mastodons_is_told_with_what_to_do() -> None:
    async with StandInMastodon(token="good") as there:
        with pytest.raises(NotDelivered, match=r"401.*MASTODON_TOKEN is no longer good"):
            await send(there, "old")
        long = Toot.model_construct(text="x" * 501)
        with pytest.raises(DraftError, match="text: it has 501 characters, and may have 500"):
            await send(there, draft=long)
        there.script(Answers(429, {"error": "Too many requests"}))
        with pytest.raises(NotDelivered, match="approve it again later"):
            await send(there)
        assert there.effects == []


def test_a_toot_that_does_not_fit_is_refused_when_it_is_made() -> None:
    for text in ("", "  ", "x" * 501):
        with pytest.raises(ValidationError):
            Toot(text=text)
    with pytest.raises(DraftError, match="needs 'server'"):
        check(TOOT, {})
    with pytest.raises(DraftError, match="server"):
        check(TOOT, {"server": "http://social.example"})


TASK = '''
from runner import task
from runner.drafts import Toot

@task()
def say():
    """Say it."""
    return Toot(text="One lesson.")
'''


async def _uncertain(it: Any) -> Any:
    it.app.outbox.inquire_s = 0.05
    it.drop("say.py", TASK)
    await it.run("say")
    draft = await it.draft()
    it.destination.services["mastodon"].script(DropsResponse())
    it.desk.approve(draft.held.id, draft.held.digest, "ann")
    return await it.event("delivery.uncertain")


async def test_what_was_lost_is_sent_again_while_mastodon_remembers_its_key(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("MASTODON_TOKEN=a-long-token")
    async with rehearsal(tmp_path, kinds={"toot": KindRule.model_validate(THERE)}) as it:
        await _uncertain(it)
        await it.event("delivery.delivered")
        assert len(it.destination.services["mastodon"].effects) == 1


async def test_what_was_lost_is_never_sent_again_once_its_key_is_forgotten(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("MASTODON_TOKEN=a-long-token")
    async with rehearsal(tmp_path, kinds={"toot": KindRule.model_validate(THERE)}) as it:
        clock = it.app.store.clock
        began = clock.now()

        class Later:
            def now(self) -> Any:
                return began + timedelta(minutes=51)

        it.app.outbox.inquire_s = 3600
        it.drop("say.py", TASK)
        await it.run("say")
        draft = await it.draft()
        it.destination.services["mastodon"].script(DropsResponse())
        it.desk.approve(draft.held.id, draft.held.digest, "ann")
        await it.event("delivery.uncertain")
        it.app.store.clock = Later()  # type: ignore[assignment] # the hour is over
        await it.app.outbox._inquire(draft.held.id)
        assert it.count("delivery.started") == 1
        it.app.store.clock = clock
        await it.app.outbox._inquire(draft.held.id)
        await it.event("delivery.delivered")
        assert len(it.destination.services["mastodon"].effects) == 1
