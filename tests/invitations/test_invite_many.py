"""Bulk invitations: one outcome per row, each address once, the same limits, and a limited number of statements."""

from typing import Any

import pytest

from tests.conftest import Serve
from tests.support.members import audit_kinds, invite_and_join, join_owner, update_policy
from tests.support.service import Browser, Service
from tests.support.statements import recorded_statements

pytestmark = pytest.mark.anyio

INVITE_MANY = """
mutation($input: InviteMembersInput!) { inviteMembers(input: $input) { __typename
  ...on InviteMembersSuccess { invitedCount outcomes { email result { __typename
    ...on InviteMemberSuccess { invitation { id email status } } ...on AlreadyInvited { invitation { id } }
    ...on AlreadyMember { membership { member { email } } } ...on InvalidInput { field } ...on Problem { message } } } }
  ...on InvalidInput { field message } ...on RateLimited { retryAfterSeconds message } ...on Problem { message } } }
"""


async def _invite_many(browser: Browser, community: str, invitees: list[Any]) -> Any:
    rows = [row if isinstance(row, dict) else {"email": row} for row in invitees]
    return (await browser.ask(INVITE_MANY, input={"communityId": community, "invitees": rows}))["inviteMembers"]


def _kinds(answer: Any) -> list[str]:
    return [outcome["result"]["__typename"] for outcome in answer["outcomes"]]


async def test_every_row_has_its_outcome(service: Service) -> None:
    """H100: outcomes are in order. Duplicates and case variants get one, and are not invited twice. A bad row stops no
    other. Each address gets one mail.
    """
    async with service.browser() as owner:
        community = await join_owner(service, owner)
        await owner.invite(community, "pending@example.com")
        await owner.invite(community, "late@example.com")
        service.clock.advance(days=8)
        await owner.sign_in("owner@example.com")
        await owner.invite(community, "pending@example.com")
        answer = await _invite_many(owner, community, [
            "new@example.com", "NEW@Example.com", "no address", "Pending@example.com", "owner@example.com",
            "late@example.com", {"email": "long@example.com", "message": "x" * 1001},
            {"email": "odd@example.com", "locale": "??"}, {"email": "boss@example.com", "role": "OWNER", "message": "Hi"},
        ])  # fmt: skip
        assert _kinds(answer) == [
            "InviteMemberSuccess", "AlreadyInvited", "InvalidEmail", "AlreadyInvited", "AlreadyMember",
            "InviteMemberSuccess", "InvalidInput", "InvalidInput", "InviteMemberSuccess",
        ]  # fmt: skip
        assert answer["invitedCount"] == 3
        assert [outcome["email"] for outcome in answer["outcomes"]][:3] == [
            "new@example.com",
            "NEW@Example.com",
            "no address",
        ]
        first, second = (answer["outcomes"][number]["result"]["invitation"]["id"] for number in (0, 1))
        assert first == second
        again = await _invite_many(owner, community, ["new@example.com", "late@example.com", "boss@example.com"])
        assert (_kinds(again), again["invitedCount"]) == (["AlreadyInvited"] * 3, 0)
        await service.deliver()
        assert len([mail for mail in service.mailbox.entries if mail.to == "new@example.com"]) == 1
        assert (await audit_kinds(owner, community)).count("invitation.created") == 7


async def test_member_with_another_address_is_already_a_member(service: Service) -> None:
    """The address at which a member accepted is AlreadyMember, alone and among many, until they leave."""
    link = 'mutation { linkIdentity(input: {providerId: "dev"}) { ...on SignInStarted { authorizationUrl } } }'
    made = 'mutation { createCommunity(input: {name: "Two"}) { ...on CreateCommunitySuccess { community { id } } } }'
    async with service.browser() as owner, service.browser() as guest:
        await join_owner(service, owner)
        await invite_and_join(service, owner, guest, "guest@example.com")
        two = (await guest.ask(made))["createCommunity"]["community"]["id"]
        await owner.log_in((await owner.ask(link))["linkIdentity"]["authorizationUrl"], "second@example.com")
        await guest.invite(two, "second@example.com")
        accepted = await owner.accept_as(await service.token_for("second@example.com"), "second@example.com")
        assert accepted["status"] == "ACCEPTED"
        again = await guest.invite(two, "second@example.com")
        assert (again["__typename"], again["membership"]["id"]) == ("AlreadyMember", accepted["membership"]["id"])
        many = await _invite_many(guest, two, ["second@example.com", "owner@example.com", "new@example.com"])
        assert _kinds(many) == ["AlreadyMember", "AlreadyMember", "InviteMemberSuccess"]
        await owner.do("removeMember", membershipId=accepted["membership"]["id"])
        assert (await guest.invite(two, "second@example.com"))["__typename"] == "InviteMemberSuccess"


async def test_too_many_rows_are_refused_whole(service: Service) -> None:
    """H100: 1,001 rows, or none, invite no address. Only admins invite, and only up to their own role."""
    async with service.browser() as owner, service.browser() as admin, service.browser() as guest:
        community = await join_owner(service, owner)
        for rows in ([], [f"guest{number}@example.com" for number in range(1001)]):
            answer = await _invite_many(owner, community, rows)
            assert (answer["__typename"], answer["field"]) == ("InvalidInput", "invitees")
        assert (await _invite_many(guest, community, ["a@example.com"]))["__typename"] == "NotSignedIn"
        await invite_and_join(service, owner, admin, "admin@example.com", "ADMIN")
        answer = await _invite_many(admin, community, [{"email": "a@example.com", "role": "OWNER"}, "b@example.com"])
        assert _kinds(answer) == ["NotPermitted", "InviteMemberSuccess"]
        await invite_and_join(service, owner, guest, "guest@example.com")
        assert (await _invite_many(guest, community, ["c@example.com"]))["__typename"] == "NotPermitted"
        assert (await audit_kinds(owner, community)).count("invitation.created") == 4


async def test_bulk_invitations_follow_the_rules_of_single_ones(serve: Serve) -> None:
    """Seats and limits admit rows from the top as far as they allow. Domains refuse rows. When a limit is reached and
    no row has another outcome, the whole is RateLimited.
    """
    limits = {"attempts_per_client": "off", "invites_per_inviter": "5/1d", "invites_per_community": "4/1d"}
    async with serve(rate_limits=limits) as service, service.browser() as owner:
        community = await join_owner(service, owner)
        await update_policy(owner, community, seatLimit=3, allowedEmailDomains=["example.com"])
        answer = await _invite_many(
            owner, community, ["x@example.org", "a@example.com", "b@example.com", "c@example.com"]
        )
        assert _kinds(answer) == [
            "EmailDomainNotAllowed",
            "InviteMemberSuccess",
            "InviteMemberSuccess",
            "SeatLimitReached",
        ]
        await update_policy(owner, community, seatLimit=None)
        answer = await _invite_many(
            owner, community, ["a@example.com", "c@example.com", "d@example.com", "e@example.com"]
        )
        assert _kinds(answer) == ["AlreadyInvited", "InviteMemberSuccess", "InviteMemberSuccess", "RateLimited"]
        answer = await _invite_many(owner, community, ["e@example.com", "f@example.com"])
        assert answer["__typename"] == "RateLimited"
        assert answer["retryAfterSeconds"] == 24 * 60 * 60
        answer = await _invite_many(owner, community, ["a@example.com", "e@example.com", "E@example.com", "no address"])
        assert _kinds(answer) == ["AlreadyInvited", "RateLimited", "RateLimited", "InvalidEmail"]
        assert (await owner.invite(community, "e@example.com"))["__typename"] == "RateLimited"
        service.clock.advance(days=1, seconds=1)
        await owner.sign_in("owner@example.com")
        assert (
            _kinds(await _invite_many(owner, community, ["e@example.com", "f@example.com"]))
            == ["InviteMemberSuccess"] * 2
        )


async def test_thousand_rows_take_as_many_statements_as_three(serve: Serve) -> None:
    """Three rows take at most 16 statements. A thousand rows add only the notifications that do not fit into one."""
    limits = {"attempts_per_client": "off", "invites_per_inviter": "5000/1d", "invites_per_community": "5000/1d"}
    async with serve(rate_limits=limits) as service, service.browser() as owner:
        community = await join_owner(service, owner)
        with recorded_statements() as few:
            assert (await _invite_many(owner, community, [f"few{n}@example.com" for n in range(3)]))[
                "invitedCount"
            ] == 3
        with recorded_statements() as many:
            answer = await _invite_many(owner, community, [f"many{n}@example.com" for n in range(1000)])
        assert answer["invitedCount"] == 1000
        assert len(few) <= 16, few
        assert len(many) <= len(few) + 3, [statement.sql[:80] for statement in many]
