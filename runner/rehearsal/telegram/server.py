"""The stand-in itself: the Bot API over HTTP, with faults on demand."""

from __future__ import annotations

import copy
import re
from collections import defaultdict, deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from runner.rehearsal.destination import Delays, DropsRequest, DropsResponse
from runner.rehearsal.http import Ledger, Reply, Request, Server
from runner.rehearsal.telegram.account import TOO_OLD
from runner.rehearsal.telegram.call import Call, Refusal, read
from runner.rehearsal.telegram.methods import Methods
from runner.rehearsal.telegram.people import People
from runner.rehearsal.telegram.updates import WEBHOOK

if TYPE_CHECKING:
    from runner.rehearsal.telegram.call import Table
    from runner.rehearsal.telegram.chats import Message

TOKEN = "700000001:rehearsal-rehearsal-rehearsal-rehea"  # noqa: S105 - opens nothing
_PATH = re.compile(r"/(file/)?bot([^/]+)/(.+)")


@dataclass(frozen=True, slots=True)
class Answers:
    """The Bot API answers with this error, and nothing takes effect; `retry_after` in seconds, None for none."""

    status: int
    description: str
    retry_after: int | None = None


@dataclass(frozen=True, slots=True)
class Stalls:
    """The call takes effect and is never answered, though the connection stays open."""


Step = Answers | DropsRequest | DropsResponse | Delays | Stalls

EXPIRED = Answers(400, f"Bad Request: {TOO_OLD}")  #: what answerCallbackQuery gets when it comes too late


class StandInTelegram(Server, People):
    """The Bot API on loopback, for one bot.

    Every chat is open to the bot, unless it is among `chats.strangers` or `chats.blocked`. Message ids count up in
    each chat by itself: the same id stands for different messages.
    """

    def __init__(self, *, token: str = TOKEN, port: int = 0) -> None:
        Server.__init__(self, self._answer, port=port)
        People.__init__(self, int(token.partition(":")[0]))
        self.token = token
        self.calls: Ledger[Call] = Ledger()  #: all that reached it and was recorded, refused ones too
        self._script: defaultdict[str, deque[Step]] = defaultdict(deque)
        methods = Methods(self.account.bot, self.chats).methods
        self._methods: Table = {"getUpdates": self._confirm, **self.account.methods, **methods}

    @property
    def answered(self) -> dict[str, dict[str, Any]]:
        """What each callback query was answered, by its id."""
        return self.account.answered

    def script(self, *steps: Step, method: str = "") -> None:
        """Queue what is to happen to the next calls of a method, one step each; without one, of any."""
        self._script[method].extend(steps)

    async def called(self, method: str, n: int = 1, within: float = 5) -> Call:
        """Wait until the method has been called `n` times; the nth call is returned.

        A poll counts from when it is open, everything else from when it has taken effect or was refused.
        """

        def nth() -> Call | None:
            calls = [call for call in self.calls if call.method == method]
            return calls[n - 1] if len(calls) >= n else None

        return await self.calls.until(nth, within, f"call {n} of {method}")

    async def shows(self, chat: int, text: str, within: float = 5) -> Message:
        """Wait until a message of the bot's in the chat holds the text; its newest such message is returned."""

        def newest() -> Message | None:
            own = [each for each in reversed(self.chats.of(chat)) if each["from"] == self.account.bot]
            return next((each for each in own if text in str(each.get("text") or each.get("caption"))), None)

        return copy.deepcopy(await self.calls.until(newest, within, f"{text!r} in chat {chat}"))

    async def _answer(self, request: Request, reply: Reply) -> None:
        try:
            is_file, name = self._target(request.path)
            if is_file:
                await self._download(name, reply)
            else:
                await self._act(read(request, self._method(name)), reply)
        except Refusal as refusal:
            await reply.send_json(refusal.body(), refusal.status)

    def _target(self, path: str) -> tuple[bool, str]:
        """Whether a file or a method is asked for, and its name."""
        found = _PATH.fullmatch(path)
        if found is None:
            raise Refusal(404, "Not Found")
        if found[2] != self.token:
            raise Refusal(401, "Unauthorized")
        return found[1] is not None, found[3]

    def _method(self, name: str) -> str:
        """The method as it is spelled, which callers needn't mind."""
        for method in self._methods:
            if method.lower() == name.lower():
                return method
        raise Refusal(404, "Not Found: method not found")

    async def _download(self, path: str, reply: Reply) -> None:
        upload = self.chats.files.get(path.rpartition("/")[2])
        if upload is None:
            raise Refusal(404, "Not Found")
        await reply.send(200, upload.content, {"content-type": "application/octet-stream"})

    async def _act(self, call: Call, reply: Reply) -> None:
        """Carry a call out and answer it, as far as the script lets it."""
        step = self._next_step(call.method)
        if isinstance(step, DropsRequest):
            reply.drop()
            return
        try:
            status, body = 200, {"ok": True, "result": await self._carry_out(call, step, reply)}
        except Refusal as refusal:
            status, body = refusal.status, refusal.body()
        if isinstance(step, DropsResponse):
            reply.drop()
            return
        if isinstance(step, Delays | Stalls):
            await reply.pause(step.seconds if isinstance(step, Delays) else None)
        await reply.send_json(body, status)

    def _next_step(self, method: str) -> Step | None:
        queue = self._script[method] or self._script[""]
        return queue.popleft() if queue else None

    async def _carry_out(self, call: Call, step: Step | None, reply: Reply) -> Any:
        try:
            result = self._take_effect(call, step)
        except Refusal as refusal:
            await self.calls.note(replace(call, refused=refusal.description))
            raise
        await self.calls.note(call)
        return await self.updates.take(call, reply) if call.method == "getUpdates" else result

    def _take_effect(self, call: Call, step: Step | None) -> Any:
        if isinstance(step, Answers):
            raise Refusal(step.status, step.description, step.retry_after)
        return self._methods[call.method](call)

    def _confirm(self, call: Call) -> None:
        """The part of getUpdates that takes effect at once."""
        if self.account.webhook:
            raise Refusal(409, WEBHOOK)
        self.updates.confirm(call)
