"""The budgets: what fits begins, and nothing overshoots, however many calls are open."""

from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.claude.budget import Budget, Purse
from runner.errors import BudgetError

USD = Decimal


class Kept:
    """The budgets under test, and the limits that their owner set."""

    def __init__(self, daily: str | None = None, spent_today: str = "0") -> None:
        self.daily, self.spent_today = daily, spent_today
        self.budget = Budget()

    def purses(self, run: str, limit: str | None, spent: str) -> list[Purse]:
        found = []
        if self.daily is not None:
            found.append(a_purse("all", "the day's budget", self.daily, self.spent_today))
        if limit is not None:
            found.append(a_purse(f"run {run}", "the run's budget", limit, spent))
        return found

    def in_flight(self) -> Decimal:
        return self.budget.in_flight()


def a_purse(scope: str, words: str, limit: str, spent: str, *, is_own: bool = False) -> Purse:
    where = {"all": "RUNNER_DAILY_BUDGET_USD"}.get(scope, "budget= in its task")
    return Purse(
        scope=scope,
        words=words,
        where=where,
        remedy="raise it",
        limit=USD(limit),
        spent=USD(spent),
        is_own=is_own,
    )


def budget(daily: str | None = None, spent_today: str = "0") -> Kept:
    return Kept(daily, spent_today)


def reserve(  # noqa: PLR0913 - each a word of the budget
    kept: Kept,
    bound: str | None = "0.01",
    *,
    run: str = "r1",
    limit: str | None = None,
    spent: str = "0",
    model: str = "claude-fable-5-2",
) -> AbstractContextManager[None]:
    return kept.budget.reserve(
        kept.purses(run, limit, spent),
        frozenset({"all", f"run {run}"}),
        bound=None if bound is None else USD(bound),
        model=model,
    )


def test_without_a_limit_every_call_is_allowed() -> None:
    with reserve(budget(), "1000"), reserve(budget(), None):
        pass


def test_a_call_that_just_fits_is_allowed() -> None:
    with reserve(budget("1.00", "0.95"), "0.05"):
        pass


def test_a_call_that_may_cost_more_than_the_day_has_left_is_refused_with_the_sums() -> None:
    kept = budget("1.00", "0.97")
    expected = (
        r"the day's budget of \$1\.00 \(RUNNER_DAILY_BUDGET_USD\) is used up: "
        r"\$0\.97 spent, \$0\.02 in flight, and this call may cost \$0\.06"
    )
    with reserve(kept, "0.02"), pytest.raises(BudgetError, match=expected), reserve(kept, "0.06"):
        pass


def test_calls_in_flight_together_cant_overshoot() -> None:
    kept = budget("0.10")
    with ExitStack() as held:
        for _ in range(3):
            held.enter_context(reserve(kept, "0.03"))
        with pytest.raises(BudgetError):
            held.enter_context(reserve(kept, "0.03"))
        assert kept.in_flight() == USD("0.09")


def test_a_reservation_ends_with_its_call_even_when_that_fails() -> None:
    kept = budget("0.05")
    with pytest.raises(ZeroDivisionError), reserve(kept, "0.05"):
        raise ZeroDivisionError
    assert kept.in_flight() == 0


def test_a_runs_own_budget_counts_only_its_own_calls() -> None:
    kept = budget()
    with reserve(kept, "0.08", run="a", limit="0.10"):
        with reserve(kept, "0.08", run="b", limit="0.10"):
            pass
        with (
            pytest.raises(BudgetError, match=r"the run's budget of \$0\.10"),
            reserve(kept, "0.08", run="a", limit="0.10"),
        ):
            pass


def test_what_the_run_has_spent_counts_against_its_budget() -> None:
    with pytest.raises(BudgetError), reserve(budget(), "0.02", limit="0.10", spent="0.09"):
        pass


@pytest.mark.parametrize(("daily", "limit"), [("1", None), (None, "1")])
def test_an_unknown_price_is_refused_where_any_budget_is_set(daily: str | None, limit: str | None) -> None:
    with pytest.raises(BudgetError, match=r"claude-nobody-9.*RUNNER_MODEL"):  # noqa: SIM117
        with reserve(budget(daily), None, limit=limit, model="claude-nobody-9"):
            pass


def test_small_amounts_are_not_rounded_away() -> None:
    with pytest.raises(BudgetError, match=r"\$0\.0004 spent.*may cost \$0\.0012"):  # noqa: SIM117
        with reserve(budget("0.001", "0.0004"), "0.0012"):
            pass


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 40)), max_size=40))
def test_spent_and_in_flight_never_exceed_the_day(steps: list[tuple[bool, int]]) -> None:
    kept = budget("100")
    open_calls: list[tuple[AbstractContextManager[None], int]] = []
    for begins, amount in steps:
        if begins:
            call = reserve(kept, str(amount))
            try:
                call.__enter__()
            except BudgetError:
                continue
            open_calls.append((call, amount))
        elif open_calls:
            call, bound = open_calls.pop()
            kept.spent_today = str(USD(kept.spent_today) + bound)
            call.__exit__(None, None, None)
        assert USD(kept.spent_today) + kept.in_flight() <= 100


@pytest.mark.parametrize(
    ("spent", "in_flight", "pauses"), [("0.09", "0", True), ("0.05", "0.04", False), ("0.05", "0", None)]
)
def test_only_what_is_spent_pauses_a_task_and_not_what_may_yet_cost_less(
    spent: str, in_flight: str, *, pauses: bool | None
) -> None:
    kept = Budget()
    purse = a_purse("task note", "the day's budget of task note", "0.10", spent, is_own=True)
    within = frozenset({"task note"})
    with kept.reserve([], within, bound=USD(in_flight), model="m"):
        if pauses is None:
            with kept.reserve([purse], within, bound=USD("0.02"), model="m"):
                return
        with pytest.raises(BudgetError) as caught:  # noqa: SIM117
            with kept.reserve([purse], within, bound=USD("0.02"), model="m"):
                pass
    assert caught.value.pauses is pauses


def test_what_waits_in_batches_counts_as_in_flight() -> None:
    purse = a_purse("all", "the day's budget", "0.10", "0.05")
    with (
        pytest.raises(BudgetError, match=r"\$0\.04 in flight"),
        Budget().reserve([replace(purse, waiting=USD("0.04"))], frozenset(), bound=USD("0.02"), model="m"),
    ):
        pass
