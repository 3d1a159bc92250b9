"""What was spent, by whom, and which budgets were told to be nearly used up."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, func, select
from sqlalchemy.dialects.sqlite import insert as upsert

from runner.clock import stamp
from runner.store.runs import NANO
from runner.store.schema import spending, warnings

if TYPE_CHECKING:
    from datetime import datetime

    from runner.store.store import Transaction


def spent(
    connection: Connection, since: datetime, *, task: str | None = None, label: str | None = None
) -> Decimal:
    """Dollars spent since that instant: by all, by one task, or by the tasks of one label."""
    query = select(func.coalesce(func.sum(spending.c.cost_nano_usd), 0)).where(spending.c.at >= stamp(since))
    if task is not None:
        query = query.where(spending.c.task == task)
    if label is not None:
        query = query.where(spending.c.label == label)
    return Decimal(connection.execute(query).scalar_one()) / NANO


def warn(tx: Transaction, purse: str, period: str) -> bool:
    """Note that a budget is told to be nearly used up; False when it was told in that period before."""
    row = upsert(warnings).values(purse=purse, period=period, at=stamp(tx.now)).on_conflict_do_nothing()
    return bool(tx.connection.execute(row).rowcount)


def rows(connection: Connection, since: datetime) -> list[Row[Any]]:
    """Every exchange that was paid for since that instant."""
    query = select(spending).where(spending.c.at >= stamp(since))
    return list(connection.execute(query.order_by(spending.c.id)))


def first(connection: Connection) -> str | None:
    """When the first exchange was paid for; None: none ever was."""
    return connection.execute(select(func.min(spending.c.at))).scalar()
