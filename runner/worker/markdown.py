"""A Markdown task: front matter that declares it and a prompt, made into the module that its owner would have written."""

from __future__ import annotations

import difflib
import importlib
import json
import re
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from runner import drafts
from runner.declare import NAME_MAX, Task
from runner.draft import Alert, Draft
from runner.errors import DeclarationError, DraftError, MarkdownError
from runner.worker import frontmatter, keys, template
from runner.worker.given import Web

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pydantic import BaseModel

    from runner.worker.given import Recent
    from runner.worker.run import Run

KEPT = 50  #: values of a field that `keeps` remembers
FROM_RUN = ("run.slot", "run.recent", "run.state")


def module_of(path: Path) -> ModuleType:
    """The task in that file; raises `MarkdownError`, with its line, for what can't be meant."""
    try:
        return _module(path, frontmatter.parse(path.read_bytes()))
    except MarkdownError as error:
        raise MarkdownError(str(error), file=str(path), line=error.line) from error.__cause__


def _module(path: Path, read: frontmatter.Front) -> ModuleType:
    if not path.stem.isidentifier() or len(path.stem) > NAME_MAX:
        like = re.sub(r"\W+", "_", path.stem).strip("_") or "my_task"
        raise MarkdownError(
            f"a task is called like its file, and {path.stem!r} is no name; call it {like}.md"
        )
    front = keys.understood(read)
    kind = keys.placed(read, "kind", _kind, front.kind)
    _check_fields(read, front, kind)
    _check_words(read, front)
    module = ModuleType(f"tasks_{path.stem}", front.description or _first_line(read.body))
    task = Task(
        path.stem,
        _function(front, kind, read.body, module),
        keys.placed(read, "schedule", keys.triggers, front),
        keys.limits(front),
        min((read.lines[key] for key in ("include", "files") if key in read.lines), default=1),
    )
    vars(module).update({"task": task, kind.__name__: kind})
    return module


def _titles() -> list[str]:
    """The built-in kinds; their room names what their fields hold too."""
    return sorted(name for name in drafts.__all__ if issubclass(getattr(drafts, name), Draft))


def _kinds() -> str:
    return f"built in are {', '.join(_titles())} and Alert; one of your own is named with its module, e.g. my_kinds.NewsItem"


def _kind(name: str) -> type[Draft | Alert]:
    module, _, title = name.rpartition(".")
    if not module:
        return _built_in(title)
    try:
        found = getattr(importlib.import_module(module), title, None)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise DeclarationError(f"kind: there is no tasks/{module.replace('.', '/')}.py") from None
    if not isinstance(found, type) or not issubclass(found, Draft) or found is Draft:
        raise DeclarationError(f"kind: {module} has no kind {title!r}: a class that is a Draft")
    return found


def _built_in(title: str) -> type[Draft | Alert]:
    if title == Alert.__name__:
        return Alert
    if title not in _titles():
        like = difflib.get_close_matches(title, [*_titles(), Alert.__name__], n=1, cutoff=0.6)
        hint = f"did you mean {like[0]}?" if like else _kinds()
        raise DeclarationError(f"there is no kind {title!r}; {hint}")
    kind: type[Draft] = getattr(drafts, title)
    return kind


def _check_fields(read: frontmatter.Front, front: keys.Front, kind: type[BaseModel]) -> None:
    """What is given must be fields of the kind and fit them; what is kept must be fields of it."""
    known = [*kind.model_fields]
    for key in ("fields", "keeps"):
        for name in getattr(front, key):
            if name not in known:
                words = f"{key}: {kind.__name__} has no field {name!r}; {keys.hint(name, known)}"
                raise MarkdownError(words, line=read.lines[key])
    if not set(known) - set(front.fields):
        raise MarkdownError(
            "fields: they say all of the draft; nothing is left for Claude to write",
            line=read.lines["fields"],
        )
    try:
        kind.model_validate({"text": "Claude's", **front.fields} if kind is Alert else front.fields)
    except ValidationError as error:
        for each in error.errors():
            if each["loc"] and each["loc"][0] in front.fields:
                raise MarkdownError(
                    f"fields: {each['loc'][0]}: {each['msg']}", line=read.lines["fields"]
                ) from None


def _check_words(read: frontmatter.Front, front: keys.Front) -> None:
    """Each placeholder must be known, and each file that is included be put somewhere."""
    if not read.body.strip():
        raise MarkdownError("there is no prompt below its front matter")
    known = (*FROM_RUN, *front.include)
    named = template.names(read.body, known, read.body_line)
    named += template.names(front.system or "", known, read.lines.get("system", 1))
    for file in front.include:
        if file not in named:
            raise MarkdownError(
                f"include: {file} is put nowhere; write {{{{ {file} }}}} where it belongs",
                line=read.lines["include"],
            )


def _first_line(body: str) -> str:
    return body.strip().partition("\n")[0].lstrip("# ")[:NAME_MAX]


def _function(
    front: keys.Front, kind: type[Draft | Alert], body: str, module: ModuleType
) -> Callable[[Run], Any]:
    async def call(run: Run) -> Draft | Alert:
        values = _values(run, front.include)
        asks: dict[str, Any] = {"model": front.model, "max_tokens": front.max_tokens, "effort": front.effort}
        asks["system"] = template.filled(front.system, values) if front.system else None
        asks["web"] = Web() if front.web else None
        prompt = template.filled(body, values)
        made: Draft | Alert
        if issubclass(kind, Draft):
            made = await run.claude(prompt, returns=kind, given=front.fields, **asks)
        else:
            made = Alert(await run.claude(prompt, **asks), **front.fields)
        said = made.model_dump(mode="json")
        for name in front.keeps:
            run.state[name] = [*run.state.get(name, []), said[name]][-KEPT:]
        return made

    call.__module__ = module.__name__
    call.__doc__ = module.__doc__
    return call


def _values(run: Run, include: tuple[str, ...]) -> dict[str, Callable[[], str]]:
    """What each placeholder stands for."""
    files = {name: lambda name=name: _content(run, name) for name in include}
    return {
        "run.slot": lambda: f"{run.slot or run.now():%Y-%m-%d %H:%M} UTC",
        "run.recent": lambda: _recent(run),
        "run.state": lambda: json.dumps(run.state, ensure_ascii=False, indent=1),
        **files,
    }


def _recent(run: Run) -> str:
    lines = [f"- {_decided(each)} ({each.at[:10]})" for each in run.recent]
    return "\n".join(lines) or "(none yet)"


def _decided(each: Recent) -> str:
    if each.question:
        return f"to the question {each.question!r} the owner answered: {each.reason}"
    return f"{each.decision}: {each.reason or 'no reason given'}"


def _content(run: Run, name: str) -> str:
    try:
        return run.files[name].read_text(encoding="utf-8").strip()
    except UnicodeError:
        raise DraftError(f"{name} is no UTF-8 text, so it can't be put into a prompt") from None
