"""One run: claim it, fork a child, answer what it asks, and put what it made on record."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner import quota, said, seal
from runner.broker import Session, lessons
from runner.clock import stamp
from runner.draft import canonical
from runner.errors import DraftError, ParkedError, RunError, RunnerError, StoppedError, StoreError
from runner.stop import Door
from runner.store import attachments, batches, decisions, drafts, pages, questions, runs
from runner.store.drafts import Origin
from runner.store.store import new_id
from runner.vet import vet
from runner.wordless import holds_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy import Row

    from runner.attached import Attached
    from runner.broker import Broker
    from runner.catalog import Declared
    from runner.children import Child, Children
    from runner.draft import Kind
    from runner.stop import Stop
    from runner.store.decisions import Lesson
    from runner.store.pages import Kept
    from runner.store.store import Store, Transaction

AGAIN_S = 5.0  #: before the second attempt; twice as long before each further one
STATE_MAX = 1 << 20  #: characters of run.state
PARK_S = 0.2  #: of silence after which a run that waits for a batch has asked all it can ask
ITEMS_MAX = 100  #: drafts and alerts of one run
ALERT_MAX = 10_000  #: characters of an alert
QUESTION_MAX = 1_000  #: characters of the question it may carry
LINES_MAX = 1000  #: lines that a run may put into the log
ASKING_MAX = 64  #: questions a child may have open at the same time
RECENT = 20  #: decisions that run.recent tells

#: errors that another attempt would only repeat
_LASTING = frozenset({"BudgetError", "ClaudeError", "DeclarationError", "StoppedError", "RunError"})


@dataclass(frozen=True, slots=True)
class Made:
    """A draft that a run returned, checked against its kind."""

    kind: Kind
    fields: dict[str, Any]
    call: int | None
    place: int
    files: dict[str, bytes]  #: what it attaches, by SHA-256


@dataclass(frozen=True, slots=True)
class Said:
    """An alert that a run returned."""

    text: str
    question: str = ""  #: for the owner to answer; empty is none


@dataclass(frozen=True, slots=True)
class Verdict:
    """How an attempt ended."""

    status: str
    error: str | None = None
    may_help: bool = False  #: whether another attempt could end otherwise
    alerts: tuple[Said, ...] = ()
    drafts: tuple[Made, ...] = ()
    state: dict[str, Any] | None = None
    degraded: tuple[str, ...] = ()
    pages: Mapping[str, Kept] = field(default_factory=dict)  #: that it got


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a run: what it is given, and the code that it begins with."""

    row: Row[Any]
    task: Declared
    kinds: Mapping[str, Kind]
    inputs: dict[str, Any]
    base: Row[Any] | None  #: the draft that is to be written anew; None for an ordinary run
    fields: dict[str, Any]  #: of that draft, as they stand

    @property
    def run(self) -> str:
        """The run's id."""
        return str(self.row.id)


@dataclass(slots=True)
class Executor:
    """Carries out runs, each in a child of its own."""

    home: Path
    store: Store
    stop: Stop
    children: Children
    broker: Broker
    kinds_of: Callable[[Declared], Mapping[str, Kind]]  #: the kinds that the task's module knows, by name
    files_of: Callable[[Declared], Mapping[str, Path]]  #: where the files are that the task may read, by name
    say: Callable[..., None]  #: for diagnostics: level, words, and what they are about
    approvals: Mapping[str, int]  #: by kind: how many people must say yes, where the owner says so
    again_s: float = AGAIN_S

    def begin(self, tx: Transaction, run: str, task: Declared) -> Attempt | None:
        """Claim a queued run for one attempt; None when somebody was faster. Committed before anything begins."""
        row = runs.begin(tx, run, self._inputs(tx, runs.get(tx.connection, run)))
        if row is None:
            return None
        base = drafts.get(tx.connection, row.revises) if row.revises else None
        fields = drafts.fields_of(tx.connection, row.revises) if row.revises else {}
        return Attempt(row, task, self.kinds_of(task), json.loads(row.inputs), base, fields)

    async def carry_out(self, attempt: Attempt) -> None:
        """Make an attempt that is claimed, to its place on record."""
        try:
            verdict = await self._attempt(attempt)
        except asyncio.CancelledError:
            self._conclude(attempt, Verdict("interrupted", "the runner ended", may_help=True))
            raise
        except Exception as error:  # noqa: BLE001 - a run must come to an end, whatever it met
            verdict = self._fault(attempt, error)
        try:
            self._conclude(attempt, verdict)
        except StoreError as error:
            self.stop.engage(str(error))  # the run is ended once the store can be written again
        except Exception as error:  # noqa: BLE001 - likewise: what can't be recorded came to nothing
            self._conclude(attempt, self._fault(attempt, error))

    def _fault(self, attempt: Attempt, error: Exception) -> Verdict:
        words = f"{type(error).__name__}: {error}" if not isinstance(error, RunnerError) else str(error)
        self.say("error", words, task=attempt.task.name, run=attempt.run)
        return Verdict("error", self.children.veil.over(words).encode(errors="replace").decode())

    def _inputs(self, tx: Transaction, row: Row[Any]) -> dict[str, Any]:
        """What the task is given: the same for each attempt, and for each revision of what it made."""
        if row.revises:
            first = runs.get(tx.connection, drafts.get(tx.connection, row.revises).run)
            given: dict[str, Any] = json.loads(first.inputs)
            return given
        recent = self._recent(tx, row.task)
        return {
            "now": stamp(tx.now),
            "slot": row.slot,
            "state": runs.state(tx.connection, row.task),
            "recent": [asdict(lesson) for lesson in recent],
            "lessons": lessons(recent),
            "pages": pages.digests(tx.connection, row.task),
        }

    def _recent(self, tx: Transaction, task: str) -> list[Lesson]:
        """What the owner decided on the task's drafts and answered it, newest first."""
        decided = decisions.lessons(tx.connection, task, RECENT)
        answered = questions.lessons(tx.connection, task, RECENT)
        return sorted([*decided, *answered], key=lambda lesson: lesson.at, reverse=True)[:RECENT]

    async def _attempt(self, attempt: Attempt) -> Verdict:
        """Fork, talk, and hear the outcome; whatever goes wrong becomes the verdict."""
        limits = attempt.task.limits
        try:
            async with self.children.fork(lambda line: self._printed(attempt, line)) as child:
                order = self._order(attempt)
                at_most = quota.kept(Path(order["folder"]), limits.disk, lambda: self.children.kill(child))
                async with asyncio.timeout(limits.timeout.total_seconds()), at_most:
                    self.stop.ask(Door.RUN)
                    await child.send(order)
                    verdict = await _Talk(self, attempt, child).listen()
            return await self._checked(verdict)
        except TimeoutError:
            sentence = f"it took longer than its timeout of {limits.timeout} and was killed"
            return Verdict("timeout", sentence, may_help=True)
        except StoppedError as error:
            return Verdict("stopped", str(error))
        except RunnerError as error:
            return Verdict("error", str(error), may_help=type(error).__name__ not in _LASTING)

    def _order(self, attempt: Attempt) -> dict[str, Any]:
        folder = self.home / ".runner" / "folders" / attempt.task.name
        is_open = not attempt.task.limits.sealed
        given = {name: attempt.inputs[name] for name in ("now", "slot", "state", "recent")}
        feedback, files = attempt.row.feedback, self.files_of(attempt.task)
        return {
            "op": "run",
            "memory": attempt.task.limits.memory,
            "folder": str(folder),
            "seal": seal.of_run(self.home, folder, self.children.user, is_open=is_open, files=files.values()),
            "files": {name: str(path) for name, path in files.items()},
            "environment": seal.environment(folder),
            "tasks": str(self.home / "tasks"),
            "file": attempt.task.file,
            "task": attempt.task.name,
            "run": attempt.run,
            "revision": {"fields": attempt.fields, "feedback": feedback} if attempt.base else None,
            **given,
        }

    def _printed(self, attempt: Attempt, line: str) -> None:
        self.say("info", line, task=attempt.task.name, run=attempt.run, source="print")

    async def _checked(self, verdict: Verdict) -> Verdict:
        """A verdict that may be recorded; STOP is asked once more, since a draft recorded is a draft shown."""
        if verdict.status != "ok":
            return verdict
        await vet(self.children, self.home, [(made.kind, made.fields) for made in verdict.drafts])
        for made in verdict.drafts:
            canonical(
                draft="", revision=1, kind=made.kind, fields=made.fields
            )  # what can't be written is no draft
        if len(json.dumps(verdict.state)) > STATE_MAX:
            raise RunError(f"run.state is larger than {STATE_MAX >> 20} MB; keep large things in run.folder")
        self.stop.ask(Door.DRAFT)
        return replace(verdict, status="degraded") if verdict.degraded else verdict

    def _conclude(self, attempt: Attempt, verdict: Verdict) -> None:
        """The outcome, the state and the drafts: all of them in one transaction, or none."""
        with self.store.change() as tx:
            if verdict.status == "parked":
                batches.park(tx, attempt.run)
                return
            is_last = attempt.row.attempt > attempt.task.limits.retries
            if verdict.may_help and not is_last:
                pause = timedelta(seconds=self.again_s * 2 ** (attempt.row.attempt - 1))
                if verdict.status == "interrupted":
                    pause = timedelta(0)
                runs.retry(tx, attempt.run, verdict.error or "", pause, verdict.status)
            elif self._finish(tx, attempt, verdict) and verdict.status in runs.GOOD:
                self._record(tx, attempt, verdict)

    def _finish(self, tx: Transaction, attempt: Attempt, verdict: Verdict) -> bool:
        error = verdict.error or "; ".join(verdict.degraded) or None
        made = [made.kind.name for made in verdict.drafts]
        return runs.finish(tx, attempt.run, verdict.status, error, made=made or None)

    def _record(self, tx: Transaction, attempt: Attempt, verdict: Verdict) -> None:
        for alert in verdict.alerts:
            self._alert(tx, attempt, alert)
        for made in verdict.drafts:
            attachments.keep(tx, made.files)
        if attempt.base is not None:
            self._revise(tx, attempt, attempt.base, verdict)
            return
        if verdict.state is not None and verdict.state != attempt.inputs["state"]:
            runs.keep_state(tx, attempt.task.name, verdict.state)
        pages.keep(tx, attempt.task.name, verdict.pages)
        for made in verdict.drafts:
            self._submit(tx, attempt, made)

    def _alert(self, tx: Transaction, attempt: Attempt, alert: Said) -> None:
        name, asked = attempt.task.name, alert.question or None
        number = questions.ask(tx, new_id(), name, attempt.run, asked) if asked else None
        about = {"task": name, "run": attempt.run, "text": alert.text}
        tx.tell("alert.raised", level="warning", **about, question=asked, question_id=number)

    def _submit(self, tx: Transaction, attempt: Attempt, made: Made) -> None:
        limits = attempt.task.limits
        origin = Origin(task=attempt.task.name, run=attempt.run, place=made.place, call=made.call)
        if (waits := drafts.same(tx.connection, origin.task, made.kind, made.fields)) is not None:
            tx.tell("draft.folded", draft=waits, task=origin.task, run=origin.run)
            return
        draft = new_id()
        drafts.add(tx, draft, origin, made.kind, made.fields, limits.expires, limits.revisions)
        if self._needs_nobody(made.kind):
            drafts.approve(tx, drafts.held(tx.connection, draft), by="auto: it holds no free text")

    def _needs_nobody(self, kind: Kind) -> bool:
        """Whether a draft of that kind goes out without a human: it can hold no words, and its owner asks for no yes."""
        return kind.auto and kind.name not in self.approvals and not holds_text(kind.schema_, kind.schema_)

    def _revise(self, tx: Transaction, attempt: Attempt, base: Row[Any], verdict: Verdict) -> None:
        """The draft's new revision: what stands in its place among what the run returned, if it is of its kind."""
        alike = [made for made in verdict.drafts if made.kind.name == base.kind]
        found = next((made for made in alike if made.place == base.place), alike[0] if alike else None)
        held = drafts.held(tx.connection, base.id)
        if found is None:
            drafts.unrevise(tx, base.id, f"the revision made no {base.kind}")
            return
        drafts.revise(
            tx,
            held,
            found.kind,
            found.fields,
            origin="revision",
            event="draft.revised",
            feedback=attempt.row.feedback,
            revision_run=attempt.run,
        )


@dataclass(slots=True)
class _Talk:
    """What is said between one child and its supervisor."""

    executor: Executor
    attempt: Attempt
    child: Child
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
                self.executor.broker.forget(self._session, message.get("position"))
            case "log":
                self._log(message)
            case "calling":
                pass
            case "outcome":
                return _outcome(self.attempt, said.outcome(message), self._session)
            case "failed":
                return _failure(said.failure(message))
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
            self.executor.children.kill(self.child)

    async def _reply(self, message: dict[str, Any]) -> None:
        try:
            reply = {"ok": await self.executor.broker.answer(self._session, message)}
        except ParkedError:
            self._waits = True
            return
        except RunnerError as error:
            reply = {"error": str(error), "type": type(error).__name__}
        except Exception as error:  # noqa: BLE001 - whatever a child asks, it and nobody else is told
            self.executor.say("error", f"{type(error).__name__}: {error}", task=self.attempt.task.name)
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
        self.executor.say(level, said.short(message.get("message")), source="run.log", **about)

    async def _missing(self) -> Verdict:
        """The child ended without an outcome."""
        how = await self.child.ended
        if self.executor.stop.look():
            raise StoppedError(f"stopped: {self.executor.stop.reason}")
        if self._is_parked:
            return Verdict("parked")
        hint = "; perhaps it used more than its memory=" if how == "signal 9" else ""
        return Verdict("error", f"the child ended without an outcome ({how}){hint}", may_help=True)


def _failure(failure: said.Failure) -> Verdict:
    place = f" ({failure.file}:{failure.line})" if failure.file else ""
    return Verdict("error", said.short(failure.error) + place, may_help=failure.kind not in _LASTING)


def _outcome(attempt: Attempt, outcome: said.Outcome, session: Session) -> Verdict:
    """What the task returned; raises `RunError` for what no task can return."""
    made = outcome.made
    if len(made) > ITEMS_MAX:
        raise RunError(f"a run may return up to {ITEMS_MAX} drafts and alerts")
    return Verdict(
        "ok",
        alerts=tuple(_alert(item.alert, item.question) for item in made if item.alert is not None),
        drafts=tuple(
            _made(attempt, place, item, session.attached)
            for place, item in enumerate(made)
            if item.draft is not None
        ),
        state=outcome.state,
        degraded=tuple(said.short(why) for why in outcome.degraded[:ITEMS_MAX]),
        pages=session.pages,
    )


def _alert(text: str, question: str) -> Said:
    if len(text) > ALERT_MAX:
        raise RunError(f"an Alert is a text of at most {ALERT_MAX:,} characters")
    if len(question) > QUESTION_MAX:
        raise RunError(f"an Alert's question is a text of at most {QUESTION_MAX:,} characters")
    return Said(text, question)


def _made(attempt: Attempt, place: int, item: said.Item, attached: Attached) -> Made:
    kind = attempt.kinds.get(item.draft or "")
    if kind is None:
        known = ", ".join(attempt.kinds) or "none"
        raise DraftError(
            f"the task returned a {item.draft}, a kind that tasks/{attempt.task.file} doesn't name; "
            f"import its class there; it names: {known}"
        )
    return Made(kind, item.fields, item.call, place, attached.files(item.fields))
