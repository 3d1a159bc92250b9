"""A post on LinkedIn, by its versioned Posts API."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, ClassVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from runner.attachment import Attachment  # noqa: TC001 - pydantic reads it
from runner.draft import Draft
from runner.drafts.answer import ask, look
from runner.errors import NotDelivered
from runner.rule import OfType, Utf16

if TYPE_CHECKING:
    from runner.worker.deliver import Delivery, Receipt

API = "https://api.linkedin.com/rest"
TOKEN = "LINKEDIN_TOKEN"  # noqa: S105 - the name of a secret
TEXT_MAX = 3000
ALT_MAX = 4000
PICTURES = ("image/png", "image/jpeg", "image/gif")
MEMBER = r"^urn:li:(person|organization):[A-Za-z0-9_-]+$"
UPGRADE = 426  #: the status of a version that LinkedIn has retired

#: what LinkedIn reads as markup in a commentary; not a # that begins a hashtag, which is shown as it is written
_RESERVED = re.compile(r"[\\|{}@\[\]()<>*_~]|(?<=\w)#|#(?![^\W_])")


class Member(BaseModel):
    """Who speaks on LinkedIn."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    author: str = Field(
        pattern=MEMBER,
        description="a person or an organization, by its URN",
        examples=["urn:li:person:AbC123"],
    )
    version: str = Field(
        default="202608", pattern=r"^20\d{4}$", description="of the API; each is kept for about a year"
    )


class LinkedInPost(Draft):
    """A public post of the author that the settings name, with one picture if it has one."""

    text: Annotated[str, Utf16(TEXT_MAX), Field(min_length=1, max_length=TEXT_MAX)]
    picture: Annotated[Attachment, OfType(*PICTURES)] | None = None
    alt: Annotated[str, Field(max_length=ALT_MAX)] = ""  #: what the picture shows, for who can't see it

    settings: ClassVar = Member
    secrets: ClassVar[tuple[str, ...]] = (TOKEN,)

    async def deliver(self, delivery: Delivery) -> Receipt:
        """Publish it. LinkedIn drops no repeat by a key, but refuses a text that it has published lately."""
        from runner.worker.deliver import Receipt  # noqa: PLC0415 - only in the child that delivers

        body = self._body(delivery.settings.author)
        if self.picture is not None:
            body["content"] = {"media": {"id": await _upload(delivery, self.picture), "altText": self.alt}}
        answer = await call(delivery, f"{API}/posts", body)
        urn = answer.headers.get("x-restli-id", "")
        return Receipt(id=urn, url=f"https://www.linkedin.com/feed/update/{urn}/" if urn else "")

    def _body(self, author: str) -> dict[str, Any]:
        return {
            "author": author,
            "commentary": little(self.text),
            "visibility": "PUBLIC",
            "distribution": {
                "feedDistribution": "MAIN_FEED",
                "targetEntities": [],
                "thirdPartyDistributionChannels": [],
            },
            "lifecycleState": "PUBLISHED",
            "isReshareDisabledByAuthor": False,
        }


def little(text: str) -> str:
    """The text as LinkedIn's "little text format" writes it, so that it is shown as it stands; else it is cut short."""
    return _RESERVED.sub(lambda found: f"\\{found[0]}", text)


async def call(delivery: Delivery, url: str, body: dict[str, Any]) -> Any:
    """LinkedIn's answer to a request in its author's name; raises as `ask` does."""
    who = str(body.get("author", body.get("actor")))
    return await ask(
        delivery, "POST", url, json=body, headers=_headers(delivery), advice=_advice(delivery, who)
    )


async def _upload(delivery: Delivery, picture: Attachment) -> str:
    """The name that LinkedIn gives to the picture, once it has it; nobody sees it before the post."""
    author, headers = delivery.settings.author, _headers(delivery)
    order = {"initializeUploadRequest": {"owner": author}}
    advice = _advice(delivery, author)
    url = f"{API}/images?action=initializeUpload"
    place = (await look(delivery, "POST", url, json=order, headers=headers, advice=advice)).json()["value"]
    host = urlsplit(place["uploadUrl"]).hostname or ""
    if urlsplit(place["uploadUrl"]).scheme != "https" or not f".{host}".endswith(".linkedin.com"):
        raise NotDelivered(f"LinkedIn wants the picture at {host}, which is not its own")
    token = {"Authorization": headers["Authorization"], "Content-Type": picture.media_type}
    content = delivery.content(picture)
    await look(delivery, "PUT", place["uploadUrl"], content=content, headers=token, advice=advice)
    return str(place["image"])


def _headers(delivery: Delivery) -> dict[str, str]:
    return {
        "Authorization": f"Bearer {delivery.secret(TOKEN)}",
        "LinkedIn-Version": delivery.settings.version,
        "X-Restli-Protocol-Version": "2.0.0",
    }


def _advice(delivery: Delivery, who: str) -> dict[int, str]:
    version = delivery.settings.version
    return {
        401: f"{TOKEN} is no longer good: get a new one",
        403: f"{TOKEN} may not speak for {who}",
        UPGRADE: f"LinkedIn has retired its version {version}: set a newer one as 'version', e.g. of this month",
    }
