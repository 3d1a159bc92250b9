"""Talking to the supervisor in ways that the runner's own code never would."""

import asyncio
import json
import os

from runner import Alert, Draft, task
from runner.drafts import Article


class Escaped(Exception):
    """It got out."""


class Note(Draft):
    """A note."""

    text: str


async def send(run, *messages):
    for message in messages:
        line = message if isinstance(message, bytes) else json.dumps(message).encode() + b"\n"
        run._channel._writer.write(line)
    await run._channel._writer.drain()
    await asyncio.sleep(30)


DONE = {"op": "outcome", "made": [], "state": {}, "degraded": []}


@task(retries=0)
async def no_json(run):
    await send(run, b"{no}\n")


@task(retries=0)
async def too_deep(run):
    await send(run, b"[" * 200_000 + b"\n")


@task(retries=0)
async def too_long(run):
    await send(run, b"x" * (9 << 20))


@task(retries=0)
async def no_end_of_line(run):
    run._channel._writer.write(b'{"op": "outcome"')
    await run._channel._writer.drain()
    os._exit(0)


@task(retries=0, memory=1024)
async def a_million_messages(run):
    line = b'{"op": "calling"}\n' * 10_000
    for _ in range(100):
        run._channel._writer.write(line)
        await run._channel._writer.drain()
    raise Escaped


@task(retries=0)
async def a_thousand_questions(run):
    await asyncio.gather(*(run.claude(f"{n}") for n in range(1000)))
    raise Escaped


@task(retries=0)
async def for_another_run(run):
    await send(run, {**DONE, "op": "failed", "error": "mine", "run": "another", "task": "victim", "file": {}})


@task(retries=0)
async def answer_what_was_not_asked(run):
    await send(run, {"op": "tooled", "tool": {}, "text": "x"})


@task(retries=0)
async def say_it_was_delivered(run):
    await send(run, {"op": "delivered", "receipt": {"id": "x"}})


@task(retries=0)
async def server_tools(run):
    """Claude's own tools are ways out; the wire has no place for them."""
    await run._channel.ask(
        "claude",
        position=0,
        prompt="x",
        system=None,
        schema=None,
        model=None,
        max_tokens=9,
        effort=None,
        tools=[{"type": "web_search_20250305", "name": "web_search", "description": "", "schema": {}}],
    )
    raise Escaped


@task(retries=0)
async def servers_of_its_own(run):
    await run._channel.ask(
        "claude",
        position=0,
        prompt="x",
        system=None,
        schema=None,
        model=None,
        max_tokens=9,
        effort=None,
        tools=[],
        mcp_servers=[{"url": "https://example.com"}],
    )
    raise Escaped


@task(retries=0)
async def the_store_by_the_broker(run):
    await run._channel.ask("sql", query="delete from drafts")
    raise Escaped


@task(retries=0)
async def a_field_too_many(run):
    await send(run, {**DONE, "made": [{"draft": "note", "fields": {"text": "x", "approved": True}}]})


@task(retries=0)
async def a_kind_nobody_knows(run):
    await send(run, {**DONE, "made": [{"draft": "approval", "fields": {}}]})


@task(retries=0)
async def a_changed_class(run):
    """The class as it is now says that anything fits; the supervisor keeps to what it read."""
    Note.model_validate_json = classmethod(lambda cls, text: cls.model_construct(text=text))
    Note.model_dump = lambda self, **how: {"text": {"free": "form"}}
    return Note(text="x")


@task(retries=0)
async def out_of_its_folder(run):
    return Article(title="x", body="x").model_copy(update={"folder": "../../elsewhere"})


@task(retries=0)
async def a_runner_of_its_own(run):
    """Whatever it does to the runner's code in its own process changes nothing outside."""
    import runner.draft
    import runner.worker.run

    runner.worker.run.outcome = lambda made: [{"draft": "note", "fields": {"text": 3}, "approved": True}]
    runner.draft.Draft.auto = True
    return Alert("x")


@task(retries=0)
async def a_state_without_end(run):
    run.state["x"] = "x" * (7 << 20)


@task(retries=0)
async def a_number_no_store_holds(run):
    await send(run, {**DONE, "made": [{"draft": "note", "fields": {"text": "x"}, "call": 1 << 80}]})


@task(retries=0)
async def half_a_letter(run):
    await send(run, b'{"op": "failed", "error": "\\ud800"}\n')
