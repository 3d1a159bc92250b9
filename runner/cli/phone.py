"""Connecting the phone: a bot of one's own, the ids of those who may decide, and a first message."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import click
from pydantic import SecretStr

from runner.cli.project import settings
from runner.errors import RunnerError, SettingsError

if TYPE_CHECKING:
    from runner.settings import Settings

WAIT_S = 10.0  #: of one poll, after which the newcomer is told that nothing came yet
POLLS = 30  #: before it gives up

FIRST = """1. In Telegram, write to @BotFather: /newbot. Give it a name; it answers with a token.
   Nobody else should ever see that token: who has it can read what the bot is sent."""


@click.group(name="telegram")
def telegram() -> None:
    """Connect the phone."""


@telegram.command()
@click.option("--take-over", is_flag=True, help="Take away a webhook that is set for the bot.")
def link(*, take_over: bool) -> None:
    """Walk through it: a bot, its token, your numeric id; then a test message to the phone."""
    from runner import lock

    known = settings()
    if lock.holder(known.lock) and known.telegram_token is not None:
        raise RunnerError(
            "the runner that is up reads this bot's messages; stop it for a moment (Ctrl-C) first"
        )
    click.echo(FIRST)
    if known.telegram_token is None:
        token = click.prompt("2. Paste the token here", hide_input=sys.stdin.isatty())
        known = known.model_copy(update={"telegram_token": SecretStr(token.strip())})
    else:
        click.echo("2. RUNNER_TELEGRAM_TOKEN is set already; it is used.")
    asyncio.run(_link(known, take_over=take_over))


async def _link(known: Settings, *, take_over: bool) -> None:
    from runner.review.telegram.link import Link
    from runner.review.telegram.wire import TokenError

    assert known.telegram_token is not None
    async with Link.to(known) as line:
        try:
            name = await line.begin(take_over=take_over)
        except TokenError as error:
            raise SettingsError(str(error)) from error
        click.echo(f"3. In Telegram, open https://t.me/{name} and press Start (or write /start). Waiting…")
        for _ in range(POLLS):
            found = await line.hear(WAIT_S)
            if found is not None:
                await line.greet(found)
                _tell(found.person, known)
                return
            click.echo("   nothing yet")
    raise RunnerError("nobody wrote to the bot; begin again: runner telegram link")


def _tell(person: int, known: Settings) -> None:
    click.echo(f"\nYour numeric id is {person}; a test message is on your phone.")
    if person in known.telegram_owners:
        click.echo("It is listed already. Next: runner up")
        return
    owners = ",".join(str(each) for each in (*known.telegram_owners, person))
    click.echo(
        "Put into .env, and keep that file to yourself:\n\n"
        "RUNNER_TELEGRAM_TOKEN=… (the token you pasted)\n"
        f"RUNNER_TELEGRAM_OWNERS={owners}\n\nNext: runner up"
    )
