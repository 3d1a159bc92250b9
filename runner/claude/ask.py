"""Asking Claude: one question, its turns and its tools, to a whole answer or a clear error."""

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING, Any

from runner.claude.conversation import CallTool, Conversation
from runner.claude.hearing import Heard
from runner.claude.price import cost
from runner.claude.question import Answer, Question, Spent
from runner.claude.trouble import explain, refuse_partial
from runner.claude.warm import warm
from runner.clock import Clock
from runner.errors import ClaudeError, RunnerError
from runner.secrecy import Veil, in_address

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic
    from anthropic.types import Message

Reserve = Callable[[str, dict[str, Any]], AbstractContextManager[None]]

_MOST_TURNS = 25
_RETRIES = 2  #: of one HTTP exchange, by the SDK
_CONNECT_S = 10.0
#: what the SDK heeds of the environment
_ENVIRONMENT = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")


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
        """Import and warm the SDK, read the prices, make the client: a second that the first question needn't pay.

        Any thread may. Without a key there is nothing to prepare. Raises `ClaudeError` when the address, or what the
        environment says of proxies and certificates, can't be used.
        """
        with self._preparing:
            if self._client is None and _is_key(self._api_key):
                cost("", {})  # reads the prices
                self._client = self._connect()
                with suppress(
                    Exception
                ):  # an SDK that can't read ours says so, in words, of the first real answer
                    warm()

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
        talk = Conversation(question, call_tool=call_tool, spent=spent)
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
        assert self._client is not None
        return self._client

    async def close(self) -> None:
        """Let go of the connections; asking again is an error."""
        if self._client is not None:
            await self._client.close()

    async def _converse(self, talk: "Conversation", reserve: Reserve) -> "Message":
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

    async def _exchange(self, talk: "Conversation", reserve: Reserve) -> "Message":
        """One request and the stream that answers it, in its turn and within the budgets."""
        assert self._client is not None
        model, request = talk.question.model, talk.request()
        async with self._slots:
            with reserve(model, request):
                heard = Heard(model)
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
        try:
            return self._made()
        except Exception as error:  # noqa: BLE001 - what it says may quote an address, which may hold a password
            raise ClaudeError(_amiss(type(error).__name__, has_address=self._base_url is not None)) from None

    def _made(self) -> "AsyncAnthropic":
        from anthropic import AsyncAnthropic, Timeout  # noqa: PLC0415 - a second, paid once
        from httpx2 import AsyncClient  # noqa: PLC0415 - comes with it

        async def guarded(request: Any, call_next: Callable[[Any], Awaitable[Any]]) -> Any:
            self._guard()
            return await call_next(request)

        if _named():
            AsyncClient()  # fails as the SDK's own would, which complains with a traceback when let go half made
        return AsyncAnthropic(
            api_key=self._api_key,
            base_url=self._base_url,
            max_retries=_RETRIES,
            timeout=Timeout(self._stall_s, connect=_CONNECT_S),
            middleware=[guarded],
        )

    def explain(self, error: Exception, model: str) -> ClaudeError:
        """What went wrong beneath, in a sentence for the owner."""
        return explain(error, model=model, stall_s=self._stall_s, veil=self._veil)


def _amiss(error: str, *, has_address: bool) -> str:
    """Why the client could not be made, by the name of the error."""
    if error == "InvalidURL" and has_address:
        return "ANTHROPIC_BASE_URL is no address; write one that begins with https://, or leave it out"
    where = ", ".join(_named()) or "none is set"
    return f"Claude's SDK could not be set up ({error}); look at the proxies and certificates of the environment: {where}"


def _named() -> list[str]:
    """What the environment says of proxies and certificates, by name."""
    return [name for each in _ENVIRONMENT for name in (each, each.lower()) if os.environ.get(name)]


def _is_key(text: str) -> bool:
    """Whether this can stand in a header: an error about one that can't would quote it."""
    return bool(text) and text.isascii() and text.isprintable() and text == text.strip()
