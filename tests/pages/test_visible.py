"""Views that become visible again: they load their data, and keep focus, scroll position and typed text."""

import pytest
from playwright.async_api import Page, expect

from service.models import Membership, Role
from tests.support.chromium import (
    DESK,
    GUEST,
    OWNER,
    Site,
    accept_as,
    another_tab,
    heading,
    hide,
    hold_answer,
    press,
    show_again,
    sign_in,
    visible_text,
)
from tests.support.console import limit_pages_to_three
from tests.support.members import update_policy
from tests.support.service import Browser

pytestmark = pytest.mark.anyio


async def _join(site: Site, owner: Browser, email: str) -> None:
    site.service.clock.advance(seconds=1)
    await owner.invite(await owner.community_id(), email)
    async with site.service.browser() as guest:
        assert (await guest.accept_as(await site.service.token_for(email), email))["status"] == "ACCEPTED"


async def _open(site: Site, owner: Browser, view: str) -> Page:
    page = await site.person()
    await sign_in(page)
    await page.goto(f"/#/communities/{await owner.community_id()}{view}")
    return page


async def test_members_show_who_joined_in_the_meantime(site: Site) -> None:
    """All loaded pages are loaded again. The focused button and the scroll position stay, and the header counts again."""
    async with site.owner() as owner:
        for number in range(5):
            await _join(site, owner, f"guest{number}@example.com")
        page = await site.person()
        await page.route("**/graphql", limit_pages_to_three)
        await sign_in(page)
        await page.goto(f"/#/communities/{await owner.community_id()}/members")
        members = page.locator("li.member")
        await expect(members).to_have_count(3)
        await press(page, "Show more")
        await expect(members).to_have_count(6)
        remove = members.nth(4).get_by_role("button", name="Remove")
        await page.set_viewport_size({"width": 390, "height": 180})
        await remove.focus()
        await hide(page)
        await _join(site, owner, "late@example.com")
        await Membership.filter(member__name="Guest3").update(role=Role.ADMIN)
        await Membership.filter(member__name="Guest0").delete()
        top = await remove.evaluate("(element) => element.getBoundingClientRect().top")
        await show_again(page)
        await expect(members).to_have_count(6)
        await expect(members.last).to_contain_text("late@example.com")
        await expect(members.filter(has_text="guest0@example.com")).to_have_count(0)
        changed = members.filter(has_text="guest3@example.com")
        await expect(changed.locator(".badge")).to_have_text("Admin")
        await expect(changed.get_by_role("button", name="Remove")).to_be_focused()
        assert (
            abs(
                await changed.get_by_role("button", name="Remove").evaluate("(e) => e.getBoundingClientRect().top")
                - top
            )
            < 2
        )
        await expect(page.locator("#community-facts")).to_contain_text("6 members")


async def test_admins_see_a_new_member_at_once(site: Site) -> None:
    """The members of an open view follow the acceptances, without a reload."""
    async with site.owner() as owner:
        page = await _open(site, owner, "/members")
        await expect(page.locator("li.member")).to_have_count(1)
        await _join(site, owner, GUEST)
        await expect(page.locator("li.member")).to_have_count(2)
        await expect(page.locator(".section-head")).to_contain_text("2 members")


async def test_a_view_does_not_change_behind_a_dialog(site: Site) -> None:
    """The members are loaded again after the dialog closes, and its button has the focus."""
    async with site.owner() as owner:
        await _join(site, owner, GUEST)
        page = await _open(site, owner, "/members")
        remove = page.get_by_role("button", name="Remove Guest")
        await remove.click()
        await hide(page)
        await Membership.filter(member__name="Guest").update(role=Role.ADMIN)
        await show_again(page)
        await expect(page.get_by_role("dialog")).to_be_visible()
        await expect(page.locator("li.member .badge").last).to_have_text("Member")
        await page.keyboard.press("Escape")
        await expect(page.locator("li.member .badge").last).to_have_text("Admin")
        await expect(remove).to_be_focused()


async def test_the_audit_log_shows_newer_entries(site: Site) -> None:
    """New entries stand above the others, out of the window. The focused link keeps its height, and the filter holds."""
    async with site.invited() as (owner, _):
        await site.service.deliver()
        page = await _open(site, owner, "/audit?kind=invited")
        entries = page.locator("ol.rows > li")
        await expect(entries).to_have_count(2)
        await page.set_viewport_size({"width": 390, "height": 180})
        link = entries.last.get_by_role("link")
        await link.focus()
        await page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
        top = await link.evaluate("(element) => element.getBoundingClientRect().top")
        await hide(page)
        await owner.invite(await owner.community_id(), "late@example.com")
        await site.service.deliver()
        await show_again(page)
        await expect(entries).to_have_count(3)
        await expect(entries.first).to_contain_text("late@example.com")
        await expect(entries.last.get_by_role("link")).to_be_focused()
        assert abs(await link.evaluate("(element) => element.getBoundingClientRect().top") - top) < 2


async def test_an_empty_audit_log_fills(site: Site) -> None:
    """A filter without entries shows the first entry that it selects."""
    async with site.owner() as owner:
        page = await _open(site, owner, "/audit?kind=rules")
        await expect(visible_text(page, "Nothing like that happened")).to_be_visible()
        await hide(page)
        await update_policy(owner, await owner.community_id(), linkMinutes=5)
        await show_again(page)
        await expect(page.locator("ol.rows > li")).to_have_count(1)


async def test_rules_keep_what_the_reader_typed(site: Site) -> None:
    """Rules that another admin changed appear, except in a field that the reader changed. Saving sends only these."""
    async with site.owner() as owner:
        page = await _open(site, owner, "/rules")
        minutes, days = page.get_by_label("Minutes that a link works"), page.get_by_label("Days that an invitation")
        domains, seats = page.get_by_label("Domains that can be invited"), page.get_by_label("Seats")
        await expect(minutes).to_have_value("10")
        await minutes.fill("12")
        await seats.focus()
        await hide(page)
        rules = {
            "linkMinutes": 6,
            "invitationDays": 3,
            "allowedEmailDomains": ["example.com"],
            "seatLimit": 9,
            "locale": "pt",
        }
        await update_policy(owner, await owner.community_id(), **rules)
        await show_again(page)
        await expect(days).to_have_value("3")
        await expect(domains).to_have_value("example.com")
        await expect(seats).to_have_value("9")
        await expect(page.get_by_label("Language of the mails")).to_have_value("pt")
        await expect(seats).to_be_focused()
        await expect(minutes).to_have_value("12")
        saved = await hold_answer(page, "mutation UpdatePolicy(")
        await press(page, "Save the rules")
        await saved.is_given()
        saved.released.set()
        await expect(visible_text(page, "The rules are saved.")).to_be_visible()
        policy = "query($id: ID!) { community(id: $id) { policy { linkMinutes invitationDays allowedEmailDomains seatLimit locale } } }"
        stored = (await owner.ask(policy, id=await owner.community_id()))["community"]["policy"]
        assert stored == rules | {"linkMinutes": 12}
        assert saved.request is not None
        assert '"linkMinutes":12' in (saved.request.post_data or "")
        assert "seatLimit" not in (saved.request.post_data or "").partition('"variables"')[2]


async def test_the_account_shows_a_new_sign_in_and_keeps_a_new_token(site: Site) -> None:
    """A session of another device appears. The form for a token keeps its text, and a token just created stays visible."""
    async with site.owner() as owner:
        page = await site.person()
        await page.set_viewport_size(DESK)
        await sign_in(page)
        await page.goto("/#/account")
        await expect(heading(page)).to_have_text("My account")
        await page.get_by_label("Name", exact=True).fill("Nightly import")
        await page.get_by_role("checkbox", name="Demo").check()
        await press(page, "Create the token")
        token = page.locator("input.token")
        await expect(token).to_be_visible()
        text = await token.input_value()
        sessions = page.get_by_role("listitem").filter(has_text="with Development")
        before = await sessions.count()
        await hide(page)
        async with site.service.browser(**{"user-agent": "Firefox/140 Windows"}) as other:
            await other.sign_in(OWNER)
        await show_again(page)
        await expect(sessions).to_have_count(before + 1)
        await expect(token).to_have_value(text)
        await expect(page.get_by_role("listitem").filter(has_text="Nightly import")).to_have_count(1)
        ending = sessions.filter(has_text="Firefox").get_by_role("button", name="Sign out")
        await ending.focus()
        await hide(page)
        await owner.ask("{ viewer { member { id } } }")
        await show_again(page)
        await expect(ending).to_be_focused()


async def test_the_communities_show_one_that_was_joined_in_another_tab(site: Site) -> None:
    """The reader accepts a second invitation in another tab. The first tab shows the community, and keeps a typed name."""
    async with site.owner() as owner, site.service.browser() as other:
        await _join(site, owner, GUEST)
        first = await site.person()
        await sign_in(first, GUEST)
        await expect(first.locator(".tile")).to_have_count(1)
        await first.get_by_label("Name").fill("Book club")
        await other.sign_in(OWNER)
        await other.do("createCommunity", name="Second club")
        await other.invite(await other.community_id("Second club"), GUEST)
        second = await another_tab(first)
        await accept_as(second, await site.link(), GUEST)
        await expect(heading(second)).to_have_text("Welcome to Second club")
        await show_again(first)
        await expect(first.locator(".tile")).to_have_count(2)
        await expect(first.get_by_role("link", name="Second club")).to_be_visible()
        await expect(first.get_by_label("Name")).to_have_value("Book club")
        await expect(first.get_by_label("Name")).to_be_focused()


async def test_a_failed_request_leaves_the_view_as_it_is(site: Site) -> None:
    """Without a connection the old data stays, without a message. The next time, the view is loaded again."""
    async with site.owner() as owner:
        page = await _open(site, owner, "/rules")
        seats = page.get_by_label("Seats")
        await expect(seats).to_have_value("")
        await update_policy(owner, await owner.community_id(), seatLimit=9)
        await hide(page)
        await page.route("**/graphql", lambda route: route.abort())
        async with page.expect_event("requestfailed"):
            await show_again(page)
        await expect(seats).to_have_value("")
        await expect(page.get_by_role("alert")).to_have_count(0)
        await hide(page)
        await page.unroute("**/graphql")
        await show_again(page)
        await expect(seats).to_have_value("9")


@pytest.mark.parametrize("view", ["/members", "/audit", "/rules"])
async def test_a_lost_role_closes_the_view(site: Site, view: str) -> None:
    """H162: a view that an admin had open shows no more than a member may see, as soon as it is visible again."""
    async with site.owner() as owner:
        await _join(site, owner, GUEST)
        await Membership.filter(member__name="Guest").update(role=Role.ADMIN)
        page = await site.person()
        await sign_in(page, GUEST)
        await page.goto(f"/#/communities/{await owner.community_id()}{view}")
        await expect(page.get_by_role("link", name="Audit log")).to_be_visible()
        await hide(page)
        await Membership.filter(member__name="Guest").update(role=Role.MEMBER)
        await show_again(page)
        await expect(page.get_by_role("link", name="Audit log")).to_have_count(0)
