"""Lifetimes: a link is valid for minutes, an invitation for days, a flow for a quarter of an hour."""

import pytest

from service import database
from service.models import Member
from tests.support.service import PREVIEW, Browser, Service

pytestmark = pytest.mark.anyio

OWNER = "owner@example.com"
GUEST = "guest@example.com"


@pytest.fixture
async def owner_token(service: Service) -> str:
    return await service.token_for(OWNER)


async def _own(service: Service, browser: Browser) -> str:
    """Signs the browser in as the owner; returns the community's id."""
    assert (await browser.accept_as(await service.token_for(OWNER), OWNER))["status"] == "ACCEPTED"
    return await browser.community_id()


async def _alive(browser: Browser, token: str) -> bool:
    preview = (await browser.ask(PREVIEW, token=token))["invitePreview"] is not None
    started = bool((await browser.accept(token))["__typename"] == "AcceptInviteStarted")
    assert preview == started
    return started


async def test_link_is_valid_for_its_minutes(service: Service, owner_token: str) -> None:
    """H008: a link works one second before its ten minutes end, and not at their end."""
    async with service.browser() as browser:
        service.clock.advance(minutes=10, seconds=-1)
        assert await _alive(browser, owner_token)
        service.clock.advance(seconds=1)
        assert not await _alive(browser, owner_token)


async def test_bound_flow_outlives_its_link(service: Service, owner_token: str) -> None:
    """A flow that starts in the link's last second can return almost 15 minutes later."""
    async with service.browser() as browser:
        service.clock.advance(minutes=9, seconds=59)
        started = await browser.accept(owner_token)
        service.clock.advance(minutes=14, seconds=59)
        await browser.log_in(started["authorizationUrl"], OWNER)
        assert (await browser.acceptance())["status"] == "ACCEPTED"


async def test_late_return_of_a_flow_admits_no_one(service: Service, owner_token: str) -> None:
    """After 15 minutes the return is LINK_INVALID, and another attempt from the same browser still works."""
    async with service.browser() as browser:
        started = await browser.accept(owner_token)
        callback = await browser.callback_url(started["authorizationUrl"], OWNER)
        service.clock.advance(minutes=15)
        await browser.client.get(callback)
        late = await browser.acceptance()
        assert (late["status"], late["canRetry"]) == ("LINK_INVALID", True)
        assert await browser.viewer_email() is None
        assert (await browser.accept_as(None, OWNER))["status"] == "ACCEPTED"


async def test_retries_end_half_an_hour_after_the_first_start(service: Service, owner_token: str) -> None:
    """A browser can start again with its link until 30 minutes after its first start, any number of times, and not
    later.
    """
    async with service.browser() as browser:
        await browser.accept(owner_token)
        for minutes in (14, 15):
            service.clock.advance(minutes=minutes)
            retry = await browser.accept(None)
            assert retry["__typename"] == "AcceptInviteStarted"
        service.clock.advance(minutes=1)
        assert (await browser.accept(None))["__typename"] == "InviteLinkInvalid"
        assert (await browser.acceptance())["canRetry"] is False
        service.clock.advance(minutes=13, seconds=59)
        await browser.log_in(retry["authorizationUrl"], OWNER)
        assert (await browser.acceptance())["status"] == "ACCEPTED"


async def test_resending_ends_links_and_flows(service: Service) -> None:
    """H012: after a resend the old link is invalid, a flow of it is refused, and the new link works."""
    async with service.browser() as owner, service.browser() as guest:
        invited = await owner.invite(await _own(service, owner), GUEST)
        old = await service.token_for(GUEST)
        started = await guest.accept(old)
        callback = await guest.callback_url(started["authorizationUrl"], GUEST)
        resent = await owner.do("resendInvite", invitationId=invited["invitation"]["id"])
        assert resent["__typename"] == "ResendInviteSuccess"
        await guest.client.get(callback)
        dead = await guest.acceptance()
        assert (dead["status"], dead["canRetry"]) == ("LINK_INVALID", False)
        assert not await _alive(guest, old)
        assert (await guest.accept_as(await service.token_for(GUEST), GUEST))["status"] == "ACCEPTED"


async def test_revoking_ends_links_and_flows(service: Service) -> None:
    """H010: after a revocation neither the link nor a flow of it succeeds."""
    async with service.browser() as owner, service.browser() as guest:
        invited = await owner.invite(await _own(service, owner), GUEST)
        token = await service.token_for(GUEST)
        started = await guest.accept(token)
        callback = await guest.callback_url(started["authorizationUrl"], GUEST)
        revoked = await owner.do("revokeInvite", invitationId=invited["invitation"]["id"])
        assert revoked["__typename"] == "RevokeInviteSuccess"
        await guest.client.get(callback)
        assert (await guest.acceptance())["status"] == "LINK_INVALID"
        assert not await _alive(guest, token)
        assert await guest.viewer_email() is None
        assert (await owner.do("resendInvite", invitationId=invited["invitation"]["id"]))[
            "__typename"
        ] == "InvitationClosed"


async def test_fresh_link_leaves_running_flows_alone(service: Service, owner_token: str) -> None:
    """A person who requests a fresh link with an expired one does not affect the invitee's flow."""
    async with service.browser() as invitee, service.browser() as thief:
        started = await invitee.accept(owner_token)
        callback = await invitee.callback_url(started["authorizationUrl"], OWNER)
        service.clock.advance(minutes=11)
        answer = await thief.do("requestFreshLink", token=owner_token)
        assert answer["__typename"] == "RequestFreshLinkAnswer"
        fresh = await service.token_for(OWNER)
        assert fresh != owner_token
        assert not await _alive(thief, owner_token)
        retry = await invitee.accept(None)
        await invitee.log_in(retry["authorizationUrl"], OWNER)
        assert (await invitee.acceptance())["status"] == "ACCEPTED"
        await invitee.client.get(callback)
        assert not await _alive(thief, fresh)


async def test_no_mail_is_sent_while_a_link_is_valid(service: Service, owner_token: str) -> None:
    """A second request with the expired link sends nothing until the fresh link has expired too."""
    async with service.browser() as invitee, service.browser() as thief:
        service.clock.advance(minutes=11)
        await thief.do("requestFreshLink", token=owner_token)
        second = await service.token_for(OWNER)
        await thief.do("requestFreshLink", token=owner_token)
        assert await service.token_for(OWNER) == second
        assert await _alive(invitee, second)
        service.clock.advance(minutes=10)
        assert not await _alive(invitee, second)
        await thief.do("requestFreshLink", token=owner_token)
        third = await service.token_for(OWNER)
        assert third != second
        assert await _alive(invitee, third)


async def test_every_attempt_of_one_order_is_valid_until_acceptance(service: Service, owner_token: str) -> None:
    """A mail that was sent twice, because its sender died before recording the first, contains two valid links."""
    await database.execute("UPDATE mail_orders SET sent_at = NULL, due_at = $1", service.clock())
    again = await service.token_for(OWNER)
    assert again != owner_token
    async with service.browser() as first, service.browser() as second:
        assert await _alive(second, again)
        started = await second.accept(again)
        assert (await first.accept_as(owner_token, OWNER))["status"] == "ACCEPTED"
        assert not await _alive(first, again)
        await second.log_in(started["authorizationUrl"], OWNER)
        assert (await second.acceptance())["status"] == "LINK_INVALID"
    assert await Member.all().count() == 1


async def test_links_and_flows_end_with_their_invitation(service: Service) -> None:
    """A link sent five minutes before its invitation ends is valid for five minutes, and a flow that returns after it
    is refused.
    """
    async with service.browser() as owner, service.browser() as guest:
        invited = (await owner.invite(await _own(service, owner), GUEST))["invitation"]
        service.clock.advance(days=7, minutes=-5)
        await owner.sign_in(OWNER)
        await owner.do("resendInvite", invitationId=invited["id"])
        token = await service.token_for(GUEST)
        preview = (await guest.ask(PREVIEW, token=token))["invitePreview"]
        assert preview["linkExpiresAt"] == invited["expiresAt"]
        started = await guest.accept(token)
        service.clock.advance(minutes=5)
        await guest.log_in(started["authorizationUrl"], GUEST)
        late = await guest.acceptance()
        assert (late["status"], late["canRetry"], late["membership"]) == ("LINK_INVALID", False, None)
        assert await guest.viewer_email() is None
        assert (await owner.invitation(invited["id"]))["status"] == "EXPIRED"


async def test_fresh_link_requests_reveal_nothing(service: Service, owner_token: str) -> None:
    """Valid, expired and unknown tokens get one answer. Only the expired link of an open invitation sends a mail."""
    async with service.browser() as browser:
        unknown = await browser.do("requestFreshLink", token="A" * 43)
        live = await browser.do("requestFreshLink", token=owner_token)
        await service.deliver()
        assert len([mail for mail in service.mailbox.entries if mail.to == OWNER]) == 1
        service.clock.advance(minutes=11)
        expired = await browser.do("requestFreshLink", token=owner_token)
        await service.deliver()
        assert live == expired == unknown
        assert len([mail for mail in service.mailbox.entries if mail.to == OWNER]) == 1 + 1


async def test_expired_invitation_can_be_replaced(service: Service) -> None:
    """After its seven days an invitation is EXPIRED and closed. Inviting again creates a new one, whose link works."""
    async with service.browser() as owner, service.browser() as guest:
        community = await _own(service, owner)
        first = (await owner.invite(community, GUEST))["invitation"]
        token = await service.token_for(GUEST)
        service.clock.advance(days=7)
        await owner.sign_in(OWNER)
        assert (await owner.invitation(first["id"]))["status"] == "EXPIRED"
        assert not await _alive(guest, token)
        assert (await owner.do("revokeInvite", invitationId=first["id"]))["__typename"] == "InvitationClosed"
        second = await owner.invite(community, GUEST)
        assert second["__typename"] == "InviteMemberSuccess"
        assert second["invitation"]["id"] != first["id"]
        assert (await guest.accept_as(await service.token_for(GUEST), GUEST))["status"] == "ACCEPTED"


async def test_declining_needs_no_sign_in_and_can_be_reopened(service: Service) -> None:
    """A declined invitation's link is invalid. A resend reopens it, unless the address was blocked."""
    async with service.browser() as owner, service.browser() as guest:
        community = await _own(service, owner)
        invitation_id = (await owner.invite(community, GUEST))["invitation"]["id"]
        token = await service.token_for(GUEST)
        assert (await guest.do("declineInvite", token=token))["__typename"] == "DeclineInviteSuccess"
        assert not await _alive(guest, token)
        assert (await owner.invitation(invitation_id))["status"] == "DECLINED"
        assert (await owner.do("resendInvite", invitationId=invitation_id))["__typename"] == "ResendInviteSuccess"
        again = await service.token_for(GUEST)
        assert (await guest.do("declineInvite", token=again, block=True))["__typename"] == "DeclineInviteSuccess"
        service.clock.advance(minutes=2)
        assert (await owner.do("resendInvite", invitationId=invitation_id))["__typename"] == "InvitationClosed"
        await service.deliver()  # the mail about the block
        await owner.invite(community, GUEST)
        sent = len(service.mailbox.entries)
        await service.deliver()
        assert len(service.mailbox.entries) == sent


async def test_resends_are_limited(service: Service) -> None:
    """RESENDS_PER_INVITATION: one a minute and five a day. canResendAt names the next instant, and an earlier resend
    sends nothing.
    """
    async with service.browser() as owner:
        invitation_id = (await owner.invite(await _own(service, owner), GUEST))["invitation"]["id"]
        for _ in range(5):
            assert (await owner.do("resendInvite", invitationId=invitation_id))["__typename"] == "ResendInviteSuccess"
            early = await owner.do("resendInvite", invitationId=invitation_id)
            assert early["__typename"] == "RateLimited"
            found = await owner.invitation(invitation_id)
            assert (found["canResend"], found["canResendAt"] is None) == (False, False)
            service.clock.advance(minutes=1)
        assert (await owner.do("resendInvite", invitationId=invitation_id))["__typename"] == "RateLimited"
        service.clock.advance(days=1)
        await owner.sign_in(OWNER)
        assert (await owner.do("resendInvite", invitationId=invitation_id))["__typename"] == "ResendInviteSuccess"
