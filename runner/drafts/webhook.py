"""A webhook: one HTTP POST of a JSON object."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator

from runner.draft import Draft
from runner.errors import NotDelivered

if TYPE_CHECKING:
    from runner.worker.deliver import Delivery, Receipt

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


class Webhook(Draft):
    """A JSON object, posted once to a URL with an ``Idempotency-Key``; certificates are checked."""

    url: Annotated[str, AfterValidator(_address)]
    body: dict[str, Any]

    async def deliver(self, delivery: Delivery) -> Receipt:
        """Post it. A refusal (4xx) is certainly not delivered; anything else but a 2xx leaves it uncertain."""
        import httpx  # noqa: PLC0415 - only in the child that delivers

        from runner.worker.deliver import Receipt  # noqa: PLC0415

        try:
            answer = await delivery.http.post(
                self.url, json=self.body, headers={"Idempotency-Key": delivery.key}
            )
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol) as error:
            raise NotDelivered(f"{urlsplit(self.url).hostname} could not be reached: {error}") from error
        if answer.status_code in REFUSED and answer.status_code not in AMBIGUOUS:
            raise NotDelivered(f"it was refused with {answer.status_code}: {answer.text[:ANSWER_MAX]}")
        if not answer.is_success:
            raise RuntimeError(f"the answer was {answer.status_code}: {answer.text[:ANSWER_MAX]}")
        return Receipt(
            id=delivery.key, url=answer.headers.get("location", ""), detail=answer.text[:ANSWER_MAX]
        )
