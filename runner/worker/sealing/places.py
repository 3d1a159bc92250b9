"""Which places of the machine a child may read: those that its interpreter and its libraries are made of."""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

import runner

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/local/lib", "/usr/local/lib64")
SHARED = ("/usr/share/zoneinfo", "/usr/share/locale", "/usr/share/i18n", "/usr/share/ca-certificates")
SYSTEM = tuple(
    f"/etc/{name}"
    for name in (
        *("localtime", "timezone", "ld.so.cache", "mime.types", "locale.alias", "crypto-policies"),
        *("ssl/certs", "ssl/openssl.cnf", "ssl/cert.pem", "pki/tls/certs", "pki/tls/cert.pem"),
        *("pki/tls/openssl.cnf", "pki/ca-trust", "ca-certificates"),
    )
)
DEVICES = ("/dev/urandom", "/dev/random", "/dev/zero")
NOWHERE = "/dev/null"  #: may be written by all

#: what a child with a network and programs of its own needs beside
NAMES = tuple(
    f"/etc/{name}"
    for name in ("resolv.conf", "hosts", "nsswitch.conf", "host.conf", "gai.conf", "services", "protocols")
)
PROGRAMS = ("/usr", "/bin", "/sbin", "/opt", "/nix/store", "/snap")
OPEN = (
    *NAMES,
    *PROGRAMS,
    "/etc/passwd",
    "/etc/group",
    "/etc/alternatives",
    "/etc/fonts",
    "/run/systemd/resolve",
)
KERNEL = ("/proc", "/sys/devices/system/cpu", "/sys/fs/cgroup", "/dev/full")


def readable(home: Path, *, is_open: bool) -> list[str]:
    """The places that a child of the project in `home` may read, none of which holds anything of the project's own."""
    found = [*_interpreter(), *LIBRARIES, *SHARED, *SYSTEM, *DEVICES]
    found += [*OPEN, *KERNEL] if is_open else []
    apart = [str(part) for place in dict.fromkeys(found) for part in around(Path(place).resolve(), home)]
    return [*dict.fromkeys(apart), str(home / "tasks")]


def _interpreter() -> Iterator[str]:
    """Where this very interpreter finds its modules, packages and libraries."""
    yield from (sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
    yield str(Path(os.__file__).parent)
    yield from (
        f"{prefix}/{name}" for prefix in (sys.base_prefix, sys.prefix) for name in ("lib", "lib64", "bin")
    )
    yield f"{sys.prefix}/pyvenv.cfg"
    yield str(Path(runner.__file__).parent)


def around(place: Path, hidden: Path) -> Iterable[Path]:
    """The place, or where `hidden` lies inside it, all of its parts beside the way to that."""
    if place == hidden:
        return
    if place not in hidden.parents:
        yield place
        return
    for entry in os.scandir(place):
        if not entry.is_symlink():
            yield from around(Path(entry.path), hidden)
