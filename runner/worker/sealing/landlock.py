"""Landlock: which files a process, and all that it starts, may read and write. What is not granted is refused."""

from __future__ import annotations

import os
import stat
import struct
from contextlib import suppress
from typing import TYPE_CHECKING

from runner.worker.sealing.kernel import PR_SET_NO_NEW_PRIVS, call, checked, prctl

if TYPE_CHECKING:
    from collections.abc import Iterable

CREATE, ADD, RESTRICT = 444, 445, 446  #: the same on every machine
VERSION = 1  #: flag: tell the ABI
BELOW_PATH = 1

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
MAKE_CHAR, MAKE_BLOCK = 1 << 6, 1 << 11
TRUNCATE, IOCTL = 1 << 14, 1 << 15

#: how many rights on files each ABI knows: refer came with 2, truncate with 3, ioctl with 5, unix sockets with 9
RIGHTS = {1: 13, 2: 14, 3: 15, 5: 16, 9: 17}
TCP_ABI, SCOPE_ABI = 4, 6  #: where they came: rules for TCP; abstract sockets and signals kept inside

READ = EXECUTE | READ_FILE | READ_DIR
FILE_ONLY = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL  #: what a rule on a file can hold


def abi() -> int:
    """The kernel's version of Landlock; 0 where it has none, or has it switched off."""
    return max(0, call(CREATE, None, 0, VERSION))


def handled(version: int) -> int:
    """Every right on files that this version can refuse."""
    return (1 << RIGHTS[max(known for known in RIGHTS if known <= version)]) - 1


def restrict(reads: Iterable[str], writes: Iterable[str], *, is_open: bool) -> None:
    """Close every file but those, for this thread and all it starts, for ever; raises `OSError` when refused.

    Unless `is_open`, TCP is closed too. Signals and abstract sockets reach nothing outside, where the ABI knows of them.
    """
    version = abi()
    rules = checked(_create(version, is_open=is_open), "landlock_create_ruleset")
    everything = handled(version)
    try:
        for path in reads:
            _grant(rules, path, READ & everything)
        for path in writes:
            _grant(rules, path, everything & ~(EXECUTE | MAKE_CHAR | MAKE_BLOCK))
        prctl(PR_SET_NO_NEW_PRIVS, 1)
        checked(call(RESTRICT, rules, 0), "landlock_restrict_self")
    finally:
        os.close(rules)


def _create(version: int, *, is_open: bool) -> int:
    tcp = 3 if version >= TCP_ABI and not is_open else 0
    scope = 3 if version >= SCOPE_ABI else 0
    attributes = struct.pack("=QQQ", handled(version), tcp, scope)
    size = 24 if version >= SCOPE_ABI else 16 if version >= TCP_ABI else 8
    return call(CREATE, attributes, size, 0)


def _grant(rules: int, path: str, rights: int) -> None:
    """Add a rule; a path that is not there, or can't be reached, grants nothing."""
    with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            if not stat.S_ISDIR(os.fstat(place).st_mode):
                rights &= FILE_ONLY
            rule = struct.pack("=Qi", rights, place)
            checked(call(ADD, rules, BELOW_PATH, rule, 0), f"landlock_add_rule {path}")
        finally:
            os.close(place)
