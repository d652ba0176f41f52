"""Steps in the console, shared by several tests."""

import re

from playwright.async_api import Locator, Page, Route, expect

from tests.support.chromium import (
    Site,
    sign_in,
)
from tests.support.service import Browser


async def limit_pages_to_three(route: Route) -> None:
    """Reduces the page size to three, so that five invitations fill two pages."""
    await route.fallback(post_data=re.sub(r'"first":\d+', '"first":3', route.request.post_data or ""))


async def end_session_at(page: Page, operation: str, *, time: int = 1) -> None:
    """Ends the session exactly when an operation is sent. Earlier, another request of the page could notice it."""
    matches: list[Route] = []

    async def end_session(route: Route) -> None:
        if operation in (route.request.post_data or ""):
            matches.append(route)
            if len(matches) == time:
                await page.context.clear_cookies()
        await route.continue_()

    await page.route("**/graphql", end_session)


def rows(page: Page) -> Locator:
    return page.locator("ul.rows > li > a.row")


async def wait_for_funnel(page: Page) -> None:
    """Waits for the funnel. It loads after the list and moves the elements below it."""
    await expect(page.locator(".stages")).to_be_visible()


async def invite_in_three_states(site: Site, owner: Browser) -> str:
    """Creates invitations by an accepted owner: ada is a pending admin, bob is revoked, carol is pending. Returns the
    community's id.
    """
    community_id = await owner.community_id()
    await owner.invite(community_id, "ada@example.com", role="ADMIN")
    bob = await owner.invite(community_id, "bob@example.com")
    await owner.do("revokeInvite", invitationId=bob["invitation"]["id"])
    await owner.invite(community_id, "carol@other.example")
    await site.service.deliver()
    return community_id


async def open_invite_many(site: Site, owner: Browser) -> Page:
    page = await site.person()
    await sign_in(page)
    await page.goto(f"/#/communities/{await owner.community_id()}")
    await page.get_by_role("link", name="Invite many at once").click()
    await expect(page.get_by_role("heading", name="Invite many at once")).to_be_visible()
    return page
