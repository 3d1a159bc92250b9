"""The runner's health: a look at all that it rests on, with what to do where something is wrong."""

from __future__ import annotations

import asyncio
import platform
import sys
from typing import TYPE_CHECKING, Any

import click

from runner.cli.project import settings
from runner.draft import visible
from runner.errors import RunnerError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from runner.settings import Settings
    from runner.trial import Tried

PATIENCE_S = 10.0  #: with whoever is asked


class _Concern(Exception):  # noqa: N818 - it is no error: the runner works, and its owner should know
    """What may be as it should be, or not."""


@click.command()
def doctor() -> int:
    """Look at all that the runner rests on, and say what is not as it should be."""
    from runner.errors import SettingsError

    click.echo(f"runner on Python {platform.python_version()}, {platform.platform()}")
    try:
        known = settings()
    except SettingsError as error:
        click.echo(f"✗ settings: {visible(str(error))}")
        return error.exit_code
    problems = 0
    for name, look in _LOOKS.items():
        try:
            click.echo(f"✓ {name}: {visible(look(known))}")
        except _Concern as concern:
            click.echo(f"! {name}: {visible(str(concern))}")
        except (RunnerError, OSError, ValueError) as error:
            problems += 1
            click.echo(f"✗ {name}: {visible(str(error))}")
    return 1 if problems else 0


def _look_at_settings(known: Settings) -> str:
    budget = (
        f"${known.daily_budget_usd:.2f} a day" if known.daily_budget_usd is not None else "no daily budget"
    )
    return f"{known.home}, {known.timezone}, {known.model}, {budget}"


def _look_at_clock(known: Settings) -> str:
    from runner.clock import Clock
    from runner.machine import clock_trouble

    now = Clock().now().astimezone(known.zone)
    if words := clock_trouble():
        raise _Concern(words)
    return f"it is {now:%A %H:%M} in {known.timezone}, where slots are kept"


def _look_at_disk(known: Settings) -> str:
    from runner.machine import disk_trouble

    if words := disk_trouble(known.home):
        raise RunnerError(words)
    return "there is room"


def _look_at_sleep(known: Settings) -> str:
    from runner.machine import sleep_trouble

    if words := sleep_trouble():
        raise _Concern(words)
    return "nothing here would put the machine to sleep"


def _look_at_heartbeat(known: Settings) -> str:
    if not known.heartbeat.url:
        raise _Concern("nobody would notice if the runner died; name a dead man's switch: [heartbeat] url")
    return "an address is asked each minute while all is well"


def _look_at_key(known: Settings) -> str:
    from runner.claude.price import upper_bound
    from runner.errors import TransientClaudeError

    if known.anthropic_api_key is None:
        raise RunnerError("ANTHROPIC_API_KEY is not set; put it into .env")
    request = {"model": known.model, "max_tokens": 1, "messages": [{"role": "user", "content": "hello"}]}
    try:
        _asked(_counted(known.anthropic_api_key.get_secret_value(), known.anthropic_base_url, request))
    except TransientClaudeError as error:
        raise _Concern(f"ANTHROPIC_API_KEY is set and could not be tried: {error}") from None
    if upper_bound(known.model, request) is None:
        raise RunnerError(
            f"no price is known for {known.model!r}, so it fits no budget; set model in runner.toml to another"
        )
    return f"{known.anthropic_base_url or 'the public API'} takes it, and has {known.model}"


async def _counted(key: str, url: str | None, request: dict[str, Any]) -> int:
    """Counting tokens costs nothing, and wants a key, an address and a model that are good."""
    from runner.claude.ask import Claude
    from runner.claude.count import count

    claude = Claude(key, base_url=url, concurrency=1, guard=lambda: None)
    try:
        return await count(claude, request)
    finally:
        await claude.close()


def _look_at_phone(known: Settings) -> str:
    from runner.review.telegram.wire import LostError, ThrottledError

    if known.telegram_token is None:
        return "no bot is set; to read and decide by phone: runner telegram link"
    if not known.telegram_owners and not known.reviewers:
        raise RunnerError("RUNNER_TELEGRAM_OWNERS lists nobody; your id: runner telegram link")
    try:
        name = _asked(_named(known))
    except (LostError, ThrottledError) as error:
        raise _Concern(f"a bot is set and could not be asked: {error}") from None
    people = len({*known.telegram_owners, *(person.id for person in known.reviewers.values())})
    return f"@{name} answers; {people} may decide by it"


async def _named(known: Settings) -> str:
    from runner.review.telegram.link import Link

    async with Link.to(known) as line:
        return await line.name()


def _asked(question: Coroutine[Any, Any, Any]) -> Any:
    """What is answered within a while; raises `_Concern` when nothing is."""

    async def answer() -> Any:
        async with asyncio.timeout(PATIENCE_S):
            return await question

    try:
        return asyncio.run(answer())
    except TimeoutError:
        raise _Concern(f"no answer came within {PATIENCE_S:g} s") from None


def _look_at_folders(known: Settings) -> str:
    from runner.stop import sight

    for folder in (known.home, known.home / "logs", known.home / ".runner"):
        folder.mkdir(exist_ok=True)
        _try_writing(folder / ".doctor")
    reason = sight(known.home / "STOP")
    return f"all can be written; STOP {'is there: ' + reason if reason else 'is not there'}"


def _look_at_secrets(known: Settings) -> str:
    path = known.home / ".env"
    if not path.exists():
        return "none in .env"
    if path.stat().st_mode & 0o077:
        raise _Concern("others on this machine may read .env; close it: chmod 600 .env")
    return "nobody else may read .env"


def _try_writing(path: Path) -> None:
    path.touch()
    path.unlink()


def _look_at_store(known: Settings) -> str:
    from runner.store.store import Store

    store = Store(known.database)
    store.open()
    try:
        store.check()
    finally:
        store.close()
    return "sound"


def _look_at_journal(known: Settings) -> str:
    from runner.journal import verify

    verdict = verify(known.home / "logs")
    if verdict.problems:
        raise RunnerError(f"{len(verdict.problems)} problems; see them: runner verify")
    return f"{verdict.lines} lines, whole"


def _look_at_tasks(known: Settings) -> str:
    from runner.cli.looking import read_catalog

    found = asyncio.run(read_catalog(known.home))
    if found.broken:
        raise RunnerError("; ".join(str(each) for each in found.broken.values()))
    return f"{len(found.tasks)} sound"


def _look_at_children(known: Settings) -> str:
    if sys.platform != "linux":
        return "each run is a process of its own with limits; they end with the runner at end-of-file alone"
    return "each run is a process of its own with limits, killed with its group, and dies with the runner"


def _look_at_seal(known: Settings) -> str:
    from runner.worker.sealing.report import report

    what = report()
    tried = asyncio.run(_try_seal(known))
    lines = [what.system, *(f"{part.name}: {part.words}" for part in what.parts())]
    lines += [f"{each.way}: {f'closed ({each.refusal})' if each.refusal else 'OPEN'}" for each in tried]
    table = "\n    ".join(lines)
    open_ways = [each.way for each in tried if each.refusal is None]
    if open_ways:
        raise RunnerError(f"a sealed child can {', '.join(open_ways)}\n    {table}")
    return f"whole; a sealed child tried {len(tried)} ways out and found none\n    {table}"


async def _try_seal(known: Settings) -> list[Tried]:
    from runner.children import Children
    from runner.trial import tried
    from runner.worker.sealing.user import chosen

    children = Children(user=chosen(known.task_user))
    try:
        return await tried(children, known.home)
    finally:
        await children.close()


def _look_at_runner(known: Settings) -> str:
    from runner import lock

    pid = lock.holder(known.lock)
    return f"up, process {pid}" if pid else "not up; start it: runner up"


_LOOKS: dict[str, Callable[[Settings], str]] = {
    "settings": _look_at_settings,
    "clock": _look_at_clock,
    "disk": _look_at_disk,
    "sleep": _look_at_sleep,
    "key": _look_at_key,
    "phone": _look_at_phone,
    "folders": _look_at_folders,
    "secrets": _look_at_secrets,
    "store": _look_at_store,
    "journal": _look_at_journal,
    "tasks": _look_at_tasks,
    "children": _look_at_children,
    "seal": _look_at_seal,
    "runner": _look_at_runner,
    "heartbeat": _look_at_heartbeat,
}
