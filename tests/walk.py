"""The walk: each rule does one thing to the real runner and to the model beside it, then both must agree."""

from __future__ import annotations

from walk_deciding import Deciding
from walk_halting import Halting
from walk_tapping import Tapping


class Walk(Deciding, Halting, Tapping):
    """One walk, of all the steps that there are."""
