"""The development mailbox page, over HTTP and in Chromium."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import Browser, Page, expect
from playwright.async_api import Request as BrowserRequest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from service.addresses import Address
from service.dev.mailbox_page import routes
from service.mail.mailbox import Mailbox, MailboxSender
from service.mail.message import Mail
from service.mail.texts import InvitationFacts, invitation_mail
from tests.support.loopback import bound_socket, running
from tests.support.service import http_client

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 24, 12, 30, 5, tzinfo=UTC)
TOKEN = "k" * 43


@dataclass
class MailboxSite:
    """The mailbox, and the URL of its page."""

    url: str
    mailbox: Mailbox
    visits: list[str]

    def deliver(self, name: str = "Book Club", after: int = 0) -> str:
        return self.mailbox.deliver(an_invitation(self.url, name), NOW + timedelta(seconds=after)).id


def an_invitation(url: str, community: str = "Book Club") -> Mail:
    facts = InvitationFacts(
        to=Address("bob@example.com"),
        community_name=community,
        inviter_name="Alice",
        role="MEMBER",
        message="<b>Hello</b> & welcome",
        link=f"{url}/confirm#{TOKEN}",
        link_minutes=10,
        invitation_expires_at=NOW + timedelta(days=7),
        unsubscribe_url=f"{url}/unsubscribe/u",
    )
    return invitation_mail(facts, locale="en")


@pytest.fixture
async def site() -> AsyncIterator[MailboxSite]:
    mailbox = Mailbox()
    visits: list[str] = []

    async def confirm(request: Request) -> Response:
        """Serves a substitute for the invitee's page that shows the fragment of its URL."""
        visits.append(str(request.url))
        return HTMLResponse("<h1>Confirm</h1><script>document.title = location.hash</script>")

    app = Starlette(routes=[*routes(mailbox), Route("/confirm", confirm)])
    with bound_socket() as listening:
        async with running(app, listening):
            yield MailboxSite(f"http://127.0.0.1:{listening.getsockname()[1]}", mailbox, visits)


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    context = await browser.new_context()
    yield await context.new_page()
    await context.close()


async def test_the_json_has_exactly_the_documented_fields_newest_first(site: MailboxSite) -> None:
    """GET /dev/mailbox.json returns id, to, subject, text, html and sent_at of each mail, without further fields."""
    async with http_client(site.url) as client:
        assert (await client.get("/dev/mailbox.json")).json() == []
        site.deliver("First")
        site.deliver("Second", after=1)
        answer = await client.get("/dev/mailbox.json")
    second, first = answer.json()
    mail = an_invitation(site.url, "First")
    assert first == {
        "id": site.mailbox.entries[1].id,
        "to": "bob@example.com",
        "subject": "Alice invites you to join First",
        "text": mail.text,
        "html": mail.html,
        "sent_at": "2026-11-24T12:30:05Z",
    }
    assert second["sent_at"] == "2026-11-24T12:30:06Z"
    assert f"{site.url}/confirm#{TOKEN}" in first["text"].splitlines()


async def test_every_answer_is_private_and_has_a_strict_policy(site: MailboxSite) -> None:
    """No answer is stored or leaks a referrer. The page allows no inline code, and the mail allows no code."""
    mail_id = site.deliver()
    async with http_client(site.url) as client:
        paths = ["", ".json", ".css", ".js", f"/{mail_id}.html", "/unknown.html"]
        answers = [await client.get(f"/dev/mailbox{path}") for path in paths]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 200, 200, 404]
    assert {answer.headers["Cache-Control"] for answer in answers} == {"no-store"}
    assert {answer.headers["Referrer-Policy"] for answer in answers} == {"no-referrer"}
    page, mail = answers[0], answers[4]
    assert "unsafe-inline" not in page.headers["Content-Security-Policy"]
    assert "style=" not in page.text
    assert "<script>" not in page.text
    policy = mail.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline';")
    assert "frame-ancestors 'self'" in policy
    assert "allow-scripts" not in policy
    assert "allow-same-origin" not in policy


async def test_the_mail_is_served_unchanged_except_for_its_base(site: MailboxSite) -> None:
    """The page shows the sent mail. It adds only the target in which links open."""
    mail_id = site.deliver()
    async with http_client(site.url) as client:
        html = (await client.get(f"/dev/mailbox/{mail_id}.html")).text
    assert html.replace('<base target="_blank">', "") == an_invitation(site.url).html


async def test_names_in_a_mail_cannot_break_the_page(site: MailboxSite) -> None:
    """H088: the page shows markup in subject and text as text, also next to a link."""
    mail = Mail(Address("bob@example.com"), '<img src=x> "quoted"', 'See http://a.example/"><script> & more', "<p></p>")
    site.mailbox.deliver(mail, NOW)
    async with http_client(site.url) as client:
        page = (await client.get("/dev/mailbox")).text
    assert "<img" not in page
    assert "<script>" not in page
    assert '<a href="http://a.example/&#34;&gt;&lt;script&gt;"' in page


async def test_the_mailbox_keeps_the_newest_mails_only() -> None:
    """A full mailbox removes its oldest mail. Its sender dates each mail by the clock."""
    mailbox = Mailbox(capacity=2)
    sender = MailboxSender(mailbox, lambda: NOW)
    ids = [await sender.send(an_invitation("http://127.0.0.1", f"Club {number}")) for number in range(3)]
    assert [entry.id for entry in mailbox.entries] == [ids[2], ids[1]]
    assert mailbox.entry(ids[0]) is None
    assert mailbox.entries[0].sent_at == NOW
    assert TOKEN not in repr(mailbox.entries)
    assert (await sender.rate(), await sender.findings()) == (None, [])
    await sender.close()


async def test_the_button_in_a_mail_opens_the_link_in_a_new_tab(site: MailboxSite, page: Page) -> None:
    """A click on the invitation's button opens the confirm page with its fragment. No request or referrer contains the
    token.
    """
    site.deliver()
    requests: list[BrowserRequest] = []
    page.context.on("request", lambda request: requests.append(request))  # noqa: PLW0108 -- Playwright wants a function
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    await page.goto(f"{site.url}/dev/mailbox")
    async with page.context.expect_page() as opening:
        await page.frame_locator("iframe").get_by_role("link", name="Open the invitation").click()
    opened = await opening.value
    await expect(opened).to_have_title(f"#{TOKEN}")
    assert page.url == f"{site.url}/dev/mailbox"
    assert [request.url for request in requests if TOKEN in request.url.partition("#")[0]] == []
    assert [request.url for request in requests if not request.url.startswith(site.url)] == []
    referrers = [(await request.all_headers()).get("referer", "") for request in requests]
    assert [referrer for referrer in referrers if "dev/mailbox/" in referrer] == []
    assert complaints == []


async def test_the_plain_text_unfolds_and_its_links_work(site: MailboxSite, page: Page) -> None:
    """The text part unfolds, and its link opens the confirm page too."""
    site.deliver()
    await page.goto(f"{site.url}/dev/mailbox")
    await page.get_by_text("The same mail as plain text").click()
    async with page.context.expect_page() as opening:
        await page.locator("pre a").first.click()
    await expect(await opening.value).to_have_title(f"#{TOKEN}")


async def test_new_mail_appears_and_the_open_mail_stays(site: MailboxSite, page: Page) -> None:
    """The empty page shows mail on arrival. A later mail joins the list, and the open mail stays open."""
    await page.goto(f"{site.url}/dev/mailbox")
    await expect(page.get_by_role("heading", name="No mail yet")).to_be_visible()
    site.deliver("First")
    await expect(page.get_by_role("heading", name="Alice invites you to join First")).to_be_visible()
    site.deliver("Second", after=1)
    await expect(page.locator("#list li")).to_have_count(2)
    await expect(page.get_by_role("heading", name="Alice invites you to join First")).to_be_visible()
    await expect(page.locator("#list a[aria-current]")).to_contain_text("First")
    await page.get_by_role("link", name="Second").click()
    await expect(page.get_by_role("heading", name="Alice invites you to join Second")).to_be_visible()
    await expect(
        page.frame_locator("iframe").get_by_role("heading", name="Alice invites you to join Second")
    ).to_be_visible()


async def test_a_mail_cannot_run_a_script_or_fetch_anything(site: MailboxSite, page: Page) -> None:
    """A mail with a script and an image, unlike ours, has no effect in the reading pane."""
    html = "<head></head><h1>Hi</h1><img src='/confirm?image'><script>fetch('/confirm?script')</script>"
    site.mailbox.deliver(Mail(Address("bob@example.com"), "Hi", "Hi", html), NOW)
    await page.goto(f"{site.url}/dev/mailbox")
    await expect(page.frame_locator("iframe").get_by_role("heading", name="Hi")).to_be_visible()
    assert site.visits == []
