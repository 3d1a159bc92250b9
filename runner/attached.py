"""The files that a run hands over for its drafts: kept as they were sent, so that a folder that changes changes nothing."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runner.attachment import TOGETHER_MAX, attachments, described
from runner.errors import DraftError

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(slots=True)
class Attached:
    """What one attempt handed over. Only bytes that came over its own line count, never a path, a size or a digest."""

    _known: list[dict[str, Any]] = field(default_factory=list)
    _contents: dict[str, bytes] = field(default_factory=dict)  #: by SHA-256

    def take(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Keep a file; what it is, as a draft may name it. Raises `DraftError` for one that can't go out."""
        name, content = str(message.get("name")), _bytes(message.get("content"))
        found = described(name, content)
        if found.sha256 not in self._contents:
            together = len(content) + sum(len(each) for each in self._contents.values())
            if together > TOGETHER_MAX:
                raise DraftError(f"the attachments of one run may have {TOGETHER_MAX:,} bytes together")
            self._contents[found.sha256] = content
        self._known.append(found.model_dump())
        return self._known[-1]

    def files(self, fields: Mapping[str, Any]) -> dict[str, bytes]:
        """The content of each attachment in these fields, by SHA-256; raises `DraftError` for one that is made up."""
        named = list(attachments(dict(fields)))
        for each in named:
            if each not in self._known:
                raise DraftError(
                    f"{str(each['name'])[:100]!r} was not attached by this run; only `await run.attach(path)` makes "
                    "an attachment"
                )
        return {each["sha256"]: self._contents[each["sha256"]] for each in named}


def _bytes(text: Any) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise DraftError("an attachment's bytes came as no base64") from None
