"""Return addresses in Chromium: a stored address leads to the same URL as the given text."""

import random
import re
from typing import Any
from urllib.parse import unquote

import pytest
from playwright.async_api import Browser as Chromium

from service.errors import InvalidInput
from service.settings import load_settings
from service.sign_in.return_to import allowed_return
from tests.support.chromium import browser

__all__ = ["browser"]
pytestmark = pytest.mark.anyio

_OURS, _APP = "https://id.example.com", "https://app.example.com"
_PIECES = [
    "/", "//", "\\", "/", "/", ".", "..", "/../", "/./", "%2e", "%2E%2e/", "%2f", "%5c", "%09", "%0d%0a", "%25", "%00", "\t", "\n",
    "\r", " ", "\x00", "\x1f", "auth", "/auth/", "AUTH", "%61uth", "au\tth", "dev", "welcome", "/welcome", "x", "?a=b", "?", "#",
    "#c", ":", "@", ";", "é", "\u3002", "|", '"', "<", "{", "`", _OURS, _OURS, "HTTPS://ID.example.com:443", _APP, "https:", "http:",
    "https://id.example.com@", "evil.example", "//evil.example", "javascript:", "blob:", "https://[::1", "id.example.com",
]  # fmt: skip
_IN_A_LOGIN = re.compile(r"/(/|auth(/|$)|dev(/|$))", re.IGNORECASE)
_READ = """
([texts, base]) => texts.map(text => {
    try { const url = new URL(text, base); return [url.href, url.origin, url.pathname, url.username + url.password]; }
    catch { return null; }
})
"""


def _spellings(number: int) -> list[str]:
    """Returns the same spellings in every run."""
    chance = random.Random(20261130)  # noqa: S311 -- examples, not secrets
    texts = ["".join(chance.choices(_PIECES, k=chance.randint(1, 6))) for _ in range(number)]
    return [f"{chance.choice(['/', '/', _OURS, _APP, ''])}{text}" for text in texts]


async def test_chromium_resolves_the_stored_address_like_the_given_one(browser: Chromium) -> None:
    """H190: each of many spellings is rejected, or stored as the same URL. No spelling leads to another site or into a
    login.
    """
    settings = load_settings(environ={}, public_url=_OURS, allowed_origins=[_APP], database_url="postgres://x/y")
    base = f"{_OURS}/auth/dev/callback"
    stored = {text: _stored(text, settings) for text in _spellings(6000)}
    page = await browser.new_page()
    arguments = dict(zip(stored, await page.evaluate(_READ, [list(stored), base]), strict=True))
    accepted = {text: written for text, written in stored.items() if written is not None}
    then = dict(zip(accepted, await page.evaluate(_READ, [list(accepted.values()), base]), strict=True))
    assert len(accepted) > 1000
    assert len({written for written in accepted.values() if written.startswith("/")}) > 300
    for text in accepted:
        assert then[text] == arguments[text], text
        _, origin, path, credentials = arguments[text]
        assert (origin in {_OURS, _APP}, credentials) == (True, ""), text
        assert origin == _APP or not _IN_A_LOGIN.match(unquote(path)), text
    refused = [text for text, written in stored.items() if written is None]
    assert all(arguments[text] is None or arguments[text][1] != _APP or arguments[text][3] for text in refused)


def _stored(text: str, settings: Any) -> str | None:
    try:
        return allowed_return(text, settings)
    except InvalidInput:
        return None
