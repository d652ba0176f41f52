"""Suppression: addresses that receive no mail, and the unsubscribe link of each mail.

The list is shared by all communities. An admin sees that an address is on it but not the reason, because the reason would
reveal an event of another community.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from service import audit
from service.addresses import Address, masked
from service.database import execute, select, transaction
from service.mail import blocks
from service.mail.reasons import delivery_reason
from service.mail.senders import MailSender, SuppressionList
from service.models import Suppression
from service.tokens import digest_of

_LONGEST_TOKEN: Final = 200


SUPPRESSED: Final = delivery_reason("MAIL_SUPPRESSED")


class Reason(StrEnum):
    """The reason why an address receives no mail. An unsubscribed address still receives codes and notices."""

    BOUNCED = "bounced"
    COMPLAINED = "complained"
    UNSUBSCRIBED = "unsubscribed"

    @property
    def is_undeliverable(self) -> bool:
        """Whether the address receives no mail at all."""
        return self is not Reason.UNSUBSCRIBED


@dataclass(frozen=True, slots=True)
class SuppressionView:
    """An address on the list, for the operator."""

    email: Address
    reason: Reason
    since: datetime


_ADD: Final = """
INSERT INTO suppressions (email, reason, created_at) VALUES ($1, $2, $3)
ON CONFLICT (email) DO UPDATE SET reason = excluded.reason, created_at = excluded.created_at
    WHERE suppressions.reason = 'unsubscribed' AND excluded.reason <> 'unsubscribed'
"""


async def add(address: Address, reason: Reason, *, now: datetime) -> None:
    """Adds an address to the list, in the caller's transaction. A bounce or a complaint replaces an unsubscription."""
    if await execute(_ADD, address, reason, now):
        await audit.record(now, audit.Event("address.suppressed", details=_event_details(address, reason)))


async def list_all() -> list[SuppressionView]:
    """Returns the whole list, ordered by address."""
    rows = await Suppression.all().order_by("email")
    return [SuppressionView(Address(row.email), Reason(row.reason), row.created_at) for row in rows]


@dataclass(frozen=True, slots=True)
class Removal:
    """The result of a removal.

    `was_suppressed` is set when the address was on a list. `unblocked_by` are the names of the communities whose block was
    lifted.
    """

    was_suppressed: bool
    unblocked_by: list[str]


async def remove(address: Address, *, sender: MailSender | None, now: datetime) -> Removal:
    """Removes an address from our list and from the mail service's list, and lifts all its blocks.

    The mail service comes first: if it does not answer, nothing has changed. Raises MailDeferred or MailRefused.
    """
    on_their_list = False
    if isinstance(sender, SuppressionList):
        on_their_list = await sender.on_suppression_list(address)
        await sender.remove_from_suppression_list(address)
    async with transaction():
        rows = await select("DELETE FROM suppressions WHERE email = $1 RETURNING reason", address)
        if rows or on_their_list:
            reason = rows[0]["reason"] if rows else "on the mail service's list"
            await audit.record(now, audit.Event("address.unsuppressed", details=_event_details(address, reason)))
        lifted = await blocks.lift_all(address, now=now)
    return Removal(bool(rows) or on_their_list, lifted)


async def unsubscribe(token: str, *, now: datetime) -> None:
    """Suppresses invitations to the address of an unsubscribe token. An unknown or expired token changes nothing."""
    if len(token) > _LONGEST_TOKEN:
        return
    async with transaction():
        rows = await select(
            "SELECT email FROM unsubscribe_tokens WHERE digest = $1 AND expires_at > $2", digest_of(token), now
        )
        if rows:
            await add(Address(rows[0]["email"]), Reason.UNSUBSCRIBED, now=now)


def _event_details(address: Address, reason: str) -> dict[str, str]:
    return {"email": masked(address), "reason": reason}
