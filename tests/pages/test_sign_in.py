"""Signing in to the console."""

import pytest
from playwright.async_api import expect

from service.models import Invitation
from tests.support.chromium import (
    GUEST,
    OWNER,
    Site,
    accept_as,
    assert_accessible,
    heading,
    press,
    sign_in,
    visible_text,
)
from tests.support.console import end_session_at

pytestmark = pytest.mark.anyio


async def test_a_deep_link_survives_the_sign_in(site: Site) -> None:
    """Who must sign in first comes back to the very view that they opened, and the address keeps no mark of it."""
    async with site.invited() as (owner, invitation_id):
        page = await site.person()
        address = f"/#/communities/{await owner.community_id()}/invitations/{invitation_id}"
        await page.goto(address)
        await expect(heading(page)).to_have_text("Sign in")
        await accept_as(page, None, OWNER)
        await expect(heading(page)).to_have_text(GUEST)
        await expect(page).to_have_url(site.service.url + address)


async def test_a_sign_in_that_nobody_invited_is_told_so(site: Site) -> None:
    """H020: the words come once, stay away after a reload, and nobody is signed in."""
    page = await site.person()
    await page.goto("/")
    await accept_as(page, None, "stranger@example.com")
    await expect(visible_text(page, "There is no member with this sign-in here.")).to_be_visible()
    await assert_accessible(page, "not invited")
    await page.reload()
    await expect(heading(page)).to_have_text("Sign in")
    await expect(visible_text(page, "There is no member with this sign-in")).to_have_count(0)


async def test_a_session_that_ended_meanwhile_is_told(site: Site) -> None:
    """Inviting without a session any more leads to the sign-in, in words, and sends nothing."""
    async with site.owner():
        page = await site.person()
        await sign_in(page)
        await page.get_by_role("link", name="Demo").click()
        await page.get_by_label("Email address").fill(GUEST)
        await end_session_at(page, "mutation Invite(")
        await press(page, "Send invitation")
        await expect(visible_text(page, "You were signed out. Sign in to go on.")).to_be_visible()
        assert await Invitation.all().count() == 1
