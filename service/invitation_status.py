"""The status of an invitation, in Python and in SQL. It follows from the facts of the row, and is never stored.

The module is outside of `service.invitations`, because the rooms below it (mail, accounts, communities) need the conditions too.
A property test compares both forms on random rows.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """The status of an invitation, as the API names it."""

    PENDING = "PENDING"
    ACCEPTED = "ACCEPTED"
    DECLINED = "DECLINED"
    REVOKED = "REVOKED"
    EXPIRED = "EXPIRED"


def status_of(row: Mapping[str, Any], now: datetime) -> Status:
    """The status of a row at an instant. An invitation expires at `expires_at`, or when a later one supersedes it."""
    if row["accepted_at"] is not None:
        return Status.ACCEPTED
    if row["declined_at"] is not None:
        return Status.DECLINED
    if row["revoked_at"] is not None:
        return Status.REVOKED
    expired = row["superseded_at"] is not None or row["expires_at"] <= now
    return Status.EXPIRED if expired else Status.PENDING


def status_is(status: Status, now: str, table: str = "invitations") -> str:
    """SQL for rows with a status at an instant. `now` is a placeholder, `table` the table's name or alias."""
    return {
        Status.PENDING: f"{is_open(table)} AND {table}.expires_at > {now}",
        Status.EXPIRED: f"{is_unended(table)} AND ({table}.superseded_at IS NOT NULL OR {table}.expires_at <= {now})",
        Status.ACCEPTED: f"{table}.accepted_at IS NOT NULL",
        Status.DECLINED: f"{table}.declined_at IS NOT NULL",
        Status.REVOKED: f"{table}.revoked_at IS NOT NULL",
    }[status]


def is_pending(now: str, table: str = "invitations") -> str:
    """SQL for pending invitations at an instant."""
    return status_is(Status.PENDING, now, table)


def is_open(table: str = "invitations") -> str:
    """SQL for invitations that are unended and not superseded, before or after their deadline. An address has at most one."""
    return f"{is_unended(table)} AND {table}.superseded_at IS NULL"


def is_unended(table: str = "invitations") -> str:
    """SQL for invitations that were not accepted, declined or revoked."""
    return f"{table}.accepted_at IS NULL AND {table}.declined_at IS NULL AND {table}.revoked_at IS NULL"
