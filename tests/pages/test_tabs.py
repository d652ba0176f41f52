"""Several tabs of one browser: each acts on its own invitation, and for the member whom it shows."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from playwright.async_api import Page, Route, expect

from service.models import AccessToken, FreshLinkRequest, Identity, Invitation, Membership
from tests.support.chromium import (
    GUEST,
    OWNER,
    Site,
    accept_as,
    another_tab,
    assert_accessible,
    choose_provider,
    heading,
    hide,
    hold_answer,
    log_in,
    press,
    show_again,
    sign_in,
    visible_text,
)

pytestmark = pytest.mark.anyio

OTHER = "other@example.com"


# ------------------------------------------------------------------------------------------------ two invitations


@asynccontextmanager
async def _two_invitations(site: Site) -> AsyncIterator[tuple[Page, Page]]:
    """Yields two tabs of a guest. The first is back from a provider with a wrong account for Demo. The second went to a
    provider for Second club.
    """
    async with site.invited() as (owner, _):
        first = await site.person()
        await accept_as(first, await site.link(), "wrong@example.com")
        await expect(heading(first)).to_have_text("That was another account")
        await owner.do("createCommunity", name="Second club")
        await owner.invite(await owner.community_id("Second club"), GUEST)
        second = await another_tab(first)
        await second.goto(await site.link())
        await expect(heading(second)).to_have_text("Second club")
        await choose_provider(second)
        yield first, second


async def _declined() -> list[str]:
    rows = await Invitation.filter(declined_at__isnull=False).prefetch_related("community")
    return [row.community.name for row in rows]


async def test_a_tab_declines_its_own_invitation(site: Site) -> None:
    """H210: "Decline" in the first tab declines the invitation that this tab shows."""
    async with _two_invitations(site) as (first, second):
        await press(first, "Decline")
        await expect(first.get_by_role("dialog")).to_contain_text("Demo")
        await first.get_by_role("dialog").get_by_role("button", name="Decline").click()
        await expect(heading(first)).to_have_text("You declined")
        assert await _declined() == ["Demo"]
        await log_in(second, GUEST)
        await expect(heading(second)).to_have_text("Welcome to Second club")


async def test_a_tab_requests_a_fresh_link_for_its_own_invitation(site: Site) -> None:
    """H210: "Send me a fresh link" in the first tab requests a link of the invitation that this tab shows."""
    async with _two_invitations(site) as (first, _):
        site.service.clock.advance(minutes=31)
        await first.reload()
        await press(first, "Send me a fresh link")
        await expect(heading(first)).to_have_text("Look in your mailbox")
        assert await FreshLinkRequest.all().count() == 1
        mails = len(site.service.mailbox.entries)
        await site.service.deliver()
        assert len(site.service.mailbox.entries) == mails + 1
        assert "Demo" in (await site.service.mail_to(GUEST)).text


async def test_a_tab_signs_in_again_for_its_own_invitation(site: Site) -> None:
    """H210: another try in the first tab accepts the invitation that this tab shows."""
    async with _two_invitations(site) as (first, _):
        await first.locator("[data-provider=dev]").first.click()
        await first.locator("#email").wait_for()
        await log_in(first, GUEST)
        await expect(heading(first)).to_have_text("Welcome to Demo")


async def test_a_tab_without_storage_keeps_its_invitation(site: Site) -> None:
    """H210: a tab that showed the browser's newest acceptance keeps acting on it after another tab began a newer one."""
    async with site.invited() as (owner, _):
        first = await site.person()
        await first.add_init_script("Object.defineProperty(window, 'sessionStorage', { get: () => null });")
        await accept_as(first, await site.link(), "wrong@example.com")
        await expect(heading(first)).to_have_text("That was another account")
        await owner.do("createCommunity", name="Second club")
        await owner.invite(await owner.community_id("Second club"), GUEST)
        second = await another_tab(first)
        await second.goto(await site.link())
        await choose_provider(second)
        async with first.expect_response("**/graphql"):
            await show_again(first)
        await first.evaluate("fetch('/healthz').then((answer) => answer.text())")
        await press(first, "Decline")
        await first.get_by_role("dialog").get_by_role("button", name="Decline").click()
        await expect(heading(first)).to_have_text("You declined")
        assert await _declined() == ["Demo"]


async def test_a_tab_reports_its_own_sign_in(site: Site) -> None:
    """H210: the return of a tab shows the outcome of its own sign-in, also when another tab began one later."""
    async with site.owner():
        first = await site.person()
        await sign_in(first)
        await first.goto("/#/account")
        await choose_provider(first, "google")
        second = await first.context.new_page()
        await second.goto("/#/account")
        await choose_provider(second, "dev")
        await log_in(first, "owner@gmail.com")
        await expect(visible_text(first, "From now on this sign-in opens your account too.")).to_be_visible()


# ------------------------------------------------------------------------------------------------- one invitation


async def test_the_older_of_two_tabs_says_that_the_person_is_a_member(site: Site) -> None:
    """One link is open in two tabs, and both are at the provider. After the second one joined, the first one's return leads
    to the community.
    """
    async with site.invited():
        older = await site.person()
        link = await site.link()
        await older.goto(link)
        await choose_provider(older)
        newer = await older.context.new_page()
        await accept_as(newer, link, GUEST)
        await expect(heading(newer)).to_have_text("Welcome to Demo")
        await log_in(older, GUEST)
        await expect(heading(older)).to_have_text("You belong here already")
        await assert_accessible(older, "joined in another tab")
        await older.get_by_role("link", name="Go to Demo").click()
        await expect(heading(older)).to_have_text("Demo")
        assert await Membership.all().count() == 2


async def test_a_tab_notices_that_the_person_joined(site: Site) -> None:
    """A tab that shows the invitation reports the membership when it becomes visible again."""
    async with site.invited():
        older = await site.person()
        await accept_as(older, await site.link(), "wrong@example.com")
        await expect(heading(older)).to_have_text("That was another account")
        newer = await another_tab(older)
        await accept_as(newer, await site.link(), GUEST)
        await expect(heading(newer)).to_have_text("Welcome to Demo")
        await show_again(older)
        await expect(heading(older)).to_have_text("You belong here already")


async def test_a_visible_tab_keeps_its_view_while_nothing_changes(site: Site) -> None:
    """A tab that becomes visible again keeps a typed code and its dialog when the invitation has not changed."""
    async with site.invited():
        page = await site.person()
        await page.goto(await site.link())
        await press(page, "Decline")
        await page.get_by_role("dialog").get_by_role("checkbox").check()
        await hide(page)
        async with page.expect_response("**/graphql"):
            await show_again(page)
        await page.evaluate("fetch('/healthz').then((answer) => answer.text())")
        await expect(page.get_by_role("dialog").get_by_role("checkbox")).to_be_checked()


async def test_a_slow_sign_in_is_repeated(site: Site) -> None:
    """A sign-in that took 16 minutes is repeated from the page with the same link."""
    async with site.invited():
        page = await site.person()
        await page.goto(await site.link())
        await choose_provider(page)

        async def slow(route: Route) -> None:
            if route.request.method != "POST":
                return await route.fallback()
            answer = await route.fetch(max_redirects=0)
            site.service.clock.advance(minutes=16)
            return await route.fulfill(status=303, headers={"location": answer.headers["location"]})

        await page.route("**/dev/openid/**", slow)
        await log_in(page, GUEST)
        await expect(visible_text(page, "The sign-in took too long.")).to_be_visible()
        await assert_accessible(page, "slow sign-in")
        assert await Membership.all().count() == 1
        await page.unroute("**/dev/openid/**")
        await choose_provider(page)
        await log_in(page, GUEST)
        await expect(heading(page)).to_have_text("Welcome to Demo")


# ----------------------------------------------------------------------------------------------- two members

STARTED_OVER = re.compile("^Another account signed in on this browser")


async def _become(page: Page, email: str) -> Page:
    """Signs another member in, in another tab of the browser."""
    other = await another_tab(page)
    await other.goto("/")
    await other.evaluate("fetch('/graphql', {method: 'POST', headers: {'content-type': 'application/json'},"
                         " body: JSON.stringify({query: 'mutation { signOut { __typename } }'})}).then((a) => a.text())")  # fmt: skip
    await other.reload()
    await accept_as(other, None, email)
    await expect(heading(other)).to_have_text("My communities")
    return other


@asynccontextmanager
async def _tab_of_the_owner(site: Site, view: str) -> AsyncIterator[Page]:
    """Yields a tab that shows a view of the owner of Demo. Another tab has signed in as an admin since."""
    async with site.invited(role="ADMIN") as (owner, _):
        async with site.service.browser() as guest:
            await guest.accept_as(await site.service.token_for(GUEST), GUEST)
        invited = await owner.invite(await owner.community_id(), OTHER)
        page = await site.person()
        await sign_in(page)
        community = f"/#/communities/{await owner.community_id()}"
        await page.goto(
            view.format(community=community, invitation=f"{community}/invitations/{invited['invitation']['id']}")
        )
        await expect(page.get_by_role("main")).not_to_have_attribute("aria-busy", "true")
        yield page


async def _link_a_sign_in(page: Page) -> None:
    await page.locator("[data-provider=google]").click()


async def _create_a_token(page: Page) -> None:
    await page.get_by_label("Name").fill("Script")
    await page.get_by_role("checkbox", name="Demo").check()
    await press(page, "Create the token")


async def _change_a_role(page: Page) -> None:
    await page.get_by_role("button", name="Change role Guest").click()
    await page.get_by_role("radio", name="Member").check()
    await page.get_by_role("dialog").get_by_role("button", name="Change").click()


async def _revoke(page: Page) -> None:
    await press(page, "Revoke")
    await page.get_by_role("dialog").get_by_role("button", name="Revoke").click()


async def _invite(page: Page) -> None:
    await page.get_by_label("Email address").fill("new@example.com")
    await press(page, "Send invitation")


@pytest.mark.parametrize(
    ("view", "act"),
    [
        ("/#/account", _link_a_sign_in),
        ("/#/account", _create_a_token),
        ("{community}/members", _change_a_role),
        ("{invitation}", _revoke),
        ("{community}", _invite),
    ],
)
async def test_a_tab_acts_for_no_other_member(site: Site, view: str, act: Callable[[Page], Awaitable[Any]]) -> None:
    """H211: an action in a tab that shows the owner does nothing while the session is an admin's. The tab starts over."""
    async with _tab_of_the_owner(site, view) as page:
        await _become(page, GUEST)
        before = await _state()
        await act(page)
        await expect(visible_text(page, STARTED_OVER)).to_be_visible()
        await expect(heading(page)).to_have_text("My communities")
        assert await _state() == before
        await page.goto("/#/account")
        await expect(page.get_by_role("main")).to_contain_text(GUEST)


async def test_a_tab_does_nothing_while_it_starts_over(site: Site) -> None:
    """H211: between the notice of another member and the new view, a button of the old view does nothing."""
    async with _tab_of_the_owner(site, "{community}/members") as page:
        await page.get_by_role("button", name="Change role Guest").click()
        await page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
        await _become(page, GUEST)
        session = await hold_answer(page, "query Session")
        before = await _state()
        await page.evaluate("() => { delete document.hidden; document.dispatchEvent(new Event('visibilitychange')); }")
        await session.is_given()
        async with page.expect_response(lambda response: response.status == 409):
            await _change_a_role(page)
        assert await _state() == before
        session.released.set()
        await expect(visible_text(page, STARTED_OVER)).to_be_visible()


async def _state() -> list[Any]:
    """Every fact that an action of these tests changes."""
    roles = sorted([(row.member_id, row.role) for row in await Membership.all()])
    invitations = sorted([(row.email, row.revoked_at) for row in await Invitation.all()])
    return [await Identity.all().count(), await AccessToken.all().count(), roles, invitations]


@pytest.mark.parametrize("view", ["/", "/#/account", "{community}", "{community}/invite", "{community}/rules"])
async def test_a_visible_tab_notices_another_member(site: Site, view: str) -> None:
    """H211: a tab starts over when it becomes visible and another member is signed in."""
    async with _tab_of_the_owner(site, view) as page:
        await _become(page, GUEST)
        await show_again(page)
        await expect(visible_text(page, STARTED_OVER)).to_be_visible()
        await assert_accessible(page, "started over")


async def test_a_visible_tab_notices_the_end_of_the_session(site: Site) -> None:
    """After a sign-out in another tab, a tab that becomes visible asks its member to sign in, and keeps the typed values."""
    async with site.owner() as owner:
        page = await site.person()
        await sign_in(page)
        await page.goto(f"/#/communities/{await owner.community_id()}")
        await page.get_by_label("Email address").fill(GUEST)
        other = await another_tab(page)
        await other.goto("/#/account")
        await press(other, "Sign out")
        await expect(visible_text(other, "You are signed out.")).to_be_visible()
        await show_again(page)
        await expect(visible_text(page, "You were signed out. Sign in to go on.")).to_be_visible()
        await accept_as(page, None, OWNER)
        await expect(page.get_by_label("Email address")).to_have_value(GUEST)


async def test_a_visible_tab_notices_a_sign_in(site: Site) -> None:
    """A tab that shows the sign-in shows the console when it becomes visible after a sign-in in another tab."""
    async with site.owner():
        page = await site.person()
        await page.goto("/")
        await expect(heading(page)).to_have_text("Sign in")
        await sign_in(await another_tab(page))
        await show_again(page)
        await expect(heading(page)).to_have_text("My communities")


async def test_the_same_member_in_two_tabs_is_no_change(site: Site) -> None:
    """A new sign-in of the same member keeps the first tab's view with its typed values."""
    async with site.owner() as owner:
        page = await site.person()
        await sign_in(page)
        await page.goto(f"/#/communities/{await owner.community_id()}")
        await page.get_by_label("Email address").fill(GUEST)
        await _become(page, OWNER)
        async with page.expect_response("**/graphql"):
            await show_again(page)
        await press(page, "Send invitation")
        await expect(visible_text(page, f"The invitation to {GUEST} is on its way.")).to_be_visible()
