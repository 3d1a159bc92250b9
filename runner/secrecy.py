"""Secrets, taken out of whatever is said: as they are, and in the forms in which errors like to quote them."""

from __future__ import annotations

import base64
import html
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

HIDDEN = "[secret]"
SHORTEST = 8  #: characters of a secret whose Base64 is looked for; what is shorter would be found anywhere


class Veil:
    """What is not to be said, and the hiding of it."""

    def __init__(self, *secrets: str | None) -> None:
        self._secrets: set[str] = set()
        self._forms: tuple[str, ...] = ()
        self.learn(*secrets)

    def learn(self, *secrets: str | None) -> None:
        """Hide these too from now on; None and the empty text are no secrets."""
        known = self._secrets | {secret for secret in secrets if secret}
        if known != self._secrets:
            self._secrets = known
            every = {form for secret in known for form in _forms(secret)}
            self._forms = tuple(sorted(every, key=len, reverse=True))  # a whole before its parts

    def over(self, text: str) -> str:
        """The text without them."""
        for form in self._forms:
            if form in text:
                text = text.replace(form, HIDDEN)
        return text

    def over_all(self, value: Any) -> Any:
        """A value of JSON, each text in it without them."""
        match value:
            case str():
                return self.over(value)
            case list():
                return [self.over_all(each) for each in value]
            case dict():
                return {self.over(name): self.over_all(each) for name, each in value.items()}
        return value


def in_address(url: str | None) -> Iterator[str]:
    """What is secret in an address: its password, its user where that stands alone, and what its query says."""
    try:
        parts = urlsplit(url or "")
        found = [parts.password or parts.username or "", *(value for _, value in parse_qsl(parts.query))]
    except ValueError:
        return
    yield from filter(None, found)
    yield from (unquote(each) for each in found if each)


def _forms(secret: str) -> Iterator[str]:
    data = secret.encode(errors="surrogatepass")
    yield secret
    for quoted in (
        quote(secret, safe="", errors="replace"),
        quote(secret, errors="replace"),
        quote_plus(secret, errors="replace"),
    ):
        yield quoted
        yield _lower(quoted)
    for is_ascii in (True, False):
        escaped = json.dumps(secret, ensure_ascii=is_ascii)[1:-1]
        yield escaped
        yield escaped.replace("/", "\\/")
    yield repr(secret)[1:-1]
    yield repr(data)[2:-1]
    yield html.escape(secret)
    if len(data) >= SHORTEST:
        yield data.hex()
        yield data.hex().upper()
        for alphabet in (base64.b64encode, base64.urlsafe_b64encode):
            for before in range(3):
                yield _within(alphabet(bytes(before) + data).decode(), before, len(data))


def _lower(quoted: str) -> str:
    """The same with its escapes in small letters."""
    first, *rest = quoted.split("%")
    return "%".join([first, *(part[:2].lower() + part[2:] for part in rest)])


def _within(encoded: str, before: int, length: int) -> str:
    """The characters of Base64 that no neighbour of the secret changes."""
    return encoded[-(-before * 8 // 6) : (before + length) * 8 // 6]
