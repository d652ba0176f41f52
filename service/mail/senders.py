"""Senders of mail, and the choice between them by MAIL_URL.

A sender accepts a finished Mail and returns the mail service's id for it. It raises MailRefused for a permanent error and
MailDeferred for a temporary one.
"""

import re
from collections.abc import Sequence
from email.headerregistry import Address as MailAddress
from email.policy import SMTP
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable
from urllib.parse import urlsplit

import idna

from service.addresses import Address
from service.clock import Clock, system_clock
from service.mail.errors import MailSettingsInvalid, MailUnsafe
from service.mail.message import UNSAFE_IN_HEADER, Mail

if TYPE_CHECKING:
    from service.mail.mailbox import Mailbox
    from service.settings import Settings

_PLAIN_ADDRESS: Final = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[a-z0-9.-]+")


class UnsafeFinding(str):
    """A finding that blocks all mail: links would reach others than the invitee (H095)."""

    __slots__ = ()


class MailSender(Protocol):
    """A way to send mail. Tasks of one event loop may share a sender."""

    async def send(self, mail: Mail) -> str:
        """Sends the mail and returns the mail service's id for it. Raises MailRefused or MailDeferred."""

    async def rate(self) -> float | None:
        """Returns the allowed number of mails a second, or None without a limit."""

    async def findings(self) -> list[str]:
        """Returns the errors of the configuration, each as a sentence with its remedy. Raises nothing.

        An UnsafeFinding blocks all mail.
        """

    async def close(self) -> None:
        """Closes connections and threads. The sender must not be used afterwards."""


@runtime_checkable
class SuppressionList(Protocol):
    """The suppression list of a mail service. Senders whose service has one implement this protocol, too."""

    async def on_suppression_list(self, address: Address) -> bool:
        """Returns whether the address is on the list. Raises MailDeferred when the mail service does not answer."""

    async def remove_from_suppression_list(self, address: Address) -> None:
        """Removes the address, if it is on the list. Raises MailDeferred when the mail service does not answer."""


def refuse_unsafe(findings: Sequence[str]) -> None:
    """Raises MailUnsafe if the links of mails would reach others than the invitee (H095)."""
    unsafe = [finding for finding in findings if isinstance(finding, UnsafeFinding)]
    if unsafe:
        raise MailUnsafe(" ".join(unsafe))


def open_sender(settings: "Settings", *, mailbox: "Mailbox | None" = None, clock: Clock = system_clock) -> MailSender:
    """Returns the sender that MAIL_URL names: ses://, smtp://, smtps:// or mailbox:. Opens no connection.

    Raises MailSettingsInvalid.
    """
    url = settings.mail_url.get_secret_value().strip() if settings.mail_url else ""
    scheme = _scheme_of(url)
    if scheme == "mailbox":
        return _open_mailbox(mailbox, clock)
    if not settings.mail_from:
        raise MailSettingsInvalid("GUESTLIST_MAIL_FROM is missing: the sender, such as `Name <invites@example.com>`.")
    if scheme == "ses":
        # boto3 takes a third of a second to import. Only this branch uses it.
        from service.mail.ses import open_ses  # noqa: PLC0415

        return open_ses(url, settings.mail_from, topic_arns=tuple(settings.ses_topic_arns), clock=clock)
    if scheme in {"smtp", "smtps"}:
        from service.mail.smtp import open_smtp  # noqa: PLC0415

        return open_smtp(url, settings.mail_from, clock=clock)
    raise MailSettingsInvalid(
        "GUESTLIST_MAIL_URL is not understood: expected ses://REGION, smtp://user:pass@host:port or smtps://…"
    )


def parse_mail_from(mail_from: str) -> MailAddress:
    """Parses MAIL_FROM: `Name <invites@example.com>`, or the address alone. Raises MailSettingsInvalid."""
    try:
        (parsed,) = SMTP.header_factory("From", mail_from).addresses
        domain = idna.encode(parsed.domain.lower(), strict=True).decode()
        sender = MailAddress(parsed.display_name, parsed.username, domain)
    except (ValueError, IndexError):
        sender = MailAddress()
    encoded = "=?" in mail_from.rpartition("<")[2]  # the parser decodes encoded words, in the address, too
    if encoded or UNSAFE_IN_HEADER.search(mail_from) or not _PLAIN_ADDRESS.fullmatch(sender.addr_spec):
        raise MailSettingsInvalid("GUESTLIST_MAIL_FROM is not understood: expected `Name <invites@example.com>`.")
    return sender


def _scheme_of(url: str) -> str:
    try:
        return urlsplit(url).scheme
    except ValueError:
        return ""


def _open_mailbox(mailbox: "Mailbox | None", clock: Clock) -> MailSender:
    from service.mail.mailbox import MailboxSender  # noqa: PLC0415

    if mailbox is None:
        raise MailSettingsInvalid("GUESTLIST_MAIL_URL is mailbox:, which exists only in `guestlist dev`.")
    return MailboxSender(mailbox, clock)
