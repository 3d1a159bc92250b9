"""What a run may ask of its supervisor: Claude, a page, the journal's figures, to keep a file. Nothing in here sends."""

from __future__ import annotations

import asyncio
import json
from collections import Counter, defaultdict
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from runner.attached import Attached
from runner.claude.question import Answer, Question, Spent, Tool, Web
from runner.errors import BudgetError, RunError
from runner.fetch import Pace
from runner.ledger import Asker, keep, pay
from runner.purses import scopes
from runner.reach import Domain, is_within
from runner.stop import Door
from runner.store import batches, figures, pages, runs, slots
from runner.store.pages import Kept

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
    from decimal import Decimal

    from runner.catalog import Declared
    from runner.claude.ask import Claude
    from runner.claude.budget import Budget
    from runner.fetch import Fetcher
    from runner.patience import Patience
    from runner.purses import Purses
    from runner.stop import Stop
    from runner.store.decisions import Lesson
    from runner.store.store import Store

OUTPUT_MAX = 64_000  #: tokens of one answer
BEYOND = "more than its budget"  #: of what a run asks for, as it is counted
DAYS_MAX = 400
USES_MAX = 20  #: searches for one question, and fetches likewise
POSITION_MAX = (1 << 31) - 1  #: of a question among those of its run
LESSONS = 5  #: decisions whose reasons Claude is told


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class AskedTool(_Strict):
    """A tool as a child describes it."""

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    description: str
    schema_: dict[str, Any] = Field(alias="schema")


class AskedWeb(_Strict):
    """Where a child would let Claude search and fetch."""

    domains: list[Domain]
    max_uses: int = Field(gt=0, le=USES_MAX)


class Asked(_Strict):
    """A question as a child asks it: words only, so that no part of it can be a way out."""

    position: int = Field(ge=0, le=POSITION_MAX)
    prompt: str = Field(min_length=1)
    system: str | None
    schema_: dict[str, Any] | None = Field(alias="schema")
    model: str | None
    max_tokens: int = Field(gt=0, le=OUTPUT_MAX)
    effort: str | None
    tools: list[AskedTool]
    web: AskedWeb | None = None
    cache: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """The run that asks."""

    run: str
    task: Declared
    lessons: str  #: what past decisions teach; empty when nothing
    base: str | None = None  #: the run whose draft is written anew; None when none is
    call: int | None = None  #: position of the call that wrote it
    draft: dict[str, Any] = field(default_factory=dict)  #: its fields as they stand
    feedback: str = ""
    seen: Mapping[str, str] = field(default_factory=dict)  #: digests of the pages that earlier runs got
    pages: dict[str, Kept] = field(default_factory=dict)  #: that this one got, by what it asked for
    call_tool: Callable[[str, dict[str, Any]], Awaitable[tuple[str, bool]]]
    attached: Attached = field(default_factory=Attached)  #: the files it handed over
    asked: Counter[str] = field(default_factory=Counter)  #: how often it asked for the same, beside Claude

    @property
    def asker(self) -> Asker:
        """Who pays."""
        return Asker(self.run, self.task.name, self.task.limits.label)


@dataclass(slots=True)
class Broker:
    """Answers what runs ask, each answer bounded, budgeted and on record."""

    store: Store
    stop: Stop
    claude: Claude
    budget: Budget
    purses: Purses
    patience: Patience
    fetcher: Fetcher
    model: str  #: where the task names none
    price: Callable[[str, dict[str, Any]], Decimal | None]  #: the most that a request can cost
    is_paced: bool = True  #: whether a task that gets many pages has to wait
    _paces: defaultdict[str, Pace] = field(default_factory=lambda: defaultdict(Pace))  #: by task
    #: figures are counted for one run at a time: threads are there for others too
    _counting: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def answer(self, session: Session, message: dict[str, Any]) -> Any:
        """The answer to a child's message; raises `RunnerError` where it is refused."""
        asked = {name: value for name, value in message.items() if name not in {"op", "id"}}
        match message["op"]:
            case "claude":
                return await self._ask(session, _valid(asked))
            case "fetch":
                return await self._fetch(session, str(asked.get("url")))
            case "figures":
                return await self._once(
                    session, f"figures {asked.get('days')}", self._figures(asked.get("days"))
                )
            case "attach":
                return session.attached.take(asked)
        raise RunError(f"the child asked for {message['op']!r}, which there is not")

    async def _ask(self, session: Session, asked: Asked) -> str:
        question = self._question(session, asked)
        if (recorded := self._replay(session, asked.position, question.digest)) is not None:
            return recorded
        self.stop.ask(Door.CLAUDE)
        try:
            await self._wait(session, asked.position, question)
        except BudgetError as error:
            self._exceeded(session, error)
            raise
        self._tell("claude.asked", session, position=asked.position, question=question.as_json())

        async def use(name: str, args: dict[str, Any]) -> tuple[str, bool]:
            self.stop.ask(Door.TOOL)
            return await session.call_tool(name, args)

        try:
            answer = await self.claude.ask(
                question,
                call_tool=use,
                spent=lambda spent: self._pay(session, spent),
                reserve=lambda model, request: self._reserve(session, model, request),
            )
        except BudgetError as error:
            self._exceeded(session, error)
            raise
        self._keep(session, asked.position, question, answer)
        return answer.text

    async def _wait(self, session: Session, position: int, question: Question) -> None:
        """Have what can wait answered in a batch, which parks the run; a revision is what a person waits for."""
        if session.task.limits.patience and not question.takes_turns and session.base is None:
            await self.patience.wait(session, position, question)

    def _exceeded(self, session: Session, error: BudgetError) -> None:
        """Say so, once a run; where it is the task's own budget, the task pauses and its owner is asked."""
        about = {"run": session.run, "task": session.task.name, "reason": str(error)}
        session.asked[BEYOND] += 1
        with self.store.change() as tx:
            if error.pauses and session.task.name not in slots.paused(tx.connection):
                slots.pause(tx, session.task.name, "its budget")
                tx.tell("budget.paused", level="warning", **about)
            elif session.asked[BEYOND] == 1:
                tx.tell("budget.exceeded", level="warning", **about)

    def _question(self, session: Session, asked: Asked) -> Question:
        learnt = session.lessons if session.task.limits.learns else ""
        return Question(
            prompt=asked.prompt,
            system=asked.system,
            learnt=learnt or None,
            cache=asked.cache,
            schema=asked.schema_,
            model=asked.model or self.model,
            max_tokens=asked.max_tokens,
            effort=asked.effort,
            tools=tuple(Tool(name=t.name, description=t.description, schema=t.schema_) for t in asked.tools),
            web=_web(asked.web, session.task.limits.web),
            turns=self._turns(session) if session.base and asked.position == session.call else (),
        )

    def _turns(self, session: Session) -> tuple[dict[str, Any], ...]:
        """A revision: the answer that made the draft, the draft as it stands, and what is to change."""
        assert session.base is not None
        assert session.call is not None
        with self.store.read() as connection:
            written = runs.call(connection, session.base, session.call)
        stands = json.dumps(session.draft, ensure_ascii=False)
        answer = json.loads(written.answer)["text"] if written else stands
        wish = f"The draft as it stands:\n\n{stands}\n\nPlease revise it: {session.feedback}\n\nGive the whole of it anew."
        return ({"role": "assistant", "content": answer}, {"role": "user", "content": wish})

    def _replay(self, session: Session, position: int, digest: str) -> str | None:
        """The answer that was paid for already: by an earlier attempt, or by the run that is revised."""
        with self.store.read() as connection:
            for run in filter(None, (session.run, session.base)):
                call = runs.call(connection, run, position)
                if call is not None and call.digest == digest:
                    return str(json.loads(call.answer)["text"])
        return None

    def forget(self, session: Session, position: Any) -> None:
        """Let a later attempt ask that question anew: its answer was no use."""
        if type(position) is int and 0 <= position <= POSITION_MAX:
            with self.store.change() as tx:
                runs.unfit(tx, session.run, position)

    def _keep(self, session: Session, position: int, question: Question, answer: Answer) -> None:
        with self.store.change() as tx:
            keep(tx, session.asker, position, question, answer)

    def _pay(self, session: Session, spent: Spent) -> None:
        with self.store.change() as tx:
            pay(tx, session.asker, spent, self.purses)

    @contextmanager
    def _reserve(self, session: Session, model: str, request: dict[str, Any]) -> Iterator[None]:
        with self.store.read() as connection:
            purses = self.purses.of_run(connection, session.run, session.task)
        within, bound = scopes(session.run, session.task), self.price(model, request)
        with self.budget.reserve(purses, within, bound=bound, model=model):
            yield

    async def _once(self, session: Session, asked: str, answer: Coroutine[Any, Any, Any]) -> Any:
        """What the run asks for; a run that may be parked is given the same when it goes on."""
        if not session.task.limits.patience:
            return await answer
        nth, session.asked[asked] = session.asked[asked], session.asked[asked] + 1
        with self.store.read() as connection:
            found = batches.given(connection, session.run, asked, nth)
        if found is not None:
            answer.close()
            return found
        got = await answer
        with self.store.change() as tx:
            batches.give(tx, session.run, asked, nth, got)
        return got

    async def _fetch(self, session: Session, url: str) -> dict[str, Any]:
        page = Kept(**await self._once(session, f"fetch {url}", self._page(session, url)))
        session.pages[url] = page
        changed = page.digest != session.seen.get(url)
        told = {"url": page.url, "status": page.status, "text": page.text, "changed": changed}
        return {**told, "certificate": page.certificate}

    async def _page(self, session: Session, url: str) -> dict[str, Any]:
        reads = session.task.limits.reads
        self.fetcher.check(url, reads)
        if self.is_paced:
            await self._paces[session.task.name].keep()
        with self.store.read() as connection:
            before = pages.known(connection, session.task.name, url)
        page = await self.fetcher.get(url, reads, before)
        changed, size = page.digest != session.seen.get(url), len(page.text)
        self._tell(
            "page.fetched", session, url=page.url, status=page.status, characters=size, changed=changed
        )
        return asdict(page)

    async def _figures(self, days: Any) -> dict[str, Any]:
        if not isinstance(days, int) or not 0 < days <= DAYS_MAX:
            raise RunError(f"run.figures(days={days!r}): a whole number from 1 to {DAYS_MAX}")
        async with self._counting:
            return await asyncio.to_thread(self._count, timedelta(days=days))

    def _count(self, span: timedelta) -> dict[str, Any]:
        with self.store.read() as connection:
            return figures.count(connection, self.store.clock.now() - span)

    def _tell(self, event: str, session: Session, **details: Any) -> None:
        self.store.tell(event, run=session.run, task=session.task.name, **details)


def _web(asked: AskedWeb | None, declared: Sequence[str]) -> Web | None:
    """Where Claude may look: what was asked for, or all that is declared; raises `RunError` for any domain that isn't."""
    if asked is None:
        return None
    if not declared:
        raise RunError("run.claude: web: the task declares no domain; add @task(web=('example.com',))")
    for domain in asked.domains:
        if not is_within(domain, declared):
            raise RunError(
                f"run.claude: web: {domain} is not among the task's web ({', '.join(declared)}); add it to @task(web=(…,))"
            )
    return Web(domains=tuple(asked.domains or declared), max_uses=asked.max_uses)


def _valid(asked: dict[str, Any]) -> Asked:
    try:
        json.dumps(asked, ensure_ascii=False).encode()
        return Asked.model_validate(asked)
    except (ValidationError, UnicodeError) as error:
        first = (
            error.errors()[0]
            if isinstance(error, ValidationError)
            else {"loc": ("prompt",), "msg": str(error)}
        )
        where = ".".join(map(str, first["loc"]))
        raise RunError(f"run.claude: {where}: {first['msg']}") from error


def _lesson(lesson: Lesson) -> str:
    if lesson.question:
        return f"to the question {lesson.question!r} the owner answered: {lesson.reason}"
    return f"{lesson.decision}: {lesson.reason}"


def lessons(recent: Sequence[Lesson]) -> str:
    """What the owner's last decisions on the task's drafts teach, for the system prompt; empty when nothing."""
    told = [f"- {_lesson(lesson)}" for lesson in recent if lesson.reason][:LESSONS]
    if not told:
        return ""
    return "\n".join(
        ["The owner decided on earlier drafts of this task, newest first; heed their reasons:", *told]
    )
