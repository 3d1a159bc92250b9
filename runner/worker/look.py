"""Reading a task module in a child of its own, so that what is wrong with it breaks only itself."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.declare import Task
from runner.draft import BUILT_IN, Draft, Kind
from runner.worker.channel import Channel, no_tools
from runner.worker.child import complaint
from runner.worker.load import kinds_of, module_at, source

if TYPE_CHECKING:
    import socket
    from types import ModuleType


async def work(order: dict[str, Any], end: socket.socket) -> None:
    """Report the tasks and the kinds of the module in `order["file"]`, or what is wrong with it."""
    channel = Channel(no_tools)
    await channel.open(end)
    tasks = Path(order["tasks"])
    try:
        module = module_at(tasks, order["file"])
        code = source(tasks, module)
        report = {
            "tasks": _tasks(module),
            "kinds": [_kind(kind, order["file"], code) for kind in kinds_of(module)],
        }
    except BaseException as error:  # noqa: BLE001 - whatever a module does at import is its own fault
        await channel.say("broken", **complaint(error, str(tasks), is_open=order["seal"]["open"]))
    else:
        await channel.say("looked", source=code, **report)


def _tasks(module: ModuleType) -> list[dict[str, Any]]:
    found = {id(value): value for value in vars(module).values() if isinstance(value, Task)}
    mine = [task for task in found.values() if getattr(task.function, "__module__", None) == module.__name__]
    return [
        {
            "name": task.name,
            "description": task.description or (inspect.getdoc(module) or "").partition("\n")[0],
            "triggers": [trigger.model_dump(mode="json") for trigger in task.triggers],
            "limits": task.limits.model_dump(mode="json"),
        }
        for task in mine
    ]


def _kind(kind: type[Draft], file: str, code: str) -> dict[str, Any]:
    is_built_in = kind.__module__.startswith("runner.")
    described = Kind(
        name=kind.kind(),
        title=kind.__name__,
        module=kind.__module__,
        file=None if is_built_in else file,
        schema_=kind.model_json_schema(),
        source=BUILT_IN if is_built_in else code,
        secrets=kind.secrets,
        writes=kind.writes,
        account=kind.account,
        once=kind.once,
        finds=hasattr(kind, "find"),
        auto=kind.auto,
    )
    return described.model_dump(mode="json")
