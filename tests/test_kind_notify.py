"""Messages by Apprise: the real library, to a real server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from deliveries import check, deliver
from pydantic import ValidationError

from runner import NotDelivered
from runner.drafts import Notify
from runner.errors import DraftError
from runner.rehearsal.destination import Answers, DropsRequest, DropsResponse, StandInDestination
from runner.tables import KindRule
from runner.testing import rehearsal

if TYPE_CHECKING:
    from pathlib import Path

# a plugin of the library's that nobody here asks for
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

THERE: dict[str, Any] = {"service": "json", "place": "the studio's wall"}
NOTE = Notify(title="News", body="One *lesson* & <two>.")


async def send(there: StandInDestination, draft: Notify = NOTE) -> Any:
    address = there.url.replace("http://", "json://")
    return await deliver(draft, "", THERE, NOTIFY_URL=f"{address}/wall")


async def test_a_message_arrives_as_it_was_shown() -> None:
    async with StandInDestination() as there:
        receipt = await send(there)
        (arrival,) = there.effects
        body = json.loads(arrival.body)
        assert (arrival.path, body["title"], body["message"]) == ("/wall", NOTE.title, NOTE.body)
        assert receipt.detail == "JSON took it"


@pytest.mark.parametrize("fault", [Answers(401, "no"), Answers(500, "oops"), DropsRequest(), DropsResponse()])
async def test_whatever_is_no_yes_is_uncertain(fault: Any) -> None:
    async with StandInDestination() as there:
        there.script(fault)
        with pytest.raises(RuntimeError, match=r"json did not say yes: ."):
            await send(there)


async def test_an_address_that_is_not_what_the_card_said_is_never_used() -> None:
    with pytest.raises(NotDelivered, match="another word than the settings' service, json"):
        await deliver(NOTE, "", THERE, NOTIFY_URL="discord://1/secret")
    with pytest.raises(NotDelivered, match="nothing that Apprise understands"):
        await deliver(NOTE, "", {**THERE, "service": "nonsense"}, NOTIFY_URL="nonsense://x")
    with pytest.raises(NotDelivered, match="NOTIFY_URL is not to be had"):
        await deliver(NOTE, "", THERE)


async def test_a_message_is_never_cut() -> None:
    address = f"twilio://AC{'a' * 32}:{'b' * 32}@15551234567/15557654321"
    long = Notify(body="x" * 161)
    with pytest.raises(NotDelivered, match="body: Twilio takes 160 characters, and it has 163"):
        await deliver(long, "", {**THERE, "service": "twilio"}, NOTIFY_URL=address)


def test_a_message_that_does_not_fit_is_refused_when_it_is_made() -> None:
    for wrong in ({"body": ""}, {"body": "x" * 1001}, {"title": "x" * 151}):
        with pytest.raises(ValidationError):
            Notify.model_validate({"body": "x", **wrong})
    with pytest.raises(DraftError, match="needs 'place'"):
        check(NOTE, {"service": "json"})


TASK = '''
from runner import task
from runner.drafts import Notify

@task()
def say():
    """Say it."""
    return Notify(body="One lesson.")
'''


async def test_in_a_rehearsal_a_message_goes_to_the_stand_in_whatever_its_service(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("NOTIFY_URL=discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js")
    there = {"service": "discord", "place": "#news"}
    async with rehearsal(tmp_path, kinds={"notify": KindRule.model_validate(there)}) as it:
        it.drop("say.py", TASK)
        await it.run("say")
        draft = await it.draft()
        it.desk.approve(draft.held.id, draft.held.digest, "ann")
        await it.event("delivery.delivered")
        assert it.destination.effects[0].path == "/notify"
