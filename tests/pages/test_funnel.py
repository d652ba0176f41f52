"""The funnel: numbers and table."""

from datetime import timedelta

import pytest
from playwright.async_api import expect

from service.models import Invitation
from tests.support.chromium import (
    GUEST,
    OpenSite,
    Site,
    assert_accessible,
    sign_in,
    visible_text,
)

pytestmark = pytest.mark.anyio


async def test_the_funnel_shows_numbers_and_a_table(site: Site) -> None:
    """Of three invitations two were opened and one accepted. The stages and the weekly table show these numbers. The
    mail service reports no deliveries, so none are counted.
    """
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
        await expect(stages).to_have_text(["Invited3", "Sent3 100%", "Opened2 67%", "Accepted1 33%"])
        await expect(visible_text(page, "The mail service does not report which mails arrived.")).to_be_visible()
        await page.get_by_text("Week by week").click()
        await expect(page.get_by_role("columnheader")).to_have_text(
            ["Week from", "Invited", "Sent", "Opened", "Accepted"]
        )
        await expect(page.get_by_role("row").last.get_by_role("cell")).to_have_text(["3", "3", "2", "1"])
        await expect(page.get_by_role("row")).to_have_count(9)
        await assert_accessible(page, "funnel")
        await owner.invite(community_id, "third@example.com")
        await expect(stages.first).to_have_text("Invited4")
        await expect(page.get_by_role("row").last.get_by_role("cell").first).to_have_text("4")


async def test_reported_deliveries_are_a_stage(open_site: OpenSite) -> None:
    """With delivery events, the stage counts the deliveries, even while there are none."""
    topic = "arn:aws:sns:eu-central-1:123456789012:guestlist"
    async with open_site(ses_topic_arns=[topic]) as site, site.invited() as (owner, _):
        page = await site.person()
        await sign_in(page)
        await page.goto(f"/#/communities/{await owner.community_id()}")
        await expect(page.locator(".stages > li")).to_have_text(
            ["Invited2", "Delivered1 50%", "Opened1 50%", "Accepted1 50%"]
        )
        await page.get_by_text("Week by week").click()
        await expect(page.get_by_role("row").last.get_by_role("cell")).to_have_text(["2", "1", "1", "1", "1"])


async def test_weeks_without_reports_are_marked(site: Site) -> None:
    """After a change from one mail service to another, the table shows the deliveries of the weeks that have reports."""
    async with site.invited() as (owner, invitation_id):
        await site.service.deliver()
        now = site.service.clock()
        earlier = {"created_at": now - timedelta(days=10), "first_delivered_at": now - timedelta(days=10)}
        await Invitation.filter(id=invitation_id).update(**earlier)
        page = await site.person()
        await sign_in(page)
        await page.goto(f"/#/communities/{await owner.community_id()}")
        await expect(page.locator(".stages > li")).to_have_text(
            ["Invited2", "Sent2 100%", "Opened1 50%", "Accepted1 50%"]
        )
        await page.get_by_text("Week by week").click()
        cells = [["1", "1", "1", "0", "0"], ["1", "1", "not reported", "1", "1"]]
        for row, numbers in enumerate(cells, start=7):
            await expect(page.get_by_role("row").nth(row).get_by_role("cell")).to_have_text(numbers)
