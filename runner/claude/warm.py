"""The SDK warmed: it builds its types when it first reads an answer, a tenth of a second in which nothing else goes on."""

import json

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


def warm() -> None:
    """Have the SDK read an answer of our own; nothing is asked of anyone, and no key is used."""
    from anthropic import Anthropic  # noqa: PLC0415 - a second, paid once
    from httpx2 import Client, MockTransport, Response  # noqa: PLC0415 - comes with it

    ours = MockTransport(lambda _: Response(200, headers=_HEADERS, text=_STREAM))
    with Client(transport=ours, trust_env=False) as http:
        sdk = Anthropic(api_key="none", base_url="http://localhost", http_client=http)
        with sdk.messages.stream(
            model="", max_tokens=1, messages=[{"role": "user", "content": ""}]
        ) as stream:
            stream.until_done()
