"""Whether fields fit their kind: checked when a draft is made, not when it is delivered."""

from __future__ import annotations

import difflib
import functools
import json
import subprocess
import sys
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from runner.errors import DraftError
from runner.rule import ALLOWED_BY, UTF16_MAX, too_long, utf16

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

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
    """Raise `DraftError`, in the owner's words, for the first field or setting that doesn't fit."""
    check_settings(kind)
    extra = fields.keys() - kind.schema_.get("properties", {}).keys()
    if extra:
        raise DraftError(f"a {kind.name} has no field {', '.join(sorted(extra))}")
    if missing := kind.schema_.get("properties", {}).keys() - fields.keys():
        raise DraftError(f"the {kind.name} lacks {', '.join(sorted(missing))}: nothing is filled in unseen")
    for error in _errors(kind.schema_, fields):
        raise DraftError(f"the {kind.name} doesn't fit: {_sentence(error)}")


def check_settings(kind: Kind) -> None:
    """Raise `DraftError`, in the owner's words, for the first setting that the kind does not know or can't do without."""
    known = kind.settings.get("properties", {})
    table = f"[kinds.{kind.name}] in runner.toml"
    for name in kind.given.keys() - known.keys():
        like = difflib.get_close_matches(name, [*known, "approvals"], n=1)
        hint = f"; did you mean {like[0]!r}?" if like else ""
        raise DraftError(f"{table} has {name!r}, which the {kind.name} does not know{hint}")
    for name in kind.settings.get("required", ()):
        if name not in kind.given:
            raise DraftError(f"the {kind.name} needs {name!r}: set it under {table}")
    for error in _errors(kind.settings, kind.given) if kind.settings else ():
        raise DraftError(f"{table} doesn't fit: {_sentence(error)}")


def _errors(schema: dict[str, Any], value: Mapping[str, Any]) -> list[Any]:
    from referencing import Registry  # noqa: PLC0415 - with jsonschema a tenth of a second

    # a registry of its own, empty: jsonschema's would go and get a $ref from wherever it points
    validator = _validator()(schema, format_checker=_formats(), registry=Registry())
    return sorted(validator.iter_errors(dict(value)), key=lambda found: list(map(str, found.path)))


@functools.cache
def _validator() -> Any:
    """JSON schema's rules, and ours beside them."""
    from jsonschema import Draft202012Validator, validators  # noqa: PLC0415 - likewise

    extend: Any = validators.extend
    return extend(Draft202012Validator, {UTF16_MAX: _utf16, ALLOWED_BY: _allowed})


def _utf16(validator: Any, most: int, value: Any, schema: Any) -> Iterator[Exception]:
    from jsonschema import ValidationError  # noqa: PLC0415 - likewise

    if isinstance(value, str) and (size := utf16(value)) > most:
        yield ValidationError(too_long(size, most))


def _allowed(validator: Any, by: Any, value: Any, schema: Any) -> Iterator[Exception]:
    from jsonschema import ValidationError  # noqa: PLC0415 - likewise

    if not isinstance(by, dict):
        yield ValidationError(f"nobody set {by!r} for it")
    elif value not in by["are"]:
        yield ValidationError(f"{value!r} is not listed in {by['setting']} of runner.toml")


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


def _sentence(error: Any) -> str:
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
    return f"{field}: {reason}"


if __name__ == "__main__":
    sys.exit(main())
