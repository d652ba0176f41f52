"""Choosing another account at a provider that keeps a session."""

from typing import Any, Final

import pytest
from playwright.async_api import Page, expect

from service.models import Membership
from tests.support.chromium import (
    GUEST,
    OWNER,
    OpenSite,
    Site,
    assert_accessible,
    choose_provider,
    heading,
    log_in,
    press,
    visible_text,
)
from tests.support.openid_provider import ABSENT

pytestmark = pytest.mark.anyio

ACME: Final[dict[str, Any]] = {"kind": "oidc", "label": "Acme", "email_domains": ["*"]}


def _keep_sessions(site: Site, *honours: str) -> None:
    """Lets the provider keep sessions, list no prompts, and ask for a login when one of these parameters requests it."""
    site.google.sessions = {}
    site.google.metadata_changes = {"prompt_values_supported": ABSENT}
    site.google.honours = set(honours)


async def _come_back_as_another_account(site: Site, page: Page) -> None:
    await page.goto(await site.link())
    await choose_provider(page, "google")
    await log_in(page, "other@example.com")
    await expect(heading(page)).to_have_text("That was another account")


@pytest.mark.parametrize("honours", ["prompt", "max_age"])
@pytest.mark.parametrize("prompt", ["auto", "login"])
async def test_another_account_is_chosen_at_a_provider_with_a_session(
    open_site: OpenSite, honours: str, prompt: str
) -> None:
    """H036: after a wrong account the provider shows its login again, by the prompt or by max_age. The right account joins."""
    async with open_site(ACME | {"prompt": prompt}) as site, site.invited():
        _keep_sessions(site, honours)
        page = await site.person()
        await _come_back_as_another_account(site, page)
        await page.get_by_role("button", name="Sign in with another account").click()
        await page.locator("#email").wait_for()
        await log_in(page, GUEST)
        await expect(heading(page)).to_have_text("Welcome to Demo")


async def test_a_provider_that_fails_on_prompt_is_asked_by_max_age(open_site: OpenSite) -> None:
    """With PROMPT=none the request has no prompt, and max_age=0 brings the login back."""
    async with open_site(ACME | {"prompt": "none"}) as site, site.invited():
        _keep_sessions(site, "max_age")
        page = await site.person()
        await _come_back_as_another_account(site, page)
        async with page.expect_request(lambda request: "/authorize?" in request.url) as asked:
            await page.get_by_role("button", name="Sign in with another account").click()
        assert "prompt=" not in (await asked.value).url
        await log_in(page, GUEST)
        await expect(heading(page)).to_have_text("Welcome to Demo")


async def test_the_page_says_what_to_do_at_a_provider_that_ignores_both(open_site: OpenSite) -> None:
    """A provider that returns the same account at once: the page says to sign out there first. Nobody becomes a member."""
    async with open_site(ACME) as site, site.invited():
        _keep_sessions(site)
        page = await site.person()
        await _come_back_as_another_account(site, page)
        async with page.expect_navigation(url="**/confirm"):
            await page.get_by_role("button", name="Sign in with another account").click()
        await expect(heading(page)).to_have_text("That was another account")
        advice = "Does Acme not ask for the account? Sign out there first, or open the link in your mail in a private window."
        await expect(visible_text(page, advice)).to_be_visible()
        await assert_accessible(page, "the same account again")
        assert await Membership.all().count() == 1
        private = await site.person()
        await private.goto(await site.link())
        await choose_provider(private, "google")
        await log_in(private, GUEST)
        await expect(heading(private)).to_have_text("Welcome to Demo")


async def test_a_fresh_sign_in_asks_for_the_login(open_site: OpenSite) -> None:
    """H172: the sign-in before a sensitive action shows the provider's login, also when the provider has a session."""
    async with open_site(ACME) as site:
        _keep_sessions(site, "prompt")
        page = await site.person()
        await page.goto(await site.link(OWNER))
        await choose_provider(page, "google")
        await log_in(page, OWNER)
        await page.goto("/#/account")
        site.service.clock.advance(minutes=15)
        site.google.clock = site.service.clock
        await page.locator("[data-provider=dev]").click()
        await expect(visible_text(page, "For your protection, sign in once more first.")).to_be_visible()
        await press(page, "Sign in again with Acme")
        await page.locator("#email").wait_for()
        await log_in(page, OWNER)
        await expect(heading(page)).to_have_text("My account")
        await choose_provider(page, "dev")
