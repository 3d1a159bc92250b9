"""A stand-in for LinkedIn's Posts and Comments APIs, as strict with headers, lengths and repeats as the real ones."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from runner.rehearsal.destination import Answers
from runner.rehearsal.service import Service

if TYPE_CHECKING:
    from runner.rehearsal.http import Request

VERSIONS = range(202512, 202700)  #: those that are served
POST_MAX, COMMENT_MAX = 3000, 1250
UPLOADS = "/dms-uploads/"
REQUIRED = ("author", "commentary", "visibility", "distribution", "lifecycleState")

_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_CUTS = re.compile(r"(?<!\\)(?:\\\\)*(?:[|{}@\[\]()<>*_~]|(?<=\w)#|#(?![^\W_]))")


class StandInLinkedIn(Service):
    """Keeps in `effects` each post and comment, with the text as its readers would see it; in `pictures` those it has."""

    prefixes = ("/rest/posts", "/rest/socialActions/", "/rest/images", UPLOADS)

    def __init__(self, *, token: str = "", port: int = 0) -> None:
        super().__init__(token=token, port=port)
        self.pictures: dict[str, bytes] = {}  #: by their names; empty until they were sent

    def changes(self, request: Request) -> bool:
        """Whether it is more than a picture that nobody sees yet."""
        return request.path.startswith(("/rest/posts", "/rest/socialActions/"))

    def judge(self, request: Request) -> Answers:
        """Answer as the real one would."""
        if request.path.startswith(UPLOADS):
            return self._take(request)
        if (refusal := self._refusal(request)) is not None:
            return refusal
        body = request.json()
        if request.path == "/rest/images":
            return self._offer(body)
        return self._comment(body) if "/comments" in request.path else self._post(body)

    def _offer(self, body: dict[str, Any]) -> Answers:
        if "owner" not in body.get("initializeUploadRequest", {}):
            return _error(400, "MISSING_FIELD", "owner is required")
        urn = f"urn:li:image:C{len(self.pictures)}"
        self.pictures[urn] = b""
        return Answers(200, {"value": {"uploadUrl": f"https://www.linkedin.com{UPLOADS}{urn}", "image": urn}})

    def _take(self, request: Request) -> Answers:
        urn = request.path.removeprefix(UPLOADS)
        if not self.knows(request.headers) or urn not in self.pictures:
            return Answers(403, "")
        self.pictures[urn] = request.body
        return Answers(201, "")

    def _refusal(self, request: Request) -> Answers | None:
        version = request.headers.get("linkedin-version", "")
        if not self.knows(request.headers):
            return _error(401, "INVALID_ACCESS_TOKEN", "Invalid access token")
        if not version:
            return _error(400, "VERSION_MISSING", "A version must be present")
        if not version.isdecimal() or int(version) not in VERSIONS:
            return _error(426, "NONEXISTENT_VERSION", f"Requested version {version} is not active")
        if request.headers.get("x-restli-protocol-version") != "2.0.0":
            return _error(400, "ILLEGAL_ARGUMENT", "X-Restli-Protocol-Version 2.0.0 is required")
        return None

    def _post(self, body: dict[str, Any]) -> Answers:
        for name in REQUIRED:
            if name not in body:
                return _error(422, "MISSING_FIELD", f"/{name} :: field is required but not found")
        picture = body.get("content", {}).get("media", {}).get("id")
        if picture is not None and not self.pictures.get(picture):
            return _error(422, "INVALID_URN", f"{picture} is no image that was uploaded")
        text = published(body["commentary"])
        if len(text) > POST_MAX:
            return _error(422, "FIELD_LENGTH_TOO_LONG", f"commentary exceeds {POST_MAX}")
        for known in self.effects:
            if (known.get("text"), known.get("author")) == (text, body["author"]):
                return _error(422, "DUPLICATE_POST", f"Content is a duplicate of {known['id']}")
        return self._keep("share", {"author": body["author"], "text": text, "picture": picture})

    def _comment(self, body: dict[str, Any]) -> Answers:
        text = body.get("message", {}).get("text")
        if not text or "actor" not in body or "object" not in body:
            return _error(400, "MISSING_FIELD", "actor, object and message.text are required")
        if len(text) > COMMENT_MAX:
            return _error(400, "FIELD_LENGTH_TOO_LONG", f"message exceeds {COMMENT_MAX}")
        return self._keep("comment", {"actor": body["actor"], "on": body["object"], "text": text})

    def _keep(self, what: str, made: dict[str, Any]) -> Answers:
        urn = f"urn:li:{what}:{7_000_000_000 + len(self.effects)}"
        self.effects.append({"id": urn, **made})
        return Answers(201, "", {"x-restli-id": urn})


def published(commentary: str) -> str:
    """What readers see of a commentary: it ends, without a word, at the first reserved character left unescaped."""
    cut = _CUTS.search(commentary)
    return _ESCAPED.sub(r"\1", commentary[: cut.start()] if cut else commentary)


def _error(status: int, code: str, message: str) -> Answers:
    return Answers(status, {"status": status, "code": code, "message": message})
