"""Mail through an SMTP server: one connection for each mail, encrypted unless the server runs on this machine."""

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
from service.settings.origins import is_loopback

Encryption = Literal["tls", "starttls", "starttls where offered", "none"]

_CONCURRENCY: Final = 4
_SUBMISSION_PORT: Final = 587  # RFC 6409
_SUBMISSIONS_PORT: Final = 465  # RFC 8314
_PERMANENT: Final = range(500, 600)
_BUSY: Final = 421
_ENHANCED: Final = re.compile(r"[245]\.(\d{1,3}\.\d{1,3})\b")
_EXPECTED: Final = "expected smtp://user:pass@host:port or smtps://user:pass@host:port, the password percent-encoded"

# The detail of an enhanced status code (RFC 3463). Admins never see the server's words: see `service.mail.errors`.
_CODES_BY_DETAIL: Final = {
    "1.1": "SMTP_REFUSED_NO_MAILBOX",
    "1.2": "SMTP_REFUSED_NO_DOMAIN",
    "1.3": "SMTP_REFUSED_MALFORMED",
    "1.6": "SMTP_REFUSED_MOVED",
    "1.10": "SMTP_REFUSED_NO_MAIL_DOMAIN",
    "2.1": "SMTP_REFUSED_SWITCHED_OFF",
    "2.2": "SMTP_REFUSED_MAILBOX_FULL",
}

# The code of the first matching type.
_CODES_BY_ERROR: Final[tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...]] = (
    (SMTPAuthenticationError, "SMTP_LOGIN_REFUSED"),
    (SMTPSenderRefused, "SMTP_SENDER_REFUSED"),
    (SMTPResponseException, "SMTP_UNAVAILABLE"),
    (TimeoutError, "SMTP_SILENT"),
    (SMTPServerDisconnected, "SMTP_CONNECTION_CLOSED"),
    (OSError, "SMTP_UNREACHABLE"),
)


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """The server that MAIL_URL names."""

    host: str
    port: int
    encryption: Encryption
    username: str | None = field(repr=False)
    password: str | None = field(repr=False)


def open_smtp(url: str, mail_from: str, *, clock: Clock) -> "SmtpSender":
    """Returns the sender of an SMTP URL. Opens no connection. Raises MailSettingsInvalid."""
    return SmtpSender(parse_smtp_url(url), parse_mail_from(mail_from), clock)


class SmtpSender:
    """A MailSender for one SMTP server, which reports no deliveries and has no suppression list."""

    def __init__(self, server: SmtpServer, sender: MailAddress, clock: Clock, *, timeout: float = 15.0) -> None:
        """`timeout` is the limit in seconds for each reply. A whole session may take three times as long."""
        self._timeout = timeout
        self._server = server
        self._sender = sender
        self._clock = clock
        self._sessions = asyncio.Semaphore(_CONCURRENCY)

    async def send(self, mail: Mail) -> str:
        message_id = f"{secrets.token_hex(16)}@{self._sender.domain}"
        with refuse_broken_mail():
            content = build_message(mail, self._sender, message_id, self._clock()).as_bytes()
        async with self._sessions:
            await self._run_session(mail, content)
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
            await self._run_session(None, b"")
        except MailDeferred as deferred:
            found.append(str(deferred.reason))
        return found

    async def close(self) -> None:
        """Does nothing: each connection ends with its mail."""

    async def _run_session(self, mail: Mail | None, content: bytes) -> None:
        """Opens a connection, sends at most one mail, and quits."""
        client = self._client()
        try:
            async with asyncio.timeout(3 * self._timeout):
                await client.connect()
                if mail is not None:
                    await client.sendmail(self._sender.addr_spec, [mail.to], content)
        except (SMTPException, OSError, TimeoutError) as error:
            client.close()
            raise self._mail_error(error) from None
        except BaseException:
            client.close()
            raise
        await _quit(client)

    def _client(self) -> SMTP:
        encryption = self._server.encryption
        start_tls = {"starttls": True, "starttls where offered": None}.get(encryption, False)
        return SMTP(
            hostname=self._server.host,
            port=self._server.port,
            username=self._server.username,
            password=self._server.password,
            timeout=self._timeout,
            use_tls=encryption == "tls",
            start_tls=start_tls,
            tls_context=self._tls,
            local_hostname=self._sender.domain,
        )

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        """Trusts the certificates of the system or of SSL_CERT_FILE. Cached, because loading takes 50 ms."""
        return ssl.create_default_context()

    def _mail_error(self, error: Exception) -> MailRefused | MailDeferred:
        if isinstance(error, SMTPRecipientsRefused):
            return _reply_error(error.recipients[0])
        if isinstance(error, SMTPDataError):
            return _reply_error(error)
        return MailDeferred(self._session_error(error), throttled=getattr(error, "code", None) == _BUSY)

    def _session_error(self, error: Exception) -> Sentence:
        """Returns the reason of an error that concerns all mails, with the remedy for the operator."""
        server = f"{self._server.host}:{self._server.port}"
        return delivery_reason(_session_error_code(error), server=server, status=getattr(error, "code", ""))


def _session_error_code(error: Exception) -> str:
    if isinstance(error.__cause__ or error, ssl.SSLError):
        return "SMTP_CERTIFICATE"
    matching = (code for kinds, code in _CODES_BY_ERROR if isinstance(error, kinds))
    return next(matching, None) or _unsupported(str(error).upper())


def _unsupported(text: str) -> str:
    if "STARTTLS" in text:
        return "SMTP_NO_STARTTLS"
    return "SMTP_NO_LOGIN" if "AUTH" in text else "SMTP_NOT_SMTP"


def parse_smtp_url(url: str) -> SmtpServer:
    """Parses smtp:// and smtps:// URLs. Raises MailSettingsInvalid without the URL, which contains the password."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise MailSettingsInvalid(f"GUESTLIST_MAIL_URL is not understood: {_EXPECTED}.") from None
    if not parts.hostname or parts.path not in {"", "/"} or parts.fragment:
        raise MailSettingsInvalid(f"GUESTLIST_MAIL_URL is not understood: {_EXPECTED}.")
    encryption = _encryption(parts)
    if encryption == "none" and parts.username and not is_loopback(parts.hostname):
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
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if parts.scheme == "smtps" and not options:
        return "tls"
    if parts.scheme == "smtp" and options == {"starttls": "never"}:
        return "none"
    if parts.scheme == "smtp" and not options:
        return "starttls where offered" if is_loopback(parts.hostname or "") else "starttls"
    raise MailSettingsInvalid(
        "GUESTLIST_MAIL_URL has an unknown option: smtp:// knows ?starttls=never, and smtps:// none."
    )


class _UnfoldedAscii(EmailPolicy):
    """Folds only headers that must be encoded.

    Python's folding converts a long URL in List-Unsubscribe to encoded words. In a subject of mixed scripts it loses spaces,
    which the older Header class keeps.
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


def build_message(mail: Mail, sender: MailAddress, message_id: str, now: datetime) -> EmailMessage:
    """Builds an RFC 5322 message with one From, one To and both parts as UTF-8 in quoted-printable."""
    message = EmailMessage(policy=_POLICY_OF_MESSAGES)
    message["From"] = sender
    # A header set as text would be parsed, which decodes encoded words in the local part.
    local, _, domain = mail.to.rpartition("@")
    message["To"] = MailAddress(username=local, domain=domain)
    message["Subject"] = mail.subject
    message["Date"] = now.astimezone(UTC)
    message["Message-ID"] = f"<{message_id}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: suppresses automatic replies
    for name, value in mail.headers.items():
        message[name] = value
    message.set_content(mail.text, cte="quoted-printable")
    message.add_alternative(mail.html, subtype="html", cte="quoted-printable")
    return message


def _reply_error(reply: SMTPResponseException) -> MailRefused | MailDeferred:
    """Converts a reply about the recipient or the mail. A 5xx reply is permanent (RFC 5321 section 4.2.1)."""
    found = _ENHANCED.match(reply.message.strip())
    status = f"{reply.code} {found.group()}" if found else str(reply.code)
    if reply.code in _PERMANENT:
        return MailRefused(delivery_reason(_reply_code(found), status=status))
    return MailDeferred(delivery_reason("SMTP_NOT_YET", status=status), throttled=reply.code == _BUSY)


def _reply_code(found: re.Match[str] | None) -> str:
    detail = "" if found is None else found.group(1)
    return "SMTP_REFUSED_POLICY" if detail.startswith("7.") else _CODES_BY_DETAIL.get(detail, "SMTP_REFUSED")


async def _quit(client: SMTP) -> None:
    """Quits and closes. Ignores errors, because the server has accepted the mail."""
    try:
        await client.quit()
    except (SMTPException, OSError, TimeoutError):
        pass
    finally:
        client.close()
