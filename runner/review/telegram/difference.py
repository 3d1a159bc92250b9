"""How a draft differs from the one that was delivered before it, where that says anything. Pure."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from runner.draft import BAR, visible
from runner.review.telegram.card import sendable, units

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ALIKE = 0.3  #: how alike two texts must be for the names of what changed to say anything
CLOSE = 0.6  #: and for the lines that changed to be shorter to read than the text
READ_MOST = 20_000  #: characters of a text that is compared line by line
SHOWN_MOST = 1500  #: UTF-16 units of what is shown of it; more is no help


def summary(last: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Which fields changed since draft `last`; empty where it has nothing in common with it."""
    texts = [(name, str(old[name]), str(value)) for name, value in new.items() if name in old]
    changed = [name for name, before, after in texts if before != after]
    same = [name for name, before, after in texts if before == after]
    if not changed:
        return f"The same words as in draft {last}, which was delivered"
    alike = [_alike(before, after) for name, before, after in texts if name in changed]
    if not same and max(alike) < ALIKE:
        return ""
    return f"Against delivered {last}: {', '.join(changed)} changed; {', '.join(same) or 'nothing'} as it was"


def lines(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """The lines that went and came in each text that is much as it was; empty where that is none, or too long to help."""
    blocks = [block for name, value in new.items() for block in _block(name, old.get(name), value)]
    text = "\n".join(blocks)
    return text if units(text) <= SHOWN_MOST else ""


def _block(name: str, before: Any, after: Any) -> Iterator[str]:
    """One field's lines below its name, shown as the content's are: what hides is escaped."""
    if not (isinstance(before, str) and isinstance(after, str)) or before == after:
        return
    if max(len(before), len(after)) > READ_MOST or _alike(before, after) < CLOSE:
        return
    found = difflib.unified_diff(before.split("\n"), after.split("\n"), n=1, lineterm="")
    shown = ["…" if line.startswith("@@") else sendable(visible(line)) for line in list(found)[2:]]
    yield "\n".join([f"{BAR}{sendable(visible(name))}", *shown])


def _alike(before: str, after: str) -> float:
    return difflib.SequenceMatcher(None, before.split(), after.split(), autojunk=False).quick_ratio()
