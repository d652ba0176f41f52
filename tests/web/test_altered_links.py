"""Links that a mail program altered: the token moves back into the fragment, and nothing is consumed."""

import pytest

from service.models import Flow, Invitation
from tests.support.service import PREVIEW, Browser, Service

pytestmark = pytest.mark.anyio

OWNER = "owner@example.com"
TOKEN = "23aB-_" + 37 * "x"

ALTERED = [
    "/confirm/{token}",
    "/confirm%23{token}",
    "/confirm%2523{token}",
    "/confirm%252523{token}",
    "/confirm/%23{token}",
    "/confirm//{token}",
    "/confirm%2F%23{token}",
    "/CONFIRM/{token}",
    "/Confirm%23{token}",
    "/confirm/{token}.",
    "/confirm/{token}/",
    "/confirm%23{token})",
    "/confirm%23{token}%3E",
    "/confirm%23{token}%0A",
    "/confirm%23{token}%E2%80%8B",
    "/confirm/{token}%20Best%20regards",
    "/confirm/{token}?utm_source=mail",
    "/confirm%23{token}&utm_source=mail",
    "/confirm%23{token}//evil.example",
]


@pytest.mark.parametrize("engine", ["sqlite"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ALTERED)
async def test_altered_link_is_redirected_to_the_page(service: Service, path: str, method: str) -> None:
    """A token in the path moves into the fragment of our own page. Neither caches nor a Referer keep it."""
    async with service.browser() as browser:
        answer = await browser.client.request(
            method, path.format(token=TOKEN), headers={"x-forwarded-host": "evil.example"}
        )
    assert (answer.status_code, answer.headers["location"]) == (303, f"/confirm#{TOKEN}")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert (answer.content, "set-cookie" in answer.headers) == (b"", False)


@pytest.mark.parametrize("engine", ["sqlite"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_altered_link_accepts_reading_only(service: Service, method: str) -> None:
    """Another method gets 405 and no redirect."""
    async with service.browser() as browser:
        answer = await browser.client.request(method, f"/confirm/{TOKEN}")
    assert (answer.status_code, "location" in answer.headers) == (405, False)


@pytest.mark.parametrize("engine", ["sqlite"])
@pytest.mark.parametrize(
    "path",
    [
        "/confirm/", "/confirm/help", "/confirm%23", f"/confirm/{TOKEN[:42]}", f"/confirm/{TOKEN}x", f"/confirm{TOKEN}",
        f"/{TOKEN}", f"/confirm/x/{TOKEN}", f"//evil.example/confirm/{TOKEN}", f"/confirm%00{TOKEN}", "/CONFIRM",
    ],
)  # fmt: skip
async def test_other_paths_are_not_found(service: Service, path: str) -> None:
    """A path without the page's name and a whole token is not found, and no redirect leads anywhere."""
    async with service.browser() as browser:
        answer = await browser.client.get(f"{service.url}{path}")
    assert (answer.status_code, "location" in answer.headers) == (404, False)


async def test_altered_link_consumes_nothing(service: Service) -> None:
    """Following an altered link many times leaves the invitation, its link and the browser as they were."""
    async with service.browser() as guest:
        token = await service.token_for(OWNER)
        before = await _state(guest, token)
        for path in ALTERED:
            await guest.client.get(path.format(token=token))
        assert await _state(guest, token) == before
        assert await Flow.all().count() == 0
        assert (await guest.accept_as(token, OWNER))["status"] == "ACCEPTED"


async def _state(browser: Browser, token: str) -> tuple[object, ...]:
    preview = (await browser.ask(PREVIEW, token=token))["invitePreview"]
    invitation = await Invitation.get()
    return preview["linkExpiresAt"], invitation.opened_at, invitation.accepted_at, list(browser.client.cookies)
