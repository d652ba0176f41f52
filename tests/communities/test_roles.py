"""Rights: limited by role and community, without a view of other communities."""

from typing import Any

import pytest

from service.models import AuditEvent, Invitation, Membership
from tests.support.service import PREVIEW, Browser, Service

pytestmark = pytest.mark.anyio

OWNER = "owner@example.com"


async def _own(service: Service, browser: Browser) -> str:
    await browser.accept_as(await service.token_for(OWNER), OWNER)
    return await browser.community_id()


async def _join(service: Service, owner: Browser, browser: Browser, role: str, community: str | None = None) -> str:
    """Invites a new person, who accepts. Returns the address."""
    email = f"{role.lower()}-{await Membership.all().count()}@example.com"
    invited = await owner.invite(community or await owner.community_id(), email, role=role)
    assert invited["__typename"] == "InviteMemberSuccess", invited
    assert (await browser.accept_as(await service.token_for(email), email))["status"] == "ACCEPTED"
    return email


async def test_inviting_above_ones_own_role_is_refused(service: Service) -> None:
    """H128: a member cannot invite. An admin cannot invite, resend or revoke an owner."""
    async with service.browser() as owner, service.browser() as admin, service.browser() as member:
        community = await _own(service, owner)
        await _join(service, owner, admin, "ADMIN")
        await _join(service, owner, member, "MEMBER")
        before = await Invitation.all().count()
        assert (await member.invite(community, "x@example.com"))["__typename"] == "NotPermitted"
        assert (await admin.invite(community, "x@example.com", role="OWNER"))["__typename"] == "NotPermitted"
        assert await Invitation.all().count() == before
        above = (await owner.invite(community, "y@example.com", role="OWNER"))["invitation"]["id"]
        for mutation in ("resendInvite", "revokeInvite"):
            assert (await admin.do(mutation, invitationId=above))["__typename"] == "NotPermitted"
            assert (await member.do(mutation, invitationId=above))["__typename"] == "NotFound"
        found = await admin.invitation(above)
        assert (found["status"], found["canResend"], found["canRevoke"]) == ("PENDING", False, False)


async def test_inviters_right_is_checked_at_acceptance(service: Service) -> None:
    """H128: after the inviter's demotion, the invitee is NOT_ALLOWED and the admin sees the reason. A resend solves it."""
    async with service.browser() as owner, service.browser() as admin, service.browser() as guest:
        await _own(service, owner)
        email = await _join(service, owner, admin, "ADMIN")
        invitation_id = (await admin.invite(await admin.community_id(), "guest@example.com"))["invitation"]["id"]
        started = await guest.accept(await service.token_for("guest@example.com"))
        await Membership.filter(member__email=email).update(role="MEMBER")
        await guest.log_in(started["authorizationUrl"], "guest@example.com")
        refused = await guest.acceptance()
        assert (refused["status"], refused["canRetry"]) == ("NOT_ALLOWED", True)
        assert await guest.viewer_email() is None
        found = await owner.invitation(invitation_id)
        assert (found["status"], "Send it again" in found["blockedReason"]) == ("PENDING", True)
        assert (await owner.do("resendInvite", invitationId=invitation_id))["__typename"] == "ResendInviteSuccess"
        assert (await owner.invitation(invitation_id))["blockedReason"] is None
        service.clock.advance(seconds=1)
        accepted = await guest.accept_as(await service.token_for("guest@example.com"), "guest@example.com")
        assert accepted["status"] == "ACCEPTED"


async def test_other_communities_are_not_found(service: Service) -> None:
    """H126: an owner of another community receives null and NotFound for everything here. Nothing is sent or changed."""
    async with service.browser() as owner, service.browser() as other:
        community = await _own(service, owner)
        await _join(service, owner, other, "MEMBER")
        await other.do("createCommunity", name="Other")
        await owner.do("createCommunity", name="Private")
        private = await owner.community_id("Private")
        invitation_id = (await owner.invite(private, "x@example.com"))["invitation"]["id"]
        await service.deliver()
        mails, events = len(service.mailbox.entries), await AuditEvent.all().count()
        for mutation in ("resendInvite", "revokeInvite"):
            assert (await other.do(mutation, invitationId=invitation_id))["__typename"] == "NotFound"
        assert (await other.invite(private, "y@example.com"))["__typename"] == "NotFound"
        assert await other.invitation(invitation_id) is None
        assert (await other.ask("query($id: ID!) { community(id: $id) { name } }", id=private))["community"] is None
        for node in (private, invitation_id):
            assert (await other.ask("query($id: ID!) { node(id: $id) { id } }", id=node))["node"] is None
        inside = await other.ask("query($id: ID!) { community(id: $id) { invitations { totalCount } } }", id=community)
        assert inside["community"]["invitations"] is None
        await service.deliver()
        assert (len(service.mailbox.entries), await AuditEvent.all().count()) == (mails, events)


async def test_inviting_reveals_no_account_elsewhere(service: Service) -> None:
    """H131: the answer and the mail for an address with an account in another community are the same as for a new one."""
    async with service.browser() as owner, service.browser() as other:
        await _own(service, owner)
        known = await _join(service, owner, other, "MEMBER")
        await other.do("createCommunity", name="Other")
        community = await other.community_id("Other")
        answers = [await other.invite(community, email) for email in (OWNER, "new@example.com")]
        assert [_shape(answer) for answer in answers] == [_shape(answers[0])] * 2
        await service.deliver()
        found = [await other.invitation(answer["invitation"]["id"]) for answer in answers]
        assert found[0]["delivery"] == found[1]["delivery"] == "SENT"
        assert [event["kind"] for event in found[0]["timeline"]["nodes"]] == [
            event["kind"] for event in found[1]["timeline"]["nodes"]
        ]
        assert known != OWNER


def _shape(answer: dict[str, Any]) -> dict[str, Any]:
    invitation = {name: value for name, value in answer["invitation"].items() if name not in {"id", "email"}}
    return answer | {"invitation": invitation}


async def test_link_opens_its_own_invitation_only(service: Service) -> None:
    """H014: the token of an invitation is no session, state, cursor or id, and joins its own community only."""
    async with service.browser() as owner, service.browser() as guest:
        await _own(service, owner)
        await owner.do("createCommunity", name="Second")
        await owner.invite(await owner.community_id("Second"), "guest@example.com")
        token = await service.token_for("guest@example.com")
        async with service.browser() as thief:
            thief.client.cookies.set(service.settings.session_cookie, token)
            thief.client.cookies.set(service.settings.flow_cookie, token)
            assert await thief.viewer_email() is None
            assert await thief.acceptance() is None
            assert (await thief.client.get(f"/auth/dev/callback?state={token}&code=x")).status_code == 400
            assert (await thief.ask("query($id: ID!) { node(id: $id) { id } }", id=token))["node"] is None
        await guest.accept_as(token, "guest@example.com")
        memberships = (await guest.ask("{ viewer { memberships { community { name } } } }"))["viewer"]["memberships"]
        assert memberships == [{"community": {"name": "Second"}}]
        assert (await guest.ask(PREVIEW, token=token))["invitePreview"] is None


async def test_addresses_of_members_are_for_admins_and_themselves(service: Service) -> None:
    """Members see only their own address. Admins see all of them."""
    page = "query($id: ID!) { community(id: $id) { memberships { totalCount nodes { role member { id email } viewerCanChange } } } }"
    async with service.browser() as owner, service.browser() as member:
        community = await _own(service, owner)
        email = await _join(service, owner, member, "MEMBER")
        found = (await owner.ask(page, id=community))["community"]["memberships"]["nodes"]
        assert {node["member"]["email"] for node in found} == {OWNER, email}
        found = (await member.ask(page, id=community))["community"]["memberships"]["nodes"]
        assert {node["member"]["email"] for node in found} == {None, email}
        owner_id = next(node["member"]["id"] for node in found if node["member"]["email"] is None)
        query = await member.ask("query($id: ID!) { node(id: $id) { ...on Member { id email } } }", id=owner_id)
        assert query["node"] == {"id": owner_id, "email": None}


async def test_members_create_communities_where_the_operator_allows_it(service: Service) -> None:
    """createCommunity makes the caller its owner. Invalid names and anonymous callers are refused."""
    async with service.browser() as owner, service.browser() as stranger:
        assert (await stranger.do("createCommunity", name="X"))["__typename"] == "NotSignedIn"
        await _own(service, owner)
        for name in ("", "   ", "x" * 101, "two\nlines", "bell\u0007"):
            assert (await owner.do("createCommunity", name=name))["__typename"] == "InvalidInput"
        assert (await owner.do("createCommunity", name="x" * 100))["__typename"] == "CreateCommunitySuccess"
        names = (await owner.ask("{ viewer { memberships { role community { name memberCount } } } }"))["viewer"]
        assert [(m["role"], m["community"]["memberCount"]) for m in names["memberships"]] == [("OWNER", 1)] * 2
