"""The budgets: a call begins only if the dearest it can come to still fits, calls in flight included."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal

from runner.errors import BudgetError


@dataclass(frozen=True, slots=True, eq=False)
class _Reservation:
    """What a call in flight may still come to."""

    run: str
    bound: Decimal


class Budget:
    """The day's budget and the runs' own, with what is in flight kept in memory.

    `daily` is in USD; None sets no limit for the day. `spent_today` is asked at each reservation, so what a
    call cost must be on record before its reservation ends.
    """

    def __init__(self, daily: Decimal | None, spent_today: Callable[[], Decimal]) -> None:
        self._daily = daily
        self._spent_today = spent_today
        self._held: set[_Reservation] = set()

    @contextmanager
    def reserve(
        self, run: str, *, limit: Decimal | None, spent: Decimal, bound: Decimal | None, model: str
    ) -> Iterator[None]:
        """Hold `bound` for one exchange of that run; raises `BudgetError` when a budget doesn't allow it.

        `limit` is the run's own budget (None: no limit), `spent` what the run has cost so far, and `bound`
        what this exchange can't cost more than (None: the model's price is unknown).
        """
        if bound is None:
            self._refuse_unknown(model, limit)
            yield
            return
        self._check_day(bound)
        self._check_run(run, limit, spent, bound)
        reservation = _Reservation(run, bound)
        self._held.add(reservation)
        try:
            yield
        finally:
            self._held.discard(reservation)

    def in_flight(self, run: str | None = None) -> Decimal:
        """What the calls now in flight may come to: of that run, or of all."""
        held = (each.bound for each in self._held if run in (None, each.run))
        return sum(held, Decimal(0))

    def _refuse_unknown(self, model: str, limit: Decimal | None) -> None:
        if self._daily is None and limit is None:
            return
        raise BudgetError(
            f"no price is known for the model {model!r}, so no budget can be kept for it; choose a model with "
            "a known price (RUNNER_MODEL, or model= in the call), update genai-prices, or take away "
            "RUNNER_DAILY_BUDGET_USD and the task's budget="
        )

    def _check_day(self, bound: Decimal) -> None:
        if self._daily is None:
            return
        _check(
            f"the day's budget of {_usd(self._daily)} (RUNNER_DAILY_BUDGET_USD)",
            _Sums(self._daily, self._spent_today(), self.in_flight(), bound),
            "wait for tomorrow, raise it, or lower max_tokens",
        )

    def _check_run(self, run: str, limit: Decimal | None, spent: Decimal, bound: Decimal) -> None:
        if limit is None:
            return
        _check(
            f"the run's budget of {_usd(limit)} (budget= in its task)",
            _Sums(limit, spent, self.in_flight(run), bound),
            "raise it, or lower max_tokens",
        )


@dataclass(frozen=True, slots=True)
class _Sums:
    """A limit and all that counts against it, in USD."""

    limit: Decimal
    spent: Decimal
    in_flight: Decimal
    bound: Decimal


def _check(which: str, sums: _Sums, remedy: str) -> None:
    if sums.spent + sums.in_flight + sums.bound <= sums.limit:
        return
    raise BudgetError(
        f"{which} is used up: {_usd(sums.spent)} spent, {_usd(sums.in_flight)} in flight, "
        f"and this call may cost {_usd(sums.bound)}; {remedy}"
    )


def _usd(amount: Decimal) -> str:
    """An amount for the eye: two places, or up to four where two would round it."""
    dollars, _, cents = f"{amount:.4f}".partition(".")
    return f"${dollars}.{cents.rstrip('0').ljust(2, '0')}"
