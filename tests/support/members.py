"""Steps of members and admins, over the API."""

import asyncio
from typing import Any

from service.changes import Watch, hub
from tests.support.service import Browser, Service

MEMBERS = """
query($id: ID!) { community(id: $id) { memberships { nodes { id role viewerCanChange member { id email } } } } }
"""

CHANGE_ROLE = """
mutation($input: ChangeRoleInput!) { changeRole(input: $input) { __typename
  ...on ChangeRoleSuccess { membership { id role } } ...on Problem { message } } }
"""

POLICY = """
mutation($input: UpdateInvitationPolicyInput!) { updateInvitationPolicy(input: $input) { __typename
  ...on UpdateInvitationPolicySuccess { community { policy { linkMinutes invitationDays allowedEmailDomains seatLimit locale } } }
  ...on InvalidInput { field message } ...on Problem { message } } }
"""


def listeners(community: str) -> set[Watch]:
    """Returns the active subscriptions of a community in this process."""
    return set(hub._watches.get(community, ()))


async def subscription_started(community: str, before: set[Watch]) -> None:
    """Waits for a new subscription. It starts in a task, and earlier changes are not replayed."""
    async with asyncio.timeout(20):
        while not listeners(community) - before:  # noqa: ASYNC110 -- the hub has no event
            await asyncio.sleep(0.001)


async def join_owner(service: Service, browser: Browser) -> str:
    """Lets the owner of the demo community accept. Returns the community's id."""
    await browser.accept_as(await service.token_for("owner@example.com"), "owner@example.com")
    return await browser.community_id()


async def invite_and_join(service: Service, admin: Browser, guest: Browser, email: str, role: str = "MEMBER") -> str:
    """Invites a guest, who accepts. Returns the id of the membership."""
    community = await admin.community_id()
    invited = await admin.invite(community, email, role=role)
    assert invited["__typename"] == "InviteMemberSuccess", invited
    accepted = await guest.accept_as(await service.token_for(email), email)
    assert accepted["status"] == "ACCEPTED", accepted
    return str(accepted["membership"]["id"])


async def members(browser: Browser, community: str) -> dict[str, Any]:
    """Returns the memberships by email, as a member of the community receives them."""
    found = (await browser.ask(MEMBERS, id=community))["community"]["memberships"]["nodes"]
    return {node["member"]["email"] or node["member"]["id"]: node for node in found}


async def change_role(browser: Browser, membership: str, role: str) -> Any:
    return (await browser.ask(CHANGE_ROLE, input={"membershipId": membership, "role": role}))["changeRole"]


async def update_policy(browser: Browser, community: str, **change: Any) -> Any:
    policy = {"communityId": community, **change}
    return (await browser.ask(POLICY, input=policy))["updateInvitationPolicy"]


async def audit_kinds(browser: Browser, community: str) -> list[str]:
    """Returns the kinds of the community's audit log, oldest first."""
    query = "query($id: ID!) { community(id: $id) { auditLog(first: 100) { nodes { kind } } } }"
    nodes = (await browser.ask(query, id=community))["community"]["auditLog"]["nodes"]
    return [node["kind"] for node in reversed(nodes)]


async def audit_sentences(browser: Browser, community: str, kind: str) -> list[str]:
    """Returns the sentences of the events of a kind, newest first."""
    query = "query($id: ID!, $kinds: [String!]) { community(id: $id) { auditLog(filter: {kinds: $kinds}) { nodes { summary } } } }"
    nodes = (await browser.ask(query, id=community, kinds=[kind]))["community"]["auditLog"]["nodes"]
    return [node["summary"] for node in nodes]
