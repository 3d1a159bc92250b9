"""A stand-in for a Mastodon server: statuses, and the keys it remembers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runner.rehearsal.destination import Answers
from runner.rehearsal.service import Service

if TYPE_CHECKING:
    from runner.rehearsal.http import Request

TEXT_MAX = 500


class StandInMastodon(Service):
    """Keeps in `effects` each status; a key that it remembers gets the first one's answer again."""

    prefixes = ("/api/v1/statuses",)

    def __init__(self, *, token: str = "", port: int = 0) -> None:
        super().__init__(token=token, port=port)
        self.keys: dict[str, dict[str, Any]] = {}  #: cleared by a test to have the hour over

    def judge(self, request: Request) -> Answers:
        """Answer as the real one would."""
        if not self.knows(request.headers):
            return Answers(401, {"error": "The access token is invalid"})
        text, key = request.json().get("status", ""), request.headers.get("idempotency-key", "")
        if key in self.keys:
            return Answers(200, self.keys[key])
        if not text.strip():
            return Answers(422, {"error": "Validation failed: Text can't be blank"})
        if len(text) > TEXT_MAX:
            return Answers(422, {"error": f"Validation failed: Text character limit of {TEXT_MAX} exceeded"})
        self.effects.append(request.json())
        number = str(len(self.effects))
        self.keys[key] = {"id": number, "url": f"https://social.example/@studio/{number}"}
        return Answers(200, self.keys[key])
