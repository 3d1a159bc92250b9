"""A post on Mastodon."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from runner.draft import Draft
from runner.drafts.answer import ask

if TYPE_CHECKING:
    from runner.worker.deliver import Delivery, Receipt

TOKEN = "MASTODON_TOKEN"  # noqa: S105 - the name of a secret
TEXT_MAX = 500  #: of most servers
SERVER = r"^https://[A-Za-z0-9.-]+(:[0-9]+)?$"


class Account(BaseModel):
    """Where toots go; who speaks is whoever's token it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    server: str = Field(
        pattern=SERVER, description="where the account is", examples=["https://mastodon.social"]
    )
    visibility: Literal["public", "unlisted", "private"] = Field(
        default="public", description="who may see it"
    )


class Toot(Draft):
    """A plain text on the server that the settings name."""

    text: Annotated[str, Field(min_length=1, max_length=TEXT_MAX, pattern=r"\S")]

    settings: ClassVar = Account
    secrets: ClassVar[tuple[str, ...]] = (TOKEN,)
    once: ClassVar = "key"
    once_for: ClassVar = timedelta(minutes=50)  #: Mastodon remembers a key for an hour

    async def deliver(self, delivery: Delivery) -> Receipt:
        """Send it; a repeat with the same key, within the hour, is answered with the first one."""
        from runner.worker.deliver import Receipt  # noqa: PLC0415 - only in the child that delivers

        there: Account = delivery.settings
        headers = {"Authorization": f"Bearer {delivery.secret(TOKEN)}", "Idempotency-Key": delivery.key}
        status = {"status": self.text, "visibility": there.visibility}
        advice = {401: f"{TOKEN} is no longer good", 403: f"{TOKEN} needs the scope write:statuses"}
        url = f"{there.server}/api/v1/statuses"
        said = (await ask(delivery, "POST", url, json=status, headers=headers, advice=advice)).json()
        return Receipt(id=str(said["id"]), url=said.get("url") or "")
