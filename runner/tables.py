"""The tables of `runner.toml`, each with what it means; the settings beside them are in `settings.py`."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

TIME = r"([01]\d|2[0-3]):[0-5]\d"  #: of day


class _Table(BaseModel):
    """A table of `runner.toml`; a word that it does not know is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Phone(_Table):
    """How you are told by Telegram."""

    chat: int | None = Field(
        default=None,
        description="where cards and messages go; left out, each owner's private chat with the bot",
        examples=[-1001234567890],
    )
    quiet_hours: str = Field(
        default="",
        pattern=rf"^({TIME}-{TIME})?$",
        description='when only STOP and troubles of deliveries are told, e.g. "22:00-07:30"; empty is never',
    )
    digest_at: str = Field(
        default="08:00",
        pattern=rf"^({TIME})?$",
        description="when the morning's summary comes; empty is never",
    )


class Heartbeat(_Table):
    """Who is to notice when the runner falls silent."""

    url: str = Field(
        default="",
        pattern=r"^(https://.+|http://(127\.0\.0\.1|localhost|\[::1\])[:/].*)?$",
        description="of a dead man's switch, asked each minute while all is well; empty is nobody",
    )


class Reviewer(_Table):
    """Somebody who may decide, and on what; the table's name is theirs. A list left empty is no bound."""

    id: int = Field(gt=0, description="their numeric id at Telegram", examples=[123456789])
    tasks: tuple[str, ...] = Field(default=(), description="tasks whose drafts they may decide on")
    kinds: tuple[str, ...] = Field(default=(), description="kinds of drafts they may decide on")
    labels: tuple[str, ...] = Field(default=(), description="labels of tasks they may decide on")
    chat: int | None = Field(
        default=None,
        description="where their cards go; left out, their private chat with the bot",
        examples=[-1001234567890],
    )


class Gate(_Table):
    """How much of your attention all tasks together may ask for."""

    max_pending_total: int = Field(
        default=0, ge=0, description="no new run while so many drafts wait; 0 is no bound"
    )


class Allowance(_Table):
    """What one task, or all of one label, may spend on Claude."""

    day: Decimal | None = Field(
        default=None, ge=0, description="USD a day; left out, no bound", examples=[Decimal("0.50")]
    )
    month: Decimal | None = Field(
        default=None, ge=0, description="USD a month; left out, no bound", examples=[Decimal(5)]
    )


class Budgets(_Table):
    """What single tasks may spend, and those of one label together."""

    tasks: dict[str, Allowance] = Field(
        default_factory=dict, description="one task's, by its name", examples=["linkedin_post"]
    )
    labels: dict[str, Allowance] = Field(
        default_factory=dict, description="that of all tasks with one label=", examples=["acme"]
    )


class KindRule(BaseModel):
    """What you ask for a kind beyond the ordinary, and all that the kind itself asks of you."""

    model_config = ConfigDict(frozen=True, extra="allow")

    approvals: int = Field(
        default=1,
        ge=1,
        le=2,
        description="how many different people must say yes; named at all, the kind is never delivered without one",
    )

    @property
    def given(self) -> dict[str, Any]:
        """What is for the kind to know; its own schema says which words there are."""
        return dict(self.model_extra or {})
