"""A copy of examples/studio to run in rehearsal."""

from __future__ import annotations

import re
import shutil
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from runner.testing import Rehearsal, rehearsal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

STUDIO = Path(__file__).parents[1] / "examples" / "studio"
NEVER = timedelta(days=36_500)  #: so seldom that nothing is due while a test lasts, whatever the time is


def copied(home: Path) -> Path:
    """The project in that folder, with made-up secrets."""
    made = shutil.ignore_patterns(".runner", "logs", "published", "__pycache__")
    shutil.copytree(STUDIO, home, ignore=made)
    names = re.findall(r"^([A-Z]+_(?:TOKEN|PASSWORD))=$", (home / ".env.example").read_text(), re.MULTILINE)
    secrets = [name for name in names if not name.startswith("RUNNER_")]
    (home / ".env").write_text("".join(f"{name}=a-made-up-secret\n" for name in secrets))
    return home


@asynccontextmanager
async def studio(home: Path) -> AsyncIterator[Rehearsal]:
    """The runner in that copy; its tasks run on demand alone."""
    async with rehearsal(home, every=NEVER) as it:
        assert it.app.catalog.broken == {}
        yield it
