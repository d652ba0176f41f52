"""The status of an invitation and of its newest mail, in Python and in SQL. They follow from the facts of the row.

The module is outside of `service.invitations`, because the rooms below it (mail, accounts, communities) need the conditions too.
A property test compares both forms on random rows.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from service.models import Delivery


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


def delivery_of(stored: Delivery, status: Status) -> Delivery:
    """The delivery of the newest mail. The worker sends no mail for a closed invitation: a queued one is CANCELLED."""
    return Delivery.CANCELLED if stored is Delivery.QUEUED and status is not Status.PENDING else stored


def delivery_is(delivery: Delivery, now: str, table: str = "invitations") -> str:
    """SQL for rows with a delivery at an instant. The placeholder `now` is used only where `depends_on_time`."""
    if not depends_on_time(delivery):
        return f"{table}.delivery = '{delivery.value}'"
    pending = is_pending(now, table)
    return f"{table}.delivery = 'QUEUED' AND {'' if delivery is Delivery.QUEUED else 'NOT '}({pending})"


def depends_on_time(delivery: Delivery) -> bool:
    return delivery in {Delivery.QUEUED, Delivery.CANCELLED}


def is_pending(now: str, table: str = "invitations") -> str:
    """SQL for pending invitations at an instant."""
    return status_is(Status.PENDING, now, table)


def is_open(table: str = "invitations") -> str:
    """SQL for invitations that are unended and not superseded, before or after their deadline. An address has at most one."""
    return f"{is_unended(table)} AND {table}.superseded_at IS NULL"


def is_unended(table: str = "invitations") -> str:
    """SQL for invitations that were not accepted, declined or revoked."""
    return f"{table}.accepted_at IS NULL AND {table}.declined_at IS NULL AND {table}.revoked_at IS NULL"
