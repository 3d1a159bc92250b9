"""E-mail, to people whom the owner listed."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from deliveries import KEY, check, deliver
from pydantic import ValidationError

from runner import NotDelivered
from runner.drafts import Email
from runner.errors import DraftError
from runner.rehearsal.destination import Answers, DropsRequest, DropsResponse
from runner.rehearsal.mail import StandInMail
from runner.tables import KindRule
from runner.testing import rehearsal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MAILBOX: dict[str, Any] = {
    "host": "smtp.example.com",
    "sender": "studio@example.com",
    "sender_name": "Jörg's Studio",
    "recipients": ["ann@example.com", "bob@example.com"],
}
MAIL = Email(
    to=["ann@example.com"], cc=["bob@example.com"], subject="Größe & Maß", body="Hello.\n.\n..two\nGrüße"
)
NOWHERE = "http://127.0.0.1:9"


async def send(there: StandInMail, password: str = "good", draft: Email = MAIL, **more: Any) -> Any:
    return await deliver(draft, NOWHERE, {**MAILBOX, **more}, mail=there.url, SMTP_PASSWORD=password)


async def test_a_mail_arrives_as_it_was_shown() -> None:
    async with StandInMail() as there:
        receipt = await send(there)
        (mail,) = there.effects
        assert mail["From"] == "Jörg's Studio <studio@example.com>"
        assert (mail["To"], mail["Cc"], mail["Subject"]) == (MAIL.to[0], MAIL.cc[0], MAIL.subject)
        assert mail.get_content().replace("\r\n", "\n") == f"{MAIL.body}\n"
        assert mail.get_content_type() == "text/plain"
        assert mail["Message-ID"] == receipt.id == f"<{KEY}@example.com>"
        assert there.envelopes == [["ann@example.com", "bob@example.com"]]


def test_a_recipient_off_the_list_is_refused_when_the_draft_is_made() -> None:
    for wrong in ({"to": ["eve@example.com"]}, {"cc": ["eve@example.com"]}, {"to": ["Ann@example.com"]}):
        with pytest.raises(DraftError, match=r"is not listed in \[kinds\.email\] recipients of runner\.toml"):
            check(MAIL.model_copy(update=wrong), MAILBOX)
    with pytest.raises(DraftError, match=r"cc\.0: 'bob@example\.com' is not listed"):
        check(MAIL, {**MAILBOX, "recipients": []})


@pytest.mark.parametrize(
    "wrong",
    [
        {"to": []},
        {"to": ["ann@example.com>, <eve@example.com"]},
        {"to": ["ann"]},
        {"subject": "Hi\nBcc: eve@example.com"},
        {"subject": "x" * 201},
        {"body": ""},
        {"body": "x" * 100_001},
        {"bcc": ["eve@example.com"]},
    ],
)
def test_a_mail_that_does_not_fit_is_refused_when_it_is_made(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Email.model_validate({**MAIL.model_dump(), **wrong})


async def test_a_mail_goes_to_all_of_its_recipients_or_to_none() -> None:
    async with StandInMail() as there:
        there.refuses["bob@example.com"] = "550 5.1.1 no such user"
        with pytest.raises(NotDelivered, match=r"bob@example.com was refused with 550: 5.1.1 no such user"):
            await send(there)
        assert there.effects == []


async def test_a_refusal_of_the_servers_is_told() -> None:
    async with StandInMail(password="good") as there:
        with pytest.raises(NotDelivered, match=r"smtp.example.com:465 refused SMTP_PASSWORD with 535"):
            await send(there, "bad")
        there.refuses["studio@example.com"] = "451 4.7.1 too many messages"
        with pytest.raises(NotDelivered, match="too many messages"):
            await send(there)
        there.refuses.clear()
        there.script(Answers(552, "5.3.4 message too big"))
        with pytest.raises(NotDelivered, match=r"refused it with 552: 5.3.4 message too big"):
            await send(there)
        assert there.effects == []
    with pytest.raises(NotDelivered, match=r"smtp.example.com:465 can't be used"):
        await send(there)
    with pytest.raises(NotDelivered, match="SMTP_PASSWORD is not to be had"):
        async with StandInMail() as there:
            await deliver(MAIL, NOWHERE, MAILBOX, mail=there.url)


@pytest.mark.parametrize("fault", [DropsRequest(), DropsResponse()])
async def test_a_mail_whose_answer_was_lost_is_uncertain(fault: Any) -> None:
    async with StandInMail() as there:
        there.script(fault)
        with pytest.raises(Exception, match=r"EOF") as lost:
            await send(there)
        assert not isinstance(lost.value, NotDelivered)


@pytest.fixture
def paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ssl.SSLContext]:
    """Certificates by an authority that this machine trusts."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))

    def make(name: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(name).configure_cert(context)
        return context

    return make


@pytest.mark.parametrize("security", ["tls", "starttls"])
async def test_mail_is_sent_under_tls_or_not_at_all(
    paper: Callable[[str], ssl.SSLContext], security: str
) -> None:
    async def real(there: StandInMail) -> Any:
        known = {**MAILBOX, "host": "localhost", "port": there.port, "security": security}
        return await deliver(MAIL, "", known, SMTP_PASSWORD="good")

    async with StandInMail(tls=paper("localhost"), at_once=security == "tls") as there:
        await real(there)
        assert (len(there.effects), there.secured) == (1, 1)
    async with StandInMail(tls=paper("elsewhere.example"), at_once=security == "tls") as there:
        with pytest.raises(NotDelivered, match=r"can't be used.*ertificate"):
            await real(there)
    async with StandInMail() as there:
        with pytest.raises(NotDelivered, match="can't be used"):
            await real(there)
        assert there.effects == []


TASK = '''
from runner import Run, task
from runner.drafts import Email

@task()
async def report(run: Run):
    """Send it."""
    (run.folder / "figures.csv").write_text("a,b\\n1,2\\n")
    files = [await run.attach("figures.csv")]
    return Email(to=run.state.get("to", ["ann@example.com"]), subject="Report", body="Attached.", files=files)
'''


async def test_a_mail_is_approved_and_sent_with_its_files(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("SMTP_PASSWORD=a-long-password")
    async with rehearsal(tmp_path, kinds={"email": KindRule.model_validate(MAILBOX)}) as it:
        it.drop("report.py", TASK)
        await it.run("report")
        draft = await it.draft()
        it.desk.approve(draft.held.id, draft.held.digest, "ann")
        delivered = await it.event("delivery.delivered")
        (mail,) = it.mail.effects
        (file,) = mail.iter_attachments()
        assert (file.get_filename(), file.get_content()) == ("figures.csv", "a,b\n1,2\n")
        assert delivered["receipt"]["id"] == mail["Message-ID"]


async def test_a_task_that_names_a_recipient_off_the_list_makes_no_draft(tmp_path: Path) -> None:
    async with rehearsal(tmp_path, kinds={"email": KindRule.model_validate(MAILBOX)}) as it:
        it.drop("report.py", TASK.replace("ann@", "eve@"))
        assert "'eve@example.com' is not listed in [kinds.email] recipients" in (await it.run("report")).error
        assert it.waiting() == []


async def test_a_recipient_taken_off_the_list_after_the_yes_gets_nothing(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("SMTP_PASSWORD=a-long-password")
    async with rehearsal(
        tmp_path, kinds={"email": KindRule.model_validate(MAILBOX)}, is_scheduled=False
    ) as it:
        it.drop("report.py", TASK)
        await it.run("report")
        draft = await it.draft()
        it.desk.approve(draft.held.id, draft.held.digest, "ann")
    fewer = KindRule.model_validate({**MAILBOX, "recipients": ["bob@example.com"]})
    async with rehearsal(tmp_path, kinds={"email": fewer}) as it:
        await it.event("draft.returned", reason="the kind's settings changed")
        draft = await it.draft()
        it.desk.approve(draft.held.id, draft.held.digest, "ann")
        failed = await it.event("delivery.failed")
        assert "'ann@example.com' is not listed in [kinds.email] recipients" in failed["reason"]
        assert it.mail.effects == []
