"""Suppression: addresses that are not written to, and the link in each mail that puts its address on the list.

The list is the service's, over all communities: an admin sees that an address is on it and never why, because that
would tell what happened in another community.
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
class Suppressed:
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
    """Puts an address on the list; a bounce or a complaint weighs more than a wish. In a transaction of the caller's."""
    if await execute(_ADD, address, reason, now):
        await audit.record(now, audit.Event("address.suppressed", details=_facts(address, reason)))


async def listed() -> list[Suppressed]:
    """The whole list, by address."""
    rows = await Suppression.all().order_by("email")
    return [Suppressed(Address(row.email), Reason(row.reason), row.created_at) for row in rows]


@dataclass(frozen=True, slots=True)
class Removed:
    """What kept mail from an address: whether it was on a list, and the names of communities whose block was lifted."""

    suppressed: bool
    blocks: list[str]


async def remove(address: Address, *, sender: MailSender | None, now: datetime) -> Removed:
    """Takes an address off the list, and off that of the mail service, and lifts every block of it.

    The mail service comes first, so that nothing changed when it cannot be asked: raises MailDeferred or MailRefused.
    """
    elsewhere = False
    if isinstance(sender, SuppressionList):
        elsewhere = await sender.on_suppression_list(address)
        await sender.remove_from_suppression_list(address)
    async with transaction():
        rows = await select("DELETE FROM suppressions WHERE email = $1 RETURNING reason", address)
        if rows or elsewhere:
            reason = rows[0]["reason"] if rows else "on the mail service's list"
            await audit.record(now, audit.Event("address.unsuppressed", details=_facts(address, reason)))
        lifted = await blocks.lift_all(address, now=now)
    return Removed(bool(rows) or elsewhere, lifted)


async def unsubscribe(token: str, *, now: datetime) -> None:
    """Stops the mail that this address did not ask for, whoever has the mail. A token that is unknown or over changes nothing, silently."""
    if len(token) > _LONGEST_TOKEN:
        return
    async with transaction():
        rows = await select(
            "SELECT email FROM unsubscribe_tokens WHERE digest = $1 AND expires_at > $2", digest_of(token), now
        )
        if rows:
            await add(Address(rows[0]["email"]), Reason.UNSUBSCRIBED, now=now)


def _facts(address: Address, reason: str) -> dict[str, str]:
    return {"email": masked(address), "reason": reason}
