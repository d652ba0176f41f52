"""The invitation policy of a community."""

import pytest
from playwright.async_api import expect

from service.models import Community
from tests.support.chromium import (
    Site,
    assert_accessible,
    press,
    sign_in,
    visible_text,
)

pytestmark = pytest.mark.anyio


async def test_the_policy_is_saved_and_errors_appear_at_their_field(site: Site) -> None:
    """The saved rules apply. A value that is out of bounds or not a number shows an error at its field and changes
    nothing.
    """
    async with site.owner() as owner:
        page = await site.person()
        await sign_in(page)
        await page.goto(f"/#/communities/{await owner.community_id()}/rules")
        minutes, seats = page.get_by_label("Minutes that a link works"), page.get_by_label("Seats")
        await expect(minutes).to_be_visible()
        await assert_accessible(page, "rules")
        await minutes.fill("16")
        await press(page, "Save the rules")
        await expect(minutes).to_be_focused()
        await expect(visible_text(page, "between 5 and 15 was expected")).to_be_visible()
        await minutes.fill("")
        await press(page, "Save the rules")
        await expect(visible_text(page, "A whole number is needed here.")).to_be_visible()
        await minutes.fill("5")
        await page.get_by_label("Days that an invitation stays open").fill("30")
        await page.get_by_label("Domains that can be invited").fill("Example.com, other.example")
        await seats.fill("12")
        await page.get_by_label("Language of the mails").select_option("Deutsch")
        await press(page, "Save the rules")
        await expect(visible_text(page, "The rules are saved.")).to_be_visible()
        await page.get_by_role("link", name="Invitations").click()
        await expect(
            visible_text(page, "Only addresses at example.com and other.example can be invited.")
        ).to_be_visible()
        await expect(visible_text(page, "stay open for 30 days; each link for 5 minutes")).to_be_visible()
        await page.get_by_role("link", name="Rules").click()
        await expect(page.get_by_label("Language of the mails")).to_have_value("de")
        await seats.fill("")
        await press(page, "Save the rules")
        await expect(visible_text(page, "The rules are saved.")).to_be_visible()
        community = await Community.get()
        assert (community.link_minutes, community.seat_limit) == (5, None)
