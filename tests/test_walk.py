"""Walks over the real runner, each step beside a plain model, with the destination's own ledger as the judge."""

from __future__ import annotations

import itertools
import random
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.errors import FlakyStrategyDefinition
from hypothesis.stateful import run_state_machine_as_test
from walk import Walk

if TYPE_CHECKING:
    from collections.abc import Callable

    from ground import Ground

pytestmark = pytest.mark.no_cover

CHUNKS = 8  #: that the walks are split into, so that several processes share them
STEPS = 16  #: of a walk, at most


@pytest.mark.timeout(3000)
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_a_walk_breaks_no_promise(
    ground: Ground, chunk: int, pytestconfig: pytest.Config, record_property: Callable[[str, object], None]
) -> None:
    count = pytestconfig.getoption("--walks") // CHUNKS
    number = pytestconfig.getoption("--walk-seed")
    number = number if number is not None else random.randrange(1 << 32)
    again = f"--walk-seed {number} --walks {count * CHUNKS} 'tests/test_walk.py::test_a_walk_breaks_no_promise[{chunk}]'"
    print(f"to walk there again: python -m pytest {again}")  # noqa: T201 - shown when the test fails

    class Here(Walk):
        pass

    Here.ground = ground
    Here.walked = 0
    how = settings(
        max_examples=max(1, count // 2),
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate,),  # to shrink a walk takes minutes, and sixteen steps can be read
        report_multiple_bugs=False,
        print_blob=False,
    )
    try:
        for batch in itertools.count():  # a walk that found no further step is one too
            with suppress(
                FlakyStrategyDefinition
            ):  # the same steps led elsewhere, by a millisecond; it went on so far
                run_state_machine_as_test(seed(f"{number} {chunk} {batch}")(Here), settings=how)
            if Here.walked >= count:
                break
    except BaseException:
        record_property("violation", again)
        raise
    finally:
        record_property("walks", Here.walked)
