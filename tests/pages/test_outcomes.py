"""Every outcome of an acceptance, in words and with one main button."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.async_api import Page, expect

from service.models import Community, Invitation, Membership, Role
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
from tests.support.invitee import Network
from tests.support.service import Browser, query_of

pytestmark = pytest.mark.anyio


async def _mismatch(site: Site, page: Page, _: Browser) -> None:
    await accept_as(page, await site.link(), "other@example.com")


async def _not_verified(site: Site, page: Page, _: Browser) -> None:
    await accept_as(page, await site.link(), GUEST, verified=False)


async def _cancelled(site: Site, page: Page, _: Browser) -> None:
    await page.goto(await site.link())
    await choose_provider(page)
    await press(page, "Cancel")


async def _no_seat(site: Site, page: Page, _: Browser) -> None:
    await Community.all().update(seat_limit=1)
    await accept_as(page, await site.link(), GUEST)


async def _inviter_demoted(site: Site, page: Page, _: Browser) -> None:
    await Membership.all().update(role=Role.MEMBER)
    await accept_as(page, await site.link(), GUEST)


async def _revoked_meanwhile(site: Site, page: Page, owner: Browser) -> None:
    await page.goto(await site.link())
    await choose_provider(page)
    invitation = await Invitation.get(email=GUEST)
    await owner.do("revokeInvite", invitationId=invitation.id)
    await log_in(page, GUEST)


async def _another_sign_in(site: Site, page: Page, owner: Browser) -> None:
    await accept_as(page, await site.link(), GUEST)
    await owner.do("createCommunity", name="Second")
    await owner.invite(await owner.community_id("Second"), GUEST)
    await accept_as(page, await site.link(), GUEST, sub="another account")


async def _member_before(site: Site, page: Page, owner: Browser) -> None:
    await accept_as(page, await site.link(), GUEST, sub="the guest")
    await owner.invite(await owner.community_id(), "guest@work.example.com")
    await accept_as(page, await site.link("guest@work.example.com"), "guest@work.example.com", sub="the guest")


async def _third_party(site: Site, page: Page, _: Browser) -> None:
    await accept_as(page, await site.link(), GUEST, provider="google")


Happen = Callable[[Site, Page, Browser], Any]


@pytest.mark.parametrize(
    ("happens", "title", "main"),
    [
        (_mismatch, "That was another account", "Sign in with another account"),
        (_not_verified, "Your address could not be confirmed", "Sign in with another account"),
        (_cancelled, "The sign-in did not work", "Try again with Development"),
        (_no_seat, "No seat is free just now", "Try again"),
        (_inviter_demoted, "This invitation is on hold", "Try again"),
        (_revoked_meanwhile, "This link has run out", "Send me a fresh link"),
        (_another_sign_in, "You have another sign-in here", "Sign in with Google"),
        (_member_before, "You belong here already", "Go to Demo"),
        (_third_party, "Enter the code from your mail", "Confirm"),
    ],
)
async def test_every_outcome_has_an_explanation_and_one_main_button(
    site: Site, happens: Happen, title: str, main: str
) -> None:
    """Each acceptance status explains its result and the next step, also after a reload, and passes the accessibility
    checks.
    """
    async with site.invited() as (owner, _):
        page = await site.person()
        await happens(site, page, owner)
        await expect(heading(page)).to_have_text(title)
        await page.reload()
        await expect(heading(page)).to_have_text(title)
        await expect(page).to_have_title(f"{title} · Guestlist")
        await expect(page.get_by_label("Six-digit code") if main == "Confirm" else heading(page)).to_be_focused()
        role: Any = "link" if main.startswith("Go to") else "button"
        await expect(page.locator(".card").get_by_role(role).first).to_have_text(main)
        assert await page.locator(".primary").count() <= 1
        await assert_accessible(page, title)


@pytest.mark.parametrize(
    ("language", "refused"),
    [("de", "Das war ein anderes Konto"), ("fr", "C’était un autre compte"), ("es", "Era otra cuenta")],
)
async def test_a_rejection_is_shown_in_the_readers_language(site: Site, language: str, refused: str) -> None:
    """A mismatch, an unverified address and the fresh link show no English sentence among the others."""
    async with site.invited():
        page = await site.person(language=language)
        await page.goto(f"/confirm#{'x' * 43}")
        await page.locator(".primary").click()
        await expect(page.locator(".mark.mail")).to_be_visible()
        await expect(page.locator("#view [lang=en]")).to_have_count(0)
        for verified in (True, False):
            await page.goto("about:blank")
            await page.goto(await site.link())
            await choose_provider(page)
            await page.locator("#email").fill(GUEST if not verified else "other@example.com")
            await page.locator("#email_verified").set_checked(verified)
            await press(page, "Sign in")
            await expect(page.locator(".mark.warn")).to_be_visible()
            await expect(page.locator("#view [lang=en]")).to_have_count(0)
            if verified:
                await expect(heading(page)).to_have_text(refused)


async def test_the_proved_address_can_be_requested(site: Site) -> None:
    """After a mismatch one press requests an invitation for the proved address. The page confirms it, also after a
    reload, and the admins see it.
    """
    async with site.invited() as (owner, invitation_id):
        page = await site.person()
        await accept_as(page, await site.link(), "other@example.com")
        await press(page, "Ask to be invited at other@example.com instead")
        confirmation = visible_text(page, "You asked to be invited at other@example.com instead.")
        await expect(confirmation).to_be_visible()
        await expect(heading(page)).to_be_focused()
        await expect(page.locator("#announcer")).to_contain_text(
            "You asked to be invited at other@example.com instead."
        )
        await page.reload()
        await expect(confirmation).to_be_visible()
        await expect(page.get_by_role("button", name=re.compile("Ask to be invited"))).to_have_count(0)
        await assert_accessible(page, "another address requested")
        query = "query($id: ID!) { invitation(id: $id) { proposedEmail status } }"
        seen = (await owner.ask(query, id=invitation_id))["invitation"]
        assert seen == {"proposedEmail": "other@example.com", "status": "PENDING"}
        assert await Membership.all().count() == 1


async def test_a_second_requested_address_is_reported(site: Site) -> None:
    """H182: when the admins already have a request for another address, the page reports it after the press."""
    async with site.invited() as (owner, invitation_id), site.service.browser() as first:
        link = await site.link()
        acceptance = await first.accept_as(link.partition("#")[2], "first@example.com")
        await first.do("requestOtherAddress", acceptanceId=acceptance["id"])
        page = await site.person()
        await accept_as(page, link, "other@example.com")
        await press(page, "Ask to be invited at other@example.com instead")
        await expect(visible_text(page, "already have a request to invite another address")).to_be_visible()
        await expect(page.locator("#announcer")).to_contain_text("already have a request to invite another address")
        await assert_accessible(page, "another address requested by another person")
        query = "query($id: ID!) { invitation(id: $id) { proposedEmail } }"
        assert (await owner.ask(query, id=invitation_id))["invitation"] == {"proposedEmail": "first@example.com"}


async def test_an_unverified_address_cannot_be_requested(site: Site) -> None:
    """When the provider does not verify the other address, the page names the inviter as the contact, and has no
    button.
    """
    async with site.invited():
        page = await site.person()
        await accept_as(page, await site.link(), "other@example.com", verified=False)
        await expect(visible_text(page, "Ask the person who invited you to invite")).to_be_visible()
        await expect(page.get_by_role("button", name=re.compile("Ask to be invited"))).to_have_count(0)


async def test_another_account_can_be_chosen_after_a_mismatch(site: Site) -> None:
    """After a mismatch at Google, the next sign-in asks Google for an account choice and sends no login hint. Our pages
    send other origins only navigations of the whole window, which need no third-party cookie.
    """
    async with site.invited("guest@gmail.com"):
        page, network = await site.person(), Network()
        network.watch(page.context)
        await accept_as(page, await site.link("guest@gmail.com"), "other@gmail.com", provider="google")
        await expect(heading(page)).to_have_text("That was another account")
        again = page.get_by_role("button", name="Sign in with another account")
        await expect(again.locator("img")).to_have_count(0)
        await again.click()
        await page.locator("#email").wait_for()
        parameters = query_of(page.url)
        assert (parameters["prompt"], "login_hint" in parameters) == ("select_account", False)
        await log_in(page, "guest@gmail.com")
        await expect(heading(page)).to_have_text("Welcome to Demo")
    elsewhere = [request for request in network.requests if not request.url.startswith(site.service.url)]
    assert elsewhere
    for request in elsewhere:
        own = (await request.all_headers()).get("sec-fetch-site") == "same-origin"
        assert own or (request.is_navigation_request() and request.frame == page.main_frame), request.url


async def test_the_brand_button_is_used_for_signing_in_only(site: Site) -> None:
    """Google's logo appears only in "Sign in with Google". Other providers have one of our icons."""
    async with site.invited():
        page = await site.person()
        await page.goto(await site.link())
        google = page.get_by_role("button", name="Sign in with Google", exact=True)
        await expect(google.locator("img")).to_have_js_property("complete", value=True)
        assert await google.locator("img").evaluate("image => image.naturalWidth") > 0
        await expect(page.locator("[data-provider=dev] img")).to_have_count(0)
        await accept_as(page, None, GUEST, provider="google")
        await expect(page.get_by_role("button", name="Send another code").locator("img")).to_have_count(0)


async def test_a_long_message_does_not_hide_the_buttons(site: Site) -> None:
    """A message of a thousand characters shows its beginning, which keeps the first button in sight. A press shows the
    rest.
    """
    message = "Words upon words. " * 55
    async with site.invited(message=message):
        page = await site.person()
        await page.goto(await site.link())
        quote = page.locator("blockquote")
        shown = await quote.evaluate("quote => quote.clientHeight / quote.scrollHeight")
        assert shown < 0.5
        await expect(page.locator("[data-provider=google]")).to_be_in_viewport(ratio=1)
        await assert_accessible(page, "long words")
        await press(page, "Read it all")
        await expect(quote).to_be_focused()
        assert await quote.evaluate("quote => quote.clientHeight >= quote.scrollHeight")
        await assert_accessible(page, "long words, all of them")
