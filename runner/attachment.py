"""A file that goes out with a draft: what is said of it, which its bytes must bear out. Pure."""

from __future__ import annotations

import hashlib
import mimetypes
import re
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from runner.errors import DraftError

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE_MAX = 5 << 20  #: bytes of one file; as base64 it fits in one message of a child
TOGETHER_MAX = 15 << 20  #: bytes of all files of one run
NAME_MAX = 100  #: characters
NAME = r"^\w[\w .()+-]*$"  #: letters, digits, blanks and a few marks: no path, and nothing that hides
UNKNOWN = "application/octet-stream"
#: how a file of a type begins; a name that says otherwise is refused, since a person goes by the name
SIGNATURES = {
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/gif": (b"GIF87a", b"GIF89a"),
    "image/webp": (b"RIFF",),
    "application/pdf": (b"%PDF-",),
}
_TYPES = mimetypes.MimeTypes()  # the library's own table, whatever this machine's says


class Attachment(BaseModel):
    """A file as a draft names it; `run.attach` makes one, and nothing else can."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: Annotated[str, Field(pattern=NAME, max_length=NAME_MAX)]
    media_type: Annotated[str, Field(pattern=r"^[a-z]+/[a-z0-9.+-]+$", max_length=100)]
    size: Annotated[int, Field(gt=0, le=FILE_MAX)]  #: in bytes
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]  #: of its bytes, in hex


def described(name: str, content: bytes) -> Attachment:
    """The file of that name with these bytes; raises `DraftError` for one that can't go out."""
    if not re.fullmatch(NAME[1:-1], name) or len(name) > NAME_MAX:
        raise DraftError(
            f"{name[:NAME_MAX]!r} is no name for an attachment: at most {NAME_MAX} letters, digits, blanks and . ( ) + - _; "
            "give it another: run.attach(path, name=…)"
        )
    if not 0 < len(content) <= FILE_MAX:
        raise DraftError(f"{name} has {len(content):,} bytes; an attachment has 1 to {FILE_MAX:,}")
    known, encoding = _TYPES.guess_type(name, strict=False)
    media_type = known.lower() if known and not encoding else UNKNOWN
    if not content.startswith(SIGNATURES.get(media_type, (b"",))):
        raise DraftError(f"{name} is called {media_type}, and its bytes are none; name it as what it is")
    return Attachment(
        name=name, media_type=media_type, size=len(content), sha256=hashlib.sha256(content).hexdigest()
    )


def attachments(value: Any) -> Iterator[dict[str, Any]]:
    """Each attachment that stands in fields, in their order: whatever has exactly the parts of one."""
    if isinstance(value, dict):
        if value.keys() == Attachment.model_fields.keys():
            yield value
        else:
            for part in value.values():
                yield from attachments(part)
    elif isinstance(value, list):
        for part in value:
            yield from attachments(part)
