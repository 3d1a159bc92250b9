"""The reference of settings is made from the code that reads them, and so is what a new project is given."""

from __future__ import annotations

import re
from pathlib import Path

from runner.catalog import built_ins
from runner.cli import reference
from runner.settings import Settings, load

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"


def test_the_page_of_settings_is_as_the_code_has_it() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference.page(), "docs/settings.md is out of date: make docs"


def test_every_setting_says_what_it_means() -> None:
    found = list(reference.tables())
    assert [each.name for table in found for each in table.settings if each.meaning in {"", "None"}] == []
    assert all(table.meaning not in {"", "None"} for table in found[1:])
    said = {name.partition(".")[0] for table in found for name in (table.name, *_names(table)) if name}
    secrets = {"anthropic_api_key", "anthropic_base_url", "telegram_token"}
    assert set(Settings.model_fields) - {"home"} - secrets <= said


def _names(table: reference.Table) -> list[str]:
    return [each.name for each in table.settings] if not table.name else []


def test_a_new_projects_settings_are_the_defaults_with_a_daily_budget(tmp_path: Path) -> None:
    (tmp_path / "runner.toml").write_text(reference.template())
    assert load(tmp_path).model_fields_set == {"home", "daily_budget_usd"}


def test_every_line_of_a_new_projects_settings_may_be_taken_as_it_stands(tmp_path: Path) -> None:
    whole = re.sub(r"^#(?=\S)", "", reference.template(), flags=re.MULTILINE)
    (tmp_path / "runner.toml").write_text(whole)
    found = load(tmp_path)
    assert found.model_fields_set == set(Settings.model_fields) - {
        "anthropic_api_key",
        "anthropic_base_url",
        "telegram_token",
    }
    for kind in built_ins().values():
        assert found.given(kind.name).keys() == kind.settings.get("properties", {}).keys()
