"""Talking to anybody at all."""

import asyncio
import ctypes
import os
import socket
import struct
import subprocess
import urllib.request

from runner import task

HOME, PORT, PID = "TARGET.home", int("TARGET.port"), int("TARGET.pid")
THERE = ("127.0.0.1", PORT)
libc = ctypes.CDLL(None, use_errno=True)


class Escaped(Exception):
    """It got out."""


@task(retries=0)
def tcp(run):
    socket.create_connection(THERE, timeout=2).sendall(b"out")
    raise Escaped


@task(retries=0)
def tcp_six(run):
    socket.create_connection(("::1", PORT), timeout=2).sendall(b"out")
    raise Escaped


@task(retries=0)
def tcp_fast_open(run):
    with socket.socket() as end:
        end.sendto(b"out", socket.MSG_FASTOPEN, THERE)
    raise Escaped


@task(retries=0)
def mptcp(run):
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262) as end:
        end.connect(THERE)
    raise Escaped


@task(retries=0)
def udp(run):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
        end.sendto(b"out", THERE)
    raise Escaped


@task(retries=0)
def raw(run):
    socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).close()
    raise Escaped


@task(retries=0)
def packet(run):
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()
    raise Escaped


@task(retries=0)
def dns(run):
    socket.getaddrinfo("example.com", 443)
    raise Escaped


@task(retries=0)
def http(run):
    urllib.request.urlopen(f"http://127.0.0.1:{PORT}/out", timeout=2)
    raise Escaped


@task(retries=0)
async def asyncio_client(run):
    await asyncio.open_connection(*THERE)
    raise Escaped


@task(retries=0)
def unix_by_path(run):
    with socket.socket(socket.AF_UNIX) as end:
        end.connect(f"{HOME}/canary.sock")
    raise Escaped


@task(retries=0)
def unix_abstract(run):
    with socket.socket(socket.AF_UNIX) as end:
        end.connect(f"\0hostile-{PORT}")
    raise Escaped


@task(retries=0)
def pair_sent_elsewhere(run):
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    here.sendto(b"out", f"\0hostile-{PORT}")
    raise Escaped


@task(retries=0)
def pair_made_to_listen(run):
    here, there = socket.socketpair()
    here.bind(f"\0mine-{PORT}")
    raise Escaped


@task(retries=0)
def netlink(run):
    socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close()
    raise Escaped


@task(retries=0)
def vsock(run):
    socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM).close()
    raise Escaped


@task(retries=0)
def listen(run):
    socket.create_server(("127.0.0.1", 0)).close()
    raise Escaped


@task(retries=0)
def every_family(run):
    for family in range(46):
        for kind in (1, 2, 3, 5):
            end = libc.socket(family, kind, 0)
            if end >= 0:
                raise Escaped(family)
    raise PermissionError("no family of sockets was to be had")


@task(retries=0)
def by_the_bare_call(run):
    number = 41 if os.uname().machine == "x86_64" else 198
    if libc.syscall(number, 2, 1, 0) >= 0:
        raise Escaped
    raise PermissionError("refused")


@task(retries=0)
def by_the_other_numbers(run):
    if libc.syscall(0x40000000 | 41, 2, 1, 0) >= 0:  # x32
        raise Escaped
    raise PermissionError("refused")


@task(retries=0)
def io_uring(run):
    if libc.syscall(425, 8, ctypes.create_string_buffer(120)) >= 0:
        raise Escaped
    raise PermissionError("refused")


@task(retries=0)
def curl(run):
    subprocess.run(["curl", "-s", f"http://127.0.0.1:{PORT}/out"], check=True)
    raise Escaped


@task(retries=0)
def inherited_descriptors(run):
    """Send through whatever is open already."""
    for end in range(64):
        try:
            found = socket.socket(fileno=os.dup(end))
        except OSError:
            continue
        if found.family != socket.AF_UNIX:
            raise Escaped(found)
        try:
            found.connect(f"\0hostile-{PORT}")
        except OSError:
            continue
        raise Escaped(found)
    raise PermissionError("no descriptor leads out")


@task(retries=0)
def message_queue(run):
    if libc.mq_open(b"/hostile", os.O_CREAT | os.O_RDWR, 0o600, None) >= 0:
        raise Escaped
    raise PermissionError("refused")


@task(retries=0)
def shared_memory(run):
    if libc.shmget(PORT, 4096, 0o1666) >= 0:
        raise Escaped
    raise PermissionError("refused")


@task(retries=0)
async def fetch_inside(run):
    await run.fetch(f"http://127.0.0.1:{PORT}/out")
    raise Escaped


@task(retries=0, reads=(f"http://127.0.0.1:{PORT}/",))
async def fetch_by_its_own_leave(run):
    """A task may name it in its reads; the supervisor still goes to no private address."""
    await run.fetch(f"http://127.0.0.1:{PORT}/out")
    raise Escaped


@task(retries=0)
async def fetch_a_file(run):
    await run.fetch(f"file://{HOME}/.env")
    raise Escaped


@task(retries=0, reads=("http://shop.example.com/", f"http://127.0.0.1:{PORT}/"))
async def fetch_by_a_redirect(run):
    """A public page that it may read sends it on to a private address that it may read too."""
    await run.fetch("http://shop.example.com/out")
    raise Escaped


@task(retries=0, reads=(f"http://localhost:{PORT}/",))
async def fetch_by_a_name(run):
    """A name that leads to a private address."""
    await run.fetch(f"http://localhost:{PORT}/out")
    raise Escaped


@task(retries=0, reads=(f"http://2130706433:{PORT}/",))
async def fetch_by_a_number(run):
    """127.0.0.1 as one number."""
    await run.fetch(f"http://2130706433:{PORT}/out")
    raise Escaped
