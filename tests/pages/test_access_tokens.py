"""Access tokens: creation, roles and revocation."""

import pytest
from playwright.async_api import Page, expect

from service.models import AccessToken, Invitation
from tests.support.chromium import (
    GUEST,
    OWNER,
    Site,
    accept_as,
    assert_accessible,
    heading,
    press,
    sign_in,
    visible_text,
)
from tests.support.console import end_session_at
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


async def test_form_input_survives_an_ended_session(site: Site) -> None:
    """After the session has ended, the press leads to the sign-in and back, with address, role and message filled in."""
    async with site.owner():
        page = await site.person()
        await sign_in(page)
        await page.get_by_role("link", name="Demo").click()
        await page.get_by_label("Email address").fill(GUEST)
        await page.get_by_label("Role", exact=True).select_option("ADMIN")
        await page.get_by_text("Add a message").click()
        await page.get_by_label("Message").fill("Come and see.")
        await end_session_at(page, "mutation Invite(")
        await press(page, "Send invitation")
        await expect(visible_text(page, "You were signed out. Sign in to go on.")).to_be_visible()
        await accept_as(page, None, OWNER)
        await expect(page.get_by_label("Email address")).to_have_value(GUEST)
        await expect(page.get_by_label("Role", exact=True)).to_have_value("ADMIN")
        await expect(page.get_by_label("Message")).to_have_value("Come and see.")
        assert await page.evaluate("sessionStorage.length") == 0
        await press(page, "Send invitation")
        await expect(visible_text(page, f"The invitation to {GUEST} is on its way.")).to_be_visible()
