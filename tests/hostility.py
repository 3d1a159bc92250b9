"""Every hostile task as whoever calls this, and, where that is root, as an ordinary user too: `make hostile`.

An ordinary user can run no interpreter that lies in root's own folder: then one that all may run is looked for on the
PATH, and an environment of its own is made with it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

from test_hostile import attempts

ORDINARY = 64_001  #: a user that nobody is
PROJECT = Path(__file__).parent.parent
BESIDE = PROJECT / ".venv-ordinary"  #: where that environment is made
NAMES = ("python3.14", "python3.13", "python3.12", "python3.11", "python3")
TRIES = ["tests/test_hostile.py", "tests/test_sealing.py"]
IS_NEW = "import sys; sys.exit(sys.version_info < (3, 11))"


def main() -> None:
    run([sys.executable, "-m", "pytest", "-n", "2", *TRIES])
    users = "as this user"
    if os.geteuid() == 0:
        run([interpreter(), "-m", "pytest", "-p", "no:cacheprovider", *TRIES], user=ORDINARY)
        users = "as root and as user"
    print(f"{len(list(attempts()))} hostile tasks {users}, 0 succeeded")  # noqa: T201


def run(command: list[str], user: int | None = None) -> None:
    """Run it to its end, and end with it if that is bad."""
    environment = {**os.environ, "HOME": "/nonexistent"} if user else None
    code = subprocess.run(
        command,
        cwd=PROJECT,
        user=user,
        group=user,
        extra_groups=[] if user else None,
        env=environment,
        check=False,
    ).returncode
    if code:
        sys.exit(code)


def interpreter() -> str:
    """One with all that the tests need, which an ordinary user can run."""
    here = str(PROJECT / ".venv" / "bin" / "python")
    return here if is_open_to_all(here) else str(made_beside())


def made_beside() -> Path:
    """An environment like ours, with an interpreter of the machine's."""
    found = [
        path
        for name in NAMES
        if (path := shutil.which(name, path=f"/usr/local/bin:/usr/bin:{os.environ['PATH']}"))
    ]
    usable = next((path for path in found if is_open_to_all(path)), None)
    if usable is None:
        give_up()
    python = BESIDE / "bin" / "python"
    if not (BESIDE / "ready").exists():
        os.umask(0o022)
        run([usable, "-m", "venv", "--clear", str(BESIDE)])
        quiet = ["--quiet", "--disable-pip-version-check", "--constraint", "constraints.txt"]
        run([str(python), "-m", "pip", "install", *quiet, "--editable", ".[dev]"])
        (BESIDE / "ready").touch()
    return python


def is_open_to_all(python: str) -> bool:
    """Whether an ordinary user can run it here, and it is new enough."""
    try:
        return not subprocess.run(
            [python, "-I", "-c", IS_NEW],
            cwd=PROJECT,
            user=ORDINARY,
            group=ORDINARY,
            extra_groups=[],
            check=False,
        ).returncode
    except OSError:
        return False


def give_up() -> NoReturn:
    sys.exit(
        f"the hostile tasks were tried as root alone: user {ORDINARY} can't run {Path(sys.executable).resolve()}, or can't "
        f"read {PROJECT}, and there is no other Python from 3.11 on in the PATH that all may run. Install one (python3.11 "
        "with its venv), or put the project where all may read."
    )


if __name__ == "__main__":
    main()
