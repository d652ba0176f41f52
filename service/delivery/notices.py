"""Notices: mails that report an event to a person.

The worker sends them from the outbox like every other mail. A notice about an account goes to the account's own address,
and a notice about an invitation goes to the invited mailbox. A token in a notice is created when the notice is composed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from service import audit
from service.addresses import Address
from service.changes import Changed, notify
from service.database import execute, json_object, select
from service.delivery.errors import NothingToSend
from service.languages import Sentence
from service.limits import Recipient
from service.mail import blocks
from service.mail.message import Mail, refuse_broken_mail
from service.mail.reasons import event_details
from service.mail.suppression import Reason
from service.mail.texts import BlockFacts, LinkedIdentityFacts, address_blocked_mail, identity_linked_mail
from service.models import Delivery, MailKind, Notice
from service.settings import Settings

_NO_COMMUNITY: Final = "account"  # stands for the community in the limits of notices about an account

# An account's own address was verified when the account was created. An account without one uses the verified address of
# its oldest sign-in.
_ORDER: Final = """
SELECT x.*, s.reason AS suppressed, b.id AS block_id FROM (
    SELECT o.id AS order_id, o.notice, o.facts, o.member_id, o.invitation_id, o.created_at AS ordered_at,
        i.community_id, i.locale, c.name AS community_name,
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


@dataclass(frozen=True, slots=True)
class NoticeOrder:
    """An order of a notice, with the facts for its text.

    `email` is None for an account without a verified address. `block_id` is the block of the invited address, if it still
    exists. Notices about an account have no invitation and no community.
    """

    id: str
    notice: Notice
    facts: Mapping[str, str]
    ordered_at: datetime
    email: Address | None = field(repr=False)
    member_id: str | None
    invitation_id: str | None
    community_id: str | None
    community_name: str | None
    block_id: str | None
    locale: str | None
    fallback_locale: str | None
    suppression: Reason | None

    @property
    def address(self) -> Address:
        """The recipient. Raises NothingToSend without one."""
        if self.email is None:
            raise NothingToSend
        return self.email

    @property
    def recipient(self) -> Recipient:
        return Recipient(self.address, MailKind.NOTICE, self.community_id or _NO_COMMUNITY)

    def refuse_pointless(self) -> None:
        """Raises NothingToSend without a deliverable address, and for a block that was lifted since.

        An address that unsubscribed from invitations still receives notices.
        """
        if self.email is None or (self.notice is Notice.ADDRESS_BLOCKED and self.block_id is None):
            raise NothingToSend
        if self.suppression is not None and self.suppression.is_undeliverable:
            raise NothingToSend(suppressed=True)

    async def compose(self, settings: Settings, *, now: datetime) -> Mail:
        """Returns the mail, in the caller's transaction. Stores the digest of its token, and an account's address."""
        if self.member_id is not None:
            await execute("UPDATE mail_orders SET email = $1 WHERE id = $2", self.email, self.id)
        if self.notice is Notice.ADDRESS_BLOCKED:
            return await _compose_address_blocked(self, settings, now)
        return _compose_identity_linked(self, settings)

    async def record_sent(self, *, now: datetime, reported: bool) -> None:
        """Records the notice of a block in the invitation's history. Notices about accounts leave no event."""
        del reported
        if self.notice is Notice.ADDRESS_BLOCKED:
            await _record_event(self, "address.block_notice_sent", {}, now)

    async def record_failed(self, delivery: Delivery, reason: Sentence, *, now: datetime) -> None:
        """Records the failure of the notice of a block in the invitation's history."""
        del delivery
        if self.notice is Notice.ADDRESS_BLOCKED:
            await _record_event(self, "address.block_notice_failed", event_details(reason), now)


async def read_order(order_id: str) -> NoticeOrder:
    row = (await select(_ORDER, order_id))[0]
    return NoticeOrder(
        id=row["order_id"],
        notice=Notice(row["notice"]),
        facts=json_object(row["facts"]),
        ordered_at=row["ordered_at"],
        email=row["email"],
        member_id=row["member_id"],
        invitation_id=row["invitation_id"],
        community_id=row["community_id"],
        community_name=row["community_name"],
        block_id=row["block_id"],
        locale=row["locale"],
        fallback_locale=row["fallback_locale"],
        suppression=Reason(row["suppressed"]) if row["suppressed"] else None,
    )


async def _compose_address_blocked(order: NoticeOrder, settings: Settings, now: datetime) -> Mail:
    token = await blocks.issue_undo(order.block_id or "", now=now)
    with refuse_broken_mail():
        facts = BlockFacts(
            to=order.address,
            community_name=order.community_name or "",
            undo_url=f"{settings.public_url}/blocks/{token}",
            undo_ends_at=now + blocks.UNDO_LIFETIME,
        )
        fallback = order.fallback_locale or "en"
        return address_blocked_mail(facts, locale=order.locale, fallback=fallback, tags={"order": order.id})


def _compose_identity_linked(order: NoticeOrder, settings: Settings) -> Mail:
    with refuse_broken_mail():
        facts = LinkedIdentityFacts(
            to=order.address, provider=order.facts["provider"], at=order.ordered_at, service_url=settings.public_url
        )
        locale, fallback = order.facts.get("locale"), order.fallback_locale or "en"
        return identity_linked_mail(facts, locale=locale, fallback=fallback, tags={"order": order.id})


# -------------------------------------------------------------------------------------------------- after the sending

_SENT: Final = """
SELECT o.id AS order_id, o.notice, o.delivery, o.invitation_id,
    CASE WHEN o.member_id IS NULL THEN i.email ELSE o.email END AS email, i.community_id, i.erased_at
FROM mail_orders o LEFT JOIN invitations i ON i.id = o.invitation_id WHERE o.id = $1 FOR NO KEY UPDATE OF o
"""


@dataclass(frozen=True, slots=True)
class SentNotice:
    """A notice that was sent; `email` is the address that received it, or None when it was erased since."""

    order_id: str
    notice: Notice
    delivery: Delivery | None
    email: Address | None = field(repr=False)
    invitation_id: str | None
    community_id: str | None

    async def record_failed(self, reason: Sentence, *, now: datetime) -> None:
        """Records a failure that a delivery event reported."""
        if self.notice is Notice.ADDRESS_BLOCKED:
            await _record_event(self, "address.block_notice_failed", event_details(reason), now)


async def read_sent(order_id: str) -> SentNotice:
    """Returns the sent notice of an order, and locks the order."""
    row = (await select(_SENT, order_id))[0]
    return SentNotice(
        order_id=row["order_id"],
        notice=Notice(row["notice"]),
        delivery=row["delivery"] and Delivery(row["delivery"]),
        email=None if row["erased_at"] else row["email"],
        invitation_id=row["invitation_id"],
        community_id=row["community_id"],
    )


async def _record_event(subject: NoticeOrder | SentNotice, kind: str, details: dict[str, str], now: datetime) -> None:
    await audit.record(now, audit.Event(kind, subject.community_id, None, subject.invitation_id, details))
    await notify(Changed(subject.community_id or "", subject.invitation_id or ""))
