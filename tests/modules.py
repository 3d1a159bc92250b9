"""Task modules that several tests drop into tasks/."""

NOTE = '''
"""Notes for a stand-in destination."""
from typing import ClassVar
from pydantic import BaseModel
from runner import Alert, Delivery, Draft, NotDelivered, Receipt, Run, cron, task


class Note(Draft):
    """A note."""

    text: str
    {extra}

    async def deliver(self, delivery: Delivery) -> Receipt:
        answer = await delivery.http.post("https://notes.example.com/", json={{"text": self.text}},
                                          headers={{"Idempotency-Key": delivery.key}})
        if answer.status_code == 422:
            raise NotDelivered("the destination refused it")
        answer.raise_for_status()
        return Receipt(id=delivery.key, url="https://notes.example.com/1")

    {find}


@task({options})
async def note(run: Run):
    """Write a note."""
    {body}
'''


def note(
    body: str = "return Note(text='hello')", *, options: str = "", extra: str = "", find: str = ""
) -> str:
    """A module with the kind Note and a task of that name."""
    body = body.replace("\n", "\n    ")
    return NOTE.format(body=body, options=options, extra=extra, find=find.replace("\n", "\n    "))


FIND = """async def find(self, delivery: Delivery) -> Receipt | None:
    answer = await delivery.http.get(f"https://notes.example.com/arrivals/{delivery.key}")
    return Receipt(id=delivery.key) if answer.status_code == 200 else None"""

THREE = '''
"""Three kinds for one destination: of one it knows nothing, of one it drops repeats, of one it can be asked."""
import asyncio
import json
from typing import ClassVar
from urllib.parse import urlsplit
from runner import Delivery, Draft, NotDelivered, Receipt, Run, task

CODE = {code}


async def ask(delivery, method, path, body=b""):
    there = urlsplit(delivery.rehearsal)
    reader, writer = await asyncio.open_connection(there.hostname, there.port)
    head = f"{{method}} {{path}} HTTP/1.1\\r\\nHost: walk\\r\\nIdempotency-Key: {{delivery.key}}\\r\\n"
    writer.write(f"{{head}}Content-Length: {{len(body)}}\\r\\nConnection: close\\r\\n\\r\\n".encode() + body)
    answer = await reader.read()
    writer.close()
    return int(answer.split()[1])


async def send(draft, delivery):
    status = await ask(delivery, "POST", "/", json.dumps({{"text": draft.text, "code": CODE}}).encode())
    if status == 422:
        raise NotDelivered("the destination refused it")
    return Receipt(id=delivery.key)


class Plain(Draft):
    """One of which nobody can tell whether it arrived."""
    text: str

    async def deliver(self, delivery: Delivery) -> Receipt:
        return await send(self, delivery)


class Keyed(Draft):
    """One whose repeats are dropped."""
    text: str
    once: ClassVar = "key"

    async def deliver(self, delivery: Delivery) -> Receipt:
        return await send(self, delivery)


class Found(Draft):
    """One that can be looked up."""
    text: str

    async def deliver(self, delivery: Delivery) -> Receipt:
        return await send(self, delivery)

    async def find(self, delivery: Delivery) -> Receipt | None:
        status = await ask(delivery, "GET", f"/arrivals/{{delivery.key}}")
        return Receipt(id=delivery.key) if status == 200 else None


@task()
async def write(run: Run):
    """Write one of each."""
    words = run.revision.feedback if run.revision else ""
    return [kind(text=words or f"{{kind.__name__}} of {{run.id}}") for kind in (Plain, Keyed, Found)]
'''


def three(code: int) -> str:
    """A module with three kinds for one destination, whose deliveries say which version of the code makes them.

    They speak HTTP over a plain socket: to import a client in each child would cost more than all else.
    """
    return THREE.format(code=code)
