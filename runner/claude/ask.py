"""Asking Claude: one question, its turns and its tools, to a whole answer or a clear error."""

import asyncio
import gc
import json
import threading
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from runner.claude import caching
from runner.claude.bill import bill
from runner.claude.question import Answer, Question, Spent
from runner.claude.web import Searching, answered, deeds
from runner.clock import Clock
from runner.errors import ClaudeError, RunnerError, TransientClaudeError
from runner.secrecy import Veil, in_address

if TYPE_CHECKING:
    from anthropic import APIStatusError, AsyncAnthropic
    from anthropic.types import Message, ToolUseBlock

CallTool = Callable[[str, dict[str, Any]], Awaitable[tuple[str, bool]]]
Reserve = Callable[[str, dict[str, Any]], AbstractContextManager[None]]

_MOST_TURNS = 25
_RETRIES = 2  #: of one HTTP exchange, by the SDK
_CONNECT_S = 10.0

#: what the owner can do about a status that trying again won't change
_REMEDIES = {
    400: "Claude's API refused the request ({said}); mend what it names in the task's prompt, schema or tools",
    401: "ANTHROPIC_API_KEY was not accepted ({said}); put a valid key into the environment or .env",
    402: "the Anthropic account can't pay for this call ({said}); see to its billing",
    403: "ANTHROPIC_API_KEY lacks the permission for this call ({said}); give it access, or use another key",
    404: "there is no model {model!r} for this key ({said}); set RUNNER_MODEL, or model= in the call, to one it has",
    413: "the request is larger than Claude's API takes ({said}); shorten the prompt or what the tools return",
}

#: likewise for one that may pass
_PASSING = {
    429: "Claude's API takes no more calls for now ({said}); try again later, or raise the account's rate limits",
    529: "Claude's API is overloaded ({said}); try again later",
}

#: kinds of error, within a stream that has begun, that trying again may help
_PASSING_KINDS = {"api_error", "overloaded_error", "rate_limit_error", "timeout_error"}

#: why an answer that ended is not whole
_CUT = {
    "max_tokens": "Claude's answer was cut at max_tokens={max_tokens}; raise max_tokens or ask for less",
    "refusal": "Claude refused to answer; reword the prompt",
    "model_context_window_exceeded": "the conversation outgrew the context of {model}; shorten the prompt or "
    "what the tools return",
}


class Claude:
    """The way to Claude's API, for all runs together.

    `base_url` None means the SDK's own. At most `concurrency` exchanges are open at a time; a tool that runs
    takes none of them. `guard` is asked before every HTTP attempt, tool call and turn, and raises
    `StoppedError` when nothing may happen. `stall_s` is how long the API may be silent, in seconds.
    """

    def __init__(  # noqa: PLR0913 - each is a setting of its own
        self,
        api_key: str | None,
        *,
        base_url: str | None,
        concurrency: int,
        guard: Callable[[], None],
        stall_s: float = 120.0,
        clock: Clock | None = None,
    ) -> None:
        self._api_key = api_key or ""
        self._veil = Veil(api_key, *in_address(base_url))
        self._base_url = base_url
        self._guard = guard
        self._stall_s = stall_s
        self._clock = clock or Clock()
        self._slots = asyncio.Semaphore(concurrency)
        self._preparing = threading.Lock()
        self._client: AsyncAnthropic | None = None

    def prepare(self) -> None:
        """Import the SDK and make its client: a second that the first question needn't pay. Any thread may."""
        with self._preparing:
            if self._client is None and _is_key(self._api_key):
                self._client = self._connect()

    async def ask(
        self, question: Question, *, call_tool: CallTool, spent: Callable[[Spent], None], reserve: Reserve
    ) -> Answer:
        """Claude's whole answer to the question.

        `call_tool` runs one of the question's tools and gives its text and whether that is an error. `spent`
        hears what each exchange cost, whole or broken off. `reserve` is held around each exchange. Raises
        `ClaudeError`, `TransientClaudeError` when trying again may help, and what `guard`, `reserve` and
        `call_tool` raise.
        """
        await self.client()
        began = self._clock.monotonic()
        talk = _Conversation(question, call_tool=call_tool, spent=spent)
        message = await self._converse(talk, reserve)
        refuse_partial(message, question, talk.text)
        return talk.answer(message, self._clock.monotonic() - began)

    async def client(self) -> "AsyncAnthropic":
        """The SDK's client, which asks `guard` before each attempt; raises `ClaudeError` without a key."""
        if not _is_key(self._api_key):
            got = "there is no key for Claude" if not self._api_key else "ANTHROPIC_API_KEY is no key"
            raise ClaudeError(f"{got}; set ANTHROPIC_API_KEY in the environment or .env")
        if self._client is None:
            await asyncio.to_thread(self.prepare)
            gc.freeze()  # what was imported stays; to look through it all holds the loop up for a tenth of a second
        assert self._client is not None
        return self._client

    async def close(self) -> None:
        """Let go of the connections; asking again is an error."""
        if self._client is not None:
            await self._client.close()

    async def _converse(self, talk: "_Conversation", reserve: Reserve) -> "Message":
        """Take turns until one is not about tools."""
        for _ in range(_MOST_TURNS):
            self._guard()
            message = await self._exchange(talk, reserve)
            talk.hear(message)
            if message.stop_reason == "tool_use":
                await talk.use_tools(message, self._guard)
            elif message.stop_reason != "pause_turn":
                return message
        raise ClaudeError(
            f"Claude came to no answer in {_MOST_TURNS} turns of calling tools; "
            "ask for less, or make the tools say more at once"
        )

    async def _exchange(self, talk: "_Conversation", reserve: Reserve) -> "Message":
        """One request and the stream that answers it, in its turn and within the budgets."""
        assert self._client is not None
        model, request = talk.question.model, talk.request()
        async with self._slots:
            with reserve(model, request):
                heard = _Heard(model)
                try:
                    message = await heard.listen(self._client, request)
                except BaseException as error:
                    if heard.may_have_cost(error):
                        talk.pay(heard.bill())
                    if isinstance(error, RunnerError) or not isinstance(error, Exception):
                        raise
                    # the SDK's own error may carry the request, and with it the key
                    raise self.explain(error, model) from None
                talk.pay(heard.bill())
                return message

    def _connect(self) -> "AsyncAnthropic":
        from anthropic import AsyncAnthropic, Timeout  # noqa: PLC0415 - a second, paid once
        from httpx2 import InvalidURL  # noqa: PLC0415 - comes with it

        async def guarded(request: Any, call_next: Callable[[Any], Awaitable[Any]]) -> Any:
            self._guard()
            return await call_next(request)

        try:
            return AsyncAnthropic(
                api_key=self._api_key,
                base_url=self._base_url,
                max_retries=_RETRIES,
                timeout=Timeout(self._stall_s, connect=_CONNECT_S),
                middleware=[guarded],
            )
        except InvalidURL:  # it quotes the address, which may hold a password
            raise ClaudeError("ANTHROPIC_BASE_URL is no address; write https://…, or leave it out") from None

    def explain(self, error: Exception, model: str) -> ClaudeError:
        """What went wrong beneath, in a sentence for the owner."""
        return _explain(error, model=model, stall_s=self._stall_s, veil=self._veil)


class _Conversation:
    """One question on its way to its answer."""

    def __init__(self, question: Question, *, call_tool: CallTool, spent: Callable[[Spent], None]) -> None:
        self.question = question
        self.text = ""
        self._call_tool = call_tool
        self._spent = spent
        self._bills: list[Spent] = []
        self._messages = question.messages
        self._told = told(question)
        self._searching = Searching(question.web)

    def request(self) -> dict[str, Any]:
        """What the API is told next."""
        tools = [*self._told.get("tools", []), *self._searching.tools()]
        whole = {**self._told, "messages": list(self._messages), **({"tools": tools} if tools else {})}
        return caching.marked(self.question, whole)

    def pay(self, bill: Spent) -> None:
        """Put what an exchange cost on record."""
        self._bills.append(bill)
        self._spent(bill)

    def hear(self, message: "Message") -> None:
        """Take Claude's turn into the conversation."""
        said, has_looked = answered(message.content)
        is_new = has_looked or self._messages[-1]["role"] == "user"
        self.text = said if is_new else self.text + said
        self._searching.hear(message)
        content = [block.to_dict(mode="json") for block in message.content]
        self._messages.append({"role": "assistant", "content": content})

    async def use_tools(self, message: "Message", guard: Callable[[], None]) -> None:
        """Run the tools that Claude asks for, in its order, and tell it what they gave."""
        calls = [block for block in message.content if block.type == "tool_use"]
        if not calls:
            raise TransientClaudeError("Claude stopped to call a tool and named none; try again")
        results = []
        for call in calls:
            guard()
            results.append(await self._use(call))
        self._messages.append({"role": "user", "content": results})

    async def _use(self, call: "ToolUseBlock") -> dict[str, Any]:
        known = [tool.name for tool in self.question.tools]
        if call.name in known:
            text, is_error = await self._call_tool(call.name, dict(call.input))
        else:
            text, is_error = f"there is no tool {call.name!r}; the tools are {', '.join(known)}", True
        return {"type": "tool_result", "tool_use_id": call.id, "content": text, "is_error": is_error}

    def answer(self, message: "Message", seconds: float) -> Answer:
        """The answer that the last turn completed."""
        costs = [bill.cost_usd for bill in self._bills]
        known = [each for each in costs if each is not None]
        prompt = (
            each.input_tokens + each.cache_read_tokens + each.cache_write_tokens for each in self._bills
        )
        return Answer(
            text=self.text,
            model=message.model,
            stop_reason=str(message.stop_reason),
            input_tokens=sum(prompt),
            output_tokens=sum(bill.output_tokens for bill in self._bills),
            cost_usd=sum(known, Decimal(0)) if len(known) == len(costs) else None,
            seconds=seconds,
        )


class _Heard:
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


def _is_key(text: str) -> bool:
    """Whether this can stand in a header: an error about one that can't would quote it."""
    return bool(text) and text.isascii() and text.isprintable() and text == text.strip()


def told(question: Question) -> dict[str, Any]:
    """The request without its messages, which grow."""
    told: dict[str, Any] = {"model": question.model, "max_tokens": question.max_tokens}
    if (system := caching.system(question)) is not None:
        told["system"] = system
    if config := _output_config(question):
        told["output_config"] = config
    if question.tools:
        told["tools"] = [
            {"name": tool.name, "description": tool.description, "input_schema": tool.schema}
            for tool in question.tools
        ]
    return told


def _output_config(question: Question) -> dict[str, Any]:
    from anthropic import transform_schema  # noqa: PLC0415 - imported by now

    config: dict[str, Any] = {}
    if question.effort is not None:
        config["effort"] = question.effort
    if question.schema is not None:
        try:
            # constraints that the API doesn't keep move into the descriptions
            schema = transform_schema(question.schema)
        except (ValueError, AssertionError, TypeError, AttributeError) as error:
            raise ClaudeError(f"this form of answer can't be asked of Claude: {error}") from error
        config["format"] = {"type": "json_schema", "schema": schema}
    return config


def refuse_partial(message: "Message", question: Question, text: str) -> None:
    """An answer that was cut, refused or isn't what was asked for is none."""
    reason = str(message.stop_reason)
    if reason in _CUT:
        raise ClaudeError(_CUT[reason].format(max_tokens=question.max_tokens, model=question.model))
    if reason not in ("end_turn", "stop_sequence"):
        raise ClaudeError(
            f"Claude stopped for a reason this runner doesn't know: {reason!r}; update the runner"
        )
    if not text.strip():
        raise TransientClaudeError("Claude ended its turn without a word; try again")
    if question.schema is not None:
        try:
            json.loads(text)
        except ValueError as error:
            raise TransientClaudeError(
                f"Claude's answer should be JSON and isn't ({error}); try again"
            ) from None


def _explain(error: Exception, *, model: str, stall_s: float, veil: Veil) -> ClaudeError:
    import httpx2  # noqa: PLC0415 - imported by now
    from anthropic import APIConnectionError, APIStatusError, APITimeoutError  # noqa: PLC0415 - likewise

    if isinstance(error, APIStatusError):
        return _explain_status(error, model, veil)
    if isinstance(error, (APITimeoutError, httpx2.TimeoutException)):
        return TransientClaudeError(f"Claude's API was silent for {stall_s:g} s; try again later")
    if isinstance(error, (APIConnectionError, httpx2.HTTPError)):
        cause = error.__cause__ or error
        why = str(cause) or type(cause).__name__
        return TransientClaudeError(
            f"the connection to Claude's API failed ({veil.over(why)}); try again later"
        )
    return TransientClaudeError(
        f"what Claude's API sent can't be read ({type(error).__name__}: {veil.over(str(error))}); try again later"
    )


def _explain_status(error: "APIStatusError", model: str, veil: Veil) -> ClaudeError:
    status = error.status_code
    # hidden before it is cut: a part of a secret could no longer be seen to be one
    said = veil.over(error.api_message or "") or veil.over(" ".join(error.message.split()))[:300]
    if status < 400:  # noqa: PLR2004 - an error within a stream that began well
        kind = error.type or "an error"
        is_passing = error.type is None or error.type in _PASSING_KINDS
        remedy = "try again later" if is_passing else "mend what it names"
        failure = TransientClaudeError if is_passing else ClaudeError
        return failure(f"Claude's API broke off its answer with {kind} ({said}); {remedy}")
    said = f"{status}: {said}"
    if sentence := _PASSING.get(status):
        return TransientClaudeError(sentence.format(said=said))
    if status >= 500 or status in (408, 409):  # noqa: PLR2004
        return TransientClaudeError(f"Claude's API failed ({said}); try again later")
    return ClaudeError(_REMEDIES.get(status, _REMEDIES[400]).format(said=said, model=model))
