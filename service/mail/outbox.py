"""The outbox: orders to send one mail each, written in the transaction of the change that causes the mail.

An order holds no link and no code. The worker makes them in the step that sends the mail (`service.delivery.worker`).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from service.database import Statement, execute_batch, insert, select
from service.models import MailKind, MailOrder, Notice
from service.tokens import new_id


async def order(
    invitation_id: str, *, generation: int, kind: MailKind, now: datetime, flow_id: str | None = None
) -> None:
    """Orders one mail, in the transaction of what it tells of. The order holds no link and no code."""
    await execute_batch(order_statement(invitation_id, generation=generation, kind=kind, now=now, flow_id=flow_id))


def order_statement(
    invitation_id: str, *, generation: int, kind: MailKind, now: datetime, flow_id: str | None = None
) -> Statement:
    """The statement that orders one mail, to be run with what the mail tells of."""
    return insert("mail_orders", {
        "id": new_id("ord"), "kind": kind, "invitation_id": invitation_id, "generation": generation,
        "flow_id": flow_id, "created_at": now, "due_at": now, "attempt": 0, "tries": 0,
    })  # fmt: skip


async def order_many(invitation_ids: list[str], *, now: datetime) -> None:
    """Orders the first mail of each of these new invitations, in the transaction that makes them."""
    await MailOrder.bulk_create(
        MailOrder(
            id=new_id("ord"), kind=MailKind.INVITATION, invitation_id=invitation_id, generation=1, created_at=now,
            due_at=now,
        )
        for invitation_id in invitation_ids
    )  # fmt: skip


async def order_notice(*, member_id: str, notice: str, facts: Mapping[str, str], now: datetime) -> None:
    """Orders a notice to an account's own address, in the transaction of the event that it reports.

    `notice` is a `Notice`; `facts` are what its text says (for `identity_linked`: `provider`, the label of the added
    sign-in, and optionally `locale`, a BCP 47 tag). They never hold a secret. An account without a proved address gets
    no mail.
    """
    await _order_notice(Notice(notice), dict(facts), {"member_id": member_id}, now)


async def order_block_notice(invitation_id: str, *, generation: int, now: datetime) -> None:
    """Orders the notice of a block to the invited mailbox, in the transaction that makes the block."""
    about = {"invitation_id": invitation_id, "generation": generation}
    await _order_notice(Notice.ADDRESS_BLOCKED, {}, about, now)


async def _order_notice(notice: Notice, facts: dict[str, str], about: dict[str, Any], now: datetime) -> None:
    await execute_batch(insert("mail_orders", {
        "id": new_id("ord"), "kind": MailKind.NOTICE, "notice": notice, "facts": facts, **about, "created_at": now,
        "due_at": now, "attempt": 0, "tries": 0,
    }))  # fmt: skip


async def code_waits(flow_id: str) -> bool:
    """Whether the mail with the code of this flow is ordered and not sent yet."""
    rows = await select(
        "SELECT 1 AS one FROM mail_orders WHERE kind <> 'invitation' AND sent_at IS NULL AND failed_at IS NULL"
        " AND cancelled_at IS NULL AND flow_id = $1",
        flow_id,
    )
    return bool(rows)
