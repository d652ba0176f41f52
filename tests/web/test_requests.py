"""Invalid input over HTTP: every answer names the error and the expectation, and nothing is written."""

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from service.models import AuditEvent, Flow, Invitation
from tests.conftest import Serve
from tests.support.service import ACCEPT, INVITE, PREVIEW, SIGN_IN, Browser, Service, http_client

pytestmark = pytest.mark.anyio

OWNER = "owner@example.com"
JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("body", "headers", "status", "words"),
    [
        (b"query { providers { id } }", JSON, 400, "not JSON"),
        (b"", JSON, 400, "not JSON"),
        (b'"x"', JSON, 400, "not a JSON object"),
        (b"[]", JSON, 400, "one operation"),
        (b'[{"query": "{ providers { id } }"}]', JSON, 400, "one operation"),
        (b"{}", JSON, 400, "no query"),
        (b'{"query": 3}', JSON, 400, "no query"),
        (b'{"query": "{ providers { id } }", "variables": []}', JSON, 400, "variables"),
        (b'{"query": "{ providers { id } }", "operationName": 1}', JSON, 400, "operationName"),
        (b'{"query": "hello {"}', JSON, 400, "Syntax Error"),
        (b'{"query": "\\ud800"}', JSON, 400, "not JSON"),
        (b'{"query": "{ providers { id } }"}', {"content-type": "text/plain"}, 415, "application/json"),
        (
            b'{"query": "{ providers { id } }"}',
            {"content-type": "text/plain; x=application/json"},
            415,
            "application/json",
        ),
        (
            b"query=%7Bproviders%7Bid%7D%7D",
            {"content-type": "application/x-www-form-urlencoded"},
            415,
            "application/json",
        ),
        (b"--x", {"content-type": "multipart/form-data; boundary=x"}, 415, "application/json"),
        (b'{"query": "{ providers { id } }"}', {}, 415, "application/json"),
    ],
)
async def test_invalid_operation_is_rejected_with_a_sentence(
    service: Service, body: bytes, headers: dict[str, str], status: int, words: str
) -> None:
    """H108: a body that is no JSON object with one operation is a 4xx, with a sentence about the expected form."""
    async with service.browser() as browser:
        answer = await browser.client.post("/graphql", content=body, headers=headers)
    assert (answer.status_code, words in answer.text) == (status, True), answer.text


async def test_body_over_the_limit_is_rejected(service: Service) -> None:
    """H122: 513 kB are too many, announced or streamed, and the answer names the limit."""
    body = orjson.dumps({"query": "{ providers { id } }", "variables": {"x": "y" * 520 * 1024}})

    async def streamed() -> Any:
        for start in range(0, len(body), 65536):
            yield body[start : start + 65536]

    async with service.browser() as browser:
        announced = await browser.client.post("/graphql", content=body, headers=JSON)
        chunked = await browser.client.post("/graphql", content=streamed(), headers=JSON)
    for answer in (announced, chunked):
        assert (answer.status_code, "at most 512 kB" in answer.json()["errors"][0]["message"]) == (413, True)


async def test_mutations_need_json_and_post(service: Service) -> None:
    """H108: a sign-out with a valid cookie from our own page is rejected as a form, multipart, text, without a type or
    by GET. The person stays signed in.
    """
    query = "mutation { signOut { __typename } }"
    body = orjson.dumps({"query": query})
    multipart = b'--x\r\nContent-Disposition: form-data; name="operations"\r\n\r\n' + body + b"\r\n--x--\r\n"
    async with service.browser() as owner:
        await owner.accept_as(await service.token_for(OWNER), OWNER)
        for kind, content in (
            ("text/plain", body), ("application/x-www-form-urlencoded", b"query=" + query.encode()),
            ("multipart/form-data; boundary=x", multipart), ("application/graphql", query.encode()), ("", body), (None, body),
        ):  # fmt: skip
            headers = {} if kind is None else {"content-type": kind}
            answer = await owner.client.post("/graphql", content=content, headers=headers)
            assert (answer.status_code, "set-cookie" in answer.headers) == (415, False), kind
        for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE"):
            answer = await owner.client.request(method, "/graphql", params={"query": query})
            assert "SignOutSuccess" not in answer.text
            assert "set-cookie" not in answer.headers
        assert await owner.viewer_email() == OWNER


async def _dead_tokens(service: Service, owner: Browser, community: str) -> AsyncIterator[tuple[str, str]]:
    """Returns tokens of dead links by the cause."""

    async def invited(name: str) -> tuple[str, str, str]:
        email = f"{name}@example.com"
        invitation_id = (await owner.invite(community, email))["invitation"]["id"]
        return email, invitation_id, await service.token_for(email)

    _, invitation_id, token = await invited("revoked")
    await owner.do("revokeInvite", invitationId=invitation_id)
    yield "revoked", token
    _, invitation_id, token = await invited("replaced")
    await owner.do("resendInvite", invitationId=invitation_id)
    yield "replaced", token
    email, _, token = await invited("used")
    async with service.browser() as guest:
        await guest.accept_as(token, email)
    yield "used", token
    *_, token = await invited("declined")
    async with service.browser() as guest:
        await guest.do("declineInvite", token=token)
    yield "declined", token
    *_, token = await invited("expired")
    service.clock.advance(minutes=10, seconds=1)
    yield "expired", token


async def test_every_dead_link_is_answered_like_an_unknown_one(service: Service) -> None:
    """H130: every operation with a token answers revoked, replaced, used, declined and expired links exactly like an
    unknown one, and starts no flow.
    """

    async def answers(token: str) -> list[tuple[int, str]]:
        async with service.browser() as thief:
            facts = [
                await thief.post(ACCEPT, input={"token": token, "providerId": "dev"}),
                await thief.post(_DECLINE, input={"token": token}),
                await thief.post(_FRESH, input={"token": token}),
                await thief.post(PREVIEW, token=token),
            ]
        return [(answer.status_code, answer.text) for answer in facts]

    async with service.browser() as owner:
        await owner.accept_as(await service.token_for(OWNER), OWNER)
        unknown = await answers("A" * 43)
        found = {}
        async for name, token in _dead_tokens(service, owner, await owner.community_id()):
            flows = await Flow.all().count()
            found[name] = await answers(token)
            assert await Flow.all().count() == flows
    assert found == dict.fromkeys(("revoked", "replaced", "used", "declined", "expired"), unknown)


_DECLINE = (
    "mutation($input: DeclineInviteInput!) { declineInvite(input: $input) { __typename ...on Problem { message } } }"
)
_FRESH = "mutation($input: RequestFreshLinkInput!) { requestFreshLink(input: $input) { __typename ...on RequestFreshLinkAnswer { message } } }"


@pytest.mark.parametrize("engine", ["sqlite"])
async def test_public_endpoints_reveal_nothing(service: Service) -> None:
    """H158: after a journey, health, readiness, metrics and unknown pages contain no address, id, token or setting.
    Documentation and debug pages do not exist.
    """
    token = await service.token_for(OWNER)
    async with service.browser() as owner, service.browser() as stranger:
        await owner.accept_as(token, OWNER)
        community = await owner.community_id()
        secrets = [token, community, "example.com", "Demo", str(service.settings.database_url.get_secret_value())]
        secrets += owner.client.cookies.values()
        client_secret = service.settings.providers["dev"].client_secret
        assert client_secret is not None
        secrets.append(client_secret.get_secret_value())
        for path in (
            "/healthz",
            "/readyz",
            "/metrics",
            "/nothing",
            "/unsubscribe/nothing",
            "/auth/dev/callback?code=x",
        ):
            answer = await stranger.client.get(path)
            assert not [secret for secret in secrets if secret in answer.text], path
        for path in ("/docs", "/redoc", "/openapi.json", "/debug", "/admin", "/.env", "/.git/config", "/server-status"):
            assert (await stranger.client.get(path)).status_code == 404


@pytest.mark.parametrize(
    "token",
    ["", "A" * 43, "x", "\u0000", "é" * 43, "A" * 400_000, "../../etc/passwd", "%00", " ", "null"],
    ids=["empty", "unknown", "short", "nul", "not-ascii", "huge", "path", "escaped", "blank", "word"],
)
async def test_every_wrong_token_gets_one_answer(service: Service, token: str) -> None:
    """H015, H130: every invalid token gets the same InviteLinkInvalid, null preview and blind answer."""
    async with service.browser() as browser:
        started = await browser.accept(token)
        assert started == {
            "__typename": "InviteLinkInvalid",
            "message": "This link does not work any more. Ask for a fresh one: it goes to the invited mailbox.",
        }
        assert (await browser.do("declineInvite", token=token))["__typename"] == "InviteLinkInvalid"
        assert (await browser.ask(PREVIEW, token=token))["invitePreview"] is None
        assert (await browser.do("requestFreshLink", token=token))["__typename"] == "RequestFreshLinkAnswer"
    assert await Flow.all().count() == 0


async def test_variants_of_a_valid_token_are_unknown(service: Service) -> None:
    """H015: a token that is flipped, cut, lengthened, padded or in another case is unknown."""
    token = await service.token_for(OWNER)
    variants = [token[:-1], token + "A", token.swapcase(), token + "=", f" {token}", f"{token}\n", token[::-1]]
    async with service.browser() as browser:
        for variant in variants:
            assert (await browser.accept(variant))["__typename"] == "InviteLinkInvalid"
        assert (await browser.accept(token))["__typename"] == "AcceptInviteStarted"
    assert await Flow.all().count() == 1


_LONG = "x" * 1001


@pytest.mark.parametrize(
    ("arguments", "kind", "field"),
    [
        ({"email": "not an address"}, "InvalidEmail", None),
        ({"email": ""}, "InvalidEmail", None),
        ({"email": "a@b.example,c@d.example"}, "InvalidEmail", None),
        ({"email": "mıke@github.com"}, "InvalidEmail", None),
        ({"email": "a\u0000@b.example"}, "InvalidEmail", None),
        ({"email": "ok@example.com", "message": _LONG}, "InvalidInput", "message"),
        ({"email": "ok@example.com", "message": "bell \u0007"}, "InvalidInput", "message"),
        ({"email": "ok@example.com", "locale": "xx-not-a-tag"}, "InvalidInput", "locale"),
        ({"email": "ok@example.com", "locale": "de-" + "x" * 40}, "InvalidInput", "locale"),
        ({"email": "ok@example.com", "locale": "\u0000"}, "InvalidInput", "locale"),
        ({"email": "ok@example.com", "communityId": "com_AAAAAAAAAAAAAAAAAAAAAA"}, "NotFound", None),
        ({"email": "ok@example.com", "communityId": "\u0000"}, "NotFound", None),
        ({"email": "ok@example.com", "communityId": "' OR 1=1 --"}, "NotFound", None),
    ],
)
async def test_wrong_arguments_have_typed_answers(
    service: Service, arguments: dict[str, Any], kind: str, field: str | None
) -> None:
    """Each wrong argument of inviteMember has its own type and sentence, and writes no invitation and no event."""
    async with service.browser() as owner:
        await owner.accept_as(await service.token_for(OWNER), OWNER)
        expected = {"communityId": await owner.community_id()} | arguments
        events = await AuditEvent.all().count()
        answer = (await owner.ask(INVITE, input=expected))["inviteMember"]
    assert (answer["__typename"], answer.get("field"), len(answer["message"]) > 20) == (kind, field, True)
    assert await Invitation.all().count() == 1
    assert await AuditEvent.all().count() == events


_FILTERED = "query($id: ID!, $filter: InvitationFilter, $first: Int) { community(id: $id) { invitations(filter: $filter, first: $first) { totalCount } } }"


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"first": 1.5}, "Int cannot represent non-integer value"),
        ({"first": 2**40}, "32-bit"),
        ({"first": "2"}, "Int cannot represent"),
        ({"id": {"a": 1}}, "ID cannot represent value"),
        ({"id": None}, "non-null"),
        ({"filter": {"roles": ["owner"]}}, "'Role' enum"),
        ({"filter": {"statuses": [None]}}, "non-null"),
        ({"filter": {"createdAfter": "yesterday"}}, "DateTime"),
        ({"filter": {"createdAfter": "0001-01-01T00:00:00+14:00"}}, "createdAfter is out of reach"),
        ({"filter": {"createdBefore": "9999-12-31T23:59:59-12:00"}}, "createdBefore is out of reach"),
        ({"filter": {"emailContains": "\u0000"}}, "emailContains"),
        ({"filter": {"nothing": 1}}, "InvitationFilter"),
        ({"filter": [[[[]]]]}, "InvitationFilter"),
    ],
)
async def test_wrong_variables_are_answered_with_a_sentence(
    service: Service, variables: dict[str, Any], words: str
) -> None:
    """A variable of a wrong type is an error with the expected type, on both engines. It is never masked."""
    async with service.browser() as owner:
        await owner.accept_as(await service.token_for(OWNER), OWNER)
        facts = {"id": await owner.community_id()} | variables
        (message,) = await owner.errors(_FILTERED, **facts)
    assert words in message


@pytest.mark.parametrize("digits", [11, 400, 5000])
async def test_very_long_number_is_answered_with_a_sentence(service: Service, digits: int) -> None:
    """A number that is too long for Int or for Python is an error that names the type and does not repeat the number."""
    query = f'{{ community(id: "x") {{ memberships(first: {"9" * digits}) {{ totalCount }} }} }}'
    async with service.browser() as browser:
        (message,) = await browser.errors(query)
    assert ("Int" in message, "999" in message, "sys." in message) == (True, False, False)


@pytest.mark.parametrize(
    "where",
    [
        "https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/%2F%2Fevil.example",
        "http://localhost.evil.example/", "http://evil.example@localhost/", "data:text/html,x", "/\t/evil", "evil.example",
        "/auth/dev/callback?code=x", "/" + "x" * 3000, "/%5cevil.example", "ftp://localhost/", "http://[::1", "http://[::1]evil/", "",
    ],
)  # fmt: skip
async def test_return_addresses_elsewhere_are_rejected(service: Service, where: str) -> None:
    """H072: returnTo is a path of the service or a URL of an allowed origin. Others are InvalidInput."""
    token = await service.token_for(OWNER)
    async with service.browser() as browser:
        flow_started = (await browser.ask(SIGN_IN, input={"providerId": "dev", "returnTo": where}))["signIn"]
        accepting = await browser.accept(token, returnTo=where)
    if where == "":
        assert (flow_started["__typename"], accepting["__typename"]) == ("SignInStarted", "AcceptInviteStarted")
        return
    assert (flow_started["__typename"], flow_started["field"]) == ("InvalidInput", "returnTo")
    assert (accepting["__typename"], accepting["field"]) == ("InvalidInput", "returnTo")
    assert await Flow.all().count() == 0


@pytest.mark.parametrize(
    "where",
    [
        "/..//evil.example", "/.//evil.example", "/x/..//evil.example", "/%2e%2e//evil.example", "/.%2E/%2e//evil.example",
        "\\\\evil.example", "/\\/evil.example", "\t//evil.example", "/\n/evil.example", "\x00//evil.example", " //evil.example",
        "http:\\\\evil.example", "ht\ntp://evil.example", "https:evil.example", "///evil.example", "/%09/evil.example",
        "/%0d%0aset-cookie:x=1", "/x%00y", "/%250d%250a", "/%252f%252fevil.example", "/.%5c%5cevil.example",
        "/./auth/dev/callback", "/x/../auth/dev/callback", "/AUTH/dev/callback", "/%61uth/dev/callback", "/%2561uth/x",
        "/auth%2fdev/callback", "/x/%2e%2e%2fauth/x", "/auth\\x", "/a\tuth/x", "/auth", "/auth;x/y", "/dev/openid/authorize",
        "/%64ev/mailbox", "callback?code=x", "?code=x", "#x", "{url}/auth/dev/callback", "{url}/x/..//evil.example",
        "{url}/%61uth/x", "{url}\\\\@evil.example", "{url}@evil.example", "http://a:b@localhost:{port}/", "http:/auth/x",
        "http:auth/x", "blob:{url}/x", "view-source:{url}/", "HTTP://EVIL.EXAMPLE", "http://localhost:5173@evil.example/",
        "http://localhost:5173x/", "http://u@localhost:5173/", "http://localhost:5173.evil.example/",
        "http://localhost:5173\u3002evil.example/", "https://localhost:5173/", "http://localhost:5174/",
    ],
)  # fmt: skip
@pytest.mark.parametrize("engine", ["sqlite"])
async def test_return_addresses_with_several_readings_are_rejected(serve: Serve, where: str) -> None:
    """H190: dot segments, backslashes, encodings and characters that browsers drop lead to no other site and into no
    login.
    """
    async with serve(allowed_origins=["http://localhost:5173"]) as service, service.browser() as browser:
        token = await service.token_for(OWNER)
        there = where.replace("{url}", service.url).replace("{port}", service.url.rpartition(":")[2])
        flow_started = (await browser.ask(SIGN_IN, input={"providerId": "dev", "returnTo": there}))["signIn"]
        accepting = await browser.accept(token, returnTo=there)
        for answer in (flow_started, accepting):
            assert (answer["__typename"], answer["field"]) == ("InvalidInput", "returnTo")
        assert await Flow.all().count() == 0


@pytest.mark.parametrize(
    ("where", "stored"),
    [
        (" /wel\tcome\n ", "/welcome"),
        ("/a/./b/../c", "/a/c"),
        ("/\u0000", "/"),
        ("/é?ü=ö#ß", "/%C3%A9?%C3%BC=%C3%B6#%C3%9F"),
        ("\\welcome\\to", "/welcome/to"),
        ("/author?next=//evil.example/auth/", "/author?next=//evil.example/auth/"),
        ("../../welcome", "/welcome"),
        ("{url}/x/../welcome?a=b#c", "/welcome?a=b#c"),
        ("{url}", "/"),
        ("HTTP://LocalHost:05173/a/../b//c", "http://localhost:5173/b//c"),
        ("http:\\\\localhost:5173\\auth/x", "http://localhost:5173/auth/x"),
    ],
)
@pytest.mark.parametrize("engine", ["sqlite"])
async def test_return_address_is_stored_and_used_in_normal_form(serve: Serve, where: str, stored: str) -> None:
    """H190: the flow and the redirect have the URL that browsers read from the address."""
    async with serve(allowed_origins=["http://localhost:5173"]) as service, service.browser() as browser:
        requested = await browser.accept(await service.token_for(OWNER), returnTo=where.replace("{url}", service.url))
        assert [flow.return_to for flow in await Flow.all()] == [stored]
        answer = await browser.log_in(requested["authorizationUrl"], OWNER)
        assert (answer.status_code, answer.headers["location"]) == (303, stored)


@pytest.mark.parametrize("spelling", ["/x?t={}", "/x#{}", "/{}", "/x?t={split}", "/x?t={encoded}", "/x?t={twice}"])
@pytest.mark.parametrize("engine", ["sqlite"])
async def test_return_address_with_the_token_is_rejected(service: Service, spelling: str) -> None:
    """H094: returnTo never contains the token, also in pieces that browsers join, or percent-encoded."""
    token = await service.token_for(OWNER)
    encoded = "".join(f"%{ord(character):02x}" for character in token)
    spellings = {"split": f"{token[:9]}\n{token[9:]}", "encoded": encoded, "twice": encoded.replace("%", "%25")}
    async with service.browser() as browser:
        answer = await browser.accept(token, returnTo=spelling.format(token, **spellings))
    assert (answer["__typename"], answer["field"]) == ("InvalidInput", "returnTo")
    assert await Flow.all().count() == 0


async def test_login_returns_to_the_given_path(service: Service) -> None:
    """H074: the return is a 303 to the given path, or else to /confirm or /."""
    async with service.browser() as browser:
        token = await service.token_for(OWNER)
        requested = await browser.accept(token, returnTo="/welcome?from=mail")
        answer = await browser.log_in(requested["authorizationUrl"], "other@example.com")
        assert (answer.status_code, answer.headers["location"]) == (303, "/welcome?from=mail")
        unasked = await browser.accept(None)
        answer = await browser.log_in(unasked["authorizationUrl"], OWNER)
        assert (answer.status_code, answer.headers["location"]) == (303, "/confirm")


async def test_unknown_providers_have_their_own_problem(service: Service) -> None:
    """A provider without settings is UnknownProvider for signIn and acceptInvite, and its callback is a 404."""
    async with service.browser() as browser:
        assert (await browser.do("signIn", providerId="nobody"))["__typename"] == "UnknownProvider"
        token = await service.token_for(OWNER)
        assert (await browser.accept(token, provider="nobody"))["__typename"] == "UnknownProvider"
        assert (await browser.client.get("/auth/nobody/callback?state=x")).status_code == 404
    assert await Flow.all().count() == 0


@pytest.mark.parametrize("query", ["?code=x", "?state=", "?state=unknown&code=x", "", "?error=access_denied&state=%00"])
async def test_return_without_a_flow_gets_a_page(service: Service, query: str) -> None:
    """H058: a callback without a state of this browser is a page with a sentence, sets no cookie and changes nothing."""
    async with service.browser() as browser:
        answer = await browser.client.get(f"/auth/dev/callback{query}")
    assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (400, "text/html")
    assert "set-cookie" not in answer.headers


async def test_invalid_pages_are_answered_with_a_sentence(service: Service) -> None:
    """first outside of 1 to 100, and damaged or foreign cursors, are errors that name the expectation."""
    async with service.browser() as owner:
        await owner.accept_as(await service.token_for(OWNER), OWNER)
        community = await owner.community_id()
        page = "query($id: ID!, $first: Int, $after: String) { community(id: $id) { invitations(first: $first, after: $after) { pageInfo { endCursor } } memberships { pageInfo { endCursor } } } }"
        found = (await owner.ask(page, id=community))["community"]
        foreign = found["memberships"]["pageInfo"]["endCursor"]
        for first in (0, -1, 101):
            assert await owner.errors(page, id=community, first=first) == [
                f"first is {first}; between 1 and 100 was expected."
            ]
        for after in ("nonsense", "\u0000", foreign, "é", "AAAA"):
            (message,) = await owner.errors(page, id=community, after=after)
            assert "after is" in message


async def test_unknown_field_is_an_error_without_suggestions_or_traces(service: Service) -> None:
    """H117: the answer names the client's error, and nothing of the implementation."""
    async with service.browser() as browser:
        (message,) = await browser.errors("{ providerz { id } }")
        assert "Cannot query field" in message
        answer = await browser.post(ACCEPT, input={"providerId": 3.5})
        assert answer.status_code == 200
        assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"query": "{"}, 400, "GRAPHQL_PARSE_FAILED"),
        ({"query": "{ unknown }"}, 200, "GRAPHQL_VALIDATION_FAILED"),
        ({"query": "query($a: Int!) { providers { id } }", "variables": {}}, 200, "GRAPHQL_VALIDATION_FAILED"),
        (
            {"query": "query($id: ID!) { node(id: $id) { id } }", "variables": {"id": []}},
            200,
            "GRAPHQL_VALIDATION_FAILED",
        ),
        ({"query": "{ providers { id } }", "operationName": "Other"}, 200, "GRAPHQL_VALIDATION_FAILED"),
        ({"query": "query A { providers { id } } query B { providers { id } }"}, 200, "GRAPHQL_VALIDATION_FAILED"),
        ({"query": "{ providers { id } }", "variables": 5}, 400, "BAD_REQUEST"),
        ({}, 400, "BAD_REQUEST"),
    ],
)
async def test_every_error_has_a_code(service: Service, body: dict[str, Any], status: int, code: str) -> None:
    """Errors of the request, of the document and of its variables have `extensions.code`."""
    async with service.browser() as browser:
        answer = await browser.client.post("/graphql", json=body)
        assert answer.status_code == status
        assert [error["extensions"]["code"] for error in answer.json()["errors"]] == [code]


@pytest.mark.parametrize("token", ["Bearer wrong", "Basic d3Jvbmc="])
async def test_a_wrong_token_is_challenged(service: Service, token: str) -> None:
    """A response with status 401 names the scheme (RFC 9110 section 15.5.2, RFC 6750 section 3)."""
    async with http_client(service.url, headers={"authorization": token}) as client:
        for answer in (
            await client.post("/graphql", json={"query": "{ viewer { member { id } } }"}),
            await client.get("/export/com_a/invitations.csv"),
        ):
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == 'Bearer realm="guestlist", error="invalid_token"'
