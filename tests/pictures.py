"""A kind with files, and files for it."""

import base64
from typing import Any

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
CSV = b"week,orders\n47,12\n\xff\x00not text at all\r\n"

SHOWING = '''
"""Pictures with words, for a stand-in destination."""
from runner import Delivery, Draft, Receipt, Run, task
from runner.drafts import Attachment


class Showing(Draft):
    """A text with a picture and other files."""

    text: str
    picture: Attachment
    rest: list[Attachment] = []

    async def deliver(self, delivery: Delivery) -> Receipt:
        for each in [self.picture, *self.rest]:
            answer = await delivery.http.post("https://shows.example.com/", content=delivery.content(each),
                                              headers={{"x-name": each.name, "content-type": each.media_type}})
            answer.raise_for_status()
        return Receipt(id=delivery.key)


@task()
async def showing(run: Run):
    """Show a picture."""
    for name, content in {files!r}.items():
        (run.folder / name).write_bytes(content)
    {body}
'''
BODY = """picture = await run.attach("dot.png")
    draft = Showing(text="hello", picture=picture, rest=[await run.attach("week 47.csv", name="orders.csv")])
    (run.folder / "dot.png").write_bytes(b"changed since")
    return draft"""


def showing(body: str = BODY, **files: bytes) -> str:
    """A module with the kind Showing and a task of that name, which begins with these files in its folder."""
    known: dict[str, Any] = files or {"dot.png": PNG, "week 47.csv": CSV}
    return SHOWING.format(files=known, body=body)
