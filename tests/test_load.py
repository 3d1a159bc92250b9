"""Hours of a busy owner in minutes: nothing is lost of what was due, memory stays flat, and the loop is never held up.

The clock is set by hand, a minute at a time; all else is real: children, stand-ins that fail half the time, the phone.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import selectors
import sys
import threading
import time
import traceback
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from phones import OWNER, phoned
from test_store import NOTE

from runner.cli.running import settle_in
from runner.rehearsal.claude import Fails, Says
from runner.rehearsal.telegram import Answers, StandInTelegram
from runner.store import drafts
from runner.store.store import new_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import HandClock

    from runner.testing import Rehearsal

pytestmark = pytest.mark.no_cover

LOOK_S = 0.005
SEEN = "SELECT value FROM meta WHERE name = 'telegram.seen'"
BLOCKED_S = 0.1  #: longer than this no turn of the loop shall take
LOOKED_AT = 100  #: messages of a chat
A_FILE = 20  #: tasks in a file: a run reads the whole file that its task is in

MODULE = """
from runner import Alert, cron, every, task

"""
OFTEN = """
@task(every(minutes=1), overlap="queue", retries=0)
async def often_{n}(run):
    {body}
"""
AT_ONCE = """
@task(cron("{minute} {hour} * * *", tz="UTC"))
def at_once_{n}(run): pass
"""


class Heart(selectors.DefaultSelector):
    """The loop's own selector: asked once a turn, so it knows how long each took.

    By the clock; less what the loop waited for a processor, which is its own work and its waits for the disk; and by its
    own work alone. By the clock, a timer that it could not wake for in time counts too.
    """

    def __init__(self) -> None:
        super().__init__()
        self.queue = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
        self.begin()

    def begin(self) -> None:
        """Forget what was, and measure from now on."""
        self.worst = self.worst_blocked = self.worst_cpu = self.collecting = 0.0
        self.collection = time.thread_time()
        self.where: Counter[str] = Counter()  #: what the loop was at whenever a turn was long
        self._start()

    def _start(self) -> None:
        self.is_at_work = True
        self.at, self.cpu, self.queued = time.monotonic(), time.thread_time(), self.waited()

    def waited(self) -> float:
        """For how long the loop had work and no processor, in seconds."""
        return int(os.pread(self.queue, 100, 0).split()[1]) / 1e9

    def blocked(self) -> float:
        """For how long this turn has worked or waited for the disk, in seconds."""
        return time.monotonic() - self.at - (self.waited() - self.queued)

    def close(self) -> None:
        super().close()
        os.close(self.queue)

    def __str__(self) -> str:
        return (
            f"the loop's longest turn took {1000 * self.worst:.0f} ms, the longest less its waits for a processor "
            f"{1000 * self.worst_blocked:.0f} ms, the longest by its own work {1000 * self.worst_cpu:.0f} ms "
            f"(the collector's longest in the loop {1000 * self.collecting:.0f} ms); "
            f"{dict(self.where.most_common(5))}"
        )

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """A turn is over; wait for what the next is about."""
        self.worst = max(self.worst, time.monotonic() - self.at)
        self.worst_blocked = max(self.worst_blocked, self.blocked())
        self.worst_cpu = max(self.worst_cpu, time.thread_time() - self.cpu)
        self.is_at_work = False
        due = time.monotonic() + timeout if timeout is not None else None
        ready = super().select(timeout)
        self._start()
        if due is not None:
            self.worst = max(self.worst, self.at - due)
        return ready

    def collected(self, phase: str, info: dict[str, int]) -> None:
        """Python's collector looked through what there is, the stand-ins' too: the turn that it fell into is longer by it."""
        now = time.thread_time()
        if phase == "start":
            self.collection = now
        elif threading.current_thread() is threading.main_thread():
            self.collecting = max(self.collecting, now - self.collection)

    def watch(self, ended: threading.Event) -> None:
        """From another thread: what the loop is at when a turn is too long."""
        loop, last = threading.main_thread().ident or 0, 0.0
        while not ended.wait(LOOK_S):
            if self.is_at_work and self.at != last and self.blocked() > BLOCKED_S / 2:
                last = self.at
                frames = traceback.extract_stack(sys._current_frames()[loop])
                ours = [
                    f"{Path(each.filename).name}:{each.name}"
                    for each in frames
                    if "/runner/" in each.filename
                ]
                self.where[" ".join(ours[-4:]) or str(frames[-1])] += 1


@contextmanager
def listened_to(heart: Heart) -> Iterator[None]:
    ended = threading.Event()
    watcher = threading.Thread(target=heart.watch, args=(ended,))
    watcher.start()
    heart.begin()
    gc.callbacks.append(heart.collected)
    try:
        yield
    finally:
        gc.callbacks.remove(heart.collected)
        ended.set()
        watcher.join()


@dataclass(frozen=True)
class Size:
    """How much of everything."""

    minutes: int
    tasks: int = 200
    waiting: int = 5_000
    at_once: int = 1_000

    @classmethod
    def of(cls, minutes: int) -> Size:
        """Everything, or a taste of it where no minutes are asked for."""
        return cls(minutes, 200, 5000, 1000) if minutes else cls(2, 20, 100, 60)


def modules(size: Size, ends: tuple[int, int]) -> dict[str, str]:
    bodies = ["pass"] * 17 + [
        "return Alert('x')",
        "await run.claude(str(run.slot))",
        "run.state['n'] = run.state.get('n', 0) + 1",
    ]
    hour, minute = ends
    often = [OFTEN.format(n=n, body=bodies[n % len(bodies)]) for n in range(size.tasks)]
    once = [AT_ONCE.format(n=n, hour=hour, minute=minute) for n in range(size.at_once)]
    return {
        f"{name}_{number}.py": MODULE + "".join(some)
        for name, all_ in (("often", often), ("once", once))
        for number, some in enumerate(batched(all_, A_FILE))
    }


def batched(some: list[str], size: int) -> Iterator[list[str]]:
    return (some[start : start + size] for start in range(0, len(some), size))


def fill(it: Rehearsal, count: int) -> None:
    with it.app.store.change() as tx:
        for n in range(count):
            origin = drafts.Origin(task="greet", run=f"r{n}", place=0, call=None)
            drafts.add(tx, new_id(), origin, NOTE, {"text": f"note {n}"}, timedelta(days=30), 2)


def count(it: Rehearsal, query: str) -> int:
    with it.app.store.read() as connection:
        return int(connection.exec_driver_sql(query).scalar_one() or 0)


def resident() -> float:
    """Megabytes of this process, stand-ins and all."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


@pytest.mark.timeout(14_400)
def test_promise_20_under_load_no_slot_is_lost_and_none_runs_twice(
    tmp_path: Path, clock: HandClock, pytestconfig: pytest.Config, told: Callable[[str], None]
) -> None:
    size, heart = Size.of(pytestconfig.getoption("--minutes")), Heart()
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(heart)) as loop:
        told(loop.run(carried(tmp_path, clock, size, heart, told)))


async def carried(
    tmp_path: Path, clock: HandClock, size: Size, heart: Heart, tell: Callable[[str], None]
) -> str:
    """Carry the load, and tell each hour how it goes; what was seen, in words."""
    tomorrow = datetime.now(UTC) + timedelta(days=1)  # so that no timer is due
    clock.at = tomorrow.replace(minute=0, second=0, microsecond=0)
    end = clock.at + timedelta(minutes=size.minutes)
    chance = random.Random(size.minutes)
    async with StandInTelegram() as tg, phoned(tmp_path, tg, max_runs=16) as hand:
        it = hand.it
        it.app.store.clock = clock
        for file, text in modules(size, (end.hour, end.minute)).items():
            it.drop(file, text)
        await it.until(lambda: len(it.app.catalog.tasks) == size.tasks + size.at_once, "the tasks")
        fill(it, size.waiting)
        await it.until(lambda: it.app.journal.head[0] == it.app.store.last_seq(), "the journal")
        await settle_in(it.app)  # as `runner up` does
        warm = resident()
        began = time.monotonic()
        with listened_to(heart):
            for minute in range(1, size.minutes + 1):
                it.claude.script(
                    *(Fails(529, 0.01) if chance.random() < 0.5 else Says("x") for _ in range(10))
                )
                tg.script(*(Answers(429, "Too Many Requests", 1) for _ in range(2)), method="sendMessage")
                clock.move(minutes=1)
                await it.app.schedule._plan_anew(clock.at)  # as the heartbeat does when clocks part
                await drained(it)
                forget_heard(it, tg)
                forget_old(tg)
                if minute == 1 + size.minutes // 10:
                    warm = resident()
                if minute % 60 == 0:
                    tell(f"hour {minute // 60}: memory {resident():.0f} MB; {heart}")
            grown = resident() - warm  # before the stand-in keeps every card there is
            await stopped_and_resumed(it, tg)
        loop = str(heart)  # before the test does sums of its own in it
        took = time.monotonic() - began
        total = size.minutes * size.tasks + size.at_once
        assert it.app.stop.reason is None
        assert count(it, "SELECT sum(count) FROM slots") == total
        assert count(it, "SELECT count(*) FROM runs WHERE status NOT IN ('ok', 'degraded', 'error')") == 0
        assert count(it, "SELECT count(*) - count(DISTINCT task || slot) FROM runs") == 0
        kept = count(it, "SELECT count(*) FROM drafts WHERE state = 'pending'")
        assert kept == size.waiting
    return (
        f"{total:,} slots of {size.tasks + size.at_once:,} tasks in {size.minutes / 60:.1f} simulated hours "
        f"({took:.0f} s), {size.at_once:,} of them at once; {kept:,} drafts waiting; 0 slots unaccounted for; "
        f"memory {warm:.0f} MB after the warm-up, {grown:+.0f} MB at the end; {loop}"
    )


async def stopped_and_resumed(it: Rehearsal, tg: StandInTelegram) -> None:
    """All the cards there are, and a stop and a resume that each of them is to tell."""
    assert it.app.phone is not None
    feed = it.app.phone.feed
    while await asyncio.to_thread(count, it, SEEN) < it.app.store.last_seq():
        await heard(it, tg)
    for change in (it.desk.halt, it.desk.resume):
        change("ana")
        await it.until(lambda: bool(feed._again), "that cards are looked at anew")
        while feed._again:
            await heard(it, tg)


async def heard(it: Rehearsal, tg: StandInTelegram) -> None:
    await asyncio.sleep(0.05)
    forget_heard(it, tg)


def forget_heard(it: Rehearsal, tg: StandInTelegram) -> None:
    """What the stand-ins and the test keep is not the runner's, and would be its collector's to look through."""
    it.events.clear()
    for ledger in (it.claude.requests, it.destination.visits, tg.calls):
        ledger.clear()


def forget_old(tg: StandInTelegram) -> None:
    """Keep no more of the chat than its owner might look at."""
    newest_last = sorted(tg.messages(OWNER), key=lambda each: int(each.get("edit_date") or each["date"]))
    for message in newest_last[:-LOOKED_AT]:
        tg.chats.delete(message)


async def drained(it: Rehearsal) -> None:
    """Wait until every run that was begun or queued has come to its end."""
    query = "SELECT count(*) FROM runs WHERE status IN ('queued', 'running')"
    deadline = time.monotonic() + 300
    while left := await asyncio.to_thread(count, it, query):  # the loop's time is the runner's
        assert time.monotonic() < deadline, f"{left} runs are left"
        await asyncio.sleep(0.05)
