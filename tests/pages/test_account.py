"""A person's account: sign-ins and sessions."""

import re

import pytest
from playwright.async_api import expect

from service.models import AccessToken
from tests.support.chromium import (
    OWNER,
    Site,
    accept_as,
    assert_accessible,
    choose_provider,
    heading,
    log_in,
    press,
    sign_in,
    visible_text,
)

pytestmark = pytest.mark.anyio


async def test_another_sign_in_is_added_to_an_account(site: Site) -> None:
    """Linking returns to the account and confirms it. The new sign-in opens the same account in another browser."""
    async with site.owner():
        page = await site.person()
        await sign_in(page)
        await page.get_by_role("link", name="My account").click()
        await choose_provider(page, "google")
        await log_in(page, "owner@gmail.com")
        await expect(visible_text(page, "From now on this sign-in opens your account too.")).to_be_visible()
        await expect(visible_text(page, "owner@gmail.com")).to_be_visible()
        elsewhere = await site.person()
        await elsewhere.goto("/")
        await accept_as(elsewhere, None, "owner@gmail.com", provider="google")
        await expect(elsewhere.get_by_role("link", name="Demo")).to_be_visible()


async def test_adding_a_sign_in_requires_a_fresh_sign_in(site: Site) -> None:
    """H172: after 15 minutes the account page first signs its owner in again, and then adds the sign-in."""
    async with site.owner():
        page = await site.person()
        await sign_in(page)
        await page.get_by_role("link", name="My account").click()
        site.service.clock.advance(minutes=15)
        site.google.clock = site.service.clock
        await page.locator("[data-provider=google]").click()
        await expect(visible_text(page, "For your protection, sign in once more first.")).to_be_visible()
        await assert_accessible(page, "fresh sign-in")
        await press(page, "Sign in again with Development")
        await page.locator("#email").wait_for()
        await log_in(page, OWNER)
        await expect(heading(page)).to_have_text("My account")
        await choose_provider(page, "google")
        await log_in(page, "owner@gmail.com")
        await expect(visible_text(page, "From now on this sign-in opens your account too.")).to_be_visible()


async def test_other_sessions_and_all_sessions_are_ended(site: Site) -> None:
    """H105: this device signs another one out. Signing out everywhere is confirmed and ends this session too."""
    async with site.owner() as owner:
        page = await site.person()
        await sign_in(page)
        await page.get_by_role("link", name="My account").click()
        await expect(visible_text(page, "This device")).to_have_count(1)
        await page.get_by_role("button", name=re.compile("^Sign out Test browser")).click()
        await expect(visible_text(page, "That device is signed out.")).to_be_visible()
        assert await owner.viewer_email() is None
        await press(page, "Sign out everywhere")
        await expect(page.get_by_role("dialog").get_by_role("checkbox")).to_have_count(0)
        await page.get_by_role("dialog").get_by_role("button", name="Sign out everywhere").click()
        await expect(visible_text(page, "You are signed out everywhere.")).to_be_visible()
        await page.goto("/#/account")
        await expect(heading(page)).to_have_text("Sign in")


@pytest.mark.parametrize("ends", [True, False])
async def test_signing_out_everywhere_offers_to_end_tokens(site: Site, *, ends: bool) -> None:
    """H198: with the box ticked, signing out everywhere ends the access tokens too; without it they stay valid."""
    async with site.owner() as owner:
        token = {"name": "Script", "scopes": ["READ"], "communityIds": [await owner.community_id()]}
        assert (await owner.do("createAccessToken", **token))["__typename"] == "CreateAccessTokenSuccess"
        page = await site.person()
        await sign_in(page)
        await page.get_by_role("link", name="My account").click()
        await press(page, "Sign out everywhere")
        dialog = page.get_by_role("dialog")
        await expect(dialog.get_by_role("checkbox", name="End my access tokens too")).not_to_be_checked()
        await dialog.get_by_role("checkbox", name="End my access tokens too").set_checked(ends)
        await assert_accessible(page, "sign-out")
        await dialog.get_by_role("button", name="Sign out everywhere").click()
        await expect(visible_text(page, "You are signed out everywhere.")).to_be_visible()
        assert await owner.viewer_email() is None
        assert await AccessToken.filter(revoked_at__not_isnull=True).count() == int(ends)
