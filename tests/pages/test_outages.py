"""Faults of the service, the network, the scripts and the provider."""

import asyncio
import re

import pytest
from playwright.async_api import Route, expect

from tests.support.chromium import (
    GUEST,
    OWNER,
    OpenSite,
    Site,
    accept_as,
    add_to_script,
    assert_accessible,
    heading,
    press,
    visible_text,
)
from tests.support.invitee import Network

pytestmark = pytest.mark.anyio


async def test_an_unreachable_provider_leaves_the_others_usable(site: Site) -> None:
    """The page shows an error at the button of an unreachable provider; the other provider still works."""
    async with site.invited():
        site.google.metadata_changes = {"issuer": "https://elsewhere.example"}
        page = await site.person()
        await page.goto(await site.link())
        await press(page, "Sign in with Google")
        await expect(page.get_by_role("alert")).to_be_visible()
        await assert_accessible(page, "provider down")
        await accept_as(page, None, GUEST)
        await expect(heading(page)).to_have_text("Welcome to Demo")


async def test_an_unreachable_service_is_reported_and_retried(site: Site) -> None:
    """A failed request shows an error with a button, and the token stays in memory for the retry."""
    async with site.invited():
        page = await site.person()
        await page.route("**/graphql", lambda route: route.abort())
        await page.goto(await site.link())
        await expect(heading(page)).to_have_text("That did not work")
        await assert_accessible(page, "out of reach")
        await page.unroute("**/graphql")
        await press(page, "Try again")
        await expect(heading(page)).to_have_text("Demo")
        await page.route("**/graphql", lambda route: route.fulfill(status=500, body="no"))
        await page.locator("[data-provider=dev]").click()
        await expect(page.get_by_role("alert")).to_have_text("Something went wrong on our side. Try again in a moment.")


async def test_an_offline_browser_shows_an_error(site: Site) -> None:
    """Being offline is reported at the pressed button, and the same press works once the network is back."""
    async with site.invited():
        page = await site.person()
        await page.goto(await site.link())
        await expect(heading(page)).to_have_text("Demo")
        await page.context.set_offline(offline=True)
        await page.locator("[data-provider=dev]").click()
        await expect(page.get_by_role("alert")).to_contain_text("You are offline.")
        await page.context.set_offline(offline=False)
        await accept_as(page, None, GUEST)
        await expect(heading(page)).to_have_text("Welcome to Demo")


async def test_a_page_opened_offline_recovers_when_online(site: Site) -> None:
    """A failed request is repeated as soon as the browser is back online, without a press."""
    async with site.invited():
        page = await site.person()
        await page.route("**/graphql", lambda route: route.abort())
        await page.goto(await site.link())
        await expect(heading(page)).to_have_text("That did not work")
        await page.unroute("**/graphql")
        await page.evaluate("dispatchEvent(new Event('online'))")
        await expect(heading(page)).to_have_text("Demo")


async def test_a_slow_network_shows_progress(site: Site) -> None:
    """While the service has not answered, the page shows that it loads and the pressed button that it is busy. A second
    press sends no second request.
    """
    async with site.invited():
        page, network = await site.person(), Network()
        network.watch(page.context)
        answer = asyncio.Event()

        async def late(route: Route) -> None:
            await answer.wait()
            await route.continue_()

        await page.route("**/graphql", late)
        await page.goto(await site.link())
        await expect(visible_text(page, "Looking up your invitation…")).to_be_visible()
        await expect(page.get_by_role("main")).to_have_attribute("aria-busy", "true")
        answer.set()
        await expect(heading(page)).to_have_text("Demo")
        answer.clear()
        button = page.locator("[data-provider=dev]")
        await button.click()
        await expect(button).to_have_class(re.compile("busy"))
        await expect(button).to_have_attribute("aria-disabled", "true")
        await button.click(force=True)
        answer.set()
        await page.locator("#email").wait_for()
        assert network.operations.count("Accept") == 1


async def test_too_many_requests_show_an_explanation(open_site: OpenSite) -> None:
    """When the invitation's query is rate limited, by GraphQL or by status 429, the page says what to do."""
    limits = {"attempts_per_client": "1/1m", "mails_per_recipient": "1000/1h"}
    async with open_site(rate_limits=limits) as site:
        page = await site.person(language="de")
        await page.goto(await site.link(OWNER))
        await expect(heading(page)).to_have_text("Demo")
        await page.goto("about:blank")
        await page.goto(await site.link(OWNER))
        await expect(visible_text(page, "Das war zu oft in kurzer Zeit.")).to_be_visible()
        await page.route("**/graphql", lambda route: route.fulfill(status=429, body="Slow down."))
        await press(page, "Noch einmal versuchen")
        await expect(visible_text(page, "Das war zu oft in kurzer Zeit.")).to_be_visible()
        await expect(heading(page)).to_be_focused()


async def test_a_limit_says_when_to_try_again(open_site: OpenSite) -> None:
    """RateLimited is shown at the pressed button, with the time of the next try."""
    limits = {"attempts_per_client": "3/1m", "mails_per_recipient": "1000/1h"}
    async with open_site(rate_limits=limits) as site:
        page = await site.person()
        await page.goto(f"/confirm#{'x' * 43}")
        await press(page, "Send me a fresh link")
        await expect(heading(page)).to_have_text("Look in your mailbox")
        await page.goto("about:blank")
        await page.goto(f"/confirm#{'x' * 43}")
        await press(page, "Send me a fresh link")
        await expect(page.get_by_role("alert")).to_contain_text("Try again in")


async def test_an_uncaught_error_shows_an_explanation(site: Site) -> None:
    """An uncaught error in one of our scripts shows a page that says how to continue."""
    page = await site.person()
    await add_to_script(page, "confirm.js", "setTimeout(() => { throw new Error('on purpose'); });")
    await page.goto("/confirm")
    await expect(heading(page)).to_have_text("Something broke on this page")
    await assert_accessible(page, "broken")
    site.errors.clear()


async def test_a_browser_without_javascript_shows_an_explanation(site: Site) -> None:
    """The explanation appears in all languages, and no loading indicator is visible."""
    page = await site.person(scripts=False)
    await page.goto("/confirm")
    await expect(page.locator("noscript p:visible")).to_have_count(4)
    await expect(page.locator(".waiting")).to_be_hidden()


@pytest.mark.parametrize("script", ["confirm.js", "page.js"])
async def test_a_missing_script_shows_an_explanation(site: Site, script: str) -> None:
    """When one script does not load, the page says so at once, and a reload opens the same link."""
    page = await site.person()
    await page.route(f"**/{script}", lambda route: route.abort())
    await page.goto(await site.link(OWNER))
    await expect(heading(page)).to_have_text("Something broke on this page")
    await page.unroute(f"**/{script}")
    await press(page, "Load the page again")
    await expect(heading(page)).to_have_text("Demo")


async def test_missing_scripts_show_an_explanation(site: Site) -> None:
    """When no script loads, an explanation appears after some seconds."""
    page = await site.person()
    time = await page.context.new_cdp_session(page)
    await time.send("Animation.enable")
    await time.send("Animation.setPlaybackRate", {"playbackRate": 0})
    await page.route("**/*.js", lambda route: route.abort())
    await page.goto("/confirm")
    slow = page.get_by_text("This is taking longer than usual.")
    await expect(slow).to_be_hidden()
    await page.evaluate("document.getAnimations().find((a) => a.animationName === 'appear').currentTime = 9000")
    await expect(slow).to_be_visible()
