"""Reload, back, further tabs and other browsers."""

import pytest
from playwright.async_api import expect

from service.models import Flow, Membership
from tests.support.chromium import (
    GUEST,
    Site,
    accept_as,
    assert_accessible,
    choose_provider,
    heading,
    log_in,
    press,
    visible_text,
)

pytestmark = pytest.mark.anyio


async def test_back_reload_and_a_second_tab_resume_the_flow(site: Site) -> None:
    """Back from the provider, a reload and another tab show the invitation again. A flow that one tab finishes is
    finished in the other.
    """
    async with site.invited():
        page = await site.person()
        await page.goto(await site.link())
        await choose_provider(page)
        await page.go_back()
        started = page.get_by_text("You were on your way to sign in with Development.")
        await expect(started).to_be_visible()
        await assert_accessible(page, "started")
        await page.reload()
        await expect(started).to_be_visible()
        second = await page.context.new_page()
        await second.goto("/confirm")
        await expect(visible_text(second, "You were on your way")).to_be_visible()
        await page.bring_to_front()
        await choose_provider(page)
        await log_in(page, GUEST)
        await expect(heading(page)).to_have_text("Welcome to Demo")
        await second.reload()
        await expect(heading(second)).to_have_text("You belong here already")


async def test_a_reopened_browser_resumes_the_flow(site: Site) -> None:
    """A browser that was closed at the provider and opened again still has the flow, and finishes it without the link."""
    async with site.invited():
        page = await site.person()
        await page.goto(await site.link())
        await choose_provider(page)
        kept = await page.context.storage_state()
        await page.context.close()
        again = await (await site.chromium.new_context(base_url=site.service.url, storage_state=kept)).new_page()
        await again.goto("/confirm")
        await expect(visible_text(again, "You were on your way")).to_be_visible()
        await accept_as(again, None, GUEST)
        await expect(heading(again)).to_have_text("Welcome to Demo")


async def test_a_waiting_tab_shows_the_outcome_of_another_tab(site: Site) -> None:
    """A tab that shows a started sign-in switches to the outcome without a reload."""
    async with site.invited():
        finishing = await site.person()
        await finishing.goto(await site.link())
        await choose_provider(finishing)
        waiting = await finishing.context.new_page()
        await waiting.goto("/confirm")
        await expect(visible_text(waiting, "You were on your way")).to_be_visible()
        await log_in(finishing, GUEST)
        await expect(heading(waiting)).to_have_text("Welcome to Demo")


async def test_another_browser_cannot_finish_a_flow(site: Site) -> None:
    """H059: the provider's answer in another browser shows an explanation only. The first browser can continue
    afterwards.
    """
    async with site.invited():
        first, second = await site.person(), await site.person()
        await first.goto(await site.link())
        await choose_provider(first)
        login = first.url
        await second.goto(login)
        await second.locator("#email").fill(GUEST)
        await press(second, "Sign in")
        await expect(heading(second)).to_have_text("Please finish where you began")
        await assert_accessible(second, "wrong browser")
        assert await Membership.all().count() == 1
        assert not any("session" in str(cookie.get("name")) for cookie in await second.context.cookies())
        await first.go_back()
        await choose_provider(first)
        await log_in(first, GUEST)
        await expect(heading(first)).to_have_text("Welcome to Demo")


async def test_a_stolen_link_grants_no_membership(site: Site) -> None:
    """H021: another person who opens the link sees the masked address only, and their account is rejected. The invitee
    can still accept.
    """
    async with site.invited():
        link = await site.link()
        thief, guest = await site.person(), await site.person()
        await thief.goto(link)
        await expect(heading(thief)).to_have_text("Demo")
        assert GUEST not in await thief.content()
        await accept_as(thief, None, "thief@example.com")
        await expect(heading(thief)).to_have_text("That was another account")
        assert GUEST not in await thief.content()
        await thief.goto("/")
        await expect(heading(thief)).to_have_text("Sign in")
        await accept_as(guest, link, GUEST)
        await expect(heading(guest)).to_have_text("Welcome to Demo")


@pytest.mark.parametrize("query", ["", "?code=x", "?state=&code=x", "?error=access_denied"])
async def test_a_return_without_a_state_explains_how_to_begin(site: Site, query: str) -> None:
    """A bookmark of the return, or a tile at the provider, leads to a page with both ways to begin. No flow is touched."""
    async with site.invited():
        page = await site.person()
        answer = await page.goto(f"/auth/dev/callback{query}")
        assert answer is not None
        assert answer.status == 400
        await expect(heading(page)).to_have_text("Please begin here")
        await assert_accessible(page, "return without a state")
        assert await Flow.all().count() == 1
        await page.get_by_role("link", name="I am a member already").click()
        await expect(heading(page)).to_have_text("Sign in")
