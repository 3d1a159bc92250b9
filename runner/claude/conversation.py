"""One question on its way to its answer: what is asked next, what was heard, what the tools gave."""

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from runner.claude import caching
from runner.claude.question import Answer, Question, Spent
from runner.claude.web import Searching, answered
from runner.errors import ClaudeError, TransientClaudeError

if TYPE_CHECKING:
    from anthropic.types import Message, ToolUseBlock

CallTool = Callable[[str, dict[str, Any]], Awaitable[tuple[str, bool]]]


class Conversation:
    """One question on its way to its answer."""

    def __init__(self, question: Question, *, call_tool: CallTool, spent: Callable[[Spent], None]) -> None:
        self.question = question
        self.text = ""
        self._call_tool = call_tool
        self._spent = spent
        self._bills: list[Spent] = []
        self._messages = question.messages
        self._told = told(question)
        self._searching = Searching(question.web)

    def request(self) -> dict[str, Any]:
        """What the API is told next."""
        tools = [*self._told.get("tools", []), *self._searching.tools()]
        whole = {**self._told, "messages": list(self._messages), **({"tools": tools} if tools else {})}
        return caching.marked(self.question, whole)

    def pay(self, bill: Spent) -> None:
        """Put what an exchange cost on record."""
        self._bills.append(bill)
        self._spent(bill)

    def hear(self, message: "Message") -> None:
        """Take Claude's turn into the conversation."""
        said, has_looked = answered(message.content)
        is_new = has_looked or self._messages[-1]["role"] == "user"
        self.text = said if is_new else self.text + said
        self._searching.hear(message)
        content = [block.to_dict(mode="json") for block in message.content]
        self._messages.append({"role": "assistant", "content": content})

    async def use_tools(self, message: "Message", guard: Callable[[], None]) -> None:
        """Run the tools that Claude asks for, in its order, and tell it what they gave."""
        calls = [block for block in message.content if block.type == "tool_use"]
        if not calls:
            raise TransientClaudeError("Claude stopped to call a tool and named none; try again")
        results = []
        for call in calls:
            guard()
            results.append(await self._use(call))
        self._messages.append({"role": "user", "content": results})

    async def _use(self, call: "ToolUseBlock") -> dict[str, Any]:
        known = [tool.name for tool in self.question.tools]
        if call.name in known:
            text, is_error = await self._call_tool(call.name, dict(call.input))
        else:
            text, is_error = f"there is no tool {call.name!r}; the tools are {', '.join(known)}", True
        return {"type": "tool_result", "tool_use_id": call.id, "content": text, "is_error": is_error}

    def answer(self, message: "Message", seconds: float) -> Answer:
        """The answer that the last turn completed."""
        costs = [bill.cost_usd for bill in self._bills]
        known = [each for each in costs if each is not None]
        prompt = (
            each.input_tokens + each.cache_read_tokens + each.cache_write_tokens for each in self._bills
        )
        return Answer(
            text=self.text,
            model=message.model,
            stop_reason=str(message.stop_reason),
            input_tokens=sum(prompt),
            output_tokens=sum(bill.output_tokens for bill in self._bills),
            cost_usd=sum(known, Decimal(0)) if len(known) == len(costs) else None,
            seconds=seconds,
        )


def told(question: Question) -> dict[str, Any]:
    """The request without its messages, which grow."""
    told: dict[str, Any] = {"model": question.model, "max_tokens": question.max_tokens}
    if (system := caching.system(question)) is not None:
        told["system"] = system
    if config := _output_config(question):
        told["output_config"] = config
    if question.tools:
        told["tools"] = [
            {"name": tool.name, "description": tool.description, "input_schema": tool.schema}
            for tool in question.tools
        ]
    return told


def _output_config(question: Question) -> dict[str, Any]:
    from anthropic import transform_schema  # noqa: PLC0415 - imported by now

    config: dict[str, Any] = {}
    if question.effort is not None:
        config["effort"] = question.effort
    if question.schema is not None:
        try:
            # constraints that the API doesn't keep move into the descriptions
            schema = transform_schema(question.schema)
        except (ValueError, AssertionError, TypeError, AttributeError) as error:
            raise ClaudeError(f"this form of answer can't be asked of Claude: {error}") from error
        config["format"] = {"type": "json_schema", "schema": schema}
    return config
