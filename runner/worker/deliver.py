"""Carrying out one approved draft, in a child that holds only the secrets its kind names."""

from __future__ import annotations

import base64
import hashlib
import importlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from runner.attachment import attachments
from runner.draft import Kind
from runner.errors import NotDelivered
from runner.fit import check_fields
from runner.worker import rehearsing
from runner.worker.channel import Channel, no_tools
from runner.worker.child import complaint
from runner.worker.code import Only, digest_of, files_of
from runner.worker.load import kinds_of, module_at

if TYPE_CHECKING:
    import socket

    import httpx

    from runner.attachment import Attachment
    from runner.draft import Draft

TIMEOUT_S = 30.0  #: of each request a delivery makes


class Receipt(BaseModel):
    """What the destination answered."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = ""  #: the destination's own name for it
    url: str = ""  #: where it can be seen
    detail: str = ""


@dataclass(slots=True)
class Delivery:
    """What a kind's `deliver` is given."""

    key: str  #: the same for the same content; a destination that dedupes takes it once
    home: Path  #: the project folder, whose sub-folders named in `writes` may be written
    rehearsal: str = ""  #: address of the stand-in that takes every request; empty: the real world
    mail: str = ""  #: in a rehearsal, the address of the stand-in that takes mail
    settings: Any = None  #: what the owner set for the kind, as an instance of its `settings`
    _secrets: dict[str, str] = field(default_factory=dict, repr=False)
    _files: dict[str, bytes] = field(default_factory=dict, repr=False)
    _http: Any = field(default=None, repr=False)

    def secret(self, name: str) -> str:
        """A secret the kind names in `secrets`; raises `NotDelivered` when it is not set or not named."""
        if name not in self._secrets:
            raise NotDelivered(f"{name} is not to be had: name it in the kind's secrets, and set it in .env")
        return self._secrets[name]

    def content(self, attachment: Attachment) -> bytes:
        """The bytes of an attachment of this draft, as they were approved; raises `NotDelivered` for any other."""
        if attachment.sha256 not in self._files:
            raise NotDelivered(f"{attachment.name} is no attachment of what was approved")
        return self._files[attachment.sha256]

    @property
    def http(self) -> httpx.AsyncClient:
        """An HTTP client: certificates checked, no redirects, 30 seconds a request."""
        if self._http is None:
            import httpx

            transport = rehearsing.detour(self.rehearsal) if self.rehearsal else None
            self._http = httpx.AsyncClient(
                timeout=TIMEOUT_S, follow_redirects=False, transport=transport, trust_env=False
            )
        client: httpx.AsyncClient = self._http
        return client

    async def aclose(self) -> None:
        """Close the HTTP client, where one was asked for."""
        if self._http is not None:
            await self._http.aclose()


async def work(order: dict[str, Any], end: socket.socket) -> None:
    """Make the one attempt, once the supervisor has said go; or look whether an earlier one arrived."""
    channel = Channel(no_tools)
    await channel.open(end)
    below = str(Path(order["tasks"]))
    if order["rehearsal"]:
        rehearsing.keep_in((order["rehearsal"], order["mail"]))  # before any line of the kind's module
    try:
        draft = _draft(order)
        delivery = _delivery(order, type(draft))
        await channel.ask("ready")  # answered only while STOP is not engaged; before that nothing has begun
    except BaseException as error:  # noqa: BLE001 - nothing has begun: this is certain
        await channel.say("not_delivered", **complaint(error, below, is_open=True))
        return
    await _attempt(draft, delivery, order["look_up"], channel, below)


async def _attempt(draft: Draft, delivery: Delivery, look_up: bool, channel: Channel, below: str) -> None:  # noqa: FBT001
    try:
        receipt = await (draft.find(delivery) if look_up else draft.deliver(delivery))  # type: ignore[attr-defined]
        if receipt is None and look_up:
            await channel.say("not_found")
        else:
            await channel.say("delivered", receipt=_receipt(receipt))
    except NotDelivered as error:
        await channel.say("not_delivered", **complaint(error, below, is_open=True))
    except BaseException as error:  # noqa: BLE001 - it may have arrived all the same
        await channel.say("uncertain", **complaint(error, below, is_open=True))


def _delivery(order: dict[str, Any], kind: type[Draft]) -> Delivery:
    """What the draft is given; raises `DraftError` when it no longer fits what the owner allows."""
    told = Kind.model_validate(order["kind"])
    check_fields(told, order["fields"])
    return Delivery(
        key=order["key"],
        home=Path(order["home"]),
        rehearsal=order["rehearsal"],
        mail=order["mail"],
        settings=kind.settings.model_validate_json(json.dumps(told.given)) if kind.settings else None,
        _secrets=order["secrets"],
        _files=_files(order),
    )


def _receipt(receipt: Any) -> dict[str, Any]:
    if isinstance(receipt, Receipt):
        return receipt.model_dump()
    # what it is may hold a secret, and cut off in the middle could no longer be seen to
    return Receipt(detail=f"deliver() returned a {type(receipt).__name__}, no Receipt").model_dump()


def _files(order: dict[str, Any]) -> dict[str, bytes]:
    """The attachments, by SHA-256; raises `NotDelivered` when any is not what was approved."""
    files = {sha256: base64.b64decode(text) for sha256, text in order["files"].items()}
    for each in attachments(order["fields"]):
        if hashlib.sha256(files.get(each["sha256"], b"")).hexdigest() != each["sha256"]:
            raise NotDelivered(f"the bytes of {each['name']} are not those that were approved")
    return files


def _draft(order: dict[str, Any]) -> Draft:
    """The draft, from the bytes that were approved; raises `NotDelivered` when its class is not what was shown."""
    if hashlib.sha256(order["content"].encode()).hexdigest() != order["digest"]:
        raise NotDelivered("the bytes are not those that were approved")
    tasks = Path(order["tasks"])
    if order["file"]:
        files = files_of(tasks, order["file"])
        if digest_of(files) != order["source"]:
            raise NotDelivered("the kind's code changed after the approval")
        Only(tasks, files).watch()
        module = module_at(tasks, order["file"])
    else:
        module = importlib.import_module(order["module"])
    kind = next((kind for kind in kinds_of(module) if kind.__name__ == order["title"]), None)
    if kind is None:
        raise NotDelivered(f"{order['file'] or order['module']} no longer has a kind {order['title']}")
    draft = kind.model_validate_json(json.dumps(order["fields"]))
    if draft.model_dump(mode="json") != order["fields"]:
        raise NotDelivered(
            f"{order['title']} makes something else of what was approved: its validators change it"
        )
    return draft
