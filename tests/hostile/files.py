"""Reading and writing what is not its own."""

import ctypes
import os
import shutil
import site
import sqlite3
import sys
from pathlib import Path

from runner import task

HOME, PORT, PID = Path("TARGET.home"), int("TARGET.port"), int("TARGET.pid")
libc = ctypes.CDLL(None, use_errno=True)


class Escaped(Exception):
    """It got out."""


@task(retries=0)
def read_the_secrets(run):
    raise Escaped((HOME / ".env").read_text())


@task(retries=0)
def read_the_settings(run):
    raise Escaped((HOME / "runner.toml").read_text())


@task(retries=0)
def read_the_store(run):
    raise Escaped(
        sqlite3.connect(f"file:{HOME}/.runner/store.db?mode=ro", uri=True).execute("select 1").fetchall()
    )


@task(retries=0)
def read_the_journal(run):
    raise Escaped([path.read_text() for path in [*(HOME / "logs").iterdir()]])


@task(retries=0)
def read_another_s_folder(run):
    raise Escaped((HOME / ".runner" / "folders" / "victim" / "diary").read_text())


@task(retries=0)
def list_the_others(run):
    raise Escaped(os.listdir(HOME / ".runner" / "folders"))


@task(retries=0)
def list_the_project(run):
    raise Escaped(os.listdir(HOME))


@task(retries=0)
def read_a_key(run):
    raise Escaped((HOME / "keys" / "id_ed25519").read_text())


@task(retries=0)
def read_passwords(run):
    raise Escaped(Path("/etc/shadow").read_text())


@task(retries=0)
def read_around_the_corner(run):
    """By a way that goes through a folder it may read."""
    raise Escaped((HOME / "tasks" / ".." / ".env").read_text())


@task(retries=0)
def read_by_a_symlink(run):
    (run.folder / "link").symlink_to(HOME / ".env")
    raise Escaped((run.folder / "link").read_text())


@task(retries=0)
def read_by_a_hard_link(run):
    os.link(HOME / ".env", run.folder / "link")
    raise Escaped((run.folder / "link").read_text())


@task(retries=0)
def read_by_moving_it_in(run):
    os.rename(HOME / ".env", run.folder / "mine")
    raise Escaped((run.folder / "mine").read_text())


@task(retries=0)
def read_by_a_handle(run):
    handle = ctypes.create_string_buffer(b"\x80\0\0\0" + b"\0" * 200)
    mount = ctypes.c_int()
    if libc.name_to_handle_at(-100, os.fsencode(HOME / ".env"), handle, ctypes.byref(mount), 0) >= 0:
        raise Escaped
    raise PermissionError("refused")


@task(retries=0)
def read_by_its_own_root(run):
    """/proc/self/root is the same tree by another name."""
    raise Escaped(Path(f"/proc/self/root{HOME}/.env").read_text())


@task(retries=0)
def write_stop(run):
    (HOME / "STOP").write_text("halt")
    raise Escaped


@task(retries=0)
def write_by_a_symlink(run):
    (run.folder / "stop").symlink_to(HOME / "STOP")
    (run.folder / "stop").write_text("halt")
    raise Escaped


@task(retries=0)
def write_by_a_hard_link(run):
    os.link(HOME / "canary", run.folder / "canary-link")
    (run.folder / "canary-link").write_text("mine")
    raise Escaped


@task(retries=0)
def write_the_settings(run):
    (HOME / "runner.toml").write_text("max_runs = 1")
    raise Escaped


@task(retries=0)
def write_the_store(run):
    sqlite3.connect(HOME / ".runner" / "store.db").execute("delete from drafts")
    raise Escaped


@task(retries=0)
def write_the_journal(run):
    for path in (HOME / "logs").glob("*"):
        path.write_text("")
    (HOME / "logs" / "2026-01-01.jsonl").write_text("{}")
    raise Escaped


@task(retries=0)
def write_a_task(run):
    (HOME / "tasks" / "planted.py").write_text("x = 1")
    raise Escaped


@task(retries=0)
def write_its_own_code(run):
    Path(__file__).write_text("x = 1")
    raise Escaped


@task(retries=0)
def write_another_s_folder(run):
    (HOME / ".runner" / "folders" / "victim" / "diary").write_text("mine")
    raise Escaped


@task(retries=0)
def plant_a_pth(run):
    for folder in {*site.getsitepackages(), str(Path(os.__file__).parent)}:
        with open(f"{folder}/hostile-planted.pth", "w") as file:
            file.write("import os")
        raise Escaped(folder)


@task(retries=0)
def write_the_runner_s_code(run):
    import runner

    with open(Path(runner.__file__).parent / "gate.py", "a") as file:
        file.write("")
    raise Escaped


@task(retries=0)
def write_the_interpreter(run):
    with open(os.path.realpath(sys.executable), "ab"):
        raise Escaped


@task(retries=0)
def write_home(run):
    Path("~root/.hostile-profile").expanduser().write_text("x") if os.getuid() else None
    Path("/root/.hostile-profile").write_text("x")
    raise Escaped


@task(retries=0)
def write_to_tmp(run):
    (Path("/tmp") / f"hostile-{PORT}").write_text("x")
    raise Escaped


@task(retries=0)
def cut_short(run):
    os.truncate(HOME / "canary", 0)
    raise Escaped


@task(retries=0)
def change_the_rights(run):
    os.chmod(HOME / "canary", 0o777)
    raise Escaped


@task(retries=0)
def change_the_rights_by_a_descriptor(run):
    with open(__file__) as file:
        os.fchmod(file.fileno(), 0)
    raise Escaped


@task(retries=0)
def change_the_times(run):
    os.utime(HOME / "canary", (0, 0))
    raise Escaped


@task(retries=0)
def put_a_folder_in_its_place(run):
    shutil.move(HOME / "canary", run.folder / "canary")
    raise Escaped


@task(retries=0)
def remove_the_logs(run):
    os.rename(HOME / "logs", HOME / "logs2")
    raise Escaped


@task(retries=0)
def move_its_own_folder(run):
    """A link in its place would lead the supervisor astray."""
    os.rename(run.folder, run.folder.with_name("elsewhere"))
    raise Escaped


@task(retries=0)
def a_device(run):
    os.mknod(run.folder / "memory", 0o20600, os.makedev(1, 1))
    raise Escaped


@task(retries=0, disk=4)
def fill_the_disk(run):
    for number in range(100_000):
        (run.folder / str(number)).write_bytes(b"x" * (1 << 20))
    raise Escaped


@task(retries=0)
def one_huge_file(run):
    with open(run.folder / "huge", "wb") as file:
        for _ in range(300):
            file.write(b"x" * (1 << 20))
    raise Escaped
