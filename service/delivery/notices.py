"""Notices: mails that tell a person what happened to their account or their address.

The worker sends them from the same outbox as every other mail (`service.delivery.worker`). A notice about an account is for
the account's own address, a notice about an invitation for the invited mailbox. A token that a notice carries is made
in the step that sends it.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Final

import orjson

from service import audit
from service.addresses import Address
from service.changes import Changed, notify
from service.database import execute, select
from service.mail import blocks
from service.mail.message import Mail, refuse_broken_mail
from service.mail.texts import BlockFacts, LinkedIdentityFacts, address_blocked_mail, identity_linked_mail
from service.models import Notice
from service.settings import Settings

# An account's own address was proved when the account was made; an account that let go of it has its oldest sign-in's.
_FACTS: Final = """
SELECT x.*, s.reason AS suppressed, b.id AS block_id FROM (
    SELECT o.id AS order_id, o.kind, o.notice, o.facts, o.member_id, o.invitation_id,
        o.generation AS order_generation, o.created_at AS ordered_at, i.community_id, i.locale, c.name AS community_name,
        CASE WHEN o.member_id IS NULL THEN c.locale ELSE (SELECT k.locale FROM memberships n JOIN communities k
            ON k.id = n.community_id WHERE n.member_id = o.member_id AND k.locale IS NOT NULL
            ORDER BY n.joined_at, n.id LIMIT 1) END AS fallback_locale,
        CASE WHEN o.member_id IS NULL THEN i.email ELSE COALESCE(m.email, (SELECT lower(d.email) FROM identities d
            WHERE d.member_id = o.member_id AND d.email_proven AND d.email IS NOT NULL
            ORDER BY d.linked_at, d.id LIMIT 1)) END AS email
    FROM mail_orders o LEFT JOIN invitations i ON i.id = o.invitation_id LEFT JOIN communities c ON c.id = i.community_id
    LEFT JOIN members m ON m.id = o.member_id
    WHERE o.id = $1
) x LEFT JOIN suppressions s ON s.email = x.email
LEFT JOIN blocks b ON b.community_id = x.community_id AND b.email = x.email
"""

_SENT: Final = """
SELECT o.id AS order_id, o.kind, o.notice, o.member_id, o.invitation_id, o.delivery AS order_delivery,
    CASE WHEN o.member_id IS NULL THEN i.email ELSE o.email END AS email, i.community_id, i.erased_at
FROM mail_orders o LEFT JOIN invitations i ON i.id = o.invitation_id WHERE o.id = $1 FOR NO KEY UPDATE OF o
"""


async def facts_of(order_id: str) -> dict[str, Any]:
    """What a notice needs: its recipient's address, None where there is none, and the rows that it is about."""
    row = (await select(_FACTS, order_id))[0]
    facts = row["facts"]
    return row | {"facts": orjson.loads(facts) if isinstance(facts, str) else facts or {}}


async def sent_order(order_id: str) -> dict[str, Any]:
    """The order of a notice that was sent, and the address that it went to. Locks the order."""
    return (await select(_SENT, order_id))[0]


def is_pointless(row: Mapping[str, Any]) -> bool:
    """Whether there is nobody to write to, or nothing to report any more: the block was lifted meanwhile."""
    lifted = row["notice"] == Notice.ADDRESS_BLOCKED and row["block_id"] is None
    return lifted or row["email"] is None


async def write(row: Mapping[str, Any], *, tags: Mapping[str, str], now: datetime, settings: Settings) -> Mail:
    """The mail of a notice. In a transaction of the caller's: the token that it may carry is stored as a digest."""
    if row["member_id"] is not None:
        await execute("UPDATE mail_orders SET email = $1 WHERE id = $2", row["email"], row["order_id"])
    return await _WRITERS[Notice(row["notice"])](row, tags, now, settings)


async def _write_address_blocked(
    row: Mapping[str, Any], tags: Mapping[str, str], now: datetime, settings: Settings
) -> Mail:
    token = await blocks.issue_undo(row["block_id"], now=now)
    with refuse_broken_mail():
        facts = BlockFacts(
            to=Address(row["email"]),
            community_name=row["community_name"],
            undo_url=f"{settings.public_url}/blocks/{token}",
            undo_ends_at=now + blocks.UNDO_LIFETIME,
        )
        return address_blocked_mail(facts, locale=row["locale"], fallback=row["fallback_locale"] or "en", tags=tags)


async def _write_identity_linked(
    row: Mapping[str, Any], tags: Mapping[str, str], _: datetime, settings: Settings
) -> Mail:
    with refuse_broken_mail():
        facts = LinkedIdentityFacts(
            to=Address(row["email"]),
            provider=row["facts"]["provider"],
            at=row["ordered_at"],
            service_url=settings.public_url,
        )
        locale = row["facts"].get("locale")
        return identity_linked_mail(facts, locale=locale, fallback=row["fallback_locale"] or "en", tags=tags)


_Writer = Callable[[Mapping[str, Any], Mapping[str, str], datetime, Settings], Awaitable[Mail]]
_WRITERS: Final[Mapping[Notice, _Writer]] = {
    Notice.ADDRESS_BLOCKED: _write_address_blocked,
    Notice.IDENTITY_LINKED: _write_identity_linked,
}


async def record_sent(row: Mapping[str, Any], *, now: datetime) -> None:
    """The history of an invitation says that its mailbox was told. Notices to accounts leave no event."""
    await _record(row, "address.block_notice_sent", {}, now)


async def record_failed(row: Mapping[str, Any], reason: str, *, now: datetime) -> None:
    """The history of an invitation says that its mailbox could not be told, with the reason."""
    await _record(row, "address.block_notice_failed", {"reason": reason}, now)


async def _record(row: Mapping[str, Any], kind: str, details: dict[str, str], now: datetime) -> None:
    if row["notice"] != Notice.ADDRESS_BLOCKED:
        return
    await audit.record(now, audit.Event(kind, row["community_id"], None, row["invitation_id"], details))
    await notify(Changed(row["community_id"], row["invitation_id"]))
