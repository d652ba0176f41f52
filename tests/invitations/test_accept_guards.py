"""Acceptance against a simultaneous end of the invitation, in a forced order.

The callback reads the link, and then waits for a lock on the community. The invitation ends during the wait. Afterwards only
the guarded UPDATE refuses the acceptance, because the tests drop the constraint that would refuse a second end, too.
SQLite runs one writing transaction at a time, so the order needs PostgreSQL.
"""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from service.addresses import canonical
from service.database import execute, select
from service.invitations.operator import invite_for_operator
from service.models import AuditEvent, Identity, Member, Membership, Role, Session
from service.retention.erasure import erase
from tests.support.members import join_owner, update_policy
from tests.support.postgres import hold_lock
from tests.support.processes import wait_until
from tests.support.service import Browser, Service

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("engine", ["postgres"])]

GUEST = "guest@example.com"
# Blocks the callback, which locks the community FOR SHARE, but not inserts of rows that refer to the community.
_LOCK = "SELECT id FROM communities FOR NO KEY UPDATE"

End = Callable[[Service, Browser, str, str], Awaitable[None]]


async def _revoke(_: Service, owner: Browser, __: str, invitation_id: str) -> None:
    assert (await owner.do("revokeInvite", invitationId=invitation_id))["__typename"] == "RevokeInviteSuccess"


async def _resend(_: Service, owner: Browser, __: str, invitation_id: str) -> None:
    assert (await owner.do("resendInvite", invitationId=invitation_id))["__typename"] == "ResendInviteSuccess"


async def _decline(service: Service, _: Browser, __: str, ___: str) -> None:
    async with service.browser() as other:
        answer = await other.do("declineInvite", token=await service.token_for(GUEST))
    assert answer["__typename"] == "DeclineInviteSuccess"


async def _reinvite(service: Service, _: Browser, community_id: str, __: str) -> None:
    await invite_for_operator(
        community_id, canonical(GUEST), Role.MEMBER, for_member_id=None, now=service.clock(), settings=service.settings
    )


async def _reinvite_after_expiry(service: Service, owner: Browser, community_id: str, _: str) -> None:
    service.clock.advance(days=1)
    await owner.sign_in("owner@example.com")
    assert (await owner.invite(community_id, GUEST))["__typename"] == "InviteMemberSuccess"


async def _erase(service: Service, _: Browser, __: str, ___: str) -> None:
    assert (await erase(canonical(GUEST), even_last_owner=False, now=service.clock())).invitations == 1


async def _erase_after_expiry(service: Service, owner: Browser, community_id: str, invitation_id: str) -> None:
    service.clock.advance(days=1)
    await _erase(service, owner, community_id, invitation_id)


@pytest.mark.parametrize(
    "end", [_revoke, _resend, _decline, _reinvite, _reinvite_after_expiry, _erase, _erase_after_expiry]
)
async def test_invitation_that_ends_during_its_acceptance_admits_no_one(service: Service, end: End) -> None:
    """H006, H010: the callback has read a valid link when the invitation is revoked, resent, declined, superseded or erased."""
    async with service.browser() as owner, service.browser() as guest:
        community_id = await join_owner(service, owner)
        await update_policy(owner, community_id, invitationDays=1)
        invitation_id = (await owner.invite(community_id, GUEST))["invitation"]["id"]
        started = await guest.accept(await service.token_for(GUEST))
        callback = await guest.callback_url(started["authorizationUrl"], GUEST)
        await execute("ALTER TABLE invitations DROP CONSTRAINT ck_invitations_one_end")
        async with hold_lock(service.settings.database_url.get_secret_value(), _LOCK) as locked:
            returning = asyncio.create_task(guest.client.get(callback))
            await wait_until(locked.awaited(), "the callback waits for the community")
            await end(service, owner, community_id, invitation_id)
        assert "guestlist_session" not in (await returning).headers.get("set-cookie", "")
        assert await guest.viewer_email() is None
        counts = [await model.all().count() for model in (Member, Identity, Membership)]
        assert counts == [1, 1, 1]
        assert await Session.exclude(member__email="owner@example.com").count() == 0
        rows = await select("SELECT accepted_at, accepted_by_id FROM invitations WHERE id = $1", invitation_id)
        assert [tuple(row.values()) for row in rows] == [(None, None)]
        assert await AuditEvent.filter(kind="invitation.accepted").count() == 1
