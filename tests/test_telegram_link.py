"""A newcomer connects their phone, and sees cards in the demo without one."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from phones import OWNER
from test_cli import RUNNER, environment

from runner.rehearsal.telegram import TOKEN, StandInTelegram

if TYPE_CHECKING:
    from pathlib import Path


async def linked(home: Path, tg: StandInTelegram, *words: str, **given: str) -> tuple[int, str]:
    """What `runner telegram link` comes to, with the token pasted where it is asked for."""
    import asyncio

    (home / "tasks").mkdir(exist_ok=True)
    process = await asyncio.create_subprocess_exec(
        RUNNER,
        "telegram",
        "link",
        *words,
        cwd=home,
        env={**environment(), "RUNNER_TELEGRAM_API": tg.url, **given},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    out, _ = await process.communicate(f"{TOKEN}\n".encode())
    return process.returncode or 0, out.decode()


async def test_link_shows_the_numeric_id_and_sends_a_test_message(tmp_path: Path) -> None:
    async with StandInTelegram() as tg:
        tg.says(OWNER, "/start")
        code, out = await linked(tmp_path, tg)
        assert code == 0, out
        for words in ("@BotFather", "https://t.me/rehearsal_bot", "RUNNER_TELEGRAM_OWNERS=42", "runner up"):
            assert words in out
        assert TOKEN not in out
        assert "This is your runner" in tg.messages(OWNER)[-1]["text"]
        assert tg.updates.pending == []
        tg.says(OWNER, "/start")
        given = {"RUNNER_TELEGRAM_TOKEN": TOKEN, "RUNNER_TELEGRAM_OWNERS": "42"}
        code, out = await linked(tmp_path, tg, **given)
        assert "It is listed already" in out


async def test_link_takes_a_webhook_away_only_when_told_to(tmp_path: Path) -> None:
    async with StandInTelegram() as tg:
        tg.account.webhook = "https://elsewhere.example.com/"
        code, out = await linked(tmp_path, tg)
        assert (code, tg.account.webhook) == (2, "https://elsewhere.example.com/")
        assert "--take-over" in out
        tg.says(OWNER, "/start")
        code, out = await linked(tmp_path, tg, "--take-over")
        assert (code, tg.account.webhook) == (0, "")


@pytest.mark.parametrize("token", ["7:wrong", "no token at all"])
async def test_link_says_when_the_token_is_none(tmp_path: Path, token: str) -> None:
    async with StandInTelegram() as tg:
        code, out = await linked(tmp_path, tg, RUNNER_TELEGRAM_TOKEN=token)
        assert code == 2
        assert "Telegram does not know this token" in out
