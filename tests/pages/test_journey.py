"""A newcomer's journey from the mail to a community of two."""

import re

import pytest
from playwright.async_api import expect

from service.models import Membership
from tests.support.chromium import (
    GUEST,
    OWNER,
    Site,
    accept_as,
    heading,
    log_in,
    press,
    visible_text,
)

pytestmark = pytest.mark.anyio


async def test_a_newcomer_is_led_from_the_mail_to_a_community_of_two(site: Site) -> None:
    """The owner signs in from the mailbox and invites. Another account is rejected with a message, and the guest then
    joins.
    """
    owner = await site.person()
    await accept_as(owner, await site.link(OWNER), OWNER)
    await expect(heading(owner)).to_have_text("Welcome to Demo")
    await owner.get_by_role("link", name="Go to Demo").click()
    await owner.get_by_label("Email address").fill(GUEST)
    await owner.get_by_text("Add a message").click()
    await owner.get_by_label("Message").fill("Come and see.")
    await press(owner, "Send invitation")
    await expect(visible_text(owner, f"The invitation to {GUEST} is on its way.")).to_be_visible()

    guest = await site.person()
    await guest.goto(await site.link())
    await expect(heading(guest)).to_have_text("Demo")
    await expect(visible_text(guest, "Owner invited you to join")).to_be_visible()
    await expect(visible_text(guest, "Come and see.")).to_be_visible()
    await expect(visible_text(guest, "g•••@example.com")).to_be_visible()
    await expect(guest.get_by_role("term")).to_have_text(["For", "Your role"])
    await expect(guest.get_by_role("definition")).to_have_text(["g•••@example.com", "Member"])
    await expect(guest.get_by_role("timer")).to_have_text(re.compile(r"^(10:00|9:\d\d)$"))
    await accept_as(guest, None, "other@example.com")
    await expect(heading(guest)).to_have_text("That was another account")
    await expect(visible_text(guest, "You signed in as other@example.com")).to_be_visible()
    assert await Membership.all().count() == 1

    await press(guest, "Sign in with another account")
    await guest.locator("#email").wait_for()
    await log_in(guest, GUEST)
    await expect(heading(guest)).to_have_text("Welcome to Demo")
    await guest.get_by_role("link", name="Go to Demo").click()
    await expect(visible_text(guest, "2 members · Your role: member")).to_be_visible()
    await expect(visible_text(guest, "Invite someone")).to_have_count(0)

    await expect(owner.get_by_role("link", name=re.compile(GUEST))).to_contain_text("Accepted")
    await owner.get_by_role("link", name=re.compile(GUEST)).click()
    timeline = owner.get_by_role("listitem")
    await expect(
        timeline.filter(has_text="Somebody with the link signed in with Development as o•••@example.com")
    ).to_be_visible()
    await expect(timeline.filter(has_text="Guest joined as member.")).to_be_visible()
