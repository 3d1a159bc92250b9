"""A webhook: one HTTP POST of a JSON object."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
import json
import time
from typing import TYPE_CHECKING, Annotated, Any, ClassVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from runner.draft import Draft
from runner.errors import NotDelivered

if TYPE_CHECKING:
    from runner.worker.deliver import Delivery, Receipt

SECRET = "WEBHOOK_SECRET"  # noqa: S105 - the name of a secret
WRITTEN = "whsec_"  #: before a secret that is written in base64
ANSWER_MAX = 500  #: characters of the answer that the receipt keeps
REFUSED = range(400, 500)
AMBIGUOUS = (408, 409, 425, 429)  #: refusals after which the request may have been taken all the same


def _address(url: str) -> str:
    parts = urlsplit(url)
    if parts.username or parts.password:
        raise ValueError("it carries a password; name a secret in a kind of your own instead")
    if parts.scheme == "https" and parts.hostname:
        return url
    if parts.scheme == "http" and _is_loopback(parts.hostname):
        return url
    raise ValueError("it must begin with https://; plain http:// is for this machine alone")


def _is_loopback(host: str | None) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


class Signing(BaseModel):
    """Whether a webhook's receiver can tell who sent it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    signed: bool = Field(default=False, description="with WEBHOOK_SECRET, which the receiver knows too")


class Webhook(Draft):
    """A JSON object, posted once to a URL with an ``Idempotency-Key``; certificates are checked."""

    url: Annotated[str, AfterValidator(_address)]
    body: dict[str, Any]

    settings: ClassVar = Signing
    secrets: ClassVar[tuple[str, ...]] = (SECRET,)

    async def deliver(self, delivery: Delivery) -> Receipt:
        """Post it. A refusal (4xx) is certainly not delivered; anything else but a 2xx leaves it uncertain."""
        import httpx  # noqa: PLC0415 - only in the child that delivers

        from runner.worker.deliver import Receipt  # noqa: PLC0415

        body = json.dumps(self.body, ensure_ascii=False, separators=(",", ":")).encode()
        headers = {"Content-Type": "application/json", "Idempotency-Key": delivery.key}
        if delivery.settings is not None and delivery.settings.signed:
            headers |= signature(delivery.secret(SECRET), delivery.key, int(time.time()), body)
        try:
            answer = await delivery.http.post(self.url, content=body, headers=headers)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol) as error:
            raise NotDelivered(f"{urlsplit(self.url).hostname} could not be reached: {error}") from error
        if answer.status_code in REFUSED and answer.status_code not in AMBIGUOUS:
            raise NotDelivered(f"it was refused with {answer.status_code}: {answer.text[:ANSWER_MAX]}")
        if not answer.is_success:
            raise RuntimeError(f"the answer was {answer.status_code}: {answer.text[:ANSWER_MAX]}")
        return Receipt(
            id=delivery.key, url=answer.headers.get("location", ""), detail=answer.text[:ANSWER_MAX]
        )


def signature(secret: str, key: str, at: int, body: bytes) -> dict[str, str]:
    """The headers that sign a body sent `at` a second of Unix time, as Standard Webhooks 1.0 writes them.

    Raises `NotDelivered` for a secret that begins with ``whsec_`` and is no base64.
    """
    try:
        plain = secret.removeprefix(WRITTEN)
        known = secret.encode() if plain == secret else base64.b64decode(plain, validate=True)
    except binascii.Error as error:
        raise NotDelivered(f"{SECRET} begins with {WRITTEN}, and the rest is no base64") from error
    mac = hmac.digest(known, f"{key}.{at}.".encode() + body, hashlib.sha256)
    return {
        "webhook-id": key,
        "webhook-timestamp": str(at),
        "webhook-signature": f"v1,{base64.b64encode(mac).decode()}",
    }
