"""Questions that may wait: handed to Claude's batches, looked at until they end, and their runs let go on.

Each step is committed before and after it is taken. Killed in between, only one is in doubt: whether a batch that
was being handed over has arrived. That is told, and the question asked once more.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from runner.claude.batch import request
from runner.claude.question import Question
from runner.clock import stamp
from runner.errors import (
    BatchGoneError,
    BatchLostError,
    ClaudeError,
    ParkedError,
    RunnerError,
    StoppedError,
    TransientClaudeError,
)
from runner.ledger import Asker, keep, pay
from runner.purses import scopes
from runner.store import batches, runs
from runner.store.batches import LIVE, State

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from decimal import Decimal

    from sqlalchemy import Row

    from runner.broker import Session
    from runner.claude.batch import Batches, Result
    from runner.claude.budget import Budget
    from runner.claude.question import Answer
    from runner.purses import Purses
    from runner.stop import Stop
    from runner.store.store import Store, Transaction

SLOWER = 1.5  #: by how much longer each pause is than the one before
SLOWEST = 10  #: times the first pause
LOST_MOST = 2  #: batches of one question that may be lost before it is asked directly
CLOSING_S = 5.0
ENDED = timedelta(
    days=2
)  #: after its patience, when the API has ended each batch, and knows those that it took
KEPT = timedelta(days=30)  #: likewise, when the API keeps the result of none


@dataclass(slots=True)
class Patience:
    """The way of questions through batches, and of their runs."""

    store: Store
    stop: Stop
    api: Batches
    budget: Budget
    purses: Purses
    price: Callable[..., Decimal | None]  #: the most that a request can cost
    say: Callable[..., None]
    look_s: float  #: between two looks at a batch
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _steps: dict[int, asyncio.Task[None]] = field(default_factory=dict)  #: under way, by batch
    _later: dict[tuple[int, str], float] = field(default_factory=dict)  #: when a step may be taken
    _pauses: dict[tuple[int, str], float] = field(
        default_factory=dict
    )  #: how long the last pause before it was
    _is_idle: bool = False

    # --- what a run asks

    async def wait(self, session: Session, position: int, question: Question) -> None:
        """Return where the question is to be asked directly; otherwise raises `ParkedError`, or why it can't be asked."""
        await self.api.ready()
        with self.store.read() as connection:
            row = batches.newest(connection, session.run, position)
        if row is None or (row.state == State.ANSWERED and row.digest == question.digest):
            self._want(session, position, question)
        elif row.digest != question.digest:
            self._changed(row)
            return
        elif row.state == State.REFUSED:
            raise ClaudeError(row.reason)
        elif row.state not in LIVE or self._is_over(row, batches.CANCEL):
            return
        raise ParkedError

    def _want(self, session: Session, position: int, question: Question) -> None:
        """Note the question; from then on it counts against the budgets by what is on record."""
        bound = self.price(question.model, request(question), is_batch=True)
        with self.store.read() as connection:
            purses = self.purses.of_run(connection, session.run, session.task)
        within = scopes(session.run, session.task)
        with (
            self.budget.reserve(purses, within, bound=bound, model=question.model),
            self.store.change() as tx,
        ):
            assert bound is not None  # a run's own purse refuses what has no price
            limits = session.task.limits
            about = {"run": session.run, "task": session.task.name, "label": limits.label}
            about |= {"digest": question.digest}
            asked: dict[str, Any] = {"question": question.as_json(), "by": "batch"}
            tx.tell("claude.asked", run=session.run, task=session.task.name, position=position, **asked)
            batches.want(tx, about, position, question.as_json(), bound, tx.now + limits.patience)
        self.look()

    def _changed(self, row: Row[Any]) -> None:
        """The run asks something else than it did before it was parked: what it waits for is of no use."""
        words = "its question changed while it was parked, so it is asked directly; use run.now() and not the clock"
        with self.store.change() as tx:
            if row.state in LIVE:
                batches.move(tx, row, State(row.state), until=stamp(tx.now))
            self._tell(tx, "batch.unused", row, level="warning", reason=words)

    # --- what becomes of it

    def look(self) -> None:
        """Look around soon: there may be something to do."""
        self._is_idle = False
        self._news.set()

    def tap(self) -> None:
        """The same, if anything is under way."""
        if not self._is_idle:
            self._news.set()

    async def work(self) -> None:
        """See to what is under way, for as long as the runner is up."""
        try:
            while True:
                self._news.clear()
                self._round()
                with suppress(TimeoutError):
                    async with asyncio.timeout(None if self._is_idle else self.look_s):
                        await self._news.wait()
        finally:
            await self._close()

    async def _close(self) -> None:
        """Break off what is under way; what is being handed over may first learn whether it arrived."""
        steps = list(self._steps.values())
        if sending := [step for step in steps if step.get_name() == "send"]:
            await asyncio.wait(sending, timeout=CLOSING_S)
        for step in steps:
            step.cancel()
        await asyncio.gather(*steps, return_exceptions=True)

    def _round(self) -> None:
        """Take each step that is due, beside the others."""
        with self.store.read() as connection:
            rows = batches.live(connection)
            is_over = any(row.is_wanted and self._is_over(row, batches.CANCEL) for row in rows)
            can_go_on = is_over and batches.can_go_on(connection, self.store.clock.now())
        self._is_idle = not rows
        for row in rows:
            step = self._step(row)
            if step and row.id not in self._steps and self._is_due(row, step):
                work = asyncio.get_running_loop().create_task(self._take(row, step), name=step)
                self._steps[row.id] = work
        if can_go_on:
            with self.store.change() as tx:
                batches.go_on(tx)

    def _step(self, row: Row[Any]) -> str:
        """What is to be done next about a batch; empty: nothing."""
        is_unwanted = not row.is_wanted or self._is_over(row)
        match row.state:
            case State.ASKING:  # and nothing is under way: it was cut off
                return "lose"
            case State.WANTED if is_unwanted:
                return "drop"
            case State.OPEN if is_unwanted:
                return "cancel"
            case State.WANTED if not self.stop.reason:
                return "send"
            case State.OPEN | State.CANCELING if not self.stop.reason:
                return "look"
        return ""

    async def _take(self, row: Row[Any], step: str) -> None:
        steps: dict[str, Callable[[Row[Any]], Awaitable[Any]]] = {
            "drop": self._drop,
            "lose": self._lose,
            "cancel": self._cancel,
            "send": self._send,
            "look": self._see,
        }
        try:
            await steps[step](row)
        except StoppedError:
            self._pause(row, step)
        except Exception as error:  # noqa: BLE001 - the next look may go better, and the patience ends
            words = str(error) if isinstance(error, RunnerError) else f"{type(error).__name__}: {error}"
            self.say("warning", f"a batch could not be seen to ({step}): {words}", task=row.task, run=row.run)
            self._pause(row, step)
        finally:
            del self._steps[row.id]
            self._news.set()

    async def _drop(self, row: Row[Any]) -> None:
        """It was never handed over, and no longer need be."""
        if row.is_wanted:
            self._end(row, State.FAILED, "it could not be handed over while the task's patience lasted")
        else:
            self._end(row, State.DROPPED, "its run has ended")

    async def _lose(self, row: Row[Any]) -> None:
        """Nobody knows whether it was handed over: the runner ended, or could not put it on record."""
        self._lost(row, "the runner was cut off while it was being handed over")

    async def _send(self, row: Row[Any]) -> None:
        with self.store.change() as tx:
            if not batches.move(tx, row, State.ASKING):
                return
        asking = _as(row, State.ASKING)
        try:
            batch = await self.api.create(_question(row), f"{row.digest[:40]}-{row.id}")
        except (TransientClaudeError, StoppedError):
            with self.store.change() as tx:
                batches.move(tx, asking, State.WANTED)
            raise
        except BatchLostError as error:
            self._lost(asking, str(error))
        except ClaudeError as error:
            self._end(asking, State.REFUSED, str(error))
        else:
            with self.store.change() as tx:
                batches.move(tx, asking, State.OPEN, batch=batch)
                self._tell(tx, "batch.sent", row, batch=batch)
            self._later[row.id, "look"] = self.store.clock.monotonic() + self.look_s

    async def _see(self, row: Row[Any]) -> bool:
        """Look what became of it; whether that is known."""
        result, why = None, "it did not end within two days"
        try:
            result = await self.api.result(row.batch, f"{row.digest[:40]}-{row.id}", _question(row))
        except ClaudeError as error:
            if not self._is_over(row, ENDED if isinstance(error, BatchGoneError) else KEPT):
                raise
            why = str(error)
        if result is not None:
            self._settle(row, result)
        elif self._is_over(row, ENDED):
            self._end(row, State.FAILED, why)
        else:
            self._pause(row, "look")
            return False
        return True

    async def _cancel(self, row: Row[Any]) -> None:
        try:
            await self.api.cancel(row.batch)
        except ClaudeError:  # as where it has ended
            if not await self._see(row):
                raise
            return
        reason = "the task's patience is over" if row.is_wanted else "its run has ended"
        with self.store.change() as tx:
            batches.move(tx, row, State.CANCELING, reason=reason)
            self._tell(tx, "batch.canceled", row, batch=row.batch, reason=reason)

    def _settle(self, row: Row[Any], result: Result) -> None:
        """Put on record what a batch came to, and what it cost."""
        asker = Asker(row.run, row.task, row.label)
        ended = {"answered": State.ANSWERED, "refused": State.REFUSED, "failed": State.FAILED}[result.outcome]
        with self.store.change() as tx:
            if not batches.move(tx, row, ended, reason=result.reason or None):
                return
            if result.spent is not None:
                pay(tx, asker, result.spent, self.purses)
            if result.answer is not None:
                self._keep(tx, row, result.answer)
            self._told_end(tx, row, ended, result.reason)

    def _keep(self, tx: Transaction, row: Row[Any], answer: Answer) -> None:
        """The answer is the run's, unless it came too late and the run was given another."""
        given = runs.call(tx.connection, row.run, row.position)
        if given is None or not given.digest:
            keep(tx, Asker(row.run, row.task, row.label), row.position, _question(row), answer)
        else:
            words = "its answer came after the question had been asked directly"
            self._tell(tx, "batch.unused", row, level="warning", reason=words)

    def _end(self, row: Row[Any], state: State, reason: str) -> None:
        with self.store.change() as tx:
            if batches.move(tx, row, state, reason=reason):
                self._told_end(tx, row, state, reason)

    def _told_end(self, tx: Transaction, row: Row[Any], state: State, reason: str) -> None:
        level = "info" if state in (State.ANSWERED, State.DROPPED) else "warning"
        self._tell(tx, "batch.ended", row, level=level, batch=row.batch, state=state, reason=reason or None)
        batches.go_on(tx)

    def _lost(self, row: Row[Any], why: str) -> None:
        with self.store.change() as tx:
            if not batches.move(tx, row, State.LOST, reason=why):
                return
            self._tell(tx, "batch.lost", row, level="warning", reason=why)
            if batches.count_lost(tx.connection, row.run, row.position) < LOST_MOST:
                batches.again(tx, row)
            batches.go_on(tx)

    def _tell(self, tx: Transaction, event: str, row: Row[Any], **details: Any) -> None:
        tx.tell(event, run=row.run, task=row.task, position=row.position, **details)

    def _is_over(self, row: Row[Any], grace: timedelta = timedelta(0)) -> bool:
        return bool(row.until <= stamp(self.store.clock.now() - grace))

    def _is_due(self, row: Row[Any], step: str) -> bool:
        return self.store.clock.monotonic() >= self._later.get((row.id, step), 0)

    def _pause(self, row: Row[Any], step: str) -> None:
        """Take that step again later, and later each time."""
        key = (row.id, step)
        pause = min(self._pauses.get(key, self.look_s / SLOWER) * SLOWER, self.look_s * SLOWEST)
        self._pauses[key] = pause
        self._later[key] = self.store.clock.monotonic() + pause


def _question(row: Row[Any]) -> Question:
    return Question.from_json(json.loads(row.question))


@dataclass(frozen=True, slots=True)
class _Moved:
    """A batch whose state is another than its row says."""

    row: Row[Any]
    state: State

    def __getattr__(self, name: str) -> Any:
        return getattr(self.row, name)


def _as(row: Row[Any], state: State) -> Any:
    return _Moved(row, state)
