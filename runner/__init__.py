"""A folder of scheduled Claude tasks that say nothing to the outside without their owner's yes.

The front door: what a task module imports. Each name is fetched when first used, so that importing the package
costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runner.declare import at, cron, every, task
    from runner.draft import Alert, Draft
    from runner.errors import NotDelivered
    from runner.worker.deliver import Delivery, Receipt
    from runner.worker.given import Web
    from runner.worker.run import Run

__version__ = "0.1.0"
__all__ = [
    "Alert",
    "Delivery",
    "Draft",
    "NotDelivered",
    "Receipt",
    "Run",
    "Web",
    "at",
    "cron",
    "every",
    "task",
]

_ROOMS = {
    "Alert": "draft",
    "Delivery": "worker.deliver",
    "Receipt": "worker.deliver",
    "Run": "worker.run",
    "Web": "worker.given",
    "Draft": "draft",
    "NotDelivered": "errors",
    "at": "declare",
    "cron": "declare",
    "every": "declare",
    "task": "declare",
}


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module 'runner' has no {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(f"runner.{_ROOMS[name]}"), name)
