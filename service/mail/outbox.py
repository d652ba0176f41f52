"""The outbox: orders to send one mail each, written in the transaction of the change that causes the mail.

An order contains no link and no code. The worker creates them when it sends the mail (`service.delivery.worker`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from service.database import Statement, execute_batch, insert, select
from service.models import MailKind, MailOrder, Notice
from service.tokens import new_id

WAITING: Final = "sent_at IS NULL AND failed_at IS NULL AND cancelled_at IS NULL"
"""The SQL condition for orders whose mail is still to be sent."""


async def order(
    invitation_id: str, *, generation: int, kind: MailKind, now: datetime, flow_id: str | None = None
) -> None:
    """Orders one mail, in the caller's transaction."""
    await execute_batch(order_statement(invitation_id, generation=generation, kind=kind, now=now, flow_id=flow_id))


def order_statement(
    invitation_id: str, *, generation: int, kind: MailKind, now: datetime, flow_id: str | None = None
) -> Statement:
    """Returns the statement that orders one mail, to be run with the change that the mail reports."""
    return insert("mail_orders", {
        "id": new_id("ord"), "kind": kind, "invitation_id": invitation_id, "generation": generation,
        "flow_id": flow_id, "created_at": now, "due_at": now, "attempt": 0, "tries": 0,
    })  # fmt: skip


async def order_many(invitation_ids: list[str], *, now: datetime) -> None:
    """Orders the first mail of each new invitation, in the transaction that creates them."""
    await MailOrder.bulk_create(
        MailOrder(
            id=new_id("ord"), kind=MailKind.INVITATION, invitation_id=invitation_id, generation=1, created_at=now,
            due_at=now,
        )
        for invitation_id in invitation_ids
    )  # fmt: skip


async def order_notice(*, member_id: str, notice: str, facts: Mapping[str, str], now: datetime) -> None:
    """Orders a notice to the address of an account, in the transaction of the event that it reports.

    `notice` is a `Notice`. `facts` are the values of its text and never contain a secret. For `identity_linked` they are
    `provider`, the label of the added sign-in, and optionally `locale`, a BCP 47 tag. An account without a verified
    address receives no mail.
    """
    await _order_notice(Notice(notice), dict(facts), {"member_id": member_id}, now)


async def order_block_notice(invitation_id: str, *, generation: int, now: datetime) -> None:
    """Orders the notice of a block to the invited mailbox, in the transaction that creates the block."""
    subject = {"invitation_id": invitation_id, "generation": generation}
    await _order_notice(Notice.ADDRESS_BLOCKED, {}, subject, now)


async def _order_notice(notice: Notice, facts: dict[str, str], subject: dict[str, Any], now: datetime) -> None:
    await execute_batch(insert("mail_orders", {
        "id": new_id("ord"), "kind": MailKind.NOTICE, "notice": notice, "facts": facts, **subject, "created_at": now,
        "due_at": now, "attempt": 0, "tries": 0,
    }))  # fmt: skip


async def is_code_waiting(flow_id: str) -> bool:
    """Returns whether a mail with the code of this flow is still to be sent."""
    rows = await select(
        f"SELECT 1 AS one FROM mail_orders WHERE kind <> 'invitation' AND flow_id = $1 AND {WAITING}",  # noqa: S608 -- a constant
        flow_id,
    )
    return bool(rows)


@dataclass(frozen=True, slots=True)
class Backlog:
    """Mails that are due; `oldest_at` is the instant since which the oldest is due, or None without a backlog."""

    mails: int
    oldest_at: datetime | None


async def backlog(due_until: datetime) -> Backlog:
    """Counts the waiting mails that were due at an instant."""
    rows = await select(
        f"SELECT count(*) AS mails, min(due_at) AS oldest_at FROM mail_orders WHERE {WAITING} AND due_at <= $1",  # noqa: S608 -- a constant
        due_until,
    )
    return Backlog(**rows[0])
