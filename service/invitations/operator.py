"""Identities: how the operator lets a person in again whose account at the provider was replaced.

No address ever finds an account. The operator names one, its sign-ins and sessions end, and the way back is the usual
one: a link to the mailbox, a login that vouches for its address, and one transaction, for that very account.
"""

from datetime import datetime

from service import audit
from service.addresses import Address
from service.database import execute, select, transaction
from service.errors import NotFound
from service.invitations import manage as invitations
from service.models import Role
from service.settings import Settings


async def release(email: Address, *, now: datetime, settings: Settings) -> bool:
    """Ends the sign-ins, sessions and access tokens of the account with this address, and invites its owner back to it.

    False when the account belongs to no community: then it lets go of the address, and an invitation to it makes a new
    account. Raises NotFound when no account has the address.
    """
    async with transaction():
        member_id, place = await _account(email)
        await _end_sign_ins(member_id, now)
        await audit.record(now, audit.Event("member.identity_released", place and place[0], member_id))
        if place is None:
            await execute("UPDATE members SET email = NULL WHERE id = $1", member_id)
            return False
        await invitations.invite_for_operator(
            place[0], email, place[1], for_member_id=member_id, now=now, settings=settings
        )
        return True


async def _account(email: Address) -> tuple[str, tuple[str, Role] | None]:
    """The account of an address, and its highest place in a community."""
    rows = await select(
        "SELECT m.id, s.community_id, s.role FROM members m LEFT JOIN memberships s ON s.member_id = m.id"
        " WHERE m.email = $1 AND m.erased_at IS NULL ORDER BY m.id",
        email,
    )
    if not rows:
        raise NotFound("No account has this address; invite the person instead.")
    places = [(row["id"], (row["community_id"], Role(row["role"]))) for row in rows if row["role"] is not None]
    return max(places, key=lambda place: place[1][1].rank, default=(rows[0]["id"], None))


async def _end_sign_ins(member_id: str, now: datetime) -> None:
    """What opens the account, and whatever was opened with it. The sign-ins are locked first, so that one that is just
    being used either counts before, and its session ends with the others, or finds nothing.
    """
    await select("SELECT id FROM identities WHERE member_id = $1 ORDER BY id FOR UPDATE", member_id)
    await execute("UPDATE sessions SET ended_at = $1 WHERE member_id = $2 AND ended_at IS NULL", now, member_id)
    await execute(
        "UPDATE access_tokens SET revoked_at = $1 WHERE member_id = $2 AND revoked_at IS NULL", now, member_id
    )
    await execute("DELETE FROM identities WHERE member_id = $1", member_id)
