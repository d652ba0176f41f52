"""Inviting many: reading a list, checking it, and sending it in portions."""

import re
from typing import Final

import orjson
import pytest
from playwright.async_api import Route, expect

from service.exports import csv_line
from service.models import Invitation
from tests.support.chromium import (
    OpenSite,
    Site,
    assert_accessible,
    press,
    visible_text,
)
from tests.support.console import open_invite_many

pytestmark = pytest.mark.anyio


LIST: Final = """E-Mail;Role
"Ada Lovelace <ada@example.com>";admin
ADA@example.com;
not an address;
bob@example.com;boss
guest@example.com;member
carol@example.com;
"""


async def test_an_exported_list_is_read_unchanged(site: Site) -> None:
    """H193: the console removes the apostrophes that exports put before formulas."""
    exported = csv_line(("email", "role", "message")) + csv_line(("+tag@example.com", "MEMBER", "=1;=2\n- one '=two"))
    assert "'+tag" in exported
    async with site.invited() as (owner, _):
        page = await open_invite_many(site, owner)
        await page.get_by_label("Addresses", exact=True).fill(exported)
        await press(page, "Invite 1 person")
        await expect(page.locator(".many tbody tr td:last-child")).to_have_text("Invited Open +tag@example.com")
        assert (await Invitation.get(email="+tag@example.com")).message == "=1;=2\n- one '=two"


async def test_a_list_is_checked_and_sent_with_results_by_row(site: Site) -> None:
    """H100: every row is checked before any is sent. Valid rows are sent, and each row shows its result."""
    async with site.invited() as (owner, _):
        page = await open_invite_many(site, owner)
        await expect(page.get_by_role("button", name="Invite 0 people")).to_be_disabled()
        await page.get_by_label("Addresses", exact=True).fill(LIST)
        await expect(visible_text(page, "3 can be invited. 3 rows have problems and are left out.")).to_be_visible()
        outcomes = page.locator(".many tbody tr td:last-child")
        await expect(outcomes).to_have_text(
            [
                "Can be invited",
                "The same address as in line 2",
                "This is no email address",
                re.compile("BOSS.* is no role"),
                "Can be invited",
                "Can be invited",
            ]
        )
        await assert_accessible(page, "checked list")
        assert await Invitation.all().count() == 2
        await press(page, "Invite 3 people")
        await expect(outcomes.first).to_have_text("Invited Open ada@example.com")
        await expect(outcomes.nth(4)).to_have_text("Was invited before Open guest@example.com")
        await expect(visible_text(page, "2 invited. 1 was invited or a member already.")).to_be_visible()
        await assert_accessible(page, "sent list")
        assert (await Invitation.get(email="ada@example.com")).role == "ADMIN"
        assert await Invitation.all().count() == 4
        await press(page, "Mend the rows that failed")
        await expect(page.get_by_label("Addresses", exact=True)).to_have_value(
            re.compile("not an address\nbob@example.com,BOSS$")
        )


async def test_spreadsheet_files_are_read(site: Site) -> None:
    """The rows of a chosen file appear in the list in each supported encoding and separator. A file that is not text is
    rejected with a message.
    """
    async with site.owner() as owner:
        page = await open_invite_many(site, owner)
        file, email = page.get_by_label("Or a file"), page.get_by_label("Addresses", exact=True)
        for encoding in ("utf-8-sig", "utf-16", "cp1252"):
            content = "Adresse\tRôle\tMessage\nzoe@example.com\tmember\tÀ bientôt\n".encode(encoding)
            await file.set_input_files({"name": "list.csv", "mimeType": "text/csv", "buffer": content})
            await expect(visible_text(page, "1 can be invited.")).to_be_visible()
            await expect(email).to_have_value(re.compile("À bientôt"))
            await email.fill("")
        await file.set_input_files({"name": "list.xlsx", "mimeType": "", "buffer": b"PK\0\0"})
        await expect(visible_text(page, "list.xlsx is no list that can be read")).to_be_visible()
        assert await Invitation.all().count() == 1


async def test_quoted_names_and_cells_are_read_with_their_lines(site: Site) -> None:
    """A name with a comma, a quoted cell after a space and a cell of two lines are one cell each. Rows have line
    numbers.
    """
    pasted = (
        '"Lovelace, Ada" <ada@example.com>, "Bo, B" <bob@example.com>\ncarol@example.com,member, "Hello,\nyou"\nlast'
    )
    async with site.owner() as owner:
        page = await open_invite_many(site, owner)
        await page.get_by_label("Addresses", exact=True).fill(pasted)
        cells = page.locator(".many tbody tr td")
        emails = ["ada@example.com", "bob@example.com", "carol@example.com", "last"]
        await expect(page.locator(".many tbody tr td:nth-child(2)")).to_have_text(emails)
        lines = await cells.evaluate_all(
            "cells => cells.filter((_, index) => index % 4 === 0).map((cell) => cell.textContent)"
        )
        assert lines == ["1", "1", "2", "4"]


async def test_many_are_sent_in_portions_that_can_be_resumed(site: Site) -> None:
    """120 rows are sent in three portions. When one fails, the rest waits for one press, and each person is invited
    once.
    """
    async with site.owner() as owner:
        page = await open_invite_many(site, owner)
        portions: list[int] = []

        async def fail_the_second(route: Route) -> None:
            if "InviteMany" in (route.request.post_data or ""):
                portions.append(len(orjson.loads(route.request.post_data or "")["variables"]["input"]["invitees"]))
                if len(portions) == 2:
                    return await route.abort()
            return await route.continue_()

        await page.route("**/graphql", fail_the_second)
        await page.get_by_label("Addresses", exact=True).fill(
            "\n".join(f"person{number}@example.com" for number in range(120))
        )
        await press(page, "Invite 120 people")
        await expect(visible_text(page, "50 invited. 70 were not sent.")).to_be_visible()
        await expect(page.get_by_role("alert")).to_contain_text("We could not reach the service.")
        await assert_accessible(page, "not sent")
        await press(page, "Send the 70 that were not sent")
        await expect(visible_text(page, "120 invited.")).to_be_visible()
        assert portions == [50, 50, 50, 20]
        assert await Invitation.all().count() == 121


async def test_a_limit_pauses_the_list_and_shows_the_time(open_site: OpenSite) -> None:
    """H135: above the inviter's limit the rest is not sent, and the page shows the time of the next try."""
    limits = {"attempts_per_client": "1000/1m", "invites_per_inviter": "3/1h"}
    async with open_site(rate_limits=limits) as site, site.owner() as owner:
        page = await open_invite_many(site, owner)
        await page.get_by_label("Addresses", exact=True).fill(
            "\n".join(f"person{number}@example.com" for number in range(60))
        )
        await press(page, "Invite 60 people")
        await expect(visible_text(page, "3 invited. 57 were not sent.")).to_be_visible()
        await expect(page.get_by_role("alert")).to_contain_text("Try again in 1 hour.")
        assert await Invitation.all().count() == 4
