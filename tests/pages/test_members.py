"""The members' page: roles, removal and leaving."""

import pytest
from playwright.async_api import expect

from service.models import Membership, Role
from tests.support.chromium import (
    DESK,
    GUEST,
    PHONE,
    Site,
    accept_as,
    assert_accessible,
    heading,
    press,
    sign_in,
    visible_text,
)

pytestmark = pytest.mark.anyio


async def test_roles_are_changed_and_members_removed(site: Site) -> None:
    """A role is chosen in a dialog, and Escape cancels it. Removing is confirmed. The list shows both changes
    immediately.
    """
    async with site.invited():
        async with site.service.browser() as guest:
            await guest.accept_as(await site.service.token_for(GUEST), GUEST)
        page = await site.person()
        await sign_in(page)
        await page.get_by_role("link", name="Demo").click()
        await page.get_by_role("link", name="Members", exact=True).click()
        row = page.get_by_role("listitem").filter(has_text=GUEST)
        change = row.get_by_role("button", name="Change role Guest")
        await change.click()
        await expect(page.get_by_role("radio", name="Member")).to_be_focused()
        await assert_accessible(page, "change role")
        await page.keyboard.press("Escape")
        await expect(change).to_be_focused()
        await change.click()
        await expect(page.get_by_role("radio", name="Member")).to_be_focused()
        await page.keyboard.press("ArrowDown")
        await page.get_by_role("dialog").get_by_role("button", name="Change").click()
        await expect(visible_text(page, "Guest is now admin.")).to_be_visible()
        await expect(row).to_contain_text("Admin")
        assert await Membership.filter(role=Role.ADMIN).count() == 1
        await row.get_by_role("button", name="Remove Guest").click()
        await expect(page.get_by_role("button", name="Cancel")).to_be_focused()
        await assert_accessible(page, "remove")
        await page.get_by_role("dialog").get_by_role("button", name="Remove").click()
        await expect(visible_text(page, "Guest was removed.")).to_be_visible()
        await expect(row).to_have_count(0)
        assert await Membership.all().count() == 1


async def test_the_last_owner_cannot_leave_and_a_member_can(site: Site) -> None:
    """The dialog tells the last owner why they cannot leave. A member leaves and returns to their communities."""
    async with site.invited():
        owner = await site.person()
        await sign_in(owner)
        await owner.get_by_role("link", name="Demo").click()
        await owner.get_by_role("link", name="Members", exact=True).click()
        await owner.get_by_role("button", name="Leave Owner").click()
        await owner.get_by_role("dialog").get_by_role("button", name="Leave").click()
        await expect(owner.get_by_role("dialog")).to_contain_text("at least one owner")
        assert await Membership.all().count() == 1
        guest = await site.person()
        await accept_as(guest, await site.link(), GUEST)
        await guest.get_by_role("link", name="Go to Demo").click()
        await expect(guest.get_by_role("button")).to_have_text(["Sign out", "Leave Guest"])
        await press(guest, "Leave Guest")
        await guest.get_by_role("dialog").get_by_role("button", name="Leave").click()
        await expect(visible_text(guest, "You left Demo.")).to_be_visible()
        await expect(heading(guest)).to_have_text("My communities")
        assert await Membership.all().count() == 1


@pytest.mark.parametrize("language", ["en-GB", "de-DE", "fr-FR", "es-ES"])
async def test_the_badges_of_all_members_form_one_column(site: Site, language: str) -> None:
    """Roles and actions have different widths. The badges begin at one line on a desktop, and end at one on a phone."""
    async with site.owner() as owner:
        community_id = await owner.community_id()
        for email, role in (("admin@example.com", "ADMIN"), (GUEST, "MEMBER")):
            await owner.invite(community_id, email, role=role)
            async with site.service.browser() as guest:
                await guest.accept_as(await site.service.token_for(email), email)
        for email in ("owner@example.com", GUEST):
            page = await site.person(language=language)
            await page.goto(f"/#/communities/{community_id}/members")
            await accept_as(page, None, email)
            badges = page.locator(".member > .badge")
            await expect(badges).to_have_count(3)
            for viewport, edge in ((DESK, "left"), (PHONE, "right")):
                await page.set_viewport_size(viewport)
                edges = await badges.evaluate_all(
                    "(badges, edge) => badges.map((badge) => Math.round(badge.getBoundingClientRect()[edge]))", edge
                )
                assert len(set(edges)) == 1, (viewport, edges)
