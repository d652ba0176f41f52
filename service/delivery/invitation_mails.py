"""Mails about an invitation: its links, and the codes that verify the invited mailbox.

Tokens and codes are created in the transaction that composes the mail. The database stores their digests only.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from service import audit
from service.addresses import Address
from service.changes import Changed, notify
from service.database import execute, select
from service.delivery.errors import NothingToSend
from service.invitation_status import Status, is_pending, status_of
from service.invitations.links import issue_link
from service.languages import Sentence
from service.limits import Recipient
from service.mail.message import Mail, refuse_broken_mail
from service.mail.reasons import event_details, to_columns
from service.mail.suppression import Reason
from service.mail.texts import CodeFacts, InvitationFacts, Role, code_mail, invitation_mail
from service.models import Delivery, MailKind, UnsubscribeToken
from service.settings import Settings
from service.sign_in import mailbox_codes
from service.tokens import new_token

_UNSUBSCRIBE_LIFETIME: Final = timedelta(days=30)

_ORDER: Final = """
SELECT o.id AS order_id, o.kind, o.generation AS order_generation, o.flow_id, o.invitation_id,
    i.community_id, i.email, i.role, i.message, i.locale, i.generation, i.expires_at, i.accepted_at, i.declined_at,
    i.revoked_at, i.superseded_at, c.name AS community_name, c.locale AS community_locale, c.link_minutes,
    v.name AS inviter_name, s.reason AS suppressed, b.id AS block_id
FROM mail_orders o JOIN invitations i ON i.id = o.invitation_id JOIN communities c ON c.id = i.community_id
LEFT JOIN members v ON v.id = i.inviter_id
LEFT JOIN suppressions s ON s.email = i.email
LEFT JOIN blocks b ON b.community_id = i.community_id AND b.email = i.email
WHERE o.id = $1
"""

_SHOW_SENT: Final = """
UPDATE invitations SET delivery = 'SENT', delivery_reason = NULL, delivery_code = NULL, delivery_facts = NULL, delivery_at = $1, last_sent_at = $1
WHERE id = $2 AND generation = $3
"""
_SHOW_SENT_AFTER_REPORT: Final = "UPDATE invitations SET last_sent_at = $1 WHERE id = $2 AND generation = $3"
_SHOW_FAILED: Final = f"""
UPDATE invitations SET delivery = $1, delivery_reason = NULL, delivery_code = $2, delivery_facts = $3, delivery_at = $4
WHERE id = $5 AND generation = $6
    AND {is_pending("$4")}
"""  # noqa: S608 -- constants
_SHOW_DEFERRAL: Final = """
UPDATE invitations SET delivery_reason = NULL, delivery_code = $1, delivery_facts = $2 WHERE delivery = 'QUEUED'
    AND id = (SELECT invitation_id FROM mail_orders WHERE id = $3)
RETURNING id, community_id
"""


@dataclass(frozen=True, slots=True)
class InvitationOrder:
    """An order of a mail about an invitation, with the facts for its text.

    `generation` belongs to the order. `is_current` is set while the invitation is pending and was not resent since.
    """

    id: str
    kind: MailKind
    flow_id: str | None
    generation: int
    is_current: bool
    invitation_id: str
    expires_at: datetime
    email: Address = field(repr=False)
    role: Role
    message: str | None = field(repr=False)
    inviter_name: str | None
    locale: str | None
    community_id: str
    community_name: str
    community_locale: str | None
    link_minutes: int | None
    suppression: Reason | None
    is_blocked: bool

    @property
    def recipient(self) -> Recipient:
        return Recipient(self.email, self.kind, self.community_id)

    def refuse_pointless(self) -> None:
        """Raises NothingToSend for an invitation that is closed or was resent, and for an address that accepts no mail.

        An unsubscribed address still receives codes. Admins do not see that a fresh link was
        suppressed (H180).
        """
        if not self.is_current:
            raise NothingToSend
        unsubscribed = self.suppression is Reason.UNSUBSCRIBED and self.kind is not MailKind.CODE
        undeliverable = self.suppression is not None and self.suppression.is_undeliverable
        if unsubscribed or undeliverable or self.is_blocked:
            raise NothingToSend(suppressed=self.kind is not MailKind.FRESH_LINK)

    async def compose(self, settings: Settings, *, now: datetime) -> Mail:
        """Returns the mail with a new link or code, in the caller's transaction."""
        return await (_compose_code(self, now) if self.kind is MailKind.CODE else _compose_link(self, settings, now))

    async def record_sent(self, *, now: datetime, reported: bool) -> None:
        """Shows on the invitation that its mail was sent.

        With `reported`, a delivery event arrived before this record. The invitation then keeps the event's outcome.
        """
        if self.kind is MailKind.CODE:
            return
        show = _SHOW_SENT_AFTER_REPORT if reported else _SHOW_SENT
        await execute(show, now, self.invitation_id, self.generation)
        await self._record_event("invitation.sent", {"mail": self.kind}, now)

    async def record_failed(self, delivery: Delivery, reason: Sentence, *, now: datetime) -> None:
        """Shows on the pending invitation that its mail failed or was suppressed. Ends the flow that waits for a code."""
        if self.kind is MailKind.CODE:
            await mailbox_codes.give_up(self.flow_id or "", self.community_id, self.invitation_id, now=now)
            return
        updated = await execute(_SHOW_FAILED, delivery, *to_columns(reason), now, self.invitation_id, self.generation)
        if updated:
            kind = "invitation.suppressed" if delivery is Delivery.SUPPRESSED else "invitation.delivery_failed"
            await self._record_event(kind, event_details(reason), now)

    async def _record_event(self, kind: str, details: dict[str, str], now: datetime) -> None:
        record = audit_recorder(self.kind)
        await record(now, audit.Event(kind, self.community_id, None, self.invitation_id, details))
        await notify(Changed(self.community_id, self.invitation_id))


def audit_recorder(kind: str) -> Callable[[datetime, audit.Event], Awaitable[None]]:
    """Returns the recorder for events of a mail.

    Repeated events of fresh links and codes are counted, because people without an account can order these mails.
    """
    return audit.record if kind == MailKind.INVITATION else audit.record_anonymous


async def read_order(order_id: str, *, now: datetime) -> InvitationOrder:
    row = (await select(_ORDER, order_id))[0]
    return InvitationOrder(
        id=row["order_id"],
        kind=MailKind(row["kind"]),
        flow_id=row["flow_id"],
        generation=row["order_generation"],
        is_current=_is_current(row, now),
        invitation_id=row["invitation_id"],
        expires_at=row["expires_at"],
        email=Address(row["email"]),
        role=row["role"],
        message=row["message"],
        inviter_name=row["inviter_name"],
        locale=row["locale"],
        community_id=row["community_id"],
        community_name=row["community_name"],
        community_locale=row["community_locale"],
        link_minutes=row["link_minutes"],
        suppression=Reason(row["suppressed"]) if row["suppressed"] else None,
        is_blocked=row["block_id"] is not None,
    )


def _is_current(row: dict[str, Any], now: datetime) -> bool:
    return status_of(row, now) is Status.PENDING and row["generation"] == row["order_generation"]


async def _compose_link(order: InvitationOrder, settings: Settings, now: datetime) -> Mail:
    minutes = order.link_minutes or settings.link_minutes
    token = await issue_link(
        order.invitation_id, order.id, order.generation, minutes=minutes, ends=order.expires_at, now=now
    )
    facts = InvitationFacts(
        to=order.email,
        community_name=order.community_name,
        inviter_name=order.inviter_name,
        role=order.role,
        message=order.message,
        link=settings.confirm_url.replace("{token}", token),
        link_minutes=minutes,
        invitation_expires_at=order.expires_at,
        unsubscribe_url=await _unsubscribe_url(order.email, settings, now),
        fresh=order.kind is MailKind.FRESH_LINK,
    )
    with refuse_broken_mail():
        fallback = order.community_locale or "en"
        return invitation_mail(facts, locale=order.locale, fallback=fallback, tags=_tags(order))


async def _compose_code(order: InvitationOrder, now: datetime) -> Mail:
    code = await mailbox_codes.issue(order.flow_id or "", now=now)
    if code is None:
        raise NothingToSend
    minutes = int(mailbox_codes.LIFETIME.total_seconds() // 60)
    with refuse_broken_mail():
        facts = CodeFacts(order.email, code, order.community_name, minutes)
        return code_mail(facts, locale=order.locale, fallback=order.community_locale or "en", tags=_tags(order))


def _tags(order: InvitationOrder) -> Mapping[str, str]:
    return {"order": order.id}


async def _unsubscribe_url(address: Address, settings: Settings, now: datetime) -> str:
    token, digest = new_token()
    await UnsubscribeToken.create(digest=digest, email=address, expires_at=now + _UNSUBSCRIBE_LIFETIME)
    return f"{settings.public_url}/unsubscribe/{token}"


async def show_deferral(order_id: str, reason: Sentence) -> None:
    """Shows on a queued invitation why its mail is not sent yet."""
    for row in await select(_SHOW_DEFERRAL, *to_columns(reason), order_id):
        await notify(Changed(row["community_id"], row["id"]))
