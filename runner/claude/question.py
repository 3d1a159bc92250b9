"""What is asked of Claude and what comes back, as values that pass through JSON."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

import rfc8785

from runner.errors import ClaudeError


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A function of the task's own that Claude may call."""

    name: str
    description: str
    schema: dict[str, Any]  #: JSON Schema of its arguments, an object


@dataclass(frozen=True, slots=True, kw_only=True)
class Web:
    """Claude's own search and fetch, as far as a question lets it."""

    domains: tuple[str, ...]  #: with all below them
    max_uses: int  #: searches, and likewise fetches


#: fields that came later, with what they are where a question does without: it is what it always was
_LATER: dict[str, Any] = {"web": None, "learnt": None, "cache": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """All that Claude is told in one call of `run.claude`."""

    prompt: str
    model: str
    max_tokens: int  #: of output, in each turn
    system: str | None = None
    schema: dict[str, Any] | None = None  #: JSON Schema of the answer; None asks for plain text
    effort: str | None = None  #: None leaves it to the API
    tools: tuple[Tool, ...] = ()
    web: Web | None = None  #: where Claude may search and fetch; None: nowhere
    turns: tuple[dict[str, Any], ...] = ()  #: messages after the prompt, as in a revision
    learnt: str | None = None  #: what past decisions teach; told after `system`
    cache: bool = True  #: the API may keep what repeats

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The conversation as it begins: the prompt and any turns after it."""
        return [{"role": "user", "content": self.prompt}, *self.turns]

    @property
    def takes_turns(self) -> bool:
        """Whether one exchange may not be all: Claude may call tools, or look on the web."""
        return bool(self.tools) or self.web is not None

    @property
    def digest(self) -> str:
        """What tells this question from any other: SHA-256 over its canonical JSON (RFC 8785)."""
        try:
            return hashlib.sha256(rfc8785.dumps(self.as_json())).hexdigest()
        except (rfc8785.CanonicalizationError, UnicodeError) as error:
            message = f"the question to Claude can't be written as JSON: {error}"
            raise ClaudeError(message) from error

    def as_json(self) -> dict[str, Any]:
        """This question as plain JSON; `from_json` reads it back."""
        plain = {**asdict(self), "turns": list(self.turns), "tools": [asdict(tool) for tool in self.tools]}
        if self.web is not None:
            plain["web"] = {**asdict(self.web), "domains": list(self.web.domains)}
        return {name: value for name, value in plain.items() if _LATER.get(name, ...) != value}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Question":
        """The question that `as_json` wrote; raises ``TypeError`` when fields are missing or unknown."""
        tools = tuple(Tool(**tool) for tool in data.get("tools", ()))
        web = data.get("web")
        found = Web(domains=tuple(web["domains"]), max_uses=web["max_uses"]) if web else None
        return cls(**{**data, "tools": tools, "turns": tuple(data.get("turns", ())), "web": found})


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Claude's whole answer, and what all its turns took together."""

    text: str  #: the JSON itself when a schema was given
    model: str
    stop_reason: str
    input_tokens: int  #: every prompt token, cached or not
    output_tokens: int
    cost_usd: Decimal | None  #: None when the model's price is unknown
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What one exchange with the API cost."""

    model: str
    input_tokens: int  #: neither read from the cache nor written to it
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    cost_usd: Decimal | None  #: None when the model's price is unknown
    is_lower_bound: bool  #: the exchange broke off, so it may have cost more
    web: tuple[dict[str, str], ...] = ()  #: what Claude searched for and fetched, in order
    saved_usd: Decimal | None = None  #: against the same tokens asked directly and uncached; None: not known
