"""What the stand-ins of services share: they judge a request as the real one would, and lose things on demand."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, ClassVar

from runner.rehearsal.destination import Answers, Delays, DropsRequest, DropsResponse, Step
from runner.rehearsal.http import Ledger, Reply, Request, Server

if TYPE_CHECKING:
    from collections.abc import Mapping


class Service(Server):
    """One service's API. A subclass says what it answers; what takes effect there, it keeps in `effects`."""

    prefixes: ClassVar[tuple[str, ...]] = ()  #: of the paths that are this service's

    def __init__(self, *, token: str = "", port: int = 0) -> None:
        """`token` is the one that is good; empty: any is."""
        super().__init__(self.answer, port=port)
        self.token = token
        self.arrivals: Ledger[Request] = Ledger()
        self.effects: list[Any] = []
        self._script: deque[Step] = deque()

    def script(self, *steps: Step) -> None:
        """Queue what is to happen to the next requests that would change something, one step each."""
        self._script.extend(steps)

    def serves(self, path: str) -> bool:
        """Whether that path is this service's."""
        return path.startswith(self.prefixes)

    async def answer(self, request: Request, reply: Reply) -> None:
        """Judge the request, and answer it unless the script says otherwise."""
        changes = request.method not in {"GET", "HEAD"} and self.changes(request)
        step = self._script.popleft() if self._script and changes else None
        if isinstance(step, DropsRequest):
            reply.drop()
            return
        verdict = step if isinstance(step, Answers) else self.judge(request)
        await self.arrivals.note(request)
        if isinstance(step, DropsResponse):
            reply.drop()
            return
        if isinstance(step, Delays):
            await reply.pause(step.seconds)
        if isinstance(verdict.body, str):
            await reply.send(verdict.status, verdict.body, verdict.headers)
        else:
            await reply.send_json(verdict.body, verdict.status, verdict.headers)

    def changes(self, request: Request) -> bool:
        """Whether a request that is no GET would change something."""
        return True

    def judge(self, request: Request) -> Answers:
        """What the service answers to that, having done it."""
        raise NotImplementedError

    def knows(self, headers: Mapping[str, str]) -> bool:
        """Whether the request's bearer token is good."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        return scheme == "Bearer" and bool(token) and self.token in {"", token}
