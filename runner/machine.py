"""The machine that the runner is on: whether its clock, its disk and its sleep will let slots be kept."""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
from pathlib import Path

DISK_LEAST = 1 << 30  #: bytes that should be free
UNSTEADY = 5  #: adjtimex(2): the clock is not kept in step
TIMEX = 512  #: bytes, more than `struct timex` takes on any machine
BATTERIES = Path("/sys/class/power_supply")
SLEEP = Path("/etc/systemd/system/sleep.target")


def clock_trouble() -> str:
    """What is wrong with the clock; empty when nothing is, or the kernel can't be asked."""
    if sys.platform != "linux":
        return ""
    answer = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(TIMEX))
    if answer != UNSTEADY:
        return ""
    return "the kernel says that nothing keeps its clock in step; switch on systemd-timesyncd or chrony"


def disk_trouble(folder: Path, least: int = DISK_LEAST) -> str:
    """What is wrong with the disk below `folder`; empty when enough is free."""
    free = shutil.disk_usage(folder).free
    if free >= least:
        return ""
    return f"{free >> 20} MB are free below {folder}; at a full disk everything stops. Make room"


def sleep_trouble(batteries: Path = BATTERIES, target: Path = SLEEP) -> str:
    """Why this machine may fall asleep and miss slots; empty when it doesn't look like one that does."""
    if sys.platform == "darwin":
        return "whether this Mac sleeps can't be seen from here; look: pmset -g"
    if os.path.realpath(target) == os.devnull or not any(_is_battery(each) for each in _entries(batteries)):
        return ""
    return (
        "it has a battery, so it may sleep, and slots are missed meanwhile; to forbid it: "
        "sudo systemctl mask sleep.target suspend.target hibernate.target"
    )


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _is_battery(supply: Path) -> bool:
    """Whether that supply is the machine's own battery, not that of a mouse."""
    try:
        is_own = "Device" not in (supply / "scope").read_text(encoding="ascii")
    except OSError:
        is_own = True
    try:
        return is_own and (supply / "type").read_text(encoding="ascii").strip() == "Battery"
    except OSError:
        return False
