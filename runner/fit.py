"""Whether fields fit their kind: checked when a draft is made, not when it is delivered."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from runner.errors import DraftError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jsonschema import FormatChecker

    from runner.draft import Kind

WITHIN_S = 5.0
SHOWN = 80  #: characters of a value that a complaint quotes


def check_apart(kind: Kind, fields: Mapping[str, Any]) -> None:
    """As `check_fields`, in a process of its own with a limit: a kind's rules are its module's, and may take for ever."""
    order = json.dumps([kind.model_dump(mode="json"), dict(fields)])
    command = [sys.executable, "-I", "-m", "runner.fit"]
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and module
            command, input=order, capture_output=True, text=True, timeout=WITHIN_S, env={}, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise DraftError(f"whether the {kind.name} fits could not be told within {WITHIN_S:g} s") from error
    if done.returncode:
        raise DraftError(done.stdout.strip() or f"the schema of {kind.name} can't be followed")


def main() -> int:
    """Check what comes in: a kind, and fields; print what does not fit."""
    from runner.draft import Kind  # noqa: PLC0415 - only here is it made

    kind, fields = json.load(sys.stdin)
    try:
        check_fields(Kind.model_validate(kind), fields)
    except DraftError as error:
        sys.stdout.write(str(error))
        return 1
    return 0


def check_fields(kind: Kind, fields: Mapping[str, Any]) -> None:
    """Raise `DraftError`, in the owner's words, for the first field that doesn't fit."""
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - a tenth of a second
    from referencing import Registry  # noqa: PLC0415 - likewise

    # a registry of its own, empty: jsonschema's would go and get a $ref from wherever it points
    validator = Draft202012Validator(kind.schema_, format_checker=_formats(), registry=Registry())
    extra = fields.keys() - kind.schema_.get("properties", {}).keys()
    if extra:
        raise DraftError(f"a {kind.name} has no field {', '.join(sorted(extra))}")
    if missing := kind.schema_.get("properties", {}).keys() - fields.keys():
        raise DraftError(f"the {kind.name} lacks {', '.join(sorted(missing))}: nothing is filled in unseen")
    for error in sorted(validator.iter_errors(dict(fields)), key=lambda found: list(map(str, found.path))):
        raise DraftError(_sentence(kind, error))


@functools.cache
def _formats() -> FormatChecker:
    """The formats that pydantic writes; jsonschema by itself passes over three of them."""
    from jsonschema import FormatChecker  # noqa: PLC0415 - likewise

    checker = FormatChecker()
    for name, meant in {"date-time": datetime, "time": time, "duration": timedelta}.items():
        checker.checks(name, raises=ValueError)(_reads_as(TypeAdapter(meant)))
    return checker


def _reads_as(adapter: TypeAdapter[Any]) -> Callable[[object], bool]:
    def reads(value: object) -> bool:
        return not isinstance(value, str) or adapter.validate_python(value) is not None

    return reads


def _sentence(kind: Kind, error: Any) -> str:
    field = ".".join(map(str, error.path)) or "as a whole"
    value = error.instance
    match error.validator:
        case "maxLength":
            reason = f"it has {len(value):,} characters, and may have {error.validator_value:,}"
        case "minLength":
            reason = f"it has {len(value):,} characters, and needs {error.validator_value:,}"
        case _:
            reason = str(error.message)
            reason = reason if len(reason) <= 3 * SHOWN else f"{reason[: 3 * SHOWN]}…"
    return f"the {kind.name} doesn't fit: {field}: {reason}"


if __name__ == "__main__":
    sys.exit(main())
