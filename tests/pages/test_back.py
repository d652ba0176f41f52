"""Back: to the row that was opened, at its scroll position, with as many rows as were loaded."""

import pytest
from playwright.async_api import Locator, Page, expect

from tests.support.chromium import GUEST, OWNER, OpenSite, Site, heading, press, sign_in
from tests.support.console import limit_pages_to_three, rows, wait_for_funnel
from tests.support.service import Browser

pytestmark = pytest.mark.anyio


async def _invite_five(site: Site, owner: Browser) -> str:
    """Invites five guests, one second apart. Returns the address of the list."""
    community_id = await owner.community_id()
    for number in range(5):
        site.service.clock.advance(seconds=1)
        await owner.invite(community_id, f"guest{number}@example.com")
    return f"/#/communities/{community_id}"


async def _open_list(site: Site, address: str) -> Page:
    """Opens a list in pages of three rows, on a phone."""
    page = await site.person()
    await page.route("**/graphql", limit_pages_to_three)
    await sign_in(page)
    await page.goto(address)
    return page


async def _top(element: Locator) -> float:
    """Returns the position of an element in the window."""
    return float(await element.evaluate("(element) => element.getBoundingClientRect().top"))


async def _scroll_near_end(page: Page) -> None:
    """Scrolls so far that the window shows no part of its first screen."""
    await page.evaluate("scrollTo(0, document.documentElement.scrollHeight - innerHeight - 40)")
    assert await page.evaluate("scrollY") > 200


@pytest.mark.parametrize("way", ["browser", "link"])
async def test_back_returns_to_the_row_of_an_invitation(site: Site, way: str) -> None:
    """The fifth row of a filtered list, from its second page, has the focus again at the same height. The browser's Back
    and the view's own link return alike. A new visit begins at the top.
    """
    async with site.owner() as owner:
        address = await _invite_five(site, owner)
        page = await _open_list(site, f"{address}?status=PENDING")
        await expect(rows(page)).to_have_count(3)
        await wait_for_funnel(page)
        await press(page, "Show more")
        await expect(rows(page)).to_have_count(5)
        await _scroll_near_end(page)
        row = rows(page).nth(3)
        before = await _top(row)
        await row.click()
        await expect(heading(page)).to_have_text("guest1@example.com")
        await expect(heading(page)).to_be_focused()
        assert await page.evaluate("scrollY") == 0
        if way == "browser":
            await page.go_back()
        else:
            await page.get_by_role("link", name="All invitations").click()
        await expect(rows(page)).to_have_count(5)
        await expect(rows(page).filter(has_text="guest1@example.com")).to_be_focused()
        assert abs(await _top(row) - before) < 2
        await expect(page).to_have_url(f"{site.service.url}{address}?status=PENDING")
        async with page.expect_response(lambda answer: "query Invitations(" in (answer.request.post_data or "")):
            await page.evaluate("dispatchEvent(new Event('offline'))")  # the list loads again after it reconnects
        await expect(rows(page).filter(has_text="guest1@example.com")).to_be_focused()
        assert abs(await _top(row) - before) < 2
        await page.get_by_role("link", name="Members", exact=True).click()
        await expect(page.get_by_role("heading", name="Members")).to_be_visible()
        await page.get_by_role("link", name="Invitations", exact=True).click()
        await expect(rows(page)).to_have_count(3)
        await expect(heading(page)).to_be_focused()
        assert await page.evaluate("scrollY") == 0


async def test_back_returns_to_the_row_after_the_list_changed(site: Site) -> None:
    """Invitations that were made meanwhile stand above. The opened row keeps its height in the window and the focus."""
    async with site.owner() as owner:
        address = await _invite_five(site, owner)
        page = await _open_list(site, address)
        await wait_for_funnel(page)
        await press(page, "Show more")
        await expect(rows(page)).to_have_count(6)
        await _scroll_near_end(page)
        row = rows(page).filter(has_text="guest2@example.com")
        before = await _top(row)
        await row.click()
        await expect(heading(page)).to_have_text("guest2@example.com")
        site.service.clock.advance(seconds=1)
        await owner.invite(await owner.community_id(), "newer@example.com")
        await page.go_back()
        await expect(rows(page).first).to_contain_text("newer@example.com")
        await expect(row).to_be_focused()
        assert abs(await _top(row) - before) < 2


async def test_back_returns_to_one_of_several_links(site: Site) -> None:
    """Several entries of the audit log link to one invitation. The one that was followed has the focus, also after a
    reload in between.
    """
    async with site.invited() as (owner, _):
        await site.service.deliver()
        page = await _open_list(site, f"/#/communities/{await owner.community_id()}/audit")
        entries = page.locator("ol.rows > li")
        await expect(entries).to_have_count(3)
        await press(page, "Show more")
        await expect(entries).to_have_count(6)
        await _scroll_near_end(page)
        link = entries.nth(5).get_by_role("link")
        before, name = await _top(link), await link.text_content()
        assert await entries.get_by_role("link", name=OWNER).count() > 1
        assert name == OWNER
        await link.click()
        await expect(heading(page)).to_have_text(OWNER)
        await page.reload()
        await expect(heading(page)).to_have_text(OWNER)
        await page.go_back()
        await expect(entries).to_have_count(6)
        await expect(link).to_be_focused()
        assert abs(await _top(link) - before) < 2


async def test_back_undoes_a_filter_at_the_same_place(site: Site) -> None:
    """A filter is a step of the history. Back shows the earlier list with its loaded rows at its scroll position."""
    async with site.owner() as owner:
        page = await _open_list(site, await _invite_five(site, owner))
        await wait_for_funnel(page)
        await press(page, "Show more")
        await expect(rows(page)).to_have_count(6)
        pending = page.get_by_role("checkbox", name="Pending")
        await pending.scroll_into_view_if_needed()
        top = await page.evaluate("scrollY")
        assert top > 100
        await pending.check()
        await expect(rows(page)).to_have_count(3)
        await page.go_back()
        await expect(pending).not_to_be_checked()
        await expect(rows(page)).to_have_count(6)
        assert abs(await page.evaluate("scrollY") - top) < 2


async def test_back_returns_to_the_members_that_were_loaded(open_site: OpenSite) -> None:
    """Members and the audit log are separate views with places of their own, in both directions of the history."""
    async with open_site() as site, site.owner() as owner:
        community_id = await owner.community_id()
        for number in range(4):
            await owner.invite(community_id, f"guest{number}@example.com")
            async with site.service.browser() as guest:
                token = await site.service.token_for(f"guest{number}@example.com")
                await guest.accept_as(token, f"guest{number}@example.com")
        page = await _open_list(site, f"/#/communities/{community_id}/members")
        members = page.locator("li.member")
        await expect(members).to_have_count(3)
        await press(page, "Show more")
        await expect(members).to_have_count(5)
        await page.evaluate("scrollTo(0, 150)")
        top = await page.evaluate("scrollY")
        assert top > 50
        await page.evaluate("location.hash += '/../../account'")
        await expect(heading(page)).to_have_text("There is nothing here")
        assert await page.evaluate("scrollY") == 0
        await page.go_back()
        await expect(members).to_have_count(5)
        assert abs(await page.evaluate("scrollY") - top) < 2
        await page.go_forward()
        await expect(heading(page)).to_have_text("There is nothing here")
        await page.go_back()
        await expect(members).to_have_count(5)
        await page.reload()
        await expect(members).to_have_count(5)
        assert abs(await page.evaluate("scrollY") - top) < 2
        await expect(page.get_by_text(GUEST)).to_have_count(0)
