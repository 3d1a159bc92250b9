"""The budgets: a call begins only if the dearest it can come to still fits, calls in flight included."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal

from runner.errors import BudgetError


@dataclass(frozen=True, slots=True, kw_only=True)
class Purse:
    """A limit on what somebody may spend, and what counts against it; in USD."""

    scope: str  #: whose calls in flight count: "all", "run ID", "task NAME" or "label WORD"
    words: str  #: e.g. "the day's budget"
    where: str  #: what sets it, e.g. "RUNNER_DAILY_BUDGET_USD"
    remedy: str  #: what its owner can do once it is used up
    limit: Decimal
    spent: Decimal
    waiting: Decimal = Decimal(0)  #: what open batches may still come to
    period: str = ""  #: the day or month it is for; empty: as long as its scope lasts
    is_own: bool = False  #: of a task or label, which then pauses; otherwise it heals by itself

    @property
    def is_spent(self) -> bool:
        """Whether nothing is left."""
        return self.spent >= self.limit


@dataclass(frozen=True, slots=True, eq=False)
class _Reservation:
    """What a call in flight may still come to, and in whose scopes it is."""

    scopes: frozenset[str]
    bound: Decimal


class Budget:
    """What is in flight, kept in memory; what a call cost must be on record before its reservation ends."""

    def __init__(self) -> None:
        self._held: set[_Reservation] = set()

    @contextmanager
    def reserve(
        self, purses: Sequence[Purse], scopes: frozenset[str], *, bound: Decimal | None, model: str
    ) -> Iterator[None]:
        """Hold `bound` for one exchange in these scopes; raises `BudgetError` when a purse doesn't allow it.

        `bound` is what the exchange can't cost more than; None: the model's price is unknown, which fits no purse.
        """
        if bound is None:
            _refuse_unknown(purses, model)
            yield
            return
        for purse in purses:
            self._check(purse, bound)
        reservation = _Reservation(scopes, bound)
        self._held.add(reservation)
        try:
            yield
        finally:
            self._held.discard(reservation)

    def in_flight(self, scope: str = "all") -> Decimal:
        """What the calls now in flight may come to, in that scope."""
        return sum((each.bound for each in self._held if scope in each.scopes), Decimal(0))

    def _check(self, purse: Purse, bound: Decimal) -> None:
        in_flight = self.in_flight(purse.scope) + purse.waiting
        if purse.spent + in_flight + bound <= purse.limit:
            return
        raise BudgetError(
            f"{purse.words} of {usd(purse.limit)} ({purse.where}) is used up: {usd(purse.spent)} spent, "
            f"{usd(in_flight)} in flight, and this call may cost {usd(bound)}; {purse.remedy}",
            # what is in flight may yet come to less, so that alone pauses nothing
            pauses=purse.is_own and purse.spent + bound > purse.limit,
        )


def _refuse_unknown(purses: Sequence[Purse], model: str) -> None:
    if purses:
        raise BudgetError(
            f"no price is known for the model {model!r}, so no budget can be kept for it; choose a model with a known "
            f"price (RUNNER_MODEL, or model= in the call), update genai-prices, or take away each budget that bounds "
            f"it: {', '.join(purse.where for purse in purses)}"
        )


def usd(amount: Decimal) -> str:
    """An amount for the eye: two places, or up to four where two would round it."""
    dollars, _, cents = f"{amount:.4f}".partition(".")
    return f"${dollars}.{cents.rstrip('0').ljust(2, '0')}"
