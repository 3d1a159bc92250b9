"""Measure the runner on this machine, with the floors beside: `make bench`. Prints figures; asserts nothing."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import select
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import phone
from rich.console import Console
from rich.table import Table

from runner.clock import stamp
from runner.draft import Kind
from runner.settings import load
from runner.store import drafts, runs
from runner.store.store import Store, new_id
from runner.testing import Rehearsal, rehearsal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

RUNS = 400  #: no-op runs whose rate is measured
RUNNER = str(Path(sys.executable).with_name("runner"))
ROWS: list[tuple[str, str, str, str]] = []

TASK = """
import time
from runner import Alert, Draft, Receipt, every, task

@task({trigger})
def {name}(run):
    {body}
"""


def row(what: str, value: str, aim: str = "", floor: str = "") -> None:
    """Keep a figure, and say it at once."""
    ROWS.append((what, value, aim, floor))
    print(f"{what}: {value}", flush=True)


def call(words: list[str], env: dict[str, str] | None = None) -> None:
    subprocess.run(words, env=env, stdout=subprocess.DEVNULL, check=True)


def ms(seconds: float) -> str:
    return f"{1000 * seconds:.1f} ms"


def timed(act: Callable[[], object], times: int) -> float:
    """Median seconds of an act."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        act()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


@contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        (Path(name) / "tasks").mkdir()
        yield Path(name)


# floors ------------------------------------------------------------------------------------------------------------


def floors() -> dict[str, float]:
    """What this machine takes for the acts that everything is made of."""
    with folder() as home:
        log = os.open(home / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        base = sqlite3.connect(home / "db", isolation_level=None)
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            base.execute(f"PRAGMA {pragma}")
        base.execute("CREATE TABLE t (x)")

        def fork() -> None:
            pid = os.fork()
            if not pid:
                os._exit(0)
            os.waitpid(pid, 0)

        def sync() -> None:
            os.write(log, b"x" * 200 + b"\n")
            os.fsync(log)

        found = {
            "fork+wait": timed(fork, 50),
            "append+fsync": timed(sync, 200),
            "SQLite commit": timed(lambda: base.execute("INSERT INTO t VALUES (1)"), 200),
            "bare python": timed(lambda: call([sys.executable, "-I", "-S", "-c", "pass"]), 10),
        }
        base.close()
        os.close(log)
    for name, seconds in found.items():
        row(f"floor: {name}", ms(seconds))
    return found


# the process as a whole ----------------------------------------------------------------------------------------------


@contextmanager
def up(home: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([RUNNER, "up"], cwd=home, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if "is ready" in line:
                break
        yield process
    finally:
        process.terminate()
        process.communicate()


def shipped(home: Path) -> None:
    call([RUNNER, "init"], {**os.environ, "RUNNER_HOME": str(home)})


def start(floor: dict[str, float]) -> None:
    with folder() as home:
        shipped(home)

        def once() -> None:
            began = time.perf_counter()
            with up(home):
                taken.append(time.perf_counter() - began)

        taken: list[float] = []
        for _ in range(5):
            once()
    row(
        "start to ready, 4 tasks",
        ms(statistics.median(taken)),
        "<= 1.0 s",
        f"bare python {ms(floor['bare python'])}",
    )


def commands(floor: dict[str, float]) -> None:
    with folder() as home:
        shipped(home)
        env = {**os.environ, "RUNNER_HOME": str(home)}
        for words, aim in ((["stop"], "<= 60 ms"), (["status"], "<= 300 ms"), (["pending"], "")):
            taken = timed(lambda words=words: call([RUNNER, *words], env), 10)
            row(f"runner {words[0]}", ms(taken), aim, f"bare python {ms(floor['bare python'])}")


def idle() -> None:
    with folder() as home:
        for n in range(20):
            body = TASK.format(trigger="every(hours=1)", name=f"t{n}", body="pass")
            (home / "tasks" / f"t{n}.py").write_text(body)
        with up(home) as process:
            time.sleep(2)
            pids = [process.pid, *children(process.pid)]
            before = [cpu(pid) for pid in pids]
            began = time.monotonic()
            time.sleep(20)
            spent = sum(cpu(pid) for pid in pids) - sum(before)
            share = 100 * spent / (time.monotonic() - began)
            memory = [pss(pid) for pid in pids]
    row(
        "idle, 20 tasks: memory (PSS)",
        f"{sum(memory):.0f} MB ({' + '.join(f'{m:.0f}' for m in memory)})",
        "<= 90 MB",
    )
    row("idle, 20 tasks: CPU", f"{share:.2f} %", "<= 0.3 %")


def children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(each) for each in text.split()]


def cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def pss(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:"))


# slots, approvals, stops ---------------------------------------------------------------------------------------------


async def slot_lag(floor: dict[str, float]) -> None:
    with folder() as home:
        for n in range(20):
            body = "return Alert(repr(time.time()))"
            (home / "tasks" / f"t{n}.py").write_text(
                TASK.format(trigger="every(seconds=3)", name=f"t{n}", body=body)
            )
        async with rehearsal(home) as it:
            await it.until(lambda: it.count("alert.raised") >= 40)
            await asyncio.sleep(0)
            slots = {event["run"]: event["slot"] for event in it.found("run.started")}
            lags = [
                float(event["text"]) - datetime.fromisoformat(slots[event["run"]]).timestamp()
                for event in it.found("alert.raised")
            ]
    row("slot to first line, 20 due at once: p50", ms(phone.percentile(lags, 0.5)))
    row(
        "slot to first line, 20 due at once: p95",
        ms(phone.percentile(lags, 0.95)),
        "<= 60 ms",
        f"20 forks {ms(20 * floor['fork+wait'])}",
    )


OTHER = """
import sys, time
from pathlib import Path
from runner.record import written
from runner.review.desk import Desk
from runner.settings import load
from runner.stop import Stop
from runner.store.store import Store

home = Path(sys.argv[1])
store = Store(load(home).database)
store.open()
desk = Desk(store, Stop(home / "STOP", print))
for line in sys.stdin:
    sheet = desk.sheet(line.strip())
    with written(store, home):
        desk.approve(sheet.held.id, sheet.held.digest, "bench")
        at = time.time()
    print(repr(at), flush=True)
"""


async def approval_lag(floor: dict[str, float]) -> None:
    with folder() as home:
        (home / "tasks" / "note.py").write_text(phone.NOTE)
        async with rehearsal(home) as it:
            await it.run("note")
            waiting = it.waiting()
            here = [
                await delivered(it, sheet.held.id, lambda s=sheet: approve_here(it, s))
                for sheet in waiting[:20]
            ]
            other = subprocess.Popen(
                [sys.executable, "-c", OTHER, str(home)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            there = [
                await delivered(it, s.held.id, lambda s=s: approve_there(other, s.held.id))
                for s in waiting[20:]
            ]
            other.communicate()
    beside = f"commit {ms(floor['SQLite commit'])}, fsync {ms(floor['append+fsync'])}, fork {ms(floor['fork+wait'])}"
    row(
        "approval to first line of delivery, one process: p95",
        ms(phone.percentile(here, 0.95)),
        "<= 30 ms",
        beside,
    )
    row(
        "approval to first line of delivery, another process: p95",
        ms(phone.percentile(there[1:], 0.95)),
        "<= 80 ms",
        beside,
    )


def approve_here(it: Rehearsal, sheet: Any) -> float:
    it.desk.approve(sheet.held.id, sheet.held.digest, "bench")
    return time.time()


def approve_there(other: subprocess.Popen[str], draft: str) -> float:
    assert other.stdin is not None
    assert other.stdout is not None
    other.stdin.write(f"{draft}\n")
    other.stdin.flush()
    return float(other.stdout.readline())


async def delivered(it: Rehearsal, draft: str, approve: Callable[[], float]) -> float:
    at = await asyncio.to_thread(approve) if "other" in approve.__code__.co_freevars else approve()
    event = await it.event("delivery.delivered", draft=draft)
    return float(event["receipt"]["detail"]) - at


STUBBORN = """
import signal
from runner import task

def ignore(run):
    for number in (1, 2, 3, 15):
        signal.signal(number, signal.SIG_IGN)
    print("begun")
    while True:
        pass

"""


async def stop_lag(count: int, times: int, aim: str) -> None:
    with folder() as home:
        text = STUBBORN + "".join(
            f"@task(retries=0)\nasync def t{n}(run): ignore(run)\n\n" for n in range(count)
        )
        (home / "tasks" / "stubborn.py").write_text(text)
        async with rehearsal(home, max_runs=count) as it:
            lags = [await stopped(it, home, count) for _ in range(times)]
    row(f"STOP to last of {count} children dead: p50", ms(phone.percentile(lags, 0.5)))
    row(
        f"STOP to last of {count} children dead: worst of {times}",
        ms(max(lags)),
        aim,
        f"plain copies {ms(copies_dead(count))}",
    )


async def stopped(it: Rehearsal, home: Path, count: int) -> float:
    begun = it.count("log", message="begun")
    with it.app.store.change() as tx:
        for n in range(count):
            runs.add(tx, new_id(), f"t{n}")
    await it.until(lambda: it.count("log", message="begun") == begun + count)
    ends = [os.pidfd_open(child.pid) for child in it.app.children._live.values()]
    watcher = asyncio.create_task(asyncio.to_thread(last_dead, ends))
    await asyncio.sleep(0.05)
    touched = time.monotonic()
    (home / "STOP").touch()
    dead = await watcher
    (home / "STOP").unlink()
    await it.until(lambda: len(it.app.children) == 0 and it.app.halt.is_recorded)
    it.desk.resume("bench")
    await it.until(lambda: it.app.stop.reason is None)
    return dead - touched


def last_dead(ends: list[int]) -> float:
    """When the last of these processes has ended; takes no processor time from their dying."""
    waiter = select.poll()
    for end in ends:
        waiter.register(end, select.POLLIN)
    left = set(ends)
    while left:
        for end, _ in waiter.poll():
            waiter.unregister(end)
            left.discard(end)
    dead = time.monotonic()
    for end in ends:
        os.close(end)
    return dead


COPIES = """
import os, signal, sys, time
import jsonschema
from runner.worker import child, deliver, fitting, limits, look, run

def once(count):
    read, write = os.pipe()
    pids = []
    for _ in range(count):
        pid = os.fork()
        if not pid:
            os.setpgid(0, 0)
            os.nice(limits.NICENESS)
            os.write(write, b"x")
            while True:
                pass
        pids.append(pid)
    begun = 0
    while begun < count:
        begun += len(os.read(read, count))
    time.sleep(0.05)
    began = time.monotonic()
    for pid in pids:
        os.killpg(pid, signal.SIGKILL)
    for pid in pids:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    dead = time.monotonic()
    for pid in pids:
        os.waitpid(pid, 0)
    return dead - began

print(sorted(once(int(sys.argv[1])) for _ in range(10))[5])
"""


def copies_dead(count: int) -> float:
    """Median seconds to kill so many plain copies of the process that children are forked from."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", COPIES, str(count)], stdout=subprocess.PIPE, text=True, check=True
    )
    return float(done.stdout)


async def throughput(floor: dict[str, float]) -> None:
    with folder() as home:
        text = "from runner import task\n\n" + "".join(
            f"@task(overlap='queue')\ndef t{n}(run): pass\n\n" for n in range(50)
        )
        (home / "tasks" / "noop.py").write_text(text)
        async with rehearsal(home, is_scheduled=False) as it:
            await it.until(lambda: len(it.app.catalog.tasks) == 50)
            began = time.perf_counter()
            with it.app.store.change() as tx:
                for n in range(RUNS):
                    runs.add(tx, new_id(), f"t{n % 50}")
            await it.until(lambda: it.count("run.finished") == RUNS)
            rate = RUNS / (time.perf_counter() - began)
    row("no-op runs recorded durably", f"{rate:.0f}/s", ">= 200/s", f"{1 / floor['fork+wait']:.0f} forks/s")


async def phone_lag() -> None:
    for waiting, words in ((0, ""), (1000, ", 1,000 messages waiting")):
        lags = await phone.tap_lag(waiting)
        network = f"tap heard by a bare client {ms(phone.percentile(lags.network, 0.95))}"
        row(f"tap to decision committed{words}: p95", ms(phone.percentile(lags.decided, 0.95)), "", network)
        row(
            f"tap to first line of delivery{words}, less the network: p95",
            ms(phone.percentile(lags.beyond, 0.95)),
            "<= 40 ms",
            network,
        )
    made, shown = await phone.thousand_cards()
    row("1,000 drafts: cards made, all shown with buttons, unpaced", f"{made:.1f} s, {shown:.1f} s")


# many of everything --------------------------------------------------------------------------------------------------


async def many() -> None:
    with folder() as home:
        fill(home)
        for n in range(100):
            text = "from runner import cron, task\n\n" + "".join(
                f"@task(cron('{m % 60} {n % 24} * * *'))\ndef t{n}_{m}(run): pass\n\n" for m in range(100)
            )
            (home / "tasks" / f"m{n}.py").write_text(text)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = time.perf_counter()
        async with rehearsal(home) as it:
            row("10,000 tasks, 100,000 drafts: start", f"{time.perf_counter() - began:.1f} s")
            grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
            row("10,000 tasks, 100,000 drafts: memory of that", f"{grown:.0f} MB")
            row("10,000 tasks, 100,000 drafts: a look around", ms(timed(it.app._turn, 20)))
            wakeup = it.app.schedule._scheduler._process_jobs
            row("10,000 tasks, 100,000 drafts: a tick of the schedule", ms(timed(wakeup, 20)))
        env = {**os.environ, "RUNNER_HOME": str(home)}
        taken = timed(lambda: call([RUNNER, "pending"], env), 3)
        row("100,000 drafts: runner pending", f"{taken:.1f} s")
        taken = timed(lambda: call([RUNNER, "status"], env), 3)
        row("100,000 drafts: runner status", ms(taken))


def fill(home: Path) -> None:
    """Put 100,000 pending drafts into a store."""
    store = Store(load(home).database)
    store.open()
    kind = Kind(
        name="article",
        title="Article",
        module="runner.drafts.article",
        file=None,
        schema_={},
        source="runner 0.1.0",
    )
    began = time.perf_counter()
    for batch in range(100):
        with store.change() as tx:
            for n in range(1000):
                origin = drafts.Origin(task=f"t{batch}_0", run=f"r{batch}", place=n, call=None)
                fields = {"title": f"Draft {n}", "body": "words " * 20}
                drafts.add(tx, new_id(), origin, kind, fields, timedelta(days=3), 3)
    store.tell("bench.filled", at=stamp(datetime.now(UTC)))
    row("100,000 drafts: recording each", ms((time.perf_counter() - began) / 100_000))
    store.close()


def main() -> None:
    floor = floors()
    steps: list[Callable[[], Awaitable[None] | None]] = [
        lambda: start(floor),
        lambda: commands(floor),
        idle,
        lambda: slot_lag(floor),
        lambda: approval_lag(floor),
        lambda: stop_lag(20, 20, "p99 <= 25 ms"),
        lambda: stop_lag(100, 5, "<= 150 ms"),
        lambda: throughput(floor),
        phone_lag,
        many,
    ]
    wanted = sys.argv[1:]
    for number, step in enumerate(steps):
        if not wanted or str(number) in wanted:
            work = step()
            if work is not None:
                asyncio.run(work)  # type: ignore[arg-type]
    table = Table("what", "figure", "aim", "floor")
    for line in ROWS:
        table.add_row(*line)
    Console(width=150).print(table)
    print(json.dumps({what: value for what, value, *_ in ROWS}))


if __name__ == "__main__":
    main()
