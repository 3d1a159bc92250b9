"""Rules of fields that JSON schema has no word for; written beside a field's type, checked when a draft is made.

``text: Annotated[str, Utf16(4096)]``, ``to: list[Annotated[str, AllowedBy("recipients")]]``,
``picture: Annotated[Attachment, OfType("image/png")]``
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic_core import core_schema

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler

UTF16_MAX = "maxUtf16"  #: how a schema says the first rule
ALLOWED_BY = "allowedBy"  #: and the second


@dataclass(frozen=True, slots=True)
class Utf16:
    """At most so many UTF-16 code units, as many services count: an emoji is two."""

    most: int

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        """Check it where the model is made."""
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Say it where the supervisor checks."""
        return {**handler(schema), UTF16_MAX: self.most}

    def _checked(self, text: str) -> str:
        if (size := utf16(text)) > self.most:
            raise ValueError(too_long(size, self.most))
        return text


@dataclass(frozen=True, slots=True)
class AllowedBy:
    """Only what the owner lists in that setting of the kind: what no list names is refused, and so is all without one."""

    setting: str

    def __get_pydantic_json_schema__(self, schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Say it where the supervisor checks, which alone knows the settings."""
        return {**handler(schema), ALLOWED_BY: self.setting}


class OfType:
    """An attachment of one of those media types."""

    def __init__(self, *types: str) -> None:
        self._types = types

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        """Check it where the model is made."""
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Say it where the supervisor checks."""
        return {**handler(schema), "properties": {"media_type": {"enum": list(self._types)}}}

    def _checked(self, attachment: Any) -> Any:
        if attachment.media_type not in self._types:
            raise ValueError(
                f"{attachment.name} is {attachment.media_type}; it may be {', '.join(self._types)}"
            )
        return attachment


def utf16(text: str) -> int:
    """How many UTF-16 code units the text takes."""
    return len(text.encode("utf-16-le", errors="surrogatepass")) // 2


def too_long(size: int, most: int) -> str:
    """What is wrong with a text of that size."""
    return (
        f"it has {size:,} characters as the destination counts them (an emoji is two), and may have {most:,}"
    )
