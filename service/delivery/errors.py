"""Reasons for not sending the mail of an order now. They do not count as failed tries."""

from datetime import timedelta


class LeaseLost(Exception):
    """Raised when the lease has expired and another worker has leased the order."""


class RecipientLimited(Exception):
    """Raised when the recipient has received enough mails for now; `wait` is the time until the limit allows another."""

    def __init__(self, wait: timedelta) -> None:
        super().__init__()
        self.wait = wait


class NothingToSend(Exception):
    """Raised when the mail has lost its purpose, or its address accepts no mail.

    `suppressed` is set when the order's subject shows the mail as SUPPRESSED.
    """

    def __init__(self, *, suppressed: bool = False) -> None:
        super().__init__()
        self.suppressed = suppressed
