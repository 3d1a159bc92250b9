"""Reading a task module in a child of its own, so that what is wrong with it breaks only itself."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.declare import Task
from runner.draft import Draft, Kind
from runner.worker.channel import Channel, no_tools
from runner.worker.child import complaint
from runner.worker.code import Only, digest_of, files_of
from runner.worker.load import kinds_of, module_at

if TYPE_CHECKING:
    import socket
    from types import ModuleType


async def work(order: dict[str, Any], end: socket.socket) -> None:
    """Report the tasks and the kinds of the module in `order["file"]`, or what is wrong with it."""
    channel = Channel(no_tools)
    await channel.open(end)
    tasks = Path(order["tasks"])
    files = files_of(tasks, order["file"])
    await channel.say("source", source=digest_of(files))  # said before any line of the module can speak
    Only(tasks, files).watch()
    try:
        module = module_at(tasks, order["file"])
        report = {"tasks": _tasks(module), "kinds": [_kind(kind, order["file"]) for kind in kinds_of(module)]}
    except BaseException as error:  # noqa: BLE001 - whatever a module does at import is its own fault
        await channel.say("broken", **complaint(error, str(tasks), is_open=order["seal"]["open"]))
    else:
        await channel.say("looked", **report)


def _tasks(module: ModuleType) -> list[dict[str, Any]]:
    found = {id(value): value for value in vars(module).values() if isinstance(value, Task)}
    mine = [task for task in found.values() if getattr(task.function, "__module__", None) == module.__name__]
    return [
        {
            "name": task.name,
            "description": task.description or (inspect.getdoc(module) or "").partition("\n")[0],
            "triggers": [trigger.model_dump(mode="json") for trigger in task.triggers],
            "limits": task.limits.model_dump(mode="json"),
            "line": task.line,
        }
        for task in mine
    ]


def _kind(kind: type[Draft], file: str) -> dict[str, Any]:
    if kind.__module__.startswith("runner."):
        return {"built_in": kind.__name__}  # the supervisor knows those better
    return Kind.of(kind, file, source="").model_dump(mode="json")
