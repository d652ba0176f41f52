"""Inviting many: reading a list, checking it, and sending it in portions."""

import random
import re
from dataclasses import astuple
from typing import Final

import orjson
import pytest
from playwright.async_api import Route, expect

from service.exports import csv_line
from service.invitations.invitee_list import list_in
from service.models import AuditEvent, Invitation
from tests.support.chromium import (
    DESK,
    PHONE,
    OpenSite,
    Site,
    assert_accessible,
    press,
    visible_text,
)
from tests.support.console import open_invite_many
from tests.support.invitee_lists import CASES

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


_ROWS: Final = """() => [...document.querySelectorAll(".many tbody tr")].map((row) => {
    const [line, address, role, outcome] = row.children;
    const own = address.querySelector(".own")?.textContent ?? "";
    const faults = {quotes: /^The quotation marks/, cells: /^The row has more cells/, invisible: /invisible character \\(U\\+/};
    const fault = Object.keys(faults).find((fault) => faults[fault].test(outcome.textContent)) ?? "";
    return [Number(line.textContent), address.querySelector("bdi").textContent, own, role.textContent.toLowerCase(), fault];
})"""


async def test_pasted_lists_are_read(site: Site) -> None:
    """Each list gives the rows that the command line finds in it."""
    async with site.owner() as owner:
        page = await open_invite_many(site, owner)
        for case in CASES:
            await page.get_by_label("Addresses", exact=True).fill(case.text)
            # A change of the default role reads the list at once.
            await page.get_by_label("Role", exact=True).dispatch_event("change")
            expected = [
                [
                    row.line,
                    row.email,
                    " · ".join(filter(None, [row.locale, row.message])),
                    row.role or "member",
                    row.fault,
                ]
                for row in case.rows
            ]
            assert await page.evaluate(_ROWS) == expected, case.name
            if case.notes is not None:
                assert await page.locator(".columns-used").text_content() == _notes(*case.notes), case.name


def _notes(column: str, unused: tuple[str, ...], left_out: int) -> str:
    notes = [f"Addresses are read from the column “{column}”."]
    notes += [f"Columns that are not used: {' and '.join(unused)}."] if unused else []
    notes += [f"{left_out} row without an address is left out."] if left_out else []
    return " ".join(notes)


_PARTS: Final = (
    *"@ ,;\"'<>()[]=*+\\\t\n", '""', "\r\n", "a@x.de", "b@y.com", "Smith", "admin", "email", "E-Mail 1 - Value", "message", "'=1",
    "sep=;", " ::: ", "mailto:", "[Required]", "é", "İ", "ß", "\u200b", "\xa0", "\x85", "\x1c", "\u2028", "\ufeff", "\U0001f642",
)  # fmt: skip


async def test_random_lists_are_read_alike(site: Site) -> None:
    """The page and the command line find the same entries and columns in thousands of lists of random parts."""
    chance = random.Random(2026)  # noqa: S311 -- no secret
    lists = ["".join(chance.choices(_PARTS, k=chance.randint(1, 14))) for _ in range(3000)]
    async with site.owner() as owner:
        page = await open_invite_many(site, owner)
        found = await page.evaluate(
            """async (lists) => {
                const script = document.querySelector('link[href$="/list-reader.js"]').href;
                const { listIn } = await import(script);
                return lists.map((text) => {
                    const { entries, column, isExport, unused, unsupported, leftOut } = listIn(text);
                    const rows = entries.map(({ line, email, role, message, locale, fault }) =>
                        [line, email, role, message, locale, fault]);
                    return [rows, column, isExport, unused, unsupported, leftOut];
                });
            }""",
            lists,
        )
    for text, read in zip(lists, found, strict=True):
        rows, *columns = astuple(list_in(text))
        assert [[list(row) for row in rows], *columns] == read, repr(text)


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
        await expect(outcomes).to_have_text(
            [
                "The same address as in line 2",
                "This is no email address",
                re.compile("BOSS.* is no role"),
                "Was invited before Open guest@example.com",
                "Invited Open ada@example.com",
                "Invited Open carol@example.com",
            ]
        )
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
        for name, content in (
            ("list.xlsx", b"PK\0\0"),
            ("list.bin", b"a@example.com\n\x81"),
            ("cut.txt", b"\xff\xfea\0b"),
        ):
            await file.set_input_files({"name": name, "mimeType": "", "buffer": content})
            await expect(visible_text(page, f"{name} is no list that can be read")).to_be_visible()
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
        emails: list[str | re.Pattern[str]] = [
            "ada@example.com",
            "bob@example.com",
            re.compile("^carol@example.comHello,"),
            "last",
        ]
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
    limits = {"attempts_per_client": "1000/1m", "invites_per_inviter": "4/1h"}
    async with open_site(rate_limits=limits) as site, site.owner() as owner:
        page = await open_invite_many(site, owner)
        await page.get_by_label("Addresses", exact=True).fill(
            "\n".join(f"person{number}@example.com" for number in range(60))
        )
        # The limit of the preview is out of date when the list is sent.
        await owner.invite(await owner.community_id(), "first@example.com")
        await press(page, "Invite 4 people")
        await expect(visible_text(page, "3 invited. 57 were not sent.")).to_be_visible()
        await expect(page.get_by_role("alert")).to_contain_text("Try again in 1 hour.")
        await expect(page.locator(".limit")).to_contain_text(
            "The limits allow 0 more invitations now. 57 rows have to wait."
        )
        await expect(page.get_by_role("button", name="Send the 57 that were not sent")).to_be_disabled()
        assert await Invitation.all().count() == 5


async def test_the_preview_shows_what_the_limits_allow(open_site: OpenSite) -> None:
    """Before anything is sent, the preview shows how many invitations the limits allow, and how many rows have to wait. After
    sending, it shows the rest and the time.
    """
    limits = {"attempts_per_client": "1000/1m", "invites_per_inviter": "9/1h", "invites_per_community": "5/1d"}
    async with open_site(rate_limits=limits) as site, site.owner() as owner:
        await owner.invite(await owner.community_id(), "first@example.com")
        page = await open_invite_many(site, owner)
        limit = page.locator(".limit")
        await expect(limit).to_be_hidden()
        email = page.get_by_label("Addresses", exact=True)
        await email.fill("one@example.com\ntwo@example.com")
        await expect(limit).to_have_text("The limits allow 4 more invitations now.")
        await email.fill("\n".join(f"person{number}@example.com" for number in range(6)))
        await expect(limit).to_have_text(
            re.compile(r"4 more invitations now\. 2 rows have to wait\. More are possible from .*\d")
        )
        await assert_accessible(page, "limited list")
        outcomes = page.locator(".many tbody tr td:last-child")
        await expect(outcomes).to_have_text(["Can be invited"] * 4 + ["Has to wait"] * 2)
        assert await Invitation.all().count() == 2
        await press(page, "Invite 4 people")
        await expect(visible_text(page, "4 invited. 2 were not sent.")).to_be_visible()
        await expect(page.get_by_role("alert")).to_have_count(0)
        assert await AuditEvent.filter(kind="invitation.rate_limited").count() == 0
        await expect(limit).to_have_text(re.compile(r"0 more invitations now\. 2 rows have to wait\."))
        await expect(outcomes.first).not_to_contain_text("Invited")
        await expect(outcomes.last).to_contain_text("Invited")
        assert await Invitation.all().count() == 6


async def test_rows_that_spend_no_limit_are_sent_beyond_it(open_site: OpenSite) -> None:
    """Rows of members and of pending invitations spend nothing, so that more rows than the limit are sent in order."""
    limits = {"attempts_per_client": "1000/1m", "invites_per_inviter": "3/1h"}
    async with open_site(rate_limits=limits) as site, site.owner() as owner:
        await owner.invite(await owner.community_id(), "one@example.com")
        page = await open_invite_many(site, owner)
        await page.get_by_label("Addresses", exact=True).fill(
            "owner@example.com one@example.com two@example.com three@example.com four@example.com"
        )
        await press(page, "Invite 2 people")
        await expect(
            visible_text(page, "2 invited. 2 were invited or members already. 1 was not sent.")
        ).to_be_visible()
        assert await Invitation.filter(email="four@example.com").count() == 0


async def test_the_limits_of_a_new_period_have_a_time(open_site: OpenSite) -> None:
    """Before the first invitation of a period, the preview shows the end of the period that would begin now."""
    limits = {"attempts_per_client": "1000/1m", "invites_per_inviter": "2/1h"}
    async with open_site(rate_limits=limits) as site, site.owner() as owner:
        page = await open_invite_many(site, owner)
        await page.get_by_label("Addresses", exact=True).fill("one@example.com two@example.com three@example.com")
        await expect(page.locator(".limit")).to_have_text(
            re.compile(r"1 row has to wait\. More are possible from .*\d")
        )


async def test_a_column_that_no_list_can_set_holds_back_the_list(site: Site) -> None:
    """A list with a column such as send_at is not sent, because its invitations would be others than the admin wants."""
    async with site.owner() as owner:
        page = await open_invite_many(site, owner)
        email = page.get_by_label("Addresses", exact=True)
        await email.fill("email,send_at,phone\nada@example.com,2027-01-01,1")
        await expect(page.locator(".columns-used")).to_have_text(
            "No list can set send_at. Remove the column; the columns email, role, message and language were expected."
            " Addresses are read from the column “email”. Columns that are not used: phone."
        )
        await expect(page.get_by_role("button", name="Invite 1 person")).to_be_disabled()
        await assert_accessible(page, "unsupported column")
        await email.fill("email,phone\nada@example.com,1")
        await press(page, "Invite 1 person")
        await expect(visible_text(page, "1 invited.")).to_be_visible()
        assert await Invitation.all().count() == 2


async def test_a_typed_list_survives_a_reload(site: Site) -> None:
    """A reload shows the list that the admin was typing, and its role. After sending, it shows only the rows that failed."""
    typed = 'good@example.com\nbad address\n"Smith, Ann" <ann@example.com>; bob@example.com,king\n'
    async with site.owner() as owner:
        page = await open_invite_many(site, owner)
        email = page.get_by_label("Addresses", exact=True)
        await email.fill(typed)
        await page.get_by_label("Role", exact=True).select_option("ADMIN")
        for _ in range(2):
            await page.reload()
            await expect(email).to_have_value(typed)
            await expect(page.get_by_label("Role", exact=True)).to_have_value("ADMIN")
        await press(page, "Invite 1 person")
        await expect(visible_text(page, "1 invited.")).to_be_visible()
        await page.reload()
        await expect(email).to_have_value(re.compile("^bad address\n"))
        assert (await Invitation.get(email="good@example.com")).role == "ADMIN"
        assert await Invitation.all().count() == 2


async def test_only_a_checked_list_is_sent_and_its_results_stay(site: Site) -> None:
    """A press right after typing shows the checked rows and sends nothing. The next press sends them. The results stay
    when the list is not changed any more.
    """
    async with site.owner() as owner:
        page = await open_invite_many(site, owner)
        await page.clock.install()
        email = page.get_by_label("Addresses", exact=True)
        await email.fill("one@example.com")
        await page.clock.run_for(1_000)
        await email.fill("one@example.com\ntwo@example.com")
        await press(page, "Invite 1 person")
        await expect(page.get_by_role("button", name="Invite 2 people")).to_be_visible()
        assert await Invitation.all().count() == 1
        await email.fill("one@example.com\ntwo@example.com")
        await press(page, "Invite 2 people")
        await expect(visible_text(page, "2 invited.")).to_be_visible()
        await page.clock.run_for(1_000)
        await expect(visible_text(page, "2 invited.")).to_be_visible()
        assert await Invitation.all().count() == 3


async def test_a_sent_list_does_not_return_after_a_reload(site: Site) -> None:
    """When every row was sent, a reload shows an empty list."""
    async with site.owner() as owner:
        page = await open_invite_many(site, owner)
        await page.get_by_label("Addresses", exact=True).fill("good@example.com")
        await press(page, "Invite 1 person")
        await expect(visible_text(page, "1 invited.")).to_be_visible()
        await page.reload()
        await expect(page.get_by_role("button", name="Invite 0 people")).to_be_disabled()
        await expect(page.get_by_label("Addresses", exact=True)).to_have_value("")


async def test_without_limits_the_preview_shows_none(open_site: OpenSite) -> None:
    """Limits that are off are not mentioned."""
    limits = {"attempts_per_client": "1000/1m", "invites_per_inviter": "off", "invites_per_community": "off"}
    async with open_site(rate_limits=limits) as site, site.owner() as owner:
        page = await open_invite_many(site, owner)
        await page.get_by_label("Addresses", exact=True).fill("one@example.com")
        await expect(visible_text(page, "1 can be invited.")).to_be_visible()
        await expect(page.locator(".limit")).to_be_hidden()


async def test_a_thousand_rows_stay_usable(open_site: OpenSite) -> None:
    """The preview of a thousand rows is computed within a second, and the thousand results appear failures first, in a region
    of their own that does not lengthen the page.
    """
    limits = {"attempts_per_client": "1000/1m", "invites_per_inviter": "990/1h"}
    async with open_site(rate_limits=limits) as site, site.owner() as owner:
        page = await open_invite_many(site, owner)
        email = page.get_by_label("Addresses", exact=True)
        await email.fill("\n".join(f"Person {number} <person{number}@example.com>" for number in range(1000)))
        await expect(visible_text(page, "1000 can be invited.")).to_be_visible()
        read = "() => { const began = performance.now(); document.querySelector('#view select').dispatchEvent(new Event('change'));"
        assert await page.evaluate(read + " document.body.offsetHeight; return performance.now() - began; }") < 1000
        await press(page, "Invite 990 people")
        await expect(visible_text(page, "990 invited. 10 were not sent.")).to_be_visible()
        outcomes = page.locator(".many tbody tr")
        await expect(outcomes).to_have_count(1000)
        assert await outcomes.evaluate_all("rows => rows.slice(0, 10).every((row) => row.className === 'unsent')")
        assert await outcomes.evaluate_all("rows => rows.slice(10).every((row) => row.className === 'invited')")
        for viewport in (PHONE, DESK):
            await page.set_viewport_size(viewport)
            assert await page.evaluate("document.documentElement.scrollHeight") < 3000
        assert await Invitation.all().count() == 991


async def test_columns_of_the_results_are_not_broken(site: Site) -> None:
    """The line, its heading and the role stay on one line each, on a phone and on a desktop."""
    async with site.owner() as owner:
        page = await open_invite_many(site, owner)
        await page.get_by_label("Addresses", exact=True).fill(
            f"{'long.name.' * 6}@{'department.' * 5}example.com,admin\nnone"
        )
        await expect(page.locator(".many tbody tr")).to_have_count(2)
        for viewport in (PHONE, DESK):
            await page.set_viewport_size(viewport)
            for cell in await page.locator(
                ".many th:visible, .many td:nth-child(1):visible, .many td:nth-child(3):visible"
            ).all():
                lines = await cell.evaluate(
                    "cell => { const range = document.createRange(); range.selectNodeContents(cell);"
                    " return new Set([...range.getClientRects()].map(({ top }) => Math.round(top))).size; }"
                )
                assert lines == 1, await cell.inner_text()
        await assert_accessible(page, "long addresses")


async def test_mended_rows_are_read_as_they_were(site: Site) -> None:
    """The rows that failed return to the list with their roles, messages and languages, and can be sent."""
    async with site.owner() as owner:
        page = await open_invite_many(site, owner)
        email = page.get_by_label("Addresses", exact=True)
        await email.fill('good@example.com\n"Ada <wrong>",admin,"We say ""hi"",\nand come",de')
        await press(page, "Invite 1 person")
        await press(page, "Mend the rows that failed")
        await expect(email).to_have_value('"Ada <wrong>",ADMIN,"We say ""hi"",\nand come",de')
        await email.fill((await email.input_value()).replace("Ada <wrong>", "Ada <ada@example.com>"))
        await press(page, "Invite 1 person")
        await expect(visible_text(page, "1 invited.")).to_be_visible()
        ada = await Invitation.get(email="ada@example.com")
        assert (ada.role, ada.message, ada.locale) == ("ADMIN", 'We say "hi",\nand come', "de")
