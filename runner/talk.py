"""What is said between one run's child and its supervisor, until the outcome is said or the child is gone."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runner import said
from runner.broker import Session
from runner.errors import ParkedError, RunError, RunnerError, StoppedError
from runner.verdict import Verdict, failure, success

if TYPE_CHECKING:
    from collections.abc import Callable

    from runner.broker import Broker
    from runner.children import Child, Children
    from runner.stop import Stop
    from runner.verdict import Attempt

PARK_S = 0.2  #: of silence after which a run that waits for a batch has asked all it can ask
LINES_MAX = 1000  #: lines that a run may put into the log
ASKING_MAX = 64  #: questions a child may have open at the same time


@dataclass(slots=True)
class Talk:
    """What is said between one child and its supervisor."""

    attempt: Attempt
    child: Child
    children: Children
    broker: Broker
    stop: Stop
    say: Callable[..., None]  #: for diagnostics: level, words, and what they are about
    _asking: set[asyncio.Task[None]] = field(default_factory=set)
    _tools: dict[int, asyncio.Future[tuple[str, bool]]] = field(default_factory=dict)
    _lines: int = 0  #: for the log
    _waits: bool = False  #: a question of it waits for a batch
    _parking: asyncio.TimerHandle | None = None
    _is_parked: bool = False
    _session: Session = field(init=False)

    def __post_init__(self) -> None:
        attempt = self.attempt
        self._session = Session(
            run=attempt.run,
            task=attempt.task,
            lessons=attempt.inputs["lessons"],
            base=attempt.base.run if attempt.base else None,
            call=attempt.base.call if attempt.base else None,
            draft=attempt.fields,
            feedback=attempt.row.feedback or "",
            seen=attempt.inputs.get("pages", {}),
            call_tool=self._call_tool,
        )

    async def listen(self) -> Verdict:
        """Answer until the outcome is said, or the child is gone."""
        try:
            while (message := await self.child.receive()) is not None:
                if (verdict := self._take(message)) is not None:
                    return verdict
        finally:
            if self._parking is not None:
                self._parking.cancel()
            for asking in self._asking:
                asking.cancel()
        return await self._missing()

    def _take(self, message: dict[str, Any]) -> Verdict | None:
        match message.get("op"):
            case "claude" | "fetch" | "figures" | "attach":
                self._answer(message)
            case "tooled":
                self._tooled(message)
            case "unfit":
                self.broker.forget(self._session, message.get("position"))
            case "log":
                self._log(message)
            case "calling":
                pass
            case "outcome":
                return success(self.attempt, said.outcome(message), self._session)
            case "failed":
                return failure(said.failure(message))
            case other:
                raise RunError(f"the child said {other!r:.80}, which means nothing")
        return None

    def _answer(self, message: dict[str, Any]) -> None:
        if len(self._asking) >= ASKING_MAX:
            raise RunError(f"the task asked more than {ASKING_MAX} things at the same time")
        work = asyncio.get_running_loop().create_task(self._reply(message))
        self._asking.add(work)
        work.add_done_callback(self._answered)

    def _answered(self, work: asyncio.Task[None]) -> None:
        """A question came to its end; where only such are left that wait, the run is parked once it is silent."""
        self._asking.discard(work)
        if self._waits and not self._asking:
            self._park_soon()

    def _park_soon(self) -> None:
        if self._parking is not None:
            self._parking.cancel()
        self._parking = asyncio.get_running_loop().call_later(PARK_S, self._park, self.child.heard)

    def _park(self, heard: int) -> None:
        if self.child.heard != heard:
            self._park_soon()
        elif not self._asking:
            self._is_parked = True
            self.children.kill(self.child)

    async def _reply(self, message: dict[str, Any]) -> None:
        try:
            reply = {"ok": await self.broker.answer(self._session, message)}
        except ParkedError:
            self._waits = True
            return
        except RunnerError as error:
            reply = {"error": str(error), "type": type(error).__name__}
        except Exception as error:  # noqa: BLE001 - whatever a child asks, it and nobody else is told
            self.say("error", f"{type(error).__name__}: {error}", task=self.attempt.task.name)
            reply = {"error": "what was asked could not be answered; the runner's log says why"}
        await self.child.send({"re": message.get("id"), **reply})

    async def _call_tool(self, name: str, args: dict[str, Any]) -> tuple[str, bool]:
        number = len(self._tools)
        answered = self._tools[number] = asyncio.get_running_loop().create_future()
        await self.child.send({"tool": number, "name": name, "input": args})
        text, is_error = await answered
        return text, is_error

    def _tooled(self, message: dict[str, Any]) -> None:
        answer = said.tooled(message)
        asked = self._tools.get(answer.tool)
        if asked is not None and not asked.done():
            asked.set_result((answer.text, answer.is_error))

    def _log(self, message: dict[str, Any]) -> None:
        level = "warning" if message.get("level") == "warning" else "info"
        self._lines += 1
        if self._lines > LINES_MAX:
            return
        if self._lines == LINES_MAX:
            message = {
                "level": "warning",
                "message": f"… (more than {LINES_MAX:,} lines; the rest are not kept)",
            }
        details = message.get("details")
        if len(json.dumps(details)) > said.WORDS_MAX:
            details = said.short(details)
        about = {"task": self.attempt.task.name, "run": self.attempt.run, "details": details}
        self.say(level, said.short(message.get("message")), source="run.log", **about)

    async def _missing(self) -> Verdict:
        """The child ended without an outcome."""
        how = await self.child.ended
        if self.stop.look():
            raise StoppedError(f"stopped: {self.stop.reason}")
        if self._is_parked:
            return Verdict("parked")
        hint = "; perhaps it used more than its memory=" if how == "signal 9" else ""
        return Verdict("error", f"the child ended without an outcome ({how}){hint}", may_help=True)
