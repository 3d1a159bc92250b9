"""A short message to one of the hundred services that Apprise knows."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, ClassVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from runner.draft import Draft
from runner.errors import NotDelivered

if TYPE_CHECKING:
    from runner.worker.deliver import Delivery, Receipt

ADDRESS = "NOTIFY_URL"
TITLE_MAX = 150
BODY_MAX = 1000  #: which nearly every service takes; what takes less is asked when it is delivered
SHOWN = 500  #: characters of Apprise's words that a complaint keeps
STAND_IN = "json"  #: what a rehearsal's stand-in speaks


class Service(BaseModel):
    """Where messages go, in words: the address itself holds a password, and is a secret."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    service: str = Field(
        pattern=r"^[a-z][a-z0-9]*$", description="what NOTIFY_URL begins with", examples=["discord"]
    )
    place: str = Field(min_length=1, description="as you call it", examples=["#news of the studio"])


class Notify(Draft):
    """A plain text, with a title where the service has such."""

    body: Annotated[str, Field(min_length=1, max_length=BODY_MAX, pattern=r"\S")]
    title: Annotated[str, Field(max_length=TITLE_MAX)] = ""

    settings: ClassVar = Service
    secrets: ClassVar[tuple[str, ...]] = (ADDRESS,)

    async def deliver(self, delivery: Delivery) -> Receipt:
        """Send it, whole or not at all. Apprise tells a yes from all else, and no more: all else is uncertain."""
        from runner.worker.deliver import Receipt  # noqa: PLC0415 - only in the child that delivers

        plugin = _plugin(delivery)
        self._check(plugin)
        said = await asyncio.to_thread(_send, plugin, self.title, self.body)
        if said is not None:
            raise RuntimeError(f"{delivery.settings.service} did not say yes: {said[:SHOWN]}")
        return Receipt(detail=f"{plugin.service_name} took it")

    def _check(self, plugin: Any) -> None:
        """Raise `NotDelivered` for what the service would cut, or refuse."""
        length, most = len(self.body), plugin.body_maxlen
        if not plugin.title_maxlen:
            length += len(self.title) + 2  # it goes before the text
        elif len(self.title) > plugin.title_maxlen:
            raise NotDelivered(
                f"title: {plugin.service_name} takes {plugin.title_maxlen}, and it has {len(self.title)}"
            )
        if length > most:
            raise NotDelivered(
                f"body: {plugin.service_name} takes {most:,} characters, and it has {length:,}"
            )


def _plugin(delivery: Delivery) -> Any:
    """The service's own part of Apprise; raises `NotDelivered` when the address is not what the card said."""
    try:
        import apprise  # noqa: PLC0415 - only in the child that delivers: it takes a second
    except ImportError as error:
        raise NotDelivered("Notify needs Apprise: pip install '.[notify]' in the runner's folder") from error

    address, service = delivery.secret(ADDRESS), delivery.settings.service
    if urlsplit(address).scheme != service:
        raise NotDelivered(f"{ADDRESS} begins with another word than the settings' service, {service}")
    if delivery.rehearsal:
        address = f"{STAND_IN}://{urlsplit(delivery.rehearsal).netloc}/notify"
    plugin = apprise.Apprise.instantiate(address, suppress_exceptions=True)
    if plugin is None:
        raise NotDelivered(
            f"{ADDRESS} is nothing that Apprise understands; its docs say how {service}:// is written"
        )
    return plugin


def _send(plugin: Any, title: str, body: str) -> str | None:
    """None for a yes; else what was said instead."""
    import apprise  # noqa: PLC0415 - likewise

    capture: Any = apprise.LogCapture
    with capture(level=apprise.logging.WARNING) as said:
        if plugin.notify(body=body, title=title, body_format=apprise.NotifyFormat.TEXT):
            return None
        return str(said.getvalue()).strip() or "it gave no reason"
