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
