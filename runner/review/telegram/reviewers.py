"""Who may decide on what, and where they are told. A person is a numeric id, and nothing else of what Telegram says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.review.telegram.read import GROUPS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from runner.review.telegram.read import Chat
    from runner.settings import Settings
    from runner.tables import Reviewer


@dataclass(frozen=True, slots=True)
class Subject:
    """What a decision is about."""

    task: str
    kind: str
    label: str  #: of the task; empty when it has none


@dataclass(frozen=True, slots=True)
class Reviewers:
    """The owners, who may decide on everything, and the people they listed."""

    owners: tuple[int, ...]
    chat: int | None
    people: Mapping[str, Reviewer]
    label_of: Callable[[str], str]  #: the label of a task

    @classmethod
    def of(cls, settings: Settings, label_of: Callable[[str], str]) -> Reviewers:
        """As the owner set them."""
        return cls(settings.telegram_owners, settings.telegram.chat, settings.reviewers, label_of)

    def is_listed(self, person: int) -> bool:
        """Whether the person may say anything at all."""
        return self.is_owner(person) or self._entry(person) is not None

    def is_owner(self, person: int) -> bool:
        """Whether everything is theirs to decide."""
        return person in self.owners

    def name(self, person: int) -> str:
        """What the person is called on record: as in the settings, never as they call themselves."""
        found = next((name for name, each in self.people.items() if each.id == person), None)
        return found or f"{'owner' if self.is_owner(person) else 'person'} {person}"

    def is_ours(self, chat: Chat, person: int) -> bool:
        """Whether the chat is the person's own with the bot, or a group that is listed."""
        if chat.type == "private":
            return chat.id == person
        return chat.type in GROUPS and chat.id in self._groups()

    def may_decide(self, person: int, subject: Subject) -> bool:
        """Whether the decision is this person's to take."""
        entry = self._entry(person)
        return self.is_owner(person) or (entry is not None and _covers(entry, subject))

    def chats_for(self, subject: Subject) -> list[int]:
        """Where a card about it is shown: to those who may decide; to the owners where there is nobody else."""
        theirs = [each.chat or each.id for each in self.people.values() if _covers(each, subject)]
        return _each(theirs) or self.chats()

    def chats(self) -> list[int]:
        """Where the owners are told."""
        return [self.chat] if self.chat is not None else list(self.owners)

    def _groups(self) -> set[int]:
        return {
            chat for chat in (self.chat, *(each.chat for each in self.people.values())) if chat is not None
        }

    def _entry(self, person: int) -> Reviewer | None:
        return next((each for each in self.people.values() if each.id == person), None)


def _covers(entry: Reviewer, subject: Subject) -> bool:
    """Whether it is among what the entry lists; an entry that lists nothing covers all."""
    lists = ((entry.tasks, subject.task), (entry.kinds, subject.kind), (entry.labels, subject.label))
    given = [(listed, value) for listed, value in lists if listed]
    return not given or any(value in listed for listed, value in given)


def _each(chats: Iterable[int]) -> list[int]:
    return list(dict.fromkeys(chats))
