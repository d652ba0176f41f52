"""A mail: one recipient, two parts, and checked headers."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import structlog

from service.addresses import Address, AddressInvalid, canonical, masked
from service.mail.errors import MailRefused

log = structlog.get_logger()

UNSAFE_IN_HEADER: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

_NOT_COMPOSED: Final = (
    "This mail was not sent: the service could not compose it. The operator finds the fault in the worker's log."
)


@contextmanager
def refuse_broken_mail() -> Iterator[None]:
    """Logs an error of composing a mail and raises MailRefused instead, because every retry would fail as well (H185)."""
    try:
        yield
    except MailRefused:
        raise
    except Exception:
        log.exception("mail.not_composed")
        raise MailRefused(_NOT_COMPOSED) from None


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
            raise MailRefused("This mail was not sent: its recipient is not one plain email address.")
        if any(UNSAFE_IN_HEADER.search(line) for line in (self.subject, *self.headers, *self.headers.values())):
            raise MailRefused("This mail was not sent: a line break or control character stands in one of its headers.")

    def __repr__(self) -> str:
        return f"Mail(to={masked(self.to)!r}, tags={dict(self.tags)!r})"


def _is_canonical(address: str) -> bool:
    """Returns whether `canonical` leaves the address unchanged. Rows of earlier versions may hold others (H185)."""
    try:
        return canonical(address) == address
    except AddressInvalid:
        return False
