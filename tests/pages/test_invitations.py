"""The list of invitations: the form, the filter, pages, and live changes."""

import re

import pytest
from playwright.async_api import Page, expect

from service.models import Invitation, Membership, Role
from tests.support.chromium import (
    GUEST,
    OWNER,
    Site,
    accept_as,
    assert_accessible,
    heading,
    hold_answer,
    press,
    sign_in,
    visible_text,
)
from tests.support.console import invite_in_three_states, limit_pages_to_three, rows, wait_for_funnel
from tests.support.service import Browser

pytestmark = pytest.mark.anyio


async def test_rejected_invitations_show_the_reason_at_the_field(site: Site) -> None:
    """A missing, invalid, pending or member's address each shows its reason at the field, and no invitation is sent."""
    async with site.invited() as (owner, invitation_id):
        page = await site.person()
        await sign_in(page)
        await page.get_by_role("link", name="Demo").click()
        email = page.get_by_label("Email address")
        for text, words in {
            "": "Enter the address",
            "not an address": "",
            GUEST: "pending invitation",
            OWNER: "member",
        }.items():
            await email.fill(text)
            await press(page, "Send invitation")
            await expect(email).to_have_attribute("aria-invalid", "true")
            await expect(email).to_be_focused()
            await expect(page.locator(".field-error").first).to_contain_text(words)
            if text == GUEST:
                target = f"#/communities/{await owner.community_id()}/invitations/{invitation_id}"
                await expect(page.get_by_role("link", name="Open that invitation")).to_have_attribute("href", target)
        await assert_accessible(page, "refused invitation")
        assert await Invitation.all().count() == 2


async def test_roles_above_the_inviters_own_are_not_offered(site: Site) -> None:
    """H128: an admin's form offers no owner role. A member sees the members and no invitations."""
    async with site.invited(role="ADMIN"):
        page = await site.person()
        await accept_as(page, await site.link(), GUEST)
        await page.get_by_role("link", name="Go to Demo").click()
        await expect(page.get_by_label("Role", exact=True).get_by_role("option")).to_have_text(["Member", "Admin"])
        await Membership.filter(role=Role.ADMIN).update(role=Role.MEMBER)
        await page.reload()
        await expect(page.get_by_role("heading", name="Members")).to_be_visible()
        await expect(page.get_by_label("Role", exact=True)).to_have_count(0)
        await expect(page.get_by_role("link", name="Invitations")).to_have_count(0)
        await assert_accessible(page, "a member's view")


async def test_long_lists_are_paged(site: Site) -> None:
    """A page of invitations is shown, newest first, and "Show more" loads the rest. The button disappears with the last
    page.
    """
    async with site.owner() as owner:
        page = await _three_of_five(site, owner)
        rows = page.get_by_role("main").get_by_role("list").last.get_by_role("link")
        await expect(rows).to_have_count(3)
        await expect(rows.first).to_contain_text("guest3@example.com")
        await press(page, "Show more")
        await expect(rows).to_have_count(5)
        await expect(rows.nth(3)).to_be_focused()
        await expect(rows.last).to_contain_text(OWNER)
        await expect(page.get_by_role("button", name="Show more")).to_have_count(0)


async def test_more_of_a_list_loads_during_a_reconnect(site: Site) -> None:
    """A list that is reloaded while its next page is pending still shows that page once, and no further button."""
    async with site.owner() as owner:
        page = await _three_of_five(site, owner)
        await expect(rows(page)).to_have_count(3)
        rest = await hold_answer(page, '"after":"')
        await press(page, "Show more")
        await rest.is_given()
        await page.evaluate("dispatchEvent(new Event('offline'))")
        await expect(visible_text(page, "Reconnecting…")).to_be_visible()
        await expect(visible_text(page, "Reconnecting…")).to_have_count(0)
        rest.released.set()
        await expect(rows(page)).to_have_count(5)
        await expect(rows(page).nth(3)).to_be_focused()
        await expect(page.get_by_role("button", name="Show more")).to_have_count(0)


async def _three_of_five(site: Site, owner: Browser) -> Page:
    """Opens a list of five invitations in pages of three, at its first page."""
    community_id = await _five_invitations(site, owner)
    page = await site.person()
    await page.route("**/graphql", limit_pages_to_three)
    await sign_in(page)
    await page.goto(f"/#/communities/{community_id}")
    await wait_for_funnel(page)
    return page


async def _five_invitations(site: Site, owner: Browser) -> str:
    """Invites four guests after the owner, one second apart, and returns the community's id."""
    community_id = await owner.community_id()
    for number in range(4):
        site.service.clock.advance(seconds=1)
        await owner.invite(community_id, f"guest{number}@example.com")
    return community_id


async def test_more_is_shown_while_the_list_catches_up(site: Site) -> None:
    """All rows appear and no button is left, in either order of the answers for the catch-up and for "Show more"."""
    async with site.owner() as owner:
        community_id = await _five_invitations(site, owner)
        for first_of_both in ("missed", "more"):
            page = await site.person()
            missed = await hold_answer(page, "query Invitations(", time=2)
            more = await hold_answer(page, "query Invitations(", time=3)
            await page.route("**/graphql", limit_pages_to_three)
            await sign_in(page)
            await page.goto(f"/#/communities/{community_id}")
            await missed.is_given()
            await press(page, "Show more")
            await more.is_given()
            both = {"missed": missed, "more": more}
            both.pop(first_of_both).released.set()
            await expect(page.get_by_role("button", name="Show more")).to_have_count(int(first_of_both == "missed"))
            both.popitem()[1].released.set()
            await expect(rows(page)).to_have_count(5)
            await expect(page.get_by_role("button", name="Show more")).to_have_count(0)


async def test_filters_combine_and_are_kept_in_the_address(site: Site) -> None:
    """Status, delivery, role and text narrow the list together. The address keeps them over a reload, and back undoes
    the last one.
    """
    async with site.owner() as owner:
        community_id = await invite_in_three_states(site, owner)
        page = await site.person()
        await sign_in(page)
        await page.goto(f"/#/communities/{community_id}")
        await expect(rows(page)).to_have_count(4)
        await wait_for_funnel(page)
        await page.get_by_role("checkbox", name="Pending 2").check()
        await expect(rows(page)).to_have_count(2)
        await expect(visible_text(page, "2 of 4 invitations")).to_be_visible()
        await page.get_by_label("Filter by role").select_option("MEMBER")
        await expect(rows(page)).to_have_count(1)
        await expect(rows(page)).to_contain_text("carol@other.example")
        await page.get_by_label("Filter by delivery").select_option("SENT")
        await page.get_by_label("Search by address").fill("OTHER")
        await expect(page).to_have_url(re.compile(r"\?status=PENDING&delivery=SENT&role=MEMBER&q=OTHER$"))
        await page.reload()
        await expect(rows(page)).to_have_count(1)
        await expect(page.get_by_label("Search by address")).to_have_value("OTHER")
        await expect(page.get_by_role("checkbox", name="Pending 2")).to_be_checked()
        await page.get_by_label("Filter by delivery").select_option("TROUBLE")
        await expect(visible_text(page, "No invitation is like that")).to_be_visible()
        await assert_accessible(page, "no match")
        await page.go_back()
        await expect(rows(page)).to_have_count(1)
        await page.goto(f"/#/communities/{community_id}?status=REVOKED,ACCEPTED")
        await expect(rows(page)).to_have_count(2)
        await page.goto(f"/#/communities/{community_id}?delivery=DELIVERED&status=NONSENSE")
        await expect(visible_text(page, "No invitation is like that")).to_be_visible()
        await wait_for_funnel(page)
        await press(page, "Clear the filter")
        await expect(rows(page)).to_have_count(4)
        await expect(page.get_by_label("Search by address")).to_be_focused()


async def test_a_filter_survives_the_sign_in(site: Site) -> None:
    """A shared link to a filtered list shows that list, even after a sign-in."""
    async with site.owner() as owner:
        address = f"/#/communities/{await invite_in_three_states(site, owner)}?status=PENDING&role=ADMIN"
        page = await site.person()
        await page.goto(address)
        await accept_as(page, None, OWNER)
        await expect(rows(page)).to_have_count(1)
        await expect(page).to_have_url(site.service.url + address)


async def test_a_failed_query_shows_its_error_at_the_filter(site: Site) -> None:
    """The list stays unchanged, with the error above it. The next successful query removes the error."""
    async with site.owner() as owner:
        community_id = await invite_in_three_states(site, owner)
        page = await site.person()
        await sign_in(page)
        await page.goto(f"/#/communities/{community_id}")
        await expect(rows(page)).to_have_count(4)
        await wait_for_funnel(page)
        await page.route("**/graphql", lambda route: route.abort())
        await page.get_by_role("checkbox", name="Pending").check()
        await expect(page.get_by_role("alert")).to_contain_text("We could not reach the service.")
        await expect(rows(page)).to_have_count(4)
        await page.unroute("**/graphql")
        await page.get_by_label("Filter by role").select_option("ADMIN")
        await expect(rows(page)).to_have_count(1)
        await expect(page.get_by_role("alert")).to_have_count(0)


async def test_a_change_outlives_an_older_answer(site: Site) -> None:
    """A change that arrives while the list is loading stays, even if the answer was made before it."""
    async with site.invited() as (owner, invitation_id):
        page = await site.person()
        await sign_in(page)
        await page.goto(f"/#/communities/{await owner.community_id()}")
        await expect(rows(page)).to_have_count(2)
        await wait_for_funnel(page)
        answer = await hold_answer(page, '"statuses":["PENDING"]},"first"')
        await page.get_by_role("checkbox", name="Pending").check()
        await answer.is_given()
        await owner.do("revokeInvite", invitationId=invitation_id)
        await expect(rows(page)).to_have_count(1)
        answer.released.set()
        await expect(page.locator("ul.rows")).not_to_have_attribute("aria-busy", "true")
        await expect(rows(page)).to_have_count(0)


async def test_a_pending_search_does_not_change_the_next_views_address(site: Site) -> None:
    """A search that was typed but had not begun leaves no trace in the next view's address."""
    async with site.invited() as (owner, invitation_id):
        page = await site.person()
        await page.clock.install()
        await sign_in(page)
        community = f"#/communities/{await owner.community_id()}"
        await page.goto(f"/{community}")
        await expect(rows(page)).to_have_count(2)
        await page.get_by_label("Search by address").evaluate(
            "(field, hash) => { field.value = 'x'; field.dispatchEvent(new Event('input')); location.hash = hash }",
            f"{community}/invitations/{invitation_id}",
        )
        await expect(heading(page)).to_have_text(GUEST)
        await page.clock.run_for(1_000)
        await expect(page).to_have_url(f"{site.service.url}/{community}/invitations/{invitation_id}")


async def test_the_list_follows_live_changes(site: Site) -> None:
    """New invitations appear, and changed ones update in place and keep the focus. Invitations that no longer match the
    filter disappear.
    """
    async with site.owner() as owner:
        community_id = await owner.community_id()
        page = await site.person()
        await sign_in(page)
        async with page.expect_request(lambda request: "text/event-stream" in request.headers.get("accept", "")):
            await page.goto(f"/#/communities/{community_id}?status=PENDING")
        await expect(visible_text(page, "No invitation is like that")).to_be_visible()
        site.service.clock.advance(seconds=1)
        first = await owner.invite(community_id, GUEST)
        await expect(rows(page)).to_have_count(1)
        await expect(rows(page)).to_contain_text("Waiting to be sent")
        await expect(visible_text(page, "1 of 2 invitations")).to_be_visible()
        await expect(page.get_by_role("checkbox", name="Pending 1")).to_be_visible()
        await rows(page).focus()
        await site.service.deliver()
        await expect(rows(page)).to_contain_text("Sent")
        await expect(rows(page)).to_be_focused()
        await page.get_by_label("Email address").focus()
        await owner.do("revokeInvite", invitationId=first["invitation"]["id"])
        await expect(rows(page)).to_have_count(0)
        await expect(visible_text(page, "Reconnecting…")).to_have_count(0)


async def test_a_broken_connection_is_resumed(site: Site) -> None:
    """Offline, the list says that it is reconnecting. Back online it shows the missed changes and follows new ones."""
    async with site.owner() as owner:
        community_id = await owner.community_id()
        page = await site.person()
        await sign_in(page)
        await page.goto(f"/#/communities/{community_id}")
        await expect(rows(page)).to_have_count(1)
        await page.context.set_offline(True)
        await expect(visible_text(page, "Reconnecting…")).to_be_visible()
        site.service.clock.advance(seconds=1)
        await owner.invite(community_id, "meanwhile@example.com")
        await expect(rows(page)).to_have_count(1)
        await page.context.set_offline(False)
        await expect(rows(page)).to_have_count(2)
        await expect(visible_text(page, "Reconnecting…")).to_have_count(0)
        site.service.clock.advance(seconds=1)
        await owner.invite(community_id, "afterwards@example.com")
        await expect(rows(page).first).to_contain_text("afterwards@example.com")


async def test_losing_a_role_closes_the_view(site: Site) -> None:
    """H162: an admin who is demoted while the list is open sees the members from then on, without a reload."""
    async with site.invited(role="ADMIN"):
        page = await site.person()
        await accept_as(page, await site.link(), GUEST)
        await page.get_by_role("link", name="Go to Demo").click()
        await expect(rows(page)).to_have_count(2)
        await Membership.filter(role=Role.ADMIN).update(role=Role.MEMBER)
        await expect(page.get_by_role("heading", name="Members")).to_be_visible()
        await expect(page.get_by_role("link", name="Audit log")).to_have_count(0)


async def test_international_domains_are_shown_as_people_write_them(site: Site) -> None:
    """A typed bücher.example stands in the confirmation, the row, the invitation and the rules as it was typed, with the
    stored form next to it. A part of it finds the row, which follows live changes.
    """
    async with site.owner() as owner:
        page = await site.person()
        await sign_in(page)
        community = f"/#/communities/{await owner.community_id()}"
        await page.goto(community)
        await page.get_by_label("Email address").fill("alice@bücher.example")
        await press(page, "Send invitation")
        await expect(visible_text(page, "The invitation to alice@bücher.example is on its way.")).to_be_visible()
        row = rows(page).filter(has_text="alice")
        await expect(row.locator(".email")).to_have_text("alice@bücher.example xn--bcher-kva.example")
        await expect(rows(page).filter(has_text=OWNER).locator(".email")).to_have_text(OWNER)
        await wait_for_funnel(page)
        await page.get_by_label("Search by address").fill("BÜCH")
        await expect(rows(page)).to_have_count(1)
        await site.service.deliver()
        await expect(row).to_contain_text("Sent")
        await assert_accessible(page, "international domain")
        await row.click()
        await expect(heading(page)).to_have_text("alice@bücher.example xn--bcher-kva.example")
        await expect(page).to_have_title("alice@bücher.example · Guestlist")
        await page.goto(f"{community}/rules")
        domains = page.get_by_label("Domains that can be invited")
        await domains.fill("bücher.example\nexample.com")
        await press(page, "Save the rules")
        await expect(visible_text(page, "The rules are saved.")).to_be_visible()
        await expect(domains).to_have_value("example.com\nbücher.example")
        saved = await hold_answer(page, "mutation UpdatePolicy(")
        await press(page, "Save the rules")
        await saved.is_given()
        assert saved.request is not None
        assert '"allowedEmailDomains":' not in (saved.request.post_data or "")
        saved.released.set()
        await page.goto(community)
        await expect(visible_text(page, re.compile("Only addresses at example.com and bücher.example"))).to_be_visible()
