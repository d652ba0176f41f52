"""The page that takes the code from the mailbox."""

import re

import pytest
from playwright.async_api import expect

from service.addresses import Address
from service.mail import suppression
from service.models import Membership
from tests.support.chromium import (
    GUEST,
    Site,
    accept_as,
    assert_accessible,
    heading,
    log_in,
    press,
    visible_text,
)

pytestmark = pytest.mark.anyio


async def test_the_code_from_the_mailbox_opens_the_community(site: Site) -> None:
    """H025: a wrong code costs a try and shows how many are left. Another code can be sent, and the right one admits
    the guest.
    """
    async with site.invited():
        page = await site.person()
        await accept_as(page, await site.link(), GUEST, provider="google")
        code = page.get_by_label("Six-digit code")
        await press(page, "Confirm")
        await expect(visible_text(page, "The code has six digits.")).to_be_visible()
        await expect(code).to_be_focused()
        first = await _code(site)
        await code.fill("000000" if first != "000000" else "111111")
        await code.press("Enter")
        await expect(visible_text(page, "That is not the code. 4 tries are left.")).to_be_visible()
        assert await Membership.all().count() == 1
        await expect(code).to_have_attribute("inputmode", "numeric")
        await expect(code).to_have_attribute("autocomplete", "one-time-code")
        await press(page, "Send another code")
        await page.locator("#email").wait_for()
        await log_in(page, GUEST)
        second = await _code(site)
        await expect(code).to_be_focused()
        await page.context.grant_permissions(["clipboard-write"])
        await page.evaluate("text => navigator.clipboard.writeText(text)", f"Your code is {second[:3]} {second[3:]}.")
        await code.press("ControlOrMeta+V")
        await expect(code).to_have_value(re.compile(f"{second[:3]} {second[3:]}"))
        await press(page, "Confirm")
        await expect(heading(page)).to_have_text("Welcome to Demo")


async def test_a_code_in_the_digits_of_another_script_is_accepted(site: Site) -> None:
    """A Persian keyboard types its own digits, and a copied code has directional marks. The page counts both, and the
    service reads them.
    """
    async with site.invited():
        page = await site.person(language="fa")
        await accept_as(page, await site.link(), GUEST, provider="google")
        code, right = page.get_by_label("Six-digit code"), await _code(site)
        await code.fill(_persian(right)[:5])
        await press(page, "Confirm")
        await expect(visible_text(page, "The code has six digits.")).to_be_visible()
        await code.fill(_persian("000000" if right != "000000" else "111111"))
        await press(page, "Confirm")
        await expect(visible_text(page, "That is not the code. 4 tries are left.")).to_be_visible()
        assert await Membership.all().count() == 1
        await code.fill(f"\u2067{_persian(right[:3])}\u200c{_persian(right[3:])}\u2069")
        await press(page, "Confirm")
        await expect(heading(page)).to_have_text("Welcome to Demo")


def _persian(code: str) -> str:
    return "".join(chr(0x06F0 + int(digit)) for digit in code)


async def test_an_unsendable_code_is_reported_to_the_waiting_page(site: Site) -> None:
    """The page says when the code has not been sent yet. When it cannot be sent, the page shows that without a reload,
    and the other sign-in still admits the guest.
    """
    async with site.invited():
        page = await site.person()
        await accept_as(page, await site.link(), GUEST, provider="google")
        await expect(heading(page)).to_have_text("Enter the code from your mail")
        await page.get_by_label("Six-digit code").fill("123456")
        await press(page, "Confirm")
        await expect(visible_text(page, "The code has not been sent yet.")).to_be_visible()
        await suppression.add(Address(GUEST), suppression.Reason.COMPLAINED, now=site.service.clock())
        await site.service.deliver()
        await expect(heading(page)).to_have_text("The sign-in did not work")
        await expect(visible_text(page, "The code could not be sent to the invited mailbox.")).to_be_visible()
        await accept_as(page, None, GUEST)
        await expect(heading(page)).to_have_text("Welcome to Demo")


async def test_exhausted_tries_leave_signing_in_again(site: Site) -> None:
    """After five wrong codes the form is gone, and signing in again is the only action."""
    async with site.invited():
        page = await site.person()
        await accept_as(page, await site.link(), GUEST, provider="google")
        wrong = "000000" if await _code(site) != "000000" else "111111"
        for left in ("4 tries are", "3 tries are", "2 tries are", "1 try is"):
            await page.get_by_label("Six-digit code").fill(wrong)
            await press(page, "Confirm")
            await expect(visible_text(page, f"That is not the code. {left} left.")).to_be_visible()
        await page.get_by_label("Six-digit code").fill(wrong)
        await press(page, "Confirm")
        await expect(visible_text(page, "This code cannot be used any more.")).to_be_visible()
        await expect(page.get_by_label("Six-digit code")).to_have_count(0)
        await expect(page.get_by_role("button", name="Send another code")).to_be_focused()
        await assert_accessible(page, "tries used up")


async def _code(site: Site) -> str:
    found = re.search(r"^\s*(\d{6})\s*$", (await site.service.mail_to(GUEST)).text, re.MULTILINE)
    assert found is not None
    return found[1]
