"""An admin's view of an invitation: the reason of a block with its remedy, and the possible actions."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest

from service.models import Invitation
from tests.support.members import change_role, invite_and_join, join_owner, update_policy
from tests.support.service import Browser, Service

pytestmark = pytest.mark.anyio

GUEST = "guest@example.com"


@dataclass
class ActionSetup:
    """An owner, an admin who invites, and the invitee."""

    service: Service
    owner: Browser
    admin: Browser
    guest: Browser
    community: str
    admin_membership: str


@pytest.fixture
async def setup(service: Service) -> AsyncIterator[ActionSetup]:
    async with service.browser() as owner, service.browser() as admin, service.browser() as guest:
        community = await join_owner(service, owner)
        access = await invite_and_join(service, owner, admin, "admin@example.com", "ADMIN")
        yield ActionSetup(service, owner, admin, guest, community, access)


async def _lower(setup: ActionSetup, _: str) -> None:
    await change_role(setup.owner, setup.admin_membership, "MEMBER")


async def _remove(setup: ActionSetup, _: str) -> None:
    await setup.owner.do("removeMember", membershipId=setup.admin_membership)


async def _resend(setup: ActionSetup, invitation: str) -> None:
    assert (await setup.owner.do("resendInvite", invitationId=invitation))["__typename"] == "ResendInviteSuccess"


def _rule(**change: Any) -> Callable[[ActionSetup, str], Awaitable[None]]:
    async def update(setup: ActionSetup, _: str) -> None:
        assert (await update_policy(setup.owner, setup.community, **change))["__typename"].endswith("Success")

    return update


Step = Callable[[ActionSetup, str], Awaitable[None]]


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
async def test_blocked_invitation_names_a_remedy_that_works(
    setup: ActionSetup, block: Step, words: str, status: str, help_it: Step
) -> None:
    """While blockedReason is set, the invitee is refused and the link keeps working. After the advised step the
    acceptance succeeds.
    """
    invitation = (await setup.admin.invite(setup.community, GUEST))["invitation"]["id"]
    assert (await setup.owner.invitation(invitation))["blockedReason"] is None
    token = await setup.service.token_for(GUEST)
    await block(setup, invitation)
    assert words in (await setup.owner.invitation(invitation))["blockedReason"]
    assert (await setup.guest.accept_as(token, GUEST))["status"] == status
    assert await setup.guest.viewer_email() is None
    await help_it(setup, invitation)
    assert (await setup.owner.invitation(invitation))["blockedReason"] is None
    setup.service.clock.advance(seconds=1)
    token = await setup.service.token_for(GUEST)
    assert (await setup.guest.accept_as(token, GUEST))["status"] == "ACCEPTED"


async def _pending(setup: ActionSetup, _: str) -> None:
    await setup.service.deliver()


async def _just_resent(setup: ActionSetup, invitation: str) -> None:
    await _resend(setup, invitation)


async def _resent_long_ago(setup: ActionSetup, invitation: str) -> None:
    await _resend(setup, invitation)
    setup.service.clock.advance(minutes=1)


async def _resent_too_often(setup: ActionSetup, invitation: str) -> None:
    for _ in range(5):
        await _resent_long_ago(setup, invitation)


async def _accepted(setup: ActionSetup, _: str) -> None:
    await setup.guest.accept_as(await setup.service.token_for(GUEST), GUEST)


async def _declined(setup: ActionSetup, _: str) -> None:
    await setup.guest.do("declineInvite", token=await setup.service.token_for(GUEST))


async def _declined_for_good(setup: ActionSetup, _: str) -> None:
    await setup.guest.do("declineInvite", token=await setup.service.token_for(GUEST), block=True)


async def _declined_and_invited_again(setup: ActionSetup, invitation: str) -> None:
    await _declined(setup, invitation)
    assert (await setup.owner.invite(setup.community, GUEST))["__typename"] == "InviteMemberSuccess"


async def _revoked(setup: ActionSetup, invitation: str) -> None:
    await setup.owner.do("revokeInvite", invitationId=invitation)


async def _expired(setup: ActionSetup, _: str) -> None:
    setup.service.clock.advance(days=7)
    await setup.owner.sign_in("owner@example.com")


async def _superseded(setup: ActionSetup, invitation: str) -> None:
    await _expired(setup, invitation)
    assert (await setup.owner.invite(setup.community, GUEST))["__typename"] == "InviteMemberSuccess"


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
        (_declined_and_invited_again, "DECLINED", CLOSED, CLOSED),
        (_revoked, "REVOKED", CLOSED, CLOSED),
        (_expired, "EXPIRED", CLOSED, CLOSED),
        (_superseded, "EXPIRED", CLOSED, CLOSED),
    ],
)
async def test_possible_actions_succeed(
    setup: ActionSetup, step: Step, status: str, resend: str, revoke: str, first: str
) -> None:
    """In every state canResend and canRevoke are true exactly when the mutation then succeeds. canResendAt is set
    exactly when it is only too early.
    """
    invitation = (await setup.owner.invite(setup.community, GUEST))["invitation"]["id"]
    await step(setup, invitation)
    found = await setup.owner.invitation(invitation)
    assert found["status"] == status
    assert (found["canResend"], found["canRevoke"]) == (resend == OPEN, revoke == OPEN)
    assert (found["canResendAt"] is not None) == (resend == "RateLimited")
    answer = (await setup.owner.do(first, invitationId=invitation))["__typename"]
    assert answer.endswith(resend if first == "resendInvite" else revoke)


async def test_resend_succeeds_at_the_given_instant(setup: ActionSetup) -> None:
    """At canResendAt, after a resend and after the day's last one, resending works again. One second earlier it does
    not.
    """
    invitation = (await setup.owner.invite(setup.community, GUEST))["invitation"]["id"]
    for step in (_just_resent, _resent_too_often):
        await step(setup, invitation)
        ready_at = datetime.fromisoformat((await setup.owner.invitation(invitation))["canResendAt"])
        setup.service.clock.time = ready_at - timedelta(seconds=1)
        await setup.owner.sign_in("owner@example.com")
        assert (await setup.owner.do("resendInvite", invitationId=invitation))["__typename"] == "RateLimited"
        setup.service.clock.advance(seconds=1)
        assert (await setup.owner.invitation(invitation))["canResend"] is True
        await _resend(setup, invitation)
        setup.service.clock.advance(days=1)
        await setup.owner.sign_in("owner@example.com")


async def test_reopened_invitation_takes_a_seat_again(setup: ActionSetup) -> None:
    """Resending a declined invitation whose seat is taken is SeatLimitReached and reopens nothing."""
    invitation = (await setup.owner.invite(setup.community, GUEST))["invitation"]["id"]
    await _declined(setup, invitation)
    await update_policy(setup.owner, setup.community, seatLimit=3)
    other = (await setup.owner.invite(setup.community, "other@example.com"))["invitation"]["id"]
    assert (await setup.owner.do("resendInvite", invitationId=invitation))["__typename"] == "SeatLimitReached"
    assert (await setup.owner.invitation(invitation))["status"] == "DECLINED"
    await _resend(setup, other)  # it has its seat
    await _revoked(setup, other)
    await _resend(setup, invitation)
    assert (await setup.owner.invitation(invitation))["status"] == "PENDING"


@pytest.mark.parametrize("end", ["revoked", "expired"])
async def test_mail_of_an_ended_invitation_is_cancelled(setup: ActionSetup, end: str) -> None:
    """A queued mail is CANCELLED when its invitation ends: without the reason of its wait, and selected by the filter.
    No mail is sent.
    """
    service, invited = setup.service, await setup.admin.invite(setup.community, GUEST)
    invitation_id = invited["invitation"]["id"]
    await Invitation.filter(id=invitation_id).update(
        delivery_code="MAIL_SERVICE_SILENT", delivery_facts={"next": "retry"}
    )
    waiting = await setup.admin.invitation(invitation_id)
    assert waiting["delivery"] == "QUEUED"
    assert waiting["deliveryReason"].endswith("The service tries again.")
    assert await _emails(setup, "CANCELLED") == []
    if end == "revoked":
        await setup.admin.do("revokeInvite", invitationId=invitation_id)
    else:
        service.clock.advance(days=8)
        await setup.admin.sign_in("admin@example.com")
    ended = await setup.admin.invitation(invitation_id)
    assert (ended["status"], ended["delivery"], ended["deliveryReason"]) == (end.upper(), "CANCELLED", None)
    assert (await _emails(setup, "QUEUED"), await _emails(setup, "CANCELLED")) == ([], [GUEST])
    await service.deliver()
    assert [mail for mail in service.mailbox.entries if mail.to == GUEST] == []
    assert (await setup.admin.invitation(invitation_id))["delivery"] == "CANCELLED"
    reinvited = (await setup.admin.invite(setup.community, GUEST))["invitation"]
    assert (reinvited["status"], reinvited["delivery"]) == ("PENDING", "QUEUED")
    assert await _emails(setup, "QUEUED") == [GUEST]
    assert await _emails(setup, "CANCELLED") == [GUEST]


async def _emails(setup: ActionSetup, delivery: str) -> list[str]:
    """Returns the addresses of the invitations with a delivery, which are as many as the filter counts."""
    query = """query($id: ID!, $deliveries: [Delivery!]) { community(id: $id) {
        invitations(filter: {deliveries: $deliveries}) { nodes { email delivery } totalCount } } }"""
    answer = await setup.admin.ask(query, id=setup.community, deliveries=[delivery])
    found = answer["community"]["invitations"]
    assert [node["delivery"] for node in found["nodes"]] == [delivery] * found["totalCount"]
    return [node["email"] for node in found["nodes"]]
