"""Whether drafts fit their kinds, asked in a child: the rules are a module's own, and may take for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runner.draft import Kind
from runner.errors import DraftError
from runner.fit import check_fields
from runner.worker.channel import Channel, no_tools

if TYPE_CHECKING:
    import socket


async def work(order: dict[str, Any], end: socket.socket) -> None:
    """Check the fields of each draft against its kind; say that all fit, or what does not."""
    channel = Channel(no_tools)
    await channel.open(end)
    try:
        for kind, fields in order["drafts"]:
            check_fields(Kind.model_validate(kind), fields)
    except DraftError as error:
        await channel.say("unfit", error=str(error))
    except Exception as error:  # noqa: BLE001 - a schema that can't be meant fits nothing
        await channel.say("unfit", error=f"its kind's schema can't be followed: {type(error).__name__}")
    else:
        await channel.say("fit")
