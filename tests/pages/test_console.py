"""The console in Chromium, on the real application: what admins and members do there, and what they are told."""

import asyncio
import re
from typing import Final

import orjson
import pytest
from playwright.async_api import Locator, Page, Route, expect

from service.addresses import Address
from service.audit_log import sentences as audit_sentences
from service.delivery import ses_events
from service.delivery import worker as delivery
from service.exports import line
from service.invitations import views as invitation_views
from service.mail import suppression
from service.models import AccessToken, Community, Invitation, Membership, Role
from tests.schema.test_contract import RUNNING
from tests.support.chromium import (
    GUEST,
    OWNER,
    STATIC,
    Open,
    Stage,
    accept_as,
    assert_accessible,
    choose,
    heading,
    hold,
    log_in,
    press,
    release,
    sign_in,
    told,
)
from tests.support.members import update_policy
from tests.support.service import Browser, http_client

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
        # What is told of the mail draws the view anew, and a press amid that would meet neither button.
        sent = page.get_by_role("definition").filter(has_text=re.compile("^Sent"))
        await expect(sent).to_be_visible()
        await press(page, "Send again")
        await expect(told(page, f"A new link is on its way to {GUEST}.")).to_be_visible()
        await expect(page.get_by_role("button", name="Send again")).to_have_count(0)
        await expect(told(page, re.compile("Can be sent again in"))).to_be_visible()
        second = await stage.service.token_for(GUEST)
        assert second != first
        await expect(sent).to_be_visible()
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


async def test_what_was_done_is_told_whoever_knew_first(stage: Stage) -> None:
    """A view that has the change already, by itself, still says what the press did; and goes on to when the mail has left."""
    async with stage.invited() as (owner, invitation_id):
        page = await stage.person()
        await sign_in(page)
        await page.goto(f"/#/communities/{await owner.community_id()}/invitations/{invitation_id}")
        await expect(heading(page)).to_have_text(GUEST)
        answer = await hold(page, "mutation Resend(")
        await press(page, "Send again")
        await expect(told(page, re.compile("Can be sent again in"))).to_be_visible()
        answer.released.set()
        words = told(page, f"A new link is on its way to {GUEST}.")
        await expect(words).to_be_visible()
        await stage.service.deliver()
        await expect(page.get_by_role("definition").filter(has_text=re.compile("^Sent"))).to_be_visible()
        await expect(words).to_be_visible()


async def test_an_older_answer_does_not_undo_a_newer_one(stage: Stage) -> None:
    """A revoked invitation is shown as revoked though the answer to what was asked before comes last."""
    async with stage.invited() as (owner, invitation_id):
        page = await stage.person()
        await sign_in(page)
        catching_up = await hold(page, "query Invitation(", time=2)
        await page.goto(f"/#/communities/{await owner.community_id()}/invitations/{invitation_id}")
        await catching_up.is_given()
        before = await hold(page, "query Invitation(")
        catching_up.released.set()
        await stage.service.deliver()
        await before.is_given()
        await press(page, "Revoke")
        await page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
        await expect(page.locator(".badge").first).to_have_text("Revoked")
        await release(page, before)
        await expect(page.locator(".badge").first).to_have_text("Revoked")


async def test_a_view_that_was_left_before_it_came_dims_no_other(stage: Stage) -> None:
    """The view that the reader went on to is not shown as waiting while the answer to the one before is still to come."""
    async with stage.owner() as owner:
        page = await stage.person()
        await sign_in(page)
        await page.clock.install()
        before = await hold(page, "query Members(")
        members = f"#/communities/{await owner.community_id()}/members"
        await page.evaluate("members => { location.hash = members }", members)
        await before.is_given()
        await page.evaluate("location.hash = '#/account'")
        await expect(heading(page)).to_have_text("My account")
        await page.clock.run_for(1_000)
        await expect(page.locator("#view")).not_to_have_attribute("aria-busy", "true")
        await release(page, before)
        await expect(heading(page)).to_have_text("My account")


async def test_the_log_shows_what_was_asked_for_last(stage: Stage) -> None:
    """However late the answer to an earlier choice comes, the entries stay those of the last one."""
    async with stage.owner() as owner:
        page = await stage.person()
        await sign_in(page)
        await page.goto(f"/#/communities/{await owner.community_id()}/audit")
        entries = page.locator("ol.rows > li")
        await expect(entries.first).to_be_visible()
        before = await hold(page, "query Audit(")
        await page.get_by_label("What", exact=True).select_option("invited")
        await before.is_given()
        await page.get_by_label("What", exact=True).select_option("tokens")
        await expect(told(page, "Nothing like that happened")).to_be_visible()
        await release(page, before)
        await expect(entries).to_have_count(0)


async def test_a_change_behind_a_question_is_seen_after_it(stage: Stage) -> None:
    """What happens while the reader is asked whether to revoke is shown when they have answered."""
    async with stage.invited() as (owner, invitation_id):
        page = await stage.person()
        await sign_in(page)
        await page.goto(f"/#/communities/{await owner.community_id()}/invitations/{invitation_id}")
        await press(page, "Revoke")
        await expect(page.get_by_role("button", name="Keep it")).to_be_focused()
        await stage.service.deliver()
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("definition").filter(has_text=re.compile("^Sent"))).to_be_visible()


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
        page = await _three_of_five(stage, owner)
        rows = page.get_by_role("main").get_by_role("list").last.get_by_role("link")
        await expect(rows).to_have_count(3)
        await expect(rows.first).to_contain_text("guest3@example.com")
        await press(page, "Show more")
        await expect(rows).to_have_count(5)
        await expect(rows.nth(3)).to_be_focused()
        await expect(rows.last).to_contain_text(OWNER)
        await expect(page.get_by_role("button", name="Show more")).to_have_count(0)


async def test_more_of_a_list_comes_amid_a_reconnect(stage: Stage) -> None:
    """A list that is asked for anew while its rest is on the way still gets that, once, and then has no more to show."""
    async with stage.owner() as owner:
        page = await _three_of_five(stage, owner)
        await expect(rows(page)).to_have_count(3)
        rest = await hold(page, '"after":"')
        await press(page, "Show more")
        await rest.is_given()
        await page.evaluate("dispatchEvent(new Event('offline'))")
        await expect(told(page, "Reconnecting…")).to_be_visible()
        await expect(told(page, "Reconnecting…")).to_have_count(0)
        rest.released.set()
        await expect(rows(page)).to_have_count(5)
        await expect(rows(page).nth(3)).to_be_focused()
        await expect(page.get_by_role("button", name="Show more")).to_have_count(0)


async def _three_of_five(stage: Stage, owner: Browser) -> Page:
    """The list of five invitations, in pages of three, at its first."""
    community_id = await _five_invitations(stage, owner)
    page = await stage.person()
    await page.route("**/graphql", _ask_for_three)
    await sign_in(page)
    await page.goto(f"/#/communities/{community_id}")
    await settled(page)
    return page


async def _five_invitations(stage: Stage, owner: Browser) -> str:
    """The community's id; after its owner four guests were invited, one after the other."""
    community_id = await owner.community_id()
    for number in range(4):
        stage.service.clock.advance(seconds=1)
        await owner.invite(community_id, f"guest{number}@example.com")
    return community_id


async def _ask_for_three(route: Route) -> None:
    """Makes the pages of a list so short that five invitations fill two."""
    await route.fallback(post_data=re.sub(r'"first":\d+', '"first":3', route.request.post_data or ""))


async def test_more_is_shown_while_the_list_catches_up(stage: Stage) -> None:
    """Whether what was missed comes before or after what "Show more" asked for, all rows are there, and no button is left."""
    async with stage.owner() as owner:
        community_id = await _five_invitations(stage, owner)
        for first_of_both in ("missed", "more"):
            page = await stage.person()
            missed = await hold(page, "query Invitations(", time=2)
            more = await hold(page, "query Invitations(", time=3)
            await page.route("**/graphql", _ask_for_three)
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


async def test_every_view_of_the_console_is_accessible_and_has_an_address(stage: Stage) -> None:
    """Each view opens by its own address, by itself, names itself in the title, and fits a window of 320 pixels."""
    async with stage.invited() as (owner, invitation_id):
        page = await stage.person()
        await page.goto("/")
        await expect(heading(page)).to_have_text("Sign in")
        await assert_accessible(page, "sign in")
        await sign_in(page)
        await expect(page.get_by_role("button", name="Create community")).to_be_visible()
        community = f"/#/communities/{await owner.community_id()}"
        views = {
            "/": ("My communities", "My communities"),
            "/#/": ("My communities", "My communities"),
            community: ("Demo", "Invitations · Demo"),
            f"{community}/members": ("Demo", "Members · Demo"),
            f"{community}/audit": ("Demo", "Audit log · Demo"),
            f"{community}/rules": ("Demo", "Rules · Demo"),
            f"{community}/invite": ("Demo", "Invite many at once · Demo"),
            f"{community}/invitations/{invitation_id}": (GUEST, GUEST),
            "/#/account": ("My account", "My account"),
            "/#/communities/com_none": ("No such community", "No such community"),
            "/#/nowhere": ("There is nothing here", "There is nothing here"),
        }
        for address, (title, named) in views.items():
            await page.goto("about:blank")
            await page.goto(address)
            await expect(heading(page)).to_have_text(title)
            await expect(page).to_have_title(f"{named} · Guestlist")
            await assert_accessible(page, address)
            await page.set_viewport_size({"width": 320, "height": 640})
            assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, address


async def test_the_console_is_worked_by_keyboard(stage: Stage) -> None:
    """Without a pointer: invite, open the row, revoke. Focus goes to each new view's heading, stays in a dialog, and comes
    back where it was.
    """
    async with stage.owner() as owner:
        page = await stage.person()
        await sign_in(page)
        await page.goto(f"/#/communities/{await owner.community_id()}")
        await expect(heading(page)).to_have_text("Demo")
        await expect(heading(page)).to_be_focused()
        await page.get_by_label("Email address").focus()
        stage.service.clock.advance(seconds=1)
        await page.keyboard.type(GUEST)
        await page.keyboard.press("Enter")
        await expect(rows(page)).to_have_count(2)
        await expect(page.get_by_label("Email address")).to_be_focused()
        for _ in range(40):
            await page.keyboard.press("Tab")
            if await rows(page).first.evaluate("row => row === document.activeElement"):
                break
        await page.keyboard.press("Enter")
        await expect(heading(page)).to_have_text(GUEST)
        await expect(heading(page)).to_be_focused()
        for name in ("Send again", "Revoke"):
            await page.keyboard.press("Tab")
            await expect(page.get_by_role("button", name=name)).to_be_focused()
        await page.keyboard.press("Enter")
        inside = "document.activeElement === document.body || !!document.activeElement.closest('dialog')"
        for _ in range(4):
            await page.keyboard.press("Tab")
            assert await page.evaluate(inside)
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("button", name="Revoke")).to_be_focused()


async def test_the_console_asks_nobody_else_and_moves_little(stage: Stage) -> None:
    """Every request goes to the service itself; who wants less motion sees no change flash."""
    async with stage.owner() as owner:
        page = await stage.person()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        await page.emulate_media(reduced_motion="reduce")
        await sign_in(page)
        await page.goto(f"/#/communities/{await owner.community_id()}")
        await owner.invite(await owner.community_id(), GUEST)
        await expect(rows(page)).to_have_count(2)
        await stage.service.deliver()
        await expect(page.locator(".fresh")).to_have_css("animation-name", "none")
        assert len(asked) > 20
        assert [url for url in asked if not url.startswith(stage.service.url)] == []


async def test_a_deep_link_survives_the_sign_in(stage: Stage) -> None:
    """Who must sign in first comes back to the very view that they opened, and the address keeps no mark of it."""
    async with stage.invited() as (owner, invitation_id):
        page = await stage.person()
        address = f"/#/communities/{await owner.community_id()}/invitations/{invitation_id}"
        await page.goto(address)
        await expect(heading(page)).to_have_text("Sign in")
        await accept_as(page, None, OWNER)
        await expect(heading(page)).to_have_text(GUEST)
        await expect(page).to_have_url(stage.service.url + address)


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


async def test_adding_a_sign_in_asks_for_a_fresh_sign_in(stage: Stage) -> None:
    """H172: after 15 minutes the account page first signs its owner in again, and then adds the sign-in."""
    async with stage.owner():
        page = await stage.person()
        await sign_in(page)
        await page.get_by_role("link", name="My account").click()
        stage.service.clock.advance(minutes=15)
        stage.google.clock = stage.service.clock
        await page.locator("[data-provider=google]").click()
        await expect(told(page, "For your protection, sign in once more first.")).to_be_visible()
        await assert_accessible(page, "fresh sign-in")
        await press(page, "Sign in again with Development")
        await page.locator("#email").wait_for()
        await log_in(page, OWNER)
        await expect(heading(page)).to_have_text("My account")
        await choose(page, "google")
        await log_in(page, "owner@gmail.com")
        await expect(told(page, "From now on this sign-in opens your account too.")).to_be_visible()


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
        await expect(page.get_by_role("dialog").get_by_role("checkbox")).to_have_count(0)
        await page.get_by_role("dialog").get_by_role("button", name="Sign out everywhere").click()
        await expect(told(page, "You are signed out everywhere.")).to_be_visible()
        await page.goto("/#/account")
        await expect(heading(page)).to_have_text("Sign in")


@pytest.mark.parametrize("ends", [True, False])
async def test_signing_out_everywhere_offers_to_end_tokens(stage: Stage, *, ends: bool) -> None:
    """H198: with the box ticked, signing out everywhere ends the access tokens too; without it they stay."""
    async with stage.owner() as owner:
        wanted = {"name": "Script", "scopes": ["READ"], "communityIds": [await owner.community_id()]}
        assert (await owner.do("createAccessToken", **wanted))["__typename"] == "CreateAccessTokenSuccess"
        page = await stage.person()
        await sign_in(page)
        await page.get_by_role("link", name="My account").click()
        await press(page, "Sign out everywhere")
        dialog = page.get_by_role("dialog")
        await expect(dialog.get_by_role("checkbox", name="End my access tokens too")).not_to_be_checked()
        await dialog.get_by_role("checkbox", name="End my access tokens too").set_checked(ends)
        await assert_accessible(page, "sign-out")
        await dialog.get_by_role("button", name="Sign out everywhere").click()
        await expect(told(page, "You are signed out everywhere.")).to_be_visible()
        assert await owner.viewer_email() is None
        assert await AccessToken.filter(revoked_at__not_isnull=True).count() == int(ends)


async def _end_the_session_at(page: Page, operation: str, *, time: int = 1) -> None:
    """Takes the session away as that operation goes out, at its first time or a later one. A moment earlier, any other
    question of the page could notice it as well.
    """
    asked: list[Route] = []

    async def looked_at(route: Route) -> None:
        if operation in (route.request.post_data or ""):
            asked.append(route)
            if len(asked) == time:
                await page.context.clear_cookies()
        await route.continue_()

    await page.route("**/graphql", looked_at)


async def test_a_session_that_ended_meanwhile_is_told(stage: Stage) -> None:
    """Inviting without a session any more leads to the sign-in, in words, and sends nothing."""
    async with stage.owner():
        page = await stage.person()
        await sign_in(page)
        await page.get_by_role("link", name="Demo").click()
        await page.get_by_label("Email address").fill(GUEST)
        await _end_the_session_at(page, "mutation Invite(")
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


# ------------------------------------------------------------------------------------------------------------- its words


# What the console's actions can answer.
UNIONS: Final = (
    "InviteMemberResult", "InviteMembersResult", "ResendInviteResult", "RevokeInviteResult", "ChangeRoleResult",
    "RemoveMemberResult", "UpdateInvitationPolicyResult", "CreateCommunityResult", "CreateAccessTokenResult",
    "RevokeAccessTokenResult", "LinkIdentityResult", "SignInResult",
)  # fmt: skip


def _catalogue(name: str) -> tuple[dict[str, str], dict[str, str]]:
    """The words of a catalogue by their ids, and those for what the service says by its."""
    words, _, told = (STATIC / "words" / f"{name}.js").read_text("utf-8").partition("export const told")
    pattern = re.compile(r'^  (?:"([\w.]+)"|(\w+)): (.+),$', re.MULTILINE)
    found = [{quoted or bare: text for quoted, bare, text in pattern.findall(part)} for part in (words, told)]
    return found[0], found[1]


@pytest.mark.parametrize("language", ["de", "fr", "es"])
@pytest.mark.parametrize("place", ["", "console/"])
def test_every_word_is_there_in_every_language(place: str, language: str) -> None:
    """No catalogue lacks an id or has one too many, and every sentence keeps its values and its forms of number."""
    english, translated = _catalogue(f"{place}en")[0], _catalogue(f"{place}{language}")[0]
    assert len(english) > 90
    assert translated.keys() == english.keys()
    for name, text in translated.items():
        values = set(re.findall(r"\{\w+\}", english[name]))
        assert set(re.findall(r"\{\w+\}", text)) == values, name
        assert text.startswith("forms(") == english[name].startswith("forms("), name
    same = [name for name, text in translated.items() if text == english[name] and len(text.split()) > 6]
    assert same == [], "a sentence that is English still"


@pytest.mark.parametrize("language", ["de", "fr", "es"])
def test_every_event_and_refusal_has_words_in_every_language(language: str) -> None:
    """Each kind of event that a community's log can hold, and each refusal that the console can meet, is translated."""
    told = _catalogue(f"console/{language}")[1] | _catalogue(language)[1]
    kinds = {kind for kind in audit_sentences._SENTENCES if not re.match(r"member\.(sign|identity)", kind)}
    problems = {kind.name for name in UNIONS for kind in RUNNING.type_map[name].types}  # type: ignore[attr-defined]
    expected = (
        kinds | {"invitation.accept_refused"} | {name for name in problems if not name.endswith(("Success", "Started"))}
    )
    groups = (STATIC / "console/audit.js").read_text("utf-8").partition("const KINDS = {")[2].partition("};")[0]
    grouped = set(re.findall(r'"(\w+\.\w+)"', groups))
    assert grouped == kinds | {"invitation.accept_refused"}, "each can be asked for in the log"
    assert expected - told.keys() == {"InvalidInput", "NotSignedIn"}, (
        "the one names its field, the other leads to the sign-in"
    )


_OWN_TEXT: Final = """() => {
  const body = document.body.cloneNode(true);
  for (const foreign of body.querySelectorAll("[lang=en], template, noscript")) foreign.remove();
  return body.textContent;
}"""


async def test_the_console_speaks_the_readers_language(stage: Stage) -> None:
    """A German reader meets German in every view: what is left of English is marked as such."""
    async with stage.invited() as (owner, invitation_id):
        page = await stage.person(language="de-DE")
        await page.goto("/")
        await accept_as(page, None, OWNER)
        community = f"/#/communities/{await owner.community_id()}"
        views = ("", "/members", "/audit", "/rules", "/invite", f"/invitations/{invitation_id}")
        for view in (*(community + view for view in views), "/", "/#/account"):
            await page.goto("about:blank")
            await page.goto(view)
            await expect(page.get_by_role("main")).not_to_have_attribute("aria-busy", "true")
            await expect(page.locator("html")).to_have_attribute("lang", "de")
            text = await page.evaluate(_OWN_TEXT)
            assert not re.search(r"\b(the|and|Invitation|Members|Sign|your)\b", text), (view, text)
        await page.goto(f"{community}/invitations/{invitation_id}")
        await expect(told(page, "Die Einladung wurde ausgesprochen.")).to_be_visible()


async def test_what_keeps_an_invitation_is_said_in_the_readers_language(stage: Stage) -> None:
    """A German admin reads why a mail was not sent and what blocks an invitation in German, in the list and in each one."""
    blocked = "Die Regeln lassen Adressen dieser Domain nicht mehr zu."
    unsent = "Nicht gesendet: Mails an diese Adresse wurden abbestellt oder gesperrt"
    await suppression.add(Address("ada@club.example"), suppression.Reason.COMPLAINED, now=stage.service.clock())
    async with stage.invited() as (owner, kept):
        community = await owner.community_id()
        silent = (await owner.invite(community, "ada@club.example"))["invitation"]["id"]
        await stage.service.deliver()
        await update_policy(owner, community, allowedEmailDomains=["club.example"])
        page = await stage.person(language="de-DE")
        await page.goto("/")
        await accept_as(page, None, OWNER)
        await page.goto(f"/#/communities/{community}")
        await expect(rows(page).filter(has_text=GUEST).locator(".reason")).to_contain_text(blocked)
        await expect(rows(page).filter(has_text="ada@").locator(".reason")).to_contain_text(unsent)
        await expect(page.locator(".reason [lang=en]")).to_have_count(0)
        for invitation_id, words in ((kept, blocked), (silent, unsent)):
            await page.goto(f"/#/communities/{community}/invitations/{invitation_id}")
            await expect(page.get_by_role("alert")).to_contain_text(words)


@pytest.mark.parametrize("language", ["de", "fr", "es"])
def test_the_sentences_that_are_translated_whole_are_those_of_the_service(language: str) -> None:
    """Each sentence on what blocks an invitation, or keeps mail from its address, has words in every catalogue, and no
    catalogue has another's.
    """
    catalogue = (STATIC / f"words/console/{language}.js").read_text("utf-8")
    sentences = set(re.findall(r'^  "([^"]+ [^"]+)":', catalogue, re.MULTILINE))
    views = invitation_views
    blocked = {views.BLOCKED_BY_INVITER, views.BLOCKED_BY_RULES, views.BLOCKED_BY_SEATS}
    assert sentences == blocked | {delivery.SUPPRESSED, ses_events.SPAM}


# -------------------------------------------------------------------------------------------------- the list and its filter


def rows(page: Page) -> Locator:
    return page.locator("ul.rows > li > a.row")


async def settled(page: Page) -> None:
    """Waits for the funnel: it comes after the list, and moves what is pressed below it."""
    await expect(page.locator(".stages")).to_be_visible()


async def _three_states(stage: Stage, owner: Browser) -> str:
    """The community's id; its owner accepted, ada is a pending admin, bob was revoked, carol is pending."""
    community_id = await owner.community_id()
    await owner.invite(community_id, "ada@example.com", role="ADMIN")
    bob = await owner.invite(community_id, "bob@example.com")
    await owner.do("revokeInvite", invitationId=bob["invitation"]["id"])
    await owner.invite(community_id, "carol@other.example")
    await stage.service.deliver()
    return community_id


async def test_filters_combine_and_stand_in_the_address(stage: Stage) -> None:
    """Status, delivery, role and text narrow the list together; the address keeps them over a reload, and back undoes one."""
    async with stage.owner() as owner:
        community_id = await _three_states(stage, owner)
        page = await stage.person()
        await sign_in(page)
        await page.goto(f"/#/communities/{community_id}")
        await expect(rows(page)).to_have_count(4)
        await settled(page)
        await page.get_by_role("checkbox", name="Pending 2").check()
        await expect(rows(page)).to_have_count(2)
        await expect(told(page, "2 of 4 invitations")).to_be_visible()
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
        await expect(told(page, "No invitation is like that")).to_be_visible()
        await assert_accessible(page, "no match")
        await page.go_back()
        await expect(rows(page)).to_have_count(1)
        await page.goto(f"/#/communities/{community_id}?status=REVOKED,ACCEPTED")
        await expect(rows(page)).to_have_count(2)
        await page.goto(f"/#/communities/{community_id}?delivery=DELIVERED&status=NONSENSE")
        await expect(told(page, "No invitation is like that")).to_be_visible()
        await settled(page)
        await press(page, "Clear the filter")
        await expect(rows(page)).to_have_count(4)
        await expect(page.get_by_label("Search by address")).to_be_focused()


async def test_an_invitation_and_back_keep_the_filter(stage: Stage) -> None:
    """A row opens its timeline; back shows the list as it was asked for."""
    async with stage.owner() as owner:
        community_id = await _three_states(stage, owner)
        page = await stage.person()
        await sign_in(page)
        await page.goto(f"/#/communities/{community_id}?status=REVOKED")
        await settled(page)
        await rows(page).first.click()
        await expect(heading(page)).to_have_text("bob@example.com")
        await expect(page.get_by_role("listitem").filter(has_text="Owner took the invitation back.")).to_be_visible()
        await page.go_back()
        await expect(rows(page)).to_have_count(1)


async def test_a_filter_survives_the_sign_in(stage: Stage) -> None:
    """A list that somebody sent as a link is shown as it was asked for, also to who must sign in first."""
    async with stage.owner() as owner:
        address = f"/#/communities/{await _three_states(stage, owner)}?status=PENDING&role=ADMIN"
        page = await stage.person()
        await page.goto(address)
        await accept_as(page, None, OWNER)
        await expect(rows(page)).to_have_count(1)
        await expect(page).to_have_url(stage.service.url + address)


async def test_a_question_that_came_to_nothing_is_told_beside_the_filter(stage: Stage) -> None:
    """The list stays as it was, with the reason above it; the next question that is answered takes it away."""
    async with stage.owner() as owner:
        community_id = await _three_states(stage, owner)
        page = await stage.person()
        await sign_in(page)
        await page.goto(f"/#/communities/{community_id}")
        await expect(rows(page)).to_have_count(4)
        await settled(page)
        await page.route("**/graphql", lambda route: route.abort())
        await page.get_by_role("checkbox", name="Pending").check()
        await expect(page.get_by_role("alert")).to_contain_text("We could not reach the service.")
        await expect(rows(page)).to_have_count(4)
        await page.unroute("**/graphql")
        await page.get_by_label("Filter by role").select_option("ADMIN")
        await expect(rows(page)).to_have_count(1)
        await expect(page.get_by_role("alert")).to_have_count(0)


async def test_a_change_outlives_an_answer_that_lacks_it(stage: Stage) -> None:
    """What is told while the list is asked for stays, though the answer was made before."""
    async with stage.invited() as (owner, invitation_id):
        page = await stage.person()
        await sign_in(page)
        await page.goto(f"/#/communities/{await owner.community_id()}")
        await expect(rows(page)).to_have_count(2)
        await settled(page)
        answer = await hold(page, '"statuses":["PENDING"]},"first"')
        await page.get_by_role("checkbox", name="Pending").check()
        await answer.is_given()
        await owner.do("revokeInvite", invitationId=invitation_id)
        await expect(rows(page)).to_have_count(1)
        answer.released.set()
        await expect(page.locator("ul.rows")).not_to_have_attribute("aria-busy", "true")
        await expect(rows(page)).to_have_count(0)


async def test_what_was_typed_last_stays_out_of_the_next_view(stage: Stage) -> None:
    """Who searches and goes on before the search began finds it in no other view's address."""
    async with stage.invited() as (owner, invitation_id):
        page = await stage.person()
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
        await expect(page).to_have_url(f"{stage.service.url}/{community}/invitations/{invitation_id}")


async def test_a_long_timeline_comes_in_pages(stage: Stage) -> None:
    """What happened first is shown, and the rest on a press."""
    async with stage.invited() as (owner, invitation_id):
        await stage.service.deliver()
        stage.service.clock.advance(minutes=2)
        await owner.do("resendInvite", invitationId=invitation_id)
        await stage.service.deliver()
        page = await stage.person()
        await page.route("**/graphql", _ask_for_three)
        await sign_in(page)
        await page.goto(f"/#/communities/{await owner.community_id()}/invitations/{invitation_id}")
        events = page.locator(".timeline > li")
        await expect(events).to_have_count(3)
        await press(page, "Show more")
        await expect(events).to_have_count(4)
        await expect(events.last).to_be_focused()
        await expect(page.get_by_role("button", name="Show more")).to_have_count(0)


async def test_the_list_follows_what_happens(stage: Stage) -> None:
    """New invitations come by themselves, known ones change in place with the focus kept, and those that no longer fit go."""
    async with stage.owner() as owner:
        community_id = await owner.community_id()
        page = await stage.person()
        await sign_in(page)
        async with page.expect_request(lambda asked: "text/event-stream" in asked.headers.get("accept", "")):
            await page.goto(f"/#/communities/{community_id}?status=PENDING")
        await expect(told(page, "No invitation is like that")).to_be_visible()
        stage.service.clock.advance(seconds=1)
        first = await owner.invite(community_id, GUEST)
        await expect(rows(page)).to_have_count(1)
        await expect(rows(page)).to_contain_text("Waiting to be sent")
        await expect(told(page, "1 of 2 invitations")).to_be_visible()
        await expect(page.get_by_role("checkbox", name="Pending 1")).to_be_visible()
        await rows(page).focus()
        await stage.service.deliver()
        await expect(rows(page)).to_contain_text("Sent")
        await expect(rows(page)).to_be_focused()
        await page.get_by_label("Email address").focus()
        await owner.do("revokeInvite", invitationId=first["invitation"]["id"])
        await expect(rows(page)).to_have_count(0)
        await expect(told(page, "Reconnecting…")).to_have_count(0)


async def test_a_broken_connection_is_taken_up_again(stage: Stage) -> None:
    """Offline the list says that it waits; back online it has what happened meanwhile, and follows again."""
    async with stage.owner() as owner:
        community_id = await owner.community_id()
        page = await stage.person()
        await sign_in(page)
        await page.goto(f"/#/communities/{community_id}")
        await expect(rows(page)).to_have_count(1)
        await page.context.set_offline(True)
        await expect(told(page, "Reconnecting…")).to_be_visible()
        stage.service.clock.advance(seconds=1)
        await owner.invite(community_id, "meanwhile@example.com")
        await expect(rows(page)).to_have_count(1)
        await page.context.set_offline(False)
        await expect(rows(page)).to_have_count(2)
        await expect(told(page, "Reconnecting…")).to_have_count(0)
        stage.service.clock.advance(seconds=1)
        await owner.invite(community_id, "afterwards@example.com")
        await expect(rows(page).first).to_contain_text("afterwards@example.com")


async def test_who_loses_the_right_loses_the_view(stage: Stage) -> None:
    """H162: an admin who is made a member while they look sees the members from then on, without a reload."""
    async with stage.invited(role="ADMIN"):
        page = await stage.person()
        await accept_as(page, await stage.link(), GUEST)
        await page.get_by_role("link", name="Go to Demo").click()
        await expect(rows(page)).to_have_count(2)
        await Membership.filter(role=Role.ADMIN).update(role=Role.MEMBER)
        await expect(page.get_by_role("heading", name="Members")).to_be_visible()
        await expect(page.get_by_role("link", name="Audit log")).to_have_count(0)


async def test_the_funnel_is_told_in_numbers_and_in_a_table(stage: Stage) -> None:
    """Of three invitations two were opened and one accepted: the picture says so, and its table week by week."""
    async with stage.owner() as owner:
        stage.service.clock.advance(minutes=1)
        community_id = await owner.community_id()
        await owner.invite(community_id, GUEST)
        await owner.invite(community_id, "other@example.com")
        async with stage.service.browser() as guest:
            await guest.accept(await stage.service.token_for(GUEST))
        page = await stage.person()
        await sign_in(page)
        await page.goto(f"/#/communities/{community_id}")
        stages = page.locator(".stages > li")
        await expect(stages).to_have_text(["Invited3", "Delivered2 67%", "Opened2 67%", "Accepted1 33%"])
        await page.get_by_text("Week by week").click()
        await expect(page.get_by_role("row").last.get_by_role("cell")).to_have_text(["3", "2", "2", "1"])
        await expect(page.get_by_role("row")).to_have_count(9)
        await assert_accessible(page, "funnel")
        await owner.invite(community_id, "third@example.com")
        await expect(stages.first).to_have_text("Invited4")
        await expect(page.get_by_role("row").last.get_by_role("cell").first).to_have_text("4")


@pytest.mark.parametrize(("language", "words"), [("en-GB", "(3 times, the last at"), ("de-DE", "(3-mal, zuletzt")])
async def test_the_timeline_counts_what_strangers_repeat(stage: Stage, language: str, words: str) -> None:
    """Three sign-ins that a link began are one line of the timeline, with their number once, in the reader's language."""
    async with stage.invited() as (owner, invitation_id), stage.service.browser() as guest:
        token = await stage.service.token_for(GUEST)
        for _ in range(3):
            await guest.accept(token)
        page = await stage.person(language=language)
        await page.goto("/")
        await accept_as(page, None, OWNER)
        await page.goto("about:blank")
        await page.goto(f"/#/communities/{await owner.community_id()}/invitations/{invitation_id}")
        lines = page.locator(".timeline > li")
        await expect(lines).to_have_count(3)
        assert [line.count(words) for line in await lines.all_inner_texts() if words in line] == [1]


async def test_another_address_that_was_proved_is_invited_with_one_press(stage: Stage) -> None:
    """The wish is seen in the list and on the invitation; the press invites that address with the same role, once."""
    async with stage.invited(role="ADMIN") as (owner, _), stage.service.browser() as guest:
        acceptance = await guest.accept_as(await stage.service.token_for(GUEST), "guest@other.example")
        await guest.do("requestOtherAddress", acceptanceId=acceptance["id"])
        page = await stage.person()
        await sign_in(page)
        await page.goto(f"/#/communities/{await owner.community_id()}")
        await settled(page)
        await page.get_by_role("link", name=re.compile("asks to be invited at guest@other.example")).click()
        await expect(heading(page)).to_have_text(GUEST)
        await assert_accessible(page, "proposal")
        await press(page, "Invite guest@other.example")
        await expect(heading(page)).to_have_text("guest@other.example")
        await expect(told(page, "The invitation to guest@other.example is on its way.")).to_be_visible()
        assert (await Invitation.get(email="guest@other.example")).role == "ADMIN"
        await page.go_back()
        await press(page, "Invite guest@other.example")
        await expect(told(page, "was invited already")).to_be_visible()
        assert await Invitation.all().count() == 3


# ----------------------------------------------------------------------------------------------------------- many at once


LIST: Final = """E-Mail;Role
"Ada Lovelace <ada@example.com>";admin
ADA@example.com;
not an address;
bob@example.com;boss
guest@example.com;member
carol@example.com;
"""


async def _many(stage: Stage, owner: Browser) -> Page:
    page = await stage.person()
    await sign_in(page)
    await page.goto(f"/#/communities/{await owner.community_id()}")
    await page.get_by_role("link", name="Invite many at once").click()
    await expect(page.get_by_role("heading", name="Invite many at once")).to_be_visible()
    return page


async def test_an_exported_list_is_read_as_it_was(stage: Stage) -> None:
    """H193: the console takes the apostrophes off that exports put before formulas."""
    exported = line(("email", "role", "message")) + line(("+tag@example.com", "MEMBER", "=1;=2\n- one '=two"))
    assert "'+tag" in exported
    async with stage.invited() as (owner, _):
        page = await _many(stage, owner)
        await page.get_by_label("Addresses", exact=True).fill(exported)
        await press(page, "Invite 1 person")
        await expect(page.locator(".many tbody tr td:last-child")).to_have_text("Invited Open +tag@example.com")
        assert (await Invitation.get(email="+tag@example.com")).message == "=1;=2\n- one '=two"


async def test_a_list_is_checked_sent_and_told_row_by_row(stage: Stage) -> None:
    """H100: each row is judged before anything is sent; what is good is sent, and each row says what became of it."""
    async with stage.invited() as (owner, _):
        page = await _many(stage, owner)
        await expect(page.get_by_role("button", name="Invite 0 people")).to_be_disabled()
        await page.get_by_label("Addresses", exact=True).fill(LIST)
        await expect(told(page, "3 can be invited. 3 rows have problems and are left out.")).to_be_visible()
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
        await expect(told(page, "2 invited. 1 was invited or a member already.")).to_be_visible()
        await assert_accessible(page, "sent list")
        assert (await Invitation.get(email="ada@example.com")).role == "ADMIN"
        assert await Invitation.all().count() == 4
        await press(page, "Mend the rows that failed")
        await expect(page.get_by_label("Addresses", exact=True)).to_have_value(
            re.compile("not an address\nbob@example.com,BOSS$")
        )


async def test_a_file_is_read_as_spreadsheets_write_it(stage: Stage) -> None:
    """A chosen file's rows stand in the list, whatever its encoding and separator; what is no text is refused in words."""
    async with stage.owner() as owner:
        page = await _many(stage, owner)
        file, email = page.get_by_label("Or a file"), page.get_by_label("Addresses", exact=True)
        for encoding in ("utf-8-sig", "utf-16", "cp1252"):
            content = "Adresse\tRôle\tMessage\nzoe@example.com\tmember\tÀ bientôt\n".encode(encoding)
            await file.set_input_files({"name": "list.csv", "mimeType": "text/csv", "buffer": content})
            await expect(told(page, "1 can be invited.")).to_be_visible()
            await expect(email).to_have_value(re.compile("À bientôt"))
            await email.fill("")
        await file.set_input_files({"name": "list.xlsx", "mimeType": "", "buffer": b"PK\0\0"})
        await expect(told(page, "list.xlsx is no list that can be read")).to_be_visible()
        assert await Invitation.all().count() == 1


async def test_many_are_sent_in_portions_that_can_be_taken_up_again(stage: Stage) -> None:
    """120 rows go in three portions; when one does not arrive the rest waits, and one press sends it: nobody twice."""
    async with stage.owner() as owner:
        page = await _many(stage, owner)
        asked: list[int] = []

        async def fail_the_second(route: Route) -> None:
            if "InviteMany" in (route.request.post_data or ""):
                asked.append(len(orjson.loads(route.request.post_data or "")["variables"]["input"]["invitees"]))
                if len(asked) == 2:
                    return await route.abort()
            return await route.continue_()

        await page.route("**/graphql", fail_the_second)
        await page.get_by_label("Addresses", exact=True).fill(
            "\n".join(f"person{number}@example.com" for number in range(120))
        )
        await press(page, "Invite 120 people")
        await expect(told(page, "50 invited. 70 were not sent.")).to_be_visible()
        await expect(page.get_by_role("alert")).to_contain_text("We could not reach the service.")
        await assert_accessible(page, "not sent")
        await press(page, "Send the 70 that were not sent")
        await expect(told(page, "120 invited.")).to_be_visible()
        assert asked == [50, 50, 50, 20]
        assert await Invitation.all().count() == 121


async def test_a_limit_stops_the_list_and_says_when(open_stage: Open) -> None:
    """H135: over the inviter's limit the rest waits, with the time, and nothing of it was sent."""
    limits = {"attempts_per_client": "1000/1m", "invites_per_inviter": "3/1h"}
    async with open_stage(rate_limits=limits) as stage, stage.owner() as owner:
        page = await _many(stage, owner)
        await page.get_by_label("Addresses", exact=True).fill(
            "\n".join(f"person{number}@example.com" for number in range(60))
        )
        await press(page, "Invite 60 people")
        await expect(told(page, "3 invited. 57 were not sent.")).to_be_visible()
        await expect(page.get_by_role("alert")).to_contain_text("Try again in 1 hour.")
        assert await Invitation.all().count() == 4


# ---------------------------------------------------------------------------------------------------------------- members


async def test_roles_change_and_members_go(stage: Stage) -> None:
    """A role is chosen in a dialog that Escape leaves unchanged; removing is confirmed, and both are seen at once."""
    async with stage.invited():
        async with stage.service.browser() as guest:
            await guest.accept_as(await stage.service.token_for(GUEST), GUEST)
        page = await stage.person()
        await sign_in(page)
        await page.get_by_role("link", name="Demo").click()
        await page.get_by_role("link", name="Members", exact=True).click()
        row = page.get_by_role("listitem").filter(has_text=GUEST)
        change = row.get_by_role("button", name="Change role Guest")
        await change.click()
        await expect(page.get_by_role("radio", name="Member")).to_be_focused()
        await assert_accessible(page, "change role")
        await page.keyboard.press("Escape")
        await expect(change).to_be_focused()
        await change.click()
        await expect(page.get_by_role("radio", name="Member")).to_be_focused()
        await page.keyboard.press("ArrowDown")
        await page.get_by_role("dialog").get_by_role("button", name="Change").click()
        await expect(told(page, "Guest is now admin.")).to_be_visible()
        await expect(row).to_contain_text("Admin")
        assert await Membership.filter(role=Role.ADMIN).count() == 1
        await row.get_by_role("button", name="Remove Guest").click()
        await expect(page.get_by_role("button", name="Cancel")).to_be_focused()
        await assert_accessible(page, "remove")
        await page.get_by_role("dialog").get_by_role("button", name="Remove").click()
        await expect(told(page, "Guest was removed.")).to_be_visible()
        await expect(row).to_have_count(0)
        assert await Membership.all().count() == 1


async def test_the_last_owner_cannot_leave_and_a_member_can(stage: Stage) -> None:
    """The last owner is told so in the dialog and stays; a member leaves, and comes out at their communities."""
    async with stage.invited():
        owner = await stage.person()
        await sign_in(owner)
        await owner.get_by_role("link", name="Demo").click()
        await owner.get_by_role("link", name="Members", exact=True).click()
        await owner.get_by_role("button", name="Leave Owner").click()
        await owner.get_by_role("dialog").get_by_role("button", name="Leave").click()
        await expect(owner.get_by_role("dialog")).to_contain_text("at least one owner")
        assert await Membership.all().count() == 1
        guest = await stage.person()
        await accept_as(guest, await stage.link(), GUEST)
        await guest.get_by_role("link", name="Go to Demo").click()
        await expect(guest.get_by_role("button")).to_have_text(["Sign out", "Leave Guest"])
        await press(guest, "Leave Guest")
        await guest.get_by_role("dialog").get_by_role("button", name="Leave").click()
        await expect(told(guest, "You left Demo.")).to_be_visible()
        await expect(heading(guest)).to_have_text("My communities")
        assert await Membership.all().count() == 1


# -------------------------------------------------------------------------------------------------------------- audit log


async def test_the_audit_log_is_filtered_and_paged(stage: Stage) -> None:
    """By kind, person and day, kept in the address; a link leads to the invitation; the rest comes on a press."""
    async with stage.invited() as (owner, _):
        community_id = await owner.community_id()
        page = await stage.person()
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
        await expect(told(page, "Nothing like that happened")).to_be_visible()
        await page.get_by_label("To").fill("2000-01-31")
        await expect(told(page, "This day is before the first one.")).to_be_visible()
        await press(page, "Clear the filter")
        await page.route("**/graphql", _ask_for_three)
        await page.reload()
        await expect(entries).to_have_count(3)
        await press(page, "Show more")
        await expect(entries).to_have_count(6)
        await expect(entries.nth(3)).to_be_focused()
        await entries.get_by_role("link", name=GUEST).first.click()
        await expect(heading(page)).to_have_text(GUEST)


async def test_lists_are_exported(stage: Stage) -> None:
    """The links of both lists download what is there."""
    async with stage.invited() as (owner, _):
        page = await stage.person()
        await sign_in(page)
        for view, name, words in (("", "invitations.csv", GUEST), ("/audit", "audit.csv", "invitation.created")):
            await page.goto(f"/#/communities/{await owner.community_id()}{view}")
            if not view:
                await settled(page)
            async with page.expect_download() as download:
                await page.locator(f"a[href$='/{name}']", has_text="Export as CSV").click()
            file = await download.value
            assert file.suggested_filename == name
            assert words in (await file.path()).read_text("utf-8")


# ------------------------------------------------------------------------------------------------------------------ rules


async def test_rules_are_changed_and_refused_beside_their_field(stage: Stage) -> None:
    """What is saved holds; what is out of bounds or no number is told at its field and changes nothing."""
    async with stage.owner() as owner:
        page = await stage.person()
        await sign_in(page)
        await page.goto(f"/#/communities/{await owner.community_id()}/rules")
        minutes, seats = page.get_by_label("Minutes that a link works"), page.get_by_label("Seats")
        await expect(minutes).to_be_visible()
        await assert_accessible(page, "rules")
        await minutes.fill("16")
        await press(page, "Save the rules")
        await expect(minutes).to_be_focused()
        await expect(told(page, "between 5 and 15 was expected")).to_be_visible()
        await minutes.fill("")
        await press(page, "Save the rules")
        await expect(told(page, "A whole number is needed here.")).to_be_visible()
        await minutes.fill("5")
        await page.get_by_label("Days that an invitation stays open").fill("30")
        await page.get_by_label("Domains that can be invited").fill("Example.com, other.example")
        await seats.fill("12")
        await page.get_by_label("Language of the mails").select_option("Deutsch")
        await press(page, "Save the rules")
        await expect(told(page, "The rules are saved.")).to_be_visible()
        await page.get_by_role("link", name="Invitations").click()
        await expect(told(page, "Only addresses at example.com and other.example can be invited.")).to_be_visible()
        await expect(told(page, "stay open for 30 days; each link for 5 minutes")).to_be_visible()
        await page.get_by_role("link", name="Rules").click()
        await expect(page.get_by_label("Language of the mails")).to_have_value("de")
        await seats.fill("")
        await press(page, "Save the rules")
        await expect(told(page, "The rules are saved.")).to_be_visible()
        community = await Community.get()
        assert (community.link_minutes, community.seat_limit) == (5, None)


# ----------------------------------------------------------------------------------------------------------------- tokens


async def test_an_access_token_is_shown_once_and_revoked(stage: Stage) -> None:
    """A token needs a name and a community; it is shown once, works for a script, and stops when it is revoked."""
    async with stage.owner() as owner:
        page = await stage.person()
        await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        await sign_in(page)
        await page.get_by_role("link", name="My account").click()
        await press(page, "Create the token")
        await expect(page.get_by_label("Name")).to_be_focused()
        await page.get_by_label("Name").fill("Nightly import")
        await page.get_by_role("checkbox", name="Demo").uncheck()
        await press(page, "Create the token")
        await expect(told(page, "Choose at least one community.")).to_be_visible()
        await page.get_by_role("checkbox", name="Demo").check()
        await page.get_by_label("What it may do").select_option("INVITE")
        await press(page, "Create the token")
        token = await page.get_by_label("Your new token").input_value()
        await assert_accessible(page, "token")
        await press(page, "Copy")
        await expect(page.get_by_role("button", name="Copied")).to_be_focused()
        assert await page.evaluate("navigator.clipboard.readText()") == token
        headers = {"authorization": f"Bearer {token}"}
        body = {"query": "{ viewer { memberships { community { id } } } }"}
        async with http_client(stage.service.url, headers=headers) as script:
            seen = (await script.post("/graphql", json=body)).json()["data"]["viewer"]["memberships"]
            assert [found["community"]["id"] for found in seen] == [await owner.community_id()]
            await page.reload()
            await expect(told(page, "Read and invite · Demo")).to_be_visible()
            assert token not in await page.content()
            await page.get_by_role("button", name="Revoke Nightly import").click()
            await page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
            await expect(told(page, "The token Nightly import is revoked.")).to_be_visible()
            refused = await script.post("/graphql", json=body)
            assert refused.status_code == 401 or refused.json()["data"]["viewer"] is None


async def _make_token(page: Page, name: str, scope: str, role: str | None = None) -> str:
    """Makes a token on the page of one's account, with the highest role that is asked for; the token."""
    await page.get_by_label("Name").fill(name)
    await page.get_by_role("checkbox", name="Demo").check()
    await page.get_by_label("What it may do").select_option(scope)
    if role is not None:
        await page.get_by_label("Highest role it may invite to").select_option(role)
    await press(page, "Create the token")
    await expect(page.get_by_role("listitem").filter(has_text=name)).to_have_count(1)
    return await page.get_by_label("Your new token").input_value()


async def test_the_highest_role_of_a_token_is_chosen_and_listed(stage: Stage) -> None:
    """H196: a token invites to member unless its member chooses admin; the choice is there for inviting only, and the
    list names it.
    """
    async with stage.owner():
        page = await stage.person()
        await sign_in(page)
        await page.get_by_role("link", name="My account").click()
        await expect(heading(page)).to_have_text("My account")
        await expect(page.get_by_label("Highest role it may invite to")).to_be_hidden()
        await page.get_by_label("What it may do").select_option("INVITE")
        roles = page.get_by_label("Highest role it may invite to").get_by_role("option")
        await expect(roles).to_have_text(["member", "admin"])
        await assert_accessible(page, "token's role")
        await _make_token(page, "Usual", "INVITE")
        await _make_token(page, "Higher", "INVITE", "ADMIN")
        await _make_token(page, "Reader", "READ")
        await page.reload()
        for name, words in (("Usual", "up to member"), ("Higher", "up to admin")):
            await expect(page.get_by_role("listitem").filter(has_text=name)).to_contain_text(words)
        await expect(page.get_by_role("listitem").filter(has_text="Reader")).not_to_contain_text("up to")
        found = {token.name: token.highest_role for token in await AccessToken.all()}
        assert found == {"Usual": "MEMBER", "Higher": "ADMIN", "Reader": "MEMBER"}


@pytest.mark.parametrize("too", [True, False])
async def test_a_token_is_revoked_with_its_invitations_or_without(stage: Stage, *, too: bool) -> None:
    """H197: with the box ticked, revoking a token revokes the pending invitations made with it; a token that only reads
    has no such box.
    """
    async with stage.owner() as owner:
        page = await stage.person()
        await sign_in(page)
        await page.get_by_role("link", name="My account").click()
        await expect(heading(page)).to_have_text("My account")
        await _make_token(page, "Reader", "READ")
        token = await _make_token(page, "Import", "INVITE")
        body = {
            "query": "mutation($input: InviteMemberInput!) { inviteMember(input: $input) { __typename } }",
            "variables": {"input": {"communityId": await owner.community_id(), "email": GUEST}},
        }
        async with http_client(stage.service.url, headers={"authorization": f"Bearer {token}"}) as script:
            answer = (await script.post("/graphql", json=body)).json()
            assert answer["data"]["inviteMember"]["__typename"] == "InviteMemberSuccess"
        dialog = page.get_by_role("dialog")
        await page.get_by_role("button", name="Revoke Reader").click()
        await expect(dialog.get_by_role("checkbox")).to_have_count(0)
        await dialog.get_by_role("button", name="Cancel").click()
        await page.get_by_role("button", name="Revoke Import").click()
        box = dialog.get_by_role("checkbox", name="Also revoke the pending invitations made with it")
        await expect(box).not_to_be_checked()
        await box.set_checked(too)
        await assert_accessible(page, "revoking")
        await dialog.get_by_role("button", name="Revoke").click()
        await expect(told(page, "The token Import is revoked.")).to_be_visible()
        assert await Invitation.filter(email=GUEST, revoked_at__not_isnull=True).count() == int(too)


# --------------------------------------------------------------------------------------------------- sessions in mid-work


async def test_what_was_typed_outlives_the_session(stage: Stage) -> None:
    """When the session has ended the press leads to the sign-in and back, with address, role and message as they were."""
    async with stage.owner():
        page = await stage.person()
        await sign_in(page)
        await page.get_by_role("link", name="Demo").click()
        await page.get_by_label("Email address").fill(GUEST)
        await page.get_by_label("Role", exact=True).select_option("ADMIN")
        await page.get_by_text("Add a message").click()
        await page.get_by_label("Message").fill("Come and see.")
        await _end_the_session_at(page, "mutation Invite(")
        await press(page, "Send invitation")
        await expect(told(page, "You were signed out. Sign in to go on.")).to_be_visible()
        await accept_as(page, None, OWNER)
        await expect(page.get_by_label("Email address")).to_have_value(GUEST)
        await expect(page.get_by_label("Role", exact=True)).to_have_value("ADMIN")
        await expect(page.get_by_label("Message")).to_have_value("Come and see.")
        assert await page.evaluate("sessionStorage.length") == 0
        await press(page, "Send invitation")
        await expect(told(page, f"The invitation to {GUEST} is on its way.")).to_be_visible()


_FORGOTTEN: Final = """() => new Promise((done) => {
    const look = () => (sessionStorage.length ? requestAnimationFrame(look) : done());
    look();
})"""


async def test_what_was_typed_is_for_the_one_who_typed_it(stage: Stage) -> None:
    """Another person who signs in there finds the form empty, and nothing of it is left in the browser."""
    async with stage.invited(role="ADMIN") as (owner, _):
        async with stage.service.browser() as guest:
            await guest.accept_as(await stage.service.token_for(GUEST), GUEST)
        page = await stage.person()
        await sign_in(page)
        await page.goto(f"/#/communities/{await owner.community_id()}")
        await page.get_by_label("Email address").fill("secret@example.com")
        await _end_the_session_at(page, "mutation Invite(")
        await press(page, "Send invitation")
        await accept_as(page, None, GUEST)
        await expect(page.get_by_label("Email address")).to_have_value("")
        await asyncio.wait_for(page.evaluate(_FORGOTTEN), 30)


async def test_a_list_goes_on_after_the_session_has_ended(stage: Stage) -> None:
    """A session that ends between two portions keeps the rows that were not sent, and only those."""
    async with stage.owner() as owner:
        page = await _many(stage, owner)
        await _end_the_session_at(page, "mutation InviteMany(", time=2)
        await page.get_by_label("Addresses", exact=True).fill(
            "email\n" + "\n".join(f"p{n}@example.com" for n in range(60))
        )
        await press(page, "Invite 60 people")
        await expect(told(page, "You were signed out. Sign in to go on.")).to_be_visible()
        await accept_as(page, None, OWNER)
        await expect(told(page, "10 can be invited.")).to_be_visible()
        await press(page, "Invite 10 people")
        await expect(told(page, "10 invited.")).to_be_visible()
        assert await Invitation.all().count() == 61


async def test_a_view_without_a_session_leads_to_the_sign_in(stage: Stage) -> None:
    """No view says that there is no such thing where only the session has ended."""
    async with stage.invited() as (owner, invitation_id):
        community = f"/#/communities/{await owner.community_id()}"
        for view in ("", "/members", "/audit", "/rules", "/invite", f"/invitations/{invitation_id}"):
            page = await stage.person()
            await sign_in(page)
            await page.goto("/#/account")
            await expect(heading(page)).to_have_text("My account")
            await page.context.clear_cookies()
            await page.goto(community + view)
            await expect(told(page, "You were signed out. Sign in to go on.")).to_be_visible()
            await page.context.close()
