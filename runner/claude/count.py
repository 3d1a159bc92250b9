"""Counting the tokens of a request by the API, which is told the request and bills nothing."""

from collections.abc import Mapping
from typing import Any

from runner.claude.ask import Claude
from runner.errors import RunnerError

COUNTED = ("model", "messages", "system", "tools", "output_config")


async def count(claude: Claude, request: Mapping[str, Any]) -> int:
    """How many tokens the prompt of that request has; raises `ClaudeError`."""
    client = await claude.client()
    asked: dict[str, Any] = {name: request[name] for name in COUNTED if name in request}
    try:
        return (await client.messages.count_tokens(**asked)).input_tokens
    except RunnerError:
        raise
    except Exception as error:  # noqa: BLE001 - explained, as for a question
        raise claude.explain(error, str(request["model"])) from None
