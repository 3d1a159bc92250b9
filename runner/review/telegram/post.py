"""Sends what is to be said: in order in each chat, within Telegram's limits, each chat at its own pace.

Each message is a row that says what is wanted; sending brings Telegram to show it, and a later change of the row is
an edit. A row is claimed before the call, so that after a crash it is known which calls may have taken effect.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from runner.clock import parse
from runner.errors import GoneError, StoreError
from runner.review.telegram.read import returned
from runner.review.telegram.wire import Document, LineError, LostError, RefusedError, ThrottledError
from runner.store import attachments, phone

if TYPE_CHECKING:
    from sqlalchemy import Row

    from runner.review.telegram.wire import Wire
    from runner.store.store import Store, Transaction

SLOWEST_S = 60.0  #: between two attempts while Telegram can't be reached
UNCHANGED = "not modified"
SENDS = {"text": "sendMessage", "document": "sendDocument", "photo": "sendPhoto"}
LOOK_S = 5.0  #: how often to look for what nobody announced


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast Telegram takes messages (https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this)."""

    chat_s: float = 1.0  #: between two messages in a person's chat
    group_s: float = 3.0  #: in a group
    all_s: float = 1 / 30  #: between two messages wherever
    again_s: float = 1.0  #: before the second attempt; twice as long before each further one


class Fate(Protocol):
    """Who cares what becomes of a message; each is told within the transaction that keeps it."""

    def accepted(self, tx: Transaction, post: Row[Any], returned: dict[str, Any]) -> None:
        """Telegram shows it."""

    def lost(self, tx: Transaction, post: Row[Any]) -> None:
        """It was sent, and no answer came."""

    def refused(self, tx: Transaction, post: Row[Any], reason: str) -> None:
        """Telegram will never take it."""


@dataclass(slots=True)
class Sender:
    """The sending half of the phone."""

    store: Store
    wire: Wire
    fate: Fate
    pace: Pace = field(default_factory=Pace)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _work: set[asyncio.Task[None]] = field(default_factory=set)
    _free: dict[int, float] = field(default_factory=dict)  #: by chat: when it may be written to again
    _all_free: float = 0.0
    _failures: int = 0  #: in a row, of reaching Telegram
    _is_torn: bool = (
        False  #: whether the store failed, so that it may say of a message that it is being sent still
    )

    def look(self) -> None:
        """There may be something to send."""
        self._wake.set()

    def recover(self) -> None:
        """After a crash: what was being sent may have arrived."""
        with self.store.change() as tx:
            for post in phone.sending(tx.connection):
                self._lose(tx, post)

    async def work(self) -> None:
        """Send for ever."""
        try:
            while True:
                self._wake.clear()
                wait = self._turn()
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self._wake.wait()
        finally:
            for each in self._work:
                each.cancel()
            await asyncio.gather(*self._work, return_exceptions=True)

    def _turn(self) -> float:
        """One look at what is due; how long until the next. A store that fails is asked again later."""
        try:
            if self._is_torn and not self._work:
                self.recover()
                self._is_torn = False
            return self._start_due()
        except StoreError:
            self._is_torn = True
            return LOOK_S

    def _start_due(self) -> float:
        """Begin with each message whose turn it is; how long until there may be another."""
        loop, now = asyncio.get_running_loop(), self.store.clock.now()
        with self.store.read() as connection:
            due, hour = phone.due(connection, now), phone.next_post(connection, now)
        wait = min(LOOK_S, (parse(hour) - now).total_seconds()) if hour else LOOK_S
        for post in due:
            free = max(self._free.get(post.chat, 0.0), self._all_free)
            if free > loop.time():
                wait = min(wait, free - loop.time())
                continue
            with self.store.change() as tx:
                claimed = phone.claim_post(tx, post.id)
            if claimed is not None:
                self._book(post.chat)
                self._work.add(work := loop.create_task(self._send(claimed)))
                work.add_done_callback(self._work.discard)
        return max(wait, 0.001)

    def _book(self, chat: int) -> None:
        now = asyncio.get_running_loop().time()
        self._free[chat] = now + (self.pace.chat_s if chat > 0 else self.pace.group_s)
        self._all_free = now + self.pace.all_s

    async def _send(self, post: Row[Any]) -> None:
        try:
            await self._settle(post)
        except StoreError:
            self._is_torn = True
        self._wake.set()

    async def _settle(self, post: Row[Any]) -> None:
        """Send a message, and keep what became of it."""
        try:
            await self._call(post)
            self._failures = 0
        except ThrottledError as error:
            self._delay(error.seconds, post.chat)
            self._put_back(post)
        except RefusedError as error:
            self._refuse(post, str(error))
        except LostError as error:
            self._back_off()
            self._put_back(post) if error.is_unsent else self._was_lost(post)
        except LineError:
            self._back_off()
            self._put_back(post)

    async def _call(self, post: Row[Any]) -> None:
        try:
            message, look = returned(
                await self.wire.call(_method(post), **{**_params(post), **self._file(post)})
            )
        except RefusedError as error:
            if UNCHANGED not in str(error).lower() or post.message is None:
                raise
            self._ask_how_it_looks(post)
            return
        except ValueError:
            raise LostError("Telegram's answer was none", is_unsent=False) from None
        with self.store.change() as tx:
            phone.shown(tx, post, message, look)
            self.fate.accepted(tx, post, look)

    def _ask_how_it_looks(self, post: Row[Any]) -> None:
        """A message stands there as it is wanted, and the answer that told its looks was lost: other buttons bring one."""
        with self.store.change() as tx:
            phone.shown(tx, post, post.message, json.loads(post.returned))
            phone.renew_buttons(tx, post.id)

    def _file(self, post: Row[Any]) -> dict[str, Document]:
        """The file that a new message carries, if it does; raises `RefusedError` for one that can't be had."""
        wanted, form = json.loads(post.wanted), _form(post)
        if post.message is not None or form == "text":
            return {}
        if post.file is not None:
            return {form: Document(wanted["name"], post.file.encode())}
        try:
            with self.store.read() as connection:
                return {form: Document(wanted["name"], attachments.get(connection, wanted["sha256"]))}
        except GoneError as error:
            raise RefusedError(str(error)) from None

    def _put_back(self, post: Row[Any]) -> None:
        with self.store.change() as tx:
            phone.put_back(tx, post.id)

    def _was_lost(self, post: Row[Any]) -> None:
        with self.store.change() as tx:
            self._lose(tx, post)

    def _lose(self, tx: Transaction, post: Row[Any]) -> None:
        """A message whose answer was lost: sent again, unless it is part of a card, which must not be in doubt."""
        phone.put_back(tx, post.id)
        if post.message is None:
            self.fate.lost(tx, post)

    def _refuse(self, post: Row[Any], reason: str) -> None:
        with self.store.change() as tx:
            if _form(post) == "photo" and post.message is None:
                phone.want(tx, post, form="document")  # no picture to Telegram; it is a file all the same
                phone.put_back(tx, post.id)
                return
            phone.kill_post(tx, post.id)
            self.fate.refused(tx, post, reason)

    def _delay(self, seconds: float, chat: int) -> None:
        self._free[chat] = asyncio.get_running_loop().time() + seconds

    def _back_off(self) -> None:
        self._failures += 1
        pause = min(self.pace.again_s * 2 ** min(self._failures - 1, 10), SLOWEST_S)
        self._all_free = max(self._all_free, asyncio.get_running_loop().time() + pause)


def _method(post: Row[Any]) -> str:
    form = _form(post)
    if post.message is not None:
        return "editMessageText" if form == "text" else "editMessageCaption"
    return SENDS[form]


def _form(post: Row[Any]) -> str:
    return "document" if post.file is not None else str(json.loads(post.wanted).get("form", "text"))


def _params(post: Row[Any]) -> dict[str, Any]:
    """What the method is told; a line below the text tells what became of it."""
    wanted, form = json.loads(post.wanted), _form(post)
    name, entities = ("text", "entities") if form == "text" else ("caption", "caption_entities")
    params: dict[str, Any] = {"chat_id": post.chat, name: composed(wanted), entities: wanted["entities"]}
    if wanted.get("buttons"):
        params["reply_markup"] = {"inline_keyboard": wanted["buttons"]}
    if form == "text":
        params["link_preview_options"] = {"is_disabled": True}
    if post.message is not None:
        return {**params, "message_id": post.message}
    if form == "document":
        params["disable_content_type_detection"] = True  # a file stays the file that it is
    if wanted.get("asks"):
        params["reply_markup"] = {"force_reply": True, "selective": True}
    if wanted.get("reply_to"):
        params["reply_parameters"] = {"message_id": wanted["reply_to"], "allow_sending_without_reply": True}
    if wanted.get("quiet"):
        params["disable_notification"] = True
    return params


def composed(wanted: dict[str, Any]) -> str:
    """The whole text of a message: its own, and the line below."""
    return f"{wanted['text']}\n\n{wanted['line']}" if wanted.get("line") else str(wanted["text"])
