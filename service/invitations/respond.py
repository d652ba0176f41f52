"""Responses of somebody with a link that need no sign-in: opening it, and declining."""

from datetime import datetime

from service import audit
from service.changes import Changed, notify
from service.database import execute, transaction
from service.errors import (
    InviteLinkInvalid,
)
from service.invitation_status import is_pending
from service.invitations.links import LinkFacts
from service.mail import blocks, outbox


def open_link(link: LinkFacts | None, now: datetime) -> LinkFacts:
    """The link, if a flow may begin with it. Raises InviteLinkInvalid alike for every other (H130)."""
    if link is None or not link.lives(now):
        raise InviteLinkInvalid
    return link


async def decline(link: LinkFacts, *, block: bool, now: datetime) -> str:
    """Declines for somebody with the link; returns the community's name.

    With block, the community can invite the address no more, until the mail that tells the mailbox of it, or the
    operator, lifts the block. Raises InviteLinkInvalid.
    """
    async with transaction():
        declined = await execute(
            f"UPDATE invitations SET declined_at = $1 WHERE id = $2 AND generation = $3 AND {is_pending('$1')}",  # noqa: S608 -- constants
            now, link.invitation_id, link.generation,
        )  # fmt: skip
        if not declined:
            raise InviteLinkInvalid
        await audit.record(now, audit.Event("invitation.declined", link.community_id, None, link.invitation_id))
        if block:
            await blocks.create(link.community_id, link.email, invitation_id=link.invitation_id, now=now)
            await outbox.order_block_notice(link.invitation_id, generation=link.generation, now=now)
        await notify(Changed(link.community_id, link.invitation_id))
    return link.community_name
