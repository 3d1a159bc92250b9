"""What went wrong with Claude's API, in sentences for the owner: what, what was got, what to do."""

import json
from typing import TYPE_CHECKING

from runner.claude.question import Question
from runner.errors import ClaudeError, TransientClaudeError
from runner.secrecy import Veil

if TYPE_CHECKING:
    from anthropic import APIStatusError
    from anthropic.types import Message

#: what the owner can do about a status that trying again won't change
_REMEDIES = {
    400: "Claude's API refused the request ({said}); mend what it names in the task's prompt, schema or tools",
    401: "ANTHROPIC_API_KEY was not accepted ({said}); put a valid key into the environment or .env",
    402: "the Anthropic account can't pay for this call ({said}); see to its billing",
    403: "ANTHROPIC_API_KEY lacks the permission for this call ({said}); give it access, or use another key",
    404: "there is no model {model!r} for this key ({said}); set RUNNER_MODEL, or model= in the call, to one it has",
    413: "the request is larger than Claude's API takes ({said}); shorten the prompt or what the tools return",
}

#: likewise for one that may pass
_PASSING = {
    429: "Claude's API takes no more calls for now ({said}); try again later, or raise the account's rate limits",
    529: "Claude's API is overloaded ({said}); try again later",
}

#: kinds of error, within a stream that has begun, that trying again may help
_PASSING_KINDS = {"api_error", "overloaded_error", "rate_limit_error", "timeout_error"}

#: why an answer that ended is not whole
_CUT = {
    "max_tokens": "Claude's answer was cut at max_tokens={max_tokens}; raise max_tokens or ask for less",
    "refusal": "Claude refused to answer; reword the prompt",
    "model_context_window_exceeded": "the conversation outgrew the context of {model}; shorten the prompt or "
    "what the tools return",
}


def refuse_partial(message: "Message", question: Question, text: str) -> None:
    """An answer that was cut, refused or isn't what was asked for is none."""
    reason = str(message.stop_reason)
    if reason in _CUT:
        raise ClaudeError(_CUT[reason].format(max_tokens=question.max_tokens, model=question.model))
    if reason not in ("end_turn", "stop_sequence"):
        raise ClaudeError(
            f"Claude stopped for a reason this runner doesn't know: {reason!r}; update the runner"
        )
    if not text.strip():
        raise TransientClaudeError("Claude ended its turn without a word; try again")
    if question.schema is not None:
        try:
            json.loads(text)
        except ValueError as error:
            raise TransientClaudeError(
                f"Claude's answer should be JSON and isn't ({error}); try again"
            ) from None


def explain(error: Exception, *, model: str, stall_s: float, veil: Veil) -> ClaudeError:
    """The SDK's error as one of ours; `stall_s` is how long the API may be silent, in seconds."""
    import httpx2  # noqa: PLC0415 - imported by now
    from anthropic import APIConnectionError, APIStatusError, APITimeoutError  # noqa: PLC0415 - likewise

    if isinstance(error, APIStatusError):
        return _explain_status(error, model, veil)
    if isinstance(error, (APITimeoutError, httpx2.TimeoutException)):
        return TransientClaudeError(f"Claude's API was silent for {stall_s:g} s; try again later")
    if isinstance(error, (APIConnectionError, httpx2.HTTPError)):
        cause = error.__cause__ or error
        why = str(cause) or type(cause).__name__
        return TransientClaudeError(
            f"the connection to Claude's API failed ({veil.over(why)}); try again later"
        )
    return TransientClaudeError(
        f"what Claude's API sent can't be read ({type(error).__name__}: {veil.over(str(error))}); try again later"
    )


def _explain_status(error: "APIStatusError", model: str, veil: Veil) -> ClaudeError:
    status = error.status_code
    # hidden before it is cut: a part of a secret could no longer be seen to be one
    said = veil.over(error.api_message or "") or veil.over(" ".join(error.message.split()))[:300]
    if status < 400:  # noqa: PLR2004 - an error within a stream that began well
        kind = error.type or "an error"
        is_passing = error.type is None or error.type in _PASSING_KINDS
        remedy = "try again later" if is_passing else "mend what it names"
        failure = TransientClaudeError if is_passing else ClaudeError
        return failure(f"Claude's API broke off its answer with {kind} ({said}); {remedy}")
    said = f"{status}: {said}"
    if sentence := _PASSING.get(status):
        return TransientClaudeError(sentence.format(said=said))
    if status >= 500 or status in (408, 409):  # noqa: PLR2004
        return TransientClaudeError(f"Claude's API failed ({said}); try again later")
    return ClaudeError(_REMEDIES.get(status, _REMEDIES[400]).format(said=said, model=model))
