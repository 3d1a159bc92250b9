"""An article: a Markdown file with front matter, in a folder of the owner's."""

from __future__ import annotations

import hashlib
import json
import os
import re
import unicodedata
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from runner.draft import Draft, Markdown
from runner.errors import NotDelivered

if TYPE_CHECKING:
    from pathlib import Path

    from runner.worker.deliver import Delivery, Receipt

TITLE_MAX = 200
BODY_MAX = 200_000
SLUG = r"^[a-z0-9]+(-[a-z0-9]+)*$"
ROOT = "published"  #: every article's folder is this one or below it
FOLDER = rf"^{ROOT}(/[A-Za-z0-9_][A-Za-z0-9_. -]*)*$"


class Article(Draft):
    """An article, written as a Markdown file into `folder`; never over a file it did not write."""

    title: Annotated[str, Field(min_length=1, max_length=TITLE_MAX)]
    body: Annotated[Markdown, Field(min_length=1, max_length=BODY_MAX)]
    slug: Annotated[str, Field(pattern=SLUG, max_length=100)] | None = (
        None  #: of the file; None: from the title
    )
    folder: Annotated[str, Field(pattern=FOLDER, max_length=200)] = ROOT

    writes: ClassVar[tuple[str, ...]] = (ROOT,)
    once: ClassVar = "key"

    async def deliver(self, delivery: Delivery) -> Receipt:
        """Write the file, whole or not at all; the same article again is the same file."""
        path = self._path(delivery.home)
        text = self._text(delivery.key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.parent.resolve().is_relative_to((delivery.home / ROOT).resolve()):
                raise NotDelivered(f"{path.parent} leads out of {ROOT}/")
            _write_once(path, text)
        except OSError as error:
            raise NotDelivered(f"{path} can't be written: {error.strerror}") from error
        return self._receipt(path)

    async def find(self, delivery: Delivery) -> Receipt | None:
        """The file of this very article, if it is there."""
        path = self._path(delivery.home)
        is_there = path.is_file() and path.read_bytes() == self._text(delivery.key)
        return self._receipt(path) if is_there else None

    def _path(self, home: Path) -> Path:
        return home / self.folder / f"{self.slug or slug(self.title)}.md"

    def _text(self, key: str) -> bytes:
        # a JSON string is a YAML string, whatever the title holds
        head = f"---\ntitle: {json.dumps(self.title, ensure_ascii=False)}\nkey: {key}\n---\n\n"
        return f"{head}{self.body}\n".encode()

    def _receipt(self, path: Path) -> Receipt:
        from runner.worker.deliver import Receipt  # noqa: PLC0415 - only in the child that delivers

        return Receipt(id=path.name, url=path.as_uri())


def slug(title: str) -> str:
    """A file name for a title: lower-case ASCII words with hyphens; a digest where no letter is left."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return (
        "-".join(re.findall(r"[a-z0-9]+", plain))[:80].strip("-")
        or hashlib.sha256(title.encode()).hexdigest()[:12]
    )


def _write_once(path: Path, text: bytes) -> None:
    """Create the file with that text, on disk when this returns; one that holds it already is left as it is."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("xb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)  # unlike a rename, never over a file that is there
    except FileExistsError:
        if not path.is_file() or path.read_bytes() != text:
            raise NotDelivered(
                f"{path} is there already, and is another; give the article another slug"
            ) from None
    finally:
        draft.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
