"""docs/promises.md names tests that exist, and all 25 promises."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")


def test_the_page_names_each_promise_once_and_in_order() -> None:
    assert [int(number) for number in re.findall(r"^\*\*(\d+)\. ", PAGE, re.MULTILINE)] == list(range(1, 26))


def test_each_test_that_the_page_names_stands_where_it_says() -> None:
    for paragraph in PAGE.split("\n\n"):
        file = ""
        for name in re.findall(r"`(test_\w+(?:\.py)?)`", paragraph):
            if name.endswith(".py"):
                file = name
            else:
                assert f"def {name}(" in (ROOT / "tests" / file).read_text(encoding="utf-8"), (file, name)


def test_each_promise_is_held_by_a_test() -> None:
    parts = re.split(r"^\*\*\d+\. ", PAGE, flags=re.MULTILINE)[1:]
    assert all(re.search(r"`test_\w+`", part) for part in parts)
