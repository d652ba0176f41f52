"""The invitation policy of a community."""

import pytest
from playwright.async_api import expect

from tests.support.chromium import (
    Site,
    assert_accessible,
    press,
    sign_in,
    visible_text,
)
from tests.support.service import http_client

pytestmark = pytest.mark.anyio


async def test_an_access_token_is_shown_once_and_revoked(site: Site) -> None:
    """A token needs a name and a community. It is shown once, works for a script, and fails after it was revoked."""
    async with site.owner() as owner:
        page = await site.person()
        await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        await sign_in(page)
        await page.get_by_role("link", name="My account").click()
        await press(page, "Create the token")
        await expect(page.get_by_label("Name")).to_be_focused()
        await page.get_by_label("Name").fill("Nightly import")
        await page.get_by_role("checkbox", name="Demo").uncheck()
        await press(page, "Create the token")
        await expect(visible_text(page, "Choose at least one community.")).to_be_visible()
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
        async with http_client(site.service.url, headers=headers) as script:
            seen = (await script.post("/graphql", json=body)).json()["data"]["viewer"]["memberships"]
            assert [found["community"]["id"] for found in seen] == [await owner.community_id()]
            await page.reload()
            await expect(visible_text(page, "Read and invite · Demo")).to_be_visible()
            assert token not in await page.content()
            await page.get_by_role("button", name="Revoke Nightly import").click()
            await page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
            await expect(visible_text(page, "The token Nightly import is revoked.")).to_be_visible()
            refused = await script.post("/graphql", json=body)
            assert refused.status_code == 401 or refused.json()["data"]["viewer"] is None
