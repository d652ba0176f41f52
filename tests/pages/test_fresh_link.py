"""Expired and lost links: fresh ones, and pasted ones."""

import pytest
from playwright.async_api import expect

from tests.support.chromium import (
    GUEST,
    OWNER,
    Site,
    accept_as,
    assert_accessible,
    heading,
    press,
    visible_text,
)

pytestmark = pytest.mark.anyio


async def test_an_expired_link_leads_to_a_fresh_one(site: Site) -> None:
    """One press on the page of an expired link mails a fresh link to the invited mailbox, and that link can be
    accepted.
    """
    async with site.invited():
        first = await site.link()
        site.service.clock.advance(minutes=11)
        page = await site.person()
        await page.goto(first)
        await expect(heading(page)).to_have_text("This link has run out")
        await expect(page.get_by_role("link", name="Already a member? Sign in")).to_have_attribute("href", "/")
        await assert_accessible(page, "dead")
        await press(page, "Send me a fresh link")
        await expect(heading(page)).to_have_text("Look in your mailbox")
        await assert_accessible(page, "fresh")
        fresh = await site.link()
        assert fresh != first
        await accept_as(page, fresh, GUEST)
        await expect(heading(page)).to_have_text("Welcome to Demo")


async def test_an_unknown_link_gets_the_same_words_and_no_mail(site: Site) -> None:
    """H130: an unknown token shows the same page as an expired one, and requesting a fresh link sends no mail."""
    page = await site.person()
    await page.goto(f"/confirm#{'x' * 43}")
    await expect(heading(page)).to_have_text("This link has run out")
    await press(page, "Send me a fresh link")
    await expect(heading(page)).to_have_text("Look in your mailbox")
    await site.service.deliver()
    assert [mail.to for mail in site.service.mailbox.entries] == [OWNER]


async def test_a_lost_link_can_be_pasted(site: Site) -> None:
    """Without a link, or with an incomplete one, the page says where to find it. It rejects half a link with a message
    and opens a whole one.
    """
    page = await site.person()
    await page.goto("/confirm")
    await expect(heading(page)).to_have_text("Open your invitation")
    await assert_accessible(page, "no link")
    whole = site.service.url + await site.link(OWNER)
    await page.goto(whole)
    await expect(heading(page)).to_have_text("Demo")
    await page.reload()
    await expect(heading(page)).to_have_text("Open your invitation")
    await page.goto("/confirm#cut")
    await expect(heading(page)).to_have_text("This link is not complete")
    await page.get_by_label("Link from your mail").fill(whole[:-4])
    await press(page, "Open the invitation")
    await expect(visible_text(page, "That is not a whole link.")).to_be_visible()
    await expect(page.get_by_label("Link from your mail")).to_be_focused()
    await assert_accessible(page, "half a link")
    await page.get_by_label("Link from your mail").fill(f"  {whole} ")
    await press(page, "Open the invitation")
    await expect(heading(page)).to_have_text("Demo")
    await expect(heading(page)).to_be_focused()


@pytest.mark.parametrize(
    "mangled",
    [
        "{link}",
        "{token}",
        "{link}?utm_source=mail",
        "<{link}>.",
        "{encoded}",
        "{encoded_twice}",
        "{slashed}",
        "Open it here:\n{link}\nSee you!",
        "{broken}",
    ],
)
async def test_a_link_is_found_in_mangled_text(site: Site, mangled: str) -> None:
    """The link is found despite brackets, a tracker's suffix, an encoded # or a slash in its place, or a broken line. The
    token alone works too.
    """
    token = await site.service.token_for(OWNER)
    link = f"{site.service.url}/confirm#{token}"
    broken = f"{link[:-20]}\n  {link[-20:]}"
    page = await site.person()
    await page.goto("/confirm")
    pasted = mangled.format(
        link=link,
        token=token,
        encoded=link.replace("#", "%23"),
        encoded_twice=link.replace("#", "%2523"),
        slashed=link.replace("#", "/"),
        broken=broken,
    )
    await page.get_by_label("Link from your mail").evaluate(
        "(field, text) => { field.focus(); document.execCommand('insertText', false, text) }", pasted
    )
    await press(page, "Open the invitation")
    await expect(heading(page)).to_have_text("Demo")


async def test_the_offer_ends_when_the_link_expires(site: Site) -> None:
    """At the end of the countdown the page offers a fresh link without a reload."""
    async with site.invited():
        page = await site.person()
        await page.clock.install()
        await page.goto(await site.link())
        await expect(heading(page)).to_have_text("Demo")
        await page.clock.run_for(9 * 60_000 + 5_000)
        await expect(page.locator("#announcer")).to_have_text("This link works for one more minute.")
        await page.clock.run_for(61_000)
        await expect(heading(page)).to_have_text("This link has run out")
