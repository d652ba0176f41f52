"""The pages in Chromium, on the real application: the story of two, the invitee's minute, and the files."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest
from graphql import parse, validate
from playwright.async_api import BrowserContext, Page, Request, Route, expect

import service
from service.addresses import Address
from service.invitations import accept as acceptance
from service.mail import suppression
from service.models import Community, Flow, FlowKind, Invitation, Membership, Role
from service.openid import evidence
from service.sign_in import flows as sign_in
from service.web.pages.files import without_comments
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
    told,
)
from tests.support.service import Browser, http_client, query_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def engine() -> str:
    """The pages see the API only, so one engine is enough for them."""
    return "sqlite"


# ---------------------------------------------------------------------------------------------------------- the story


async def test_a_newcomer_is_led_from_the_mail_to_a_community_of_two(stage: Stage) -> None:
    """The owner comes in from the mailbox and invites; another account is refused in words; the guest then gets in."""
    owner = await stage.person()
    await accept_as(owner, await stage.link(OWNER), OWNER)
    await expect(heading(owner)).to_have_text("Welcome to Demo")
    await owner.get_by_role("link", name="Go to Demo").click()
    await owner.get_by_label("Email address").fill(GUEST)
    await owner.get_by_text("Add a message").click()
    await owner.get_by_label("Message").fill("Come and see.")
    await press(owner, "Send invitation")
    await expect(told(owner, f"The invitation to {GUEST} is on its way.")).to_be_visible()

    guest = await stage.person()
    await guest.goto(await stage.link())
    await expect(heading(guest)).to_have_text("Demo")
    await expect(told(guest, "Owner invited you to join")).to_be_visible()
    await expect(told(guest, "Come and see.")).to_be_visible()
    await expect(told(guest, "g•••@example.com")).to_be_visible()
    await expect(guest.get_by_role("term")).to_have_text(["For", "Your role"])
    await expect(guest.get_by_role("definition")).to_have_text(["g•••@example.com", "Member"])
    await expect(guest.get_by_role("timer")).to_have_text(re.compile(r"^(10:00|9:\d\d)$"))
    await accept_as(guest, None, "other@example.com")
    await expect(heading(guest)).to_have_text("That was another account")
    await expect(told(guest, "You signed in as other@example.com")).to_be_visible()
    assert await Membership.all().count() == 1

    await press(guest, "Sign in with another account")
    await guest.locator("#email").wait_for()
    await log_in(guest, GUEST)
    await expect(heading(guest)).to_have_text("Welcome to Demo")
    await guest.get_by_role("link", name="Go to Demo").click()
    await expect(told(guest, "2 members · Your role: member")).to_be_visible()
    await expect(told(guest, "Invite someone")).to_have_count(0)

    await expect(owner.get_by_role("link", name=re.compile(GUEST))).to_contain_text("Accepted")
    await owner.get_by_role("link", name=re.compile(GUEST)).click()
    timeline = owner.get_by_role("listitem")
    await expect(
        timeline.filter(has_text="Somebody with the link signed in with dev as o•••@example.com")
    ).to_be_visible()
    await expect(timeline.filter(has_text="Guest joined as member.")).to_be_visible()


# ------------------------------------------------------------------------------------------------------- the link's token


@dataclass
class Network:
    """Everything that a browser asked for."""

    requests: list[Request] = field(default_factory=list)

    def watch(self, context: BrowserContext) -> None:
        context.on("request", self.see)

    def see(self, request: Request) -> None:
        self.requests.append(request)

    @property
    def operations(self) -> list[str]:
        bodies = [
            orjson.loads(request.post_data or "{}") for request in self.requests if request.url.endswith("/graphql")
        ]
        return [re.split(r"[\s({]", body["query"])[1] for body in bodies]


async def _traces(page: Page) -> str:
    """All places where a page could have left something, as one text."""
    session = await page.context.new_cdp_session(page)
    history = await session.send("Page.getNavigationHistory")
    stored = await page.evaluate(
        """async () => JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location.href, history.state,
        await indexedDB.databases(), await caches.keys(), document.title, document.referrer,
        performance.getEntriesByType('resource').map((entry) => entry.name), navigation.entries().map((entry) => entry.url),
        document.documentElement.outerHTML])"""
    )
    visited = [entry["url"] for entry in history["entries"]]
    return str(visited) + str(stored) + str(await page.context.cookies())


async def test_the_token_leaves_no_trace(stage: Stage) -> None:
    """H093, H094: the token is in no request but the API's bodies, no Referer, storage, cookie, markup or history entry."""
    async with stage.invited():
        page, network = await stage.person(), Network()
        network.watch(page.context)
        token = await stage.service.token_for(GUEST)
        await page.goto(f"/confirm#{token}")
        await expect(heading(page)).to_have_text("Demo")
        await expect(page).to_have_url(f"{stage.service.url}/confirm")
        assert token not in await _traces(page)
        await choose(page)
        assert token not in await _traces(page)
        await log_in(page, GUEST)
        await expect(heading(page)).to_have_text("Welcome to Demo")
        assert token not in await _traces(page)
    assert {"Open", "Accept"} <= set(network.operations)
    for request in network.requests:
        assert request.url.startswith(stage.service.url), "a third-party request"
        assert token not in request.url
        assert token not in str(await request.all_headers())
        assert (await request.all_headers()).get("referer", "") == "" or "/dev/openid" in request.url
        assert token not in (request.post_data or "") or request.url == f"{stage.service.url}/graphql"


async def test_a_mail_scanner_consumes_nothing(stage: Stage) -> None:
    """H017, H114: opening the page and running all its scripts asks two questions, begins no flow, and leaves the link live."""
    async with stage.invited():
        link = await stage.link()
        for _ in range(3):
            scanner, network = await stage.person(), Network()
            network.watch(scanner.context)
            await scanner.goto(link)
            await expect(heading(scanner)).to_have_text("Demo")
            await scanner.evaluate(
                "dispatchEvent(new Event('pagehide')); document.dispatchEvent(new Event('visibilitychange'))"
            )
            assert network.operations == ["Open"]
            assert await scanner.context.cookies() == []
        assert await Flow.filter(kind=FlowKind.ACCEPT).count() == 1, "only the owner's own"
        guest = await stage.person()
        await accept_as(guest, link, GUEST)
        await expect(heading(guest)).to_have_text("Welcome to Demo")


async def test_another_link_in_the_same_tab_is_opened(stage: Stage) -> None:
    """A link that is pasted into the address bar of an open /confirm changes its # only, and is opened all the same."""
    async with stage.invited():
        page = await stage.person()
        await page.goto("/confirm")
        await expect(heading(page)).to_have_text("Open your invitation")
        await page.evaluate("token => location.hash = token", await stage.service.token_for(GUEST))
        await expect(heading(page)).to_have_text("Demo")
        await expect(page).to_have_url(f"{stage.service.url}/confirm")


async def test_the_link_that_was_opened_last_is_shown(stage: Stage) -> None:
    """What is answered about the link before is not shown any more; a link that comes amid the scripts is not missed."""
    async with stage.invited() as (owner, _):
        page, first = await stage.person(), await stage.link()
        await owner.do("createCommunity", name="Second")
        await owner.invite(await owner.community_id("Second"), GUEST)
        second = (await stage.link()).partition("#")[2]
        answer = await hold(page, first.partition("#")[2])
        await page.goto(first)
        await answer.is_given()
        await page.evaluate("token => location.hash = token", second)
        await expect(heading(page)).to_have_text("Second")
        async with page.expect_event("requestfinished", lambda ended: ended.url.endswith("/graphql")):
            answer.released.set()
        await expect(heading(page)).to_have_text("Second")
        late = await stage.person()
        words = asyncio.Event()

        async def wait(route: Route) -> None:
            await words.wait()
            await route.continue_()

        await late.route("**/words/en.js", wait)
        await late.goto(first, wait_until="commit")
        await expect(late).to_have_url(f"{stage.service.url}/confirm")
        await late.evaluate("token => location.hash = token", second)
        words.set()
        await expect(heading(late)).to_have_text("Second")


# ------------------------------------------------------------------------------------------------------ dead and lost links


async def test_a_dead_link_leads_to_a_fresh_one(stage: Stage) -> None:
    """The dead link's page sends a fresh link on one press, to the invited mailbox; that one opens the community."""
    async with stage.invited():
        first = await stage.link()
        stage.service.clock.advance(minutes=11)
        page = await stage.person()
        await page.goto(first)
        await expect(heading(page)).to_have_text("This link has run out")
        await expect(page.get_by_role("link", name="Already a member? Sign in")).to_have_attribute("href", "/")
        await assert_accessible(page, "dead")
        await press(page, "Send me a fresh link")
        await expect(heading(page)).to_have_text("Look in your mailbox")
        await assert_accessible(page, "fresh")
        fresh = await stage.link()
        assert fresh != first
        await accept_as(page, fresh, GUEST)
        await expect(heading(page)).to_have_text("Welcome to Demo")


async def test_an_unknown_link_gets_the_same_words_and_no_mail(stage: Stage) -> None:
    """H130: a token that never was looks like one that ran out, and asking for a fresh link sends nothing."""
    page = await stage.person()
    await page.goto(f"/confirm#{'x' * 43}")
    await expect(heading(page)).to_have_text("This link has run out")
    await press(page, "Send me a fresh link")
    await expect(heading(page)).to_have_text("Look in your mailbox")
    await stage.service.deliver()
    assert [mail.to for mail in stage.service.mailbox.entries] == [OWNER]


async def test_a_lost_link_can_be_pasted(stage: Stage) -> None:
    """Without a link, or with a cut one, the page says where to find it; half a link is refused in words, a whole one opened."""
    page = await stage.person()
    await page.goto("/confirm")
    await expect(heading(page)).to_have_text("Open your invitation")
    await assert_accessible(page, "no link")
    whole = stage.service.url + await stage.link(OWNER)
    await page.goto(whole)
    await expect(heading(page)).to_have_text("Demo")
    await page.reload()
    await expect(heading(page)).to_have_text("Open your invitation")
    await page.goto("/confirm#cut")
    await expect(heading(page)).to_have_text("This link is not complete")
    await page.get_by_label("Link from your mail").fill(whole[:-4])
    await press(page, "Open the invitation")
    await expect(told(page, "That is not a whole link.")).to_be_visible()
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
        "Open it here:\n{link}\nSee you!",
        "{broken}",
    ],
)
async def test_a_link_is_found_in_what_a_mail_program_made_of_it(stage: Stage, mangled: str) -> None:
    """Brackets, a tracker's tail, an encoded # and a broken line do not keep anybody out; nor does the token alone."""
    token = await stage.service.token_for(OWNER)
    link = f"{stage.service.url}/confirm#{token}"
    broken = f"{link[:-20]}\n  {link[-20:]}"
    page = await stage.person()
    await page.goto("/confirm")
    pasted = mangled.format(link=link, token=token, encoded=link.replace("#", "%23"), broken=broken)
    await page.get_by_label("Link from your mail").evaluate(
        "(field, text) => { field.focus(); document.execCommand('insertText', false, text) }", pasted
    )
    await press(page, "Open the invitation")
    await expect(heading(page)).to_have_text("Demo")


async def test_the_offer_ends_when_its_minutes_do(stage: Stage) -> None:
    """When the countdown is over the page offers a fresh link by itself."""
    async with stage.invited():
        page = await stage.person()
        await page.clock.install()
        await page.goto(await stage.link())
        await expect(heading(page)).to_have_text("Demo")
        await page.clock.run_for(9 * 60_000 + 5_000)
        await expect(page.locator("#announcer")).to_have_text("This link works for one more minute.")
        await page.clock.run_for(61_000)
        await expect(heading(page)).to_have_text("This link has run out")


# ------------------------------------------------------------------------------------------------------------- declining


async def test_declining_is_confirmed_and_can_block(stage: Stage) -> None:
    """Keeping changes nothing; declining with the block closes the invitation, and the mail about it can undo the block."""
    async with stage.invited() as (owner, invitation_id):
        page = await stage.person()
        link = await stage.link()
        await page.goto(link)
        await expect(heading(page)).to_have_text("Demo")
        await assert_accessible(page, "offer")
        await press(page, "Decline")
        await expect(page.get_by_role("button", name="Keep the invitation")).to_be_focused()
        await assert_accessible(page, "decline")
        await press(page, "Keep the invitation")
        assert (await owner.invitation(invitation_id))["status"] == "PENDING"
        await press(page, "Decline")
        await page.get_by_label("No more invitations from this community").check()
        await page.get_by_role("dialog").get_by_role("button", name="Decline").click()
        await expect(heading(page)).to_have_text("You declined")
        await expect(told(page, "Demo can no longer invite this address.")).to_be_visible()
        await expect(heading(page)).to_be_focused()
        await assert_accessible(page, "declined")
        assert (await owner.invitation(invitation_id))["status"] == "DECLINED"
        assert (await owner.do("resendInvite", invitationId=invitation_id))["__typename"] == "InvitationClosed"
        await page.goto("about:blank")
        await page.goto(link)
        await expect(heading(page)).to_have_text("This link has run out")


async def test_a_page_without_the_link_offers_no_block(stage: Stage) -> None:
    """H176: what a sign-in left behind in the browser can decline and not block; the page says to open the link for that."""
    async with stage.invited() as (owner, invitation_id):
        page = await stage.person()
        await accept_as(page, await stage.link(), "other@example.com")
        await press(page, "Decline")
        dialog = page.get_by_role("dialog")
        await expect(dialog.get_by_text("To block further invitations too, open the link in the mail.")).to_be_visible()
        await expect(dialog.get_by_role("checkbox")).to_have_count(0)
        await dialog.get_by_role("button", name="Decline").click()
        await expect(heading(page)).to_have_text("You declined")
        seen = await owner.invitation(invitation_id)
        assert (seen["status"], seen["canResend"]) == ("DECLINED", True)


async def test_a_block_is_lifted_on_the_page_of_its_mail(stage: Stage) -> None:
    """The mail about a block leads to a page with one button, whose press lifts the block."""
    async with stage.invited() as (owner, invitation_id):
        async with stage.service.browser() as holder:
            await holder.do("declineInvite", token=await stage.service.token_for(GUEST), block=True)
        mail = await stage.service.mail_to(GUEST)
        page = await stage.person(language="fr-FR")
        found = re.search(r"http\S+/blocks/\S+", mail.text)
        assert found is not None
        await page.goto(found[0])
        await expect(page.get_by_role("heading")).to_have_text("Lever le blocage\u00a0?")
        await assert_accessible(page, "lift")
        await page.get_by_role("button").click()
        await expect(page.get_by_role("heading")).to_have_text("Le blocage est levé")
        assert (await owner.invitation(invitation_id))["canResend"] is True


# ---------------------------------------------------------------------------------------------- every way that it can end


async def _mismatch(stage: Stage, page: Page, _: Browser) -> None:
    await accept_as(page, await stage.link(), "other@example.com")


async def _not_verified(stage: Stage, page: Page, _: Browser) -> None:
    await accept_as(page, await stage.link(), GUEST, verified=False)


async def _cancelled(stage: Stage, page: Page, _: Browser) -> None:
    await page.goto(await stage.link())
    await choose(page)
    await press(page, "Cancel")


async def _no_seat(stage: Stage, page: Page, _: Browser) -> None:
    await Community.all().update(seat_limit=1)
    await accept_as(page, await stage.link(), GUEST)


async def _inviter_demoted(stage: Stage, page: Page, _: Browser) -> None:
    await Membership.all().update(role=Role.MEMBER)
    await accept_as(page, await stage.link(), GUEST)


async def _revoked_meanwhile(stage: Stage, page: Page, owner: Browser) -> None:
    await page.goto(await stage.link())
    await choose(page)
    invitation = await Invitation.get(email=GUEST)
    await owner.do("revokeInvite", invitationId=invitation.id)
    await log_in(page, GUEST)


async def _another_sign_in(stage: Stage, page: Page, owner: Browser) -> None:
    await accept_as(page, await stage.link(), GUEST)
    await owner.do("createCommunity", name="Second")
    await owner.invite(await owner.community_id("Second"), GUEST)
    await accept_as(page, await stage.link(), GUEST, sub="another account")


async def _member_before(stage: Stage, page: Page, owner: Browser) -> None:
    await accept_as(page, await stage.link(), GUEST, sub="the guest")
    await owner.invite(await owner.community_id(), "guest@work.example.com")
    await accept_as(page, await stage.link("guest@work.example.com"), "guest@work.example.com", sub="the guest")


async def _third_party(stage: Stage, page: Page, _: Browser) -> None:
    await accept_as(page, await stage.link(), GUEST, provider="google")


Happen = Callable[[Stage, Page, Browser], Any]


@pytest.mark.parametrize(
    ("happens", "title", "main"),
    [
        (_mismatch, "That was another account", "Sign in with another account"),
        (_not_verified, "Your address could not be confirmed", "Sign in with another account"),
        (_cancelled, "The sign-in did not work", "Try again with Development"),
        (_no_seat, "No seat is free just now", "Try again"),
        (_inviter_demoted, "This invitation is on hold", "Try again"),
        (_revoked_meanwhile, "This link has run out", "Send me a fresh link"),
        (_another_sign_in, "You have another sign-in here", "Sign in with Google"),
        (_member_before, "You belong here already", "Go to Demo"),
        (_third_party, "Enter the code from your mail", "Confirm"),
    ],
)
async def test_every_outcome_has_words_and_one_main_button(
    stage: Stage, happens: Happen, title: str, main: str
) -> None:
    """Each acceptance status says what happened and what to do next, also after a reload, readable for everybody."""
    async with stage.invited() as (owner, _):
        page = await stage.person()
        await happens(stage, page, owner)
        await expect(heading(page)).to_have_text(title)
        await page.reload()
        await expect(heading(page)).to_have_text(title)
        await expect(page).to_have_title(f"{title} · Guestlist")
        await expect(page.get_by_label("Six-digit code") if main == "Confirm" else heading(page)).to_be_focused()
        role: Any = "link" if main.startswith("Go to") else "button"
        await expect(page.locator(".card").get_by_role(role).first).to_have_text(main)
        assert await page.locator(".primary").count() <= 1
        await assert_accessible(page, title)


@pytest.mark.parametrize(
    ("language", "refused"),
    [("de", "Das war ein anderes Konto"), ("fr", "C’était un autre compte"), ("es", "Era otra cuenta")],
)
async def test_a_refusal_is_told_in_the_readers_language(stage: Stage, language: str, refused: str) -> None:
    """Mismatch, an address that is not verified, and the fresh link: no English sentence is left among the others."""
    async with stage.invited():
        page = await stage.person(language=language)
        await page.goto(f"/confirm#{'x' * 43}")
        await page.locator(".primary").click()
        await expect(page.locator(".mark.mail")).to_be_visible()
        await expect(page.locator("#view [lang=en]")).to_have_count(0)
        for verified in (True, False):
            await page.goto("about:blank")
            await page.goto(await stage.link())
            await choose(page)
            await page.locator("#email").fill(GUEST if not verified else "other@example.com")
            await page.locator("#email_verified").set_checked(verified)
            await press(page, "Sign in")
            await expect(page.locator(".mark.warn")).to_be_visible()
            await expect(page.locator("#view [lang=en]")).to_have_count(0)
            if verified:
                await expect(heading(page)).to_have_text(refused)


async def test_the_address_that_was_proved_can_be_asked_for(stage: Stage) -> None:
    """After a mismatch one press asks the admins for the proved address; it is said, stays said, and they see it."""
    async with stage.invited() as (owner, invitation_id):
        page = await stage.person()
        await accept_as(page, await stage.link(), "other@example.com")
        await press(page, "Ask to be invited at other@example.com instead")
        asked = told(page, "You asked to be invited at other@example.com instead.")
        await expect(asked).to_be_visible()
        await expect(heading(page)).to_be_focused()
        await expect(page.locator("#announcer")).to_contain_text(
            "You asked to be invited at other@example.com instead."
        )
        await page.reload()
        await expect(asked).to_be_visible()
        await expect(page.get_by_role("button", name=re.compile("Ask to be invited"))).to_have_count(0)
        await assert_accessible(page, "asked for another address")
        query = "query($id: ID!) { invitation(id: $id) { proposedEmail status } }"
        seen = (await owner.ask(query, id=invitation_id))["invitation"]
        assert seen == {"proposedEmail": "other@example.com", "status": "PENDING"}
        assert await Membership.all().count() == 1


async def test_a_second_address_that_is_asked_for_is_told_plainly(stage: Stage) -> None:
    """H182: where the admins have a request for another address already, the page says so after the press."""
    async with stage.invited() as (owner, invitation_id), stage.service.browser() as first:
        link = await stage.link()
        acceptance = await first.accept_as(link.partition("#")[2], "first@example.com")
        await first.do("requestOtherAddress", acceptanceId=acceptance["id"])
        page = await stage.person()
        await accept_as(page, link, "other@example.com")
        await press(page, "Ask to be invited at other@example.com instead")
        await expect(told(page, "already have a request to invite another address")).to_be_visible()
        await expect(page.locator("#announcer")).to_contain_text("already have a request to invite another address")
        await assert_accessible(page, "another address was asked for")
        query = "query($id: ID!) { invitation(id: $id) { proposedEmail } }"
        assert (await owner.ask(query, id=invitation_id))["invitation"] == {"proposedEmail": "first@example.com"}


async def test_an_address_that_nobody_vouches_for_cannot_be_asked_for(stage: Stage) -> None:
    """Where the provider does not vouch for the other address, the page says whom to ask, and has no button for it."""
    async with stage.invited():
        page = await stage.person()
        await accept_as(page, await stage.link(), "other@example.com", verified=False)
        await expect(told(page, "Ask the person who invited you to invite")).to_be_visible()
        await expect(page.get_by_role("button", name=re.compile("Ask to be invited"))).to_have_count(0)


async def test_another_account_can_really_be_chosen(stage: Stage) -> None:
    """After a mismatch at Google the way back there asks for the account anew and names none; all that our pages
    send to another origin is the person: navigations of the whole window, which need no third-party cookie.
    """
    async with stage.invited("guest@gmail.com"):
        page, network = await stage.person(), Network()
        network.watch(page.context)
        await accept_as(page, await stage.link("guest@gmail.com"), "other@gmail.com", provider="google")
        await expect(heading(page)).to_have_text("That was another account")
        again = page.get_by_role("button", name="Sign in with another account")
        await expect(again.locator("img")).to_have_count(0)
        await again.click()
        await page.locator("#email").wait_for()
        asked = query_of(page.url)
        assert (asked["prompt"], "login_hint" in asked) == ("select_account", False)
        await log_in(page, "guest@gmail.com")
        await expect(heading(page)).to_have_text("Welcome to Demo")
    elsewhere = [request for request in network.requests if not request.url.startswith(stage.service.url)]
    assert elsewhere
    for request in elsewhere:
        own = (await request.all_headers()).get("sec-fetch-site") == "same-origin"
        assert own or (request.is_navigation_request() and request.frame == page.main_frame), request.url


async def test_a_brand_has_its_button_for_its_own_words_only(stage: Stage) -> None:
    """Google's logo stands beside "Sign in with Google", and beside nothing else; other providers have one of ours."""
    async with stage.invited():
        page = await stage.person()
        await page.goto(await stage.link())
        google = page.get_by_role("button", name="Sign in with Google", exact=True)
        await expect(google.locator("img")).to_have_js_property("complete", value=True)
        assert await google.locator("img").evaluate("image => image.naturalWidth") > 0
        await expect(page.locator("[data-provider=dev] img")).to_have_count(0)
        await accept_as(page, None, GUEST, provider="google")
        await expect(page.get_by_role("button", name="Send another code").locator("img")).to_have_count(0)


async def test_long_words_do_not_hide_the_buttons(stage: Stage) -> None:
    """A message of a thousand characters shows its beginning, so that the first button is in sight, and opens on a press."""
    message = "Words upon words. " * 55
    async with stage.invited(message=message):
        page = await stage.person()
        await page.goto(await stage.link())
        quote = page.locator("blockquote")
        shown = await quote.evaluate("quote => quote.clientHeight / quote.scrollHeight")
        assert shown < 0.5
        await expect(page.locator("[data-provider=google]")).to_be_in_viewport(ratio=1)
        await assert_accessible(page, "long words")
        await press(page, "Read it all")
        await expect(quote).to_be_focused()
        assert await quote.evaluate("quote => quote.clientHeight >= quote.scrollHeight")
        await assert_accessible(page, "long words, all of them")


async def test_the_code_from_the_mailbox_opens_the_community(stage: Stage) -> None:
    """H025: a wrong code costs a try and says how many are left, another can be sent, and the right one lets the guest in."""
    async with stage.invited():
        page = await stage.person()
        await accept_as(page, await stage.link(), GUEST, provider="google")
        code = page.get_by_label("Six-digit code")
        await press(page, "Confirm")
        await expect(told(page, "The code has six digits.")).to_be_visible()
        await expect(code).to_be_focused()
        first = await _code(stage)
        await code.fill("000000" if first != "000000" else "111111")
        await code.press("Enter")
        await expect(told(page, "That is not the code. 4 tries are left.")).to_be_visible()
        assert await Membership.all().count() == 1
        await expect(code).to_have_attribute("inputmode", "numeric")
        await expect(code).to_have_attribute("autocomplete", "one-time-code")
        await press(page, "Send another code")
        await page.locator("#email").wait_for()
        await log_in(page, GUEST)
        second = await _code(stage)
        await expect(code).to_be_focused()
        await page.context.grant_permissions(["clipboard-write"])
        await page.evaluate("text => navigator.clipboard.writeText(text)", f"Your code is {second[:3]} {second[3:]}.")
        await code.press("ControlOrMeta+V")
        await expect(code).to_have_value(re.compile(f"{second[:3]} {second[3:]}"))
        await press(page, "Confirm")
        await expect(heading(page)).to_have_text("Welcome to Demo")


async def test_a_code_that_cannot_be_sent_is_told_to_whoever_waits(stage: Stage) -> None:
    """Before its mail has left the page says so; when it cannot be sent the page turns by itself, and the other sign-in
    still lets the guest in.
    """
    async with stage.invited():
        page = await stage.person()
        await accept_as(page, await stage.link(), GUEST, provider="google")
        await expect(heading(page)).to_have_text("Enter the code from your mail")
        await page.get_by_label("Six-digit code").fill("123456")
        await press(page, "Confirm")
        await expect(told(page, "The code has not been sent yet.")).to_be_visible()
        await suppression.add(Address(GUEST), suppression.Reason.COMPLAINED, now=stage.service.clock())
        await stage.service.deliver()
        await expect(heading(page)).to_have_text("The sign-in did not work")
        await expect(told(page, "The code could not be sent to the invited mailbox.")).to_be_visible()
        await accept_as(page, None, GUEST)
        await expect(heading(page)).to_have_text("Welcome to Demo")


async def test_used_up_tries_leave_one_way_on(stage: Stage) -> None:
    """After five wrong codes the form is gone, and signing in again is the one thing to do."""
    async with stage.invited():
        page = await stage.person()
        await accept_as(page, await stage.link(), GUEST, provider="google")
        wrong = "000000" if await _code(stage) != "000000" else "111111"
        for left in ("4 tries are", "3 tries are", "2 tries are", "1 try is"):
            await page.get_by_label("Six-digit code").fill(wrong)
            await press(page, "Confirm")
            await expect(told(page, f"That is not the code. {left} left.")).to_be_visible()
        await page.get_by_label("Six-digit code").fill(wrong)
        await press(page, "Confirm")
        await expect(told(page, "This code cannot be used any more.")).to_be_visible()
        await expect(page.get_by_label("Six-digit code")).to_have_count(0)
        await expect(page.get_by_role("button", name="Send another code")).to_be_focused()
        await assert_accessible(page, "tries used up")


async def _code(stage: Stage) -> str:
    found = re.search(r"^\s*(\d{6})\s*$", (await stage.service.mail_to(GUEST)).text, re.MULTILINE)
    assert found is not None
    return found[1]


# ------------------------------------------------------------------------------------- reload, back, tabs, other browsers


async def test_back_reload_and_a_second_tab_go_on_where_it_stood(stage: Stage) -> None:
    """Back from the provider, a reload and another tab show the invitation again; what one tab finishes the other shows."""
    async with stage.invited():
        page = await stage.person()
        await page.goto(await stage.link())
        await choose(page)
        await page.go_back()
        started = page.get_by_text("You were on your way to sign in with Development.")
        await expect(started).to_be_visible()
        await assert_accessible(page, "started")
        await page.reload()
        await expect(started).to_be_visible()
        second = await page.context.new_page()
        await second.goto("/confirm")
        await expect(told(second, "You were on your way")).to_be_visible()
        await page.bring_to_front()
        await choose(page)
        await log_in(page, GUEST)
        await expect(heading(page)).to_have_text("Welcome to Demo")
        await second.reload()
        await expect(heading(second)).to_have_text("Welcome to Demo")


async def test_a_closed_browser_goes_on_where_it_stood(stage: Stage) -> None:
    """Closed while at the provider and opened again, the browser still has the flow, and finishes it without the link."""
    async with stage.invited():
        page = await stage.person()
        await page.goto(await stage.link())
        await choose(page)
        kept = await page.context.storage_state()
        await page.context.close()
        again = await (await stage.chromium.new_context(base_url=stage.service.url, storage_state=kept)).new_page()
        await again.goto("/confirm")
        await expect(told(again, "You were on your way")).to_be_visible()
        await accept_as(again, None, GUEST)
        await expect(heading(again)).to_have_text("Welcome to Demo")


async def test_a_waiting_tab_notices_what_another_finished(stage: Stage) -> None:
    """A tab that shows a begun sign-in turns to the outcome by itself."""
    async with stage.invited():
        finishing = await stage.person()
        await finishing.goto(await stage.link())
        await choose(finishing)
        waiting = await finishing.context.new_page()
        await waiting.goto("/confirm")
        await expect(told(waiting, "You were on your way")).to_be_visible()
        await log_in(finishing, GUEST)
        await expect(heading(waiting)).to_have_text("Welcome to Demo")


async def test_another_browser_cannot_finish_a_flow(stage: Stage) -> None:
    """H059: the provider's answer opened in another browser is words only; the first browser goes on afterwards."""
    async with stage.invited():
        first, second = await stage.person(), await stage.person()
        await first.goto(await stage.link())
        await choose(first)
        login = first.url
        await second.goto(login)
        await second.locator("#email").fill(GUEST)
        await press(second, "Sign in")
        await expect(heading(second)).to_have_text("Please finish where you began")
        await assert_accessible(second, "wrong browser")
        assert await Membership.all().count() == 1
        assert not any("session" in str(cookie.get("name")) for cookie in await second.context.cookies())
        await first.go_back()
        await choose(first)
        await log_in(first, GUEST)
        await expect(heading(first)).to_have_text("Welcome to Demo")


async def test_a_stolen_link_opens_nothing(stage: Stage) -> None:
    """H021: whoever else opens the link sees the masked address only, is refused as themselves, and the invitee gets in."""
    async with stage.invited():
        link = await stage.link()
        thief, guest = await stage.person(), await stage.person()
        await thief.goto(link)
        await expect(heading(thief)).to_have_text("Demo")
        assert GUEST not in await thief.content()
        await accept_as(thief, None, "thief@example.com")
        await expect(heading(thief)).to_have_text("That was another account")
        assert GUEST not in await thief.content()
        await thief.goto("/")
        await expect(heading(thief)).to_have_text("Sign in")
        await accept_as(guest, link, GUEST)
        await expect(heading(guest)).to_have_text("Welcome to Demo")


# ------------------------------------------------------------------------------------------------------------ when it breaks


async def test_a_provider_that_is_down_leaves_the_others(stage: Stage) -> None:
    """A provider that cannot be reached is told beside its button; the other one still works."""
    async with stage.invited():
        stage.google.metadata_changes = {"issuer": "https://elsewhere.example"}
        page = await stage.person()
        await page.goto(await stage.link())
        await press(page, "Sign in with Google")
        await expect(page.get_by_role("alert")).to_be_visible()
        await assert_accessible(page, "provider down")
        await accept_as(page, None, GUEST)
        await expect(heading(page)).to_have_text("Welcome to Demo")


async def test_a_service_out_of_reach_is_told_and_tried_again(stage: Stage) -> None:
    """A request that does not arrive ends in words with a button, and the token is still in memory for the next try."""
    async with stage.invited():
        page = await stage.person()
        await page.route("**/graphql", lambda route: route.abort())
        await page.goto(await stage.link())
        await expect(heading(page)).to_have_text("That did not work")
        await assert_accessible(page, "out of reach")
        await page.unroute("**/graphql")
        await press(page, "Try again")
        await expect(heading(page)).to_have_text("Demo")
        await page.route("**/graphql", lambda route: route.fulfill(status=500, body="no"))
        await page.locator("[data-provider=dev]").click()
        await expect(page.get_by_role("alert")).to_have_text("Something went wrong on our side. Try again in a moment.")


async def test_a_browser_without_network_is_told_so(stage: Stage) -> None:
    """Offline is said beside the button that was pressed, and the same press works once the network is back."""
    async with stage.invited():
        page = await stage.person()
        await page.goto(await stage.link())
        await expect(heading(page)).to_have_text("Demo")
        await page.context.set_offline(offline=True)
        await page.locator("[data-provider=dev]").click()
        await expect(page.get_by_role("alert")).to_contain_text("You are offline.")
        await page.context.set_offline(offline=False)
        await accept_as(page, None, GUEST)
        await expect(heading(page)).to_have_text("Welcome to Demo")


async def test_a_page_that_opened_offline_goes_on_by_itself(stage: Stage) -> None:
    """What could not be asked is asked again as soon as the browser is back online, without a press."""
    async with stage.invited():
        page = await stage.person()
        await page.route("**/graphql", lambda route: route.abort())
        await page.goto(await stage.link())
        await expect(heading(page)).to_have_text("That did not work")
        await page.unroute("**/graphql")
        await page.evaluate("dispatchEvent(new Event('online'))")
        await expect(heading(page)).to_have_text("Demo")


async def test_a_slow_network_shows_progress(stage: Stage) -> None:
    """While the service has not answered, the page says that it looks, the pressed button that it works, and a second
    press asks nothing again.
    """
    async with stage.invited():
        page, network = await stage.person(), Network()
        network.watch(page.context)
        answer = asyncio.Event()

        async def late(route: Route) -> None:
            await answer.wait()
            await route.continue_()

        await page.route("**/graphql", late)
        await page.goto(await stage.link())
        await expect(told(page, "Looking up your invitation…")).to_be_visible()
        await expect(page.get_by_role("main")).to_have_attribute("aria-busy", "true")
        answer.set()
        await expect(heading(page)).to_have_text("Demo")
        answer.clear()
        button = page.locator("[data-provider=dev]")
        await button.click()
        await expect(button).to_have_class(re.compile("busy"))
        await expect(button).to_have_attribute("aria-disabled", "true")
        await button.click(force=True)
        answer.set()
        await page.locator("#email").wait_for()
        assert network.operations.count("Accept") == 1


async def test_too_many_questions_are_told_in_words(open_stage: Open) -> None:
    """A page that may not even ask for the invitation says so and what to do, whichever way it was refused."""
    limits = {"attempts_per_client": "1/1m", "mails_per_recipient": "1000/1h"}
    async with open_stage(rate_limits=limits) as stage:
        page = await stage.person(language="de")
        await page.goto(await stage.link(OWNER))
        await expect(heading(page)).to_have_text("Demo")
        await page.goto("about:blank")
        await page.goto(await stage.link(OWNER))
        await expect(told(page, "Das war zu oft in kurzer Zeit.")).to_be_visible()
        await page.route("**/graphql", lambda route: route.fulfill(status=429, body="Slow down."))
        await press(page, "Noch einmal versuchen")
        await expect(told(page, "Das war zu oft in kurzer Zeit.")).to_be_visible()
        await expect(heading(page)).to_be_focused()


async def test_a_limit_says_when_to_try_again(open_stage: Open) -> None:
    """RateLimited is shown beside the button that met it, with the time."""
    limits = {"attempts_per_client": "3/1m", "mails_per_recipient": "1000/1h"}
    async with open_stage(rate_limits=limits) as stage:
        page = await stage.person()
        await page.goto(f"/confirm#{'x' * 43}")
        await press(page, "Send me a fresh link")
        await expect(heading(page)).to_have_text("Look in your mailbox")
        await page.goto("about:blank")
        await page.goto(f"/confirm#{'x' * 43}")
        await press(page, "Send me a fresh link")
        await expect(page.get_by_role("alert")).to_contain_text("Try again in")


async def test_broken_scripts_end_in_words(stage: Stage) -> None:
    """An error that nobody caught shows what to do."""
    page = await stage.person()
    await page.goto("/confirm")
    await expect(heading(page)).to_have_text("Open your invitation")
    await page.evaluate("setTimeout(() => { throw new Error('on purpose') })")
    await expect(heading(page)).to_have_text("Something broke on this page")
    await assert_accessible(page, "broken")
    stage.errors.clear()


async def test_a_browser_without_javascript_is_told_so(stage: Stage) -> None:
    """The words for it are there, in all languages, and nothing pretends to be loading."""
    page = await stage.person(scripts=False)
    await page.goto("/confirm")
    await expect(page.locator("noscript p:visible")).to_have_count(4)
    await expect(page.locator(".waiting")).to_be_hidden()


async def test_a_page_whose_scripts_never_come_says_so(stage: Stage) -> None:
    """Where a script does not load, words appear after some seconds without any script."""
    page = await stage.person()
    time = await page.context.new_cdp_session(page)
    await time.send("Animation.enable")
    await time.send("Animation.setPlaybackRate", {"playbackRate": 0})
    await page.route("**/confirm.js", lambda route: route.abort())
    await page.goto("/confirm")
    slow = page.get_by_text("This is taking longer than usual.")
    await expect(slow).to_be_hidden()
    await page.evaluate("document.getAnimations().find((a) => a.animationName === 'appear').currentTime = 9000")
    await expect(slow).to_be_visible()


@pytest.mark.parametrize(
    ("language", "title"),
    [
        ("de-CH", "Hier ist nichts"),
        ("fr", "Il n’y a rien ici"),
        ("es-MX", "Aquí no hay nada"),
        ("ja", "There is nothing here"),
    ],
)
async def test_pages_speak_the_readers_language(stage: Stage, language: str, title: str) -> None:
    """The first of the browser's languages that there are words for is the page's; otherwise English."""
    page = await stage.person(language=language)
    await page.goto("/nowhere")
    await expect(heading(page)).to_have_text(title)
    spoken = language[:2] if language != "ja" else "en"
    await expect(page.locator("html")).to_have_attribute("lang", spoken)
    await assert_accessible(page, language)


# --------------------------------------------------------------------------------------------------------- files and words


async def test_the_pages_are_light_and_kept(stage: Stage) -> None:
    """All pages with every file that one person can come to load, in the heaviest language, stay below 100 kB on the wire;
    files are kept for good under their version only.
    """
    async with http_client(stage.service.url) as client:
        weights = await _weights(client)
        languages = sorted(
            weights.pop(f"words/{language}.js") + weights.pop(f"words/console/{language}.js")
            for language in ("de", "es", "fr")
        )
        assert languages[-1] + sum(weights.values()) < 100_000, weights
        page = (await client.get("/confirm")).text
        script = re.findall(r'src="(/static/\w+/confirm\.js)"', page)[0]
        kept = await client.get(script)
        assert kept.headers["cache-control"] == "public, max-age=31536000, immutable"
        again = await client.get(script, headers={"if-none-match": kept.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        foreign = await client.get(re.sub(r"/static/\w+/", "/static/before/", script))
        assert (foreign.status_code, foreign.headers["cache-control"]) == (200, "no-cache")
        assert (await client.get("/confirm")).headers["cache-control"] == "no-store"
        for path in ("/static/x/%2e%2e/files.py", "/static/x/..%2ffiles.py", "/static/x/none.js", "/static/x/"):
            assert (await client.get(path)).status_code == 404


async def _weights(client: httpx2.AsyncClient) -> dict[str, int]:
    """The bytes of the pages and of all their files, as they are sent."""
    version = re.findall(r'"/static/(\w+)/', (await client.get("/confirm")).text)[0]
    files = [path.relative_to(STATIC).as_posix() for path in STATIC.rglob("*") if path.is_file()]
    addresses = {name: f"/static/{version}/{name}" for name in files} | {
        path: path for path in ("/", "/confirm", "/none")
    }
    weights = {}
    for name, address in addresses.items():
        file = await client.get(address, headers={"accept-encoding": "gzip"})
        assert (file.status_code, file.headers["content-encoding"]) == (404 if name == "/none" else 200, "gzip"), name
        weights[name] = int(file.headers["content-length"])
    return weights


def test_every_script_of_the_pages_is_named_in_their_markup() -> None:
    """A page asks for all its scripts at once; only further languages, and what says one thing, come on demand."""
    markup = "".join(path.read_text("utf-8") for path in STATIC.parent.glob("*.html"))
    scripts = {path.relative_to(STATIC).as_posix() for path in STATIC.rglob("*.js")}
    unnamed = {script for script in scripts if f'"/static/{script}"' not in markup}
    assert unnamed == {f"words/{place}{language}.js" for place in ("", "console/") for language in ("de", "fr", "es")}


@pytest.mark.parametrize(
    ("wanted", "language"),
    [("de-CH,en;q=0.8", "de"), ("ja, fr;q=0.5", "fr"), ("ja", "en"), ("en-US,de", "en"), ("", "en")],
)
async def test_one_language_is_loaded_and_asked_for_at_once(stage: Stage, wanted: str, language: str) -> None:
    """The markup names the words of the reader's language, and no other's."""
    async with http_client(stage.service.url) as client:
        for path in ("/", "/confirm"):
            page = await client.get(path, headers={"accept-language": wanted})
            assert set(re.findall(r"/words/(?:console/)?(\w+)\.js", page.text)) == {language}
            assert {"accept-language", "accept-encoding"} <= set(
                page.headers["vary"].replace(" ", "").lower().split(",")
            )


def test_scripts_are_sent_without_their_comments_line_by_line() -> None:
    """What is sent has every line of code where the source has it, and no line that is a comment."""
    for path in STATIC.rglob("*.js"):
        source = path.read_text("utf-8").splitlines()
        sent = without_comments(path.read_text("utf-8")).splitlines()
        assert all(line in ("", *source[number : number + 1]) for number, line in enumerate(sent)), path
        gone = [
            line.strip() for number, line in enumerate(source) if line.strip() and sent[number : number + 1] != [line]
        ]
        assert all(line.startswith(("//", "/**", "*")) for line in gone), path
        assert not [line for line in sent if line.strip().startswith(("//", "/**", "* "))], path


def test_every_operation_of_the_pages_fits_the_schema() -> None:
    """What the pages ask is valid GraphQL against the running schema, and within its limits whatever their variables say:
    they use the public API as anybody could.
    """
    from schema.schema import build  # noqa: PLC0415

    source = (STATIC / "operations.js").read_text("utf-8")
    parts = dict(re.findall(r"^const (\w+) = `([^`]*)`", source, re.MULTILINE))
    documents = re.findall(r"document: `([^`]*)`", source)
    assert len(documents) == source.count("document:") - 1 >= 18
    schema = build(development=True)
    for document in documents:
        whole = re.sub(r"\$\{(\w+)\}", lambda found: parts[found[1]], document)
        assert validate(schema._schema, parse(whole)) == [], whole
        assert not schema.documents.parsed(whole).varies, whole


def test_what_the_service_says_is_said_in_every_language() -> None:
    """Each reason of a refusal and each problem that every road can meet has words in all catalogues but the English one,
    which the service writes itself; and no catalogue has words for what the service never says.
    """
    refusing = "".join(Path(str(module.__file__)).read_text("utf-8") for module in (acceptance, sign_in))
    reasons = set(evidence._REFUSALS) | set(re.findall(r'AcceptanceStatus\.\w+, "(\w+)"', refusing))
    worded_by_the_page = {"email_mismatch", "seat_limit_reached", "identity_conflict"}
    needed = reasons - worded_by_the_page | {"RateLimited", "ProviderUnavailable", "UnknownProvider", "sign_in_failed"}
    sources = "".join(path.read_text("utf-8") for path in Path(str(service.__file__)).parent.rglob("*.py"))
    for language in ("de", "es", "fr"):
        catalogue = (STATIC / f"words/{language}.js").read_text("utf-8").partition("export const told")[2]
        told = set(re.findall(r'^  "(\w+)": ".', catalogue, re.MULTILINE))
        assert needed <= told, language
        assert {word for word in told if f'"{word}"' not in sources and word.islower()} == {"sign_in_failed"}


def test_the_words_in_the_markup_are_those_of_the_catalogue() -> None:
    """A page that waits for its scripts says in English what the catalogue says."""
    catalogue = dict(re.findall(r'^  "([\w.]+)": "(.*)",$', (STATIC / "words/en.js").read_text("utf-8"), re.MULTILINE))
    markup = "".join(path.read_text("utf-8") for path in STATIC.parent.glob("*.html"))
    found = re.findall(r'data-words="([\w.]+)"[^>]*>([^<]+)<', markup)
    assert len(found) >= 15
    assert dict(found) == {words: catalogue[words] for words, _ in found}


def test_no_page_has_inline_code_or_style() -> None:
    """The strict policy holds because nothing needs an exception from it."""
    for path in STATIC.parent.glob("*.html"):
        markup = path.read_text("utf-8")
        assert not re.search(r"\son\w+=|style=|<style|<script(?![^>]* src=)", markup), path.name
    scripts = "".join(path.read_text("utf-8") for path in STATIC.rglob("*.js"))
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|localStorage", scripts)
