"""What waits, and deciding on it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner.cli.project import Project, a_draft, as_json, me, opened
from runner.cli.project import show as print_out
from runner.errors import DecisionError

if TYPE_CHECKING:
    from sqlalchemy import Row

    from runner.review.desk import Sheet

with_digest = click.option(
    "--digest", metavar="D", help="Decide only if the draft's digest still begins so; for scripts."
)
SHOWN = 50  #: drafts in the table
SHORTEST = 12  #: characters of a digest that name it


@click.command()
@as_json
@click.option("--all", "wants_all", is_flag=True, help="Also what was decided, newest last.")
def pending(*, wants_json: bool, wants_all: bool) -> None:
    """List the drafts that wait for a decision, oldest first."""
    from runner.gate import OPEN, State
    from runner.store import drafts

    with opened() as project:
        with project.store.read() as connection:
            rows = drafts.listed(connection, frozenset(State) if wants_all else OPEN)
            fields = drafts.contents(connection, rows)
        found = [_as_dict(row, fields[row.id]) for row in rows]
        print_out(found, wants_json=wants_json, otherwise=lambda: _table(project, rows, found))


def _as_dict(row: Row[Any], fields: dict[str, Any]) -> dict[str, Any]:
    names = ("id", "task", "kind", "state", "revision", "digest", "created", "expires", "note")
    return {**{name: getattr(row, name) for name in names}, "fields": fields}


def _table(project: Project, rows: list[Row[Any]], found: list[dict[str, Any]]) -> None:
    """The oldest of them, as many as a person looks through."""
    from runner.review.console.tables import ago, first_words, table

    now = project.store.clock.now()
    lines = [
        (
            row.id,
            row.task,
            row.kind,
            row.state,
            ago(row.created, now),
            ago(row.expires, now),
            first_words(draft["fields"]),
        )
        for row, draft in zip(rows[:SHOWN], found[:SHOWN], strict=True)
    ]
    table(("ID", "task", "kind", "state", "made", "expires", "begins"), lines, empty="nothing waits")
    if len(rows) > SHOWN:
        click.echo(f"… and {len(rows) - SHOWN} more, newer than these; all of them: runner pending --json")


@click.command()
@a_draft
@as_json
@click.option(
    "--save",
    "folder",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Save its attachments there, to look at.",
)
def show(draft: str, *, wants_json: bool, folder: Path | None) -> None:
    """Show a draft whole, exactly as it would be delivered, and all that became of it."""
    from runner.store import deliveries, drafts

    with opened() as project:
        sheet = project.desk.sheet(draft)
        with project.store.read() as connection:
            row = drafts.get(connection, sheet.held.id)
            attempts = deliveries.of(connection, sheet.held.id)
        tried = [
            {name: getattr(each, name) for name in ("started", "finished", "outcome", "key")}
            | {"receipt": json.loads(each.receipt) if each.receipt else None}
            for each in attempts
        ]
        whole = {
            **_as_dict(row, sheet.fields),
            "rendering": sheet.rendering,
            "run": row.run,
            "deliveries": tried,
        }
        print_out(whole, wants_json=wants_json, otherwise=lambda: _print(sheet, tried))
        if folder is not None:
            _save(project, sheet, folder)


def _save(project: Project, sheet: Sheet, folder: Path) -> None:
    """Put the attachments into a folder, each under a number and its name, over no file that is there."""
    from runner.attachment import attachments
    from runner.store.attachments import get

    for place, each in enumerate(attachments(sheet.fields), 1):
        path = folder / f"{place}-{each['name']}"
        with project.store.read() as connection:
            content = get(connection, each["sha256"])
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                file.write(content)
        except OSError as error:
            raise click.BadParameter(f"{path}: {error.strerror}", param_hint="--save") from error
        click.echo(f"saved {path}", err=True)


def _print(sheet: Sheet, tried: list[dict[str, Any]]) -> None:
    from runner.attachment import attachments
    from runner.draft import visible

    held = sheet.held
    click.echo(sheet.rendering)
    click.echo(f"\n{held.id} of task {sheet.task} is {held.state}; digest {held.digest}")
    if files := list(attachments(sheet.fields)):
        click.echo(f"to look at its {len(files)} attachment(s): runner show {held.id} --save FOLDER")
    if sheet.note:
        click.echo(f"note: {visible(sheet.note)}")
    for each in tried:
        receipt = each["receipt"] or {}
        told = receipt.get("url") or receipt.get("detail") or ""
        click.echo(
            f"delivery of {each['started']}: {each['outcome'] or 'under way'} {visible(told)}".rstrip()
        )


@click.command()
@a_draft
@with_digest
@click.option(
    "--at", "hour", metavar="WHEN", help="Deliver not before: 09:00 (the next one) or 2026-12-24T09:00."
)
def approve(draft: str, digest: str | None, hour: str | None) -> None:
    """Say yes to exactly what is shown now; then, and only then, it is delivered.

    Shows the whole draft and asks. A script that has read the draft names its digest instead: --digest.
    """
    with opened(writes=True) as project:
        sheet = project.desk.sheet(draft)
        not_before = _hour(project, hour) if hour else None
        seen = _named(sheet, digest) if digest else _seen(sheet, "Approve exactly this?")
        is_enough = project.desk.approve(sheet.held.id, seen, me(), not_before=not_before)
    if not is_enough:
        click.echo(f"your yes to {sheet.held.id} is on record; it needs another person's too")
        return
    when = f"; it goes out at {_said(project, not_before)}" if not_before else ""
    click.echo(f"approved {sheet.held.id}{when}. To take that back: runner undo {sheet.held.id}")


def _named(sheet: Sheet, digest: str) -> str:
    """The digest that a script names, which must be the draft's own; a beginning of it will do."""
    if len(digest) >= SHORTEST and sheet.held.digest.startswith(digest.lower()):
        return sheet.held.digest
    short = f"; name at least {SHORTEST} characters of it" if len(digest) < SHORTEST else ""
    raise DecisionError(
        f"draft {sheet.held.id} has the digest {sheet.held.digest} now, not {digest}{short}; read it again: "
        f"runner show {sheet.held.id}"
    )


def _seen(sheet: Sheet, question: str) -> str:
    """Show all of it, and ask; only a yes comes back from here. Silence means no."""
    if sheet.held.state != "pending":
        raise DecisionError(f"draft {sheet.held.id} is {sheet.held.state}, not pending")
    _print(sheet, [])
    click.confirm(f"\n{question}", abort=True)
    return sheet.held.digest


def _said(project: Project, hour: datetime) -> str:
    """The hour as its owner would say it; with the year, unless it is this one."""
    zone = project.settings.zone
    there, today = hour.astimezone(zone), project.store.clock.now().astimezone(zone)
    return f"{there:%a %d %b %H:%M}" if there.year == today.year else f"{there:%a %d %b %Y %H:%M}"


def _hour(project: Project, text: str) -> datetime:
    """The hour that is meant; one that has passed is a mistake, for then the draft would go out at once."""
    zone, now = project.settings.zone, project.store.clock.now()
    try:
        if "T" in text or "-" in text:
            found = datetime.fromisoformat(text)
            hour = (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)
            if hour <= now:
                raise click.BadParameter(f"{_said(project, hour)} has passed", param_hint="--at")
            return hour
        clock = datetime.strptime(text, "%H:%M").time()  # noqa: DTZ007 - a time of day has no zone yet
    except (ValueError, OverflowError) as error:
        raise click.BadParameter(
            f"{text!r} is no hour; write 09:00 or 2026-12-24T09:00", param_hint="--at"
        ) from error
    today = now.astimezone(zone).replace(hour=clock.hour, minute=clock.minute, second=0, microsecond=0)
    return (today if today > now else today + timedelta(days=1)).astimezone(UTC)


@click.command()
@a_draft
@with_digest
@click.option("--reason", default="", help="Why; the task's next runs are told.")
def reject(draft: str, digest: str | None, reason: str) -> None:
    """Say no; the reason reaches the prompt of the task's next runs."""
    with opened(writes=True) as project:
        sheet = project.desk.sheet(draft)
        project.desk.reject(
            sheet.held.id, _named(sheet, digest) if digest else sheet.held.digest, me(), reason
        )
    click.echo(f"rejected {sheet.held.id}" + ("" if reason else "; a reason (--reason) would teach the task"))


@click.command()
@a_draft
@with_digest
@click.option("--feedback", required=True, help="What is to change.")
def revise(draft: str, digest: str | None, feedback: str) -> None:
    """Send a draft back for another try, with feedback; the result waits as a new revision."""
    from runner import lock

    with opened(writes=True) as project:
        sheet = project.desk.sheet(draft)
        seen = _named(sheet, digest) if digest else sheet.held.digest
        run = project.desk.revise(sheet.held.id, seen, me(), feedback)
        is_up = lock.holder(project.settings.lock)
    later = "" if is_up else "; it begins when the runner is up: runner up"
    click.echo(f"{sheet.held.id} is being revised by run {run}{later}")


@click.command()
@a_draft
@with_digest
@click.option(
    "--set", "values", metavar="FIELD=VALUE", multiple=True, help="A field's new content; repeatable."
)
@click.option(
    "--file",
    "files",
    metavar="FIELD=PATH",
    multiple=True,
    help="A field's new content from a file; - is standard input.",
)
def edit(draft: str, digest: str | None, values: tuple[str, ...], files: tuple[str, ...]) -> None:
    """Put your own words in a draft's place; the new revision waits for your yes like any other.

    Without --set and --file it opens your editor ($EDITOR).
    """
    from runner.review.console import editing

    with opened(writes=True) as project:
        sheet = project.desk.sheet(draft)
        seen = _named(sheet, digest) if digest else sheet.held.digest
        given = [*values, *(_from_file(each) for each in files)]
        fields = editing.changed(sheet.fields, given) if given else editing.in_editor(sheet.fields)
        if fields == sheet.fields:
            click.echo("nothing was changed")
            return
        project.desk.edit(sheet.held.id, seen, me(), fields)
        after = project.desk.sheet(sheet.held.id)
    click.echo(after.rendering)
    click.echo(
        f"\n{after.held.id} has revision {after.held.revision}, digest {after.held.digest}; it waits: runner approve {after.held.id}"
    )


def _from_file(pair: str) -> str:
    name, _, path = pair.partition("=")
    try:
        with click.open_file(path, encoding="utf-8") as file:
            return f"{name}={file.read()}"
    except OSError as error:
        raise click.BadParameter(f"{path}: {error.strerror}", param_hint="--file") from error
    except UnicodeError as error:
        raise click.BadParameter(f"{path}: it is no UTF-8 text", param_hint="--file") from error


@click.command()
@a_draft
def undo(draft: str) -> None:
    """Take an approval back, while its delivery has not begun."""
    with opened(writes=True) as project:
        sheet = project.desk.sheet(draft)
        project.desk.undo(sheet.held.id, me())
    click.echo(f"{sheet.held.id} is pending again")


@click.command()
@a_draft
@with_digest
def withdraw(draft: str, digest: str | None) -> None:
    """Take a draft back without a lesson to its task: neither a yes nor a no."""
    with opened(writes=True) as project:
        sheet = project.desk.sheet(draft)
        project.desk.withdraw(sheet.held.id, _named(sheet, digest) if digest else sheet.held.digest, me())
    click.echo(f"withdrew {sheet.held.id}")


@click.command()
@a_draft
@click.option(
    "--delivered/--not-delivered", "was_delivered", default=None, help="What you found at the destination."
)
def resolve(draft: str, *, was_delivered: bool | None) -> None:
    """Say what became of a delivery whose outcome is unknown, after looking at its destination."""
    if was_delivered is None:
        raise click.UsageError("say which: --delivered or --not-delivered")
    with opened(writes=True) as project:
        sheet = project.desk.sheet(draft)
        project.desk.resolve(sheet.held.id, me(), was_delivered=was_delivered)
    click.echo(f"{sheet.held.id} is {'delivered' if was_delivered else 'pending again'}")
