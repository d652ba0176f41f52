"""One invitation over HTTP through the real application, with the link from the mail."""

import pytest

from tests.support.service import INVITE, PREVIEW, Service

pytestmark = pytest.mark.anyio

GUEST = "guest@example.com"


async def test_invitation_is_accepted_by_its_invitee_only(service: Service) -> None:
    """H005, H021: the invited person becomes a member, another does not, the link works once, and the admin sees every
    step.
    """
    async with service.browser() as owner, service.browser() as guest:
        owned = await owner.accept_as(await service.token_for("owner@example.com"), "owner@example.com")
        assert (owned["status"], owned["membership"]["role"]) == ("ACCEPTED", "OWNER")
        assert await owner.viewer_email() == "owner@example.com"

        invited = await owner.invite(await owner.community_id(), GUEST, message="Come in!", role="ADMIN")
        assert invited["__typename"] == "InviteMemberSuccess"
        assert (invited["invitation"]["status"], invited["invitation"]["delivery"]) == ("PENDING", "QUEUED")

        token = await service.token_for(GUEST)
        preview = (await guest.ask(PREVIEW, token=token))["invitePreview"]
        assert preview["communityName"] == "Demo"
        assert preview["maskedEmail"] == "g•••@example.com"
        assert preview["inviterName"] == "Owner"
        assert preview["message"] == "Come in!"
        assert [provider["id"] for provider in preview["providers"]] == ["dev"]

        refused = await guest.accept_as(token, "other@example.com")
        assert (refused["status"], refused["canRetry"], refused["membership"]) == ("EMAIL_MISMATCH", True, None)
        assert refused["signedInEmail"] == "other@example.com"
        assert await guest.viewer_email() is None

        accepted = await guest.accept_as(None, GUEST)
        assert (accepted["status"], accepted["membership"]["role"]) == ("ACCEPTED", "ADMIN")
        assert await guest.viewer_email() == GUEST

        again = await guest.accept(token)
        assert again["__typename"] == "InviteLinkInvalid"
        assert (await guest.ask(PREVIEW, token=token))["invitePreview"] is None

        found = await owner.invitation(invited["invitation"]["id"])
        assert (found["status"], found["delivery"], found["acceptedBy"]["email"]) == ("ACCEPTED", "SENT", GUEST)
        assert [event["kind"] for event in found["timeline"]["nodes"]] == [
            "invitation.created",
            "invitation.sent",
            "invitation.sign_in_started",
            "invitation.accept_refused",
            "invitation.accepted",
            "membership.joined",
        ]
        assert "(2 times, the last at" in found["timeline"]["nodes"][2]["summary"]
        assert "o•••@example.com" in found["timeline"]["nodes"][3]["summary"]


async def test_unverified_email_opens_nothing(service: Service) -> None:
    """H022: an unverified address is refused, and the same link works after the verification."""
    token = await service.token_for("owner@example.com")
    async with service.browser() as owner:
        refused = await owner.accept_as(token, "owner@example.com", verified=False)
        assert (refused["status"], refused["canRetry"]) == ("EMAIL_NOT_VERIFIED", True)
        assert await owner.viewer_email() is None
        assert (await owner.accept_as(token, "owner@example.com"))["status"] == "ACCEPTED"


async def test_signing_in_needs_an_account_and_signing_out_ends_it(service: Service) -> None:
    """H020, H105: a stranger's sign-in is NOT_INVITED. A member's sign-in opens their account until they sign out."""
    async with service.browser() as owner, service.browser() as stranger, service.browser() as later:
        assert (await stranger.sign_in("stranger@example.com"))["status"] == "NOT_INVITED"
        assert await stranger.viewer_email() is None
        await owner.accept_as(await service.token_for("owner@example.com"), "owner@example.com")
        assert (await later.sign_in("owner@example.com"))["status"] == "SIGNED_IN"
        assert await later.viewer_email() == "owner@example.com"
        stolen = dict(later.client.cookies)
        answer = await later.ask("mutation { signOut { ...on SignOutSuccess { signedOut } } }")
        assert answer["signOut"]["signedOut"] == 1
        later.client.cookies.update(stolen)
        assert await later.viewer_email() is None
        assert await owner.viewer_email() == "owner@example.com"


async def test_inviting_the_same_person_again_changes_nothing(service: Service) -> None:
    """A second invitation of the same address, in any case, gets the first and sends no mail."""
    async with service.browser() as owner:
        await owner.accept_as(await service.token_for("owner@example.com"), "owner@example.com")
        community = await owner.community_id()
        first = await owner.invite(community, GUEST)
        second = await owner.invite(community, "Guest@EXAMPLE.com")
        assert second["__typename"] == "AlreadyInvited"
        assert second["invitation"]["id"] == first["invitation"]["id"]
        await service.deliver()
        assert len([mail for mail in service.mailbox.entries if mail.to == GUEST]) == 1
        member = (await owner.ask(INVITE, input={"communityId": community, "email": "owner@example.com"}))[
            "inviteMember"
        ]
        assert member["__typename"] == "AlreadyMember"
