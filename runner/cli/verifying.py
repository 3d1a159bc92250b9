"""Whether the journal is what was written."""

from __future__ import annotations

import re

import click

from runner.cli.project import as_json, settings, show


class _Hash(click.ParamType[str]):
    """A head of the journal."""

    name = "hash"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = value.strip().lower()
        if not re.fullmatch("[0-9a-f]{64}", text):
            self.fail(f"{value!r} is no head; copy all 64 characters of the one you were told", param, ctx)
        return text


@click.command()
@click.option("--head", "told", type=_Hash(), help="A head that you were told, by the summary or by this.")
@as_json
def verify(*, told: str | None, wants_json: bool) -> int:
    """Read every line of the journal and check its chain: what was changed, lost or put elsewhere is found.

    Who can write the files can cut off their end, or write it anew. With --head even that is found, up to that head.
    """
    from runner.journal import verify as check

    verdict = check(settings().home / "logs", told or "")
    problems = [{"file": each.file, "line": each.line, "what": each.what} for each in verdict.problems]
    seq, head = verdict.head
    whole = {
        "lines": verdict.lines,
        "torn": verdict.torn,
        "first": verdict.first,
        "last": seq,
        "head": head,
        "problems": problems,
    }

    def otherwise() -> None:
        for each in verdict.problems:
            click.echo(f"logs/{each.file}:{each.line}: {each.what}" if each.file else each.what)
        word = f"{len(problems)} problems" if problems else "whole: no line was changed, lost or moved"
        torn = f"; {verdict.torn} torn by a crash, marked and passed" if verdict.torn else ""
        click.echo(f"{verdict.lines} lines, events {verdict.first} to {seq}{torn}: {word}")
        click.echo(
            f"head {head}" + (f"; event {verdict.told} has the one you were told" if verdict.told else "")
        )

    show(whole, wants_json=wants_json, otherwise=otherwise)
    return 1 if problems else 0
