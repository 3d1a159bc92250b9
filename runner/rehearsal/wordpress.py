"""A stand-in for a WordPress site: the posts of its REST API."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from runner.rehearsal.destination import Answers
from runner.rehearsal.service import Service

if TYPE_CHECKING:
    from runner.rehearsal.http import Request

STATES = ("publish", "future", "draft", "pending", "private")


class StandInWordPress(Service):
    """Keeps in `effects` each post; `token` is the user's application password."""

    prefixes = ("/wp-json/",)

    def judge(self, request: Request) -> Answers:
        """Answer as the real one would."""
        if not self._knows(request):
            return _error(
                401, "incorrect_password", "The provided password is an invalid application password."
            )
        if request.path != "/wp-json/wp/v2/posts":
            return _error(404, "rest_no_route", "No route was found matching the URL and request method.")
        return self._list(request.query) if request.method == "GET" else self._create(request.json())

    def _knows(self, request: Request) -> bool:
        scheme, _, login = request.headers.get("authorization", "").partition(" ")
        _, _, password = base64.b64decode(login).decode().partition(":")
        return scheme == "Basic" and bool(password) and self.token in {"", password}

    def _list(self, query: dict[str, str]) -> Answers:
        states = query.get("status", "publish").split(",")
        found = [
            post for post in self.effects if post["slug"] == query.get("slug") and post["status"] in states
        ]
        return Answers(200, found)

    def _create(self, post: dict[str, Any]) -> Answers:
        if post.get("status") not in STATES:
            return _error(400, "rest_invalid_param", "Invalid parameter(s): status")
        if not post.get("title") and not post.get("content"):
            return _error(400, "empty_content", "Content, title, and excerpt are empty.")
        name = str(post.get("slug", ""))
        if any(each["slug"] == name for each in self.effects) and post["status"] != "draft":
            name = f"{name}-{len(self.effects) + 1}"
        made = {
            "id": len(self.effects) + 1,
            "slug": name,
            "status": post["status"],
            "link": f"https://blog.example/{name}/",
            "title": {"raw": post["title"]},
            "content": {"raw": post["content"]},
        }
        self.effects.append(made)
        return Answers(201, made)


def _error(status: int, code: str, message: str) -> Answers:
    return Answers(status, {"code": code, "message": message, "data": {"status": status}})
