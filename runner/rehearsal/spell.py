"""Spells out a string that a regular expression allows, from the standard library's own reading of it."""

from __future__ import annotations

import random
import re
import string
from functools import lru_cache
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

_PLAIN = string.ascii_lowercase + string.digits + string.ascii_uppercase  #: what reads well
_ALL = _PLAIN + string.punctuation + " \t\n"
_CATEGORIES = {
    sre.CATEGORY_DIGIT: r"\d",
    sre.CATEGORY_NOT_DIGIT: r"\D",
    sre.CATEGORY_SPACE: r"\s",
    sre.CATEGORY_NOT_SPACE: r"\S",
    sre.CATEGORY_WORD: r"\w",
    sre.CATEGORY_NOT_WORD: r"\W",
}
_TRIES = 400  #: before a pattern is given up


def spell(pattern: str, seed: str, least: int = 0, most: int | None = None) -> str | None:
    """A string of `least` to `most` characters in which the pattern is found, the same for the same seed.

    None: there is none to be found, or the pattern isn't one that Python knows.
    """
    try:
        tree = parser.parse(pattern)
    except re.error:
        return None
    chance = random.Random(f"{seed}\0{pattern}")  # noqa: S311 - nothing secret
    for attempt in range(_TRIES):
        # at first short and plain, then ever longer and odder
        text = _Speller(chance, least, 4 + attempt // 8, _PLAIN if attempt % 2 == 0 else _ALL).run(tree)
        if fits(pattern, text, least, most):
            return text
    return None


def fits(pattern: str, text: str, least: int = 0, most: int | None = None) -> bool:
    """Whether the text has `least` to `most` characters and the pattern is found in it."""
    try:
        return least <= len(text) <= (len(text) if most is None else most) and bool(re.search(pattern, text))
    except re.error:
        return False


class _Speller:
    """One try: `reach` bounds each repeat, unless it goes on until the text has `goal` letters."""

    def __init__(self, chance: random.Random, goal: int, reach: int, letters: str) -> None:
        self._chance, self._goal, self._reach, self._letters = chance, goal, reach, letters
        self._length = 0
        self._groups: dict[int, str] = {}

    def run(self, tree: Any) -> str:
        return "".join(self._one(op, what) for op, what in tree)

    def _one(self, op: Any, what: Any) -> str:
        match op:
            case sre.LITERAL | sre.NOT_LITERAL | sre.ANY | sre.IN:
                return self._letter(_members(op, what))
            case sre.BRANCH:
                return self.run(self._chance.choice(what[1]))
            case sre.MAX_REPEAT | sre.MIN_REPEAT | sre.POSSESSIVE_REPEAT:
                return self._repeat(*what)
            case sre.SUBPATTERN:
                return self._group(what[0], what[-1])
            case sre.ATOMIC_GROUP:
                return self.run(what)
        # anchors and assertions take no room: the search at the end tells whether they hold
        return self._groups.get(what, "") if op is sre.GROUPREF else ""

    def _repeat(self, least: int, most: int, what: Any) -> str:
        further = self._chance.choice((0, self._goal, self._chance.randint(0, self._reach)))
        text = "".join(self.run(what) for _ in range(least))
        for _ in range(min(int(most) - least, further)):
            if further == self._goal and self._length >= self._goal:
                break
            text += self.run(what)
        return text

    def _group(self, number: int | None, what: Any) -> str:
        text = self.run(what)
        if number is not None:
            self._groups[number] = text
        return text

    def _letter(self, members: tuple[Any, ...]) -> str:
        ranges = [what for op, what in members if op is sre.RANGE]
        literals = [what for op, what in members if op is sre.LITERAL]
        able = [letter for letter in self._letters if _holds(members, letter)]
        able = able or [letter for letter in _ALL if _holds(members, letter)]
        able = able or [chr(code) for code in (*literals, *(low for low, _ in ranges))]
        self._length += 1
        return self._chance.choice(able) if able else ""


def _members(op: Any, what: Any) -> tuple[Any, ...]:
    """What may stand for one letter, as a character class has it."""
    if op is sre.IN:
        return tuple(what)
    if op is sre.LITERAL:
        return ((op, what),)
    return ((sre.NEGATE, None), (sre.LITERAL, ord("\n") if op is sre.ANY else what))


@lru_cache(maxsize=4096)
def _holds(members: tuple[Any, ...], letter: str) -> bool:
    """Whether a character class holds the letter."""
    negated: bool = members[0][0] is sre.NEGATE
    return negated != any(_is(op, what, letter) for op, what in members)


def _is(op: Any, what: Any, letter: str) -> bool:
    match op:
        case sre.LITERAL:
            return bool(ord(letter) == what)
        case sre.RANGE:
            return bool(what[0] <= ord(letter) <= what[1])
        case sre.CATEGORY:
            return re.fullmatch(_CATEGORIES[what], letter) is not None
    return False
