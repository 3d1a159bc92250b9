"""One run: claim it, fork a child, answer what it asks, and put what it made on record."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner import quota, seal
from runner.broker import lessons
from runner.clock import stamp
from runner.draft import canonical
from runner.errors import RunError, RunnerError, StoppedError, StoreError
from runner.stop import Door
from runner.store import attachments, batches, decisions, drafts, pages, questions, runs
from runner.store.drafts import Origin
from runner.store.store import new_id
from runner.talk import Talk
from runner.verdict import LASTING, Attempt, Verdict
from runner.vet import vet
from runner.wordless import holds_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy import Row

    from runner.broker import Broker
    from runner.catalog import Declared
    from runner.children import Child, Children
    from runner.draft import Kind
    from runner.stop import Stop
    from runner.store.decisions import Lesson
    from runner.store.store import Store, Transaction
    from runner.verdict import Made, Said

AGAIN_S = 5.0  #: before the second attempt; twice as long before each further one
STATE_MAX = 1 << 20  #: characters of run.state
RECENT = 20  #: decisions that run.recent tells


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
        return Attempt(row, task, self.kinds_of(task), json.loads(row.inputs), base, fields, self.stop.times)

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
                    self.stop.ask(Door.RUN, attempt.stops)
                    await child.send(order)
                    verdict = await self._talk(attempt, child).listen()
            return await self._checked(verdict)
        except TimeoutError:
            sentence = f"it took longer than its timeout of {limits.timeout} and was killed"
            return Verdict("timeout", sentence, may_help=True)
        except StoppedError as error:
            return Verdict("stopped", str(error))
        except RunnerError as error:
            return Verdict("error", str(error), may_help=type(error).__name__ not in LASTING)

    def _talk(self, attempt: Attempt, child: Child) -> Talk:
        return Talk(attempt, child, self.children, self.broker, self.stop, self.say)

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
        """The outcome, the state and the drafts: all of them in one transaction, or none.

        None of it is so of a run that ended with the release of a stop that came meanwhile.
        """
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
