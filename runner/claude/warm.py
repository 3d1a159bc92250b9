"""The SDK warmed: it builds its types when it first reads an answer or an error, and nothing else goes on for so long."""

import json
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from httpx2 import Response

_USAGE = {"input_tokens": 0, "output_tokens": 0}
_ANSWER = (
    {
        "type": "message_start",
        "message": {
            "id": "",
            "type": "message",
            "role": "assistant",
            "model": "",
            "content": [],
            "usage": _USAGE,
        },
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "warm"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": _USAGE},
    {"type": "message_stop"},
)
_STREAM = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in _ANSWER)
_HEADERS = {"content-type": "text/event-stream"}
_ERROR = {"type": "error", "error": {"type": "overloaded_error", "message": ""}}


def warm() -> None:
    """Have the SDK read an answer and an error of our own; nothing is asked of anyone, and no key is used."""
    from anthropic import APIStatusError  # noqa: PLC0415 - a second, paid once
    from httpx2 import Response  # noqa: PLC0415 - comes with it

    _read(Response(200, headers=_HEADERS, text=_STREAM))
    with suppress(APIStatusError):
        _read(Response(529, json=_ERROR))


def _read(answer: "Response") -> None:
    from anthropic import Anthropic  # noqa: PLC0415 - likewise
    from httpx2 import Client, MockTransport  # noqa: PLC0415 - likewise

    with Client(transport=MockTransport(lambda _: answer), trust_env=False) as http:
        sdk = Anthropic(api_key="none", base_url="http://localhost", http_client=http, max_retries=0)
        with sdk.messages.stream(
            model="", max_tokens=1, messages=[{"role": "user", "content": ""}]
        ) as stream:
            stream.until_done()
