"""Whose money a call spends: the purses of a run, its task, its label and of all, as settings and store have them."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from runner.claude.budget import Purse, usd
from runner.clock import first_of_month, midnight
from runner.store import batches, money, runs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from sqlalchemy import Connection

    from runner.catalog import Declared
    from runner.clock import Clock
    from runner.settings import Settings
    from runner.store.store import Transaction
    from runner.tables import Allowance

NEAR = Decimal("0.8")  #: the share of a purse at which its owner is told


def scopes(run: str, task: Declared) -> frozenset[str]:
    """Where a call of that run counts while it is in flight."""
    label = {f"label {task.limits.label}"} if task.limits.label else set()
    return frozenset({"all", f"run {run}", f"task {task.name}"} | label)


@dataclass(frozen=True, slots=True)
class Purses:
    """Makes the purses from what the owner set and what is on record."""

    settings: Settings
    clock: Clock

    def of_run(self, connection: Connection, run: str, task: Declared) -> list[Purse]:
        """Every purse that a call of that run takes from."""
        spent, _, _ = runs.bill(connection, run)
        own = Purse(
            scope=f"run {run}",
            words="the run's budget",
            where="budget= in its task",
            remedy="raise it, or lower max_tokens",
            limit=Decimal(str(task.limits.budget)),
            spent=spent,
            waiting=batches.held(connection, self.clock.now(), run=run),
        )
        return [*self.of_task(connection, task.name, task.limits.label), own]

    def of_task(self, connection: Connection, task: str, label: str) -> list[Purse]:
        """Those that the runs of the task share, with one another or with all."""
        alone = (*self._of_name(connection, task), *self._of_label(connection, label))
        return [*self._of_all(connection), *alone]

    def are_spent(self, connection: Connection, task: Declared) -> bool:
        """Whether one of those that the task shares is used up."""
        return any(purse.is_spent for purse in self.of_task(connection, task.name, task.limits.label))

    def warn(self, tx: Transaction, task: str, label: str) -> None:
        """Tell of each purse that is nearly used up, once in its day or month."""
        for purse in self.of_task(tx.connection, task, label):
            is_near = 0 < purse.limit * NEAR <= purse.spent
            if is_near and money.warn(tx, purse.scope, purse.period):
                share = int(100 * purse.spent / purse.limit)
                reason = f"{share} % of {purse.words} of {usd(purse.limit)} ({purse.where}) is spent"
                tx.tell("budget.near", level="warning", task=task, purse=purse.scope, reason=reason)

    def _of_all(self, connection: Connection) -> Iterator[Purse]:
        known = self.settings
        limits = {"day": known.daily_budget_usd, "month": known.monthly_budget_usd}
        where = {"day": "RUNNER_DAILY_BUDGET_USD", "month": "RUNNER_MONTHLY_BUDGET_USD"}
        wait = {"day": "wait for tomorrow", "month": "wait for the next month"}
        for span, limit in limits.items():
            if limit is not None:
                since, period = self._span(span)
                yield Purse(
                    scope="all",
                    words=f"the {span}'s budget",
                    where=where[span],
                    remedy=f"{wait[span]}, raise it, or lower max_tokens",
                    limit=limit,
                    spent=money.spent(connection, since),
                    waiting=batches.held(connection, self.clock.now()),
                    period=period,
                )

    def _of_name(self, connection: Connection, task: str) -> Iterator[Purse]:
        return self._own(connection, "task", task, self.settings.budgets.tasks.get(task))

    def _of_label(self, connection: Connection, label: str) -> Iterator[Purse]:
        return self._own(
            connection, "label", label, self.settings.budgets.labels.get(label) if label else None
        )

    def _own(
        self, connection: Connection, whose: Literal["task", "label"], name: str, allowance: Allowance | None
    ) -> Iterator[Purse]:
        """What the owner allows one task, or one label."""
        counted = {whose: name}
        for span, limit in _set(allowance):
            since, period = self._span(span)
            yield Purse(
                scope=f"{whose} {name}",
                words=f"the {span}'s budget of {whose} {name}",
                where=f"[budgets.{whose}s.{name}]",
                remedy="raise it, or lower max_tokens",
                limit=limit,
                spent=money.spent(connection, since, **counted),
                waiting=batches.held(connection, self.clock.now(), **counted),
                period=period,
                is_own=True,
            )

    def _span(self, span: str) -> tuple[datetime, str]:
        """When the owner's day or month began, and its name."""
        now, zone = self.clock.now(), self.settings.zone
        here = now.astimezone(zone)
        return (
            (midnight(now, zone), f"{here:%Y-%m-%d}")
            if span == "day"
            else (first_of_month(now, zone), f"{here:%Y-%m}")
        )


def _set(allowance: Allowance | None) -> Iterator[tuple[str, Decimal]]:
    if allowance is not None:
        yield from (
            (span, limit)
            for span, limit in (("day", allowance.day), ("month", allowance.month))
            if limit is not None
        )
