"""The bot's own account: who it is, its commands, its webhook, and the taps it has answered."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from runner.rehearsal.telegram.call import bad
from runner.rehearsal.telegram.updates import OTHER_WEBHOOK

if TYPE_CHECKING:
    from runner.rehearsal.telegram.call import Call, Table
    from runner.rehearsal.telegram.updates import Updates

TOO_OLD = "query is too old and response timeout expired or query ID is invalid"


class Account:
    """One bot's account, and the methods that are about it."""

    def __init__(self, bot_id: int, updates: Updates) -> None:
        self.bot = {"id": bot_id, "is_bot": True, "first_name": "Rehearsal", "username": "rehearsal_bot"}
        self.webhook = ""  #: its address; empty: none is set
        self.queries: set[str] = set()  #: ids of the callback queries there were
        self.answered: dict[str, dict[str, Any]] = {}  #: what each callback query was answered, by its id
        self._commands: dict[str, list[Any]] = {}
        self._updates = updates
        self.methods: Table = {
            "getMe": self._get_me,
            "setMyCommands": self._set_my_commands,
            "getMyCommands": self._get_my_commands,
            "deleteMyCommands": self._delete_my_commands,
            "setWebhook": self._set_webhook,
            "deleteWebhook": self._delete_webhook,
            "getWebhookInfo": self._get_webhook_info,
            "answerCallbackQuery": self._answer_callback_query,
        }

    def _get_me(self, call: Call) -> dict[str, Any]:
        more = {
            "can_join_groups": True,
            "can_read_all_group_messages": False,
            "supports_inline_queries": False,
        }
        return {**self.bot, **more}

    def _set_my_commands(self, call: Call) -> bool:
        self._commands[_audience(call)] = call.structure("commands", list)
        return True

    def _get_my_commands(self, call: Call) -> list[Any]:
        return self._commands.get(_audience(call), [])

    def _delete_my_commands(self, call: Call) -> bool:
        self._commands.pop(_audience(call), None)
        return True

    def _set_webhook(self, call: Call) -> bool:
        self.webhook = call.words("url")
        if self.webhook:
            self._updates.interrupt(OTHER_WEBHOOK)
        return self._drop_pending(call)

    def _delete_webhook(self, call: Call) -> bool:
        self.webhook = ""
        return self._drop_pending(call)

    def _get_webhook_info(self, call: Call) -> dict[str, Any]:
        pending = len(self._updates.pending)
        return {"url": self.webhook, "has_custom_certificate": False, "pending_update_count": pending}

    def _answer_callback_query(self, call: Call) -> bool:
        query = call.words("callback_query_id")
        if query not in self.queries:
            raise bad(TOO_OLD)
        self.answered[query] = {
            name: value for name, value in call.params.items() if name != "callback_query_id"
        }
        return True

    def _drop_pending(self, call: Call) -> bool:
        if call.params.get("drop_pending_updates"):
            self._updates.pending.clear()
        return True


def _audience(call: Call) -> str:
    """Whom commands are for: a scope and a language."""
    scope = call.structure("scope", dict) or {"type": "default"}
    return json.dumps([scope, call.words("language_code")], sort_keys=True)
