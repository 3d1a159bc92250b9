"""A stand-in for a Bluesky server: sessions, and the records of one account."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from runner.rehearsal.destination import Answers
from runner.rehearsal.service import Service

if TYPE_CHECKING:
    from runner.rehearsal.http import Request

TEXT_MAX = 300  #: graphemes; characters are never fewer
TID = re.compile(r"^[234567abcdefghij][234567a-z]{12}$")
DID, JWT = "did:plc:rehearsal", "a-session"


class StandInBluesky(Service):
    """Keeps in `effects` each record; `token` is the account's password."""

    prefixes = ("/xrpc/",)

    def changes(self, request: Request) -> bool:
        """Whether it is more than a new session."""
        return not request.path.endswith("createSession")

    def judge(self, request: Request) -> Answers:
        """Answer as the real one would."""
        method = request.path.rpartition(".")[2]
        if method == "createSession":
            is_known = self.token in {"", request.json().get("password")}
            answer = {"did": DID, "accessJwt": JWT}
            return Answers(200, answer) if is_known else _error(401, "AuthenticationRequired")
        if request.headers.get("authorization") != f"Bearer {JWT}":
            return _error(401, "AuthMissing")
        return self._get(request.query) if method == "getRecord" else self._create(request.json())

    def _create(self, order: dict[str, Any]) -> Answers:
        record, name = order.get("record", {}), order.get("rkey", "")
        if order.get("repo") != DID or record.get("$type") != order.get("collection"):
            return _error(400, "InvalidRequest")
        if not TID.match(name) or not record.get("createdAt", "").endswith("Z"):
            return _error(400, "InvalidRequest", "Invalid record key or createdAt")
        if len(record.get("text", "")) > TEXT_MAX:
            return _error(400, "InvalidRequest", f"Record/text must not be longer than {TEXT_MAX} graphemes")
        if self._found(name) is not None:
            return _error(500, "InternalServerError", f"There is already a value at key: {name}")
        self.effects.append({"rkey": name, **record})
        return Answers(200, {"uri": _uri(name), "cid": f"bafy{len(self.effects)}"})

    def _get(self, query: dict[str, str]) -> Answers:
        found = self._found(query.get("rkey", ""))
        if found is None:
            return _error(400, "RecordNotFound", f"Could not locate record: {_uri(query.get('rkey', ''))}")
        return Answers(200, {"uri": _uri(found["rkey"]), "value": found})

    def _found(self, name: str) -> dict[str, Any] | None:
        return next((record for record in self.effects if record["rkey"] == name), None)


def _uri(name: str) -> str:
    return f"at://{DID}/app.bsky.feed.post/{name}"


def _error(status: int, error: str, message: str = "") -> Answers:
    return Answers(status, {"error": error, "message": message})
