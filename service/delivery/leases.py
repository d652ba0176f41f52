"""Leases of orders in the outbox.

A worker leases an order for two minutes and increments its attempt number. Each later write is guarded by this number, so
a worker whose lease has expired writes nothing.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from service.database import execute, select
from service.mail import outbox
from service.models import MailKind

_LEASE: Final = timedelta(minutes=2)
LONGEST_MESSAGE_ID: Final = 200
_GUARD: Final = "id = $1 AND attempt = $2 AND sent_at IS NULL"


@dataclass(frozen=True, slots=True)
class Lease:
    """An order that this worker sends. `attempt` guards each write to it; `tries` counts the failed attempts before."""

    order_id: str
    kind: MailKind
    attempt: int
    tries: int

    async def renew(self, *, now: datetime) -> bool:
        """Extends the lease by its full duration. Returns False when it is lost."""
        return await self._write("due_at = $3", now + _LEASE)

    async def postpone(self, until: datetime) -> bool:
        """Ends the lease and makes the order due at an instant, without counting a try."""
        return await self._write("due_at = $3", until)

    async def retry(self, at: datetime) -> bool:
        """Ends the lease after a failed try and makes the order due at an instant."""
        return await self._write("due_at = $3, tries = tries + 1", at)

    async def cancel(self, *, now: datetime) -> bool:
        """Ends the order without a mail."""
        return await self._write("cancelled_at = $3", now)

    async def fail(self, *, now: datetime) -> bool:
        """Ends the order after its last failed try."""
        return await self._write("failed_at = $3, tries = tries + 1", now)

    async def complete(self, message_id: str, *, now: datetime) -> "Completion | None":
        """Records the mail as sent. Returns None when the lease is lost."""
        rows = await select(
            f"UPDATE mail_orders SET sent_at = $3, message_id = $4 WHERE {_GUARD} RETURNING delivery",  # noqa: S608 -- a constant
            self.order_id, self.attempt, now, message_id[:LONGEST_MESSAGE_ID],
        )  # fmt: skip
        return Completion(reported=rows[0]["delivery"] is not None) if rows else None

    async def _write(self, assignments: str, instant: datetime) -> bool:
        statement = f"UPDATE mail_orders SET {assignments} WHERE {_GUARD}"  # noqa: S608 -- constants
        return await execute(statement, self.order_id, self.attempt, instant) > 0


@dataclass(frozen=True, slots=True)
class Completion:
    """A mail recorded as sent. `reported` is set when a delivery event arrived before the record."""

    reported: bool


async def lease_due(limit: int, *, now: datetime) -> list[Lease]:
    """Leases due orders: first those for which a person is waiting at a screen, then invitations by their due time."""
    urgent = await _lease("kind <> 'invitation'", limit, now)
    rest = await _lease("kind = 'invitation'", limit - len(urgent), now) if len(urgent) < limit else []
    return urgent + rest


async def _lease(condition: str, limit: int, now: datetime) -> list[Lease]:
    rows = await select(
        f"WITH due AS MATERIALIZED (SELECT id FROM mail_orders WHERE due_at <= $1 AND {outbox.WAITING}"  # noqa: S608
        f" AND {condition} ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED)"
        " UPDATE mail_orders SET attempt = attempt + 1, due_at = $2 WHERE id IN (SELECT id FROM due)"
        " RETURNING id, kind, attempt, tries",
        now, now + _LEASE, limit,
    )  # fmt: skip
    return [Lease(row["id"], MailKind(row["kind"]), row["attempt"], row["tries"]) for row in rows]
