"""The console in Chromium, on the real application: what admins and members do there, and what they are told."""

import re

import pytest
from playwright.async_api import Route, expect

from service.models import Community, Invitation, Membership, Role
from tests.stage import (
    GUEST,
    OWNER,
    Open,
    Stage,
    accept_as,
    assert_accessible,
    choose,
    heading,
    log_in,
    press,
    sign_in,
    told,
)

pytestmark = pytest.mark.anyio

pytestmark = pytest.mark.anyio


@pytest.fixture
def engine() -> str:
    """The pages see the API only, so one engine is enough for them."""
    return "sqlite"


async def test_an_invitation_is_sent_again_and_revoked(stage: Stage) -> None:
    """Both are confirmed in words; sending again too soon is no button but a time; the link dies with the revocation."""
    async with stage.invited() as (owner, invitation_id):
        page = await stage.person()
        await sign_in(page)
        await page.goto(f"/#/communities/{await owner.community_id()}/invitations/{invitation_id}")
        await expect(heading(page)).to_have_text(GUEST)
        await assert_accessible(page, "invitation")
        first = await stage.service.token_for(GUEST)
        await press(page, "Send again")
        await expect(told(page, f"A new link is on its way to {GUEST}.")).to_be_visible()
        await expect(page.get_by_role("button", name="Send again")).to_have_count(0)
        await expect(told(page, re.compile("Can be sent again in"))).to_be_visible()
        second = await stage.service.token_for(GUEST)
        assert second != first
        await press(page, "Revoke")
        await expect(page.get_by_role("button", name="Keep it")).to_be_focused()
        await assert_accessible(page, "revoke")
        await page.keyboard.press("Escape")
        assert (await owner.invitation(invitation_id))["status"] == "PENDING"
        await press(page, "Revoke")
        await page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
        await expect(told(page, f"The invitation to {GUEST} is revoked.")).to_be_visible()
        await expect(page.get_by_role("button", name="Revoke")).to_have_count(0)
        await expect(heading(page)).to_be_focused()
        assert (await owner.invitation(invitation_id))["status"] == "REVOKED"
        dead = await stage.person()
        await dead.goto(f"/confirm#{second}")
        await expect(heading(dead)).to_have_text("This link has run out")


async def test_refused_invitations_say_why_beside_the_field(stage: Stage) -> None:
    """No address, a wrong one, a pending one and a member's each have their words at the address; nothing is sent."""
    async with stage.invited() as (owner, invitation_id):
        page = await stage.person()
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


async def test_roles_above_ones_own_are_not_offered(stage: Stage) -> None:
    """H128: an admin's form offers no owner; a member sees the members and nothing of the invitations."""
    async with stage.invited(role="ADMIN"):
        page = await stage.person()
        await accept_as(page, await stage.link(), GUEST)
        await page.get_by_role("link", name="Go to Demo").click()
        await expect(page.get_by_label("Role", exact=True).get_by_role("option")).to_have_text(["Member", "Admin"])
        await Membership.filter(role=Role.ADMIN).update(role=Role.MEMBER)
        await page.reload()
        await expect(page.get_by_role("heading", name="Members")).to_be_visible()
        await expect(page.get_by_label("Role", exact=True)).to_have_count(0)
        await expect(page.get_by_role("link", name="Invitations")).to_have_count(0)
        await assert_accessible(page, "a member's view")


async def test_long_lists_come_in_pages(stage: Stage) -> None:
    """A page of invitations is shown, newest first, and the rest on a press; the button goes with the last."""
    async with stage.owner() as owner:
        community_id = await owner.community_id()
        for number in range(4):
            stage.service.clock.advance(seconds=1)
            await owner.invite(community_id, f"guest{number}@example.com")
        page = await stage.person()
        await page.route("**/graphql", _ask_for_three)
        await sign_in(page)
        await page.goto(f"/#/communities/{community_id}")
        rows = page.get_by_role("main").get_by_role("list").last.get_by_role("link")
        await expect(rows).to_have_count(3)
        await expect(rows.first).to_contain_text("guest3@example.com")
        await press(page, "Show more")
        await expect(rows).to_have_count(5)
        await expect(rows.nth(3)).to_be_focused()
        await expect(rows.last).to_contain_text(OWNER)
        await expect(page.get_by_role("button", name="Show more")).to_have_count(0)


async def _ask_for_three(route: Route) -> None:
    """Makes the pages of a list so short that five invitations fill two."""
    await route.continue_(post_data=re.sub(r'"first":\d+', '"first":3', route.request.post_data or ""))


async def test_every_view_of_the_console_is_accessible_and_has_an_address(stage: Stage) -> None:
    """Sign-in, communities, invitations, members and account: each opens by its own address, by itself."""
    async with stage.invited() as (owner, invitation_id):
        page = await stage.person()
        await page.goto("/")
        await expect(heading(page)).to_have_text("Sign in")
        await assert_accessible(page, "sign in")
        await sign_in(page)
        await expect(page.get_by_role("button", name="Create community")).to_be_visible()
        community = f"/#/communities/{await owner.community_id()}"
        views = {"/": "My communities", community: "Demo", f"{community}/members": "Demo", "/#/account": "My account"}
        views |= {f"{community}/invitations/{invitation_id}": GUEST, "/#/communities/com_none": "No such community"}
        for address, title in views.items():
            await page.goto("about:blank")
            await page.goto(address)
            await expect(heading(page)).to_have_text(title)
            await assert_accessible(page, address)


async def test_a_deep_link_survives_the_sign_in(stage: Stage) -> None:
    """Who must sign in first comes back to the very view that they opened, and the address keeps no mark of it."""
    async with stage.invited() as (owner, invitation_id):
        page = await stage.person()
        address = f"/#/communities/{await owner.community_id()}/invitations/{invitation_id}"
        await page.goto(address)
        await expect(heading(page)).to_have_text("Sign in")
        await accept_as(page, None, OWNER)
        await expect(heading(page)).to_have_text(GUEST)
        assert page.url == stage.service.url + address


async def test_a_sign_in_that_nobody_invited_is_told_so(stage: Stage) -> None:
    """H020: the words come once, stay away after a reload, and nobody is signed in."""
    page = await stage.person()
    await page.goto("/")
    await accept_as(page, None, "stranger@example.com")
    await expect(told(page, "Nobody with this sign-in is a member here.")).to_be_visible()
    await assert_accessible(page, "not invited")
    await page.reload()
    await expect(heading(page)).to_have_text("Sign in")
    await expect(told(page, "Nobody with this sign-in")).to_have_count(0)


async def test_another_sign_in_is_added_to_ones_account(stage: Stage) -> None:
    """Linking comes back to the account, says so, and the new sign-in opens the same account elsewhere."""
    async with stage.owner():
        page = await stage.person()
        await sign_in(page)
        await page.get_by_role("link", name="My account").click()
        await choose(page, "google")
        await log_in(page, "owner@gmail.com")
        await expect(told(page, "From now on this sign-in opens your account too.")).to_be_visible()
        await expect(told(page, "owner@gmail.com")).to_be_visible()
        elsewhere = await stage.person()
        await elsewhere.goto("/")
        await accept_as(elsewhere, None, "owner@gmail.com", provider="google")
        await expect(elsewhere.get_by_role("link", name="Demo")).to_be_visible()


async def test_sessions_end_where_they_are_told_to(stage: Stage) -> None:
    """H105: another device is signed out from here; signing out everywhere is confirmed and ends this one too."""
    async with stage.owner() as owner:
        page = await stage.person()
        await sign_in(page)
        await page.get_by_role("link", name="My account").click()
        await expect(told(page, "This device")).to_have_count(1)
        await page.get_by_role("button", name=re.compile("^Sign out Test browser")).click()
        await expect(told(page, "That device is signed out.")).to_be_visible()
        assert await owner.viewer_email() is None
        await press(page, "Sign out everywhere")
        await page.get_by_role("dialog").get_by_role("button", name="Sign out everywhere").click()
        await expect(told(page, "You are signed out everywhere.")).to_be_visible()
        await page.goto("/#/account")
        await expect(heading(page)).to_have_text("Sign in")


async def test_a_session_that_ended_meanwhile_is_told(stage: Stage) -> None:
    """Inviting without a session any more leads to the sign-in, in words, and sends nothing."""
    async with stage.owner():
        page = await stage.person()
        await sign_in(page)
        await page.get_by_role("link", name="Demo").click()
        await page.get_by_label("Email address").fill(GUEST)
        await page.context.clear_cookies()
        await press(page, "Send invitation")
        await expect(told(page, "You were signed out. Sign in to go on.")).to_be_visible()
        assert await Invitation.all().count() == 1


async def test_communities_are_founded_where_the_operator_allows_it(open_stage: Open) -> None:
    """With `members` the form makes a community and opens it, ready to invite."""
    async with open_stage() as stage, stage.owner():
        page = await stage.person()
        await sign_in(page)
        await press(page, "Create community")
        await expect(page.get_by_label("Name")).to_be_focused()
        await page.get_by_label("Name").fill("Chess")
        await press(page, "Create community")
        await expect(heading(page)).to_have_text("Chess")
        await expect(told(page, "Chess is there. Now invite somebody.")).to_be_visible()
        await assert_accessible(page, "empty community")


async def test_where_operators_found_communities_no_form_says_otherwise(open_stage: Open) -> None:
    """With `operators` there is no form for a new community, and nothing was tried to find that out."""
    async with open_stage(community_creation="operators") as stage, stage.owner():
        page = await stage.person()
        await sign_in(page)
        await expect(page.get_by_role("link", name="Demo")).to_be_visible()
        await expect(page.get_by_role("button", name="Create community")).to_have_count(0)
        assert await Community.all().count() == 1
