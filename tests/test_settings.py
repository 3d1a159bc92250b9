"""Settings: from the environment, `.env` and `runner.toml`, in that order."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from runner import settings
from runner.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path


def test_without_anything_set_there_are_defaults(tmp_path: Path) -> None:
    found = settings.load(tmp_path)
    assert (found.daily_budget_usd, found.home) == (None, tmp_path)
    assert found.database == f"sqlite:///{tmp_path}/.runner/store.db"
    assert found.zone.key == found.timezone


def test_the_environment_overrides_dotenv_which_overrides_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runner.toml").write_text('model = "a"\ntimezone = "Europe/Berlin"\ndaily_budget_usd = 1.0\n')
    (tmp_path / ".env").write_text("RUNNER_MODEL=b\nRUNNER_TIMEZONE=Asia/Tokyo\nBLOG_TOKEN=hush\n")
    monkeypatch.setenv("RUNNER_MODEL", "c")
    found = settings.load(tmp_path)
    assert (found.model, found.timezone, found.daily_budget_usd) == ("c", "Asia/Tokyo", Decimal(1))
    assert (found.secret("BLOG_TOKEN"), found.secret("OTHER")) == ("hush", None)


def test_a_key_is_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-very-secret")
    assert "very-secret" not in repr(settings.load(tmp_path))


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ('modle = "x"', "did you mean 'model'"),
        ("zzz = 1", "there are timezone, model"),
        ('anthropic_api_key = "x"', "secrets go into the environment"),
        ('timezone = "Mars"', "runner.toml: timezone='Mars': 'Mars' is no time zone"),
        ("max_runs = 0", "greater than or equal to 1"),
        ("model = ", "runner.toml can't be read"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_said_with_its_place(tmp_path: Path, toml: str, words: str) -> None:
    (tmp_path / "runner.toml").write_text(toml)
    with pytest.raises(SettingsError, match=words):
        settings.load(tmp_path)


def test_a_wrong_variable_is_named_as_it_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNNER_DAILY_BUDGET_USD", "lots")
    with pytest.raises(SettingsError, match="RUNNER_DAILY_BUDGET_USD='lots'"):
        settings.load(tmp_path)


def test_the_project_is_the_working_directory_unless_runner_home_says_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert settings.home() == tmp_path.resolve()
    monkeypatch.setenv("RUNNER_HOME", "/")
    assert str(settings.home()) == "/"


@pytest.mark.parametrize("value", ["", ".", "elsewhere", "/somewhere/else"])
def test_the_project_is_the_folder_that_was_found_whatever_the_environment_or_dotenv_call_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    (tmp_path / ".env").write_text("RUNNER_HOME=/another/project\n")
    assert settings.load(tmp_path).home == tmp_path
    monkeypatch.setenv("RUNNER_HOME", value)
    found = settings.load(tmp_path)
    assert (found.home, found.database) == (tmp_path, f"sqlite:///{tmp_path}/.runner/store.db")


def test_a_relative_home_or_database_is_made_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RUNNER_HOME", "project")
    for url, whole in {
        "sqlite:///x.db": f"sqlite:///{tmp_path}/project/x.db",
        "sqlite:////data/x.db": "sqlite:////data/x.db",
        "sqlite:///:memory:": "sqlite:///:memory:",
    }.items():
        monkeypatch.setenv("RUNNER_DATABASE_URL", url)
        assert settings.load().database == whole


def test_a_dotenv_that_is_no_utf_8_is_said(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"RUNNER_MODEL=\xff\n")
    with pytest.raises(SettingsError, match=r"\.env can't be read: .* can't decode"):
        settings.load(tmp_path)


def test_the_phone_is_set_in_the_environment_and_in_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("RUNNER_TELEGRAM_TOKEN=1:hush\nRUNNER_TELEGRAM_OWNERS=12, 34\n")
    (tmp_path / "runner.toml").write_text(
        '[telegram]\nchat = -100\nquiet_hours = "22:00-07:30"\n[reviewers.eve]\nid = 56\nlabels = ["acme"]\n'
        "[kinds.article]\napprovals = 2\n"
    )
    found = settings.load(tmp_path)
    assert (found.telegram_owners, found.telegram.chat, found.telegram.digest_at) == ((12, 34), -100, "08:00")
    assert (found.reviewers["eve"].labels, found.kinds["article"].approvals) == (("acme",), 2)
    assert "hush" not in repr(found)
    monkeypatch.setenv("RUNNER_TELEGRAM_OWNERS", "7")
    assert settings.load(tmp_path).telegram_owners == (7,)
    monkeypatch.setenv("RUNNER_TELEGRAM_OWNERS", "@ana")
    with pytest.raises(SettingsError, match="RUNNER_TELEGRAM_OWNERS='@ana': write numeric ids"):
        settings.load(tmp_path)


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ('telegram_token = "x"', "secrets go into the environment"),
        ('[telegram]\nquiet = "x"', r"runner.toml: telegram.quiet='x': Extra inputs"),
        ('[telegram]\nquiet_hours = "late"', "telegram.quiet_hours='late'"),
        ("[kinds.article]\napprovals = 3", "kinds.article.approvals=3"),
        ("[reviewers.a]\nid = 1\n[reviewers.b]\nid = 1", "two reviewers have the same id"),
    ],
)
def test_a_table_that_cannot_be_meant_is_said_with_its_place(tmp_path: Path, toml: str, words: str) -> None:
    (tmp_path / "runner.toml").write_text(toml)
    with pytest.raises(SettingsError, match=words):
        settings.load(tmp_path)
