"""The runner as a service of the machine: what systemd or launchd is told, and where that is written."""

from __future__ import annotations

import plistlib
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from runner.errors import RunnerError

UNIT = """\
[Unit]
Description=Scheduled Claude tasks in {home}
StartLimitIntervalSec=600
StartLimitBurst=5

[Service]
Type=notify
ExecStart={command} up
WorkingDirectory={directory}
Environment={environment}
Restart=on-failure
RestartSec=5
WatchdogSec=30
# the runner ends its children itself; what it leaves is killed with it
KillMode=mixed
TimeoutStopSec=30
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
UMask=0077

[Install]
WantedBy=default.target
"""


@dataclass(frozen=True, slots=True)
class Service:
    """A service's name, its file, what stands in it, and what its owner types next."""

    name: str
    file: Path
    text: str
    steps: tuple[str, ...]
    mark: str  #: a line that stands in the file of this project and of no other

    def is_in(self, text: str) -> bool:
        """Whether a file that is there already is this project's."""
        return self.mark in (line.strip() for line in text.splitlines())


def service(home: Path, platform: str = sys.platform) -> Service | None:
    """The service for the project in `home`; None where the machine knows neither systemd nor launchd.

    Raises `RunnerError` for a folder whose name no service file can hold.
    """
    if not str(home).isprintable():
        raise RunnerError(f"no service can begin in {str(home)!r}; rename the folder")
    name = "runner-" + (re.sub(r"[^a-z0-9]+", "-", home.name.lower()).strip("-") or "project")
    if platform == "linux":
        return _systemd(home, name)
    return _launchd(home, name) if platform == "darwin" else None


def command() -> Path:
    """The `runner` command of this very installation."""
    return Path(sys.executable).parent / "runner"


def _systemd(home: Path, name: str) -> Service:
    text = UNIT.format(
        home=_plain(str(home)),
        command=_quoted(str(command())).replace("$", "$$"),
        directory=_plain(str(home)),
        environment=_quoted(f"RUNNER_HOME={home}"),
    )
    unit = f"{name}.service"
    return Service(
        name,
        Path.home() / ".config/systemd/user" / unit,
        text,
        (
            "systemctl --user daemon-reload",
            f"systemctl --user enable --now {unit}",
            "loginctl enable-linger        # so that it runs while you are logged out",
        ),
        f"WorkingDirectory={_plain(str(home))}",
    )


def _plain(text: str) -> str:
    """Text where systemd takes the rest of the line; its own mark for a value that it would fill in is doubled."""
    return text.replace("%", "%%")


def _quoted(text: str) -> str:
    words = _plain(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{words}"'


def _launchd(home: Path, name: str) -> Service:
    label = f"local.{name}"
    agent = {
        "Label": label,
        "ProgramArguments": [str(command()), "up"],
        "WorkingDirectory": str(home),
        "EnvironmentVariables": {"RUNNER_HOME": str(home)},
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": 5,
        "StandardOutPath": str(home / ".runner/service.log"),
        "StandardErrorPath": str(home / ".runner/service.log"),
        "Umask": 0o077,
    }
    file = Path.home() / "Library/LaunchAgents" / f"{label}.plist"
    return Service(
        name,
        file,
        plistlib.dumps(agent).decode(),
        (f"launchctl bootstrap gui/$(id -u) {file}",),
        f"<string>{escape(str(home))}</string>",
    )
