"""Every view in unusual browsers: foreign scripts, no storage, no cookies, old engines, odd languages, a wrong clock."""

import re
from typing import Final

import pytest
from playwright.async_api import Page, Route, expect

from service.models import AccessToken, Invitation, Membership
from service.web.pages.files import without_comments
from tests.support.chromium import (
    GUEST,
    OWNER,
    STATIC,
    Site,
    accept_as,
    add_to_script,
    choose_provider,
    heading,
    log_in,
    press,
    sign_in,
    visible_text,
)
from tests.support.environments import (
    COOKIES_DROPPED,
    FOREIGN_SCRIPTS,
    NO_LANGUAGES,
    TOO_OLD,
    WITHOUT_COOKIES,
    WORKING,
    WRONG_CLOCK,
    Environment,
)
from tests.support.invitee import Network

pytestmark = pytest.mark.anyio

working = pytest.mark.parametrize("environment", WORKING, ids=str)


@working
async def test_an_invitee_joins(site: Site, environment: Environment) -> None:
    """An invitee opens the link, keeps the invitation in the dialog, signs in with a wrong account, and then joins."""
    async with site.invited(message="Come and see."):
        page = await site.person(environment=environment)
        await page.goto(await site.link())
        await expect(heading(page)).to_have_text("Demo")
        await expect(page.locator("time-left")).to_have_text(re.compile(r"^(9:\d\d|10:00)$"))
        await press(page, "Decline")
        await press(page, "Keep the invitation")
        await accept_as(page, None, "wrong@example.com")
        await expect(heading(page)).to_have_text("That was another account")
        await page.locator("[data-provider=dev]").first.click()
        await page.locator("#email").wait_for()
        await log_in(page, GUEST)
        await expect(heading(page)).to_have_text("Welcome to Demo")
        await page.get_by_role("link", name="Go to Demo").click()
        await expect(heading(page)).to_have_text("Demo")
        assert await Membership.all().count() == 2


@working
async def test_a_code_from_the_mailbox_is_entered(site: Site, environment: Environment) -> None:
    """An invitee whose provider does not run the mailbox enters the code."""
    async with site.invited():
        page = await site.person(environment=environment)
        await accept_as(page, await site.link(), GUEST, provider="google")
        await expect(heading(page)).to_have_text("Enter the code from your mail")
        code = re.search(r"\b\d{6}\b", (await site.service.mail_to(GUEST)).text)
        assert code is not None
        await page.get_by_role("textbox").fill(code[0])
        await press(page, "Confirm")
        await expect(heading(page)).to_have_text("Welcome to Demo")


@working
async def test_an_admin_works(site: Site, environment: Environment) -> None:
    """Every view of the console shows its data, and the forms of several views work."""
    async with site.owner() as owner:
        page = await site.person(environment=environment)
        await sign_in(page)
        community = f"/#/communities/{await owner.community_id()}"
        await page.goto(community)
        await page.get_by_label("Email address").fill(GUEST)
        await press(page, "Send invitation")
        await expect(visible_text(page, f"The invitation to {GUEST} is on its way.")).to_be_visible()
        await page.get_by_role("main").get_by_role("link", name=GUEST).click()
        await expect(heading(page)).to_have_text(GUEST)
        await page.goto(f"{community}/invite")
        await page.get_by_label("Addresses", exact=True).fill("ada@example.com\nbob@example.com")
        await press(page, "Invite 2 people")
        await expect(visible_text(page, "2 invited.")).to_be_visible()
        await page.goto("/#/account")
        await page.get_by_label("Name").fill("Script")
        await press(page, "Create the token")
        await expect(visible_text(page, "never used")).to_have_count(1)
        for view in ("/members", "/audit", "/rules"):
            await page.goto(community + view)
            await expect(page.get_by_role("main")).not_to_have_attribute("aria-busy", "true")
            await expect(page.get_by_role("main")).not_to_contain_text("Something broke")
        assert (await Invitation.all().count(), await AccessToken.all().count()) == (4, 1)


# ------------------------------------------------------------------------------------------------- foreign scripts


async def test_an_error_of_a_foreign_file_does_not_stop_the_page(site: Site) -> None:
    """A foreign script with an address of its own throws and rejects, and the invitation stays."""
    page = await site.person(environment=FOREIGN_SCRIPTS)
    foreign = "Promise.reject(new Error('foreign')); setTimeout(() => { throw new Error('foreign'); });"
    await page.route("**/foreign.js", lambda route: route.fulfill(body=foreign, content_type="text/javascript"))

    async def inject(route: Route) -> None:
        answer = await route.fetch()
        tag = '<script type="module" src="/foreign.js"></script></head>'
        await route.fulfill(response=answer, body=(await answer.text()).replace("</head>", tag))

    await page.route("**/confirm", inject)
    async with page.expect_event("requestfinished", lambda request: request.url.endswith("/foreign.js")):
        await page.goto(await site.link(OWNER))
    await expect(heading(page)).to_have_text("Demo")
    await accept_as(page, None, OWNER)
    await expect(heading(page)).to_have_text("Welcome to Demo")


async def test_a_failure_of_our_script_keeps_the_link(site: Site) -> None:
    """After an error in our own script, a reload opens the same link. The link works."""
    async with site.invited():
        page = await site.person()
        await add_to_script(page, "confirm.js", "onkeydown = () => { throw new Error('on purpose'); };")
        await page.goto(await site.link())
        await expect(heading(page)).to_have_text("Demo")
        await page.keyboard.press("F2")
        await expect(heading(page)).to_have_text("Something broke on this page")
        site.errors.clear()
        await press(page, "Load the page again")
        await expect(heading(page)).to_have_text("Demo")
        await expect(page).to_have_url(f"{site.service.url}/confirm")
        await accept_as(page, None, GUEST)
        await expect(heading(page)).to_have_text("Welcome to Demo")


async def test_a_failure_of_our_script_keeps_the_typed_list(site: Site) -> None:
    """After an error in our own script, a reload shows the list that the admin was typing."""
    async with site.owner() as owner:
        page = await site.person()
        await add_to_script(
            page, "console.js", "onkeydown = ({ key }) => { if (key === 'F2') throw new Error('on purpose'); };"
        )
        await sign_in(page)
        await page.goto(f"/#/communities/{await owner.community_id()}/invite")
        await page.get_by_label("Addresses", exact=True).fill("ada@example.com\nbob@example.com")
        await page.keyboard.press("F2")
        await expect(heading(page)).to_have_text("Something broke on this page")
        site.errors.clear()
        await press(page, "Load the page again")
        await expect(page.get_by_label("Addresses", exact=True)).to_have_value("ada@example.com\nbob@example.com")
        await press(page, "Invite 2 people")
        await expect(visible_text(page, "2 invited.")).to_be_visible()


async def test_a_rejection_of_our_script_is_shown(site: Site) -> None:
    """A rejected promise of our own script shows the explanation, which later views do not replace."""
    page = await site.person()
    await add_to_script(page, "confirm.js", "Promise.reject(new Error('on purpose'));")
    await page.goto(await site.link(OWNER))
    await expect(heading(page)).to_have_text("Something broke on this page")
    site.errors.clear()
    await page.evaluate("location.hash = '#' + 'x'.repeat(43)")
    await page.evaluate("fetch('/healthz').then((answer) => answer.text())")
    await expect(heading(page)).to_have_text("Something broke on this page")


# -------------------------------------------------------------------------------------------------------- cookies


@pytest.mark.parametrize("environment", WITHOUT_COOKIES, ids=str)
async def test_missing_cookies_are_reported_at_once(site: Site, environment: Environment) -> None:
    """The invitee's page reports missing cookies before the login, starts nothing, and keeps the link in the address."""
    page, network = await site.person(environment=environment), Network()
    network.watch(page.context)
    await page.goto(await site.link(OWNER))
    await expect(heading(page)).to_have_text("Cookies are switched off")
    await expect(page.get_by_role("main")).to_contain_text(site.service.url.removeprefix("http://"))
    assert network.operations == []
    usual = await site.person()
    await usual.goto(page.url)
    await accept_as(usual, None, OWNER)
    await expect(heading(usual)).to_have_text("Welcome to Demo")


async def test_missing_cookies_are_reported_before_a_sign_in(site: Site) -> None:
    """The sign-in of the console reports missing cookies instead of its buttons."""
    page = await site.person(environment=COOKIES_DROPPED)
    await page.goto("/")
    await expect(visible_text(page, "Signing in needs cookies")).to_be_visible()
    await expect(page.locator("[data-provider]")).to_have_count(0)


async def test_the_test_for_cookies_leaves_none(site: Site) -> None:
    """The page deletes the cookie with which it tests the browser."""
    page = await site.person()
    await page.goto(await site.link(OWNER))
    await expect(heading(page)).to_have_text("Demo")
    assert await page.context.cookies() == []


# ---------------------------------------------------------------------------------------------------- old engines


@pytest.mark.parametrize("environment", TOO_OLD, ids=str)
async def test_an_old_engine_shows_what_to_do(site: Site, environment: Environment) -> None:
    """An engine that cannot run the page shows what to do in four languages. The address keeps the link."""
    page, network = await site.person(environment=environment), Network()
    network.watch(page.context)
    link = await site.link(OWNER)
    await page.goto(link)
    await expect(page.locator("#view p:visible")).to_have_count(4)
    await expect(page.locator("#view")).to_contain_text("open the link in your mail in another browser")
    await expect(page).to_have_url(site.service.url + link)
    await page.goto("/")
    await expect(page.locator("#view p:visible")).to_have_count(4)
    assert network.operations == []


async def test_the_marking_of_old_engines_precedes_every_script(site: Site) -> None:
    """A page with a syntax error in every module still shows an old engine what to do."""
    page = await site.person(environment=TOO_OLD[0])

    async def unreadable(route: Route) -> None:
        await route.fulfill(body="let # = 1;", content_type="text/javascript")

    await page.route(re.compile(r"/static/\w+/(?!engine)[\w-]+\.js"), unreadable)
    await page.goto(await site.link(OWNER))
    await expect(page.locator("#view p:visible")).to_have_count(4)
    site.errors.clear()


_SCRIPTS: Final = sorted(STATIC.rglob("*.js"))
# Syntax later than Safari 15.4, which the type check does not reject: static blocks, lookbehinds, the flag v, import attributes.
_LATER_SYNTAX: Final = re.compile(
    r"\bstatic \{|\(\?<[=!]|/[dgimsuy]*v[dgimsuy]*[,;.)]|\bimport\b.*\bwith \{|\busing \w+ ="
)
_LATER_STYLES: Final = re.compile(
    r"light-dark\(|oklch\(|oklab\(|lab\(|lch\(|@layer|@container|@scope|@starting-style|&|\blh\b|:is\(.*:has"
)


def test_scripts_have_the_syntax_of_the_oldest_engines() -> None:
    """No script has syntax that the oldest engines of the README cannot read."""
    found = {path.name: _LATER_SYNTAX.findall(without_comments(path.read_text("utf-8"))) for path in _SCRIPTS}
    assert {name: syntax for name, syntax in found.items() if syntax} == {}


def test_styles_are_those_of_the_oldest_engines() -> None:
    """Every colour, rule and mask of the styles exists in the oldest engines of the README."""
    styles = re.sub(r"/\*[\s\S]*?\*/", "", (STATIC / "guestlist.css").read_text("utf-8"))
    assert _LATER_STYLES.findall(styles) == []
    assert len(re.findall(r"[ ;]mask: ", styles)) == len(re.findall(r"-webkit-mask: ", styles)) > 0


# --------------------------------------------------------------------------------------------------- languages, clock


async def test_posix_names_of_languages_are_read(site: Site) -> None:
    """The page uses the first name that is a language: de-DE@posix and fr_FR.UTF-8 are, and C is none."""
    for names, language in {'"C", "de-DE@posix", "en_US"': "de", '"POSIX", "fr_FR.UTF-8"': "fr", '"C"': "en"}.items():
        script = f'Object.defineProperty(navigator, "languages", {{ get: () => [{names}] }});'
        page = await site.person(environment=Environment(language, script))
        await page.goto("/confirm")
        await expect(page.locator("html")).to_have_attribute("lang", language)
        await expect(heading(page)).to_be_focused()


async def test_a_browser_without_a_list_of_languages_is_read(site: Site) -> None:
    """Without navigator.languages the page uses navigator.language."""
    page = await site.person(environment=NO_LANGUAGES, language="de-DE")
    await page.goto("/confirm")
    await expect(heading(page)).to_have_text("Open your invitation")


async def _seconds_left(page: Page) -> int:
    minutes, seconds = (await page.locator("time-left").inner_text()).split(":")
    return int(minutes) * 60 + int(seconds)


async def test_the_countdown_survives_a_correction_of_the_clock(site: Site) -> None:
    """The device's clock is three hours late, and is set right while the page is open. The countdown goes on."""
    async with site.invited():
        page = await site.person(environment=WRONG_CLOCK)
        await page.goto(await site.link())
        await expect(heading(page)).to_have_text("Demo")
        assert 540 < await _seconds_left(page) <= 600
        async with page.expect_response("**/healthz"):
            await page.evaluate("correctClock()")
        await page.evaluate(
            "new Promise((done) => document.querySelector('time-left').parentNode && setTimeout(done, 1100))"
        )
        assert 540 < await _seconds_left(page) <= 600
        await choose_provider(page)
        await log_in(page, GUEST)
        await expect(heading(page)).to_have_text("Welcome to Demo")


async def test_ages_survive_a_correction_of_the_clock(site: Site) -> None:
    """The age of a new sign-in stays "just now" when the device's clock is set right."""
    async with site.owner():
        page = await site.person(environment=WRONG_CLOCK)
        await sign_in(page)
        await page.goto("/#/account")
        await expect(page.locator("time-ago").first).to_have_text("just now")
        async with page.expect_response("**/healthz"):
            await page.evaluate(
                "correctClock(); document.querySelector('time-ago').replaceWith(document.querySelector('time-ago').cloneNode())"
            )
        await expect(page.locator("time-ago").first).to_have_text("just now")
