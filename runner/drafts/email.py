"""An e-mail, by SMTP with TLS, to people whom the owner listed and nobody else."""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from runner.attachment import Attachment  # noqa: TC001 - pydantic reads it
from runner.draft import Draft
from runner.errors import NotDelivered
from runner.rule import AllowedBy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import aiosmtplib

    from runner.worker.deliver import Delivery, Receipt

PASSWORD = "SMTP_PASSWORD"  # noqa: S105 - the name of a secret
TIMEOUT_S = 30.0  #: of each thing that the server is told
SUBJECT_MAX = 200
BODY_MAX = 100_000
PEOPLE_MAX = 50
FILES_MAX = 10
ADDRESS = r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$"
LINE = r"^[^\x00-\x1f\x7f\u2028\u2029]*$"

Recipient = Annotated[str, Field(pattern=ADDRESS, max_length=254), AllowedBy("recipients")]


class Mailbox(BaseModel):
    """Whose mail it is, who carries it, and who may get it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field(
        pattern=r"^[A-Za-z0-9.-]+$", description="of the mail server", examples=["smtp.example.com"]
    )
    port: int = Field(default=465, gt=0, lt=65536, description="of the mail server")
    security: Literal["tls", "starttls"] = Field(
        default="tls", description="from the first byte, or from the third word on; never without"
    )
    user: str = Field(default="", pattern=LINE, description="to log in as; empty is the sender's address")
    sender: str = Field(pattern=ADDRESS, description="whose mail it is", examples=["studio@example.com"])
    sender_name: str = Field(default="", pattern=LINE, description="what stands beside that address")
    recipients: tuple[str, ...] = Field(
        default=(), description="addresses that a draft may name; none is nobody"
    )


class Email(Draft):
    """A plain text with a subject, and files."""

    to: Annotated[list[Recipient], Field(min_length=1, max_length=PEOPLE_MAX)]
    cc: Annotated[list[Recipient], Field(max_length=PEOPLE_MAX)] = []  # noqa: RUF012 - pydantic copies it
    subject: Annotated[str, Field(min_length=1, max_length=SUBJECT_MAX, pattern=LINE)]
    body: Annotated[str, Field(min_length=1, max_length=BODY_MAX)]
    files: Annotated[list[Attachment], Field(max_length=FILES_MAX)] = []  # noqa: RUF012 - likewise

    settings: ClassVar = Mailbox
    secrets: ClassVar[tuple[str, ...]] = (PASSWORD,)

    async def deliver(self, delivery: Delivery) -> Receipt:
        """Hand it to the server, for all recipients or for none. A refusal before or after its text is a no."""
        import aiosmtplib  # noqa: PLC0415 - only in the child that delivers

        from runner.worker.deliver import Receipt  # noqa: PLC0415 - likewise

        message = self._message(delivery)
        async with _server(delivery) as server:
            await self._envelope(server, delivery.settings.sender)
            try:
                answer = await server.data(message.as_bytes())
            except aiosmtplib.SMTPDataError as error:
                raise NotDelivered(
                    f"{_where(delivery)} refused it with {error.code}: {error.message}"
                ) from error
        return Receipt(id=str(message["Message-ID"]), detail=answer.message)

    async def _envelope(self, server: aiosmtplib.SMTP, sender: str) -> None:
        """Say from whom and to whom; raises `NotDelivered` unless all of them are taken."""
        import aiosmtplib  # noqa: PLC0415 - likewise

        try:
            await server.mail(sender)
            for recipient in dict.fromkeys([*self.to, *self.cc]):
                await server.rcpt(recipient)
        except aiosmtplib.SMTPRecipientRefused as error:
            raise NotDelivered(f"{error.recipient} was refused with {error.code}: {error.message}") from error
        except (aiosmtplib.SMTPException, OSError) as error:
            raise NotDelivered(f"nothing was sent: {error}") from error

    def _message(self, delivery: Delivery) -> EmailMessage:
        from datetime import UTC, datetime  # noqa: PLC0415 - likewise

        there: Mailbox = delivery.settings
        message = EmailMessage(policy=SMTP)
        message["From"] = Address(there.sender_name, addr_spec=there.sender)
        message["To"] = [Address(addr_spec=each) for each in self.to]
        if self.cc:
            message["Cc"] = [Address(addr_spec=each) for each in self.cc]
        message["Subject"] = self.subject
        message["Date"] = format_datetime(datetime.now(UTC))
        message["Message-ID"] = f"<{delivery.key}@{there.sender.rpartition('@')[2]}>"
        message.set_content(self.body)
        for file in self.files:
            main, _, sub = file.media_type.partition("/")
            message.add_attachment(delivery.content(file), maintype=main, subtype=sub, filename=file.name)
        return message


@asynccontextmanager
async def _server(delivery: Delivery) -> AsyncIterator[aiosmtplib.SMTP]:
    """The server, logged in; raises `NotDelivered` where that can't be had."""
    import aiosmtplib  # noqa: PLC0415 - likewise

    there: Mailbox = delivery.settings
    server = aiosmtplib.SMTP(timeout=TIMEOUT_S, local_hostname="localhost", **_place(delivery))
    try:
        await server.connect()
        await server.login(there.user or there.sender, delivery.secret(PASSWORD))
    except aiosmtplib.SMTPAuthenticationError as error:
        server.close()
        raise NotDelivered(
            f"{_where(delivery)} refused {PASSWORD} with {error.code}: {error.message}"
        ) from error
    except (aiosmtplib.SMTPException, OSError) as error:
        server.close()
        raise NotDelivered(f"{_where(delivery)} can't be used: {error}") from error
    try:
        yield server
        with suppress(aiosmtplib.SMTPException, OSError):
            await server.quit()  # it was taken, whatever becomes of the goodbye
    finally:
        server.close()


def _place(delivery: Delivery) -> dict[str, Any]:
    """Where the server is, and how it is spoken to: in a rehearsal the stand-in, in the clear on this machine."""
    there: Mailbox = delivery.settings
    if not delivery.rehearsal:
        is_at_once = there.security == "tls"
        return {
            "hostname": there.host,
            "port": there.port,
            "use_tls": is_at_once,
            "start_tls": not is_at_once,
        }
    if not delivery.mail:
        raise NotDelivered("this rehearsal has no stand-in for mail")
    parts = urlsplit(delivery.mail)
    return {"hostname": parts.hostname, "port": parts.port, "use_tls": False, "start_tls": False}


def _where(delivery: Delivery) -> str:
    return f"{delivery.settings.host}:{delivery.settings.port}"
