"""The services of a rehearsal's world, by the name that the kinds' settings and the docs give them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.rehearsal.bluesky import StandInBluesky
from runner.rehearsal.channel import StandInChannel
from runner.rehearsal.linkedin import StandInLinkedIn
from runner.rehearsal.mastodon import StandInMastodon
from runner.rehearsal.wordpress import StandInWordPress

if TYPE_CHECKING:
    from runner.rehearsal.service import Service


def services() -> dict[str, Service]:
    """One stand-in for each service that a built-in kind speaks to; any token is good."""
    return {
        "bluesky": StandInBluesky(),
        "linkedin": StandInLinkedIn(),
        "mastodon": StandInMastodon(),
        "telegram": StandInChannel(),
        "wordpress": StandInWordPress(),
    }
