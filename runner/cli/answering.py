"""Answering what tasks ask."""

from __future__ import annotations

import click

from runner.cli.project import as_json, me, opened, show


@click.command()
@click.argument("question", metavar="[ID]", required=False)
@click.argument("text", nargs=-1)
@as_json
def answer(question: str | None, text: tuple[str, ...], *, wants_json: bool) -> None:
    """Answer a task's question; its next run is told. Without an ID, list the questions that wait."""
    if question is None:
        _list(wants_json=wants_json)
        return
    if not text:
        raise click.UsageError(f"say what you answer: runner answer {question} TEXT")
    from runner.review.questions import answer as keep

    with opened(writes=True) as project:
        task = keep(project.store, project.desk.stop, question, me(), " ".join(text))
    click.echo(f"kept; the next run of {task} is told")


def _list(*, wants_json: bool) -> None:
    from runner.review.console.tables import ago, table
    from runner.store import questions

    with opened() as project:
        now = project.store.clock.now()
        with project.store.read() as connection:
            rows = questions.waiting(connection)
    names = ("id", "task", "run", "question", "asked")
    found = [{name: getattr(row, name) for name in names} for row in rows]

    def otherwise() -> None:
        lines = [(row.id, row.task, ago(row.asked, now), row.question) for row in rows]
        table(("ID", "task", "asked", "question"), lines, empty="no task asks anything")

    show(found, wants_json=wants_json, otherwise=otherwise)
