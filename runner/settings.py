"""The only reader of the environment, `.env` and `runner.toml`; the first that knows a setting decides it."""

from __future__ import annotations

import difflib
import os
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, InitSettingsSource, NoDecode, SettingsConfigDict

from runner.errors import DraftError, SettingsError
from runner.secrecy import in_address
from runner.tables import Budgets, Gate, Heartbeat, KindRule, Phone, Reviewer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic_settings import PydanticBaseSettingsSource

FILE = "runner.toml"
SECRETS = ("anthropic_api_key", "anthropic_base_url", "telegram_token")  #: never in the file


class Settings(BaseSettings):
    """What the owner set. In `runner.toml` by its name, in the environment as ``RUNNER_`` and its name in capitals."""

    model_config = SettingsConfigDict(env_prefix="RUNNER_", extra="ignore", frozen=True)

    home: Path = Path()  #: the project folder
    timezone: str = Field(
        default="", validate_default=True, description='yours, e.g. "Europe/Berlin"; empty is the machine\'s'
    )
    model: str = Field(default="claude-sonnet-5-5", description="of Claude, where a task names none")
    daily_budget_usd: Decimal | None = Field(
        default=None,
        ge=0,
        description="what all tasks together may spend on Claude in a day; left out, no bound",
        examples=[Decimal("1.00")],
    )
    monthly_budget_usd: Decimal | None = Field(
        default=None, ge=0, description="likewise in a month", examples=[Decimal("20.00")]
    )
    max_runs: int = Field(default=32, ge=1, description="runs under way at the same time")
    max_claude_calls: int = Field(default=4, ge=1, description="calls to Claude at the same time")
    batch_look_s: float = Field(
        default=60, ge=1, description="seconds between two looks at a batch of Claude's"
    )
    database_url: str = Field(default="", description="where the store is; empty is SQLite in .runner/")
    task_user: str = Field(
        default="",
        description="whom tasks run as, should the runner be root; empty is a user that is nobody's",
    )
    anthropic_api_key: SecretStr | None = Field(
        default=None, validation_alias="ANTHROPIC_API_KEY", description="what pays for Claude"
    )
    anthropic_base_url: str | None = Field(
        default=None,
        validation_alias="ANTHROPIC_BASE_URL",
        description="where Claude's API is; empty is the public one",
    )
    telegram_token: SecretStr | None = Field(
        default=None,
        description="of your bot; empty is no Telegram. `runner telegram link` tells how to get one",
    )
    telegram_owners: Annotated[tuple[int, ...], NoDecode] = Field(
        default=(),
        description="numeric ids of those who may decide everything; in .env with commas between them",
    )
    telegram_api: str = Field(default="https://api.telegram.org", description="where the Bot API is")
    telegram: Phone = Phone()
    heartbeat: Heartbeat = Heartbeat()
    gate: Gate = Gate()
    budgets: Budgets = Budgets()
    reviewers: dict[str, Reviewer] = Field(
        default_factory=dict, description="people who may decide, by name", examples=["eve"]
    )
    kinds: dict[str, KindRule] = Field(
        default_factory=dict, description="kinds of drafts, by name", examples=["article"]
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The folder as it was found; for all else the environment, then `.env`, then `runner.toml`."""
        given = init_settings() if isinstance(init_settings, InitSettingsSource) else {}
        found = InitSettingsSource(settings_cls, {"home": given.get("home", Path())})
        return found, env_settings, dotenv_settings, init_settings

    @field_validator(
        "anthropic_api_key",
        "anthropic_base_url",
        "daily_budget_usd",
        "monthly_budget_usd",
        "telegram_token",
        mode="before",
    )
    @classmethod
    def _unset(cls, value: Any) -> Any:
        return value or None if isinstance(value, str) else value  # a line left empty sets nothing

    @field_validator("telegram_owners", mode="before")
    @classmethod
    def _ids(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",") if part.strip()]
        elif isinstance(value, int):
            value = [value]
        if not all(str(each).isdecimal() and int(each) > 0 for each in value):
            raise ValueError(
                "write numeric ids with commas between them, e.g. 123456789; `runner telegram link` shows yours"
            )
        return tuple(int(each) for each in value)

    @model_validator(mode="after")
    def _somebody(self) -> Settings:
        if len({person.id for person in self.reviewers.values()}) < len(self.reviewers):
            raise ValueError("two reviewers have the same id")
        return self

    @field_validator("timezone")
    @classmethod
    def _zone(cls, name: str) -> str:
        from tzlocal import get_localzone_name  # noqa: PLC0415 - only where the owner named none

        try:
            return ZoneInfo(name or get_localzone_name() or "UTC").key
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"{name!r} is no time zone; write an IANA name, e.g. 'Europe/Berlin'") from error

    @property
    def zone(self) -> ZoneInfo:
        """The owner's time zone."""
        return ZoneInfo(self.timezone)

    @property
    def database(self) -> str:
        """Where the store is; a path in it that is relative begins at the project."""
        scheme, sign, name = (self.database_url or "sqlite:///.runner/store.db").partition(":///")
        is_relative = sign and name and not name.startswith(("/", ":", "file:"))
        return f"{scheme}:///{self.home / name}" if is_relative else self.database_url

    @property
    def lock(self) -> Path:
        """What the one runner of the store holds: beside the database, whichever project names that."""
        name = self.database.partition(":///")[2].partition("?")[0]
        if not name or name.startswith((":", "file:")):
            return self.home / ".runner" / "lock"
        return Path(f"{Path(name).resolve()}.lock")

    @property
    def approvals(self) -> dict[str, int]:
        """How many different people must say yes, for each kind that the owner made a rule for."""
        return {
            name: rule.approvals for name, rule in self.kinds.items() if "approvals" in rule.model_fields_set
        }

    def given(self, kind: str) -> dict[str, Any]:
        """What the owner set for a kind of that name."""
        return self.kinds[kind].given if kind in self.kinds else {}

    def secrets(self) -> list[str]:
        """The runner's own secrets, as far as they are set."""
        given = (self.anthropic_api_key, self.telegram_token)
        found = [secret.get_secret_value() for secret in given if secret]
        for url in (self.anthropic_base_url, self.telegram_api, self.database_url):
            found += in_address(url)
        return found

    def named(self, names: Iterable[str]) -> dict[str, str]:
        """The secrets of those names that are set, from the environment or `.env`, which is read once."""
        kept = _dotenv(self.home)
        return {name: value for name in names if (value := os.environ.get(name) or kept.get(name))}

    def secret(self, name: str) -> str | None:
        """A secret of a kind's; None when it is not set."""
        return self.named([name]).get(name)


def home() -> Path:
    """The project folder: ``RUNNER_HOME``, else the working directory."""
    return Path(os.environ.get("RUNNER_HOME") or Path.cwd()).resolve()


def load(folder: Path | None = None) -> Settings:
    """The settings of the project in `folder`, None being `home()`; raises `SettingsError` in the owner's words."""
    folder = (folder or home()).absolute()
    table = _toml(folder / FILE)
    try:
        found = Settings(_env_file=folder / ".env", home=folder, **table)  # type: ignore[call-arg]
    except (OSError, UnicodeError) as error:
        raise SettingsError(f".env can't be read: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        name, *inner = (str(part) for part in first["loc"]) if first["loc"] else ("reviewers",)
        words = str(first["msg"]).removeprefix("Value error, ")
        place = ".".join([_written(name, table), *inner])
        value = "" if name in SECRETS or not first["loc"] else f"={first['input']!r}"
        raise SettingsError(f"{place}{value}: {words}") from error
    _check_kinds(found)
    return found


def _check_kinds(found: Settings) -> None:
    """Raise `SettingsError` for what was set for a built-in kind and makes no sense; others' are judged by their schema."""
    given = {name: rule.given for name, rule in found.kinds.items() if rule.given}
    if not given:
        return
    from runner.account import settled  # noqa: PLC0415 - only for an owner who set anything
    from runner.catalog import built_ins  # noqa: PLC0415 - likewise
    from runner.fit import check_settings  # noqa: PLC0415 - likewise

    try:
        for kind in (kind for kind in built_ins().values() if kind.name in given):
            check_settings(settled(kind, given[kind.name]))
    except DraftError as error:
        raise SettingsError(str(error)) from error


def _toml(path: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path.name} can't be read: {error}") from error
    known = [name for name in Settings.model_fields if name != "home" and name not in SECRETS]
    for name in table:
        if name not in known:
            raise SettingsError(f"{path.name} has {name!r}, which is no setting; {_hint(name, known)}")
    return table


def _hint(name: str, known: Iterable[str]) -> str:
    like = difflib.get_close_matches(name, list(known), n=1)
    if "key" in name or "token" in name:
        return "secrets go into the environment or .env"
    return f"did you mean {like[0]!r}?" if like else f"there are {', '.join(known)}"


def _written(name: str, table: dict[str, Any]) -> str:
    """The setting as the owner wrote it: in the file, or in the environment."""
    return f"{FILE}: {name}" if name in table else f"RUNNER_{name.upper()}"


def _dotenv(folder: Path) -> dict[str, str | None]:
    from dotenv import dotenv_values  # noqa: PLC0415 - only deliveries need it

    return dotenv_values(folder / ".env")
