"""The page of one invitation: its timeline, its actions, and changes while it is open."""

import re

import pytest
from playwright.async_api import expect

from service.addresses import Address
from service.mail import suppression
from service.models import Invitation
from tests.support.chromium import (
    GUEST,
    OWNER,
    Site,
    accept_as,
    assert_accessible,
    heading,
    hold_answer,
    press,
    release_answer,
    sign_in,
    visible_text,
)
from tests.support.console import invite_in_three_states, limit_pages_to_three, rows, wait_for_funnel
from tests.support.members import update_policy
from tests.support.service import Browser

pytestmark = pytest.mark.anyio


async def test_an_invitation_is_sent_again_and_revoked(site: Site) -> None:
    """Both actions are confirmed with a message. After sending, a time replaces the button. Revoking expires the link."""
    async with site.invited() as (owner, invitation_id):
        page = await site.person()
        await sign_in(page)
        await page.goto(f"/#/communities/{await owner.community_id()}/invitations/{invitation_id}")
        await expect(heading(page)).to_have_text(GUEST)
        await assert_accessible(page, "invitation")
        first = await site.service.token_for(GUEST)
        # A change of the mail's state redraws the view, and a press during that moment would hit neither button.
        sent = page.get_by_role("definition").filter(has_text=re.compile("^Sent"))
        await expect(sent).to_be_visible()
        await press(page, "Send again")
        await expect(visible_text(page, f"A new link is on its way to {GUEST}.")).to_be_visible()
        await expect(page.get_by_role("button", name="Send again")).to_have_count(0)
        await expect(visible_text(page, re.compile("Can be sent again in"))).to_be_visible()
        second = await site.service.token_for(GUEST)
        assert second != first
        await expect(sent).to_be_visible()
        await press(page, "Revoke")
        await expect(page.get_by_role("button", name="Keep it")).to_be_focused()
        await assert_accessible(page, "revoke")
        await page.keyboard.press("Escape")
        assert (await owner.invitation(invitation_id))["status"] == "PENDING"
        await press(page, "Revoke")
        await page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
        await expect(visible_text(page, f"The invitation to {GUEST} is revoked.")).to_be_visible()
        await expect(page.get_by_role("button", name="Revoke")).to_have_count(0)
        await expect(heading(page)).to_be_focused()
        assert (await owner.invitation(invitation_id))["status"] == "REVOKED"
        dead = await site.person()
        await dead.goto(f"/confirm#{second}")
        await expect(heading(dead)).to_have_text("This link has run out")


async def test_the_confirmation_survives_a_live_change(site: Site) -> None:
    """A view that shows the change before the mutation's answer still confirms the press. The confirmation stays after
    the mail was sent.
    """
    async with site.invited() as (owner, invitation_id):
        page = await site.person()
        await sign_in(page)
        await page.goto(f"/#/communities/{await owner.community_id()}/invitations/{invitation_id}")
        await expect(heading(page)).to_have_text(GUEST)
        answer = await hold_answer(page, "mutation Resend(")
        await press(page, "Send again")
        await expect(visible_text(page, re.compile("Can be sent again in"))).to_be_visible()
        answer.released.set()
        words = visible_text(page, f"A new link is on its way to {GUEST}.")
        await expect(words).to_be_visible()
        await site.service.deliver()
        await expect(page.get_by_role("definition").filter(has_text=re.compile("^Sent"))).to_be_visible()
        await expect(words).to_be_visible()


async def test_an_older_answer_does_not_undo_a_newer_one(site: Site) -> None:
    """A revoked invitation stays revoked when the answer to an earlier query arrives last."""
    async with site.invited() as (owner, invitation_id):
        page = await site.person()
        await sign_in(page)
        catching_up = await hold_answer(page, "query Invitation(", time=2)
        await page.goto(f"/#/communities/{await owner.community_id()}/invitations/{invitation_id}")
        await catching_up.is_given()
        before = await hold_answer(page, "query Invitation(")
        catching_up.released.set()
        await site.service.deliver()
        await before.is_given()
        await press(page, "Revoke")
        await page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
        await expect(page.locator(".badge").first).to_have_text("Revoked")
        await release_answer(page, before)
        await expect(page.locator(".badge").first).to_have_text("Revoked")


async def test_a_change_behind_a_dialog_is_shown_after_it(site: Site) -> None:
    """A change that happens while the confirmation dialog is open appears after it closes."""
    async with site.invited() as (owner, invitation_id):
        page = await site.person()
        await sign_in(page)
        await page.goto(f"/#/communities/{await owner.community_id()}/invitations/{invitation_id}")
        await press(page, "Revoke")
        await expect(page.get_by_role("button", name="Keep it")).to_be_focused()
        await site.service.deliver()
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("definition").filter(has_text=re.compile("^Sent"))).to_be_visible()


async def test_reasons_of_an_invitation_are_shown_in_the_readers_language(site: Site) -> None:
    """A German admin reads in German why a mail was not sent and what blocks an invitation, in the list and on each
    invitation.
    """
    blocked = "Die Regeln lassen Adressen dieser Domain nicht mehr zu."
    unsent = "Nicht gesendet: Mails an diese Adresse wurden abbestellt oder gesperrt"
    await suppression.add(Address("ada@club.example"), suppression.Reason.COMPLAINED, now=site.service.clock())
    async with site.invited() as (owner, kept):
        community = await owner.community_id()
        silent = (await owner.invite(community, "ada@club.example"))["invitation"]["id"]
        await site.service.deliver()
        await update_policy(owner, community, allowedEmailDomains=["club.example"])
        page = await site.person(language="de-DE")
        await page.goto("/")
        await accept_as(page, None, OWNER)
        await page.goto(f"/#/communities/{community}")
        await expect(rows(page).filter(has_text=GUEST).locator(".reason")).to_contain_text(blocked)
        await expect(rows(page).filter(has_text="ada@").locator(".reason")).to_contain_text(unsent)
        await expect(page.locator(".reason [lang=en]")).to_have_count(0)
        for invitation_id, words in ((kept, blocked), (silent, unsent)):
            await page.goto(f"/#/communities/{community}/invitations/{invitation_id}")
            await expect(page.get_by_role("alert")).to_contain_text(words)


async def test_an_invitation_and_back_preserve_the_filter(site: Site) -> None:
    """A row opens its timeline, and going back restores the filtered list."""
    async with site.owner() as owner:
        community_id = await invite_in_three_states(site, owner)
        page = await site.person()
        await sign_in(page)
        await page.goto(f"/#/communities/{community_id}?status=REVOKED")
        await wait_for_funnel(page)
        await rows(page).first.click()
        await expect(heading(page)).to_have_text("bob@example.com")
        await expect(page.get_by_role("listitem").filter(has_text="Owner took the invitation back.")).to_be_visible()
        await page.go_back()
        await expect(rows(page)).to_have_count(1)


async def test_a_long_timeline_is_paged(site: Site) -> None:
    """The first events are shown, and "Show more" loads the rest."""
    async with site.invited() as (owner, invitation_id):
        await site.service.deliver()
        site.service.clock.advance(minutes=2)
        await owner.do("resendInvite", invitationId=invitation_id)
        await site.service.deliver()
        page = await site.person()
        await page.route("**/graphql", limit_pages_to_three)
        await sign_in(page)
        await page.goto(f"/#/communities/{await owner.community_id()}/invitations/{invitation_id}")
        events = page.locator(".timeline > li")
        await expect(events).to_have_count(3)
        await press(page, "Show more")
        await expect(events).to_have_count(4)
        await expect(events.last).to_be_focused()
        await expect(page.get_by_role("button", name="Show more")).to_have_count(0)


@pytest.mark.parametrize(("language", "words"), [("en-GB", "(3 times, the last at"), ("de-DE", "(3-mal, zuletzt")])
async def test_the_timeline_counts_repeated_sign_ins(site: Site, language: str, words: str) -> None:
    """Three sign-ins that started from a link are one line of the timeline, with their number once, in the reader's
    language.
    """
    async with site.invited() as (owner, invitation_id), site.service.browser() as guest:
        token = await site.service.token_for(GUEST)
        for _ in range(3):
            await guest.accept(token)
        page = await site.person(language=language)
        await page.goto("/")
        await accept_as(page, None, OWNER)
        await page.goto("about:blank")
        await page.goto(f"/#/communities/{await owner.community_id()}/invitations/{invitation_id}")
        lines = page.locator(".timeline > li")
        await expect(lines).to_have_count(3)
        assert [line.count(words) for line in await lines.all_inner_texts() if words in line] == [1]


async def test_another_proved_address_is_invited_with_one_press(site: Site) -> None:
    """The request appears in the list and on the invitation. The press invites that address with the same role, once."""
    async with site.invited(role="ADMIN") as (owner, _), site.service.browser() as guest:
        acceptance = await guest.accept_as(await site.service.token_for(GUEST), "guest@other.example")
        await guest.do("requestOtherAddress", acceptanceId=acceptance["id"])
        page = await site.person()
        await sign_in(page)
        await page.goto(f"/#/communities/{await owner.community_id()}")
        await wait_for_funnel(page)
        await page.get_by_role("link", name=re.compile("asks to be invited at guest@other.example")).click()
        await expect(heading(page)).to_have_text(GUEST)
        await assert_accessible(page, "proposal")
        await press(page, "Invite guest@other.example")
        await expect(heading(page)).to_have_text("guest@other.example")
        await expect(visible_text(page, "The invitation to guest@other.example is on its way.")).to_be_visible()
        assert (await Invitation.get(email="guest@other.example")).role == "ADMIN"
        await page.go_back()
        await press(page, "Invite guest@other.example")
        await expect(visible_text(page, "was invited already")).to_be_visible()
        assert await Invitation.all().count() == 3


async def test_a_revoked_unsent_invitation_does_not_wait_for_its_mail(site: Site) -> None:
    """The invitation's page says that the mail was not sent, and the filter by waiting mails no longer selects it."""
    async with site.invited() as (owner, invitation_id):
        page = await site.person()
        await sign_in(page)
        community = f"/#/communities/{await owner.community_id()}"
        await page.goto(f"{community}/invitations/{invitation_id}")
        mail = page.locator("dl > div").filter(has_text="Newest mail")
        await expect(mail).to_contain_text("Waiting to be sent")
        await press(page, "Revoke")
        await page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
        await expect(mail).to_have_text("Newest mailNot sent before the invitation ended")
        await page.goto(f"{community}?delivery=QUEUED")
        await expect(visible_text(page, "No invitation is like that")).to_be_visible()
        await page.get_by_label("Filter by delivery").select_option("CANCELLED")
        await expect(rows(page)).to_contain_text(GUEST)


@pytest.mark.parametrize("end", ["EXPIRED", "REVOKED", "DECLINED"])
async def test_a_closed_invitation_is_made_again_with_its_values(site: Site, end: str) -> None:
    """The form has the earlier address, role, message and language. They survive a reload, and nothing is sent before
    the button is pressed.
    """
    words = {"role": "ADMIN", "message": "The key is under the mat.", "locale": "pt-BR"}
    async with site.invited(**words) as (owner, invitation_id):
        await _close(site, owner, invitation_id, end)
        page = await site.person()
        await sign_in(page)
        community = f"/#/communities/{await owner.community_id()}"
        await page.goto(f"{community}/invitations/{invitation_id}")
        await expect(page.locator(".subject .badge")).to_have_text(end.capitalize())
        await page.get_by_role("link", name="Invite again").click()
        for reload in (False, True):
            if reload:
                await page.reload()
            await expect(page.get_by_label("Email address")).to_have_value(GUEST)
            await expect(page.get_by_label("Email address")).to_be_focused()
            await expect(page.get_by_label("Role", exact=True)).to_have_value("ADMIN")
            await expect(page.get_by_text("Admins invite people and see all invitations.")).to_be_visible()
            await expect(page.get_by_label("Message")).to_have_value("The key is under the mat.")
            await expect(page.get_by_label("Language of the mail")).to_have_value("pt-BR")
        await assert_accessible(page, "invite again")
        assert await Invitation.all().count() == 2
        await press(page, "Send invitation")
        await expect(visible_text(page, f"The invitation to {GUEST} is on its way.")).to_be_visible()
        await expect(page).to_have_url(f"{site.service.url}{community}")
        newest = await Invitation.all().order_by("-created_at").first()
        assert newest is not None
        assert (newest.email, {name: getattr(newest, name) for name in words}) == (GUEST, words)


async def _close(site: Site, owner: Browser, invitation_id: str, end: str) -> None:
    if end == "REVOKED":
        await owner.do("revokeInvite", invitationId=invitation_id)
    elif end == "DECLINED":
        async with site.service.browser() as guest:
            await guest.do("declineInvite", token=await site.service.token_for(GUEST))
    site.service.clock.advance(days=8)
    await owner.sign_in(OWNER)


async def test_invite_again_is_not_offered_where_it_cannot_succeed(site: Site) -> None:
    """An erased invitation and one with a blocked address offer nothing. A role above the reader's own becomes member."""
    async with site.invited(role="OWNER") as (owner, invitation_id):
        await owner.invite(await owner.community_id(), "admin@example.com", role="ADMIN")
        await owner.do("revokeInvite", invitationId=invitation_id)
        community = f"/#/communities/{await owner.community_id()}"
        page = await site.person()
        await accept_as(page, await site.link("admin@example.com"), "admin@example.com")
        await page.goto(f"{community}/invitations/{invitation_id}")
        await page.get_by_role("link", name="Invite again").click()
        await expect(page.get_by_label("Email address")).to_have_value(GUEST)
        await expect(page.get_by_label("Role", exact=True)).to_have_value("MEMBER")
        await Invitation.filter(id=invitation_id).update(erased_at=site.service.clock())
        await page.goto(f"{community}/invitations/{invitation_id}")
        await expect(heading(page)).to_have_text(GUEST)
        await expect(page.get_by_role("link", name="Invite again")).to_have_count(0)
        blocking = (await owner.invite(await owner.community_id(), "other@example.com"))["invitation"]["id"]
        async with site.service.browser() as guest:
            await guest.do("declineInvite", token=await site.service.token_for("other@example.com"), block=True)
        await page.goto(f"{community}/invitations/{blocking}")
        await expect(page.locator(".subject .badge")).to_have_text("Declined")
        await expect(page.get_by_role("link", name="Invite again")).to_have_count(0)
