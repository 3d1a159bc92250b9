"""What the stand-in Claude fills in is valid, whatever model a task declares."""

import enum
import ipaddress
import json
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Union
from uuid import UUID
from zoneinfo import ZoneInfo

import jsonschema
import pytest
from anthropic import transform_schema
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import (
    AnyUrl,
    AwareDatetime,
    Base64Bytes,
    BaseModel,
    ByteSize,
    ConfigDict,
    Field,
    IPvAnyAddress,
    Json,
    SecretStr,
    create_model,
)
from typing_extensions import TypedDict

from runner.drafts.article import Article
from runner.drafts.webhook import Webhook
from runner.rehearsal.fill import fill
from runner.rehearsal.spell import fits, spell
from runner.rehearsal.words import Brief

BRIEF = Brief(topic="rain", seed="s", feedback="be kinder to the reader please")


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Place(NamedTuple):
    name: str
    at: float


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = Field(gt=0, le=9)


class Dog(BaseModel):
    kind: Literal["dog"]
    friends: "list[Cat | Dog]" = Field(min_length=1)


class Sum(BaseModel):
    """Its first branch holds itself: only the second ends."""

    left: "Sum | Leaf"
    right: "Sum | Leaf"
    notes: "dict[str, Sum]" = Field(min_length=0)


class Leaf(BaseModel):
    value: Decimal
    twin: "Leaf | None"


class Options(TypedDict, total=False):
    volume: float
    names: list[str]


PATTERNS = [
    r"^[a-z0-9]+(-[a-z0-9]+)*$",
    r"^(foo|bar)-\d{4}$",
    r"^(?:EUR|USD)$",
    r"^\+?[1-9]\d{6,14}$",
    r"^https://[\w.]+/\S*$",
    r"^[β-ω]{2,} é[^a-z]?\s.*?$",
    r"^#(?:[0-9a-fA-F]{3}){1,2}$",
    r"\bclosed\b",
    r"^[\D]\W[\d][\S][\s]$",
]
#: what pydantic's own engine doesn't know, and Python's does
ELABORATE = [
    r"^([A-Z])\1-[^\W\d]{2,}$",
    r"^(?=.*\d)(?=.*[A-Z])[A-Za-z\d]{8,16}$",
    r"^(?!-)[a-z-]{3,}(?<!-)$",
    r"^v?(?>0|[1-9]\d*)(?:\.(0|[1-9]\d*)){2}(?:-[\w.]+)?$",
]

numbers = st.integers(-1000, 1000)
strings = st.builds(
    lambda least, room: Annotated[str, Field(min_length=least, max_length=least + room)],
    st.integers(0, 700),
    st.integers(1, 40),
)
patterned = st.sampled_from(PATTERNS).map(lambda pattern: Annotated[str, Field(pattern=pattern)])
integers = st.builds(
    lambda low, room, step: Annotated[int, Field(ge=low, lt=low + step + room, multiple_of=step)],
    numbers,
    st.integers(0, 9),
    st.integers(1, 7),
)
floats = st.builds(
    lambda low, room: Annotated[float, Field(gt=low / 100, le=(low + room) / 100)],
    numbers,
    st.integers(1, 300),
)
scalars: list[Any] = [
    str,
    int,
    float,
    bool,
    None,
    Any,
    bytes,
    date,
    datetime,
    time,
    timedelta,
    UUID,
    Decimal,
    Path,
]
special: list[Any] = [ZoneInfo, AnyUrl, AwareDatetime, Base64Bytes, ByteSize, IPvAnyAddress, SecretStr]
special += [ipaddress.IPv4Network, ipaddress.IPv6Address, Literal["a", 2], Json[list[int]], tuple[()]]
composed: list[Any] = [Colour, Place, Options, Cat, Dog, Sum, set[Colour], set[bool], tuple[int, str]]
composed += [dict[str, Any], dict[Colour, int], dict[UUID, date]]
tight: list[Any] = [
    Annotated[float, Field(multiple_of=0.1, ge=0.15)],
    Annotated[set[str], Field(min_length=15)],
    Annotated[set[Annotated[str, Field(pattern="^[ab]{3}$")]], Field(min_length=8)],
    Annotated[set[Annotated[str, Field(max_length=2)]], Field(min_length=12)],
    Annotated[set[int], Field(min_length=30)],
    Annotated[dict[Annotated[str, Field(pattern=r"^k\d$")], int], Field(min_length=4, max_length=4)],
    Annotated[Cat | Dog, Field(discriminator="kind")],
]
plain = st.sampled_from(scalars + special + composed + tight)
types = st.recursive(
    plain | strings | patterned | integers | floats,
    lambda inner: (
        inner.map(lambda kind: list[kind])  # type: ignore[valid-type]
        | inner.map(lambda kind: dict[str, kind])  # type: ignore[valid-type]
        | inner.map(lambda kind: tuple[kind, ...])  # type: ignore[valid-type]
        | st.tuples(inner, inner).map(lambda kinds: tuple[kinds[0], kinds[1]])  # type: ignore[valid-type]
        | st.tuples(inner, inner).map(lambda kinds: Union[kinds])  # noqa: UP007
        | inner.map(lambda kind: kind | None if isinstance(kind, type) else Union[kind, None])  # noqa: UP007
    ),
    max_leaves=4,
)


@st.composite
def models(draw: st.DrawFn) -> type[BaseModel]:
    names = draw(st.lists(st.sampled_from(["title", "tags", "email", "n", "url", "body"]), unique=True))
    fields: dict[str, Any] = {
        name: (draw(types), Field(description=draw(st.sampled_from([None, "Some {braces} here."]))))
        for name in names
    }
    return create_model("Made", __config__=ConfigDict(extra="forbid"), **fields)


def check(value: Any, schema: dict[str, Any]) -> None:
    jsonschema.validate(
        json.loads(json.dumps(value)), schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )


@pytest.mark.no_cover
@settings(deadline=None)
@given(model=models())
def test_any_model_is_filled_validly(model: type[BaseModel]) -> None:
    schema = model.model_json_schema()
    value = fill(schema, BRIEF)
    check(value, schema)
    assert set(value) == set(schema["properties"])
    model.model_validate_json(json.dumps(value))


@settings(deadline=None)
@given(kind=strings | patterned | integers | floats | plain.filter(lambda kind: kind is not Any))
def test_limits_that_moved_into_the_description_are_kept(kind: Any) -> None:
    model = create_model("Made", many=(list[kind], Field(description="Some {braces} here.")))
    asked = transform_schema(model)
    value = fill(asked, BRIEF)
    check(value, asked)
    if "dict[" not in str(kind):  # the SDK forbids a mapping every key
        model.model_validate_json(json.dumps(value))


class Kept(BaseModel):
    folder: str = "published"
    number: str = "5"
    slug: Annotated[str, Field(pattern=PATTERNS[0])] | None = None
    colour: Colour = Colour.BLUE
    tags: list[str] = Field(default=["a, b: 3}", "c"], max_length=4, description="Words. {See} below.")
    until: date | None = date(2027, 1, 2)
    stars: Annotated[int, Field(ge=1)] = 4


def test_a_default_is_kept() -> None:
    wanted = Kept().model_dump(mode="json")
    assert fill(Kept.model_json_schema(), BRIEF) == wanted
    # a reference keeps nothing beside it
    assert {**fill(transform_schema(Kept), BRIEF), "colour": "blue"} == wanted


def test_a_default_that_its_own_field_refuses_is_not_sent() -> None:
    assert fill({"type": "integer", "default": None, "minimum": 3, "maximum": 3}, BRIEF) == 3


def test_the_kinds_that_ship_are_filled() -> None:
    article = Article.model_validate(fill(transform_schema(Article), BRIEF))
    assert (article.slug, article.folder) == (None, "published")
    webhook = Webhook.model_validate(fill(Webhook.model_json_schema(), BRIEF))
    assert len(webhook.body) == 3
    assert all(isinstance(text, str) and text for text in webhook.body.values())


def test_a_schema_that_holds_itself_ends_soon() -> None:
    assert len(json.dumps(fill(Sum.model_json_schema(), BRIEF))) < 2000


@pytest.mark.parametrize("pattern", PATTERNS + ELABORATE)
def test_a_pattern_is_spelled_out_differently_by_seed(pattern: str) -> None:
    texts = {spell(pattern, str(seed)) for seed in range(20)}
    assert all(text is not None and fits(pattern, text) for text in texts)
    assert len(texts) > 1 or "closed" in texts


@pytest.mark.parametrize(("least", "most"), [(1, 1), (7, 7), (60, 60), (400, 405)])
def test_a_pattern_is_spelled_out_to_length(least: int, most: int) -> None:
    text = spell(PATTERNS[0], "s", least, most)
    assert text is not None
    assert least <= len(text) <= most


@pytest.mark.parametrize("pattern", [r"^a$b", r"^\p{L}+$", "("])
def test_what_no_string_fits_is_given_up(pattern: str) -> None:
    assert spell(pattern, "s") is None
    assert isinstance(fill({"type": "string", "pattern": pattern}, BRIEF), str)


def test_a_key_of_the_models_own_among_the_hints_is_passed_over() -> None:
    rule = {"type": "string", "maxLength": 20, "x-shown": "no", "pattern": "^#[0-9]{9}$", "ge": 3}
    assert fits("^#[0-9]{9}$", fill(transform_schema(rule), BRIEF))


@pytest.mark.parametrize(
    "more", [{"minimum": 3, "maximum": 2}, {"multipleOf": 5, "minimum": 1, "maximum": 4}]
)
def test_bounds_that_exclude_each_other_are_said_to(more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no number is allowed"):
        fill({"type": "number", **more}, BRIEF)
