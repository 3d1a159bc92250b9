"""The tour: the whole way of a draft, walked by itself on the stand-ins. Each step must happen, or the tour fails."""

from __future__ import annotations

import asyncio
import tempfile
import time
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from runner import settings as settings_room
from runner.draft import visible
from runner.errors import RunnerError
from runner.journal import verify
from runner.rehearsal.handset import Handset, drawn
from runner.rehearsal.stage import copy_tasks, with_phone
from runner.rehearsal.telegram import StandInTelegram
from runner.review.console.lines import line
from runner.store import runs
from runner.testing import Rehearsal, rehearsal

if TYPE_CHECKING:
    from runner.review.desk import Sheet

EVERY = timedelta(seconds=2)
YOU = "you"
APPROVE = "✅ Approve"
REASON = "too general: name one concrete bug and what it taught"
FEEDBACK = "make the opening shorter"


class Tour:
    """One walk, and the runner it leads past."""

    def __init__(self, it: Rehearsal, handset: Handset) -> None:
        self.it, self.handset = it, handset

    async def walk(self) -> None:
        """Every step, in the order of a draft's life."""
        first = await self.a_run()
        await self.an_approval(first)
        await self.a_tap()
        await self.a_rejection(await self.it.draft("linkedin_post"))
        await self.a_revision(await self.it.draft("blog_article"))
        await self.a_stop()
        await self.a_resume()
        self.the_record()

    async def a_run(self) -> Sheet:
        """A slot fires, Claude is asked, and what came of it waits."""
        say("A task that was dropped into tasks/ fires on schedule, asks Claude, and what it wrote waits:")
        sheet = await self.it.draft("linkedin_post")
        say("The draft in full, exactly as it would be delivered:")
        click.echo(sheet.rendering)
        click.echo(f"digest {sheet.held.digest}")
        return sheet

    async def an_approval(self, sheet: Sheet) -> None:
        """A yes to that digest; it is delivered once."""
        say("You approve exactly that digest, and only then it goes out, once:")
        self.it.desk.approve(sheet.held.id, sheet.held.digest, YOU)
        event = await self.it.event("delivery.delivered", draft=sheet.held.id)
        path = Path(event["receipt"]["url"].removeprefix("file://"))
        must(sheet.held.digest[:40] in _read(path), f"{path} holds what was approved")
        click.echo(f"receipt: {path.relative_to(self.it.app.home)} holds the key {sheet.held.digest[:40]}")

    async def a_tap(self) -> None:
        """The same on a phone: a card, and a tap on it."""
        say("With a Telegram bot the next one comes to your phone as a card. You tap ✅ Approve:")
        await self.it.until(lambda: self.handset.newest(APPROVE, "blog_article") is not None, "the card")
        card = self.handset.newest(APPROVE, "blog_article")
        assert card is not None
        Console(highlight=False).print(drawn(card))
        self.handset.tap(card, APPROVE)
        again = partial(self.handset.message, card["message_id"])
        await self.it.until(lambda: "📬 delivered" in again()["text"], "the card's last word")
        say("Its buttons go, and its last line says who decided what, and what became of it:")
        click.echo(again()["text"].rpartition("\n")[2])

    async def a_rejection(self, sheet: Sheet) -> None:
        """A no, whose reason the next prompt carries."""
        say(f"You reject the next one: {REASON!r}. The task's next prompt carries the reason:")
        self.it.desk.reject(sheet.held.id, sheet.held.digest, YOU, REASON)
        await self.it.until(
            lambda: any(REASON in str(asked.get("system")) for asked in self.it.claude.requests)
        )
        click.echo(f"system prompt: … {REASON}")

    async def a_revision(self, sheet: Sheet) -> None:
        """Another try; what was paid for before the draft is replayed."""
        say(f"You send an article back: {FEEDBACK!r}. The outline it paid for is replayed, not paid again:")
        self.it.desk.revise(sheet.held.id, sheet.held.digest, YOU, FEEDBACK)
        event = await self.it.event("draft.revised", draft=sheet.held.id)
        must(self.it.count("claude.asked", run=event["revision_run"]) == 1, "the revision pays for one call")
        must(event["digest"] != sheet.held.digest, "the revision has a digest of its own")
        click.echo(
            f"revision {event['revision']} waits with a digest of its own: {event['digest'][:12]}; 1 call was paid"
        )

    async def a_stop(self) -> None:
        """STOP in the middle of a run."""
        say("You touch STOP while Claude is writing for a run:")
        self.it.claude.pace = 0.5
        heard = len(self.it.claude.requests)
        await self.make_room()
        await self.it.until(lambda: len(self.it.claude.requests) > heard and len(self.it.app.children) > 0)
        count, began = len(self.it.app.children), time.monotonic()
        (self.it.app.home / "STOP").touch()
        await self.it.until(lambda: len(self.it.app.children) == 0, pause=0.001)
        click.echo(
            f"{count} child(ren) dead {1000 * (time.monotonic() - began):.1f} ms after STOP was touched"
        )
        await self.it.event("stop.engaged")
        await self.it.event("run.finished", status="stopped")

    async def a_resume(self) -> None:
        """Removing the file restarts nothing; a resume does."""
        say("You take the file away. That restarts nothing; you resume:")
        (self.it.app.home / "STOP").unlink()
        self.it.claude.pace = 0
        fired = self.it.count("run.started")
        await asyncio.sleep(EVERY.total_seconds() + 0.5)
        must(self.it.count("run.started") == fired, "nothing runs before it is resumed")
        self.it.desk.resume(YOU)
        await self.it.event("stop.released")
        await self.it.until(lambda: self.it.count("run.started") > fired)

    def the_record(self) -> None:
        """The journal is whole; the cost is known."""
        say("All of it is on record, and the record is whole:")
        self.it.app.journal.write()
        verdict = verify(self.it.app.home / "logs")
        must(not verdict.problems, "the journal is whole")
        click.echo(f"{verdict.lines} lines verified; head {verdict.head[1][:16]}…")
        with self.it.app.store.read() as connection:
            costs = runs.costs(connection, self.it.app.store.clock.now() - timedelta(days=1))
        for row in costs:
            click.echo(f"{row.task}: {row.calls} calls, ${row.cost_nano_usd / 1e9:.4f} (had it been real)")
        must(bool(costs), "the costs are known")

    async def make_room(self) -> None:
        """Reject what waits, so that no task holds back for want of a decision."""
        for sheet in self.it.waiting():
            self.it.desk.reject(sheet.held.id, sheet.held.digest, YOU)


def must(holds: bool, what: str) -> None:  # noqa: FBT001 - it reads as a claim
    """What a step claims must be so; raises `RunnerError` when it isn't."""
    if not holds:
        raise RunnerError(what)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def say(words: str) -> None:
    """A heading of the tour."""
    click.secho(f"\n▸ {words}", bold=True)


def _phone(home: Path) -> dict[str, Any]:
    """The settings of somebody with a phone, beside those of a newcomer."""
    known = with_phone(settings_room.load(home))
    return {
        name: getattr(known, name) for name in ("telegram_token", "telegram_owners", "telegram", "reviewers")
    }


async def walk() -> int:
    """Take the tour in a folder of its own; 1 when a step did not happen."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tour-") as folder:
        home = Path(folder)
        zone = settings_room.load(home).zone
        copy_tasks(home)

        def heard(event: dict[str, Any]) -> None:
            if (words := line(event, zone)) and not event["event"].startswith(("log", "slot.")):
                click.secho(f"  {words}", dim=True)

        say(
            "A runner on stand-ins for Claude, Telegram and the world. No key, no cost, nothing leaves this machine."
        )
        async with (
            StandInTelegram() as telegram,
            rehearsal(home, every=EVERY, heard=heard, phone=telegram.url, **_phone(home)) as it,
        ):
            try:
                await Tour(it, Handset(telegram)).walk()
            except (TimeoutError, RunnerError) as error:
                click.secho(f"\nThis step did not happen: {visible(str(error))}", fg="red")
                return 1
    say(f"That was all of it, in {time.monotonic() - began:.0f} s. Begin your own: runner init")
    return 0
