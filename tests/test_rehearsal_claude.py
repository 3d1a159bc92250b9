"""The stand-in Claude speaks to the real SDK, and breaks in every way the real one can."""

import json
from collections.abc import AsyncIterator
from typing import Any, Literal

import anthropic
import httpx2
import jsonschema
import pytest
from pydantic import BaseModel, ConfigDict, Field, HttpUrl

from runner.rehearsal.claude import (
    Calls,
    Drops,
    EndsEarly,
    Fails,
    Garbles,
    MidStreamError,
    Says,
    Stalls,
    StandInClaude,
)
from runner.rehearsal.fill import fill
from runner.rehearsal.words import Brief

ASKED: dict[str, Any] = {
    "model": "claude-haiku-5-5",
    "max_tokens": 1000,
    "messages": [{"role": "user", "content": "Write a post about rain in Lisbon. Be brief."}],
}


@pytest.fixture
async def claude() -> AsyncIterator[StandInClaude]:
    async with StandInClaude() as server:
        yield server


@pytest.fixture
async def client(claude: StandInClaude) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(base_url=claude.url, api_key="rehearsal", max_retries=0) as client:
        yield client


async def final(client: anthropic.AsyncAnthropic, **more: Any) -> anthropic.types.Message:
    async with client.messages.stream(**ASKED, **more) as stream:
        return await stream.get_final_message()


def words(message: anthropic.types.Message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


class Picture(BaseModel):
    link: HttpUrl
    caption: str | None = None


class Article(BaseModel):
    model_config = ConfigDict(extra="forbid")

    title: str = Field(max_length=30)
    slug: str = Field(pattern=r"^[a-z0-9-]+$")
    body: str
    mood: Literal["calm", "loud"]
    stars: int = Field(ge=2, le=4)
    tags: list[str] = Field(min_length=2)
    pictures: list[Picture]


async def test_an_answer_is_the_same_with_and_without_a_stream(
    claude: StandInClaude, client: anthropic.AsyncAnthropic
) -> None:
    streamed, whole = await final(client), await client.messages.create(**ASKED)
    assert words(streamed) == words(whole)
    assert "rain in Lisbon" in words(whole)
    assert streamed.stop_reason == whole.stop_reason == "end_turn"
    assert whole.usage.output_tokens == streamed.usage.output_tokens == len(words(whole)) // 4
    assert whole.usage.input_tokens > 10
    assert claude.requests[0]["stream"] is True
    assert (await claude.received(2))["model"] == "claude-haiku-5-5"


async def test_an_answer_comes_in_several_deltas(client: anthropic.AsyncAnthropic) -> None:
    async with client.messages.stream(**ASKED) as stream:
        assert len([text async for text in stream.text_stream]) > 3


async def test_structured_output_fits_the_model_it_was_asked_for(client: anthropic.AsyncAnthropic) -> None:
    article = (await client.messages.parse(**ASKED, output_format=Article)).parsed_output
    assert article is not None
    assert article.body.count("\n\n") >= 3
    assert article.pictures[0].link.host == "example.com"
    assert len(set(article.tags)) == len(article.tags)


async def test_structured_output_fits_a_raw_schema_over_a_stream(client: anthropic.AsyncAnthropic) -> None:
    schema = Article.model_json_schema()
    message = await final(client, output_config={"format": {"type": "json_schema", "schema": schema}})
    Article.model_validate_json(words(message))


async def test_a_revision_takes_up_the_feedback(client: anthropic.AsyncAnthropic) -> None:
    turns = [
        *ASKED["messages"],
        {"role": "assistant", "content": "{}"},
        {"role": "user", "content": "Shorter, and mention the trams."},
    ]
    first = (await client.messages.parse(**ASKED, output_format=Article)).parsed_output
    second = (
        await client.messages.parse(**{**ASKED, "messages": turns}, output_format=Article)
    ).parsed_output
    assert first is not None
    assert second is not None
    assert second.body == f"{first.body}\n\nAs you asked: “Shorter, and mention the trams.”."


async def test_a_tool_call_is_understood(claude: StandInClaude, client: anthropic.AsyncAnthropic) -> None:
    claude.script(Calls("read_page", {"url": "https://example.com"}), Calls("read_page", {"url": "x"}))
    tools = [{"name": "read_page", "input_schema": {"type": "object"}}]
    for message in (await final(client, tools=tools), await client.messages.create(**ASKED)):
        assert message.stop_reason == "tool_use"
        (block,) = message.content
        assert isinstance(block, anthropic.types.ToolUseBlock)
        assert block.name == "read_page"
        assert "url" in block.input


async def test_a_script_is_used_up_in_order(claude: StandInClaude, client: anthropic.AsyncAnthropic) -> None:
    claude.script(Says("one"), Says(json={"two": 2}), Says("cut", stop_reason="max_tokens"))
    assert words(await final(client)) == "one"
    assert json.loads(words(await final(client))) == {"two": 2}
    assert (await final(client)).stop_reason == "max_tokens"
    assert "Lisbon" in words(await final(client))


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (400, anthropic.BadRequestError, "invalid_request_error"),
        (401, anthropic.AuthenticationError, "authentication_error"),
        (429, anthropic.RateLimitError, "rate_limit_error"),
        (500, anthropic.InternalServerError, "api_error"),
        (529, anthropic.InternalServerError, "overloaded_error"),
    ],
)
async def test_an_error_is_the_one_the_sdk_knows(
    claude: StandInClaude,
    client: anthropic.AsyncAnthropic,
    status: int,
    error: type[anthropic.APIStatusError],
    kind: str,
) -> None:
    claude.script(Fails(status, retry_after=1.5))
    with pytest.raises(error) as caught:
        await final(client)
    assert caught.value.status_code == status
    assert caught.value.response.headers["retry-after"] == "1.5"
    body: Any = caught.value.body
    assert body["error"]["type"] == kind


@pytest.mark.parametrize("key", ["invalid", ""])
async def test_no_key_and_a_bad_key_are_refused(claude: StandInClaude, key: str) -> None:
    async with httpx2.AsyncClient(base_url=claude.url) as client:
        answer = await client.post("/v1/messages", json=ASKED, headers={"x-api-key": key})
    assert answer.status_code == 401
    assert answer.json()["error"]["type"] == "authentication_error"


async def test_a_body_that_is_no_request_is_refused(claude: StandInClaude) -> None:
    async with httpx2.AsyncClient(base_url=claude.url, headers={"x-api-key": "rehearsal"}) as client:
        assert (await client.post("/v1/messages", content="{")).status_code == 400
        missing = await client.post("/v1/messages", json={"model": "m", "messages": []})
        assert missing.json()["error"]["message"] == "max_tokens: Field required"
        assert (await client.post("/v1/other")).json()["error"]["type"] == "not_found_error"
        assert (await client.post("/v1/messages/count_tokens", content="{")).status_code == 400


async def test_tokens_are_counted(client: anthropic.AsyncAnthropic) -> None:
    counted = await client.messages.count_tokens(model=ASKED["model"], messages=ASKED["messages"])
    assert counted.input_tokens > 10


async def test_an_error_in_the_stream_arrives_as_one(
    claude: StandInClaude, client: anthropic.AsyncAnthropic
) -> None:
    claude.script(MidStreamError(after=2))
    with pytest.raises(anthropic.APIStatusError, match="overloaded_error") as caught:
        await final(client)
    assert caught.value.response.status_code == 200


async def test_a_dropped_connection_is_a_protocol_error(
    claude: StandInClaude, client: anthropic.AsyncAnthropic
) -> None:
    claude.script(Drops(after=2))
    with pytest.raises(httpx2.RemoteProtocolError):
        await final(client)
    assert claude.cut_short == 0


async def test_a_stall_is_a_read_timeout_and_the_hang_up_is_seen(
    claude: StandInClaude, client: anthropic.AsyncAnthropic
) -> None:
    claude.script(Stalls(after=2))
    with pytest.raises(httpx2.ReadTimeout):
        await final(client, timeout=0.2)
    await claude.hung_up(1)
    assert claude.cut_short == 1


async def test_an_early_end_leaves_no_stop_reason(
    claude: StandInClaude, client: anthropic.AsyncAnthropic
) -> None:
    claude.script(EndsEarly(after=2))
    message = await final(client)
    assert message.stop_reason is None
    assert words(message)


async def test_garbled_json_is_a_decode_error(
    claude: StandInClaude, client: anthropic.AsyncAnthropic
) -> None:
    claude.script(Garbles(after=0))
    with pytest.raises(json.JSONDecodeError):
        await final(client)


@pytest.mark.parametrize("step", [MidStreamError(), Drops(), EndsEarly(), Garbles(), Stalls()])
async def test_a_break_also_breaks_an_answer_without_a_stream(
    claude: StandInClaude,
    client: anthropic.AsyncAnthropic,
    step: MidStreamError | Drops | EndsEarly | Garbles | Stalls,
) -> None:
    claude.script(step)
    with pytest.raises((anthropic.APIError, httpx2.HTTPError, ValueError)):
        await client.messages.create(**ASKED, timeout=0.2)


async def test_a_stream_that_the_client_leaves_is_cut_short() -> None:
    async with (
        StandInClaude(pace=0.01) as claude,
        anthropic.AsyncAnthropic(base_url=claude.url, api_key="rehearsal", max_retries=0) as client,
    ):
        async with client.messages.stream(**ASKED) as stream:
            async for _ in stream.text_stream:
                break
        assert (await claude.hung_up(1))["stream"] is True


BRIEF = Brief(topic="rain", seed="s", feedback="be kinder to the reader please")


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "integer", "minimum": 7, "maximum": 9},
        {"type": "integer", "exclusiveMinimum": 7, "exclusiveMaximum": 9},
        {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
        {"type": "number", "exclusiveMinimum": 0, "maximum": 0.5},
        {"type": "number", "minimum": 0.2, "maximum": 0.8},
        {"type": "number", "maximum": -4},
        {"type": "integer", "minimum": 7, "multipleOf": 5},
        {"type": "string", "maxLength": 60},
        {"type": "string", "maxLength": 3},
        {"type": "string", "minLength": 500, "maxLength": 520},
        {"type": "string", "pattern": "^[A-Z]{3}-\\d{4}$"},
        {"type": "string", "pattern": "^#?[0-9a-f]{6}$"},
        {"type": "string", "pattern": "^\\d{4}-\\d{2}-\\d{2}$"},
        {"enum": ["a", "b"]},
        {"const": 3},
        {"type": "boolean"},
        {"type": ["null", "string"]},
        {"allOf": [{"type": "string"}, {"maxLength": 5}]},
        {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "null"}]},
        {"type": "array", "items": {"type": "integer"}, "maxItems": 1},
        {"type": "array", "items": {"type": "object", "properties": {"when": {"format": "date"}}}},
        {
            "$ref": "#/$defs/Node",
            "$defs": {
                "Node": {
                    "type": "object",
                    "properties": {
                        "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]},
                        "many": {"type": "array", "items": {"$ref": "#/$defs/Node"}, "maxItems": 1},
                    },
                    "required": ["next"],
                }
            },
        },
    ],
)
def test_a_filled_schema_is_valid_and_the_same_again(schema: dict[str, Any]) -> None:
    value = fill(schema, BRIEF)
    jsonschema.validate(value, schema, format_checker=jsonschema.FormatChecker())
    assert value == fill(schema, BRIEF)


@pytest.mark.parametrize("kind", ["date", "date-time", "time", "uri", "email", "uuid", "ipv4", "ipv6"])
def test_a_format_is_kept(kind: str) -> None:
    schema = {"type": "string", "format": kind}
    jsonschema.validate(
        fill(schema, BRIEF), schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )


def test_limits_that_the_sdk_moved_into_the_description_are_kept() -> None:
    schema = {"type": "integer", "description": "How many.\n\n{minimum: 40, maximum: 41}"}
    assert fill(schema, BRIEF) in {40, 41}


def test_words_differ_by_request() -> None:
    schema = {"type": "object", "properties": {"title": {"type": "string"}, "body": {"type": "string"}}}
    briefs = [Brief("rain", str(seed)) for seed in range(8)]
    assert len({json.dumps(fill(schema, brief)) for brief in briefs}) > 3


def test_feedback_survives_a_tight_limit() -> None:
    text = fill({"type": "string", "maxLength": 150}, BRIEF)
    assert text.endswith("As you asked: “be kinder to the reader please”.")
