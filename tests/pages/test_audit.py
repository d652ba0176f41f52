"""The audit log and the exports."""

import csv
import io
import re

import pytest
from playwright.async_api import Page, expect

from tests.support.chromium import (
    GUEST,
    Site,
    assert_accessible,
    heading,
    hold_answer,
    press,
    release_answer,
    sign_in,
    visible_text,
)
from tests.support.console import invite_in_three_states, limit_pages_to_three, rows, wait_for_funnel

pytestmark = pytest.mark.anyio


async def test_a_late_answer_does_not_replace_the_newest_entries(site: Site) -> None:
    """The entries match the last choice, even when the answer to an earlier choice arrives after it."""
    async with site.owner() as owner:
        page = await site.person()
        await sign_in(page)
        await page.goto(f"/#/communities/{await owner.community_id()}/audit")
        entries = page.locator("ol.rows > li")
        await expect(entries.first).to_be_visible()
        before = await hold_answer(page, "query Audit(")
        await page.get_by_label("What", exact=True).select_option("invited")
        await before.is_given()
        await page.get_by_label("What", exact=True).select_option("tokens")
        await expect(visible_text(page, "Nothing like that happened")).to_be_visible()
        await release_answer(page, before)
        await expect(entries).to_have_count(0)


async def test_the_audit_log_is_filtered_and_paged(site: Site) -> None:
    """Entries are filtered by kind, person and day, which the address keeps. A link opens the invitation, and "Show
    more" loads the rest.
    """
    async with site.invited() as (owner, _):
        community_id = await owner.community_id()
        page = await site.person()
        await sign_in(page)
        await page.goto(f"/#/communities/{community_id}/audit")
        entries = page.locator("ol.rows > li")
        await expect(entries.filter(has_text="Owner invited them as member.")).to_have_count(1)
        await assert_accessible(page, "audit")
        await page.get_by_label("What", exact=True).select_option("invited")
        await expect(entries).to_have_count(2)
        await page.get_by_label("Who", exact=True).select_option("Owner")
        await expect(entries).to_have_count(1)
        await expect(page).to_have_url(re.compile(r"\?kind=invited&actor=per_[\w-]+$"))
        await page.reload()
        await expect(entries).to_have_count(1)
        await page.get_by_label("From").fill("2001-01-01")
        await page.get_by_label("To").fill("2001-01-31")
        await expect(visible_text(page, "Nothing like that happened")).to_be_visible()
        await page.get_by_label("To").fill("2000-01-31")
        await expect(visible_text(page, "This day is before the first one.")).to_be_visible()
        await press(page, "Clear the filter")
        await page.route("**/graphql", limit_pages_to_three)
        await page.goto("about:blank")
        await page.goto(f"/#/communities/{community_id}/audit")
        await expect(entries).to_have_count(3)
        await press(page, "Show more")
        await expect(entries).to_have_count(6)
        await expect(entries.nth(3)).to_be_focused()
        await entries.get_by_role("link", name=GUEST).first.click()
        await expect(heading(page)).to_have_text(GUEST)


async def test_both_lists_are_exported_as_csv(site: Site) -> None:
    """The export links of both lists download their rows."""
    async with site.invited() as (owner, _):
        page = await site.person()
        await sign_in(page)
        for view, name, words in (("", "invitations.csv", GUEST), ("/audit", "audit.csv", "invitation.created")):
            await page.goto(f"/#/communities/{await owner.community_id()}{view}")
            if not view:
                await wait_for_funnel(page)
            async with page.expect_download() as download:
                await page.locator(f"a[href$='/{name}']", has_text="Export as CSV").click()
            file = await download.value
            assert file.suggested_filename == name
            assert words in (await file.path()).read_text("utf-8")


async def test_an_export_has_the_rows_that_the_filter_shows(site: Site) -> None:
    """The export follows each change of the filter, in both lists, and a filtered address."""
    async with site.owner() as owner:
        community = f"/#/communities/{await invite_in_three_states(site, owner)}"
        page = await site.person()
        await sign_in(page)
        await page.goto(f"{community}?status=PENDING")
        await wait_for_funnel(page)
        await expect(rows(page)).to_have_count(2)
        assert sorted(await _exported(page, "email")) == ["ada@example.com", "carol@other.example"]
        await page.get_by_label("Search by address").fill("OTHER")
        await expect(rows(page)).to_have_count(1)
        assert await _exported(page, "email") == ["carol@other.example"]
        await page.get_by_label("Filter by delivery").select_option("TROUBLE")
        await press(page, "Clear the filter")
        await expect(rows(page)).to_have_count(4)
        assert len(await _exported(page, "email")) == 4
        await page.goto(f"{community}/audit")
        entries = page.locator("ol.rows > li")
        await expect(entries.first).to_be_visible()
        await page.get_by_label("What", exact=True).select_option("membership")
        await page.get_by_label("To").fill("9999-12-31")
        await page.get_by_label("Who", exact=True).select_option("Owner")
        await expect(entries).to_have_count(1)
        assert await _exported(page, "kind") == ["membership.joined"]


async def _exported(page: Page, column: str) -> list[str]:
    """Downloads the export, and returns the cells of a column."""
    async with page.expect_download() as download:
        await page.get_by_role("link", name="Export as CSV").click()
    text = (await (await download.value).path()).read_text("utf-8")
    return [row[column] for row in csv.DictReader(io.StringIO(text))]


_ENTRIES_OF_PERIODS = {
    "to=9999-12-31": 7,
    "from=0001-01-01&to=9999-12-31": 7,
    "from=0001-01-01&to=0001-01-01": 0,
    "from=9999-12-31&to=9999-12-31": 0,
    "from=9999-12-31": 0,
    "to=275760-09-13": 7,
    "from=275760-09-13": 0,
    "from=275760-09-13&to=999999-12-31": 0,
    "to=0001-01-01": 0,
    "from=0099-12-31": 7,
    "to=0099-12-31": 0,
    "from=2026-02-31&to=tomorrow": 7,
}


@pytest.mark.parametrize("timezone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
async def test_days_at_the_ends_of_the_calendar_are_filters(site: Site, timezone: str) -> None:
    """The first and the last day of a date field select the entries between them. An impossible day selects all."""
    async with site.invited() as (owner, _):
        page = await site.person(timezone_id=timezone)
        await sign_in(page)
        for query, entries in _ENTRIES_OF_PERIODS.items():
            await page.goto("about:blank")
            await page.goto(f"/#/communities/{await owner.community_id()}/audit?{query}")
            await expect(page.get_by_role("search")).to_be_visible()
            assert await page.locator("ol.rows > li").count() == entries, query
            assert await visible_text(page, "Nothing like that happened").count() == int(not entries), query


async def test_a_day_is_typed_with_a_year_of_four_digits(site: Site) -> None:
    """Typing the last day of the year 9999 selects all entries before it, without an error."""
    async with site.invited() as (owner, _):
        page = await site.person()
        await sign_in(page)
        await page.goto(f"/#/communities/{await owner.community_id()}/audit")
        entries = page.locator("ol.rows > li")
        await expect(entries).to_have_count(7)
        await page.get_by_label("From").fill("9999-12-31")
        await expect(entries).to_have_count(0)
        await page.get_by_label("From").fill("0001-01-01")
        await page.get_by_label("To").press_sequentially("12319999")
        await expect(page.get_by_label("To")).to_have_value("9999-12-31")
        await expect(page).to_have_url(re.compile(r"from=0001-01-01&to=9999-12-31$"))
        await expect(entries).to_have_count(7)
        await expect(page.locator(".field-error:visible")).to_have_count(0)
