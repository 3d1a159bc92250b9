"""Walks over the real runner, each step beside a plain model, with the destination's own ledger as the judge."""

from __future__ import annotations

import itertools
import os
import random
from pathlib import Path
from traceback import walk_tb
from typing import TYPE_CHECKING

import pytest
from coverage import Coverage
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.errors import Flaky, FlakyStrategyDefinition
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from hypothesis.strategies import integers
from walk import Walk

if TYPE_CHECKING:
    from collections.abc import Callable

    from ground import Ground

pytestmark = pytest.mark.no_cover

HERE = str(Path(__file__).parent)
CHUNKS = 8  #: that the walks are split into, so that several processes share them


def hides_a_failure(error: BaseException) -> bool:
    """Whether a step went wrong before Hypothesis lost its way."""
    before = error.__context__
    if before is None:
        return False
    files = {frame.f_code.co_filename for frame, _ in walk_tb(before.__traceback__)}
    return any(file.startswith(HERE) for file in files) or hides_a_failure(before)


def test_a_step_that_goes_wrong_by_chance_is_a_violation_however_it_is_told() -> None:
    class Moody(RuleBasedStateMachine):
        steps = 0

        @rule(number=integers(0, 1))
        def step(self, number: int) -> None:
            Moody.steps += 1
            assert Moody.steps % 60, "it went wrong"

    how = settings(max_examples=400, stateful_step_count=3, database=None, phases=(Phase.generate,))
    told = set()
    for each in range(12):
        with pytest.raises((AssertionError, Flaky)) as caught:
            run_state_machine_as_test(seed(each)(Moody), settings=how)
        told.add(type(caught.value))
        assert not isinstance(caught.value, FlakyStrategyDefinition) or hides_a_failure(caught.value)
    assert FlakyStrategyDefinition in told


def test_what_is_not_to_be_measured_costs_nothing() -> None:
    assert Coverage.current() is None  # walks that are measured take two thirds more
    assert "COVERAGE_PROCESS_CONFIG" not in os.environ


@pytest.mark.timeout(3000)
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_a_walk_breaks_no_promise(
    ground: Ground, chunk: int, pytestconfig: pytest.Config, record_property: Callable[[str, object], None]
) -> None:
    count, steps = pytestconfig.getoption("--walks") // CHUNKS, pytestconfig.getoption("--steps")
    number = pytestconfig.getoption("--walk-seed")
    number = number if number is not None else random.randrange(1 << 32)
    same = f"--walk-seed {number} --walks {count * CHUNKS} --steps {steps}"
    again = f"{same} 'tests/test_walk.py::test_a_walk_breaks_no_promise[{chunk}]'"
    print(f"to walk there again: python -m pytest {again}")  # noqa: T201 - shown when the test fails

    class Here(Walk):
        pass

    Here.ground = ground
    Here.walked = 0
    how = settings(
        stateful_step_count=steps,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate,),  # to shrink a walk takes minutes, and some steps can be read
        report_multiple_bugs=False,
        print_blob=False,
    )
    try:
        for batch in itertools.count():  # a walk that found no further step is one too
            few = max(1, (count - Here.walked) // 2)  # it takes up to half as many more
            left = settings(how, max_examples=few)
            try:
                run_state_machine_as_test(seed(f"{number} {chunk} {batch}")(Here), settings=left)
            except FlakyStrategyDefinition as error:  # the same steps led elsewhere, by a millisecond
                if hides_a_failure(error):
                    raise
            if Here.walked >= count:
                break
    except BaseException:
        record_property("violation", again)
        raise
    finally:
        record_property("walks", Here.walked)
