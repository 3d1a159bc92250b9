"""Carries out decisions: each is judged at the gate and committed with its event, or refused in words and on record."""

from __future__ import annotations

import difflib
import json
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from runner.attachment import attachments
from runner.draft import canonical, render
from runner.errors import DecisionError, DraftError, RunnerError, StoppedError, StoreError
from runner.fit import check_apart
from runner.gate import (
    Approve,
    Change,
    Decision,
    Edit,
    Held,
    Refusal,
    Reject,
    Resolve,
    Revise,
    State,
    Undo,
    Withdraw,
    decide,
)
from runner.stop import Door, remove_ours, sight, write
from runner.store import decisions, deliveries, drafts, runs, stops
from runner.store.store import new_id

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from runner.stop import Stop
    from runner.store.store import Store, Transaction

FEEDBACK_MAX = 10_000  #: characters of a reason or of feedback
LESSON_MAX = 1_500  #: characters of an edit that later runs are told


@dataclass(frozen=True, slots=True)
class Sheet:
    """A draft as it lies before its reviewer."""

    held: Held
    task: str
    run: str
    kind: str
    created: str
    note: str  #: why it came back, or how it ended; empty when there is nothing to say
    fields: dict[str, Any]
    rendering: str  #: all of the content, exactly as it will be delivered


@dataclass(slots=True)
class Desk:
    """Where a person's decisions are taken; `by` names the person in each."""

    store: Store
    stop: Stop
    approvals: Mapping[str, int] = field(
        default_factory=dict
    )  #: by kind: how many people must say yes, if not one

    def sheet(self, draft: str) -> Sheet:
        """The draft with that id, or whose id begins so; raises `GoneError`."""
        with self.store.read() as connection:
            draft = drafts.resolve(connection, draft)
            row, content = drafts.get(connection, draft), drafts.content(connection, draft)
            held = drafts.held(connection, draft)
        fields = json.loads(content)["fields"]
        return Sheet(held, row.task, row.run, row.kind, row.created, row.note or "", fields, render(content))

    def approve(self, draft: str, digest: str, by: str, *, not_before: datetime | None = None) -> bool:
        """Yes, to exactly that digest; carried out at once, or not before an hour.

        Whether that was enough: some kinds need the yes of two different people.
        """

        def carry(tx: Transaction, held: Held) -> None:
            if len(held.yeses) + 1 < held.needs:
                decisions.endorse(tx, held, by)
            else:
                drafts.approve(tx, held, by, not_before)

        return self._decide(draft, Approve(digest, not_before, by), by, carry).state is State.APPROVED

    def reject(self, draft: str, digest: str, by: str, reason: str = "") -> None:
        """No, to that digest; the reason reaches the task's next runs."""

        def carry(tx: Transaction, held: Held) -> None:
            drafts.move(tx, held, State.REJECTED, note=reason or None)
            decisions.decided(tx, held, "reject", by, reason[:FEEDBACK_MAX])
            self._tell(tx, "draft.rejected", held, by, reason=reason)

        self._decide(draft, Reject(digest, reason), by, carry)

    def revise(self, draft: str, digest: str, by: str, feedback: str) -> str:
        """Another try with that feedback; the id of the run that makes it."""
        if not feedback.strip():
            raise DraftError("say what is to change: a revision needs feedback")
        run = new_id()

        def carry(tx: Transaction, held: Held) -> None:
            drafts.move(tx, held, State.REVISING, revisions_left=held.revisions_left - 1)
            decisions.decided(tx, held, "revise", by, feedback[:FEEDBACK_MAX])
            runs.add(tx, run, held.task, revises=held.id, feedback=feedback[:FEEDBACK_MAX])
            self._tell(tx, "draft.revising", held, by, feedback=feedback)

        self._decide(draft, Revise(digest, feedback), by, carry)
        return run

    def edit(self, draft: str, digest: str, by: str, fields: Mapping[str, Any]) -> str:
        """The reviewer's own words: a new revision, still to be approved; its digest. Raises `DraftError`."""
        new = ""

        def carry(tx: Transaction, held: Held) -> None:
            nonlocal new
            kind, old = drafts.kind_of(tx.connection, held.id), drafts.fields_of(tx.connection, held.id)
            check_apart(kind, fields)
            _check_attachments(old, fields)
            canonical(draft=held.id, revision=held.revision + 1, kind=kind, fields=fields)
            new = drafts.revise(tx, held, kind, fields, origin="edit", by=by, event="draft.edited")
            decisions.decided(tx, held, "edit", by, changes(old, fields))

        self._decide(draft, Edit(digest), by, carry)
        return new

    def withdraw(self, draft: str, digest: str, by: str) -> None:
        """Take it back; nobody learns anything from that."""

        def carry(tx: Transaction, held: Held) -> None:
            drafts.move(tx, held, State.WITHDRAWN, note=f"withdrawn by {by}")
            self._tell(tx, "draft.withdrawn", held, by)

        self._decide(draft, Withdraw(digest), by, carry)

    def undo(self, draft: str, by: str) -> None:
        """Take an approval back while its delivery has not begun."""

        def carry(tx: Transaction, held: Held) -> None:
            drafts.move(tx, held, State.PENDING, note=f"the approval was taken back by {by}")
            decisions.decided(tx, held, "undo", by)
            self._tell(tx, "draft.returned", held, by, reason="undone")

        self._decide(draft, Undo(), by, carry)

    def resolve(self, draft: str, by: str, *, was_delivered: bool) -> None:
        """What a person found out about an uncertain delivery."""

        def carry(tx: Transaction, held: Held) -> None:
            word = "delivered" if was_delivered else "not delivered"
            decisions.decided(tx, held, f"resolve: {word}", by)
            attempt = deliveries.last(tx.connection, held.id)
            assert attempt is not None
            if was_delivered:
                receipt = {"detail": f"{by} saw that it was delivered"}
                deliveries.conclude(tx, held, attempt.id, State.DELIVERED, receipt=receipt)
                return
            drafts.move(tx, held, State.PENDING, note=f"{by} saw that it was not delivered")
            deliveries.end(tx, attempt.id, "failed")
            self._tell(tx, "draft.returned", held, by, reason="resolved: not delivered")

        self._decide(draft, Resolve(was_delivered), by, carry)

    def halt(self, by: str, reason: str = "") -> None:
        """Stop everything, now; where no file can be written, without one."""
        words = reason or f"stopped by {by}"
        with suppress(OSError):
            write(self.stop.path, words)
        if not self.stop.look():
            self.stop.engage(words)

    def resume(self, by: str) -> bool:
        """Let the runner go again; False when it was not stopped. Raises `StoppedError` while the STOP file is there.

        A file that `runner stop` wrote is taken away; one that anybody else put there is theirs to remove.
        """
        self.stop.look()
        times, reason = self.stop.times, self.stop.reason
        is_new = not self.stop.is_recorded or sight(self.stop.path) is not None
        if not remove_ours(self.stop.path):
            raise StoppedError(
                f"{self.stop.path} is still there, and the runner did not write it; remove it first"
            )
        with self.store.change() as tx:
            # one that nobody has put on record yet voids what was approved before it too
            if reason is not None and is_new:
                stops.engage(tx, reason, "the STOP file")
            was_stopped = stops.release(tx, by)
        self.stop.recorded = times
        self.stop.release()
        return was_stopped

    def _decide(
        self, draft: str, decision: Decision, by: str, carry: Callable[[Transaction, Held], None]
    ) -> Change:
        """Judge, and carry out in the same transaction; a refusal is raised and put on record."""
        try:
            self.stop.ask(Door.DECISION)
            with self.store.change() as tx:
                if latch := stops.latched(tx.connection):
                    raise StoppedError(f"stopped ({latch.reason}): nothing is decided until `runner resume`")
                held = self._held(tx, draft)
                verdict = decide(held, decision, tx.now)
                if isinstance(verdict, Refusal):
                    raise DecisionError(verdict.reason)
                carry(tx, held)
                return verdict
        except StoreError:
            raise  # no refusal: nothing was judged
        except RunnerError as error:
            word = type(decision).__name__.lower()
            self.store.tell(
                "decision.refused", level="warning", draft=draft, decision=word, by=by, reason=str(error)
            )
            raise

    def _held(self, tx: Transaction, draft: str) -> Held:
        """The draft, with who said yes to it where one person's yes is not enough."""
        held = drafts.held(tx.connection, draft)
        needs = self.approvals.get(held.kind, 1)
        return held if needs == 1 else replace(held, needs=needs, yeses=decisions.yeses(tx.connection, held))

    def _tell(self, tx: Transaction, event: str, held: Held, by: str, **details: Any) -> None:
        tx.tell(event, draft=held.id, task=held.task, digest=held.digest, by=by, **details)


def _check_attachments(old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """An edit may leave attachments out, and make up none: a person's words hold no file."""
    known = list(attachments(dict(old)))
    for each in attachments(dict(new)):
        if each not in known:
            raise DraftError("an edit can take an attachment away, not change it or add one")


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """What an edit changed, for the runs to come: the lines that went and those that came."""
    lines = []
    for name in new:
        before, after = (str(fields.get(name, "")).splitlines() for fields in (old, new))
        if before != after:
            different = [line for line in difflib.ndiff(before, after) if line[:2] in {"- ", "+ "}]
            lines += [f"the owner changed {name}:", *different]
    return "\n".join(lines)[:LESSON_MAX]
