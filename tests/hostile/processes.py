"""Reaching other processes, outliving the run, and taking more than its share."""

import ctypes
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

from runner import task

HOME, PORT, PID = Path("TARGET.home"), int("TARGET.port"), int("TARGET.pid")
libc = ctypes.CDLL(None, use_errno=True)


class Escaped(Exception):
    """It got out."""


def refused(result):
    if result >= 0:
        raise Escaped(result)
    raise PermissionError(os.strerror(ctypes.get_errno()))


@task(retries=0)
def read_its_environment(run):
    raise Escaped(Path(f"/proc/{PID}/environ").read_bytes())


@task(retries=0)
def read_its_memory(run):
    with open(f"/proc/{PID}/mem", "rb"):
        raise Escaped


@task(retries=0)
def list_its_descriptors(run):
    raise Escaped(os.listdir(f"/proc/{PID}/fd"))


@task(retries=0)
def look_at_its_parent(run):
    raise Escaped(os.listdir(f"/proc/{os.getppid()}"))


@task(retries=0)
def read_its_map(run):
    for name in ("maps", "cmdline", "status", "auxv", "syscall"):
        try:
            found = Path(f"/proc/{PID}/{name}").read_bytes()
        except OSError:
            continue
        raise Escaped(name, found)
    raise PermissionError("nothing of it could be read")


@task(retries=0)
def go_by_its_links(run):
    for name in ("root", "cwd", "exe", "fd/0", "ns/net"):
        try:
            found = os.readlink(f"/proc/{PID}/{name}")
        except OSError:
            continue
        raise Escaped(name, found)
    raise PermissionError("none of them could be followed")


@task(retries=0)
def trace(run):
    refused(libc.ptrace(16, PID, 0, 0))


@task(retries=0)
def read_by_process_vm(run):
    span = (ctypes.c_size_t * 2)(0x1000, 1)
    refused(libc.process_vm_readv(PID, span, 1, span, 1, 0))


@task(retries=0)
def write_by_process_vm(run):
    span = (ctypes.c_size_t * 2)(0x1000, 1)
    refused(libc.process_vm_writev(PID, span, 1, span, 1, 0))


@task(retries=0)
def take_a_descriptor(run):
    process = libc.syscall(434, PID, 0)
    refused(libc.syscall(438, process, 0, 0))


@task(retries=0)
def kill_the_supervisor(run):
    os.kill(PID, signal.SIGKILL)
    raise Escaped


@task(retries=0)
def stop_its_parent(run):
    os.kill(os.getppid(), signal.SIGSTOP)
    raise Escaped


@task(retries=0)
def kill_everybody(run):
    os.kill(-1, signal.SIGKILL)
    raise Escaped


@task(retries=0)
def kill_other_children(run):
    """Whoever was born around it."""
    for pid in (pid for near in range(1, 200) for pid in (os.getpid() - near, os.getpid() + near) if pid > 1):
        try:
            os.kill(pid, 0)  # whether it could; a broken seal must not cost the machine
        except PermissionError:
            continue
        raise Escaped(pid)
    raise PermissionError("none of them could be reached")


@task(retries=0)
def kill_by_a_handle(run):
    signal.pidfd_send_signal(os.pidfd_open(PID), signal.SIGKILL)
    raise Escaped


@task(retries=0)
def kill_by_a_queue(run):
    refused(libc.sigqueue(PID, 9, 0))


@task(retries=0)
def lower_its_limits(run):
    resource.prlimit(PID, resource.RLIMIT_NOFILE, (3, 3))
    raise Escaped


@task(retries=0)
def lower_its_parent_s_limits(run):
    resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (3, 3))
    raise Escaped


@task(retries=0)
def lower_its_priority(run):
    os.setpriority(os.PRIO_PROCESS, PID, 19)
    raise Escaped


@task(retries=0)
def lower_everybody_s_priority(run):
    os.setpriority(os.PRIO_USER, 0, 19)
    raise Escaped


@task(retries=0)
def move_it_to_one_core(run):
    os.sched_setaffinity(PID, {0})
    raise Escaped


@task(retries=0)
def make_it_idle(run):
    os.sched_setscheduler(PID, os.SCHED_IDLE, os.sched_param(0))
    raise Escaped


@task(retries=0)
def change_its_parameters(run):
    os.sched_setparam(PID, os.sched_param(0))
    raise Escaped


@task(retries=0)
def change_its_attributes(run):
    attributes = ctypes.create_string_buffer(48)
    refused(libc.syscall(314 if os.uname().machine == "x86_64" else 274, PID, attributes, 0))


@task(retries=0)
def starve_its_disk(run):
    refused(libc.syscall(251 if os.uname().machine == "x86_64" else 30, 1, PID, 3 << 13))


@task(retries=0)
def leave_the_session(run):
    os.setsid()
    raise Escaped


@task(retries=0)
def leave_the_group(run):
    os.setpgid(0, 0)
    raise Escaped


@task(retries=0)
def fork_twice(run):
    if not os.fork():
        os.setsid()
        if not os.fork():
            while True:
                signal.pause()
        os._exit(0)
    raise Escaped


@task(retries=0)
def fork_bomb(run):
    while True:
        os.fork()


@task(retries=0)
def another_process(run):
    process = multiprocessing.get_context("fork").Process(target=print)
    process.start()
    raise Escaped


@task(retries=0)
def another_program(run):
    subprocess.run([sys.executable, "-c", "print(1)"], check=True)
    raise Escaped


@task(retries=0)
def become_another_program(run):
    os.execv("/bin/sh", ["sh", "-c", f"echo out > {HOME}/canary"])
    raise Escaped


@task(retries=0)
def program_from_memory(run):
    end = os.memfd_create("program")
    os.write(end, Path(os.path.realpath(sys.executable)).read_bytes())
    os.execve(end, ["python"], {})
    raise Escaped


@task(retries=0)
def outlive_the_parent(run):
    refused(libc.prctl(1, 0, 0, 0, 0))


@task(retries=0)
def be_seen_again(run):
    refused(libc.prctl(4, 1, 0, 0, 0))


@task(retries=0)
def be_root(run):
    os.setresuid(0, 0, 0)
    if not os.getuid():
        raise Escaped
    raise PermissionError("refused")


@task(retries=0)
def new_namespaces(run):
    refused(libc.unshare(0x10000000))


@task(retries=0)
def new_namespaces_by_clone(run):
    refused(libc.syscall(56 if os.uname().machine == "x86_64" else 220, 0x10000000 | 17, 0, 0, 0, 0))


@task(retries=0)
def another_root(run):
    refused(libc.chroot(os.fsencode(run.folder)))


@task(retries=0)
def mount_something(run):
    refused(libc.mount(b"none", os.fsencode(run.folder), b"tmpfs", 0, None))


@task(retries=0)
def another_personality(run):
    refused(libc.personality(0x0040000))


@task(retries=0)
def its_own_bpf(run):
    refused(
        libc.syscall(321 if os.uname().machine == "x86_64" else 280, 0, ctypes.create_string_buffer(64), 64)
    )


@task(retries=0)
def the_kernel_s_keys(run):
    refused(libc.syscall(250 if os.uname().machine == "x86_64" else 219, 0, -3, 1))


@task(retries=0)
def open_the_seal(run):
    """A second lock can't open the first, and there is no key."""
    rules = libc.syscall(444, (ctypes.c_uint64 * 1)(1 << 2), 8, 0)
    libc.syscall(446, rules, 0)
    raise Escaped((HOME / ".env").read_text())


@task(retries=0)
def from_another_thread(run):
    """Threads are as sealed as the one that began them, those of the runner's own too."""
    found = []

    def work():
        try:
            found.append((HOME / ".env").read_text())
        except OSError as error:
            found.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if isinstance(found[0], str):
        raise Escaped
    raise found[0]


@task(retries=0, memory=64)
def memory_bomb(run):
    hoard = [bytearray(1 << 24) for _ in range(1 << 12)]
    raise Escaped(len(hoard))


@task(retries=0)
def descriptor_bomb(run):
    hoard = [os.open(os.devnull, os.O_RDONLY) for _ in range(1 << 16)]
    raise Escaped(len(hoard))


@task(retries=0, memory=64)
def thread_bomb(run):
    threads = [threading.Thread(target=signal.pause, daemon=True) for _ in range(5000)]
    for thread in threads:
        thread.start()
    raise Escaped


@task(retries=0)
def raise_its_own_limits(run):
    for limit in (resource.RLIMIT_NOFILE, resource.RLIMIT_AS, resource.RLIMIT_FSIZE):
        resource.setrlimit(limit, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    raise Escaped
