"""Delivering a draft of a built-in kind as the child does, to a stand-in of its service."""

from __future__ import annotations

import hashlib
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner import Delivery, Receipt
from runner.account import settled
from runner.catalog import built_ins
from runner.fit import check_fields
from runner.worker.deliver import Receipt as _Receipt

if TYPE_CHECKING:
    from runner.draft import Draft, Kind

KEY = "0123456789abcdef0123456789abcdef01234567"


def given(draft: type[Draft], settings: dict[str, Any]) -> Kind:
    """The kind under those settings."""
    return settled(built_ins()[draft.__name__], settings)


def check(draft: Draft, settings: dict[str, Any]) -> None:
    """Judge the draft as the supervisor does when it is made."""
    check_fields(given(type(draft), settings), draft.model_dump(mode="json"))


async def deliver(  # noqa: PLR0913 - each is a thing that an order may say
    draft: Draft,
    there: str,
    settings: dict[str, Any],
    *,
    key: str = KEY,
    home: Path = Path(),
    find: bool = False,
    mail: str = "",
    files: tuple[bytes, ...] = (),
    **secrets: str,
) -> Receipt | None:
    """One attempt, or one look-up, with every request going `there`."""
    check(draft, settings)
    kind = type(draft)
    told = kind.settings.model_validate(settings) if kind.settings else None
    kept = {hashlib.sha256(each).hexdigest(): each for each in files}
    delivery = Delivery(key, home, rehearsal=there, mail=mail, settings=told, _secrets=secrets, _files=kept)
    async with aclosing(delivery):
        made = await (draft.find(delivery) if find else draft.deliver(delivery))  # type: ignore[attr-defined]
    assert made is None or isinstance(made, _Receipt)
    return made
