"""The home page: communities, and creating one."""

import pytest
from playwright.async_api import expect

from service.models import Community
from tests.support.chromium import (
    OpenSite,
    assert_accessible,
    heading,
    press,
    sign_in,
    visible_text,
)

pytestmark = pytest.mark.anyio


async def test_communities_are_created_where_the_operator_allows_it(open_site: OpenSite) -> None:
    """With `members` the form creates a community and opens it, ready to invite."""
    async with open_site() as site, site.owner():
        page = await site.person()
        await sign_in(page)
        await press(page, "Create community")
        await expect(page.get_by_label("Name")).to_be_focused()
        await page.get_by_label("Name").fill("Chess")
        await press(page, "Create community")
        await expect(heading(page)).to_have_text("Chess")
        await expect(visible_text(page, "Chess is there. Now invite somebody.")).to_be_visible()
        await assert_accessible(page, "empty community")


async def test_the_form_is_absent_where_only_operators_create_communities(open_site: OpenSite) -> None:
    """With `operators` the page has no form for a new community, and the console creates no community to test it."""
    async with open_site(community_creation="operators") as site, site.owner():
        page = await site.person()
        await sign_in(page)
        await expect(page.get_by_role("link", name="Demo")).to_be_visible()
        await expect(page.get_by_role("button", name="Create community")).to_have_count(0)
        assert await Community.all().count() == 1
