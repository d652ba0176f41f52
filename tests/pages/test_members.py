"""The members' page: roles, removal and leaving."""

import pytest
from playwright.async_api import expect

from service.models import Membership
from tests.support.chromium import (
    GUEST,
    Site,
    accept_as,
    heading,
    press,
    sign_in,
    visible_text,
)

pytestmark = pytest.mark.anyio


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
