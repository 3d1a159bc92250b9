"""One attempt to deliver, in a child of its own: STOP is asked once more before the outside, and what the child says is judged."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runner import said, seal
from runner.errors import RunError, RunnerError, StoppedError
from runner.gate import Held, State
from runner.stop import Door

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from runner.children import Child, Children
    from runner.draft import Kind
    from runner.stop import Stop

ATTEMPT_S = 120.0  #: how long an attempt may take; then its outcome is unknown
MEMORY_MB = 512
PRIVATE = frozenset({"ANTHROPIC_API_KEY", "RUNNER_TELEGRAM_TOKEN"})  #: the runner's own, for no kind
RECEIPT_MAX = 2000  #: characters of each part of a receipt


@dataclass(frozen=True, slots=True)
class Claim:
    """An approved draft whose attempt is about to begin: its intent is on record."""

    held: Held
    kind: Kind
    content: bytes
    files: dict[str, bytes]  #: its attachments, by SHA-256
    number: int  #: of the delivery
    stops: int  #: how many there had been
    is_look_up: bool = False  #: only ask the destination whether an earlier attempt arrived


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an attempt came to."""

    state: State
    note: str = ""
    receipt: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Courier:
    """Makes attempts, each in a child that holds the secrets its kind names."""

    home: Path
    stop: Stop
    children: Children
    named: Callable[[Iterable[str]], dict[str, str]]  #: the secrets of those names that are set
    say: Callable[..., None]  #: for diagnostics: level, words, and what they are about
    rehearsal: str = ""  #: address of the stand-in that takes every request; empty: the real world
    mail: str = ""  #: in a rehearsal, the address of the stand-in that takes mail

    async def attempt(self, claim: Claim) -> Outcome | None:
        """What the child says of its attempt; None where an earlier one stays uncertain, since this was cut short."""
        has_begun = False

        def begin(child: Child) -> None:
            nonlocal has_begun
            self.children.spare(child)
            try:
                self.stop.ask(Door.DELIVERY, claim.stops)
            except StoppedError:
                self.children.spare(child, is_spared=False)
                self.children.kill(child)
                raise
            has_begun = True

        try:
            async with self.children.fork(lambda line: self._printed(claim, line)) as child:
                async with asyncio.timeout(ATTEMPT_S):
                    return await self._converse(claim, child, begin)
        except TimeoutError:
            reason = f"it took longer than {ATTEMPT_S:g} s"
        except RunnerError as error:
            reason = str(error)
        except Exception as error:  # noqa: BLE001 - whatever happened, what has begun may have arrived
            reason = f"{type(error).__name__}: {error}"
        return self._broken_off(claim, self._clean(reason), has_begun=has_begun)

    def _broken_off(self, claim: Claim, reason: str, *, has_begun: bool) -> Outcome | None:
        if claim.held.state is State.UNCERTAIN:
            return None
        return Outcome(State.UNCERTAIN if has_begun else State.PENDING, reason)

    async def _converse(self, claim: Claim, child: Child, begin: Callable[[Child], None]) -> Outcome:
        await child.send(self._order(claim))
        while (message := await child.receive()) is not None:
            match message.get("op"):
                case "ready":
                    begin(child)
                    await child.send({"re": message.get("id"), "ok": None})
                case "delivered":
                    receipt = _receipt(message.get("receipt"))
                    return Outcome(
                        State.DELIVERED,
                        receipt={name: self._clean(text) for name, text in receipt.items()},
                    )
                case "not_found" if claim.is_look_up:
                    return Outcome(State.PENDING, "it was not delivered: the destination has not received it")
                case "not_delivered":
                    return _refused(claim, self._clean(said.short(message.get("error"))))
                case "uncertain":
                    raise RunError(said.short(message.get("error")))
        raise RunError(f"the child that delivered it ended without a word ({await child.ended})")

    def _order(self, claim: Claim) -> dict[str, Any]:
        content, kind = claim.content.decode(), claim.kind
        folder = self.home / ".runner" / "deliveries"
        return {
            "op": "deliver",
            "memory": MEMORY_MB,
            "folder": str(folder),
            "seal": seal.of_delivery(self.home, folder, kind.writes, self.children.user),
            "environment": seal.environment(folder),
            "home": str(self.home),
            "tasks": str(self.home / "tasks"),
            "file": kind.file,
            "module": kind.module,
            "title": kind.title,
            "source": kind.code,
            "kind": kind.model_dump(mode="json"),
            "content": content,
            "digest": claim.held.digest,
            "fields": json.loads(content)["fields"],
            "files": {sha256: base64.b64encode(each).decode() for sha256, each in claim.files.items()},
            "key": key_of(claim.held),
            "secrets": self._secrets(kind),
            "rehearsal": self.rehearsal,
            "mail": self.mail,
            "look_up": claim.is_look_up,
        }

    def _secrets(self, kind: Kind) -> dict[str, str]:
        """The secrets that a kind names, and no one of the runner's own."""
        names = [name for name in kind.secrets if name not in PRIVATE]
        found = self.named(names)
        self.children.veil.learn(*found.values())
        return found

    def _clean(self, reason: str) -> str:
        """Why it was broken off, in words that can be kept."""
        return self.children.veil.over(reason).encode(errors="replace").decode()

    def _printed(self, claim: Claim, line: str) -> None:
        self.say("info", line, draft=claim.held.id, source="print")


def key_of(held: Held) -> str:
    """The idempotency key: the same for the same content, so that a destination which dedupes takes it once."""
    return held.digest[:40]


def _receipt(said: Any) -> dict[str, Any]:
    """What the child says that the destination answered, kept within bounds."""
    known = said if isinstance(said, dict) else {}
    return {name: str(known.get(name, ""))[:RECEIPT_MAX] for name in ("id", "url", "detail")}


def _refused(claim: Claim, reason: str) -> Outcome:
    """Certainly not delivered, by this attempt; of an earlier one, whose end is unknown, that says nothing."""
    if claim.held.state is State.UNCERTAIN:
        raise RunError(reason)
    return Outcome(State.FAILED, reason)
