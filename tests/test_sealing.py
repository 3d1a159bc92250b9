"""The seal: what its filter answers on each machine, which places it leaves, and that nothing else is open."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from test_children import children, last_word, order, run, unheard

from runner import seal
from runner.errors import RunError, SettingsError
from runner.trial import tried
from runner.worker.sealing import calls, landlock, seccomp
from runner.worker.sealing.places import around, readable
from runner.worker.sealing.report import SealReport, report
from runner.worker.sealing.user import chosen, give

pytestmark = pytest.mark.own_zygote

PID = 4711


def verdict(
    machine: str, number: int, *args: int, is_open: bool = False, covers_truncate: bool = True
) -> int:
    """What the filter answers to that call: its program, run step by step as the kernel would."""
    kind = calls.MACHINES[machine]
    steps = seccomp.program(kind, is_open=is_open, covers_truncate=covers_truncate, pid=PID)
    data = struct.pack("=IIQ6Q", number, kind.audit, 0, *(*args, 0, 0, 0, 0, 0, 0)[:6])
    value, at = 0, 0
    while True:
        step = steps[at]
        at += 1
        match step.code:
            case seccomp.LOAD:
                (value,) = struct.unpack_from("=I", data, step.value)
            case seccomp.AND:
                value &= step.value
            case seccomp.RETURN:
                return step.value
            case code:
                holds = {
                    seccomp.EQUAL: value == step.value,
                    seccomp.GREATER: value > step.value,
                    seccomp.ANY_BIT: bool(value & step.value),
                }[code]
                at += step.yes if holds else step.no


@pytest.fixture(params=calls.MACHINES)
def machine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def number(machine: str, name: str) -> int:
    found = calls.JUDGED[name][calls.MACHINES[machine].place]
    assert found is not None
    return found


def test_what_no_child_needs_is_refused_to_all(machine: str) -> None:
    place = calls.MACHINES[machine].place
    for group in (calls.OTHERS, calls.NAMESPACES, calls.KERNEL):
        for each in filter(None, (both[place] for both in group.values())):
            assert verdict(machine, each) == seccomp.REFUSE
            assert verdict(machine, each, is_open=True) == seccomp.REFUSE


def test_the_network_and_programs_are_closed_only_to_sealed_ones(machine: str) -> None:
    place = calls.MACHINES[machine].place
    for group in (calls.SIGNALS, calls.NETWORK, calls.PROGRAMS, calls.METADATA, calls.IPC):
        for each in filter(None, (both[place] for both in group.values())):
            assert verdict(machine, each) == seccomp.REFUSE
            assert verdict(machine, each, is_open=True) == seccomp.ALLOW


@pytest.mark.parametrize(
    ("name", "args", "answer"),
    [
        ("kill", (PID,), seccomp.ALLOW),
        ("kill", (PID + 1,), seccomp.REFUSE),
        ("kill", (0xFFFFFFFF,), seccomp.REFUSE),
        ("tgkill", (PID, 5), seccomp.ALLOW),
        ("tgkill", (1, 1), seccomp.REFUSE),
        ("clone", (0x50F00,), seccomp.ALLOW),
        ("clone", (17,), seccomp.REFUSE),
        ("clone", (0x10000000 | 0x10000,), seccomp.REFUSE),
        ("clone3", (), seccomp.ABSENT),
        ("prctl", (1,), seccomp.REFUSE),
        ("prctl", (4,), seccomp.REFUSE),
        ("prctl", (15,), seccomp.ALLOW),
        ("prlimit64", (0,), seccomp.ALLOW),
        ("prlimit64", (1,), seccomp.REFUSE),
        ("setpriority", (0, 0), seccomp.ALLOW),
        ("setpriority", (0, 1), seccomp.REFUSE),
        ("setpriority", (2, 0), seccomp.REFUSE),
        ("sched_setaffinity", (0,), seccomp.ALLOW),
        ("sched_setaffinity", (1,), seccomp.REFUSE),
        ("socketpair", (1, 0x80801), seccomp.ALLOW),
        ("socketpair", (1, 2), seccomp.REFUSE),
        ("socketpair", (2, 1), seccomp.REFUSE),
        ("sendto", (3, 4, 5, 0, 0), seccomp.ALLOW),
        ("sendto", (3, 4, 5, 0, 0x100000000), seccomp.REFUSE),
        ("ioctl", (0, 0x5412), seccomp.REFUSE),
        ("ioctl", (0, 0x5401), seccomp.ALLOW),
        ("truncate", (), seccomp.ALLOW),
    ],
)
def test_other_calls_are_judged_by_what_they_are_given(
    machine: str, name: str, args: tuple[int, ...], answer: int
) -> None:
    assert verdict(machine, number(machine, name), *args) == answer


def test_calls_of_another_machine_and_calls_too_new_are_refused(machine: str) -> None:
    steps = seccomp.program(calls.MACHINES[machine], is_open=False, covers_truncate=True, pid=PID)
    assert (steps[1].value, steps[2].value) == (calls.MACHINES[machine].audit, seccomp.KILL)
    assert verdict(machine, calls.NEWEST + 1) == seccomp.ABSENT
    assert verdict(machine, 0x40000000 | 41) == seccomp.ABSENT  # x32
    assert verdict(machine, 0) == seccomp.ALLOW
    assert verdict(machine, number(machine, "truncate"), covers_truncate=False) == seccomp.REFUSE


@pytest.mark.parametrize(
    ("abi", "rights"), [(1, 13), (2, 14), (3, 15), (4, 15), (5, 16), (7, 16), (9, 17), (12, 17)]
)
def test_each_abi_of_landlock_is_asked_for_what_it_knows(abi: int, rights: int) -> None:
    assert landlock.handled(abi) == (1 << rights) - 1


@pytest.mark.parametrize(("abi", "has_filter"), [(7, True), (0, True), (7, False), (0, False), (1, True)])
def test_a_seal_is_never_claimed_where_a_part_of_it_lacks(abi: int, *, has_filter: bool) -> None:
    found = SealReport("Linux 1.0 on x", abi, has_filter=has_filter)
    assert found.is_whole == (bool(abi) and has_filter)
    assert len(found.lacking) == (not abi) + (not has_filter)
    words = " ".join(part.words for part in found.parts())
    assert ("cutting files short is refused everywhere" in words) == (abi == 1)


def test_a_place_that_holds_the_project_is_left_in_parts(tmp_path: Path) -> None:
    home = tmp_path / "lib" / "deep" / "home"
    home.mkdir(parents=True)
    (tmp_path / "lib" / "beside").mkdir()
    (tmp_path / "lib" / "link").symlink_to(home)
    assert list(around(tmp_path / "lib", home)) == [tmp_path / "lib" / "beside"]
    assert list(around(home, home)) == []
    assert list(around(home / "x", home)) == [home / "x"]


def test_nothing_of_the_project_but_its_tasks_may_be_read(tmp_path: Path) -> None:
    for is_open in (True, False):
        found = [Path(place) for place in readable(tmp_path, is_open=is_open)]
        assert [place for place in found if place.is_relative_to(tmp_path)] == [tmp_path / "tasks"]
        assert not any(tmp_path.is_relative_to(place) for place in found)


@pytest.mark.parametrize(
    "name", ["", ".", "/etc", "..", "logs", ".runner", ".env", "tasks/x", "a/../../x", "out/inner", "private"]
)
def test_a_kind_may_not_name_what_is_not_its_own_to_write(tmp_path: Path, name: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "inner").symlink_to(tmp_path / ".runner")
    (tmp_path / "private").symlink_to(tmp_path / "logs")
    with pytest.raises(RunError, match="writes="):
        seal.of_delivery(tmp_path, tmp_path / "work", [name], None)


def test_a_folder_that_a_kind_names_is_made_for_it(tmp_path: Path) -> None:
    order = seal.of_delivery(tmp_path, tmp_path / "work", ["published"], chosen())
    assert str(tmp_path / "published") in order["writes"]
    assert (tmp_path / "published").is_dir()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives folders away")
def test_root_runs_tasks_as_a_user_that_owns_nothing(tmp_path: Path) -> None:
    user = chosen()
    assert user is not None
    assert user.uid not in {0, 65534}
    (tmp_path / "folder" / "old").mkdir(parents=True)
    (tmp_path / "folder" / "old" / "link").symlink_to("/etc/passwd")
    give(tmp_path / "folder", user)
    assert (tmp_path / "folder" / "old").stat().st_uid == user.uid
    assert Path("/etc/passwd").stat().st_uid == 0
    for name in ("root", "0", "no-such-user"):
        with pytest.raises(SettingsError, match="task_user="):
            chosen(name)
    assert getattr(chosen("nobody"), "name", "") == "nobody"


@pytest.mark.skipif(os.geteuid() == 0, reason="root can become anybody")
async def test_a_child_that_can_t_be_sealed_does_nothing_and_says_so(tmp_path: Path) -> None:
    async with children() as kept, kept.fork(unheard) as child:
        one = order(tmp_path, "def it():\n    pass")
        one["seal"]["user"] = [64_999, 64_999]
        with pytest.raises(RunError, match=r"could not be sealed, and did nothing: .*not permitted"):
            await last_word(child, one)


async def test_a_run_is_never_root(tmp_path: Path) -> None:
    for is_open in (True, False):
        message, _ = await run(tmp_path, "def it():\n    return Alert(str(os.getuid()))", is_open=is_open)
        uid = getattr(chosen(), "uid", os.getuid())
        assert message["made"] == [{"alert": str(uid)}]


async def test_a_run_has_nothing_of_root_to_go_back_to(tmp_path: Path) -> None:
    body = "def it():\n    return Alert(str([*os.getresuid(), *os.getresgid(), *os.getgroups()]))"
    message, _ = await run(tmp_path, body)
    user = chosen()
    if user is None:
        held = [*os.getresuid(), *os.getresgid(), *os.getgroups()]
    else:
        held = [user.uid] * 3 + [user.gid] * 3
    assert message["made"] == [{"alert": str(held)}]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be in other groups at will")
def test_whoever_becomes_another_user_leaves_every_group() -> None:
    code = "import os; os.setgroups([4, 27]); from runner.worker.sealing import user; "
    code += "user.become(64999, 64999, may_read=False, may_pass_on=False); print(os.getgroups())"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"


@pytest.mark.skipif(not report().is_whole, reason="this machine has not all of the seal")
async def test_promise_15_a_sealed_child_that_tries_each_way_out_finds_none(tmp_path: Path) -> None:
    async with children() as kept:
        assert [each.way for each in await tried(kept, tmp_path) if each.refusal is None] == []
    assert list((tmp_path / ".runner").iterdir()) == []


OLD_KERNEL = """
import os, sys
from runner.worker.sealing.seccomp import ABSENT, ALLOW, EQUAL, Step, answer, install, load
install([load(0), Step(EQUAL, 0, 1, 444), answer(ABSENT), answer(ALLOW)])  # as before Landlock
os.execv(sys.executable, [sys.executable, "-c", "from runner.cli import main; main()", *sys.argv[1:]])
"""


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (
            ["doctor"],
            ["has no Landlock", "a sealed child can read a file of yours", "connect by TCP: closed"],
        ),
        (["tasks", "--json"], ['"sealed": false']),
    ],
)
@pytest.mark.skipif(
    not report().is_whole or os.geteuid() == 0,
    reason="without Landlock, root's tasks reach no folder of root's",
)
def test_on_a_kernel_without_landlock_no_seal_is_claimed(
    tmp_path: Path, command: list[str], words: list[str]
) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "one.py").write_text("from runner import task\n\n\n@task()\ndef one(): pass\n")
    told = subprocess.run(
        [sys.executable, "-c", OLD_KERNEL, *command],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin"},
    )
    for each in words:
        assert each in told.stdout, told
    assert '"sealed": true' not in told.stdout


ORDINARY = """
async def it(run: Run):
    import asyncio, concurrent.futures, json, logging, sqlite3, ssl, tempfile, threading, zoneinfo
    database = sqlite3.connect(run.folder / "own.db")
    database.execute("create table t (x)")
    database.commit()
    with tempfile.TemporaryDirectory() as folder:
        open(folder + "/x", "w").write("x")
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        sums = list(pool.map(lambda n: n * n, range(8)))
    await asyncio.to_thread(sum, sums)
    ssl.create_default_context()
    (run.folder / "sub").mkdir()
    (run.folder / "sub" / "a").write_text("a")
    (run.folder / "sub" / "a").rename(run.folder / "b")
    open(os.devnull, "w").write("x")
    return Alert(f"{sums[-1]} {zoneinfo.ZoneInfo('Europe/Berlin')} {tempfile.gettempdir() == str(run.folder)}")
"""


async def test_what_an_ordinary_task_needs_works_in_a_sealed_one(tmp_path: Path) -> None:
    message, _ = await run(tmp_path, ORDINARY, is_open=False)
    assert message.get("made") == [{"alert": "49 Europe/Berlin True"}], message


@pytest.mark.skipif(not report().is_whole, reason="this machine has not all of the seal")
@pytest.mark.parametrize(
    ("line", "is_open", "words"),
    [
        ("import subprocess; subprocess.run(['true'])", False, "the task is sealed"),
        ("import urllib.request; urllib.request.urlopen('http://example.com')", False, "the task is sealed"),
        ("open('/etc/hostname')", False, "the task is sealed"),
        ("open('/etc/shadow')", True, "its files are closed"),
        ("raise ValueError('x')", False, "ValueError: x"),
    ],
)
async def test_what_the_seal_refuses_is_said_with_a_hint(
    tmp_path: Path, line: str, words: str, *, is_open: bool
) -> None:
    message, _ = await run(tmp_path, f"def it():\n    {line}", is_open=is_open)
    assert message["op"] == "failed"
    assert words in message["error"]
    assert ("sealed" in message["error"]) == (words == "the task is sealed")


async def test_an_open_task_has_programs_and_a_network_but_not_the_files(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("KEY=secret")
    body = f"""
    def it(run: Run):
        import socket, subprocess
        here, there = socket.socketpair()
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname()).close()
        said = subprocess.run(["cat", "{tmp_path}/.env"], capture_output=True, text=True).stderr
        written = subprocess.run(["sh", "-c", "echo x > own && cat own"], capture_output=True, text=True).stdout
        return Alert(written + said)
    """
    message, _ = await run(tmp_path, body, is_open=True)
    said = message["made"][0]["alert"]
    assert said.startswith("x\n")
    assert ("ermission denied" in said) == report().is_whole


async def test_the_watch_for_the_end_of_the_supervisor_works_in_a_sealed_child(tmp_path: Path) -> None:
    async with children() as kept, kept.fork(unheard) as child:
        said = await last_word(child, order(tmp_path, "async def it():\n    os._exit(4)", is_open=False))
        assert said["op"] == "calling"
        assert await child.ended == "exit 4"
    async with children() as kept, kept.fork(unheard) as child:
        await child.send(order(tmp_path, "async def it():\n    while True: pass", is_open=False))
        while (await child.receive() or {"op": "calling"})["op"] != "calling":
            pass
        (child.writer or pytest.fail("no writer")).close()
        assert await child.ended == "exit 1"
