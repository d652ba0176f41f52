"""Mail through an SMTP server: one connection a mail, encrypted unless the server is on this very machine."""

import asyncio
import re
import secrets
import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.header import Header
from email.headerregistry import Address as MailAddress
from email.message import EmailMessage
from email.policy import EmailPolicy
from functools import cached_property
from ipaddress import ip_address
from typing import Any, Final, Literal
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from aiosmtplib import (
    SMTP,
    SMTPAuthenticationError,
    SMTPDataError,
    SMTPException,
    SMTPRecipientsRefused,
    SMTPResponseException,
    SMTPSenderRefused,
    SMTPServerDisconnected,
)

from service.clock import Clock
from service.languages import Sentence
from service.mail.errors import MailDeferred, MailRefused, MailSettingsInvalid
from service.mail.message import Mail, refuse_broken_mail
from service.mail.reasons import delivery_reason
from service.mail.senders import parse_mail_from

Encryption = Literal["tls", "starttls", "starttls where offered", "none"]

_AT_ONCE: Final = 4
_SUBMISSION_PORT: Final = 587  # RFC 6409
_SUBMISSIONS_PORT: Final = 465  # RFC 8314
_PERMANENT: Final = range(500, 600)
_BUSY: Final = 421
_ENHANCED: Final = re.compile(r"[245]\.(\d{1,3}\.\d{1,3})\b")
_EXPECTED: Final = "expected smtp://user:pass@host:port or smtps://user:pass@host:port, the password percent-encoded"

# RFC 3463: what a status code behind its class says. The server's own words are never shown: see service.mail.
_REFUSALS: Final = {
    "1.1": "SMTP_REFUSED_NO_MAILBOX",
    "1.2": "SMTP_REFUSED_NO_DOMAIN",
    "1.3": "SMTP_REFUSED_MALFORMED",
    "1.6": "SMTP_REFUSED_MOVED",
    "1.10": "SMTP_REFUSED_NO_MAIL_DOMAIN",
    "2.1": "SMTP_REFUSED_SWITCHED_OFF",
    "2.2": "SMTP_REFUSED_MAILBOX_FULL",
}

# The first that fits the error.
_TROUBLES: Final[tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...]] = (
    (SMTPAuthenticationError, "SMTP_LOGIN_REFUSED"),
    (SMTPSenderRefused, "SMTP_SENDER_REFUSED"),
    (SMTPResponseException, "SMTP_UNAVAILABLE"),
    (TimeoutError, "SMTP_SILENT"),
    (SMTPServerDisconnected, "SMTP_CONNECTION_CLOSED"),
    (OSError, "SMTP_UNREACHABLE"),
)


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where MAIL_URL points to."""

    host: str
    port: int
    encryption: Encryption
    username: str | None = field(repr=False)
    password: str | None = field(repr=False)


def open_smtp(url: str, mail_from: str, *, clock: Clock) -> "SmtpSender":
    """Raises MailSettingsInvalid; connects to nothing yet."""
    return SmtpSender(smtp_server(url), parse_mail_from(mail_from), clock)


class SmtpSender:
    """A MailSender that speaks to one SMTP server. It reports no deliveries, and keeps no list of its own."""

    def __init__(self, server: SmtpServer, sender: MailAddress, clock: Clock, *, patience: float = 15.0) -> None:
        """`patience` is how many seconds one answer may take; a whole conversation may take three times that."""
        self._patience = patience
        self._server = server
        self._sender = sender
        self._clock = clock
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def send(self, mail: Mail) -> str:
        message_id = f"{secrets.token_hex(16)}@{self._sender.domain}"
        with refuse_broken_mail():
            content = message(mail, self._sender, message_id, self._clock()).as_bytes()
        async with self._turns:
            await self._converse(mail, content)
        return message_id

    async def rate(self) -> float | None:
        return None

    async def findings(self) -> list[str]:
        found = []
        if self._server.encryption == "none":
            found.append(
                "GUESTLIST_MAIL_URL says starttls=never: mails and their links travel unencrypted. "
                "That is for a mail catcher on a private network only."
            )
        try:
            await self._converse(None, b"")
        except MailDeferred as deferred:
            found.append(str(deferred.reason))
        return found

    async def close(self) -> None:
        """Every connection ends with its mail."""

    async def _converse(self, mail: Mail | None, content: bytes) -> None:
        """One connection from greeting to leave-taking, and in it at most one mail."""
        client = self._client()
        try:
            async with asyncio.timeout(3 * self._patience):
                await client.connect()
                if mail is not None:
                    await client.sendmail(self._sender.addr_spec, [mail.to], content)
        except (SMTPException, OSError, TimeoutError) as error:
            client.close()
            raise self._verdict(error) from None
        except BaseException:
            client.close()
            raise
        await _take_leave(client)

    def _client(self) -> SMTP:
        encryption = self._server.encryption
        start_tls = {"starttls": True, "starttls where offered": None}.get(encryption, False)
        return SMTP(
            hostname=self._server.host,
            port=self._server.port,
            username=self._server.username,
            password=self._server.password,
            timeout=self._patience,
            use_tls=encryption == "tls",
            start_tls=start_tls,
            tls_context=self._tls,
            local_hostname=self._sender.domain,
        )

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        """The system's certificates; SSL_CERT_FILE names others. Built once: it takes a twentieth of a second."""
        return ssl.create_default_context()

    def _verdict(self, error: Exception) -> MailRefused | MailDeferred:
        if isinstance(error, SMTPRecipientsRefused):
            return _answered(error.recipients[0])
        if isinstance(error, SMTPDataError):
            return _answered(error)
        return MailDeferred(self._trouble(error), throttled=getattr(error, "code", None) == _BUSY)

    def _trouble(self, error: Exception) -> Sentence:
        """The reason why no mail could be handed over at all; the operator has to put it right."""
        server = f"{self._server.host}:{self._server.port}"
        return delivery_reason(_trouble_code(error), server=server, status=getattr(error, "code", ""))


def _trouble_code(error: Exception) -> str:
    if isinstance(error.__cause__ or error, ssl.SSLError):
        return "SMTP_CERTIFICATE"
    fitting = (code for kinds, code in _TROUBLES if isinstance(error, kinds))
    return next(fitting, None) or _missing(str(error).upper())


def _missing(complaint: str) -> str:
    if "STARTTLS" in complaint:
        return "SMTP_NO_STARTTLS"
    return "SMTP_NO_LOGIN" if "AUTH" in complaint else "SMTP_NOT_SMTP"


def smtp_server(url: str) -> SmtpServer:
    """Reads smtp:// and smtps:// URLs. Raises MailSettingsInvalid, in words without the URL: it holds the password."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise MailSettingsInvalid(f"GUESTLIST_MAIL_URL is not understood: {_EXPECTED}.") from None
    if not parts.hostname or parts.path not in {"", "/"} or parts.fragment:
        raise MailSettingsInvalid(f"GUESTLIST_MAIL_URL is not understood: {_EXPECTED}.")
    encryption = _encryption(parts)
    if encryption == "none" and parts.username and not _is_loopback(parts.hostname):
        raise MailSettingsInvalid(
            "GUESTLIST_MAIL_URL has a password and starttls=never: the password would travel unencrypted. Leave one of them out."
        )
    return SmtpServer(
        parts.hostname,
        port or (_SUBMISSIONS_PORT if encryption == "tls" else _SUBMISSION_PORT),
        encryption,
        unquote(parts.username) if parts.username else None,
        unquote(parts.password) if parts.password else None,
    )


def _encryption(parts: SplitResult) -> Encryption:
    wishes = dict(parse_qsl(parts.query, keep_blank_values=True))
    if parts.scheme == "smtps" and not wishes:
        return "tls"
    if parts.scheme == "smtp" and wishes == {"starttls": "never"}:
        return "none"
    if parts.scheme == "smtp" and not wishes:
        return "starttls where offered" if _is_loopback(parts.hostname or "") else "starttls"
    raise MailSettingsInvalid(
        "GUESTLIST_MAIL_URL has an unknown option: smtp:// knows ?starttls=never, and smtps:// none."
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


class _UnfoldedAscii(EmailPolicy):
    """Folds only what has to be encoded: Python's folding turns a long URL in List-Unsubscribe into encoded words, and
    in a subject of mixed scripts it loses spaces; the older Header keeps them.
    """

    def fold_binary(self, name: str, value: Any) -> bytes:
        line = f"{name}: {value}"
        if line.isascii():
            return f"{line}{self.linesep}".encode("ascii")
        if name != "Subject":
            return super().fold_binary(name, value)
        subject = Header(str(value), "utf-8", header_name=name).encode(linesep=self.linesep)
        return f"{name}: {subject}{self.linesep}".encode("ascii")


_POLICY_OF_MESSAGES: Final = _UnfoldedAscii(linesep="\r\n")


def message(mail: Mail, sender: MailAddress, message_id: str, now: datetime) -> EmailMessage:
    """The mail as RFC 5322 wants it: one From, one To, both parts as UTF-8 in quoted-printable, so ASCII on the wire."""
    built = EmailMessage(policy=_POLICY_OF_MESSAGES)
    built["From"] = sender
    # Given as text, the header would be parsed, and encoded words in the local part decoded.
    local, _, domain = mail.to.rpartition("@")
    built["To"] = MailAddress(username=local, domain=domain)
    built["Subject"] = mail.subject
    built["Date"] = now.astimezone(UTC)
    built["Message-ID"] = f"<{message_id}>"
    built["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office replies, please
    for name, value in mail.headers.items():
        built[name] = value
    built.set_content(mail.text, cte="quoted-printable")
    built.add_alternative(mail.html, subtype="html", cte="quoted-printable")
    return built


def _answered(answer: SMTPResponseException) -> MailRefused | MailDeferred:
    """What the server said about this very recipient or mail: 5xx is for good, anything else may pass (RFC 5321 4.2.1)."""
    found = _ENHANCED.match(answer.message.strip())
    status = f"{answer.code} {found.group()}" if found else str(answer.code)
    if answer.code in _PERMANENT:
        return MailRefused(delivery_reason(_refusal_code(found), status=status))
    return MailDeferred(delivery_reason("SMTP_NOT_YET", status=status), throttled=answer.code == _BUSY)


def _refusal_code(found: re.Match[str] | None) -> str:
    detail = "" if found is None else found.group(1)
    return "SMTP_REFUSED_POLICY" if detail.startswith("7.") else _REFUSALS.get(detail, "SMTP_REFUSED")


async def _take_leave(client: SMTP) -> None:
    """The mail is accepted by now: a server that cannot say goodbye changes nothing."""
    try:
        await client.quit()
    except (SMTPException, OSError, TimeoutError):
        pass
    finally:
        client.close()
