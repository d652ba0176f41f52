"""The cost of an operation: lists multiply, responses have a maximum size, and validation stops early."""

import asyncio
import time
from datetime import timedelta
from typing import Any

import httpx2
import orjson
import pytest

from schema.limits.cost import MOST_COUNTS, MOST_POINTS, MOST_ROWS
from schema.limits.document_cache import DocumentRefused
from schema.limits.document_size import MOST_ERRORS, MOST_FIELDS, MOST_VALUES
from schema.limits.selection_plans import MOST_BYTES
from schema.schema import build
from service import audit
from service.accounts.identities import MOST_IDENTITIES
from service.accounts.sessions import MOST_LISTED
from service.communities.members import MOST_MEMBERSHIPS
from service.models import Community, Identity, Invitation, Member, Membership, Role, Session
from service.tokens import new_id
from tests.accounts.test_access_tokens import CREATE
from tests.conftest import Serve
from tests.schema.test_subscriptions import PATIENCE, _hear, _say, _socket
from tests.support.members import audit_kinds, join_owner, listeners, subscription_started
from tests.support.service import Service, http_client

pytestmark = pytest.mark.anyio

_TIMELINES = (
    "community {{ invitations(first: {size}) {{ nodes {{ timeline(first: {size}) {{ nodes {{ id kind }} }} }} }} }}"
)
_OUTCOMES = """
... on InviteMembersSuccess {{ invitedCount outcomes {{ email result {{ __typename
  ... on AlreadyInvited {{ invitation {{ {part} }} }} ... on InviteMemberSuccess {{ invitation {{ {part} }} }} }} }} }}
"""


def _inviting(part: str) -> str:
    outcomes = _OUTCOMES.format(part=part)
    return f"mutation($input: InviteMembersInput!) {{ inviteMembers(input: $input) {{ __typename {outcomes} }} }}"


async def _refusal(client: httpx2.AsyncClient, query: str, **variables: Any) -> dict[str, Any]:
    """The single error of an operation without data."""
    body = (await client.post("/graphql", json={"query": query, "variables": variables})).json()
    assert body["data"] is None
    (error,) = body["errors"]
    return dict(error)


async def test_rows_of_a_mutation_multiply_their_selection(service: Service) -> None:
    """H200: 300 rows of inviteMembers, each with nested pages, are refused before any invitation. Two rows with short
    pages are answered.
    """
    async with service.browser() as owner:
        community = await join_owner(service, owner)
        expected = {"name": "Script", "scopes": ["INVITE"], "communityIds": [community], "expiresInDays": 1}
        token = (await owner.ask(CREATE, input=expected))["createAccessToken"]["token"]
        rows = [{"email": "owner@example.com"}] * 299 + [{"email": "new@example.com"}]
        full, short = (_inviting(_TIMELINES.format(size=size)) for size in (100, 3))
        kinds = await audit_kinds(owner, community)
        async with http_client(service.url, headers={"authorization": f"Bearer {token}"}) as script:
            error = await _refusal(script, full, input={"communityId": community, "invitees": rows})
            assert error["message"].startswith("6060600 rows in lists found. Allowed: 20000.")
            assert error["extensions"] == {"code": "TOO_COSTLY"}
            assert await audit_kinds(owner, community) == kinds
            body = {"query": short, "variables": {"input": {"communityId": community, "invitees": rows[-2:]}}}
            few = (await script.post("/graphql", json=body)).json()["data"]["inviteMembers"]
        assert few["invitedCount"] == 1
        nodes = few["outcomes"][1]["result"]["invitation"]["community"]["invitations"]["nodes"]
        assert sorted(len(node["timeline"]["nodes"]) for node in nodes) == [1, 3]


_LITERAL = 'inviteMembers(input: {communityId: "com_x", invitees: [%s]}) { __typename ' + _OUTCOMES.format(
    part=_TIMELINES.format(size=20)
)


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        ("mutation { " + _LITERAL % ('{email: "a@example.com"} ' * 100) + " } }", {}),
        (
            "mutation($row: InviteeInput!) { " + _LITERAL % ("$row " * 100) + " } }",
            {"row": {"email": "a@example.com"}},
        ),
        (
            "mutation($rows: [InviteeInput!]!) { " + (_LITERAL % "").replace("[]", "$rows") + " } }",
            {"rows": [{"email": "a@example.com"}] * 100},
        ),
        (
            'query($n: Int = 100) { community(id: "x") { invitations(first: $n) { nodes { timeline(first: $n) { edges { node { invitation { id } } } } } } } }',
            {},
        ),
        ("{ viewer { memberships { community { invitations { nodes { community { memberships { nodes { id } } } } } } } } }", {}),
        ("{ viewer { memberships { ...a } } } fragment a on Membership { community { invitations(first: 100) { ...b } } } fragment b on InvitationConnection { nodes { id } edges { cursor } }", {}),
    ],
    ids=["literal-rows", "a-variable-for-each-row", "a-variable-for-the-list", "a-default", "memberships", "fragments"],
)  # fmt: skip
async def test_every_way_to_name_a_long_list_counts(
    production: httpx2.AsyncClient, query: str, variables: dict[str, Any]
) -> None:
    """H200: rows count in the document, in variables, in defaults and in fragments."""
    assert (await _refusal(production, query, **variables))["extensions"]["code"] == "TOO_COSTLY"


async def test_page_counts_by_its_variable(production: httpx2.AsyncClient) -> None:
    """H200: one document is answered with short pages and refused with long ones, each time."""
    query = 'query($n: Int) { community(id: "x") { invitations(first: $n) { nodes { timeline(first: $n) { nodes { invitation { id } } } } } } }'
    for size, refused in ((5, False), (100, True), (5, False), (100, True), (10**6, True), (None, False)):
        body = (await production.post("/graphql", json={"query": query, "variables": {"n": size}})).json()
        assert ("errors" in body) is refused, (size, body)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        (
            "mutation($input: InviteMembersInput!) {"
            + " ".join(f"a{n}: inviteMembers(input: $input) {{ __typename }}" for n in range(15))
            + "}",
            f"3001215 points of cost found. Allowed: {MOST_POINTS}.",
        ),
        (
            "{ viewer { memberships { community { " + " ".join(f"a{n}: memberCount" for n in range(6)) + " } } } }",
            f"1200 counts over whole communities found. Allowed: {MOST_COUNTS}.",
        ),
        (
            "{ viewer { memberships { community { invitationFunnel(weeks: 26) { invited } } } } }",
            f"5200 counts over whole communities found. Allowed: {MOST_COUNTS}.",
        ),
    ],
    ids=["mutations-without-their-outcomes", "counts", "weeks"],
)
async def test_expensive_operations_without_rows_are_counted(
    production: httpx2.AsyncClient, query: str, words: str
) -> None:
    """H200: the work of a mutation counts without a selection, and each alias of a count counts."""
    rows = {"communityId": "com_x", "invitees": [{"email": "a@example.com"}] * 1000}
    variables = {"input": rows} if "$input" in query else {}
    assert (await _refusal(production, query, **variables))["message"].startswith(words)


async def test_own_lists_hold_no_more_than_they_count(service: Service) -> None:
    """H200: communities, sessions and sign-ins are listed up to the limit of their cost."""
    async with service.browser() as owner:
        await join_owner(service, owner)
        now, member = service.clock(), await Member.get(email="owner@example.com")
        places = [
            Community(id=new_id("com"), name=f"C{number:03}", created_at=now) for number in range(MOST_MEMBERSHIPS)
        ]
        await Community.bulk_create(places)
        await Membership.bulk_create(
            Membership(id=new_id("mem"), community_id=access.id, member_id=member.id, role=Role.OWNER, joined_at=now)
            for access in places
        )
        await Session.bulk_create(
            Session(id=new_id("ses"), member_id=member.id, digest=f"{n:064}", provider_id="dev", created_at=now,
                    last_seen_at=now + timedelta(seconds=n), expires_at=now + timedelta(days=1))
            for n in range(MOST_LISTED)
        )  # fmt: skip
        await Identity.bulk_create(
            Identity(
                id=new_id("idn"),
                member_id=member.id,
                issuer="https://x.example",
                subject=str(n),
                linked_at=now,
                provider_id="dev",
            )
            for n in range(MOST_IDENTITIES)
        )
        query = "{ viewer { memberships { community { name } } sessions { current } identities { id } } }"
        viewer = (await owner.ask(query))["viewer"]
    assert [each["community"]["name"] for each in viewer["memberships"]] == [access.name for access in places]
    assert [each["current"] for each in viewer["sessions"]] == [True] + [False] * (MOST_LISTED - 1)
    assert len(viewer["identities"]) == MOST_IDENTITIES


async def test_most_expensive_operations_are_answered(serve: Serve) -> None:
    """Nested full pages, of a community with enough rows, are answered completely."""
    async with serve() as service, service.browser() as owner:
        community = await join_owner(service, owner)
        await _fill(service, community, invitations=100, events=100)
        query = "query($id: ID!) { community(id: $id) { invitations(first: 100) { nodes { timeline(first: 100) { nodes { id kind at summary actor { id name } } } } } } }"
        nodes = (await owner.ask(query, id=community))["community"]["invitations"]["nodes"]
        assert [len(node["timeline"]["nodes"]) for node in nodes] == [100] * 100
    assert MOST_ROWS > 100 * 101


async def _fill(service: Service, community: str, *, invitations: int, events: int) -> list[str]:
    """Creates invitations with events, newer than all others; returns their ids."""
    now = service.clock()
    made = [
        Invitation(
            id=new_id("inv"), community_id=community, email=f"filler{number}@example.com", role="MEMBER",
            created_at=now + timedelta(seconds=number + 1), expires_at=now + timedelta(days=7),
        )
        for number in range(invitations)
    ]  # fmt: skip
    await Invitation.bulk_create(made)
    for begin in range(0, invitations * events, 1000):
        numbers = range(begin, min(begin + 1000, invitations * events))
        await audit.record(
            now, *(audit.Event("invitation.sent", community, None, made[n % invitations].id) for n in numbers)
        )
    return [invitation.id for invitation in made]


# ------------------------------------------------------------------------------------------------ bytes of a response

_LONG = "a" * 100_000  # the name of a field in the response: a hundred rows have 10 MB of it
_TOO_LARGE = f"The response has more than 8 MB ({MOST_BYTES} bytes). Ask for shorter pages (first) or fewer fields."


@pytest.mark.parametrize(
    "selection",
    [
        f"id {_LONG}: email",
        f"{_LONG}: email timeline(first: 1) {{ pageInfo {{ hasNextPage }} }}",
        f"inviter {{ id }} community {{ {_LONG}: name memberCount }}",
        f"{_LONG}: __typename timeline(first: 1) {{ nodes {{ id }} }}",
    ],
    ids=["by-a-plan", "field-by-field", "inside-a-row", "the-type's-name"],
)
async def test_too_large_response_is_one_error(service: Service, selection: str) -> None:
    """H201: above 8 MB the response is one error in words, and the next request is answered."""
    query = f"query($id: ID!, $n: Int!) {{ viewer {{ member {{ id }} }} community(id: $id) {{ invitations(first: $n) {{ nodes {{ {selection} }} }} }} }}"
    async with service.browser() as owner:
        community = await join_owner(service, owner)
        await _fill(service, community, invitations=100, events=1)
        error = await _refusal(owner.client, query, id=community, n=100)
        assert (error["message"], error["extensions"]) == (_TOO_LARGE, {"code": "RESPONSE_TOO_LARGE"})
        few = (await owner.ask(query, id=community, n=70))["community"]["invitations"]["nodes"]
        assert len(few) == 70


async def test_too_large_response_of_a_mutation_names_the_effects(service: Service) -> None:
    """H201: the error states correctly that mutations before it took effect and later ones did not run."""
    query = (
        "mutation($input: InviteMembersInput!, $id: ID!) { inviteMembers(input: $input) {"
        f" ... on InviteMembersSuccess {{ outcomes {{ {_LONG}: email }} }} }}"
        " revokeInvite(input: {invitationId: $id}) { __typename } }"
    )
    async with service.browser() as owner:
        community = await join_owner(service, owner)
        invited = (await owner.invite(community, "first@example.com"))["invitation"]["id"]
        rows = [{"email": f"guest{number}@example.com"} for number in range(90)]
        error = await _refusal(owner.client, query, input={"communityId": community, "invitees": rows}, id=invited)
        assert (
            error["message"]
            == f"{_TOO_LARGE} Mutations of this request that had run took effect, and later ones did not run."
        )
        kinds = await audit_kinds(owner, community)
        assert (kinds.count("invitation.created"), kinds.count("invitation.revoked")) == (92, 0)


_KINDS = " ".join(f"{'b' * 7000}{number}: kind" for number in range(15))
_LARGE_EVENT = f"""
subscription($id: ID!) {{ invitationChanged(communityId: $id) {{ email timeline(first: 90) {{ nodes {{ {_KINDS} }} }} }} }}
"""


@pytest.mark.parametrize("over", ["sse", "websocket"])
async def test_too_large_event_is_one_error(service: Service, over: str) -> None:
    """H201: an event of a subscription has the same limit. The error ends the subscription, and no part of the event is
    sent.
    """
    async with service.browser() as owner:
        community = await join_owner(service, owner)
        (invitation,) = await _fill(service, community, invitations=1, events=90)
        payload, before = {"query": _LARGE_EVENT, "variables": {"id": community}}, listeners(community)
        if over == "websocket":
            async with _socket(service, owner) as socket:
                await _say(socket, {"type": "subscribe", "id": "1", "payload": payload})
                await subscription_started(community, before)
                await owner.do("revokeInvite", invitationId=invitation)
                message = await _hear(socket)
                assert message["type"] == "error"
                errors = message["payload"]
        else:
            headers = {"accept": "text/event-stream"}
            async with owner.client.stream("POST", "/graphql", json=payload, headers=headers) as response:
                await subscription_started(community, before)
                await owner.do("revokeInvite", invitationId=invitation)
                async with asyncio.timeout(PATIENCE):
                    text = "".join([line async for line in response.aiter_lines()])
            body = orjson.loads(text.partition("data: ")[2].partition("event: complete")[0])
            assert body["data"] is None
            errors = body["errors"]
    assert [(error["message"], error["extensions"]["code"]) for error in errors] == [(_TOO_LARGE, "RESPONSE_TOO_LARGE")]


# ------------------------------------------------------------------------------------------------------- validation

_UNKNOWN = " ".join(f"emai{number}: 1" for number in range(470))
_QUERIED = "mutation($input: InviteMemberInput!) { inviteMember(input: $input) { __typename } }"
_FULL_INPUT = {"communityId": "x", "email": "x"} | {f"emai{number}": 1 for number in range(MOST_VALUES - 10)}


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        (f"mutation {{ inviteMember(input: {{{_UNKNOWN}}}) {{ __typename }} }}", {}),
        ("{ " + " ".join(f"viewe{number}" for number in range(500)) + " }", {}),
        ("{ viewer { " + " ".join(f"...f{number}" for number in range(400)) + " } }", {}),
        ("query(" + " ".join(f"$v{number}: Strin" for number in range(300)) + ") { viewer { member { id } } }", {}),
        (_QUERIED, {"input": _FULL_INPUT}),
        (
            "mutation($input: InviteMembersInput!) { inviteMembers(input: $input) { __typename } }",
            {"input": {"communityId": "x", "invitees": [{"emai": 1, "rol": "MEMBR"}] * 3000}},
        ),
    ],
    ids=["input-fields", "fields", "fragments", "variables", "values-of-input-fields", "values-in-rows"],
)
async def test_validation_stops_after_a_few_errors(
    production: httpx2.AsyncClient, query: str, variables: dict[str, Any]
) -> None:
    """H202: thousands of faults get a few errors and one about the limit, without suggestions, in about the time of a
    document with one fault.
    """
    trivial = {"query": "{ viewe }"}
    requested = {"query": query, "variables": variables}
    usual = await _fastest(production, trivial)
    assert await _fastest(production, requested) < max(40 * usual, 0.1)
    errors = (await production.post("/graphql", json=requested)).json()["errors"]
    assert len(errors) == MOST_ERRORS + 1
    assert "Too many" in errors[-1]["message"]
    assert not [error for error in errors if "did you mean" in error["message"].lower()]


@pytest.mark.parametrize("development", [True, False])
def test_suggestions_are_computed_in_development_only(development: bool) -> None:
    """H202: in production, validation does not compute suggestions."""
    with pytest.raises(DocumentRefused) as refused:
        build(development=development).documents.parse("{ viewr { member { id } } }")
    (error,) = refused.value.errors
    assert ("Did you mean 'viewer'?" in error.message) is development


async def _fastest(client: httpx2.AsyncClient, body: dict[str, Any]) -> float:
    """The duration of the fastest of a few requests, in seconds."""
    taken = []
    for _ in range(5):
        began = time.perf_counter()
        await client.post("/graphql", json=body)
        taken.append(time.perf_counter() - began)
    return min(taken)


@pytest.mark.parametrize(
    ("query", "variables", "words"),
    [
        (
            '{ community(id: "x") { auditLog(filter: {kinds: [' + '"a" ' * 700 + "]}) { nodes { id } } } }",
            {},
            f"705 fields and values in arguments found. Allowed: {MOST_FIELDS}",
        ),
        (
            "query($f: AuditFilter = {kinds: [" + '"a" ' * 700 + ']}) { community(id: "x") { auditLog(filter: $f) { nodes { id } } } }',
            {},
            f"705 fields and values in arguments found. Allowed: {MOST_FIELDS}",
        ),
        ("{ viewer { member { id } } }", {"undeclared": [[]] * 150_000}, f"More than {MOST_VALUES} values found in variables."),
        (_QUERIED, {"input": {f"x{number}": 1 for number in range(MOST_VALUES + 1)}}, f"More than {MOST_VALUES} values found in variables."),
    ],
    ids=["literal", "default", "undeclared-variable", "input-fields"],
)  # fmt: skip
async def test_values_are_counted(
    production: httpx2.AsyncClient, query: str, variables: dict[str, Any], words: str
) -> None:
    """H202: values count like fields in the document, and have their own limit in variables."""
    assert (await _refusal(production, query, **variables))["message"] == words


async def test_thousand_invitees_with_every_field_fit_into_variables(service: Service) -> None:
    """The limit on values allows the longest list of invitees."""
    row = {"email": "no address", "role": "MEMBER", "message": "Hi", "locale": "de"}
    async with service.browser() as owner:
        expected = {"communityId": await join_owner(service, owner), "invitees": [row] * 1000}
        assert (await owner.ask(_inviting("id"), input=expected))["inviteMembers"]["invitedCount"] == 0


# ---------------------------------------------------------------------------------------------------- subscriptions


@pytest.mark.parametrize(
    ("selection", "found"),
    [
        ("community { invitations(first: 100) { nodes { id } } memberships { nodes { id } } }", "150 rows in lists"),
        ("timeline(first: 100) { nodes { invitation { id } } }", "9895 points of cost"),
        (
            "community { " + " ".join(f"a{number}: memberCount" for number in range(11)) + " }",
            "11 counts over whole communities",
        ),
    ],
    ids=["rows", "points", "counts"],
)
async def test_event_costs_no_more_than_a_page(service: Service, selection: str, found: str) -> None:
    """H203: a subscription whose event would cost more than a page of 100 is refused, over SSE and WebSocket."""
    query = f"subscription($id: ID!) {{ invitationChanged(communityId: $id) {{ id {selection} }} }}"
    words = f"{found} found in one event of a subscription, which may cost as much as one page of 100. Allowed: "
    async with service.browser() as owner:
        community = await join_owner(service, owner)
        payload = {"query": query, "variables": {"id": community}}
        async with asyncio.timeout(PATIENCE):
            answer = await owner.client.post("/graphql", json=payload, headers={"accept": "text/event-stream"})
        assert words in answer.text
        async with _socket(service, owner) as socket:
            await _say(socket, {"type": "subscribe", "id": "1", "payload": payload})
            message = await _hear(socket)
        assert message["type"] == "error"
        assert message["payload"][0]["message"].startswith(words)
        assert not listeners(community)


async def test_event_may_contain_a_page(service: Service) -> None:
    """A full timeline and the numbers of the community come with an event."""
    query = "subscription($id: ID!) { invitationChanged(communityId: $id) { email timeline(first: 100) { nodes { id kind at summary actor { name } } } community { memberCount invitationCounts { pending } } } }"
    async with service.browser() as owner:
        community = await join_owner(service, owner)
        async with _socket(service, owner) as socket:
            before = listeners(community)
            payload = {"query": query, "variables": {"id": community}}
            await _say(socket, {"type": "subscribe", "id": "1", "payload": payload})
            await subscription_started(community, before)
            await owner.invite(community, "guest@example.com")
            message = await _hear(socket)
    reported = message["payload"]["data"]["invitationChanged"]
    assert (reported["email"], reported["timeline"]["nodes"][0]["kind"]) == ("guest@example.com", "invitation.created")


_COMMUNITIES_OF_ONES_OWN = """
{ viewer { memberships { role community { id name invitations { nodes { id email role status delivery deliveryReason
  createdAt expiresAt canResend canRevoke inviter { name email } } } } } } }
"""


async def test_own_communities_count_by_their_number(service: Service) -> None:
    """H200: a default page of each own community is answered for a member of one, and refused for a member of 200."""
    async with service.browser() as owner:
        await join_owner(service, owner)
        found = (await owner.ask(_COMMUNITIES_OF_ONES_OWN))["viewer"]["memberships"]
        assert [each["community"]["name"] for each in found] == ["Demo"]
        now, member = service.clock(), await Member.get(email="owner@example.com")
        places = [Community(id=new_id("com"), name=f"C{number}", created_at=now) for number in range(MOST_MEMBERSHIPS)]
        await Community.bulk_create(places)
        await Membership.bulk_create(
            Membership(id=new_id("mem"), community_id=access.id, member_id=member.id, role=Role.OWNER, joined_at=now)
            for access in places
        )
        error = await _refusal(owner.client, _COMMUNITIES_OF_ONES_OWN)
        assert error["extensions"] == {"code": "TOO_COSTLY"}
