"""What many tests need: a project folder, a clock that is set by hand, an open store."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import zygotes
from coverage import Coverage
from ground import ground  # noqa: F401 - a fixture
from nursery import Nursery, nursery

from runner import children
from runner.clock import Clock
from runner.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path


class HandClock(Clock):
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.at = datetime(2026, 11, 24, 9, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at

    def move(self, **span: float) -> datetime:
        self.at += timedelta(**span)
        return self.at


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--updates", type=int, default=2_000, help="how many updates are fuzzed")
    parser.addoption("--zones", type=int, default=12, help="in how many zones slots are counted by hand")
    parser.addoption("--lives", type=int, default=10, help="how many lives of the ledger of slots are tried")
    parser.addoption("--walks", type=int, default=1_000, help="how many walks are made over the runner")
    parser.addoption("--steps", type=int, default=8, help="how many steps a walk has, at most")
    parser.addoption("--walk-seed", type=int, help="where they begin; without one, anywhere")
    parser.addoption(
        "--crash-points", default="1", help="how many points of each way are tried; 'all' is each"
    )
    parser.addoption(
        "--commands", type=int, default=6, help="how many commands are typed in processes of their own"
    )
    parser.addoption("--minutes", type=int, default=0, help="how long a load lasts; 0: a taste of it")
    parser.addoption("--stops", type=int, default=10, help="how often a busy runner is stopped")
    parser.addoption("--kills", type=int, default=5, help="how often a busy runner is killed")
    parser.addoption(
        "--seed", type=int, default=0, help="what chance begins with; 0: anything, which is printed"
    )


def pytest_configure() -> None:
    """What tests start can be interrupted, also where a shell began the tests in the background and forbade it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """What goes the same ways a thousand times is not measured, nor are processes of its own: that takes as long."""
    if item.get_closest_marker("no_cover") is None:
        return (yield)
    with unmeasured():
        return (yield)


@contextmanager
def unmeasured() -> Iterator[None]:
    measuring = Coverage.current()
    with pytest.MonkeyPatch.context() as patched:
        patched.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
        if measuring is not None:
            measuring.stop()
        yield
        if measuring is not None:
            measuring.start()


def pytest_sessionfinish() -> None:
    """A process that is slow to end is killed, and would take along what it measured."""
    measuring = Coverage.current()
    if measuring is not None:
        measuring.save()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long begins first, so that no process is left alone with it at the end."""
    items.sort(key=lambda item: item.get_closest_marker("no_cover") is None)


@pytest.fixture(autouse=True)
def _forked_zygotes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Zygotes are forked, except where it matters how they start."""
    if request.node.get_closest_marker("own_zygote") is None:
        monkeypatch.setattr(children, "zygote", zygotes.zygote)


@pytest.fixture
def told(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """Prints a line of figures, whatever pytest keeps to itself."""
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")

    def tell(line: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"\n{line}")  # noqa: T201 - that is what it is for

    return tell


@pytest.fixture(scope="session")
def hatchery() -> Iterator[Nursery]:
    """Where runners are ordered that are to be killed."""
    with nursery() as it:
        yield it


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def store(tmp_path: Path, clock: HandClock) -> Iterator[Store]:
    store = Store(f"sqlite:///{tmp_path}/.runner/store.db", clock)
    store.open()
    yield store
    store.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line each what the walks and the crash points came to, wherever they were tried."""
    done = [each for state in ("passed", "failed") for each in terminalreporter.getreports(state)]
    said = [dict(each.user_properties) for each in done]
    if walks := [each["walks"] for each in said if "walks" in each]:
        bad = sum("violation" in each for each in said)
        terminalreporter.write_line(f"{sum(walks):,} walks, {bad} violations")
    if found := [each["crash points"] for each in said if "crash points" in each]:
        points, lost, twice = (sum(column) for column in zip(*found, strict=True))
        terminalreporter.write_line(f"{points} crash points, {lost} lost, {twice} twice")
