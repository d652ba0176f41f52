"""Responses to a link without a sign-in: opening the link, and declining the invitation."""

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
    """Returns a link with which a flow may begin. Raises the same InviteLinkInvalid for every other link (H130)."""
    if link is None or not link.is_live(now):
        raise InviteLinkInvalid
    return link


async def decline(link: LinkFacts, *, block: bool, now: datetime) -> str:
    """Declines an invitation for the holder of its link, and returns the community's name. Raises InviteLinkInvalid.

    With `block` the community cannot invite the address again. A mail to the mailbox reports the block. The mail or the
    operator can lift it.
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
