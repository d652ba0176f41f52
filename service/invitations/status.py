"""What an invitation is now: derived from facts, never stored."""

from datetime import datetime
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """What an invitation is now; derived from facts, never stored."""

    PENDING = "PENDING"
    ACCEPTED = "ACCEPTED"
    DECLINED = "DECLINED"
    REVOKED = "REVOKED"
    EXPIRED = "EXPIRED"


def status_of(row: dict[str, Any], now: datetime) -> Status:
    """The status that the facts of an invitation's row add up to at an instant."""
    if row["accepted_at"] is not None:
        return Status.ACCEPTED
    if row["declined_at"] is not None:
        return Status.DECLINED
    if row["revoked_at"] is not None:
        return Status.REVOKED
    expired = row["superseded_at"] is not None or row["expires_at"] <= now
    return Status.EXPIRED if expired else Status.PENDING
