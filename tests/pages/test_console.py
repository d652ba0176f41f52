"""The console as a whole: accessibility, keyboard and requests."""

import pytest
from playwright.async_api import expect

from tests.support.chromium import (
    GUEST,
    Site,
    assert_accessible,
    heading,
    hold_answer,
    release_answer,
    sign_in,
)
from tests.support.console import rows

pytestmark = pytest.mark.anyio


async def test_an_abandoned_view_does_not_mark_the_next_one_as_busy(site: Site) -> None:
    """The next view is not shown as loading while the answer to the previous one is pending."""
    async with site.owner() as owner:
        page = await site.person()
        await sign_in(page)
        await page.clock.install()
        before = await hold_answer(page, "query Members(")
        members = f"#/communities/{await owner.community_id()}/members"
        await page.evaluate("members => { location.hash = members }", members)
        await before.is_given()
        await page.evaluate("location.hash = '#/account'")
        await expect(heading(page)).to_have_text("My account")
        await page.clock.run_for(1_000)
        await expect(page.locator("#view")).not_to_have_attribute("aria-busy", "true")
        await release_answer(page, before)
        await expect(heading(page)).to_have_text("My account")


async def test_every_view_of_the_console_is_accessible_and_has_an_address(site: Site) -> None:
    """Each view can be opened directly by its address, names itself in the title, and fits a window of 320 pixels."""
    async with site.invited() as (owner, invitation_id):
        page = await site.person()
        await page.goto("/")
        await expect(heading(page)).to_have_text("Sign in")
        await assert_accessible(page, "sign in")
        await sign_in(page)
        await expect(page.get_by_role("button", name="Create community")).to_be_visible()
        community = f"/#/communities/{await owner.community_id()}"
        views = {
            "/": ("My communities", "My communities"),
            "/#/": ("My communities", "My communities"),
            community: ("Demo", "Invitations · Demo"),
            f"{community}/members": ("Demo", "Members · Demo"),
            f"{community}/audit": ("Demo", "Audit log · Demo"),
            f"{community}/rules": ("Demo", "Rules · Demo"),
            f"{community}/invite": ("Demo", "Invite many at once · Demo"),
            f"{community}/invitations/{invitation_id}": (GUEST, GUEST),
            "/#/account": ("My account", "My account"),
            "/#/communities/com_none": ("No such community", "No such community"),
            "/#/nowhere": ("There is nothing here", "There is nothing here"),
        }
        for address, (title, named) in views.items():
            await page.goto("about:blank")
            await page.goto(address)
            await expect(heading(page)).to_have_text(title)
            await expect(page).to_have_title(f"{named} · Guestlist")
            await assert_accessible(page, address)
            await page.set_viewport_size({"width": 320, "height": 640})
            assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, address


async def test_the_console_is_operable_by_keyboard(site: Site) -> None:
    """Invite, open the row and revoke without a pointer. Focus moves to each new view's heading, stays inside a dialog,
    and returns to its button afterwards.
    """
    async with site.owner() as owner:
        page = await site.person()
        await sign_in(page)
        await page.goto(f"/#/communities/{await owner.community_id()}")
        await expect(heading(page)).to_have_text("Demo")
        await expect(heading(page)).to_be_focused()
        await page.get_by_label("Email address").focus()
        site.service.clock.advance(seconds=1)
        await page.keyboard.type(GUEST)
        await page.keyboard.press("Enter")
        await expect(rows(page)).to_have_count(2)
        await expect(page.get_by_label("Email address")).to_be_focused()
        for _ in range(40):
            await page.keyboard.press("Tab")
            if await rows(page).first.evaluate("row => row === document.activeElement"):
                break
        await page.keyboard.press("Enter")
        await expect(heading(page)).to_have_text(GUEST)
        await expect(heading(page)).to_be_focused()
        for name in ("Send again", "Revoke"):
            await page.keyboard.press("Tab")
            await expect(page.get_by_role("button", name=name)).to_be_focused()
        await page.keyboard.press("Enter")
        inside = "document.activeElement === document.body || !!document.activeElement.closest('dialog')"
        for _ in range(4):
            await page.keyboard.press("Tab")
            assert await page.evaluate(inside)
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("button", name="Revoke")).to_be_focused()


async def test_the_console_sends_no_foreign_requests_and_honours_reduced_motion(site: Site) -> None:
    """Every request goes to the service itself. With reduced motion no change flashes."""
    async with site.owner() as owner:
        page = await site.person()
        urls: list[str] = []
        page.on("request", lambda request: urls.append(request.url))
        await page.emulate_media(reduced_motion="reduce")
        await sign_in(page)
        await page.goto(f"/#/communities/{await owner.community_id()}")
        await owner.invite(await owner.community_id(), GUEST)
        await expect(rows(page)).to_have_count(2)
        await site.service.deliver()
        await expect(page.locator(".fresh")).to_have_css("animation-name", "none")
        assert len(urls) > 20
        assert [url for url in urls if not url.startswith(site.service.url)] == []
