"""What an admin is told of an invitation: why it is stuck and what helps, and what can be done with it now."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.support.members import change_role, let_in, owner_in, update_policy
from tests.support.service import Browser, Service

pytestmark = pytest.mark.anyio

GUEST = "guest@example.com"


@dataclass
class Scene:
    """An owner, an admin who invites, and the invitee."""

    service: Service
    owner: Browser
    admin: Browser
    guest: Browser
    community: str
    admins_place: str


@pytest.fixture
async def scene(service: Service) -> AsyncIterator[Scene]:
    async with service.browser() as owner, service.browser() as admin, service.browser() as guest:
        community = await owner_in(service, owner)
        place = await let_in(service, owner, admin, "admin@example.com", "ADMIN")
        yield Scene(service, owner, admin, guest, community, place)


async def _lower(scene: Scene, _: str) -> None:
    await change_role(scene.owner, scene.admins_place, "MEMBER")


async def _remove(scene: Scene, _: str) -> None:
    await scene.owner.do("removeMember", membershipId=scene.admins_place)


async def _resend(scene: Scene, invitation: str) -> None:
    assert (await scene.owner.do("resendInvite", invitationId=invitation))["__typename"] == "ResendInviteSuccess"


def _rule(**change: Any) -> Callable[[Scene, str], Awaitable[None]]:
    async def update(scene: Scene, _: str) -> None:
        assert (await update_policy(scene.owner, scene.community, **change))["__typename"].endswith("Success")

    return update


Step = Callable[[Scene, str], Awaitable[None]]


@pytest.mark.parametrize(
    ("block", "words", "status", "help_it"),
    [
        (_lower, "Send it again", "NOT_ALLOWED", _resend),
        (_remove, "Send it again", "NOT_ALLOWED", _resend),
        (_rule(allowedEmailDomains=["example.org"]), "Allow the domain again", "NOT_ALLOWED", _rule(allowedEmailDomains=[])),
        (_rule(seatLimit=2), "raise the seat limit", "SEAT_LIMIT_REACHED", _rule(seatLimit=3)),
        (_rule(seatLimit=2), "Remove a member", "SEAT_LIMIT_REACHED", _rule(seatLimit=None)),
    ],
    ids=["lowered", "removed", "domain", "seats", "unlimited"],
)  # fmt: skip
async def test_a_blocked_invitation_says_what_helps_and_it_does(
    scene: Scene, block: Step, words: str, status: str, help_it: Step
) -> None:
    """While blockedReason stands the invitee is refused with nothing used up; after what it advises they come in."""
    invitation = (await scene.admin.invite(scene.community, GUEST))["invitation"]["id"]
    assert (await scene.owner.invitation(invitation))["blockedReason"] is None
    token = await scene.service.token_for(GUEST)
    await block(scene, invitation)
    assert words in (await scene.owner.invitation(invitation))["blockedReason"]
    assert (await scene.guest.accept_as(token, GUEST))["status"] == status
    assert await scene.guest.viewer_email() is None
    await help_it(scene, invitation)
    assert (await scene.owner.invitation(invitation))["blockedReason"] is None
    scene.service.clock.advance(seconds=1)
    token = await scene.service.token_for(GUEST)
    assert (await scene.guest.accept_as(token, GUEST))["status"] == "ACCEPTED"


async def _pending(scene: Scene, _: str) -> None:
    await scene.service.deliver()


async def _just_resent(scene: Scene, invitation: str) -> None:
    await _resend(scene, invitation)


async def _resent_long_ago(scene: Scene, invitation: str) -> None:
    await _resend(scene, invitation)
    scene.service.clock.advance(minutes=1)


async def _resent_too_often(scene: Scene, invitation: str) -> None:
    for _ in range(5):
        await _resent_long_ago(scene, invitation)


async def _accepted(scene: Scene, _: str) -> None:
    await scene.guest.accept_as(await scene.service.token_for(GUEST), GUEST)


async def _declined(scene: Scene, _: str) -> None:
    await scene.guest.do("declineInvite", token=await scene.service.token_for(GUEST))


async def _declined_for_good(scene: Scene, _: str) -> None:
    await scene.guest.do("declineInvite", token=await scene.service.token_for(GUEST), block=True)


async def _declined_and_invited_anew(scene: Scene, invitation: str) -> None:
    await _declined(scene, invitation)
    assert (await scene.owner.invite(scene.community, GUEST))["__typename"] == "InviteMemberSuccess"


async def _revoked(scene: Scene, invitation: str) -> None:
    await scene.owner.do("revokeInvite", invitationId=invitation)


async def _expired(scene: Scene, _: str) -> None:
    scene.service.clock.advance(days=7)
    await scene.owner.sign_in("owner@example.com")


async def _superseded(scene: Scene, invitation: str) -> None:
    await _expired(scene, invitation)
    assert (await scene.owner.invite(scene.community, GUEST))["__typename"] == "InviteMemberSuccess"


OPEN, CLOSED = "Success", "InvitationClosed"


@pytest.mark.parametrize("first", ["resendInvite", "revokeInvite"])
@pytest.mark.parametrize(
    ("step", "status", "resend", "revoke"),
    [
        (_pending, "PENDING", OPEN, OPEN),
        (_just_resent, "PENDING", "RateLimited", OPEN),
        (_resent_long_ago, "PENDING", OPEN, OPEN),
        (_resent_too_often, "PENDING", "RateLimited", OPEN),
        (_accepted, "ACCEPTED", CLOSED, CLOSED),
        (_declined, "DECLINED", OPEN, CLOSED),
        (_declined_for_good, "DECLINED", CLOSED, CLOSED),
        (_declined_and_invited_anew, "DECLINED", CLOSED, CLOSED),
        (_revoked, "REVOKED", CLOSED, CLOSED),
        (_expired, "EXPIRED", CLOSED, CLOSED),
        (_superseded, "EXPIRED", CLOSED, CLOSED),
    ],
)
async def test_what_can_be_done_is_what_is_said_to_be(
    scene: Scene, step: Step, status: str, resend: str, revoke: str, first: str
) -> None:
    """In every state canResend and canRevoke are true exactly when the mutation then succeeds, and canResendAt is set
    exactly when it is only too early.
    """
    invitation = (await scene.owner.invite(scene.community, GUEST))["invitation"]["id"]
    await step(scene, invitation)
    seen = await scene.owner.invitation(invitation)
    assert seen["status"] == status
    assert (seen["canResend"], seen["canRevoke"]) == (resend == OPEN, revoke == OPEN)
    assert (seen["canResendAt"] is not None) == (resend == "RateLimited")
    answer = (await scene.owner.do(first, invitationId=invitation))["__typename"]
    assert answer.endswith(resend if first == "resendInvite" else revoke)


async def test_a_resend_is_possible_when_it_is_said_to_be(scene: Scene) -> None:
    """At canResendAt, after a resend and after the day's last one, resending works again; a second earlier it does not."""
    invitation = (await scene.owner.invite(scene.community, GUEST))["invitation"]["id"]
    for step in (_just_resent, _resent_too_often):
        await step(scene, invitation)
        ready_at = datetime.fromisoformat((await scene.owner.invitation(invitation))["canResendAt"])
        scene.service.clock.time = ready_at - timedelta(seconds=1)
        await scene.owner.sign_in("owner@example.com")
        assert (await scene.owner.do("resendInvite", invitationId=invitation))["__typename"] == "RateLimited"
        scene.service.clock.advance(seconds=1)
        assert (await scene.owner.invitation(invitation))["canResend"] is True
        await _resend(scene, invitation)
        scene.service.clock.advance(days=1)
        await scene.owner.sign_in("owner@example.com")


async def test_a_reopened_invitation_takes_a_seat_again(scene: Scene) -> None:
    """Where another invitation took the seat of a declined one, resending that is SeatLimitReached and reopens nothing."""
    invitation = (await scene.owner.invite(scene.community, GUEST))["invitation"]["id"]
    await _declined(scene, invitation)
    await update_policy(scene.owner, scene.community, seatLimit=3)
    other = (await scene.owner.invite(scene.community, "other@example.com"))["invitation"]["id"]
    assert (await scene.owner.do("resendInvite", invitationId=invitation))["__typename"] == "SeatLimitReached"
    assert (await scene.owner.invitation(invitation))["status"] == "DECLINED"
    await _resend(scene, other)  # it has its seat
    await _revoked(scene, other)
    await _resend(scene, invitation)
    assert (await scene.owner.invitation(invitation))["status"] == "PENDING"
