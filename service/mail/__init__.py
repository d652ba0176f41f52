"""Mail: what a mail is, what can become of sending it, and the senders between which MAIL_URL chooses.

Every sender is given a finished Mail and answers with the mail service's id of it, or raises MailRefused (for good) or
MailDeferred (try again). Their reasons are sentences of ours for admins: nothing that a mail service answered is quoted,
because such answers repeat addresses, and those of spam filters repeat links.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from email.headerregistry import Address as MailAddress
from email.policy import SMTP
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable
from urllib.parse import urlsplit

import idna
import structlog

from service.addresses import Address, AddressInvalid, canonical, masked
from service.clock import Clock, system_clock

if TYPE_CHECKING:
    from service.mail.mailbox import Mailbox
    from service.settings import Settings

log = structlog.get_logger()

_PLAIN_ADDRESS: Final = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[a-z0-9.-]+")
_UNSAFE_IN_HEADER: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class MailRefused(Exception):
    """Raised when this mail can never be sent: trying again would change nothing.

    `reason` is a sentence for an admin, free of secrets; `suppressed` says that the mail service does not write to this
    address any more.
    """

    def __init__(self, reason: str, *, suppressed: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.suppressed = suppressed


class MailDeferred(Exception):
    """Raised when this mail could not be sent now: a later try may succeed.

    `reason` is a sentence for an admin and names the operator's remedy where there is one. `retry_after` is the mail
    service's own wish, None where it named none; `throttled` means that it wants fewer mails altogether.
    """

    def __init__(self, reason: str, *, retry_after: timedelta | None = None, throttled: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after
        self.throttled = throttled


_NOT_COMPOSED: Final = (
    "This mail was not sent: the service could not compose it. The operator finds the fault in the worker's log."
)


@contextmanager
def composing() -> Iterator[None]:
    """Logs an error of composing a mail and raises MailRefused instead: each further try would fail alike (H185)."""
    try:
        yield
    except MailRefused:
        raise
    except Exception:
        log.exception("mail.not_composed")
        raise MailRefused(_NOT_COMPOSED) from None


class Danger(str):
    """A finding because of which no mail may leave: its links would reach somebody else than the invitee."""

    __slots__ = ()


class MailUnsafe(Exception):
    """Raised when no mail may leave, because its links would reach others than the invitee; the text says what to do."""


class MailSettingsInvalid(Exception):
    """Raised when MAIL_URL or MAIL_FROM cannot work; its text names the setting and what was expected, never its value."""


@dataclass(frozen=True, slots=True, repr=False)
class Mail:
    """One mail to exactly one address.

    `headers` are further headers (List-Unsubscribe), ASCII values; `tags` come back with the mail service's events: ASCII
    letters, digits, "_" and "-". Raises MailRefused for what could add a recipient or a header (H086, H087).
    """

    to: Address
    subject: str
    text: str
    html: str
    headers: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not _is_canonical(self.to):
            raise MailRefused("This mail was not sent: its recipient is not one plain email address.")
        if any(_UNSAFE_IN_HEADER.search(line) for line in (self.subject, *self.headers, *self.headers.values())):
            raise MailRefused("This mail was not sent: a line break or control character stands in one of its headers.")

    def __repr__(self) -> str:
        return f"Mail(to={masked(self.to)!r}, tags={dict(self.tags)!r})"


def _is_canonical(address: str) -> bool:
    """Whether it is what `canonical` makes of it today; rows of earlier versions may hold others (H185)."""
    try:
        return canonical(address) == address
    except AddressInvalid:
        return False


class MailSender(Protocol):
    """A door through which mail leaves. Safe to share between tasks of one event loop."""

    async def send(self, mail: Mail) -> str:
        """Hands the mail over; the mail service's id of it. Raises MailRefused or MailDeferred."""

    async def rate(self) -> float | None:
        """How many mails a second are welcome; None where there is no limit."""

    async def findings(self) -> list[str]:
        """What is wrong with the set-up, each in words with its remedy; empty when all is well. Raises nothing.

        What is a Danger forbids to send at all.
        """

    async def close(self) -> None:
        """Lets go of connections and threads; the sender cannot be used any more."""


@runtime_checkable
class SuppressionList(Protocol):
    """What a sender offers beside MailSender when its mail service keeps a list of addresses it does not write to."""

    async def on_suppression_list(self, address: Address) -> bool:
        """Raises MailDeferred when the mail service cannot be asked."""

    async def remove_from_suppression_list(self, address: Address) -> None:
        """An address that is not on it is fine. Raises MailDeferred when the mail service cannot be asked."""


def open_sender(settings: "Settings", *, mailbox: "Mailbox | None" = None, clock: Clock = system_clock) -> MailSender:
    """The sender that MAIL_URL names: ses://, smtp://, smtps:// or mailbox:. Connects to nothing yet.

    Raises MailSettingsInvalid.
    """
    url = settings.mail_url.get_secret_value().strip() if settings.mail_url else ""
    scheme = _scheme_of(url)
    if scheme == "mailbox":
        return _mailbox_sender(mailbox, clock)
    if not settings.mail_from:
        raise MailSettingsInvalid("GUESTLIST_MAIL_FROM is missing: the sender, such as `Name <invites@example.com>`.")
    if scheme == "ses":
        # boto3 takes a third of a second to import, and is needed here only.
        from service.mail.ses import open_ses  # noqa: PLC0415

        return open_ses(url, settings.mail_from, topic_arns=tuple(settings.ses_topic_arns), clock=clock)
    if scheme in {"smtp", "smtps"}:
        from service.mail.smtp import open_smtp  # noqa: PLC0415

        return open_smtp(url, settings.mail_from, clock=clock)
    raise MailSettingsInvalid(
        "GUESTLIST_MAIL_URL is not understood: expected ses://REGION, smtp://user:pass@host:port or smtps://…"
    )


def sender_of(mail_from: str) -> MailAddress:
    """MAIL_FROM, `Name <invites@example.com>` or the address alone, as display name and address. MailSettingsInvalid."""
    try:
        (written,) = SMTP.header_factory("From", mail_from).addresses
        domain = idna.encode(written.domain.lower(), strict=True).decode()
        sender = MailAddress(written.display_name, written.username, domain)
    except (ValueError, IndexError):
        sender = MailAddress()
    encoded = "=?" in mail_from.rpartition("<")[2]  # the parser decodes encoded words, in the address too
    if encoded or _UNSAFE_IN_HEADER.search(mail_from) or not _PLAIN_ADDRESS.fullmatch(sender.addr_spec):
        raise MailSettingsInvalid("GUESTLIST_MAIL_FROM is not understood: expected `Name <invites@example.com>`.")
    return sender


def _scheme_of(url: str) -> str:
    try:
        return urlsplit(url).scheme
    except ValueError:
        return ""


def _mailbox_sender(mailbox: "Mailbox | None", clock: Clock) -> MailSender:
    from service.mail.mailbox import MailboxSender  # noqa: PLC0415

    if mailbox is None:
        raise MailSettingsInvalid("GUESTLIST_MAIL_URL is mailbox:, which exists only in `guestlist dev`.")
    return MailboxSender(mailbox, clock)


__all__ = [
    "Danger",
    "Mail",
    "MailDeferred",
    "MailRefused",
    "MailSender",
    "MailSettingsInvalid",
    "MailUnsafe",
    "SuppressionList",
    "composing",
    "open_sender",
    "sender_of",
]
