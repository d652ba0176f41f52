"""Delivery events: what Amazon SES tells of a mail after it was sent, and what that means for its invitation.

Events come late, twice and in any order. Each mail keeps the furthest that was said of it, so nothing moves backwards;
an invitation shows what became of its newest mail, and nothing of a mail changes it any more once it is closed.
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
from service.delivery.worker import SUPPRESSED
from service.invitations.status import Status, status_of
from service.mail import suppression
from service.mail.suppression import Reason
from service.models import Delivery, MailKind
from service.settings import Settings
from service.tokens import is_id

log = structlog.get_logger()

_LONGEST_LIFE: Final = timedelta(minutes=60)  # of a link after its mail was sent, however late that arrived
_LONGEST_DIAGNOSTIC: Final = 200
_LONGEST_REASON: Final = 500

# How far a mail has come. Mail servers take a mail first and bounce it later; a complaint comes last.
_FURTHER: Final = {
    Delivery.SENT: 0,
    Delivery.DELAYED: 1,
    Delivery.DELIVERED: 2,
    Delivery.FAILED: 3,
    Delivery.BOUNCED: 3,
    Delivery.SUPPRESSED: 3,
    Delivery.COMPLAINED: 4,
}

_KINDS: Final = {
    Delivery.DELAYED: "invitation.delayed",
    Delivery.DELIVERED: "invitation.delivered",
    Delivery.BOUNCED: "invitation.bounced",
    Delivery.COMPLAINED: "invitation.complained",
    Delivery.SUPPRESSED: "invitation.suppressed",
    Delivery.FAILED: "invitation.delivery_failed",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an event says of its mail: how far it came, why in a sentence for an admin, and whether to write again."""

    delivery: Delivery
    at: datetime
    reason: str | None = None
    suppress: Reason | None = None
    passing: bool = False  # an automatic reply looks like this: it says nothing against a mail that was delivered
    facts: Mapping[str, str] = field(default_factory=dict)


# ------------------------------------------------------------------------------------------------------ reading an event

_Reader = Callable[[Mapping[str, Any], datetime], Verdict | None]


def verdict_of(event: Mapping[str, Any], now: datetime) -> Verdict | None:
    """What an event of SES says; None for kinds that say nothing about delivery, and for what is no event."""
    kind = event.get("eventType") or event.get("notificationType")
    read = _READERS.get(kind) if isinstance(kind, str) else None
    if read is None:
        return None
    key, reader = read
    return reader(_object(event.get(key)), now)


def _delivered(told: Mapping[str, Any], now: datetime) -> Verdict:
    return Verdict(Delivery.DELIVERED, _instant(told, now))


def _delayed(told: Mapping[str, Any], now: datetime) -> Verdict:
    why, words = _word(told.get("delayType")), _diagnostic(told.get("delayedRecipients"))
    meaning = _DELAYS.get(why, "the invitee's mail server does not take it yet")
    reason = f"The mail is late: {meaning} ({why}). The mail service tries again by itself.{words}"
    return Verdict(Delivery.DELAYED, _instant(told, now), reason, facts={"reason": reason})


def _bounced(told: Mapping[str, Any], now: datetime) -> Verdict:
    kind, subtype = _word(told.get("bounceType")), _word(told.get("bounceSubType"))
    at, words = _instant(told, now), _diagnostic(told.get("bouncedRecipients"))
    if subtype in {"OnAccountSuppressionList", "Suppressed"}:
        return Verdict(Delivery.SUPPRESSED, at, SUPPRESSED, Reason.BOUNCED, facts={"reason": SUPPRESSED})
    permanent = kind == "Permanent"
    meaning = _BOUNCES.get(subtype, _FOR_GOOD if permanent else _FOR_NOW)
    reason = f"The mail came back: {meaning} ({kind}, {subtype}).{words}"
    return Verdict(
        Delivery.BOUNCED, at, reason, Reason.BOUNCED if permanent else None, passing=not permanent,
        facts={"reason": reason},
    )  # fmt: skip


def _complained(told: Mapping[str, Any], now: datetime) -> Verdict | None:
    if told.get("complaintFeedbackType") == "not-spam":
        return None
    if told.get("complaintSubType") == "OnAccountSuppressionList":
        return Verdict(
            Delivery.SUPPRESSED, _instant(told, now), SUPPRESSED, Reason.COMPLAINED, facts={"reason": SUPPRESSED}
        )
    return Verdict(Delivery.COMPLAINED, _instant(told, now), SPAM, Reason.COMPLAINED)


def _rejected(_: Mapping[str, Any], now: datetime) -> Verdict:
    return Verdict(Delivery.FAILED, now, _VIRUS, facts={"reason": _VIRUS})


def _not_rendered(_: Mapping[str, Any], now: datetime) -> Verdict:
    return Verdict(Delivery.FAILED, now, _NOT_RENDERED, facts={"reason": _NOT_RENDERED})


_READERS: Final[Mapping[str, tuple[str, _Reader]]] = {
    "Delivery": ("delivery", _delivered),
    "DeliveryDelay": ("deliveryDelay", _delayed),
    "Bounce": ("bounce", _bounced),
    "Complaint": ("complaint", _complained),
    "Reject": ("reject", _rejected),
    "Rendering Failure": ("failure", _not_rendered),
}

_FOR_GOOD: Final = "the invitee's mail server refused it for good; ask the person for another address"
_FOR_NOW: Final = "the invitee's mail server did not take it; send it again later"
SPAM: Final = (
    "The recipient marked the mail as spam, so nothing more is sent to this address. Ask the person in another way."
)
_VIRUS: Final = (
    "The mail service refused this mail for its content. A shorter or plainer message to the invitee may help."
)
_NOT_RENDERED: Final = (
    "The mail service could not put this mail together. Tell the operator; send it again when that is mended."
)
_BOUNCES: Final = {
    "NoEmail": "there is no such mailbox; check the spelling of the address",
    "MailboxFull": "the mailbox is full; ask the person to make room, and send it again",
    "MessageTooLarge": "the mail is too large for the mailbox; a shorter message may help",
    "ContentRejected": "the invitee's mail server does not like its content; a plainer message may help",
    "AttachmentRejected": "the invitee's mail server does not like its content; a plainer message may help",
}
_DELAYS: Final = {
    "MailboxFull": "the mailbox is full; ask the person to make room",
    "RecipientServerError": "the invitee's mail server has a fault",
    "IPFailure": "the invitee's mail server holds back mail from the mail service",
    "SpamDetected": "the invitee's mail server finds the mail suspicious",
    "TransientCommunicationFailure": "the invitee's mail server could not be reached",
    "BYOIPHostNameLookupUnavailable": "the name of the mail service could not be looked up; tell the operator",
    "SendingDeferral": "the invitee's mail server, or the mail service, wants it slower",
    "InternalFailure": "the mail service has a fault of its own",
}


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _word(value: Any) -> str:
    """One of SES's own short words."""
    return value if isinstance(value, str) and re.fullmatch(r"[A-Za-z]{1,40}", value) else "Undetermined"


def _instant(told: Mapping[str, Any], now: datetime) -> datetime:
    """When it happened; never later than now, whatever clocks say."""
    try:
        at = datetime.fromisoformat(str(told.get("timestamp")))
    except ValueError:
        return now
    return min(at if at.tzinfo else at.replace(tzinfo=UTC), now)


def _diagnostic(recipients: Any) -> str:
    """What the mail server said, as a sentence. Spam filters repeat links and addresses: neither gets through."""
    first = _object(recipients[0]) if isinstance(recipients, list) and recipients else {}
    said = first.get("diagnosticCode")
    plain = harmless(said) if isinstance(said, str) else ""
    return f" The mail server said: {plain}" if plain else ""


def harmless(text: str) -> str:
    """Words of a mail server without what they might repeat of the mail: links, tokens and addresses."""
    line = " ".join(re.sub(r"[^\x20-\x7e]", " ", text).split())
    line = re.sub(r"\S*(://|www\.)\S*", "[link]", line, flags=re.IGNORECASE)
    line = re.sub(r"\S*[^\s@]@[^\s@]\S*", "[address]", line)
    line = re.sub(r"\S*[A-Za-z0-9_=+/%#-]{20,}\S*", "[…]", line)
    return line[:_LONGEST_DIAGNOSTIC]


# --------------------------------------------------------------------------------------------------------- taking it in


_FACTS = """
SELECT o.id AS order_id, o.kind, o.generation AS order_generation, o.delivery AS order_delivery,
    o.created_at AS ordered_at, i.id AS invitation_id, i.community_id, i.email, i.generation, i.expires_at,
    i.accepted_at, i.declined_at, i.revoked_at, i.superseded_at, i.erased_at, c.link_minutes
FROM mail_orders o JOIN invitations i ON i.id = o.invitation_id JOIN communities c ON c.id = i.community_id
WHERE o.id = $1
"""


async def take_in(event: Mapping[str, Any], *, now: datetime, settings: Settings) -> None:
    """Moves what the event tells of: the mail, the suppression list, the link's deadline, the invitation.

    In a transaction of the caller's. The order's row is locked first and then the invitation's, as the worker does when
    it records a mail as sent: so none of them waits for the other, and none sees the invitation close meanwhile.
    """
    verdict = verdict_of(event, now)
    order = await _order_of(_object(event.get("mail"))) if verdict else None
    if verdict is None or order is None:
        log.info("delivery_event.passed_over", kind=_word(event.get("eventType")), known=verdict is not None)
        return
    order_id, kind = order
    if kind == MailKind.NOTICE:
        await _take_in_of_notice(order_id, verdict, now)
        return
    await select(
        "SELECT o.id FROM mail_orders o JOIN invitations i ON i.id = o.invitation_id WHERE o.id = $1 FOR NO KEY UPDATE",
        order_id,
    )
    row = (await select(_FACTS, order_id))[0]
    if verdict.suppress is not None and row["erased_at"] is None:
        await suppression.add(Address(row["email"]), verdict.suppress, now=now)
    if verdict.delivery is Delivery.DELIVERED:
        await _extend_links(row, verdict.at, now, settings)
    if _moves(row, verdict):
        await _move(row, verdict, now)


async def _take_in_of_notice(order_id: str, verdict: Verdict, now: datetime) -> None:
    """An event of a notice moves that mail and the suppression list, and says nothing about its invitation's delivery."""
    row = await notices.sent_order(order_id)
    if verdict.suppress is not None and row["email"] is not None and row["erased_at"] is None:
        await suppression.add(Address(row["email"]), verdict.suppress, now=now)
    if not _moves(row, verdict):
        return
    await execute("UPDATE mail_orders SET delivery = $1 WHERE id = $2", verdict.delivery, order_id)
    metrics.mails.labels(row["kind"], verdict.delivery.lower()).inc()
    if verdict.delivery in {Delivery.BOUNCED, Delivery.SUPPRESSED, Delivery.FAILED}:
        await notices.record_failed(row, verdict.reason or SUPPRESSED, now=now)


async def _order_of(mail: Mapping[str, Any]) -> tuple[str, str] | None:
    """The order that a mail was sent for, and its kind: by our tag on it, else by the mail service's id of it."""
    tags = _object(mail.get("tags")).get("order")
    tagged = tags[0] if isinstance(tags, list) and tags else None
    if isinstance(tagged, str) and is_id(tagged):
        rows = await select("SELECT id, kind FROM mail_orders WHERE id = $1", tagged)
    else:
        rows = await select(
            "SELECT id, kind FROM mail_orders WHERE message_id = $1 LIMIT 1", str(mail.get("messageId"))[:200]
        )
    return (rows[0]["id"], rows[0]["kind"]) if rows else None


def _moves(row: Mapping[str, Any], verdict: Verdict) -> bool:
    """Whether the event brings the mail further than it was known to be."""
    before = Delivery(row["order_delivery"] or Delivery.SENT)
    if verdict.passing and before is Delivery.DELIVERED:
        return False
    return _FURTHER[verdict.delivery] > _FURTHER[before]


async def _move(row: dict[str, Any], verdict: Verdict, now: datetime) -> None:
    await execute("UPDATE mail_orders SET delivery = $1 WHERE id = $2", verdict.delivery, row["order_id"])
    metrics.mails.labels(row["kind"], verdict.delivery.lower()).inc()
    if status_of(row, now) is not Status.PENDING or row["order_generation"] != row["generation"]:
        return
    if row["kind"] != MailKind.CODE and not await _is_newest(row):
        return
    if row["kind"] != MailKind.CODE:
        await _show(row["invitation_id"], verdict)
    # Codes and fresh links are sent because somebody without an account asked for them.
    record = audit.record if row["kind"] == MailKind.INVITATION else audit.record_anonymous
    facts = dict(verdict.facts)
    await record(now, audit.Event(_KINDS[verdict.delivery], row["community_id"], None, row["invitation_id"], facts))
    await notify(Changed(row["community_id"], row["invitation_id"]))


async def _is_newest(row: Mapping[str, Any]) -> bool:
    newer = await select(
        "SELECT 1 AS one FROM mail_orders WHERE invitation_id = $1 AND created_at > $2 AND sent_at IS NOT NULL"
        " AND kind IN ('invitation', 'fresh_link') LIMIT 1",
        row["invitation_id"], row["ordered_at"],
    )  # fmt: skip
    return not newer


async def _show(invitation_id: str, verdict: Verdict) -> None:
    reason = verdict.reason[:_LONGEST_REASON] if verdict.reason else None
    delivered_at = verdict.at if verdict.delivery is Delivery.DELIVERED else None
    await execute(
        "UPDATE invitations SET delivery = $1, delivery_reason = $2, delivery_at = $3,"
        " delivered_at = COALESCE($4, delivered_at), first_delivered_at = COALESCE(first_delivered_at, $4) WHERE id = $5",
        verdict.delivery, reason, verdict.at, delivered_at, invitation_id,
    )  # fmt: skip


async def _extend_links(row: Mapping[str, Any], delivered_at: datetime, now: datetime, settings: Settings) -> None:
    """The minutes of a link begin when its mail arrives: greylisting and slow relays do not kill it.

    All links of this order that may still be opened, because each attempt to send it made one.
    """
    if status_of(dict(row), now) is not Status.PENDING:
        return
    minutes = timedelta(minutes=row["link_minutes"] or settings.link_minutes)
    living = await select(
        "SELECT id, created_at, expires_at FROM links WHERE mail_order_id = $1 AND generation = $2",
        row["order_id"], row["generation"],
    )  # fmt: skip
    for link in living:
        ends = min(delivered_at + minutes, link["created_at"] + _LONGEST_LIFE, row["expires_at"])
        if ends > link["expires_at"]:
            await execute("UPDATE links SET expires_at = $1 WHERE id = $2 AND expires_at < $1", ends, link["id"])
