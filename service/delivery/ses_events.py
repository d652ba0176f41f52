"""Delivery events: reports of Amazon SES about a mail that was sent, and their effects on its invitation.

Events arrive late, twice and in any order. Each mail keeps the latest stage that an event reported, so its delivery never
moves backwards. An invitation shows the delivery of its newest mail until it is closed.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import structlog

from service import audit, metrics
from service.addresses import Address
from service.changes import Changed, notify
from service.database import execute, select
from service.delivery import notices
from service.delivery.invitation_mails import audit_recorder
from service.delivery.leases import LONGEST_MESSAGE_ID
from service.delivery.notices import SentNotice
from service.invitation_status import Status, status_of
from service.languages import Sentence
from service.mail import suppression
from service.mail.reasons import delivery_reason, event_details, to_columns
from service.mail.suppression import SUPPRESSED, Reason
from service.models import Delivery, MailKind
from service.settings import Settings
from service.tokens import is_id

log = structlog.get_logger()

_LONGEST_LIFETIME: Final = timedelta(minutes=60)  # of a link after sending, for mails that arrive late
_LONGEST_DIAGNOSTIC: Final = 200

# The stages of delivery. Mail servers may accept a mail and bounce it later. A complaint is the last event.
_STAGES: Final = {
    Delivery.SENT: 0,
    Delivery.DELAYED: 1,
    Delivery.DELIVERED: 2,
    Delivery.FAILED: 3,
    Delivery.BOUNCED: 3,
    Delivery.SUPPRESSED: 3,
    Delivery.COMPLAINED: 4,
}

_EVENTS: Final = {
    Delivery.DELAYED: "invitation.delayed",
    Delivery.DELIVERED: "invitation.delivered",
    Delivery.BOUNCED: "invitation.bounced",
    Delivery.COMPLAINED: "invitation.complained",
    Delivery.SUPPRESSED: "invitation.suppressed",
    Delivery.FAILED: "invitation.delivery_failed",
}


@dataclass(frozen=True, slots=True)
class DeliveryOutcome:
    """An outcome that an event reports.

    `reason` is for an admin. `suppress` is the reason to suppress the address. `transient` marks a bounce that
    can also be an automatic reply; it does not override a delivery.
    """

    delivery: Delivery
    at: datetime
    reason: Sentence | None = None
    suppress: Reason | None = None
    transient: bool = False


# ------------------------------------------------------------------------------------------------------ reading an event

_Reader = Callable[[Mapping[str, Any], datetime], DeliveryOutcome | None]


def _outcome_of(event: Mapping[str, Any], now: datetime) -> DeliveryOutcome | None:
    """Returns the outcome that an event of SES reports, or None for other kinds and malformed events."""
    kind = event.get("eventType") or event.get("notificationType")
    read = _READERS.get(kind) if isinstance(kind, str) else None
    if read is None:
        return None
    key, reader = read
    return reader(_as_object(event.get(key)), now)


def _delivered(details: Mapping[str, Any], now: datetime) -> DeliveryOutcome:
    return DeliveryOutcome(Delivery.DELIVERED, _instant(details, now))


def _delayed(details: Mapping[str, Any], now: datetime) -> DeliveryOutcome:
    kind = _word(details.get("delayType"))
    facts = {"delay": kind} | _diagnostic(details.get("delayedRecipients"))
    reason = delivery_reason(_DELAYS.get(kind, "MAIL_DELAYED"), **facts)
    return DeliveryOutcome(Delivery.DELAYED, _instant(details, now), reason)


def _bounced(details: Mapping[str, Any], now: datetime) -> DeliveryOutcome:
    kind, subtype = _word(details.get("bounceType")), _word(details.get("bounceSubType"))
    at = _instant(details, now)
    if subtype in {"OnAccountSuppressionList", "Suppressed"}:
        return DeliveryOutcome(Delivery.SUPPRESSED, at, SUPPRESSED, Reason.BOUNCED)
    permanent = kind == "Permanent"
    code = _BOUNCES.get(subtype, "MAIL_BOUNCED" if permanent else "MAIL_BOUNCED_FOR_NOW")
    facts = {"bounce": f"{kind}, {subtype}"} | _diagnostic(details.get("bouncedRecipients"))
    suppress = Reason.BOUNCED if permanent else None
    return DeliveryOutcome(Delivery.BOUNCED, at, delivery_reason(code, **facts), suppress, transient=not permanent)


def _complained(details: Mapping[str, Any], now: datetime) -> DeliveryOutcome | None:
    if details.get("complaintFeedbackType") == "not-spam":
        return None
    if details.get("complaintSubType") == "OnAccountSuppressionList":
        return DeliveryOutcome(Delivery.SUPPRESSED, _instant(details, now), SUPPRESSED, Reason.COMPLAINED)
    spam = delivery_reason("MAIL_MARKED_AS_SPAM")
    return DeliveryOutcome(Delivery.COMPLAINED, _instant(details, now), spam, Reason.COMPLAINED)


def _rejected(_: Mapping[str, Any], now: datetime) -> DeliveryOutcome:
    return DeliveryOutcome(Delivery.FAILED, now, delivery_reason("MAIL_CONTENT_REFUSED"))


def _not_rendered(_: Mapping[str, Any], now: datetime) -> DeliveryOutcome:
    return DeliveryOutcome(Delivery.FAILED, now, delivery_reason("MAIL_NOT_RENDERED"))


_READERS: Final[Mapping[str, tuple[str, _Reader]]] = {
    "Delivery": ("delivery", _delivered),
    "DeliveryDelay": ("deliveryDelay", _delayed),
    "Bounce": ("bounce", _bounced),
    "Complaint": ("complaint", _complained),
    "Reject": ("reject", _rejected),
    "Rendering Failure": ("failure", _not_rendered),
}

_BOUNCES: Final = {
    "NoEmail": "MAIL_BOUNCED_NO_MAILBOX",
    "MailboxFull": "MAIL_BOUNCED_MAILBOX_FULL",
    "MessageTooLarge": "MAIL_BOUNCED_TOO_LARGE",
    "ContentRejected": "MAIL_BOUNCED_CONTENT",
    "AttachmentRejected": "MAIL_BOUNCED_CONTENT",
}
_DELAYS: Final = {
    "MailboxFull": "MAIL_DELAYED_MAILBOX_FULL",
    "RecipientServerError": "MAIL_DELAYED_SERVER_FAULT",
    "IPFailure": "MAIL_DELAYED_HELD_BACK",
    "SpamDetected": "MAIL_DELAYED_SUSPICIOUS",
    "TransientCommunicationFailure": "MAIL_DELAYED_UNREACHABLE",
    "BYOIPHostNameLookupUnavailable": "MAIL_DELAYED_LOOKUP_FAILED",
    "SendingDeferral": "MAIL_DELAYED_TOO_FAST",
    "InternalFailure": "MAIL_DELAYED_SERVICE_FAULT",
}


def _as_object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _word(value: Any) -> str:
    """Returns a keyword of SES, or "Undetermined" for any other value."""
    return value if isinstance(value, str) and re.fullmatch(r"[A-Za-z]{1,40}", value) else "Undetermined"


def _instant(details: Mapping[str, Any], now: datetime) -> datetime:
    """Returns the timestamp of the event, at most now."""
    try:
        at = datetime.fromisoformat(str(details.get("timestamp")))
    except ValueError:
        return now
    return min(at if at.tzinfo else at.replace(tzinfo=UTC), now)


def _diagnostic(recipients: Any) -> dict[str, str]:
    """Returns the fact with the answer of the mail server, without links and addresses that spam filters repeat."""
    first = _as_object(recipients[0]) if isinstance(recipients, list) and recipients else {}
    diagnostic = first.get("diagnosticCode")
    plain = _without_secrets(diagnostic) if isinstance(diagnostic, str) else ""
    return {"diagnostic": plain} if plain else {}


def _without_secrets(text: str) -> str:
    """Returns the answer of a mail server without links, tokens and addresses, which it may repeat from the mail."""
    line = " ".join(re.sub(r"[^\x20-\x7e]", " ", text).split())
    line = re.sub(r"\S*(://|www\.)\S*", "[link]", line, flags=re.IGNORECASE)
    line = re.sub(r"\S*[^\s@]@[^\s@]\S*", "[address]", line)
    line = re.sub(r"\S*[A-Za-z0-9_=+/%#-]{20,}\S*", "[…]", line)
    return line[:_LONGEST_DIAGNOSTIC]


# ------------------------------------------------------------------------------------------------- applying an outcome


_SENT: Final = """
SELECT o.id AS order_id, o.kind, o.generation AS order_generation, o.delivery AS order_delivery,
    o.created_at AS ordered_at, i.id AS invitation_id, i.community_id, i.email, i.generation, i.expires_at,
    i.accepted_at, i.declined_at, i.revoked_at, i.superseded_at, i.erased_at, c.link_minutes
FROM mail_orders o JOIN invitations i ON i.id = o.invitation_id JOIN communities c ON c.id = i.community_id
WHERE o.id = $1
"""
_LOCK_SENT: Final = """
SELECT o.id FROM mail_orders o JOIN invitations i ON i.id = o.invitation_id WHERE o.id = $1 FOR NO KEY UPDATE
"""


@dataclass(frozen=True, slots=True)
class SentMail:
    """A mail about an invitation that was sent.

    `is_current` is set while the invitation is pending and was not resent since. `email` is None after an erasure.
    """

    order_id: str
    kind: MailKind
    generation: int
    is_current: bool
    delivery: Delivery | None
    ordered_at: datetime
    email: Address | None = field(repr=False)
    invitation_id: str
    community_id: str
    expires_at: datetime
    link_minutes: int | None


async def apply_event(event: Mapping[str, Any], *, now: datetime, settings: Settings) -> None:
    """Updates the mail, the suppression list, the link's deadline and the invitation, in the caller's transaction.

    Locks the order before the invitation, as the worker does when it records a mail as sent. The two cannot deadlock, and
    both see whether the invitation was closed.
    """
    outcome = _outcome_of(event, now)
    order = await _find_order(_as_object(event.get("mail"))) if outcome else None
    if outcome is None or order is None:
        log.info("delivery_event.passed_over", kind=_word(event.get("eventType")), known=outcome is not None)
        return
    order_id, kind = order
    if kind == MailKind.NOTICE:
        await _apply_to_notice(await notices.read_sent(order_id), outcome, now)
        return
    mail = await _read_sent(order_id, now)
    if outcome.suppress is not None and mail.email is not None:
        await suppression.add(mail.email, outcome.suppress, now=now)
    if outcome.delivery is Delivery.DELIVERED and mail.is_current:
        await _extend_links(mail, outcome.at, settings)
    if _is_further(outcome, mail.delivery):
        await _record_outcome(mail, outcome, now)


async def _apply_to_notice(mail: SentNotice, outcome: DeliveryOutcome, now: datetime) -> None:
    """Updates a notice and the suppression list. The delivery that its invitation shows stays unchanged."""
    if outcome.suppress is not None and mail.email is not None:
        await suppression.add(mail.email, outcome.suppress, now=now)
    if not _is_further(outcome, mail.delivery):
        return
    await _update_order(mail.order_id, MailKind.NOTICE, outcome.delivery)
    if outcome.delivery in {Delivery.BOUNCED, Delivery.SUPPRESSED, Delivery.FAILED}:
        await mail.record_failed(outcome.reason or SUPPRESSED, now=now)


async def _find_order(mail: Mapping[str, Any]) -> tuple[str, str] | None:
    """Returns the id and the kind of a mail's order, by our tag on the mail, or by the mail service's id for it."""
    tags = _as_object(mail.get("tags")).get("order")
    tagged = tags[0] if isinstance(tags, list) and tags else None
    if isinstance(tagged, str) and is_id(tagged):
        rows = await select("SELECT id, kind FROM mail_orders WHERE id = $1", tagged)
    else:
        message_id = str(mail.get("messageId"))[:LONGEST_MESSAGE_ID]
        rows = await select("SELECT id, kind FROM mail_orders WHERE message_id = $1 LIMIT 1", message_id)
    return (rows[0]["id"], rows[0]["kind"]) if rows else None


async def _read_sent(order_id: str, now: datetime) -> SentMail:
    """Returns the sent mail of an order. Locks the order and the invitation first."""
    await select(_LOCK_SENT, order_id)
    row = (await select(_SENT, order_id))[0]
    return SentMail(
        order_id=row["order_id"],
        kind=MailKind(row["kind"]),
        generation=row["order_generation"],
        is_current=status_of(row, now) is Status.PENDING and row["order_generation"] == row["generation"],
        delivery=row["order_delivery"] and Delivery(row["order_delivery"]),
        ordered_at=row["ordered_at"],
        email=None if row["erased_at"] else Address(row["email"]),
        invitation_id=row["invitation_id"],
        community_id=row["community_id"],
        expires_at=row["expires_at"],
        link_minutes=row["link_minutes"],
    )


def _is_further(outcome: DeliveryOutcome, before: Delivery | None) -> bool:
    """Returns whether the event reports a later stage of delivery than the earlier events."""
    before = before or Delivery.SENT
    if outcome.transient and before is Delivery.DELIVERED:
        return False
    return _STAGES[outcome.delivery] > _STAGES[before]


async def _update_order(order_id: str, kind: MailKind, delivery: Delivery) -> None:
    await execute("UPDATE mail_orders SET delivery = $1 WHERE id = $2", delivery, order_id)
    metrics.mails.labels(kind, delivery.lower()).inc()


async def _record_outcome(mail: SentMail, outcome: DeliveryOutcome, now: datetime) -> None:
    await _update_order(mail.order_id, mail.kind, outcome.delivery)
    if not mail.is_current:
        return
    if mail.kind is not MailKind.CODE:
        if not await _is_newest(mail):
            return
        await _show(mail.invitation_id, outcome)
    record, facts = audit_recorder(mail.kind), {} if outcome.reason is None else event_details(outcome.reason)
    await record(now, audit.Event(_EVENTS[outcome.delivery], mail.community_id, None, mail.invitation_id, facts))
    await notify(Changed(mail.community_id, mail.invitation_id))


async def _is_newest(mail: SentMail) -> bool:
    newer = await select(
        "SELECT 1 AS one FROM mail_orders WHERE invitation_id = $1 AND created_at > $2 AND sent_at IS NOT NULL"
        " AND kind IN ('invitation', 'fresh_link') LIMIT 1",
        mail.invitation_id, mail.ordered_at,
    )  # fmt: skip
    return not newer


async def _show(invitation_id: str, outcome: DeliveryOutcome) -> None:
    delivered_at = outcome.at if outcome.delivery is Delivery.DELIVERED else None
    await execute(
        "UPDATE invitations SET delivery = $1, delivery_reason = NULL, delivery_code = $2, delivery_facts = $3,"
        " delivery_at = $4, delivered_at = COALESCE($5, delivered_at),"
        " first_delivered_at = COALESCE(first_delivered_at, $5) WHERE id = $6",
        outcome.delivery, *to_columns(outcome.reason), outcome.at, delivered_at, invitation_id,
    )  # fmt: skip


async def _extend_links(mail: SentMail, delivered_at: datetime, settings: Settings) -> None:
    """Extends each link of the order so that its minutes begin at the delivery. Slow relays do not shorten them.

    An order has a link for each attempt. The extended link is valid for at most 60 minutes after sending, and never beyond
    the invitation.
    """
    minutes = timedelta(minutes=mail.link_minutes or settings.link_minutes)
    links = await select(
        "SELECT id, created_at, expires_at FROM links WHERE mail_order_id = $1 AND generation = $2",
        mail.order_id, mail.generation,
    )  # fmt: skip
    for link in links:
        expires_at = min(delivered_at + minutes, link["created_at"] + _LONGEST_LIFETIME, mail.expires_at)
        if expires_at > link["expires_at"]:
            await execute("UPDATE links SET expires_at = $1 WHERE id = $2 AND expires_at < $1", expires_at, link["id"])
