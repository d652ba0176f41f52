"""Declining, blocking, and lifting a block."""

import re

import pytest
from playwright.async_api import expect

from tests.support.chromium import (
    GUEST,
    Site,
    accept_as,
    assert_accessible,
    heading,
    press,
    visible_text,
)

pytestmark = pytest.mark.anyio


async def test_declining_is_confirmed_and_can_block(site: Site) -> None:
    """Cancelling the dialog changes nothing. Declining with the block closes the invitation, and the invitation cannot
    be sent again.
    """
    async with site.invited() as (owner, invitation_id):
        page = await site.person()
        link = await site.link()
        await page.goto(link)
        await expect(heading(page)).to_have_text("Demo")
        await assert_accessible(page, "offer")
        await press(page, "Decline")
        await expect(page.get_by_role("button", name="Keep the invitation")).to_be_focused()
        await assert_accessible(page, "decline")
        await press(page, "Keep the invitation")
        assert (await owner.invitation(invitation_id))["status"] == "PENDING"
        await press(page, "Decline")
        await page.get_by_label("No more invitations from this community").check()
        await page.get_by_role("dialog").get_by_role("button", name="Decline").click()
        await expect(heading(page)).to_have_text("You declined")
        await expect(visible_text(page, "Demo can no longer invite this address.")).to_be_visible()
        await expect(heading(page)).to_be_focused()
        await assert_accessible(page, "declined")
        assert (await owner.invitation(invitation_id))["status"] == "DECLINED"
        assert (await owner.do("resendInvite", invitationId=invitation_id))["__typename"] == "InvitationClosed"
        await page.goto("about:blank")
        await page.goto(link)
        await expect(heading(page)).to_have_text("This link has run out")


async def test_a_page_without_the_link_offers_no_block(site: Site) -> None:
    """H176: a flow without the link in the page can decline but not block. The page says to open the link for a block."""
    async with site.invited() as (owner, invitation_id):
        page = await site.person()
        await accept_as(page, await site.link(), "other@example.com")
        await press(page, "Decline")
        dialog = page.get_by_role("dialog")
        await expect(dialog.get_by_text("To block further invitations too, open the link in the mail.")).to_be_visible()
        await expect(dialog.get_by_role("checkbox")).to_have_count(0)
        await dialog.get_by_role("button", name="Decline").click()
        await expect(heading(page)).to_have_text("You declined")
        seen = await owner.invitation(invitation_id)
        assert (seen["status"], seen["canResend"]) == ("DECLINED", True)


async def test_a_block_is_lifted_on_the_page_of_its_mail(site: Site) -> None:
    """The mail about a block links to a page with one button, which lifts the block."""
    async with site.invited() as (owner, invitation_id):
        async with site.service.browser() as holder:
            await holder.do("declineInvite", token=await site.service.token_for(GUEST), block=True)
        mail = await site.service.mail_to(GUEST)
        page = await site.person(language="fr-FR")
        found = re.search(r"http\S+/blocks/\S+", mail.text)
        assert found is not None
        await page.goto(found[0])
        await expect(page.get_by_role("heading")).to_have_text("Lever le blocage\u00a0?")
        await assert_accessible(page, "lift")
        await page.get_by_role("button").click()
        await expect(page.get_by_role("heading")).to_have_text("Le blocage est levé")
        assert (await owner.invitation(invitation_id))["canResend"] is True
