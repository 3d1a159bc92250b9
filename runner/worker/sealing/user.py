"""Whom children run as where the runner is root: a user that owns nothing but what it is given."""

from __future__ import annotations

import grp
import os
import pwd
import struct
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.errors import SettingsError
from runner.worker.sealing.kernel import PR_CAP_AMBIENT, PR_SET_KEEPCAPS, checked, libc, prctl

if TYPE_CHECKING:
    from pathlib import Path

FREE = range(64_999, 60_000, -1)  #: ids that distributions give to nobody
CAPABILITIES_V3 = 0x20080522
READ_SEARCH = 2  #: to read and search what the permissions of files would hide
RAISE = 2


@dataclass(frozen=True, slots=True)
class User:
    """A user by numbers, and by the name that the owner knows."""

    name: str
    uid: int
    gid: int


def chosen(name: str = "") -> User | None:
    """The user of that name or number, else one that is nobody's; None where the runner is no root itself.

    Raises `SettingsError` where there is no such user, or it is root.
    """
    if os.geteuid() != 0:
        return None
    if not name:
        number = next(number for number in FREE if not _is_known(number))
        return User(f"user {number}", number, number)
    try:
        entry = pwd.getpwuid(int(name)) if name.isdecimal() else pwd.getpwnam(name)
    except KeyError as error:
        raise SettingsError(f"task_user={name!r}: there is no such user on this machine") from error
    if entry.pw_uid == 0:
        raise SettingsError(f"task_user={name!r}: tasks never run as root; name another user, or none")
    return User(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _is_known(number: int) -> bool:
    with suppress(KeyError):
        return bool(pwd.getpwuid(number))
    with suppress(KeyError):
        return bool(grp.getgrgid(number))
    return False


def give(folder: Path, user: User | None) -> None:
    """Make the folder, and what an earlier owner left in it, the user's; None leaves it as it is."""
    folder.mkdir(parents=True, exist_ok=True)
    if user is None or folder.stat().st_uid == user.uid:
        return
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(place, name)  # noqa: PTH118 - os.walk speaks in texts
            found = os.lstat(path)
            if found.st_nlink == 1 or name in folders:  # another name for a file is perhaps not in here
                os.chown(path, user.uid, user.gid, follow_symlinks=False)
    os.chown(folder, user.uid, user.gid)  # last, so that what was cut off begins anew


def become(uid: int, gid: int, *, may_read: bool, may_pass_on: bool) -> None:
    """Be that user for ever, with no right of root's but one; raises `OSError` where that can't be.

    `may_read` keeps the right to read and search past the permissions of files, for interpreters and projects that
    lie in root's own folder: only where Landlock says what may be read. `may_pass_on`: programs it starts have it too.
    """
    if sys.platform == "linux":
        prctl(PR_SET_KEEPCAPS, 1)
    os.setgroups([])
    os.setgid(gid)  # by root, these change the real, the effective and the saved one
    os.setuid(uid)
    if sys.platform == "linux":
        _keep(1 << READ_SEARCH if may_read else 0)
        if may_read and may_pass_on:
            prctl(PR_CAP_AMBIENT, RAISE, READ_SEARCH)


def _keep(rights: int) -> None:
    head = struct.pack("=Ii", CAPABILITIES_V3, 0)
    data = struct.pack("=IIIIII", rights, rights, rights, 0, 0, 0)
    checked(int(libc.capset(head, data)), "capset")
