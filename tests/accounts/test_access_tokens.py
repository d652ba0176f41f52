"""Access tokens: displayed once, and limited by scopes, communities and the member's rights. They cannot sign in."""

from typing import Any

import httpx2
import orjson
import pytest

from schema.limits.token_scopes import GRANTS
from service import database
from service.app import printed_schema
from tests.conftest import Serve
from tests.schema.test_contract import RUNNING
from tests.support.members import invite_and_join, join_owner, members
from tests.support.service import INVITE, Browser, Service, http_client

pytestmark = pytest.mark.anyio

CREATE = """
mutation($input: CreateAccessTokenInput!) { createAccessToken(input: $input) { __typename
  ...on CreateAccessTokenSuccess { token accessToken { id name scopes communityIds expiresAt lastUsedAt } }
  ...on InvalidInput { field } ...on Problem { message } } }
"""
REVOKE = """
mutation($input: RevokeAccessTokenInput!) { revokeAccessToken(input: $input) { __typename ...on Problem { message } } }
"""
LIST = "{ viewer { accessTokens { id name lastUsedAt } sessions { id } identities { id } memberships { community { id } } } }"


async def _create(browser: Browser, community: str, **arguments: Any) -> Any:
    expected = {"name": "Nightly import", "scopes": ["READ"], "communityIds": [community], **arguments}
    return (await browser.ask(CREATE, input=expected))["createAccessToken"]


async def _send(service: Service, token: str, query: str, **variables: Any) -> httpx2.Response:
    """Sends a script's request, without cookies and origin."""
    async with http_client(service.url) as client:
        body = {"query": query, "variables": variables}
        return await client.post("/graphql", json=body, headers={"authorization": f"Bearer {token}"})


async def _ask(service: Service, token: str, query: str, **variables: Any) -> Any:
    body = orjson.loads((await _send(service, token, query, **variables)).content)
    assert "errors" not in body, body
    return body["data"]


async def test_script_reads_and_invites(service: Service) -> None:
    """A token with INVITE invites like its member and reads its community. It needs no Origin, because it has no
    cookies.
    """
    async with service.browser() as owner:
        community = await join_owner(service, owner)
        created = await _create(owner, community, scopes=["INVITE"])
        token = created["token"]
        assert created["accessToken"]["scopes"] == ["INVITE", "READ"]
        expected = {"communityId": community, "email": "guest@example.com"}
        answer = (await _ask(service, token, INVITE, input=expected))["inviteMember"]
        assert answer["__typename"] == "InviteMemberSuccess"
        found = await owner.invitation(answer["invitation"]["id"])
        assert found["inviter"]["email"] == "owner@example.com"
        read = await _ask(service, token, "query($id: ID!) { community(id: $id) { viewerRole } }", id=community)
        assert read["community"]["viewerRole"] == "OWNER"
        listed = (await owner.ask(LIST))["viewer"]["accessTokens"]
        assert [row["id"] for row in listed] == [created["accessToken"]["id"]]
        assert listed[0]["lastUsedAt"] is not None
        rows = await database.select("SELECT * FROM access_tokens")
        assert token not in str(rows)
        assert token.removeprefix("guestlist_") not in str(rows)


async def test_token_is_limited_to_its_scopes_and_communities(service: Service) -> None:
    """READ does not invite. Other communities, sessions, sign-ins and tokens are not visible to a token."""
    async with service.browser() as owner:
        community = await join_owner(service, owner)
        made = (
            'mutation { createCommunity(input: {name: "Other"}) { ...on CreateCommunitySuccess { community { id } } } }'
        )
        other = (await owner.ask(made))["createCommunity"]["community"]["id"]
        invited = (await owner.invite(other, "guest@example.com"))["invitation"]["id"]
        reader, inviter = [(await _create(owner, community, scopes=[s]))["token"] for s in ("READ", "INVITE")]
        expected = {"communityId": community, "email": "guest@example.com"}
        refused = orjson.loads((await _send(service, reader, INVITE, input=expected)).content)
        assert refused["errors"][0]["extensions"]["code"] == "NOT_GRANTED"
        outside = {"communityId": other, "email": "more@example.com"}
        assert (await _ask(service, inviter, INVITE, input=outside))["inviteMember"]["__typename"] == "NotFound"
        query = "query($c: ID!, $i: ID!) { community(id: $c) { id } invitation(id: $i) { id } node(id: $i) { id } }"
        assert await _ask(service, inviter, query, c=other, i=invited) == {
            "community": None,
            "invitation": None,
            "node": None,
        }
        viewer = (await _ask(service, inviter, LIST))["viewer"]
        assert (viewer["accessTokens"], viewer["sessions"], viewer["identities"]) == ([], [], [])
        assert [row["community"]["id"] for row in viewer["memberships"]] == [community]
        own = (await owner.ask(LIST))["viewer"]
        for row in own["accessTokens"] + own["sessions"] + own["identities"]:
            assert (await _ask(service, reader, "query($i: ID!) { node(id: $i) { id } }", i=row["id"]))["node"] is None


async def test_fields_outside_the_table_of_grants_are_denied(service: Service) -> None:
    """Deny by default: every root field outside the table of grants rejects a token with every scope."""
    async with service.browser() as owner:
        community = await join_owner(service, owner)
        token = (await _create(owner, community, scopes=["READ", "INVITE"]))["token"]
    tried = 0
    for root, operation in (("Query", "query"), ("Mutation", "mutation")):
        for name, field in RUNNING.type_map[root].fields.items():  # type: ignore[attr-defined]
            if name in GRANTS[root]:
                continue
            required = {key: str(value.type) for key, value in field.args.items() if str(value.type).endswith("!")}
            head = f"({', '.join(f'${key}: {kind}' for key, kind in required.items())})" if required else ""
            arguments = f"({', '.join(f'{key}: ${key}' for key in required)})" if required else ""
            body = orjson.loads((
                await _send(service, token, f"{operation}{head} {{ {name}{arguments} {{ __typename }} }}", input=_FILLED.get(name))
            ).content)  # fmt: skip
            assert body["errors"][0].get("extensions", {}).get("code") == "NOT_GRANTED", (name, body)
            tried += 1
    assert tried >= 15
    assert "createAccessToken" in printed_schema()


_FILLED: dict[str, Any] = {
    "acceptInvite": {"providerId": "dev"},
    "confirmAcceptance": {"acceptanceId": "x", "code": "1"},
    "requestOtherAddress": {"acceptanceId": "x"},
    "declineInvite": {},
    "requestFreshLink": {},
    "signIn": {"providerId": "dev"},
    "linkIdentity": {"providerId": "dev"},
    "createCommunity": {"name": "x"},
    "changeRole": {"membershipId": "x", "role": "OWNER"},
    "removeMember": {"membershipId": "x"},
    "updateInvitationPolicy": {"communityId": "x"},
    "createAccessToken": {"name": "x", "scopes": ["READ"], "communityIds": ["x"]},
    "revokeAccessToken": {"accessTokenId": "x"},
}


async def test_token_ends_and_loses_communities(service: Service) -> None:
    """Revoked and expired tokens are 401. The end of a session does not affect them. A lost membership removes the
    community immediately.
    """
    async with service.browser() as owner, service.browser() as admin:
        community = await join_owner(service, owner)
        access = await invite_and_join(service, owner, admin, "admin@example.com", "ADMIN")
        first, second = [(await _create(admin, community, expiresInDays=days)) for days in (1, 30)]
        query = "query($id: ID!) { community(id: $id) { name } }"
        await admin.do("signOut", everywhere=True)
        assert (await _ask(service, first["token"], query, id=community))["community"] == {"name": "Demo"}
        await admin.sign_in("admin@example.com")
        assert (await owner.ask(REVOKE, input={"accessTokenId": first["accessToken"]["id"]}))["revokeAccessToken"][
            "__typename"
        ] == "NotFound"
        await admin.ask(REVOKE, input={"accessTokenId": first["accessToken"]["id"]})
        assert (await _send(service, first["token"], query, id=community)).status_code == 401
        assert access in [node["id"] for node in (await members(owner, community)).values()]
        await owner.do("removeMember", membershipId=access)
        assert (await _ask(service, second["token"], query, id=community))["community"] is None
        service.clock.advance(days=31)
        assert (await _send(service, second["token"], query, id=community)).status_code == 401


async def test_creating_a_token_has_limits(service: Service) -> None:
    """Invalid names, scopes, communities and days are named in the answer. So is a community of other members."""
    async with service.browser() as owner, service.browser() as stranger:
        community = await join_owner(service, owner)
        for arguments, field in (
            ({"name": " "}, "name"), ({"scopes": []}, "scopes"), ({"communityIds": []}, "communityIds"),
            ({"expiresInDays": 0}, "expiresInDays"), ({"expiresInDays": 366}, "expiresInDays"),
        ):  # fmt: skip
            refused = await _create(owner, community, **arguments)
            assert (refused["__typename"], refused["field"]) == ("InvalidInput", field)
        assert (await _create(owner, "com_AAAAAAAAAAAAAAAAAAAAAA"))["__typename"] == "NotFound"
        assert (await _create(stranger, community))["__typename"] == "NotSignedIn"
        for _ in range(20):
            assert (await _create(owner, community))["__typename"] == "CreateAccessTokenSuccess"
        assert (await _create(owner, community))["__typename"] == "NotPermitted"


async def test_wrong_tokens_are_throttled(serve: Serve) -> None:
    """H136: wrong, malformed and foreign tokens are 401 with the same sentence. After several of them, the answer is
    429.
    """
    async with serve(rate_limits={"attempts_per_client": "5/1m"}) as service:
        texts = set()
        for token in ("guestlist_wrong", "x", "guestlist_" + "x" * 500, "guestlist_" + "." * 43, "guestlist_-"):
            response = await _send(service, token, "{ viewer { member { id } } }")
            assert response.status_code == 401, response.text
            texts.add(response.text)
        assert len(texts) == 1
        assert (await _send(service, "guestlist_wrong", "{ providers { id } }")).status_code == 429


async def test_cookies_do_not_count_with_a_token(service: Service) -> None:
    """A request with a cookie and a wrong token is anonymous, from any page."""
    async with service.browser() as owner:
        await join_owner(service, owner)
        owner.client.headers["authorization"] = "Bearer guestlist_wrong"
        assert (await owner.post("{ viewer { member { email } } }")).status_code == 401
        owner.client.headers["authorization"] = "Basic abc"
        assert (await owner.post("{ viewer { member { email } } }")).status_code == 401
