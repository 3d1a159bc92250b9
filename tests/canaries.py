"""Secrets whose every form is looked for wherever the runner leaves anything, by a search that knows no veil."""

from __future__ import annotations

import base64
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

from runner.store.schema import METADATA
from runner.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

KEY = 'sk-ant-Kan4rie/+="&%7<x>~key'
TOKEN = "700000003:AAkan4rie_Token-abcdefghijklmnopq"
NOTE_TOKEN = 't0ken/kan4rie+"&=Z%9?;note'
PASSWORD = "passw0rd+kan4rie~Q"
ALL = (KEY, TOKEN, NOTE_TOKEN, PASSWORD)


def encoded(secret: str) -> list[str]:
    """The forms in which a secret may be quoted."""
    import base64
    import json
    from urllib.parse import quote, quote_plus

    data = secret.encode()
    forms = [secret, quote(secret), quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1]]
    forms += [quote(secret, safe="").lower().replace(secret.lower(), secret), data.hex(), data.hex().upper()]
    for alphabet in (base64.b64encode, base64.urlsafe_b64encode):
        # with 0, 1 and 2 bytes before it, and with neighbours after it
        forms += [alphabet(b"x" * before + data + b"!" * 3).decode() for before in range(3)]
    return forms


def hunted(secret: str) -> set[str]:
    """The same, of Base64 only what does not depend on the neighbours."""
    data = secret.encode()
    forms = {secret, quote(secret), quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1]}
    forms |= {data.hex(), data.hex().upper()}
    for alphabet in (base64.b64encode, base64.urlsafe_b64encode):
        for before in range(3):
            one, other = (alphabet(fill * before + data + fill * 3).decode() for fill in (b"\x00", b"\xff"))
            same = "".join(a if a == b else "\n" for a, b in zip(one, other, strict=True))
            forms.add(max(same.split("\n"), key=len))
    return forms


def traces(home: Path, told: Iterable[tuple[str, str]] = ()) -> list[str]:
    """Where a canary is to be found: files, the store, processes, and what else was `told` to somebody."""
    forms = {form for secret in ALL for form in hunted(secret)}
    places = [*_files(home), *_rows(home), *_processes(), *told]
    return [f"{where}: {form}" for where, text in places for form in forms if form in text]


def _files(home: Path) -> Iterator[tuple[str, str]]:
    """All that is in the project but what its owner wrote."""
    owners = {home / ".env", home / "runner.toml"}
    for path in home.rglob("*"):
        if path.is_file() and path not in owners and home / "tasks" not in path.parents:
            yield str(path.relative_to(home)), path.read_bytes().decode("latin-1")


def _rows(home: Path) -> Iterator[tuple[str, str]]:
    """Every column of every table."""
    file = home / ".runner" / "store.db"
    if not file.exists():
        return
    store = Store(f"sqlite:///{file}")
    with store.read() as connection:
        for table in METADATA.sorted_tables:
            for row in connection.execute(table.select()):
                for name, value in row._mapping.items():
                    text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
                    yield f"{table.name}.{name}", text
    store.close()


def _processes() -> Iterator[tuple[str, str]]:
    """The command lines and the environments of this process's descendants."""
    for pid in descendants(os.getpid()):
        for what in ("cmdline", "environ"):
            with suppress(OSError):
                yield f"/proc/{pid}/{what}", Path(f"/proc/{pid}/{what}").read_bytes().decode("latin-1")


def descendants(pid: int) -> list[int]:
    """The processes that came of one, by what the kernel says."""
    parents: dict[int, list[int]] = {}
    for each in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            parent = int((each / "stat").read_text().rpartition(")")[2].split()[1])
            parents.setdefault(parent, []).append(int(each.name))
    found, left = [], [pid]
    while left:
        children: list[Any] = parents.get(left.pop(), [])
        found += children
        left += children
    return found
