"""Simultaneous actions on the same objects: one succeeds, the others get an error, and the audit is consistent."""

import asyncio
from typing import Any

import pytest

from service.database import select
from tests.support.members import audit_kinds, change_role, invite_and_join, join_owner, members, update_policy
from tests.support.service import Browser, Service

pytestmark = pytest.mark.anyio

ROUNDS = 4


async def _returning(service: Service, owner: Browser, guest: Browser, email: str) -> tuple[str, str]:
    """An invitation whose invitee is about to return: its id, and the URL of the return."""
    invited = await owner.invite(await owner.community_id(), email)
    started = await guest.accept(await service.token_for(email))
    return invited["invitation"]["id"], await guest.callback_url(started["authorizationUrl"], email)


async def _ends(invitation_id: str) -> list[str]:
    """The kinds of the events that ended an invitation, in the order of the log."""
    rows = await select(
        "SELECT kind FROM audit_events WHERE invitation_id = $1 AND kind IN ('invitation.accepted', 'invitation.revoked',"
        " 'membership.joined', 'invitation.resent') ORDER BY seq",
        invitation_id,
    )
    return [row["kind"] for row in rows]


async def test_revocation_during_acceptance(service: Service) -> None:
    """Either the acceptance succeeds and the revocation is InvitationClosed, or the invitation is revoked and the
    acceptance fails.
    """
    async with service.browser() as owner:
        await join_owner(service, owner)
        for number in range(ROUNDS):
            async with service.browser() as guest:
                email = f"guest{number}@example.com"
                invitation, url = await _returning(service, owner, guest, email)
                revoked, _ = await asyncio.gather(
                    owner.do("revokeInvite", invitationId=invitation), guest.client.get(url)
                )
                status = (await guest.acceptance())["status"]
                view = (await owner.invitation(invitation))["status"]
                assert (revoked["__typename"], status, view, await _ends(invitation)) in (
                    ("RevokeInviteSuccess", "LINK_INVALID", "REVOKED", ["invitation.revoked"]),
                    ("InvitationClosed", "ACCEPTED", "ACCEPTED", ["invitation.accepted", "membership.joined"]),
                )
                assert (await guest.viewer_email() == email) is (status == "ACCEPTED")


async def test_resend_during_revocation(service: Service) -> None:
    """In either order, the invitation ends revoked or the resend gets an error. The log has no resend after the
    revocation.
    """
    async with service.browser() as owner, service.browser() as other:
        community = await join_owner(service, owner)
        await invite_and_join(service, owner, other, "other@example.com", "OWNER")
        for number in range(ROUNDS):
            invitation = (await owner.invite(community, f"guest{number}@example.com"))["invitation"]["id"]
            await service.deliver()
            resent, revoked = await asyncio.gather(
                owner.do("resendInvite", invitationId=invitation), other.do("revokeInvite", invitationId=invitation)
            )
            assert revoked["__typename"] == "RevokeInviteSuccess"
            expected = ["invitation.resent"] if resent["__typename"] == "ResendInviteSuccess" else []
            assert await _ends(invitation) == [*expected, "invitation.revoked"]
            before = len(service.mailbox.entries)
            await service.deliver()
            assert len(service.mailbox.entries) == before


async def test_demotion_of_the_inviter_during_acceptance(service: Service) -> None:
    """Either the acceptance comes before the demotion in the log, or it is NOT_ALLOWED after it."""
    async with service.browser() as owner, service.browser() as admin:
        community = await join_owner(service, owner)
        access = await invite_and_join(service, owner, admin, "admin@example.com", "ADMIN")
        for number in range(ROUNDS):
            async with service.browser() as guest:
                await change_role(owner, access, "ADMIN")
                invitation, url = await _returning(service, admin, guest, f"guest{number}@example.com")
                changed, _ = await asyncio.gather(change_role(owner, access, "MEMBER"), guest.client.get(url))
                assert changed["__typename"] == "ChangeRoleSuccess"
                status = (await guest.acceptance())["status"]
                kinds = await audit_kinds(owner, community)
                lowered = len(kinds) - 1 - kinds[::-1].index("membership.role_changed")
                if status == "ACCEPTED":
                    assert "invitation.accepted" in await _ends(invitation)
                else:
                    assert status == "NOT_ALLOWED"
                    assert await _ends(invitation) == []
                    assert "invitation.accepted" not in kinds[lowered:]


async def test_two_acceptances_for_the_last_seat(service: Service) -> None:
    """One succeeds, the other is SEAT_LIMIT_REACHED and its link keeps working. The community never exceeds its limit."""
    async with service.browser() as owner:
        community = await join_owner(service, owner)
        for number in range(ROUNDS):
            async with service.browser() as one, service.browser() as two:
                await update_policy(owner, community, seatLimit=None)
                doors = [
                    await _returning(service, owner, guest, f"guest{number}{name}@example.com")
                    for name, guest in (("a", one), ("b", two))
                ]
                await update_policy(owner, community, seatLimit=number + 2)
                await asyncio.gather(one.client.get(doors[0][1]), two.client.get(doors[1][1]))
                found = sorted([(await one.acceptance())["status"], (await two.acceptance())["status"]])
                assert found == ["ACCEPTED", "SEAT_LIMIT_REACHED"]
                assert len(await members(owner, community)) == number + 2
                assert sorted([len(await _ends(invitation)) for invitation, _ in doors]) == [0, 2]


async def test_two_owners_demote_each_other(service: Service) -> None:
    """One succeeds, and the other owner, now demoted, gets an error. The community keeps an owner, and one event is
    written.
    """
    async with service.browser() as one, service.browser() as two:
        community = await join_owner(service, one)
        await invite_and_join(service, one, two, "two@example.com", "OWNER")
        for number in range(ROUNDS):
            found = await members(one, community)
            own, other = found["owner@example.com"]["id"], found["two@example.com"]["id"]
            answers = await asyncio.gather(change_role(one, other, "ADMIN"), change_role(two, own, "ADMIN"))
            assert sorted(answer["__typename"] for answer in answers) == ["ChangeRoleSuccess", "NotPermitted"]
            roles = {email: node["role"] for email, node in (await members(one, community)).items()}
            assert sorted(roles.values()) == ["ADMIN", "OWNER"]
            kinds = await audit_kinds(one, community)
            assert kinds.count("membership.role_changed") == 2 * number + 1
            winner, loser = (one, other) if answers[0]["__typename"] == "ChangeRoleSuccess" else (two, own)
            await change_role(winner, loser, "OWNER")


async def test_two_last_owners_leave_at_once(service: Service) -> None:
    """One leaves, the other gets LastOwner."""
    async with service.browser() as one, service.browser() as two:
        community = await join_owner(service, one)
        other = await invite_and_join(service, one, two, "two@example.com", "OWNER")
        own = (await members(one, community))["owner@example.com"]["id"]
        answers: Any = await asyncio.gather(
            one.do("removeMember", membershipId=own), two.do("removeMember", membershipId=other)
        )
        assert sorted(answer["__typename"] for answer in answers) == ["LastOwner", "RemoveMemberSuccess"]
