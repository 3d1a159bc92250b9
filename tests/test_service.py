"""The runner as a service: what it tells the machine that started it, and who notices when it falls silent."""

from __future__ import annotations

import asyncio
import os
import plistlib
import shutil
import signal
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from modules import note
from typed import typed

from runner.errors import RunnerError
from runner.heartbeat import Heartbeat
from runner.machine import disk_trouble, sleep_trouble
from runner.rehearsal.claude import StandInClaude
from runner.rehearsal.destination import Answers, StandInDestination
from runner.rehearsal.telegram import StandInTelegram
from runner.service import service
from runner.settings import load
from runner.store import slots
from runner.store.store import Store
from runner.testing import rehearsal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

RUNNER = str(Path(sys.executable).with_name("runner"))
WITHIN_S = 20.0


def command(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HOME": str(home / "her")}
    return subprocess.run(
        [RUNNER, *words], cwd=home, capture_output=True, text=True, check=False, env=environment
    )


async def up(home: Path, **environment: str) -> asyncio.subprocess.Process:
    (home / "tasks").mkdir(exist_ok=True)
    return await asyncio.create_subprocess_exec(
        RUNNER, "up", cwd=home, stdout=asyncio.subprocess.DEVNULL, env={**os.environ, **environment}
    )


async def test_the_service_manager_hears_that_it_is_ready_alive_and_ending(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(0)
        heard = hear(manager)
        runner = await up(tmp_path, NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="300000")
        assert {await anext(heard), await anext(heard)} == {"READY=1", "WATCHDOG=1"}
        assert await anext(heard) == "WATCHDOG=1"
        runner.send_signal(signal.SIGTERM)
        while (word := await anext(heard)) != "STOPPING=1":
            assert word == "WATCHDOG=1"
        assert await asyncio.wait_for(runner.wait(), WITHIN_S) == 0


async def hear(manager: socket.socket) -> AsyncIterator[str]:
    while True:
        yield (await asyncio.wait_for(asyncio.get_running_loop().sock_recv(manager, 100), WITHIN_S)).decode()


async def test_a_switch_is_asked_while_all_is_well_and_its_address_stays_out_of_the_record(
    tmp_path: Path,
) -> None:
    async with StandInDestination() as switch:
        switch.pages["/beat/s3cret"] = "ok"
        (tmp_path / "runner.toml").write_text(f'[heartbeat]\nurl = "{switch.url}/beat/s3cret"\n')
        runner = await up(tmp_path)
        assert (await switch.visits.nth(1, within=WITHIN_S)).path == "/beat/s3cret"
        runner.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(runner.wait(), WITHIN_S) == 0
    journal = "".join(path.read_text() for path in (tmp_path / "logs").glob("*.jsonl"))
    assert "runner.ended" in journal
    assert "s3cret" not in journal


async def test_what_is_not_well_keeps_the_switch_unasked_and_is_told_once(store: Store) -> None:
    async with StandInDestination() as switch:
        wrong = ""
        beat = Heartbeat(
            f"{switch.url}/health",
            {"slots": lambda: wrong, "store": lambda: str(store.last_seq() * 0 or "")},
            store,
        )
        await beat.beat()
        assert len(switch.visits) == 1
        wrong = "nothing was looked at for 99 s"
        await beat.beat()
        await beat.beat()
        assert len(switch.visits) == 1
        wrong = ""
        await beat.beat()
        assert len(switch.visits) == 2
    told = [(event["event"], event.get("reason")) for event in store.newest_events(9)]
    assert told == [
        ("heartbeat.missed", "slots: nothing was looked at for 99 s"),
        ("heartbeat.resumed", None),
    ]


async def test_a_look_that_fails_in_words_is_a_reason(store: Store) -> None:
    def fail() -> str:
        raise RunnerError("the disk is full")

    assert Heartbeat("", {"journal": fail}, store).trouble() == "journal: the disk is full"


async def test_a_switch_that_can_t_be_asked_is_told_without_its_address(store: Store) -> None:
    async with StandInDestination() as switch:
        beat = Heartbeat(f"{switch.url}/nowhere/s3cret", {}, store)
        await beat.beat()
    await beat.beat()
    reasons = [event["reason"] for event in store.newest_events(9)]
    assert reasons == ["127.0.0.1 answers 404", "127.0.0.1 can't be asked: ConnectError"]


def test_the_unit_names_the_project_whatever_it_is_called(tmp_path: Path) -> None:
    home = tmp_path / 'My "Studio" $5 100%'
    home.mkdir()
    (home / "runner.toml").touch()
    done = command(home, "service", "install")
    assert "runner-my-studio-5-100.service" in done.stdout
    (unit,) = (home / "her/.config/systemd/user").iterdir()
    text = unit.read_text()
    assert "RUNNER_HOME=" in text
    assert command(home, "service", "show").stdout.endswith(text)
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not here to read the unit")
    checked = subprocess.run(
        [analyze, "--user", "verify", unit],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
    )
    assert (checked.returncode, checked.stderr) == (0, "")


def test_a_service_of_another_project_is_not_written_over(tmp_path: Path) -> None:
    homes = [tmp_path / name / "studio" for name in ("one", "two")]
    for home in homes:
        home.mkdir(parents=True)
        (home / "runner.toml").touch()
    environment = {**os.environ, "HOME": str(tmp_path)}
    codes = [
        subprocess.run([RUNNER, "service", "install"], cwd=home, env=environment, check=False).returncode
        for home in (homes[0], homes[0], homes[1])
    ]
    assert codes == [0, 0, 1]


def test_a_mac_is_told_the_same_in_its_own_words(tmp_path: Path) -> None:
    found = service(tmp_path / "Studio", "darwin")
    assert found is not None
    agent = plistlib.loads(found.text.encode())
    assert agent["EnvironmentVariables"] == {"RUNNER_HOME": str(tmp_path / "Studio")}
    assert agent["KeepAlive"] == {"SuccessfulExit": False}
    assert service(tmp_path, "plan9") is None
    with pytest.raises(RunnerError, match="rename the folder"):
        service(tmp_path / "a\nb", "linux")


def test_a_machine_with_a_battery_may_sleep_unless_that_is_forbidden(tmp_path: Path) -> None:
    supplies, target = tmp_path / "supplies", tmp_path / "sleep.target"
    for name, kind, scope in (("AC", "Mains", ""), ("mouse", "Battery", "Device"), ("BAT0", "Battery", "")):
        (supplies / name).mkdir(parents=True)
        (supplies / name / "type").write_text(kind)
        if scope:
            (supplies / name / "scope").write_text(scope)
    assert "it has a battery" in sleep_trouble(supplies, target)
    target.symlink_to(os.devnull)
    assert not sleep_trouble(supplies, target)
    shutil.rmtree(supplies / "BAT0")
    target.unlink()
    assert not sleep_trouble(supplies, target)


def test_a_disk_that_is_nearly_full_is_told(tmp_path: Path) -> None:
    assert not disk_trouble(tmp_path, least=1)
    assert "Make room" in disk_trouble(tmp_path, least=1 << 62)


async def test_the_shell_completes_commands_drafts_and_tasks(tmp_path: Path) -> None:
    async with rehearsal(tmp_path, is_scheduled=False) as it:
        it.drop("note.py", note())
        await it.run("note")
        draft = it.waiting()[0].held.id
    with (store := Store(load(tmp_path).database)).change() as tx:
        slots.pause(tx, "note", "the owner")
    store.close()
    assert "complete" in command(tmp_path, "completion", "bash").stdout
    assert completed(tmp_path, "runner app") == ["plain,approve"]
    assert completed(tmp_path, "runner pause n") == ["plain,note"]
    assert completed(tmp_path, f"runner approve {draft[:3]}") == [f"plain,{draft}"]
    assert completed(tmp_path / "logs", "runner show ") == []


def completed(home: Path, typed: str) -> list[str]:
    environment = {
        **os.environ,
        "_RUNNER_COMPLETE": "bash_complete",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(typed.count(" ")),
    }
    done = subprocess.run([RUNNER], cwd=home, capture_output=True, text=True, check=True, env=environment)
    return done.stdout.split()


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_a_service_file_is_known_as_a_projects_own_by_its_folder_alone(platform: str) -> None:
    odd, other = service(Path("/a/100% <c>"), platform), service(Path("/x/a/100% <c>"), platform)
    assert odd is not None
    assert other is not None
    assert odd.is_in(odd.text)
    assert not odd.is_in(other.text)
    assert not other.is_in(odd.text)


REFUSED = Answers(
    401, {"type": "error", "error": {"type": "authentication_error", "message": "invalid x-api-key"}}
)


async def test_the_doctor_tries_the_key_and_the_model(tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    async with StandInClaude() as claude, StandInDestination() as other:
        doctor = partial(diagnosed, tmp_path, ANTHROPIC_API_KEY="sk-mine")
        assert f"✓ key: {claude.url} takes it, and has claude-" in await doctor(ANTHROPIC_BASE_URL=claude.url)
        told = await doctor(ANTHROPIC_BASE_URL=claude.url, RUNNER_MODEL="claude-fantasy-1")
        assert "✗ key: no price is known for 'claude-fantasy-1', so it fits no budget" in told
        other.script(REFUSED)
        told = await doctor(ANTHROPIC_BASE_URL=other.url)
        assert "✗ key: ANTHROPIC_API_KEY was not accepted (401: invalid x-api-key)" in told
        assert "sk-mine" not in told


async def test_the_doctor_tries_the_bot(tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    async with StandInTelegram() as tg:
        doctor = partial(diagnosed, tmp_path, RUNNER_TELEGRAM_API=tg.url, RUNNER_TELEGRAM_OWNERS="5")
        assert "answers; 1 may decide by it" in await doctor(RUNNER_TELEGRAM_TOKEN=tg.token)
        assert "✗ phone: " in await doctor(RUNNER_TELEGRAM_TOKEN="1:nonsense")
        nobody = {"RUNNER_TELEGRAM_API": "http://127.0.0.1:9", "RUNNER_TELEGRAM_TOKEN": tg.token}
        assert "! phone: a bot is set and could not be asked" in await doctor(**nobody)


async def diagnosed(home: Path, **environment: str) -> str:
    """What the doctor says of a project with that environment."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("RUNNER_", "ANTHROPIC_"))
    }
    told, _ = await asyncio.to_thread(typed, ["doctor"], home, {**kept, **environment})
    return told
