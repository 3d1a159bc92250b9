"""A post in a WordPress site, by its REST API: published, or left there as a draft."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from runner.draft import Draft
from runner.drafts.answer import ask, look
from runner.drafts.article import BODY_MAX, SLUG, TITLE_MAX, slug
from runner.errors import NotDelivered

if TYPE_CHECKING:
    from runner.worker.deliver import Delivery, Receipt

PASSWORD = "WORDPRESS_PASSWORD"  # noqa: S105 - the name of a secret
SITE = r"^https://[A-Za-z0-9.-]+(:[0-9]+)?(/[A-Za-z0-9._~-]+)*$"
ADVICE = {
    401: f"is {PASSWORD} an application password of the user in the settings?",
    403: "the user in the settings may not do that",
    404: "is its REST API switched on, and the site's address right?",
}


class Site(BaseModel):
    """Where posts go, and who writes them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    site: str = Field(pattern=SITE, description="where posts go", examples=["https://blog.example.com"])
    user: str = Field(
        min_length=1, pattern=r"^[^:\x00-\x1f]+$", description="who writes them", examples=["studio"]
    )


class WordPressPost(Draft):
    """A post with `body` as HTML, exactly as WordPress is to keep it; never over one with the same slug."""

    title: Annotated[str, Field(min_length=1, max_length=TITLE_MAX)]
    body: Annotated[str, Field(min_length=1, max_length=BODY_MAX)]
    slug: Annotated[str, Field(pattern=SLUG, max_length=100)] | None = (
        None  #: in its address; None: from the title
    )
    status: Literal["draft", "publish"] = "draft"  #: "draft" is seen by nobody but the site's editors

    settings: ClassVar = Site
    secrets: ClassVar[tuple[str, ...]] = (PASSWORD,)

    async def deliver(self, delivery: Delivery) -> Receipt:
        """Create it, where nothing has its slug yet: WordPress itself would only change the slug."""
        there = await self._there(delivery)
        if there is not None:
            raise NotDelivered(
                f"{there['link']} has the slug {self._slug()!r} already; give the post another slug"
            )
        post = {"title": self.title, "content": self.body, "slug": self._slug(), "status": self.status}
        answer = await ask(
            delivery, "POST", _posts(delivery), json=post, auth=_login(delivery), advice=ADVICE
        )
        return _receipt(answer.json())

    async def find(self, delivery: Delivery) -> Receipt | None:
        """The post with that slug and title, if it is there: before the attempt nothing had the slug."""
        there = await self._there(delivery)
        is_ours = there is not None and there["title"].get("raw") == self.title
        return _receipt(there) if there is not None and is_ours else None

    async def _there(self, delivery: Delivery) -> dict[str, Any] | None:
        """The post that has the slug, in whatever state it is."""
        wanted = {"slug": self._slug(), "status": "publish,future,draft,pending,private", "context": "edit"}
        answer = await look(
            delivery, "GET", _posts(delivery), params=wanted, auth=_login(delivery), advice=ADVICE
        )
        found: list[dict[str, Any]] = answer.json()
        return found[0] if found else None

    def _slug(self) -> str:
        return self.slug or slug(self.title)


def _posts(delivery: Delivery) -> str:
    return f"{delivery.settings.site}/wp-json/wp/v2/posts"


def _login(delivery: Delivery) -> tuple[str, str]:
    return delivery.settings.user, delivery.secret(PASSWORD)


def _receipt(post: dict[str, Any]) -> Receipt:
    from runner.worker.deliver import Receipt  # noqa: PLC0415 - only in the child that delivers

    return Receipt(id=str(post["id"]), url=post["link"], detail=post["status"])
