"""Promise 24: canaries go through every way in which something can go wrong, and are found nowhere."""

from __future__ import annotations

import inspect
import json
import logging
import os
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from canaries import KEY, NOTE_TOKEN, PASSWORD, TOKEN, descendants, encoded, hunted, traces
from phones import OWNER
from test_cli import runner

from runner.app import App
from runner.rehearsal.claude import Fails, StandInClaude
from runner.rehearsal.destination import Answers, StandInDestination
from runner.rehearsal.mail import StandInMail
from runner.rehearsal.stage import Stage
from runner.rehearsal.telegram import StandInTelegram
from runner.rehearsal.telegram.server import Answers as Says
from runner.secrecy import HIDDEN, Veil, in_address
from runner.settings import load
from runner.store import runs
from runner.testing import Rehearsal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.no_cover

KIND = '''
"""A kind whose delivery goes wrong with its secret at hand."""
import base64, json, logging, sys, traceback
from typing import ClassVar
from runner import Alert, Delivery, Draft, NotDelivered, Receipt, Run, task

{encoded}

class Note(Draft):
    text: str
    secrets: ClassVar = ("NOTE_TOKEN",)

    async def deliver(self, delivery: Delivery) -> Receipt:
        secret = delivery.secret("NOTE_TOKEN")
        {deliver}


@task(retries=0)
async def note(run: Run):
    secret = {secret!r}
    {run}
'''


def kind(deliver: str = "return Receipt()", run: str = "return Note(text='hello')", secret: str = "") -> str:
    source = inspect.getsource(encoded)
    return KIND.format(
        encoded=source,
        deliver=deliver.replace("\n", "\n        "),
        run=run.replace("\n", "\n    "),
        secret=secret,
    )


@dataclass(slots=True)
class House:
    """A real runner with real settings, and the stand-ins that they name."""

    home: Path
    it: Rehearsal
    telegram: StandInTelegram

    def traces(self, *told: str) -> list[str]:
        """Where a canary is to be found, whoever was told of it."""
        prompts = [("prompt", json.dumps(each)) for each in self.it.claude.requests]
        words = [("prompt", each["messages"][0]["content"]) for each in self.it.claude.requests]
        cards = [("card", json.dumps(each, ensure_ascii=False)) for each in self.telegram.messages(OWNER)]
        says = [("card", str(each.get("text"))) for each in self.telegram.messages(OWNER)]
        heard = [("event", str(value)) for event in self.it.events for value in event.values()]
        told_ = [("told", text) for text in told]
        return traces(self.home, [*prompts, *((w, str(t)) for w, t in words), *cards, *says, *heard, *told_])


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "RUNNER_TELEGRAM_TOKEN", "NOTE_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("runner.testing.WITHIN_S", 60.0)  # Claude's library is imported for some of them


@asynccontextmanager
async def house(home: Path, **lines: str) -> AsyncIterator[House]:
    async with (
        StandInClaude() as claude,
        StandInDestination() as there,
        StandInMail() as mail,
        StandInTelegram(token=TOKEN) as tg,
    ):
        given = {
            "ANTHROPIC_API_KEY": KEY,
            "ANTHROPIC_BASE_URL": claude.url,
            "RUNNER_TELEGRAM_TOKEN": TOKEN,
            "RUNNER_TELEGRAM_API": tg.url,
            "RUNNER_TELEGRAM_OWNERS": str(OWNER),
            "NOTE_TOKEN": NOTE_TOKEN,
            **lines,
        }
        (home / "tasks").mkdir(exist_ok=True)
        (home / ".env").write_text("".join(f"{name}='{value}'\n" for name, value in given.items()))
        events: list[dict[str, Any]] = []
        app = App(load(home), heard=events.append)
        async with app.up():
            yield House(home, Rehearsal(Stage(app, claude, there, mail), events), tg)


ECHO = """answer = await delivery.http.post('{url}', headers={{'Authorization': 'Bearer ' + secret}})
raise NotDelivered(f'{{answer.status_code}}: {{answer.text}} to {{answer.request.headers.raw}}')"""
REFUSED = """try:
    await delivery.http.get('http://127.0.0.1:1/?t=' + secret)
except Exception as error:
    raise RuntimeError(str(error.request.url)) from error"""
NOTES = """error = ValueError(secret)
for form in encoded(secret):
    error.add_note(form)
traceback.print_exception(error)
logging.getLogger('x').error('%s', encoded(secret), exc_info=error)
raise KeyError(secret) from error"""
RECEIPT = """forms = encoded(secret)
return Receipt(id=secret, url='https://x/?' + forms[2], detail='\\n'.join(forms))"""
PRINTS = """for form in encoded(secret):
    print(form)
    print(json.dumps([form]), file=sys.stderr)
return Receipt()"""
DIES = """import os
os.write(2, repr(encoded(secret)).encode())
os._exit(3)"""

DELIVERIES = {
    "the destination echoes the header": (ECHO, "delivery.failed"),
    "the address holds it": (
        "await delivery.http.get('http://me:x@localhost:x/' + secret)",
        "delivery.uncertain",
    ),
    "the connection is refused": (REFUSED, "delivery.uncertain"),
    "an exception quotes it": ("raise RuntimeError(repr(encoded(secret)))", "delivery.uncertain"),
    "an exception has it in notes and its cause": (NOTES, "delivery.uncertain"),
    "the receipt holds it": (RECEIPT, "delivery.delivered"),
    "it is returned for a receipt": ("return 'x' * 150 + secret", "delivery.delivered"),
    "it is printed": (PRINTS, "delivery.delivered"),
    "the child dies of it": (DIES, "delivery.uncertain"),
}


@pytest.mark.parametrize("what", DELIVERIES)
async def test_promise_24_no_secret_that_a_delivery_meets_is_left_anywhere(what: str, tmp_path: Path) -> None:
    deliver, end = DELIVERIES[what]
    async with house(tmp_path) as at:
        it = at.it
        echo = Answers(401, {"error": f"no such token: {NOTE_TOKEN}", "all": encoded(NOTE_TOKEN)})
        it.destination.script(echo)
        it.drop("note.py", kind(deliver.format(url=it.destination.url) if "{url}" in deliver else deliver))
        await it.run("note")
        sheet = await it.draft()
        it.desk.approve(sheet.held.id, sheet.held.digest, "ana")
        await it.event(end, draft=sheet.held.id)
        await it.until(lambda: len(it.app.children) == 0)
        it.app.diagnostics.write_down()
        await it.until(lambda: it.app.journal.head[0] == it.app.store.last_seq())
        assert at.traces() == []
    said = (
        runner(tmp_path, "log")
        + runner(tmp_path, "show", sheet.held.id)
        + runner(tmp_path, "pending", "--all")
    )
    assert traces(tmp_path, [("CLI", said)]) == []


RUNS = {
    "asks Claude": "return Note(text=await run.claude('Write of ' + ' '.join(encoded(secret))))",
    "logs and prints": (
        "run.log.info(repr(encoded(secret)), forms=encoded(secret), **{secret: 1})\n"
        "print('\\n'.join(encoded(secret)))\nrun.degraded(secret)"
    ),
    "fails": "error = ValueError(encoded(secret))\nerror.add_note(secret)\nraise error",
    "keeps it": "run.state[secret] = encoded(secret)",
    "alerts": "return [Alert(form) for form in encoded(secret)]",
    "drafts": "return Note(text='\\n'.join(encoded(secret)))",
    "fetches": "await run.fetch('https://example.com/?' + encoded(secret)[2])",
    "returns it": "return secret",
}


@pytest.mark.parametrize("what", RUNS)
@pytest.mark.parametrize("secret", [KEY, NOTE_TOKEN], ids=["the runner's", "a kind's"])
async def test_promise_24_a_task_that_was_handed_a_secret_by_mistake_spreads_it_nowhere(
    what: str, secret: str, tmp_path: Path
) -> None:
    async with house(tmp_path) as at:
        at.it.drop("note.py", kind(run=RUNS[what], secret=secret))
        await at.it.run("note")
        at.it.app.diagnostics.write_down()
        await at.it.until(lambda: at.it.app.journal.head[0] == at.it.app.store.last_seq())
        assert at.traces() == []
    assert traces(tmp_path, [("CLI", runner(tmp_path, "log") + runner(tmp_path, "runs", "--json"))]) == []


async def test_promise_24_a_key_that_claude_echoes_is_left_nowhere(tmp_path: Path) -> None:
    async with house(tmp_path) as at:
        at.it.drop("note.py", kind(run="await run.claude('hello')"))
        for status in (400, 401, 403, 404, 529):
            for fill in (0, 290):
                said = "x" * fill + " ".join(encoded(KEY))
                at.it.claude.script(*[Fails(status, retry_after=0, message=said)] * 3)
                row = await at.it.run("note")
                assert HIDDEN in row.error
        assert at.traces() == []


async def test_promise_24_an_address_of_claude_with_a_password_is_left_nowhere(tmp_path: Path) -> None:
    for number, address in enumerate(
        ("http://me:{}@localhost:nowhere/?key={}", "http://me:{}@127.0.0.1:1/?key={}")
    ):
        home = tmp_path / str(number)
        home.mkdir()
        async with house(home, ANTHROPIC_BASE_URL=address.format(PASSWORD, PASSWORD)) as at:
            at.it.drop("note.py", kind(run="await run.claude('hello')"))
            row = await at.it.run("note")
            assert row.status == "error"
            assert at.traces(row.error) == []


async def test_promise_24_a_token_in_what_goes_wrong_with_telegram_is_left_nowhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    echo = [f"Bad Request: {form}" for form in encoded(TOKEN)]
    async with house(tmp_path) as at:
        assert at.it.app.phone is not None
        at.telegram.script(
            *[Says(status, text) for status in (400, 403, 500) for text in echo], method="sendMessage"
        )
        at.telegram.script(*[Says(404, text) for text in echo[:3]], method="getUpdates")
        at.it.drop("note.py", kind(run="return Alert('hello')"))
        await at.it.run("note")
        await at.telegram.called("sendMessage")
        await at.telegram.called("getUpdates")
        at.it.app.diagnostics.write_down()
        assert at.traces(caplog.text) == []


async def test_promise_24_what_libraries_log_is_left_without_secrets(tmp_path: Path) -> None:
    async with house(tmp_path) as at:
        at.it.drop("note.py", kind())
        await at.it.event("task.loaded", task="note")
        for secret in (KEY, TOKEN, NOTE_TOKEN):
            error = RuntimeError(encoded(secret))
            for form in encoded(secret):
                error.add_note(form)
            logging.getLogger("httpx").warning("request to %s", encoded(secret))
            logging.getLogger("sqlalchemy").error(secret, exc_info=error)
            at.it.app.diagnostics.say("error", secret, details={secret: encoded(secret)}, error=error)
        at.it.app.diagnostics.write_down()
        assert at.it.app.store.newest_events(1)[0]["message"] == HIDDEN
        await at.it.until(lambda: at.it.app.journal.head[0] == at.it.app.store.last_seq())
        assert at.traces() == []


@pytest.mark.own_zygote
async def test_promise_24_no_process_is_started_with_a_secret_in_its_words_or_its_environment(
    tmp_path: Path,
) -> None:
    before = len(descendants(os.getpid()))
    async with house(tmp_path) as at:
        at.it.drop("note.py", kind(run="import asyncio\nrun.log.info('here')\nawait asyncio.sleep(60)"))
        await at.it.until(lambda: "note" in at.it.app.catalog.tasks)
        with at.it.app.store.change() as tx:
            runs.add(tx, "r1", "note")
        await at.it.until(lambda: bool(at.it.found("log", source="run.log")))
        assert len(descendants(os.getpid())) >= before + 2  # the zygote and its child
        assert at.traces() == []
        at.it.app.stop.engage("enough")


@pytest.mark.parametrize(
    "line",
    [
        f"ANTHROPIC_API_KEY='{KEY}\n",
        f"export {KEY}\n= {TOKEN}\n",
        f"RUNNER_TELEGRAM_OWNERS=x\nANTHROPIC_API_KEY='{KEY}'\n",
        f"RUNNER_DATABASE_URL=postgresql://me:{PASSWORD}@db:nowhere/x\n",
        f"RUNNER_DATABASE_URL=postgresql://me:{PASSWORD}@db/x\n",
        f"RUNNER_DATABASE_URL=postgresql://db/x?password={PASSWORD}\n",
        f"RUNNER_DATABASE_URL=mysql://{PASSWORD}@[::1/x\n",
        f"RUNNER_DATABASE_URL={PASSWORD}\n",
        "RUNNER_DATABASE_URL=sqlite://\n",
    ],
)
def test_promise_24_a_setting_that_cannot_be_read_is_refused_without_its_secret(
    line: str, tmp_path: Path
) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / ".env").write_text(line)
    told = [runner(tmp_path, command, code=None) for command in ("status", "doctor", "check")]
    assert traces(tmp_path, [("CLI", "".join(told))]) == []


@pytest.mark.parametrize("secret", [KEY, TOKEN, NOTE_TOKEN, PASSWORD])
def test_a_veil_hides_each_form_wherever_it_stands(secret: str) -> None:
    veil = Veil(secret)
    for form in [*encoded(secret), *hunted(secret)]:
        assert not [each for each in hunted(secret) if each in veil.over(f"before {form} after {form}")]
    assert veil.over("nothing of it") == "nothing of it"
    assert Veil("", None).over("x") == "x"


def test_an_address_says_what_is_secret_in_it() -> None:
    assert list(in_address("https://api.example.com/v1")) == []
    assert set(in_address("https://me:p%40ss@x.example.com/?key=abc")) == {"p%40ss", "p@ss", "abc"}
    assert list(in_address("http://[::1")) == []
    assert list(in_address(None)) == []
