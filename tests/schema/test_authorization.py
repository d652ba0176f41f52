"""Authorization, field by field: a table over the whole schema, which fails when a new field has no row (H125, H126)."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

import orjson
import pytest
from graphql import GraphQLInterfaceType, GraphQLObjectType

from service.models import Member, Membership
from service.tokens import new_id
from tests.accounts.test_access_tokens import CREATE
from tests.schema.test_contract import RUNNING
from tests.support.members import invite_and_join, join_owner, listeners, subscription_started
from tests.support.service import Browser, Service

pytestmark = pytest.mark.anyio

ROLES: Final = ("anonymous", "outsider", "member", "admin", "owner")  # the outsider is an admin of another community
NOBODY = "com_AAAAAAAAAAAAAAAAAAAAAA"


@dataclass
class World:
    """A community with one person of each role, and the ids of its objects. `number` makes new addresses."""

    service: Service
    people: dict[str, Browser]
    community: str
    other: str
    invitation: str
    membership: str
    event: str
    token: str
    number: Iterator[int]

    async def invited(self) -> str:
        """A new invitation, sent."""
        answer = await self.people["owner"].invite(self.community, f"fresh{next(self.number)}@example.com")
        await self.service.deliver()
        return str(answer["invitation"]["id"])

    async def joined(self) -> str:
        """The membership of a new member."""
        now = self.service.clock()
        member = await Member.create(id=new_id("per"), created_at=now)
        access = await Membership.create(
            id=new_id("mem"), member=member, community_id=self.community, role="MEMBER", joined_at=now
        )
        return str(access.id)


@pytest.fixture
async def world(service: Service) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        people = {role: await stack.enter_async_context(service.browser()) for role in ROLES}
        owner = people["owner"]
        community = await join_owner(service, owner)
        service.clock.advance(seconds=1)
        await invite_and_join(service, owner, people["admin"], "admin@example.com", "ADMIN")
        service.clock.advance(seconds=1)
        membership = await invite_and_join(service, owner, people["member"], "member@example.com")
        made = (
            'mutation { createCommunity(input: {name: "Other"}) { ...on CreateCommunitySuccess { community { id } } } }'
        )
        other = (await owner.ask(made))["createCommunity"]["community"]["id"]
        await owner.invite(other, "outsider@example.com", role="ADMIN")
        await people["outsider"].accept_as(await service.token_for("outsider@example.com"), "outsider@example.com")
        invitation = (await owner.invite(community, "guest@example.com"))["invitation"]["id"]
        events = await owner.ask("query($i: ID!) { invitation(id: $i) { timeline { nodes { id } } } }", i=invitation)
        conditions = {"name": "Mine", "scopes": ["READ"], "communityIds": [community]}
        token = (await owner.ask(CREATE, input=conditions))["createAccessToken"]["accessToken"]["id"]
        event = events["invitation"]["timeline"]["nodes"][0]["id"]
        yield World(service, people, community, other, invitation, membership, event, token, count())


Row = tuple[Callable[[World], Any], tuple[str, str, str, str, str]]


def _always(answer: str) -> tuple[str, str, str, str, str]:
    return answer, answer, answer, answer, answer


def _admins(success: str, member: str = "NotPermitted") -> tuple[str, str, str, str, str]:
    return "NotSignedIn", "NotFound", member, success, success


async def _nothing(_: World) -> dict[str, Any]:
    return {}


def _input_of(**conditions: Any) -> Callable[[World], Any]:
    """An input whose callable parts are computed from the world."""

    async def make(world: World) -> dict[str, Any]:
        made = {name: value(world) if callable(value) else value for name, value in conditions.items()}
        return {name: await value if hasattr(value, "__await__") else value for name, value in made.items()}

    return make


_COMMUNITY = {"communityId": lambda world: world.community}

# The answer for each role, in the order of ROLES.
MUTATIONS: dict[str, Row] = {
    "inviteMember": (
        _input_of(**_COMMUNITY, email=lambda world: f"single{next(world.number)}@example.com"),
        _admins("InviteMemberSuccess"),
    ),
    "inviteMembers": (
        _input_of(**_COMMUNITY, invitees=lambda world: [{"email": f"many{next(world.number)}@example.com"}]),
        _admins("InviteMembersSuccess"),
    ),
    "resendInvite": (_input_of(invitationId=lambda world: world.invited()), _admins("ResendInviteSuccess", "NotFound")),
    "revokeInvite": (_input_of(invitationId=lambda world: world.invited()), _admins("RevokeInviteSuccess", "NotFound")),
    "changeRole": (_input_of(membershipId=lambda world: world.joined(), role="MEMBER"), _admins("ChangeRoleSuccess")),
    "removeMember": (_input_of(membershipId=lambda world: world.joined()), _admins("RemoveMemberSuccess")),
    "updateInvitationPolicy": (_input_of(**_COMMUNITY, linkMinutes=9), _admins("UpdateInvitationPolicySuccess")),
    "createCommunity": (_input_of(name="New"), ("NotSignedIn", *("CreateCommunitySuccess",) * 4)),
    "createAccessToken": (
        _input_of(name="x", scopes=["READ"], communityIds=lambda world: [world.community]),
        _admins("CreateAccessTokenSuccess", "CreateAccessTokenSuccess"),
    ),
    "revokeAccessToken": (
        _input_of(accessTokenId=lambda world: world.token),
        ("NotSignedIn", "NotFound", "NotFound", "NotFound", "RevokeAccessTokenSuccess"),
    ),
    "linkIdentity": (_input_of(providerId="dev"), ("NotSignedIn", *("SignInStarted",) * 4)),
    "signOut": (_input_of(sessionId="ses_AAAAAAAAAAAAAAAAAAAAAA"), _always("NotFound")),
    # These belong to the holder of a link or of a browser's flow, independent of their role.
    "acceptInvite": (_input_of(token="wrong", providerId="dev"), _always("InviteLinkInvalid")),
    "confirmAcceptance": (_input_of(acceptanceId="flw_AAAAAAAAAAAAAAAAAAAAAA", code="1"), _always("InviteLinkInvalid")),
    "requestOtherAddress": (_input_of(acceptanceId="flw_AAAAAAAAAAAAAAAAAAAAAA"), _always("InviteLinkInvalid")),
    "declineInvite": (_input_of(token="wrong"), _always("InviteLinkInvalid")),
    "requestFreshLink": (_input_of(token="wrong"), _always("RequestFreshLinkAnswer")),
    "signIn": (_input_of(providerId="dev"), _always("SignInStarted")),
}

_ADMINS, _MEMBERS = ("null", "null", "null", "set", "set"), ("null", "null", "set", "set", "set")
_SIGNED_IN = ("null", "set", "set", "set", "set")

QUERIES: dict[str, tuple[str, Callable[[World], dict[str, Any]], tuple[str, str, str, str, str]]] = {
    "node": ("($id: ID!)", lambda world: {"id": world.community}, _MEMBERS),
    "community": ("($id: ID!)", lambda world: {"id": world.community}, _MEMBERS),
    "invitation": ("($id: ID!)", lambda world: {"id": world.invitation}, _ADMINS),
    "viewer": ("", lambda _: {}, _SIGNED_IN),
    "providers": ("", lambda _: {}, _always("set")),
    "invitePreview": ("($token: String)", lambda _: {"token": "wrong"}, _always("null")),
    "acceptance": ("", lambda _: {}, _SIGNED_IN),  # each accepted through a flow of this browser
    "signInOutcome": ("", lambda _: {}, _always("null")),
}

# The roles that see an object by its id.
NODES: dict[str, tuple[Callable[[World], str], tuple[str, str, str, str, str]]] = {
    "Community": (lambda world: world.community, _MEMBERS),
    "Invitation": (lambda world: world.invitation, _ADMINS),
    "Membership": (lambda world: world.membership, _MEMBERS),
    "AuditEvent": (lambda world: world.event, _ADMINS),
    "AccessToken": (lambda world: world.token, ("null", "null", "null", "null", "set")),
}

# Fields with further conditions than access to their object: the roles that get a value from the community Demo.
GUARDED: dict[str, tuple[str, tuple[str, str, str]]] = {
    "Community.invitations": ("invitations { nodes { id } }", ("null", "set", "set")),
    "Community.invitationCounts": ("invitationCounts { pending }", ("null", "set", "set")),
    "Community.invitationFunnel": ("invitationFunnel { invited }", ("null", "set", "set")),
    "Community.quota": ("quota { byYou }", ("null", "set", "set")),
    "Community.auditLog": ("auditLog { nodes { id } }", ("null", "set", "set")),
    "Member.email": ("memberships { nodes { member { email } } }", ("null", "set", "set")),
    "Member.displayEmail": ("memberships { nodes { member { displayEmail } } }", ("null", "set", "set")),
    "Membership.viewerCanChange": ("memberships { nodes { viewerCanChange } }", ("null", "null", "set")),
}

# Visible with their object: access to it is checked. The last four are always the caller's own.
OPEN: dict[str, str] = {
    "Community": "id name viewerRole memberCount memberships policy",
    "Membership": "id member community role joinedAt",
    "Member": "id name createdAt",
    "InvitationPolicy": "linkMinutes invitationDays allowedEmailDomains displayEmailDomains seatLimit locale",
    "InvitationQuota": "byYou byCommunity resetsAt",
    "Invitation": "id community email displayEmail role message locale inviter status blockedReason blockedCode delivery deliveryReason"
    " deliveryCode createdAt"
    " expiresAt lastSentAt deliveredAt acceptedAt declinedAt revokedAt revokedBy acceptedBy erasedAt proposedEmail displayProposedEmail canResend"
    " canResendAt canRevoke timeline",
    "InvitationCounts": "pending accepted declined revoked expired",
    "InvitationWeek": "startsAt invited sent delivered opened accepted",
    "AuditEvent": "id kind at actor invitation membership summary details times lastAt",
    "EventDetail": "key value",
    "Provider": "id label",
    "InvitePreview": "communityName inviterName maskedEmail role message linkExpiresAt providers",
    "Acceptance": "id status reason communityName membership maskedEmail signedInEmail provider message canRetry"
    " canRequestOtherAddress otherAddressRequested",
    "SignInOutcome": "status provider message",
    "PageInfo": "hasNextPage hasPreviousPage startCursor endCursor",
    "Viewer": "member memberships identities sessions accessTokens mayCreateCommunities",
    "Identity": "id provider issuer email displayEmail linkedAt lastUsedAt",
    "Session": "id current createdAt lastSeenAt provider userAgent",
    "AccessToken": "id name scopes communityIds createdAt expiresAt lastUsedAt highestRole",
}
_ANSWERS = ("Success", "Connection", "Edge", "Started", "Answer", "Outcome")


def test_every_field_has_a_row() -> None:
    """H125: a new field of the schema fails here until its row names the roles that see it."""
    roots = {"Query": set(QUERIES), "Mutation": set(MUTATIONS), "Subscription": {"invitationChanged"}}
    for name, kind in RUNNING.type_map.items():
        if not isinstance(kind, GraphQLObjectType) or name.startswith("__"):
            continue
        if name in roots:
            assert set(kind.fields) == roots[name], name
        elif not _is_answer(name, kind):
            guarded = {field.partition(".")[2] for field in GUARDED if field.startswith(f"{name}.")}
            assert set(kind.fields) == set(OPEN[name].split()) | guarded, name


def _is_answer(name: str, kind: GraphQLObjectType) -> bool:
    """Whether a type is an answer of a mutation or a page. These have no data of their own."""
    problem = any(isinstance(face, GraphQLInterfaceType) and face.name == "Problem" for face in kind.interfaces)
    return problem or (name.endswith(_ANSWERS) and name not in OPEN)


async def test_every_mutation_follows_the_table(world: World) -> None:
    """H125, H126: deny by default; NotFound for another community's objects. A refusal changes nothing and sends
    nothing.
    """
    for name, (make, expected) in MUTATIONS.items():
        for role, answer in zip(ROLES, expected, strict=True):
            conditions = await make(world)
            await world.service.deliver()
            mails = len(world.service.mailbox.entries)
            facts = await world.people[role].do(name, **conditions)
            assert facts["__typename"] == answer, (name, role, facts)
            await world.service.deliver()
            if answer.startswith("Not"):
                assert len(world.service.mailbox.entries) == mails, (name, role)


async def test_every_query_follows_the_table(world: World) -> None:
    """H125: a forbidden object is null, like an unknown one."""
    for name, (head, make, expected) in QUERIES.items():
        arguments = f"({', '.join(f'{key}: ${key}' for key in make(world))})" if make(world) else ""
        for role, answer in zip(ROLES, expected, strict=True):
            query = f"query{head} {{ {name}{arguments} {{ __typename }} }}"
            found = (await world.people[role].ask(query, **make(world)))[name]
            assert ("null" if found is None else "set") == answer, (name, role)


async def test_every_node_follows_the_table(world: World) -> None:
    """An id alone opens nothing. Sessions and identities are always the caller's own."""
    own = {}
    for role in ROLES[1:]:
        viewer = (await world.people[role].ask("{ viewer { member { id } sessions { id } identities { id } } }"))[
            "viewer"
        ]
        own[role] = [viewer["sessions"][0]["id"], viewer["identities"][0]["id"]]
    for role, ids in own.items():
        for id in ids:
            view = [who for who in ROLES if await _node(world, who, id) == "set"]
            assert view == [role]
    for name, (id_of, expected) in NODES.items():
        assert tuple([await _node(world, role, id_of(world)) for role in ROLES]) == expected, name
    implementing = {kind.name for kind in RUNNING.get_implementations(RUNNING.type_map["Node"]).objects}  # type: ignore[arg-type]
    assert implementing == {*NODES, "Member", "Session", "Identity"}


async def _node(world: World, role: str, id: str) -> str:
    found = (await world.people[role].ask("query($id: ID!) { node(id: $id) { id } }", id=id))["node"]
    return "null" if found is None else "set"


async def test_guarded_fields_are_null_for_others(world: World) -> None:
    """H125: a member sees no invitations, counts, log or addresses of others, and cannot change another member."""
    for name, (selection, expected) in GUARDED.items():
        for role, answer in zip(("member", "admin", "owner"), expected, strict=True):
            query = f"query($id: ID!) {{ community(id: $id) {{ {selection} }} }}"
            found = (await world.people[role].ask(query, id=world.community))["community"]
            assert _value(found, role) == answer, (name, role, found)


def _value(found: Any, role: str) -> str:
    """Whether a community's field has a value. For its members, whether those of others (owner first) have one."""
    value = next(iter(found.values()))
    if isinstance(value, dict) and "nodes" in value and "id" not in str(value["nodes"][0].keys()):
        others = value["nodes"][0] if role != "owner" else value["nodes"][1]
        value = others.get("viewerCanChange") or next(iter((others.get("member") or {}).values()), None)
    return "set" if value else "null"


async def test_subscription_follows_the_table(world: World) -> None:
    """H125: only admins and owners receive a change. Others get an error and the end of the stream."""
    query = "subscription($id: ID!) { invitationChanged(communityId: $id) { id } }"
    body = {"query": query, "variables": {"id": world.community}}
    for role, expected in zip(ROLES, ("error", "error", "error", "open", "open"), strict=True):
        client = world.people[role].client
        before = listeners(world.community)
        async with client.stream("POST", "/graphql", json=body, headers={"accept": "text/event-stream"}) as response:
            lines = response.aiter_lines()
            if expected == "open":
                await subscription_started(world.community, before)
                await world.invited()
            assert await anext(lines) == "event: next"
            reported = orjson.loads((await anext(lines)).removeprefix("data: "))
            assert ("error" if reported["data"] is None else "open") == expected, (role, reported)
