"""Members and rules: allowed changes, the loss of access after a removal, and the enforcement of rules."""

import pytest

from tests.support.members import (
    audit_kinds,
    audit_sentences,
    change_role,
    invite_and_join,
    join_owner,
    members,
    update_policy,
)
from tests.support.service import Service

pytestmark = pytest.mark.anyio


async def test_roles_above_ones_own_cannot_be_changed(service: Service) -> None:
    """H128: admins change members and admins, but no owner, and not to owner. Members change no role, their own
    included.
    """
    async with service.browser() as owner, service.browser() as admin, service.browser() as guest:
        community = await join_owner(service, owner)
        own_access = await invite_and_join(service, owner, admin, "admin@example.com", "ADMIN")
        access = await invite_and_join(service, owner, guest, "guest@example.com")
        view = await members(admin, community)
        assert {email: node["viewerCanChange"] for email, node in view.items()} == {
            "owner@example.com": False, "admin@example.com": True, "guest@example.com": True,
        }  # fmt: skip
        owners = view["owner@example.com"]["id"]
        for browser, membership, role in (
            (admin, owners, "MEMBER"), (admin, access, "OWNER"), (admin, own_access, "OWNER"),
            (guest, access, "ADMIN"), (guest, own_access, "MEMBER"),
        ):  # fmt: skip
            assert (await change_role(browser, membership, role))["__typename"] == "NotPermitted"
        assert (await guest.do("removeMember", membershipId=own_access))["__typename"] == "NotPermitted"
        assert (await admin.do("removeMember", membershipId=owners))["__typename"] == "NotPermitted"
        assert {email: node["role"] for email, node in (await members(owner, community)).items()} == {
            "owner@example.com": "OWNER", "admin@example.com": "ADMIN", "guest@example.com": "MEMBER",
        }  # fmt: skip
        assert "membership.role_changed" not in await audit_kinds(owner, community)
        changed = await change_role(admin, access, "ADMIN")
        assert changed["membership"]["role"] == "ADMIN"
        assert await audit_sentences(owner, community, "membership.role_changed") == [
            "Admin made Guest admin; before that they were member."
        ]


async def test_community_keeps_an_owner(service: Service) -> None:
    """The last owner cannot leave and cannot be demoted. With another owner, both are possible."""
    async with service.browser() as owner, service.browser() as other:
        community = await join_owner(service, owner)
        mine = (await members(owner, community))["owner@example.com"]["id"]
        assert (await change_role(owner, mine, "ADMIN"))["__typename"] == "LastOwner"
        assert (await owner.do("removeMember", membershipId=mine))["__typename"] == "LastOwner"
        await invite_and_join(service, owner, other, "other@example.com", "OWNER")
        assert (await change_role(owner, mine, "MEMBER"))["membership"]["role"] == "MEMBER"
        assert (await owner.do("removeMember", membershipId=mine))["__typename"] == "RemoveMemberSuccess"
        assert list(await members(other, community)) == ["other@example.com"]
        assert (await audit_kinds(other, community))[-2:] == ["membership.role_changed", "membership.left"]


async def test_removed_member_loses_access_immediately(service: Service) -> None:
    """H106: the next request of a removed member finds no such community. Account and session remain."""
    async with service.browser() as owner, service.browser() as guest, service.browser() as stranger:
        community = await join_owner(service, owner)
        access = await invite_and_join(service, owner, guest, "guest@example.com", "ADMIN")
        invited = (await guest.invite(community, "later@example.com"))["invitation"]["id"]
        for nobody in (stranger,):
            assert (await nobody.do("removeMember", membershipId=access))["__typename"] == "NotSignedIn"
        assert (await owner.do("removeMember", membershipId="mem_unknown"))["__typename"] == "NotFound"
        assert (await owner.do("removeMember", membershipId=access))["__typename"] == "RemoveMemberSuccess"
        assert (await guest.ask("query($id: ID!) { community(id: $id) { id } }", id=community))["community"] is None
        assert await guest.invitation(invited) is None
        assert (await guest.invite(community, "more@example.com"))["__typename"] == "NotFound"
        assert (await guest.do("removeMember", membershipId=access))["__typename"] == "NotFound"
        assert await guest.viewer_email() == "guest@example.com"
        assert (await owner.invitation(invited))["blockedReason"].startswith("The inviter may no longer")


async def test_omitted_rules_are_unchanged(service: Service) -> None:
    """Omitted fields are unchanged. Null removes the seat limit and is InvalidInput for other fields. The answer names
    the limits.
    """
    async with service.browser() as owner:
        community = await join_owner(service, owner)
        first = await update_policy(owner, community, linkMinutes=15, seatLimit=9, allowedEmailDomains=["@Example.com"])
        assert first["community"]["policy"] == {
            "linkMinutes": 15, "invitationDays": 7, "allowedEmailDomains": ["example.com"], "seatLimit": 9, "locale": None,
        }  # fmt: skip
        second = await update_policy(owner, community, invitationDays=30, seatLimit=None)
        expected = {
            "linkMinutes": 15, "invitationDays": 30, "allowedEmailDomains": ["example.com"], "seatLimit": None, "locale": None,
        }  # fmt: skip
        assert second["community"]["policy"] == expected
        for change, field in (
            ({"linkMinutes": None}, "linkMinutes"), ({"linkMinutes": 16}, "linkMinutes"),
            ({"invitationDays": 0}, "invitationDays"), ({"seatLimit": 0}, "seatLimit"),
            ({"allowedEmailDomains": None}, "allowedEmailDomains"),
            ({"allowedEmailDomains": ["no domain"]}, "allowedEmailDomains"),
            ({"allowedEmailDomains": ["example.com"] * 101}, "allowedEmailDomains"),
        ):  # fmt: skip
            refused = await update_policy(owner, community, **change)
            assert (refused["__typename"], refused["field"]) == ("InvalidInput", field)
        assert (await update_policy(owner, community))["community"]["policy"] == expected
        assert (await audit_kinds(owner, community)).count("policy.changed") == 2


async def test_rules_apply_to_inviting_and_accepting(service: Service) -> None:
    """Domains and seats refuse invitations, and the acceptance of an invitation from before the change. After another
    change, the invitee is accepted.
    """
    async with service.browser() as owner, service.browser() as guest:
        community = await join_owner(service, owner)
        await owner.invite(community, "guest@example.org")
        token = await service.token_for("guest@example.org")
        await update_policy(owner, community, allowedEmailDomains=["example.com"])
        assert (await owner.invite(community, "more@example.org"))["__typename"] == "EmailDomainNotAllowed"
        refused = await guest.accept_as(token, "guest@example.org")
        assert (refused["status"], refused["canRetry"]) == ("NOT_ALLOWED", True)
        await update_policy(owner, community, allowedEmailDomains=[], seatLimit=1)
        assert (await owner.invite(community, "more@example.org"))["__typename"] == "SeatLimitReached"
        assert (await guest.accept_as(None, "guest@example.org"))["status"] == "SEAT_LIMIT_REACHED"
        await update_policy(owner, community, seatLimit=2)
        assert (await guest.accept_as(None, "guest@example.org"))["status"] == "ACCEPTED"
        assert (await update_policy(guest, community, seatLimit=None))["__typename"] == "NotPermitted"
        assert len(await members(owner, community)) == 2


_PAGE = """
query($id: ID!, $first: Int!, $after: String) { community(id: $id) { memberships(first: $first, after: $after) {
  nodes { member { email } } pageInfo { hasNextPage endCursor } } } }
"""


@pytest.mark.parametrize("size", [1, 2, 3])
async def test_cursors_return_each_member_once(service: Service, size: int) -> None:
    """Pages contain each member exactly once, also when several joined at one instant."""
    async with service.browser() as owner:
        community = await join_owner(service, owner)
        for minutes, names in ((1, "ab"), (2, "c"), (3, "de")):
            service.clock.advance(minutes=minutes)
            for name in names:
                async with service.browser() as guest:
                    await invite_and_join(service, owner, guest, f"{name}@example.com")
        expected = list(await members(owner, community))
        found, pages, after = [], 0, None
        while pages == 0 or after:
            page = (await owner.ask(_PAGE, id=community, first=size, after=after))["community"]["memberships"]
            found += [node["member"]["email"] for node in page["nodes"]]
            after, pages = page["pageInfo"]["endCursor"] if page["pageInfo"]["hasNextPage"] else None, pages + 1
            assert pages <= len(expected)
    assert found == expected
    assert sorted(found) == [*(f"{name}@example.com" for name in "abcde"), "owner@example.com"]
    assert pages == len(expected) // size
