"""A session that ends while a person works."""

import asyncio
from typing import Final

import pytest
from playwright.async_api import expect

from service.models import Invitation
from tests.support.chromium import (
    GUEST,
    OWNER,
    Site,
    accept_as,
    heading,
    press,
    sign_in,
    visible_text,
)
from tests.support.console import end_session_at, open_invite_many

pytestmark = pytest.mark.anyio


_STORAGE_EMPTY: Final = """() => new Promise((done) => {
    const poll = () => (sessionStorage.length ? requestAnimationFrame(poll) : done());
    poll();
})"""


async def test_form_input_is_restored_for_its_author_only(site: Site) -> None:
    """Another person who signs in there finds an empty form, and the browser deletes the input."""
    async with site.invited(role="ADMIN") as (owner, _):
        async with site.service.browser() as guest:
            await guest.accept_as(await site.service.token_for(GUEST), GUEST)
        page = await site.person()
        await sign_in(page)
        await page.goto(f"/#/communities/{await owner.community_id()}")
        await page.get_by_label("Email address").fill("secret@example.com")
        await end_session_at(page, "mutation Invite(")
        await press(page, "Send invitation")
        await accept_as(page, None, GUEST)
        await expect(page.get_by_label("Email address")).to_have_value("")
        await asyncio.wait_for(page.evaluate(_STORAGE_EMPTY), 30)


async def test_a_list_resumes_after_the_session_has_ended(site: Site) -> None:
    """A session that ends between two portions keeps exactly the rows that were not sent."""
    async with site.owner() as owner:
        page = await open_invite_many(site, owner)
        await end_session_at(page, "mutation InviteMany(", time=2)
        await page.get_by_label("Addresses", exact=True).fill(
            "email\n" + "\n".join(f"p{n}@example.com" for n in range(60))
        )
        await press(page, "Invite 60 people")
        await expect(visible_text(page, "You were signed out. Sign in to go on.")).to_be_visible()
        await accept_as(page, None, OWNER)
        await expect(visible_text(page, "10 can be invited.")).to_be_visible()
        await press(page, "Invite 10 people")
        await expect(visible_text(page, "10 invited.")).to_be_visible()
        assert await Invitation.all().count() == 61


async def test_a_view_without_a_session_leads_to_the_sign_in(site: Site) -> None:
    """When only the session has ended, each view leads to the sign-in and never reports a missing object."""
    async with site.invited() as (owner, invitation_id):
        community = f"/#/communities/{await owner.community_id()}"
        for view in ("", "/members", "/audit", "/rules", "/invite", f"/invitations/{invitation_id}"):
            page = await site.person()
            await sign_in(page)
            await page.goto("/#/account")
            await expect(heading(page)).to_have_text("My account")
            await page.context.clear_cookies()
            await page.goto(community + view)
            await expect(visible_text(page, "You were signed out. Sign in to go on.")).to_be_visible()
            await page.context.close()


async def test_form_input_survives_an_ended_session(site: Site) -> None:
    """After the session has ended, the press leads to the sign-in and back, with address, role and message filled in."""
    async with site.owner():
        page = await site.person()
        await sign_in(page)
        await page.get_by_role("link", name="Demo").click()
        await page.get_by_label("Email address").fill(GUEST)
        await page.get_by_label("Role", exact=True).select_option("ADMIN")
        await page.get_by_text("Add a message").click()
        await page.get_by_label("Message").fill("Come and see.")
        await end_session_at(page, "mutation Invite(")
        await press(page, "Send invitation")
        await expect(visible_text(page, "You were signed out. Sign in to go on.")).to_be_visible()
        await accept_as(page, None, OWNER)
        await expect(page.get_by_label("Email address")).to_have_value(GUEST)
        await expect(page.get_by_label("Role", exact=True)).to_have_value("ADMIN")
        await expect(page.get_by_label("Message")).to_have_value("Come and see.")
        assert await page.evaluate("sessionStorage.length") == 0
        await press(page, "Send invitation")
        await expect(visible_text(page, f"The invitation to {GUEST} is on its way.")).to_be_visible()
