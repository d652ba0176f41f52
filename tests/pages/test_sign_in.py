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
    """After the sign-in the reader returns to the view that they opened, and its address is unchanged."""
    async with site.invited() as (owner, invitation_id):
        page = await site.person()
        address = f"/#/communities/{await owner.community_id()}/invitations/{invitation_id}"
        await page.goto(address)
        await expect(heading(page)).to_have_text("Sign in")
        await accept_as(page, None, OWNER)
        await expect(heading(page)).to_have_text(GUEST)
        await expect(page).to_have_url(site.service.url + address)


async def test_an_uninvited_sign_in_shows_an_explanation(site: Site) -> None:
    """H020: the explanation appears once, is gone after a reload, and no session begins."""
    page = await site.person()
    await page.goto("/")
    await accept_as(page, None, "stranger@example.com")
    await expect(visible_text(page, "There is no member with this sign-in here.")).to_be_visible()
    await assert_accessible(page, "not invited")
    await page.reload()
    await expect(heading(page)).to_have_text("Sign in")
    await expect(visible_text(page, "There is no member with this sign-in")).to_have_count(0)


async def test_an_ended_session_is_reported_at_the_sign_in(site: Site) -> None:
    """Inviting after the session has ended leads to the sign-in with an explanation, and sends no invitation."""
    async with site.owner():
        page = await site.person()
        await sign_in(page)
        await page.get_by_role("link", name="Demo").click()
        await page.get_by_label("Email address").fill(GUEST)
        await end_session_at(page, "mutation Invite(")
        await press(page, "Send invitation")
        await expect(visible_text(page, "You were signed out. Sign in to go on.")).to_be_visible()
        assert await Invitation.all().count() == 1
