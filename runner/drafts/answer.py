"""Asking a service over HTTPS, and telling from its answer whether it certainly took nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from runner.errors import NotDelivered

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx

    from runner.worker.deliver import Delivery

SHOWN = 500  #: characters of an answer that a complaint or a receipt keeps
REFUSED = range(300, 500)
AMBIGUOUS = (408, 425)  #: after which the request may have been taken all the same
TOO_MANY = 429
NO_ADVICE: Mapping[int, str] = {}


async def ask(
    delivery: Delivery, method: str, url: str, *, advice: Mapping[int, str] = NO_ADVICE, **request: Any
) -> httpx.Response:
    """Its answer, if that is a yes. `advice` says, by the status of a refusal, what the owner can do.

    Raises `NotDelivered` for a refusal and where nobody was reached; any other error leaves it uncertain.
    """
    import httpx  # noqa: PLC0415 - only in the child that delivers

    host = urlsplit(url).hostname
    try:
        answer = await delivery.http.request(method, url, **request)
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol) as error:
        raise NotDelivered(f"{host} could not be reached: {error}") from error
    said = f"{answer.status_code}: {answer.text[:SHOWN]}"
    if answer.status_code in REFUSED and answer.status_code not in AMBIGUOUS:
        raise NotDelivered(f"{host} refused it with {said}{_advice(answer, advice)}")
    if not answer.is_success:
        raise RuntimeError(f"{host} answered {said}")
    return answer


async def look(
    delivery: Delivery, method: str, url: str, *, advice: Mapping[int, str] = NO_ADVICE, **request: Any
) -> httpx.Response:
    """As `ask`, for a request that changes nothing there: whatever goes wrong with it, nothing was delivered."""
    try:
        return await ask(delivery, method, url, advice=advice, **request)
    except NotDelivered:
        raise
    except Exception as error:
        words = str(error) or type(error).__name__
        raise NotDelivered(f"nothing was sent: {urlsplit(url).hostname}: {words}") from error


def _advice(answer: httpx.Response, advice: Mapping[int, str]) -> str:
    if answer.status_code == TOO_MANY:
        wait = answer.headers.get("retry-after", "")
        return f"; approve it again {f'in {wait} seconds' if wait.isdecimal() else 'later'}"
    words = advice.get(answer.status_code)
    return f"; {words}" if words else ""
