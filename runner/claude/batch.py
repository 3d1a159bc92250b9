"""The Message Batches API: one question each, at half price, answered within a day.

https://platform.claude.com/docs/en/build-with-claude/batch-processing
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from runner.claude.ask import Claude
from runner.claude.bill import bill
from runner.claude.conversation import told
from runner.claude.question import Answer, Question, Spent
from runner.claude.trouble import refuse_partial
from runner.errors import BatchGoneError, BatchLostError, ClaudeError, RunnerError, TransientClaudeError

if TYPE_CHECKING:
    from anthropic.types.messages import MessageBatch, MessageBatchResult, MessageBatchSucceededResult

NOT_TAKEN = (
    503,
    529,
)  #: what an API says of itself that takes nothing now; other failures may come after it took it
Outcome = Literal["answered", "refused", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a batch ended: "answered"; "refused", which asking again only repeats; or "failed", which it may not."""

    outcome: Outcome
    answer: Answer | None = None
    spent: Spent | None = None  #: None: nothing was billed
    reason: str = ""


def request(question: Question) -> dict[str, Any]:
    """What the API is told: without marks for its cache, which has forgotten by the time a batch is read."""
    return {**told(replace(question, cache=False)), "messages": question.messages}


class Batches:
    """Batches of one question, by the client of `claude`."""

    def __init__(self, claude: Claude) -> None:
        self._claude = claude

    async def ready(self) -> None:
        """Have the SDK imported, which takes a second; raises `ClaudeError` without a key."""
        await self._claude.client()

    async def create(self, question: Question, name: str) -> str:
        """Hand a question over; the batch's id.

        Raises `TransientClaudeError` when it was certainly not taken and may be later, `BatchLostError` when that
        can't be told, `ClaudeError` when it never will be, and what the guard raises.
        """
        client = (await self._claude.client()).with_options(
            max_retries=0
        )  # each attempt would be one more batch
        try:
            asked: Any = [{"custom_id": name, "params": request(question)}]
            return (await client.messages.batches.create(requests=asked)).id
        except RunnerError:
            raise
        except Exception as error:  # noqa: BLE001 - explained, as for a direct question
            failure = self._claude.explain(error, question.model)
            if _may_have_arrived(error):
                raise BatchLostError(str(failure)) from None
            raise failure from None

    async def result(self, batch: str, name: str, question: Question) -> Result | None:
        """How the batch ended; None while it has not. Raises `BatchGoneError` for one that the API doesn't know, `ClaudeError`."""
        client = await self._claude.client()
        try:
            state = await client.messages.batches.retrieve(batch)
            if state.processing_status != "ended":
                return None
            async for entry in await client.messages.batches.results(batch):
                if entry.custom_id == name:
                    return _result(state, entry.result, question)
        except RunnerError:
            raise
        except Exception as error:  # noqa: BLE001 - likewise
            failure = self._claude.explain(error, question.model)
            raise (BatchGoneError(str(failure)) if _is_unknown(error) else failure) from None
        return Result(outcome="failed", reason="Claude's API ended the batch and gave no result")

    async def cancel(self, batch: str) -> None:
        """Ask for no more of it, stopped or not. Raises `ClaudeError` when that could not be said."""
        client = (await self._claude.client()).copy(
            middleware=[]
        )  # STOP bars what begins; this ends something
        try:
            await client.messages.batches.cancel(batch)
        except Exception as error:  # noqa: BLE001 - likewise
            raise self._claude.explain(error, "") from None


def _may_have_arrived(error: Exception) -> bool:
    import httpx2  # noqa: PLC0415 - comes with the SDK, which is imported by now
    from anthropic import APIStatusError, InternalServerError  # noqa: PLC0415 - likewise

    if isinstance(error, APIStatusError):
        return isinstance(error, InternalServerError) and error.status_code not in NOT_TAKEN
    return not isinstance(error.__cause__, (httpx2.ConnectError, httpx2.ConnectTimeout))


def _is_unknown(error: Exception) -> bool:
    from anthropic import NotFoundError  # noqa: PLC0415 - imported by now

    return isinstance(error, NotFoundError)


def _result(batch: "MessageBatch", result: "MessageBatchResult", question: Question) -> Result:
    match result.type:
        case "succeeded":
            return _succeeded(batch, result, question)
        case "errored":
            error = result.error.error
            words = f"Claude's API answered the batch with {error.type} ({error.message})"
            is_ours = error.type == "invalid_request_error"
            return Result(outcome="refused" if is_ours else "failed", reason=words)
        case "canceled":
            return Result(outcome="failed", reason="the batch was cancelled")
        case _:  # expired
            return Result(outcome="failed", reason="Claude's API did not come to the batch in time")


def _succeeded(batch: "MessageBatch", result: "MessageBatchSucceededResult", question: Question) -> Result:
    message = result.message
    usage = message.usage.to_dict(mode="json")
    spent = bill(question.model, message.model, usage, is_batch=True)
    text = "".join(block.text for block in message.content if block.type == "text")
    try:
        refuse_partial(message, question, text)
    except TransientClaudeError as error:
        return Result(outcome="failed", spent=spent, reason=str(error))
    except ClaudeError as error:
        return Result(outcome="refused", spent=spent, reason=str(error))
    seconds = ((batch.ended_at or batch.created_at) - batch.created_at).total_seconds()
    answer = Answer(
        text=text,
        model=message.model,
        stop_reason=str(message.stop_reason),
        input_tokens=spent.input_tokens + spent.cache_read_tokens + spent.cache_write_tokens,
        output_tokens=spent.output_tokens,
        cost_usd=spent.cost_usd,
        seconds=seconds,
    )
    return Result(outcome="answered", answer=answer, spent=spent)
