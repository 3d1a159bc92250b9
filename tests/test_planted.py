"""The list of planted bugs fits the code it is about. `make mutants` plants them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from planted import plant

ROOT = Path(__file__).parents[1]
BUGS = plant.bugs()


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name.replace(" ", "_"))
def test_each_bug_can_be_planted(bug: plant.Bug) -> None:
    text = (ROOT / bug.file).read_text(encoding="utf-8")
    ast.parse(bug.planted(text))
    assert bug.tests
    assert all((ROOT / tests.partition("::")[0]).is_file() for tests in bug.tests)


def test_each_promise_has_a_bug_that_would_break_it() -> None:
    assert {bug.promise for bug in BUGS} == set(range(1, 26))
    assert len({bug.name for bug in BUGS}) == len(BUGS) >= 30
