"""Errors of sending mail.

A reason is a sentence of this service for admins (`service.mail.reasons`). It never quotes a mail service, because such answers repeat addresses,
and the answers of spam filters repeat links.
"""

from datetime import timedelta

from service.languages import Sentence


class MailRefused(Exception):
    """Raised when this mail can never be sent; a retry would fail in the same way.

    `reason` is for an admin, without secrets. `suppressed` is set when the mail service suppresses the address.
    """

    def __init__(self, reason: Sentence, *, suppressed: bool = False) -> None:
        super().__init__(str(reason))
        self.reason = reason
        self.suppressed = suppressed


class MailDeferred(Exception):
    """Raised when this mail could not be sent now; a retry may succeed.

    `reason` is for an admin and names the operator's remedy where there is one. `retry_after` is the delay that
    the mail service requested, or None. `throttled` is set when the mail service requests a lower rate for all mails.
    """

    def __init__(self, reason: Sentence, *, retry_after: timedelta | None = None, throttled: bool = False) -> None:
        super().__init__(str(reason))
        self.reason = reason
        self.retry_after = retry_after
        self.throttled = throttled


class MailUnsafe(Exception):
    """Raised when all mail is blocked because its links would reach others than the invitee. The text names the remedy."""


class MailSettingsInvalid(Exception):
    """Raised for an unusable MAIL_URL or MAIL_FROM. The text names the setting and the expected form, never its value."""
