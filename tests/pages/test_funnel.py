"""The funnel: numbers and table."""

import pytest
from playwright.async_api import expect

from tests.support.chromium import (
    GUEST,
    Site,
    assert_accessible,
    sign_in,
)

pytestmark = pytest.mark.anyio


async def test_the_funnel_shows_numbers_and_a_table(site: Site) -> None:
    """Of three invitations two were opened and one accepted. The stages and the weekly table show these numbers."""
    async with site.owner() as owner:
        site.service.clock.advance(minutes=1)
        community_id = await owner.community_id()
        await owner.invite(community_id, GUEST)
        await owner.invite(community_id, "other@example.com")
        async with site.service.browser() as guest:
            await guest.accept(await site.service.token_for(GUEST))
        page = await site.person()
        await sign_in(page)
        await page.goto(f"/#/communities/{community_id}")
        stages = page.locator(".stages > li")
        await expect(stages).to_have_text(["Invited3", "Delivered2 67%", "Opened2 67%", "Accepted1 33%"])
        await page.get_by_text("Week by week").click()
        await expect(page.get_by_role("row").last.get_by_role("cell")).to_have_text(["3", "2", "2", "1"])
        await expect(page.get_by_role("row")).to_have_count(9)
        await assert_accessible(page, "funnel")
        await owner.invite(community_id, "third@example.com")
        await expect(stages.first).to_have_text("Invited4")
        await expect(page.get_by_role("row").last.get_by_role("cell").first).to_have_text("4")
