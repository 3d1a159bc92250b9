"""What a task wants in the world: a typed, frozen draft, its canonical bytes, its digest, its exact rendering.

Nothing here does I/O. A digest covers the content's canonical bytes; a rendering shows every one of them.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import rfc8785
from pydantic import BaseModel, ConfigDict, PrivateAttr, field_validator

from runner import __version__
from runner.attachment import attachments
from runner.declare import Name
from runner.errors import DeclarationError, DraftError
from runner.wordless import holds_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

BUILT_IN = f"runner {__version__}"  #: the source of the kinds that come with the runner
SETTLED = " · settings "  #: in a source, before the digest of what the owner set for the kind
Markdown = Annotated[str, "Markdown"]


class Alert(BaseModel):
    """Said to the owner only; needs no gate: ``Alert("The shop answers again.")``.

    The owner's answer to its `question`, if it carries one, is in `run.recent` of the task's next runs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    question: str = ""

    def __init__(self, text: str, question: str = "") -> None:
        super().__init__(text=text, question=question)


class Draft(BaseModel):
    """What a task wants in the world. A subclass is a kind: its fields, and how it is delivered."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    secrets: ClassVar[tuple[str, ...]] = ()  #: names of the settings its delivery may read, and no others
    settings: ClassVar[type[BaseModel] | None] = None  #: what of [kinds.NAME] its delivery is given
    writes: ClassVar[tuple[str, ...]] = ()  #: folders of the project its delivery may write
    account: ClassVar[str] = ""  #: where it goes, when neither the fields nor the settings say
    once: ClassVar[Literal["", "key"]] = (
        ""  #: "key": the destination drops a second arrival of `delivery.key`
    )
    once_for: ClassVar[timedelta | None] = None  #: how long it remembers a key; None: for ever
    auto: ClassVar[bool] = False  #: delivered without a human; only for kinds that hold no free text at all

    _call: int | None = PrivateAttr(default=None)  #: position of the Claude call that wrote it; None: by hand

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse a kind that would let free text flow without a human."""
        super().__pydantic_init_subclass__(**kwargs)
        schema = cls.model_json_schema() if cls.auto else {}
        for name, rule in schema.get("properties", {}).items():
            if holds_text(rule, schema):
                raise DeclarationError(
                    f"{cls.__name__}.{name} may hold free text, so {cls.__name__} can't be auto: "
                    "use numbers, booleans, enums, dates or a pattern, or let a person decide"
                )

    @classmethod
    def kind(cls) -> str:
        """The kind's name: ``LinkedInPost`` is ``linkedin_post``, ``ShopNote`` is ``shop_note``."""
        name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", cls.__name__).lower()
        return name.replace("linked_in", "linkedin").replace("word_press", "wordpress")

    async def deliver(self, delivery: Any) -> Any:
        """Carry it out, once; return a `Receipt` or raise `NotDelivered`."""
        raise NotImplementedError


class Kind(BaseModel):
    """A kind of draft as the supervisor knows it, which never imports the class."""

    model_config = ConfigDict(frozen=True)

    name: Name
    title: Name  #: the class's name
    module: str  #: where a child finds the class
    file: str | None  #: the module's path below the project; None for a built-in kind
    schema_: dict[str, Any]  #: JSON schema of its fields
    source: str  #: digest of the code that will deliver it, and of the settings it is given
    settings: dict[str, Any] = {}  #: JSON schema of what the owner may set for it; empty: nothing
    given: dict[str, Any] = {}  #: what the owner set
    secrets: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    account: str = ""
    once: Literal["", "key"] = ""
    once_for: timedelta | None = None
    finds: bool = False  #: whether the destination can be asked if a key has arrived
    auto: bool = False

    @field_validator("schema_")
    @classmethod
    def _names(cls, schema: dict[str, Any]) -> dict[str, Any]:
        for name in schema.get("properties", {}):
            if not name.isidentifier():
                raise ValueError(f"a field is called {name!r}, which no Python name is")
        return schema

    @property
    def code(self) -> str:
        """Digest of the code alone."""
        return self.source.partition(SETTLED)[0]

    @classmethod
    def of(cls, kind: type[Draft], file: str | None, source: str) -> Kind:
        """The kind as its class says it is."""
        return cls(
            name=kind.kind(),
            title=kind.__name__,
            module=kind.__module__,
            file=file,
            schema_=kind.model_json_schema(by_alias=False),
            source=source,
            settings=kind.settings.model_json_schema() if kind.settings else {},
            secrets=kind.secrets,
            writes=kind.writes,
            account=kind.account,
            once=kind.once,
            once_for=kind.once_for,
            finds=hasattr(kind, "find"),
            auto=kind.auto,
        )


def canonical(*, draft: str, revision: int, kind: Kind, fields: Mapping[str, Any]) -> bytes:
    """The bytes that a digest covers, by RFC 8785: equal content gives equal bytes.

    The attachments that stand in the fields are covered by their bytes' SHA-256. Raises `DraftError` when a field can't be written exactly.
    """
    content: dict[str, Any] = {
        "draft": draft,
        "revision": revision,
        "kind": kind.name,
        "source": kind.source,
        "account": kind.account,
        "attachments": [each["sha256"] for each in attachments(dict(fields))],
        "fields": dict(fields),
    }
    try:
        return rfc8785.dumps(content)
    except (rfc8785.CanonicalizationError, UnicodeError) as error:
        raise DraftError(f"the {kind.name} can't be written exactly: {error}") from error


def digest(content: bytes) -> str:
    """SHA-256 of the content's canonical bytes, in hex: what an approval names."""
    return hashlib.sha256(content).hexdigest()


BAR = "▌"  #: begins a heading of ours; escaped wherever it stands in a draft
OPEN, CLOSE = "⟦", "⟧"  #: enclose an escape of ours; the first is escaped wherever it stands in a draft

# Characters that show as nothing though their category says letter, mark or symbol (Unicode: default ignorable)
_BLANK = frozenset(
    "\U00016fe4\U0001d159\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"
)
_TRAILING = re.compile(r"[ \t]+(?=\n|\Z)")  # nobody sees it, and messengers drop it
_UNBROKEN = re.compile(r"[^\s<>()\[\]\"'`]+")  # an address is one of these, with a joint inside
_JOINT = re.compile("[.@\uff0e\u3002\uff61\u2024\u2044\u2215\uff0f]|://")  # or what poses as a dot or a slash


def render(content: bytes) -> str:
    """A draft's content as every surface shows it: each byte the digest covers, nothing cut, nothing hidden.

    Headings begin with ``▌``. A character that can't be seen, that turns the line around, or that only looks
    like a letter of an address is shown as ``⟦U+202E⟧``. No two contents have the same rendering.
    """
    head = json.loads(content)
    fields = head.pop("fields")
    lines = [f"{BAR}{visible(head['kind'])} · draft {head['draft']} · revision {head['revision']}"]
    lines += [f"{BAR}{name}: {_json(head[name])}" for name in ("account", "attachments", "source")]
    for name, value in fields.items():
        if isinstance(value, str):
            lines += [f"{BAR}{visible(name)}", visible(value)]
        else:
            lines += [f"{BAR}{visible(name)} ({type(value).__name__})", _json(value)]
    return "\n".join(lines)


def _json(value: Any) -> str:
    return visible(json.dumps(value, ensure_ascii=False, indent=2))


def visible(text: str) -> str:
    """The text with whatever hides in it shown as escapes; different texts stay different."""
    marked = {index for span in _mixed(text) for index in range(*span) if not text[index].isascii()}
    marked |= {index for match in _TRAILING.finditer(text) for index in range(*match.span())}
    return "".join(
        _escape(char) if index in marked or _hides(char) else char for index, char in enumerate(text)
    )


def _escape(char: str) -> str:
    return f"{OPEN}U+{ord(char):04X}{CLOSE}"


def _hides(char: str) -> bool:
    if char in "\n\t ":
        return False
    category = unicodedata.category(char)
    return (
        category in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"}
        or char in _BLANK
        or char in (BAR, OPEN)
        or "\ufe00" <= char <= "\ufe0f"
        or "\U000e0100" <= char <= "\U000e01ef"
    )


def _mixed(text: str) -> Iterator[tuple[int, int]]:
    """Where an address holds letters beside those of ASCII, or mixes scripts, so that one may pose as another."""
    for match in _UNBROKEN.finditer(text):
        begin, end = match.span()
        is_address = text[begin] == "@" or _JOINT.search(text, begin + 1, end - 1) is not None
        letters = {char for char in match[0] if char.isalpha()} if is_address else set()
        has_ascii = any(char.isascii() for char in letters)
        if len({_script(char) for char in letters}) > 1 or (has_ascii and not match[0].isascii()):
            yield begin, end


def _script(char: str) -> str:
    return unicodedata.name(char, "?").split()[0]
