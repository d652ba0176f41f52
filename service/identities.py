"""Identities: how the operator lets a person in again whose account at the provider was replaced.

No address ever finds an account. The operator names one, its sign-ins and sessions end, and the way back is the usual
one: a link to the mailbox, a login that vouches for its address, and one transaction, for that very account.
"""

from datetime import datetime

from service import audit, invitations
from service.addresses import Address
from service.database import execute, select, transaction
from service.models import Identity, Member, Role
from service.refusals import NotFound
from service.settings import Settings


async def release(email: Address, *, now: datetime, settings: Settings) -> None:
    """Ends the sign-ins and sessions of the account with this address and invites its owner back to it.

    Raises NotFound when no account that belongs to a community has the address.
    """
    async with transaction():
        member = await Member.filter(email=email, erased_at=None).first()
        place = await _highest_place(member.id) if member is not None else None
        if member is None or place is None:
            raise NotFound("No member of a community has this address; invite the person instead.")
        await Identity.filter(member_id=member.id).delete()
        await execute("UPDATE sessions SET ended_at = $1 WHERE member_id = $2 AND ended_at IS NULL", now, member.id)
        await audit.record(now, audit.Event("member.identity_released", place[0], member.id))
        await invitations.invite_for_operator(
            place[0], email, place[1], for_member_id=member.id, now=now, settings=settings
        )


async def _highest_place(member_id: str) -> tuple[str, Role] | None:
    rows = await select("SELECT community_id, role FROM memberships WHERE member_id = $1", member_id)
    places = [(row["community_id"], Role(row["role"])) for row in rows]
    return max(places, key=lambda place: place[1].rank, default=None)
