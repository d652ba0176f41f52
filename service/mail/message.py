"""A mail: one recipient, two parts, and checked headers."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import structlog

from service.addresses import Address, AddressInvalid, canonical, masked
from service.mail.errors import MailRefused
from service.mail.reasons import delivery_reason

log = structlog.get_logger()

UNSAFE_IN_HEADER: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


@contextmanager
def refuse_broken_mail() -> Iterator[None]:
    """Logs an error of composing a mail and raises MailRefused instead, because every retry would fail as well (H185)."""
    try:
        yield
    except MailRefused:
        raise
    except Exception:
        log.exception("mail.not_composed")
        raise MailRefused(delivery_reason("MAIL_NOT_COMPOSED")) from None


@dataclass(frozen=True, slots=True, repr=False)
class Mail:
    """A mail to exactly one address.

    `headers` are further headers (List-Unsubscribe) with ASCII values. The mail service returns `tags` with its events;
    they contain ASCII letters, digits, "_" and "-". Raises MailRefused for values that could add a recipient or a header
    (H086, H087).
    """

    to: Address
    subject: str
    text: str
    html: str
    headers: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not _is_canonical(self.to):
            raise MailRefused(delivery_reason("MAIL_RECIPIENT_INVALID"))
        if any(UNSAFE_IN_HEADER.search(line) for line in (self.subject, *self.headers, *self.headers.values())):
            raise MailRefused(delivery_reason("MAIL_HEADER_INVALID"))

    def __repr__(self) -> str:
        return f"Mail(to={masked(self.to)!r}, tags={dict(self.tags)!r})"


def _is_canonical(address: str) -> bool:
    """Returns whether `canonical` leaves the address unchanged. Rows of earlier versions may hold others (H185)."""
    try:
        return canonical(address) == address
    except AddressInvalid:
        return False
