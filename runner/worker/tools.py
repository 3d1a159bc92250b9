"""What a task lends to Claude: functions of its own, called in its child."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Tools:
    """The functions a task lends to Claude, by name."""

    def __init__(self) -> None:
        self._functions: dict[str, Callable[..., Any]] = {}

    def offer(self, functions: Sequence[Callable[..., Any]]) -> list[dict[str, Any]]:
        """Remember the functions, and describe them as the API wants them."""
        self._functions.update({function.__name__: function for function in functions})
        return [
            {
                "name": function.__name__,
                "description": inspect.getdoc(function) or "",
                "schema": _parameters(function),
            }
            for function in functions
        ]

    async def call(self, name: str, args: dict[str, Any]) -> tuple[str, bool]:
        """Call one; its result as text, and whether that is an error told to Claude."""
        try:
            function = self._functions[name]
            result = function(**args)
            if inspect.isawaitable(result):
                result = await result
        except Exception as error:  # noqa: BLE001 - a tool's error is an answer to Claude
            return f"{type(error).__name__}: {error}", True
        return result if isinstance(result, str) else TypeAdapter(Any).dump_json(result).decode(), False


def _parameters(function: Callable[..., Any]) -> dict[str, Any]:
    adapter: TypeAdapter[Any] = TypeAdapter(function)  # type: ignore[arg-type] # pydantic takes functions
    schema = adapter.json_schema()
    return {"type": "object", "properties": {}, **schema}
