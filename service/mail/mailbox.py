"""The mailbox of development: mails in the memory of this process."""

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from service.addresses import Address
from service.clock import Clock
from service.mail.message import Mail
from service.tokens import new_id

_CAPACITY: Final = 500


@dataclass(frozen=True, slots=True)
class MailboxEntry:
    """A mail as a mailbox would receive it. `sent_at` is aware UTC."""

    id: str
    to: Address = field(repr=False)
    subject: str
    text: str = field(repr=False)
    html: str = field(repr=False)
    sent_at: datetime


class Mailbox:
    """The newest mails, up to `capacity`. Mails are never written to disk."""

    def __init__(self, capacity: int = _CAPACITY) -> None:
        self._entries: deque[MailboxEntry] = deque(maxlen=capacity)

    def deliver(self, mail: Mail, now: datetime) -> MailboxEntry:
        entry = MailboxEntry(new_id("mail"), mail.to, mail.subject, mail.text, mail.html, sent_at=now)
        self._entries.appendleft(entry)
        return entry

    @property
    def entries(self) -> tuple[MailboxEntry, ...]:
        """Newest first."""
        return tuple(self._entries)

    def entry(self, entry_id: str) -> MailboxEntry | None:
        return next((entry for entry in self._entries if entry.id == entry_id), None)


class MailboxSender:
    """Delivers every mail to a Mailbox."""

    def __init__(self, mailbox: Mailbox, clock: Clock) -> None:
        self._mailbox = mailbox
        self._clock = clock

    async def send(self, mail: Mail) -> str:
        return self._mailbox.deliver(mail, self._clock()).id

    async def rate(self) -> float | None:
        return None

    async def findings(self) -> list[str]:
        return []

    async def close(self) -> None:
        """Does nothing: there is no connection."""
