"""Drives the pages in Chromium: people, their browsers and their steps."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.async_api import Browser as Chromium
from playwright.async_api import Locator, Page, Request, Route, ViewportSize, async_playwright, expect

from service.web import pages
from tests.conftest import Serve
from tests.support.environments import Environment
from tests.support.openid_provider import CLIENT_ID, CLIENT_SECRET, HostileProvider, running_provider
from tests.support.service import Browser, Service

STATIC: Final = Path(pages.__file__).parent / "static"
FLAGS: Final = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--disable-sync",
    "--disable-quic",
]
GUEST: Final = "guest@example.com"
OWNER: Final = "owner@example.com"
PHONE: Final[ViewportSize] = {"width": 390, "height": 844}
DESK: Final[ViewportSize] = {"width": 1280, "height": 800}
# The width of the desktop at 200 % and at 400 % zoom (WCAG 1.4.4, 1.4.10).
ZOOMED: Final[list[ViewportSize]] = [{"width": 640, "height": 400}, {"width": 320, "height": 256}]


# The timeout of each step on a page. The machine runs other tests at the same time.
PATIENCE_MS: Final = 30_000
expect.set_options(timeout=PATIENCE_MS)

THEMES: Final[dict[Literal["light", "dark"], Any]] = {
    "light": {"rules": {"target-size": {"enabled": True}}},
    "dark": {"runOnly": {"type": "rule", "values": ["color-contrast"]}},
}


@pytest.fixture(scope="module")
async def browser(chromium: str, anyio_backend: str) -> AsyncIterator[Chromium]:
    del anyio_backend
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        await browser.close()


@dataclass
class Site:
    """The service with two providers, `google` (a third party to example.com) and `dev`, and a Chromium."""

    service: Service
    google: HostileProvider
    chromium: Chromium
    errors: list[str] = field(default_factory=list)

    async def person(
        self, *, language: str = "en-GB", scripts: bool = True, environment: Environment | None = None, **options: Any
    ) -> Page:
        """Opens a page in a new browser context with further options. Script errors and policy violations fail the test, except for those that
        the environment causes.
        """
        context = await self.chromium.new_context(
            viewport=PHONE, locale=language, base_url=self.service.url, java_script_enabled=scripts, **options
        )
        context.set_default_timeout(PATIENCE_MS)
        if environment is not None:
            await context.add_init_script(environment.script)

        def see(error: str) -> None:
            if environment is None or not environment.causes(error):
                self.errors.append(error)

        context.on("weberror", lambda error: see(str(error.error)))
        context.on("console", lambda shown: see(shown.text) if "Policy" in shown.text else None)
        return await context.new_page()

    async def link(self, email: str = GUEST) -> str:
        """Returns the link in the newest mail to an address."""
        return f"/confirm#{await self.service.token_for(email)}"

    @asynccontextmanager
    async def owner(self) -> AsyncIterator[Browser]:
        """Yields the owner of Demo, signed in over HTTP."""
        async with self.service.browser() as owner:
            accepted = await owner.accept_as(await self.service.token_for(OWNER), OWNER)
            assert accepted["status"] == "ACCEPTED"
            yield owner

    @asynccontextmanager
    async def invited(self, email: str = GUEST, **arguments: Any) -> AsyncIterator[tuple[Browser, str]]:
        """Yields the owner, and the id of an invitation by the owner."""
        async with self.owner() as owner:
            answer = await owner.invite(await owner.community_id(), email, **arguments)
            yield owner, answer["invitation"]["id"]


OpenSite = Callable[..., AbstractAsyncContextManager[Site]]


@pytest.fixture
def open_site(serve: Serve, browser: Chromium) -> OpenSite:
    @asynccontextmanager
    async def opened(registration: dict[str, Any] | None = None, **settings: Any) -> AsyncIterator[Site]:
        async with running_provider() as google:
            registered = {"kind": "google", "label": "Google", "position": 1} | (registration or {})
            providers = {"google": google.registration(**registered)}
            async with serve(**{"providers": providers} | settings) as service:
                google.clients = {CLIENT_ID: (CLIENT_SECRET, (f"{service.url}/auth/google/callback",))}
                site = Site(service, google, browser)
                try:
                    yield site
                finally:
                    for context in browser.contexts:
                        for page in context.pages:
                            # Requests of a page that is closing must not fail a finished test.
                            await page.unroute_all(behavior="ignoreErrors")
                        await context.close()
                assert site.errors == []

    return opened


@pytest.fixture
async def site(open_site: OpenSite) -> AsyncIterator[Site]:
    async with open_site() as site:
        yield site


# ------------------------------------------------------------------------------------------------------ steps of people


def heading(page: Page) -> Locator:
    return page.get_by_role("heading", level=1)


def visible_text(page: Page, words: str | re.Pattern[str]) -> Locator:
    """Locates text in the view. Announcements for screen readers repeat the text outside of it."""
    return page.locator("#view").get_by_text(words)


def press(page: Page, name: str) -> Any:
    return page.get_by_role("button", name=name, exact=True).click()


async def choose_provider(page: Page, provider: str = "dev") -> None:
    """Goes to a provider, and waits for its page."""
    await page.locator(f"[data-provider={provider}]").click()
    await page.locator("#email").wait_for()


async def log_in(page: Page, email: str, *, verified: bool = True, sub: str | None = None) -> None:
    """Fills in the provider's page, and waits for a page of the service."""
    await page.locator("#email").fill(email)
    await page.locator("#email_verified").set_checked(verified)
    if sub is not None:
        await page.locator("summary").click()
        await page.locator("#sub").fill(sub)
    await press(page, "Sign in")
    await page.wait_for_url(re.compile(r"/confirm$|/\?back|/#|/$"))


async def accept_as(page: Page, link: str | None, email: str, provider: str = "dev", **login: Any) -> None:
    if link is not None:
        await page.goto(link)
    await choose_provider(page, provider)
    await log_in(page, email, **login)


async def sign_in(page: Page, email: str = OWNER) -> None:
    """Signs in on the console's first page."""
    await page.goto("/")
    await accept_as(page, None, email)
    await expect(heading(page)).to_have_text("My communities")


async def hide(page: Page) -> None:
    """Hides a tab, as switching to another one does."""
    await page.evaluate("""() => {
        Object.defineProperty(document, 'hidden', { configurable: true, get: () => true });
        document.dispatchEvent(new Event('visibilitychange'));
    }""")


async def show_again(page: Page) -> None:
    """Makes a hidden tab visible again."""
    await page.evaluate("() => { delete document.hidden; document.dispatchEvent(new Event('visibilitychange')); }")


async def another_tab(page: Page) -> Page:
    """Opens another tab of the same browser. The first one is hidden."""
    await hide(page)
    return await page.context.new_page()


async def add_to_script(page: Page, name: str, code: str) -> None:
    """Adds code to one of our scripts, as if it were written there."""

    async def extended(route: Route) -> None:
        answer = await route.fetch()
        await route.fulfill(response=answer, body=f"{await answer.text()}\n{code}")

    await page.route(f"**/static/*/{name}", extended)


# ------------------------------------------------------------------------------------------------- the order of answers


@dataclass
class HeldAnswer:
    """An answer of the service that the page has not received yet."""

    given: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    fulfilled: asyncio.Event = field(default_factory=asyncio.Event)
    request: Request | None = None

    async def is_given(self) -> None:
        await asyncio.wait_for(self.given.wait(), 20)


async def hold_answer(page: Page, operation: str, *, time: int = 1) -> HeldAnswer:
    """Holds the answer to an operation until it is released. `time` is the number of the operation, from now."""
    held, matches = HeldAnswer(), 0

    async def wait(route: Route) -> None:
        nonlocal matches
        matching = operation in (route.request.post_data or "")
        matches += matching
        if not matching or matches != time:
            return await route.fallback()
        answer, held.request = await route.fetch(), route.request
        held.given.set()
        await held.released.wait()
        await route.fulfill(response=answer)
        held.fulfilled.set()
        return None

    await page.route("**/graphql", wait)
    return held


async def release_answer(page: Page, held: HeldAnswer) -> None:
    """Releases the answer to the page, and waits for a later answer. A page that has aborted its request receives none."""
    held.released.set()
    await asyncio.wait_for(held.fulfilled.wait(), 20)
    await page.evaluate("fetch('/healthz').then((answer) => answer.text())")


_VIOLATIONS: Final = """rules => axe.run(document, {resultTypes: ["violations"], ...rules}).then(({violations}) =>
    violations.map(({id, nodes}) => [id, ...nodes.map(({html}) => html.slice(0, 160))]))"""


# Axe measures colours after animations have ended. Colours in the middle of an animation are accidental.
_AT_REST: Final = """async () => {
    const moving = () => document.getAnimations().filter((motion) => motion.effect.getComputedTiming().endTime < 6000
        && motion.playState === "running");
    while (moving().length) await Promise.allSettled(moving().map((motion) => motion.finished));
}"""


async def assert_accessible(page: Page, name: str = "") -> None:
    """Asserts that axe finds no violation on phone and desktop in both themes, and that no page is wider than the
    window.

    The themes differ in colours only, so the second one is tested with the rule about contrast.
    """
    await page.evaluate(AXE_SCRIPT)
    for viewport in (*ZOOMED, DESK, PHONE):
        await page.set_viewport_size(viewport)
        for scheme, rules in THEMES.items() if viewport not in ZOOMED else ():
            await page.emulate_media(color_scheme=scheme)
            await expect(page.locator("[aria-busy=true]")).to_have_count(0)
            await page.evaluate(_AT_REST)
            assert await page.evaluate(_VIOLATIONS, rules) == [], (name, viewport, scheme)
        overflow = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert overflow <= 0, (name, viewport, "wider than the window")
