"""Posts in a Telegram channel."""

from __future__ import annotations

from typing import Any

import pytest
from deliveries import check, deliver
from pydantic import ValidationError

from runner import NotDelivered
from runner.courier import PRIVATE
from runner.drafts import TelegramPost
from runner.errors import DraftError
from runner.rehearsal.channel import StandInChannel
from runner.rehearsal.destination import Answers, DropsResponse

THERE: dict[str, Any] = {"channel": "@studio", "silent": True}
POST = TelegramPost(text="*Not bold*, <b>not</b> either: [1](https://example.com) 🙂")


async def send(there: StandInChannel, token: str = "1:good", draft: TelegramPost = POST) -> Any:
    return await deliver(draft, there.url, THERE, TELEGRAM_CHANNEL_TOKEN=token)


async def test_a_post_is_in_the_channel_as_it_was_shown() -> None:
    async with StandInChannel() as there:
        receipt = await send(there)
        (message,) = there.effects
        assert (message["chat_id"], message["text"]) == ("@studio", POST.text)
        assert message["disable_notification"] is True
        assert receipt.url == "https://t.me/studio/1"


def test_the_bot_that_asks_for_approvals_never_posts() -> None:
    assert not PRIVATE & set(TelegramPost.secrets)


async def test_a_refusal_of_telegrams_is_told_with_what_to_do() -> None:
    async with StandInChannel(name="@other", token="1:good") as there:
        with pytest.raises(NotDelivered, match=r"401.*Unauthorized.*TELEGRAM_CHANNEL_TOKEN is no bot's"):
            await send(there, "1:bad")
        with pytest.raises(NotDelivered, match=r"chat not found.*is @studio the channel's name"):
            await send(there)
        there.script(Answers(429, {"ok": False}, {"retry-after": "7"}))
        with pytest.raises(NotDelivered, match="in 7 seconds"):
            await send(there)
        assert there.effects == []


@pytest.mark.parametrize("fault", [DropsResponse(), Answers(502, "bad gateway")])
async def test_a_post_whose_answer_was_lost_is_uncertain(fault: Any) -> None:
    async with StandInChannel() as there:
        there.script(fault)
        with pytest.raises(Exception, match=r"disconnected|502") as caught:
            await send(there)
        assert not isinstance(caught.value, NotDelivered)


def test_a_post_that_does_not_fit_is_refused_when_it_is_made() -> None:
    for text in ("", " \n", "x" * 4097, "🙂" * 2049):
        with pytest.raises(ValidationError):
            TelegramPost(text=text)
    with pytest.raises(DraftError, match="text: it has 4,098 characters"):
        check(TelegramPost.model_construct(text="🙂" * 2049), THERE)
    with pytest.raises(DraftError, match="channel"):
        check(POST, {"channel": "https://t.me/studio"})


@pytest.mark.parametrize("wrong", [{"text": "x" * 4097}, {"text": " "}, {"parse_mode": "HTML"}])
async def test_the_stand_in_refuses_what_telegram_refuses(wrong: dict[str, str]) -> None:
    import httpx

    async with StandInChannel() as there, httpx.AsyncClient() as client:
        answer = await client.post(
            f"{there.url}/bot1:x/sendMessage", json={"chat_id": "@studio", "text": "x", **wrong}
        )
        assert (answer.status_code, there.effects) == (400, [])
