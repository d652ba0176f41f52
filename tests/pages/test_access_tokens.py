"""Access tokens: creation, roles and revocation."""

import pytest
from playwright.async_api import Page, expect

from service.models import AccessToken, Invitation
from tests.support.chromium import (
    GUEST,
    Site,
    assert_accessible,
    heading,
    press,
    sign_in,
    visible_text,
)
from tests.support.service import http_client

pytestmark = pytest.mark.anyio


async def _make_token(page: Page, name: str, scope: str, role: str | None = None) -> str:
    """Creates a token on the account page with the given highest role, and returns its text."""
    await page.get_by_label("Name").fill(name)
    await page.get_by_role("checkbox", name="Demo").check()
    await page.get_by_label("What it may do").select_option(scope)
    if role is not None:
        await page.get_by_label("Highest role it may invite to").select_option(role)
    await press(page, "Create the token")
    await expect(page.get_by_role("listitem").filter(has_text=name)).to_have_count(1)
    return await page.get_by_label("Your new token").input_value()


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


async def test_the_highest_role_of_a_token_is_chosen_and_listed(site: Site) -> None:
    """H196: a token invites up to member unless its owner chooses admin. The choice appears for inviting only, and the
    list shows it.
    """
    async with site.owner():
        page = await site.person()
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
async def test_a_token_is_revoked_with_its_invitations_or_without(site: Site, *, too: bool) -> None:
    """H197: with the box ticked, revoking a token revokes the pending invitations made with it. A token that only reads
    has no such box.
    """
    async with site.owner() as owner:
        page = await site.person()
        await sign_in(page)
        await page.get_by_role("link", name="My account").click()
        await expect(heading(page)).to_have_text("My account")
        await _make_token(page, "Reader", "READ")
        token = await _make_token(page, "Import", "INVITE")
        body = {
            "query": "mutation($input: InviteMemberInput!) { inviteMember(input: $input) { __typename } }",
            "variables": {"input": {"communityId": await owner.community_id(), "email": GUEST}},
        }
        async with http_client(site.service.url, headers={"authorization": f"Bearer {token}"}) as script:
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
        await expect(visible_text(page, "The token Import is revoked.")).to_be_visible()
        assert await Invitation.filter(email=GUEST, revoked_at__not_isnull=True).count() == int(too)
