"""What is heard of one exchange: the stream to its proper end, and what it cost however it ended."""

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from runner.claude.bill import bill
from runner.claude.question import Spent
from runner.claude.web import deeds
from runner.errors import RunnerError, TransientClaudeError

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic
    from anthropic.types import Message


class Heard:
    """What has arrived of one exchange."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._message: Message | None = None
        self._is_whole = False
        self._inputs: dict[int, str] = {}

    async def listen(self, client: "AsyncAnthropic", request: dict[str, Any]) -> "Message":
        """Read the stream to its end, which must be a proper one."""
        async with client.messages.stream(**request) as stream:
            async for event in stream:
                if event.type == "message_start":
                    self._message = stream.current_message_snapshot
                elif event.type == "content_block_delta" and event.delta.type == "input_json_delta":
                    so_far = self._inputs.get(event.index, "")
                    self._inputs[event.index] = so_far + event.delta.partial_json
                elif event.type == "message_stop":
                    self._is_whole = True
        if self._message is None or not self._is_whole or self._message.stop_reason is None:
            self._is_whole = False
            raise TransientClaudeError("Claude's answer ended before it was whole; try again")
        if self._message.stop_reason == "tool_use":
            self._check_inputs()
        return self._message

    def _check_inputs(self) -> None:
        """A tool's arguments must be whole JSON; the SDK itself passes over their missing end."""
        for text in self._inputs.values():
            json.loads(text or "{}")

    def may_have_cost(self, error: BaseException) -> bool:
        """Whether an exchange that ended in this error can be on the bill."""
        import httpx2  # noqa: PLC0415 - comes with the SDK, which is imported by now
        from anthropic import APIStatusError  # noqa: PLC0415 - imported by now

        if self._message is not None:
            return True
        never_sent = (httpx2.ConnectError, httpx2.ConnectTimeout)
        refused = isinstance(error, (RunnerError, APIStatusError))
        return not refused and not isinstance(error.__cause__, never_sent)

    def bill(self) -> Spent:
        """What this came to as far as it was heard."""
        usage = self._message.usage.to_dict(mode="json") if self._message else {}
        model = self._message.model if self._message else self._model
        spent = bill(self._model, model, usage, is_whole=self._is_whole)
        return replace(spent, web=deeds(self._message.content)) if self._message else spent
