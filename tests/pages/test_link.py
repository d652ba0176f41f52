"""The link's token in the browser."""

import asyncio
import re

import pytest
from playwright.async_api import Page, Route, expect

from service.models import Flow, FlowKind
from tests.support.chromium import (
    GUEST,
    Site,
    accept_as,
    choose_provider,
    heading,
    hold_answer,
    log_in,
    release_answer,
)
from tests.support.invitee import Network

pytestmark = pytest.mark.anyio


async def _traces(page: Page) -> str:
    """Every place where a page could have left the token, as one text."""
    session = await page.context.new_cdp_session(page)
    history = await session.send("Page.getNavigationHistory")
    stored = await page.evaluate(
        """async () => JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location.href, history.state,
        await indexedDB.databases(), await caches.keys(), document.title, document.referrer,
        performance.getEntriesByType('resource').map((entry) => entry.name), navigation.entries().map((entry) => entry.url),
        document.documentElement.outerHTML])"""
    )
    visited = [entry["url"] for entry in history["entries"]]
    return str(visited) + str(stored) + str(await page.context.cookies())


async def test_the_token_leaves_no_trace(site: Site) -> None:
    """H093, H094: the token appears only in bodies of API requests, and in no Referer, storage, cookie, markup or
    history entry.
    """
    async with site.invited():
        page, network = await site.person(), Network()
        network.watch(page.context)
        token = await site.service.token_for(GUEST)
        await page.goto(f"/confirm#{token}")
        await expect(heading(page)).to_have_text("Demo")
        await expect(page).to_have_url(f"{site.service.url}/confirm")
        assert token not in await _traces(page)
        await choose_provider(page)
        assert token not in await _traces(page)
        await log_in(page, GUEST)
        await expect(heading(page)).to_have_text("Welcome to Demo")
        assert token not in await _traces(page)
    assert {"Open", "Accept"} <= set(network.operations)
    for request in network.requests:
        assert request.url.startswith(site.service.url), "a third-party request"
        assert token not in request.url
        assert token not in str(await request.all_headers())
        assert (await request.all_headers()).get("referer", "") == "" or "/dev/openid" in request.url
        assert token not in (request.post_data or "") or request.url == f"{site.service.url}/graphql"


async def test_a_mail_scanner_consumes_nothing(site: Site) -> None:
    """H017, H114: opening the page and running all its scripts sends only the query Open, starts no flow, and leaves the link
    valid.
    """
    async with site.invited():
        link = await site.link()
        for _ in range(3):
            scanner, network = await site.person(), Network()
            network.watch(scanner.context)
            await scanner.goto(link)
            await expect(heading(scanner)).to_have_text("Demo")
            await scanner.evaluate(
                "dispatchEvent(new Event('pagehide')); document.dispatchEvent(new Event('visibilitychange'))"
            )
            assert network.operations == ["Open"]
            assert await scanner.context.cookies() == []
        assert await Flow.filter(kind=FlowKind.ACCEPT).count() == 1, "only the owner's own"
        guest = await site.person()
        await accept_as(guest, link, GUEST)
        await expect(heading(guest)).to_have_text("Welcome to Demo")


async def test_another_link_in_the_same_tab_is_opened(site: Site) -> None:
    """A link that is pasted into the address bar of an open /confirm changes only the fragment, and is still opened."""
    async with site.invited():
        page = await site.person()
        await page.goto("/confirm")
        await expect(heading(page)).to_have_text("Open your invitation")
        await page.evaluate("token => location.hash = token", await site.service.token_for(GUEST))
        await expect(heading(page)).to_have_text("Demo")
        await expect(page).to_have_url(f"{site.service.url}/confirm")


async def test_the_last_opened_link_is_shown(site: Site) -> None:
    """An answer about the previous link is discarded, and a link that arrives while the scripts load is not missed."""
    async with site.invited() as (owner, _):
        page, first = await site.person(), await site.link()
        await owner.do("createCommunity", name="Second")
        await owner.invite(await owner.community_id("Second"), GUEST)
        second = (await site.link()).partition("#")[2]
        answer = await hold_answer(page, first.partition("#")[2])
        await page.goto(first)
        await answer.is_given()
        await page.evaluate("token => location.hash = token", second)
        await expect(heading(page)).to_have_text("Second")
        await release_answer(page, answer)
        await expect(heading(page)).to_have_text("Second")
        late = await site.person()
        words = asyncio.Event()

        async def wait(route: Route) -> None:
            await words.wait()
            await route.continue_()

        await late.route("**/words/en.js", wait)
        await late.goto(first, wait_until="commit")
        await expect(late).to_have_url(f"{site.service.url}/confirm")
        await late.evaluate("token => location.hash = token", second)
        words.set()
        await expect(heading(late)).to_have_text("Second")


@pytest.mark.parametrize(
    "altered",
    [
        "/confirm/{token}", "/confirm%23{token}", "/confirm%2523{token}", "/confirm/#{token}", "/confirm/%23{token}",
        "/CONFIRM#{token}", "/confirm/#%23{token}", "/confirm#{token}.", "/confirm#{token})", "/confirm#{token}%3E",
        "/confirm#%23{token}", "/confirm#%2523{token}", "/confirm%23{token}%3E?utm_source=x",
        "/confirm?utm_source=x#{token}", "/confirm?utm_source=x%23{token}", "/confirm#{token}?utm_source=x",
        "/confirm#{token}&utm_source=x",
    ],
)  # fmt: skip
async def test_an_altered_link_opens_the_invitation(site: Site, altered: str) -> None:
    """A link whose number sign, path or end a mail program or a click tracker altered opens the invitation. The
    token is in no later request of the page, and remains in no address or storage.
    """
    async with site.invited():
        page, network = await site.person(), Network()
        network.watch(page.context)
        token = await site.service.token_for(GUEST)
        await page.goto(altered.format(token=token))
        await expect(heading(page)).to_have_text("Demo")
        await expect(page).to_have_url(re.compile(rf"^{site.service.url}/confirm(\?utm_source=x)?$"))
        assert token not in await _traces(page)
        with_token = [request for request in network.requests if token in request.url.partition("#")[0]]
        assert len(with_token) == (token in altered.format(token=token).partition("#")[0])
        for request in network.requests:
            assert token not in str(await request.all_headers())
        await accept_as(page, None, GUEST)
        await expect(heading(page)).to_have_text("Welcome to Demo")


async def test_a_page_that_is_not_there_stays(site: Site) -> None:
    """A wrong address without a token in its fragment keeps its explanation, also with a part of a token."""
    async with site.invited():
        page = await site.person()
        for path in ("/confirm/", "/confirm/#part-of-a-token", "/nothing#%23", "/confirm/help"):
            await page.goto(path)
            await expect(heading(page)).to_have_text("There is nothing here")
        assert await Flow.filter(kind=FlowKind.ACCEPT).count() == 1, "only the owner's own"
