"""A comment below a post on LinkedIn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar
from urllib.parse import quote

from pydantic import Field

from runner.draft import Draft
from runner.drafts.linkedin_post import API, TOKEN, Member, call
from runner.rule import Utf16

if TYPE_CHECKING:
    from runner.worker.deliver import Delivery, Receipt

TEXT_MAX = 1250
POST = r"^urn:li:(activity|share|ugcPost):[0-9]+$"


class LinkedInComment(Draft):
    """A comment on `post`, by the author that the settings name."""

    post: Annotated[str, Field(pattern=POST, max_length=60)]  #: its URN, e.g. urn:li:activity:7123
    text: Annotated[str, Utf16(TEXT_MAX), Field(min_length=1, max_length=TEXT_MAX)]

    settings: ClassVar = Member
    secrets: ClassVar[tuple[str, ...]] = (TOKEN,)

    async def deliver(self, delivery: Delivery) -> Receipt:
        """Say it. Unlike a post's, a comment's text is plain: nothing in it is markup."""
        from runner.worker.deliver import Receipt  # noqa: PLC0415 - only in the child that delivers

        body = {"actor": delivery.settings.author, "object": self.post, "message": {"text": self.text}}
        answer = await call(delivery, f"{API}/socialActions/{quote(self.post, safe='')}/comments", body)
        return Receipt(
            id=answer.headers.get("x-restli-id", ""), url=f"https://www.linkedin.com/feed/update/{self.post}/"
        )
