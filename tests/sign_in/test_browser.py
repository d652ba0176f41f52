"""Cookies, origins, framing, and flows that stay in the browser that started them."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx2
import orjson
import pytest

from service import database
from service.models import AccessToken, Flow, Invitation, Member, Session
from service.web.middleware import INTERNAL_ERROR
from tests.conftest import Serve
from tests.support.openid_provider import CLIENT_ID, CLIENT_SECRET, HostileProvider, running_provider
from tests.support.postgres import PostgresServer
from tests.support.service import Browser, Service, http_client, query_of

pytestmark = pytest.mark.anyio

OWNER = "owner@example.com"
GUEST = "guest@example.com"
VIEWER = {"query": "{ viewer { member { id } } }"}


async def _own(service: Service, browser: Browser) -> str:
    assert (await browser.accept_as(await service.token_for(OWNER), OWNER))["status"] == "ACCEPTED"
    return await browser.community_id()


# ----------------------------------------------------------------------------------------------------------------- cookies


async def test_cookies_have_strict_attributes(service: Service) -> None:
    """H102: both cookies are HttpOnly, SameSite=Lax, Path=/ without a domain, opaque, and expire at their stated time."""
    async with service.browser() as owner:
        started = await owner.client.post("/graphql", json=_accept_body(await service.token_for(OWNER)))
        returned = await owner.log_in(started.json()["data"]["acceptInvite"]["authorizationUrl"], OWNER)
    for cookie, lifetime in ((_set_cookie(started), 3600), (_set_cookie(returned), 14 * 86400)):
        name, *attributes = [part.strip() for part in cookie.split(";")]
        assert len(name.partition("=")[2]) == 43
        assert {part.lower() for part in attributes} == {"httponly", "samesite=lax", "path=/", f"max-age={lifetime}"}


async def test_public_service_is_bound_to_its_host(serve: Serve) -> None:
    """H102, H112, H170: with https, both cookies are Secure, HttpOnly __Host- cookies without a domain. A session's
    token under the plain name or a similar name is ignored. Every answer has HSTS for a year.
    """
    public = "https://id.example.com"
    async with running_provider() as provider, serve(public_url=public, providers=_idp(provider)) as service:
        provider.clock = service.clock
        provider.clients = {CLIENT_ID: (CLIENT_SECRET, (f"{public}/auth/idp/callback",))}
        async with http_client(service.loopback, headers={"origin": public}) as client:
            body = _accept_body(await service.token_for(OWNER), "idp")
            started = await client.post("/graphql", json=body)
            url = started.json()["data"]["acceptInvite"]["authorizationUrl"]
            back = urlsplit(await provider.callback_url(url, email=OWNER))
            flow = _set_cookie(started).partition(";")[0]
            returned = await client.get(f"{back.path}?{back.query}", headers={"cookie": flow})
            for answer, kind in ((started, "flow"), (returned, "session")):
                name, *attributes = [part.strip() for part in _set_cookie(answer).split(";")]
                assert name.startswith(f"__Host-guestlist_{kind}=")
                assert {part.lower().partition("=")[0] for part in attributes} == {
                    "secure", "httponly", "samesite", "path", "max-age",
                }  # fmt: skip
            session = _set_cookie(returned).partition(";")[0]
            for cookie, known in ((session, True), (session.removeprefix("__Host-"), False), (f"\xa0{session}", False)):
                answer = await client.post("/graphql", json=VIEWER, headers={b"cookie": cookie.encode("latin-1")})
                assert (answer.json()["data"]["viewer"] is not None) is known
            for answer in (started, returned, await client.get("/nothing"), await client.put("/graphql")):
                assert answer.headers["strict-transport-security"] == "max-age=31536000; includeSubDomains"


def _idp(provider: HostileProvider) -> dict[str, Any]:
    return {"idp": provider.registration()}


def _accept_body(token: str, provider: str = "dev") -> dict[str, Any]:
    query = "mutation($t: String, $p: ID!) { acceptInvite(input: {token: $t, providerId: $p}) { ...on AcceptInviteStarted { authorizationUrl } } }"
    return {"query": query, "variables": {"t": token, "p": provider}}


def _set_cookie(answer: httpx2.Response) -> str:
    (cookie,) = answer.headers.get_list("set-cookie")
    return str(cookie)


async def test_signing_in_replaces_a_planted_session(service: Service) -> None:
    """H103: signing in never uses an existing session cookie. It sets a new one and ends the old session."""
    name = service.settings.session_cookie
    async with service.browser() as owner, service.browser() as attacker:
        planted = "p" * 43
        owner.client.cookies.set(name, planted, domain="localhost.local")
        await _own(service, owner)
        values = {cookie.value for cookie in owner.client.cookies.jar if cookie.name == name}
        first = str((values - {planted}).pop())
        attacker.client.cookies.set(name, planted)
        assert await attacker.viewer_email() is None
        owner.client.cookies.clear()
        owner.client.cookies.set(name, first)
        await owner.sign_in(OWNER)
        attacker.client.cookies.clear()
        attacker.client.cookies.set(name, first)
        assert await attacker.viewer_email() is None
    assert await Session.filter(ended_at=None).count() == 1


async def test_session_ends_by_idling_and_by_age(service: Service) -> None:
    """H107: a session ends after twelve idle hours. With constant use, it ends after 14 days."""
    async with service.browser() as idle, service.browser() as busy:
        await _own(service, idle)
        await busy.sign_in(OWNER)
        service.clock.advance(hours=11)
        assert await busy.viewer_email() == OWNER
        service.clock.advance(hours=1)
        assert await idle.viewer_email() is None
        assert await busy.viewer_email() == OWNER
        for _ in range(27):
            service.clock.advance(hours=12, minutes=-1)
            alive = await busy.viewer_email()
        assert alive == OWNER
        service.clock.advance(hours=12, minutes=-1)
        assert await busy.viewer_email() is None


async def test_signing_out_ends_the_named_sessions(service: Service) -> None:
    """H105: signOut ends the current session, a named one or all of the member's, and never another person's."""
    async with service.browser() as one, service.browser() as two, service.browser() as guest:
        community = await _own(service, one)
        await two.sign_in(OWNER)
        await one.invite(community, GUEST)
        await guest.accept_as(await service.token_for(GUEST), GUEST)
        sessions = (await one.ask("{ viewer { sessions { id current userAgent provider { id } } } }"))["viewer"][
            "sessions"
        ]
        assert [session["current"] for session in sessions] == [True, False]
        assert (await guest.do("signOut", sessionId=sessions[0]["id"]))["__typename"] == "NotFound"
        assert (await one.do("signOut", sessionId=""))["__typename"] == "NotFound"
        assert (await one.do("signOut", sessionId=sessions[1]["id"]))["__typename"] == "SignOutSuccess"
        assert [await browser.viewer_email() for browser in (one, two, guest)] == [OWNER, None, GUEST]
        await two.sign_in(OWNER)
        assert (await two.do("signOut", everywhere=True))["__typename"] == "SignOutSuccess"
        assert [await browser.viewer_email() for browser in (one, two, guest)] == [None, None, GUEST]


# ------------------------------------------------------------------------------------------------- planted cookies


@pytest.mark.parametrize(
    "forged",
    [
        b"\xa0NAME=VALUE",
        b"\x85NAME=VALUE",
        b"a=b;  NAME=VALUE",
        b"a=b;\tNAME=VALUE",
        b"NAME\xa0=VALUE",
        b"NAME =VALUE",
        b"name=VALUE",
        b"NAME=VALUE; NAME=VALUE",
        b"NAME=VALUE; NAME=planted",
        b"NAME=planted; NAME=VALUE",
        b'NAME="VALUE"',
        b"NAME=VALUE\xa0",
    ],
)
async def test_cookie_names_are_compared_byte_for_byte(serve: Serve, forged: bytes) -> None:
    """H170: a cookie counts only with its exact name and once, in the API and in exports."""
    async with serve() as service, service.browser() as owner:
        community = await _own(service, owner)
        name, session = service.settings.session_cookie, _value(owner, service.settings.session_cookie)
        right = f"{name}={session}".encode()
        forged = forged.replace(b"NAME", name.encode()).replace(b"name", name.upper().encode())
        forged = forged.replace(b"VALUE", session.encode())
        for cookie, known in ((right, True), (b"a=b; " + right + b"; c=d", True), (forged, False)):
            async with http_client(service.url, headers={"origin": service.url}) as client:
                headers = {b"cookie": cookie}
                viewer = (await client.post("/graphql", json=VIEWER, headers=headers)).json()["data"]["viewer"]
                assert (viewer is not None) is known, cookie
                export = await client.get(f"/export/{community}/audit.csv", headers=headers)
                assert export.status_code == (200 if known else 404), cookie


async def test_cookie_in_two_headers_is_rejected(service: Service) -> None:
    """H170: a name that appears in two Cookie headers is rejected. Unrelated cookies may have a separate header."""
    async with service.browser() as owner, http_client(service.url, headers={"origin": service.url}) as client:
        await _own(service, owner)
        right = f"{service.settings.session_cookie}={_value(owner, service.settings.session_cookie)}"
        for second, known in (("a=b", True), (right, False)):
            headers = [("cookie", right), ("cookie", second)]
            viewer = (await client.post("/graphql", json=VIEWER, headers=headers)).json()["data"]["viewer"]
            assert (viewer is not None) is known, second


async def test_return_needs_the_exact_flow_cookie(service: Service) -> None:
    """H170: a login's return ignores a cookie whose name only resembles the flow cookie's."""
    async with service.browser() as owner, http_client(service.url) as client:
        started = await owner.accept(await service.token_for(OWNER))
        callback = await owner.callback_url(started["authorizationUrl"], OWNER)
        right = f"{service.settings.flow_cookie}={_value(owner, service.settings.flow_cookie)}".encode()
        for forged in (b"\xa0" + right, right + b"; " + right):
            answer = await client.get(callback, headers={b"cookie": forged})
            assert (answer.status_code, "set-cookie" in answer.headers) == (400, False)
        assert (await owner.acceptance())["status"] == "STARTED"
        assert await Member.all().count() == 0
        assert (await client.get(callback, headers={b"cookie": right})).status_code == 303


async def test_each_flow_rotates_the_flow_cookie(service: Service) -> None:
    """H171: each started flow sets a new cookie. An earlier value shows no later flow, and both flows return."""
    async with service.browser() as owner, service.browser() as thief:
        community = await _own(service, owner)
        name = service.settings.flow_cookie
        async with service.browser() as guest:
            tokens = []
            for email in (GUEST, "second@example.com"):
                assert (await owner.invite(community, email))["__typename"] == "InviteMemberSuccess"
                tokens.append(await service.token_for(email))
            first = await guest.accept(tokens[0])
            before = _value(guest, name)
            second = await guest.accept(tokens[1])
            assert _value(guest, name) != before
            await guest.log_in(first["authorizationUrl"], GUEST)
            await guest.log_in(second["authorizationUrl"], "other@example.com")
            assert (await guest.acceptance(first["acceptanceId"]))["status"] == "ACCEPTED"
            assert (await guest.acceptance())["id"] == second["acceptanceId"]
        thief.client.cookies.set(name, before)
        assert await thief.acceptance(second["acceptanceId"]) is None
        assert (await thief.acceptance())["id"] == first["acceptanceId"]


async def test_planted_flow_cookie_shows_nothing_to_the_attacker(service: Service) -> None:
    """H171: a flow that starts with a planted cookie is bound to a new one. An unknown planted value is dropped."""
    async with service.browser() as attacker, service.browser() as victim:
        name = service.settings.flow_cookie
        await attacker.ask(
            'mutation { signIn(input: {providerId: "dev"}) { ...on SignInStarted { authorizationUrl } } }'
        )
        planted, unknown = _value(attacker, name), "x" * 43
        victim.client.cookies.set(name, f"{planted}.{unknown}")
        started = await _post_accept(victim, await service.token_for(OWNER))
        arguments = _set_cookie(started.answer).partition(";")[0].partition("=")[2]
        assert unknown not in arguments
        assert arguments != planted
        victim.client.cookies.clear()
        victim.client.cookies.set(name, arguments)
        await victim.log_in(started.url, OWNER)
        assert (await victim.acceptance())["status"] == "ACCEPTED"
        assert await attacker.acceptance() is None
        assert await attacker.acceptance(started.id) is None
        code = await attacker.do("confirmAcceptance", acceptanceId=started.id, code="000000")
        assert code["__typename"] == "InviteLinkInvalid"


async def test_flow_cookie_keeps_32_flows(service: Service) -> None:
    """H171: the flow cookie holds the newest 32 flows, so browsers and proxies accept its size."""
    query = 'mutation { signIn(input: {providerId: "dev"}) { __typename } }'
    async with service.browser() as browser:
        for _ in range(34):
            assert (await browser.ask(query))["signIn"]["__typename"] == "SignInStarted"
        assert len(_value(browser, service.settings.flow_cookie).split(".")) == 32


@dataclass
class _Started:
    """A started acceptance with the HTTP answer."""

    answer: httpx2.Response
    id: str
    url: str


async def _post_accept(browser: Browser, token: str) -> _Started:
    query = 'mutation($t: String) { acceptInvite(input: {token: $t, providerId: "dev"}) { ...on AcceptInviteStarted { acceptanceId authorizationUrl } } }'
    answer = await browser.post(query, t=token)
    started = answer.json()["data"]["acceptInvite"]
    return _Started(answer, started["acceptanceId"], started["authorizationUrl"])


def _value(browser: Browser, name: str) -> str:
    """Returns the value of a cookie, which the browser has exactly once."""
    (value,) = [cookie.value for cookie in browser.client.cookies.jar if cookie.name == name]
    return str(value)


# --------------------------------------------------------------------------------------------- fresh sign-ins


_LINK = """
mutation($input: LinkIdentityInput!) { linkIdentity(input: $input) { __typename ...on SignInStarted { authorizationUrl }
  ...on FreshSignInRequired { code message } } }
"""


async def test_linking_needs_a_fresh_sign_in(service: Service) -> None:
    """H172: 15 minutes after the sign-in, linkIdentity requires another sign-in."""
    async with service.browser() as owner:
        await _own(service, owner)
        service.clock.advance(minutes=15)
        flows = await Flow.all().count()
        refused = (await owner.ask(_LINK, input={"providerId": "dev"}))["linkIdentity"]
        assert (refused["__typename"], refused["code"]) == ("FreshSignInRequired", "FRESH_SIGN_IN_REQUIRED")
        assert await Flow.all().count() == flows
        await owner.sign_in(OWNER)
        service.clock.advance(minutes=14, seconds=59)
        assert (await owner.ask(_LINK, input={"providerId": "dev"}))["linkIdentity"]["__typename"] == "SignInStarted"


_TOKEN = """
mutation($input: CreateAccessTokenInput!) { createAccessToken(input: $input) { __typename
  ...on FreshSignInRequired { code } } }
"""


async def test_access_token_needs_a_fresh_sign_in(service: Service) -> None:
    """H172: 15 minutes after the sign-in, createAccessToken requires another sign-in."""
    async with service.browser() as owner:
        expected = {"name": "Import", "scopes": ["READ"], "communityIds": [await _own(service, owner)]}
        service.clock.advance(minutes=15)
        refused = (await owner.ask(_TOKEN, input=expected))["createAccessToken"]
        assert refused == {"__typename": "FreshSignInRequired", "code": "FRESH_SIGN_IN_REQUIRED"}
        assert await AccessToken.all().count() == 0
        await owner.sign_in(OWNER)
        assert (await owner.ask(_TOKEN, input=expected))["createAccessToken"][
            "__typename"
        ] == "CreateAccessTokenSuccess"


async def test_mail_reports_an_added_sign_in(service: Service) -> None:
    """H172: the account's proved address receives a mail when a sign-in is added. A repeated sign-in sends no mail."""
    async with service.browser() as owner:
        await _own(service, owner)
        for _ in range(2):
            flow_started = (await owner.ask(_LINK, input={"providerId": "dev"}))["linkIdentity"]
            await owner.log_in(flow_started["authorizationUrl"], "thief@example.com", sub="another")
        await service.deliver()
        reported = [mail for mail in service.mailbox.entries if "sign-in was added" in mail.subject]
        assert [mail.to for mail in reported] == [OWNER]
        assert "Development" in reported[0].text


# -------------------------------------------------------------------------------------------------- forgeries and origins


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example", "sec-fetch-site": "same-origin"},
        {"origin": "OWN.evil.example"},
        {"origin": "OWN", "sec-fetch-site": "cross-site"},
        {"origin": "OWN", "x-http-method-override": "POST", "content-type": "text/plain"},
        {"origin": "OWN", "content-type": "application/json-patch+json"},
        {"origin": "OWN", "content-type": "application/json; charset=utf-16"},
        {"origin": "OWN", "content-type": "application/json; charset=utf-7"},
        {"origin": "OWN", "content-type": "application/json;text/plain"},
        {"origin": "OWN", "content-type": "application/json, text/plain"},
        {"origin": "OWN/"},
        {"origin": "OWN, https://evil.example"},
        {"origin": "OWN https://evil.example"},
        {"origin": "null", "sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "same-origin, cross-site"},
        {"sec-fetch-site": "none"},
        {"referer": "OWN/"},
    ],
)
async def test_forged_request_with_cookies_is_rejected(service: Service, headers: dict[str, str]) -> None:
    """H109: a cookie counts only in a JSON POST from an allowed origin. A forged sign-out changes nothing."""
    sent = {name: value.replace("OWN", service.url) for name, value in headers.items()}
    async with service.browser() as owner, http_client(service.url) as forged:
        await _own(service, owner)
        cookies = "; ".join(f"{name}={value}" for name, value in owner.client.cookies.items())
        body = orjson.dumps({"query": "mutation { signOut { __typename } }"})
        answer = await forged.post(
            "/graphql", content=body, headers={"content-type": "application/json", "cookie": cookies} | sent
        )
        assert answer.status_code in {403, 415}, answer.text
        assert await owner.viewer_email() == OWNER


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("origin", ["OWN", "https://evil.example"]),
        ("origin", ["https://evil.example", "OWN"]),
        ("sec-fetch-site", ["same-origin", "cross-site"]),
        ("content-type", ["application/json", "text/plain"]),
        ("authorization", ["Bearer x", "Bearer y"]),
    ],
)
async def test_duplicate_security_headers_are_rejected(service: Service, name: str, values: list[str]) -> None:
    """H109: a repeated header is rejected, because some parsers use the first value and others the last."""
    async with service.browser() as owner, http_client(service.url) as forged:
        await _own(service, owner)
        cookies = "; ".join(f"{name}={value}" for name, value in owner.client.cookies.items())
        usual = {"content-type": "application/json", "cookie": cookies, "origin": service.url}
        headers = [pair for pair in usual.items() if pair[0] != name]
        headers += [(name, value.replace("OWN", service.url)) for value in values]
        body = orjson.dumps({"query": "mutation { signOut { __typename } }"})
        answer = await forged.post("/graphql", content=body, headers=headers)
        assert (answer.status_code, name in answer.text) == (400, True)
        assert await owner.viewer_email() == OWNER


async def test_same_origin_pages_and_scripts_without_cookies_are_accepted(service: Service) -> None:
    """A same-origin page without an Origin header may use its cookie. A script without cookies is always accepted."""
    async with service.browser() as owner, http_client(service.url) as plain:
        await _own(service, owner)
        cookies = "; ".join(f"{name}={value}" for name, value in owner.client.cookies.items())
        own = await plain.post("/graphql", json=VIEWER, headers={"cookie": cookies, "sec-fetch-site": "same-origin"})
        assert own.json()["data"]["viewer"] is not None
        script = await plain.post("/graphql", json=VIEWER)
        assert script.json() == {"data": {"viewer": None}}


async def test_only_allowed_origins_read_answers(serve: Serve) -> None:
    """H110: only the exact allowed origins receive CORS headers with credentials. Similar origins and null receive
    none.
    """
    async with serve(allowed_origins=["http://localhost:3000"]) as service:
        async with http_client(service.url) as client:
            allowed = await client.post("/graphql", json=VIEWER, headers={"origin": "http://localhost:3000"})
            assert allowed.headers["access-control-allow-origin"] == "http://localhost:3000"
            assert allowed.headers["access-control-allow-credentials"] == "true"
            assert allowed.headers["vary"].lower().count("origin") == 1
            preflight = {"access-control-request-method": "POST", "access-control-request-headers": "content-type"}
            for origin in (
                "https://evil.example",
                "null",
                "http://localhost:30000",
                "http://localhost:3000.evil.example",
                "https://localhost:3000",
                "http://localhost:3000/",
                "HTTP://localhost:3000",
                "http://evil.example/http://localhost:3000",
                "http://localhost:3000@evil.example",
                "http://xlocalhost:3000",
                "http://localhost.:3000",
            ):
                for answer in (
                    await client.post("/graphql", json=VIEWER, headers={"origin": origin}),
                    await client.options("/graphql", headers={"origin": origin} | preflight),
                ):
                    assert "access-control-allow-origin" not in answer.headers
                    assert "origin" in answer.headers["vary"].lower()


@pytest.mark.parametrize(
    "header",
    [
        "content-type", "authorization", "accept-language", "traceparent", "tracestate", "baggage", "x-request-id",
        "apollographql-client-name", "apollographql-client-version", "apollo-require-preflight", "guestlist-viewer",
    ],
)  # fmt: skip
async def test_an_allowed_origin_may_send_the_headers_of_clients(serve: Serve, header: str) -> None:
    """A preflight allows the headers that Apollo Client and tracers send, and no others."""
    async with serve(allowed_origins=["http://localhost:3000"]) as service, http_client(service.url) as client:
        asks = {"origin": "http://localhost:3000", "access-control-request-method": "POST"}
        allowed = await client.options("/graphql", headers=asks | {"access-control-request-headers": header})
        assert allowed.status_code == 200
        assert header in allowed.headers["access-control-allow-headers"].lower().split(", ")
        others = asks | {"access-control-request-headers": f"{header}, x-unknown"}
        assert (await client.options("/graphql", headers=others)).status_code == 400


async def test_no_redirect_corrects_a_path(service: Service) -> None:
    """H074, H091: a path with extra slashes is not found, with any method. No redirect leads to a host from the
    request.
    """
    paths = ("/confirm/", "/graphql/", "//confirm", "/auth/dev/callback/", "//evil.example/x", "/%2e%2e/confirm")
    async with service.browser() as browser:
        for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
            for path in paths:
                url = f"{service.url}{path}"
                headers = {"host": "localhost:666", "x-forwarded-host": "evil.example"}
                answer = await browser.client.request(method, url, headers=headers)
                assert (answer.status_code, "location" in answer.headers) == (404, False), (method, path)
                assert not [word for word in ("evil", "666") if word in answer.text]


@pytest.mark.parametrize("path", ["/", "/confirm", "/healthz", "/auth/dev/callback", "/nothing", "/graphql"])
async def test_every_answer_has_strict_headers(service: Service, path: str) -> None:
    """H112: pages, answers of the API and errors forbid frames, sniffing and caching, and send no referrer."""
    async with service.browser() as browser:
        answer = await (browser.client.post(path, json=VIEWER) if path == "/graphql" else browser.client.get(path))
    policy = answer.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "no-store" in answer.headers["cache-control"]


async def test_loopback_service_sends_no_hsts(serve: Serve) -> None:
    """H112: a service on http, which is allowed on loopback only, sends no HSTS, because HSTS would lock its developer
    out.
    """
    async with serve() as local, http_client(local.url) as client:
        assert "strict-transport-security" not in (await client.get("/healthz")).headers


@pytest.mark.parametrize("path", ["/graphql", "/auth/dev/callback?state=x&code=y"])
async def test_internal_error_has_the_usual_headers(serve: Serve, path: str) -> None:
    """H112, H165: without the table of sessions, the answer is a 500 in plain words. It has the strict headers, and
    allowed origins can read it. Once the table returns, the session works again.
    """
    async with serve(allowed_origins=["http://localhost:3000"]) as service, service.browser() as owner:
        await _own(service, owner)
        origin = {"origin": "http://localhost:3000"}
        for table in ("sessions", "flows"):
            await database.execute(f"ALTER TABLE {table} RENAME TO {table}_gone")
        post = path == "/graphql"
        answer = await (
            owner.client.post(path, json=VIEWER, headers=origin) if post else owner.client.get(path, headers=origin)
        )
        assert answer.status_code == 500
        assert not [word for word in ("sessions", "flows", "Traceback", "SELECT") if word in answer.text]
        assert str(INTERNAL_ERROR) in answer.text
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["access-control-allow-origin"] == "http://localhost:3000"
        if post:
            assert answer.json() == {"errors": [{"message": str(INTERNAL_ERROR), "extensions": {"code": "INTERNAL"}}]}
        for table in ("sessions", "flows"):
            await database.execute(f"ALTER TABLE {table}_gone RENAME TO {table}")
        assert await owner.viewer_email() == OWNER


@pytest.mark.parametrize("engine", ["postgres"])
async def test_service_recovers_after_a_database_outage(service: Service, postgres: PostgresServer) -> None:
    """H165: while PostgreSQL refuses connections, every request fails with a sentence, and readiness names the reason.
    Afterwards the same session, link and login's return work without a restart.
    """
    async with service.browser() as owner, service.browser() as guest:
        await owner.invite(await _own(service, owner), GUEST)
        token = await service.token_for(GUEST)
        started = await guest.accept(token)
        callback = await guest.callback_url(started["authorizationUrl"], GUEST)
        async with postgres.down(service.settings.database_url.get_secret_value()):
            requested = (
                await owner.client.post("/graphql", json=VIEWER),
                await guest.client.post("/graphql", json=_accept_body(token)),
                await guest.client.get(callback),
            )
            ready = await owner.client.get("/readyz")
        for answer in requested:
            assert str(INTERNAL_ERROR) in answer.text
            assert not [word for word in (token, "postgres", "connection", "asyncpg") if word in answer.text.lower()]
        assert (ready.status_code, ready.json()) == (503, {"ready": False, "database": "does not answer"})
        assert await owner.viewer_email() == OWNER
        assert (await guest.client.get(callback)).status_code == 303
        assert (await guest.acceptance())["status"] == "ACCEPTED"


async def test_links_and_redirects_ignore_the_host_header(service: Service) -> None:
    """H091: a hostile Host is rejected. With a hostile port and X-Forwarded-Host, the mail's link and the login's
    return keep our origin.
    """
    hostile = {"host": "localhost:666", "x-forwarded-host": "evil.example", "x-forwarded-proto": "https"}
    async with service.browser() as owner:
        community = await _own(service, owner)
        body = {
            "query": "mutation($i: InviteMemberInput!) { inviteMember(input: $i) { __typename } }",
            "variables": {"i": {"communityId": community, "email": GUEST}},
        }
        answer = await owner.client.post("/graphql", json=body, headers=hostile | {"host": "evil.example"})
        assert (answer.status_code, await Invitation.filter(email=GUEST).count()) == (421, 0)
        answer = await owner.client.post("/graphql", json=body, headers=hostile)
        assert answer.json()["data"]["inviteMember"]["__typename"] == "InviteMemberSuccess"
        mail = await service.mail_to(GUEST)
        assert not [word for word in ("evil.example", ":666") if word in mail.text + mail.html]
        started = await owner.client.post(
            "/graphql", json=_accept_body(await service.token_for(GUEST)), headers=hostile
        )
        url = started.json()["data"]["acceptInvite"]["authorizationUrl"]
        assert query_of(url)["redirect_uri"] == f"{service.url}/auth/dev/callback"


# ------------------------------------------------------------------------------------------------ one flow, one browser


async def test_login_finishes_only_in_the_browser_that_started_it(service: Service) -> None:
    """H058, H059: another browser at the login's return receives a page and no session. Nothing is consumed."""
    async with service.browser() as attacker, service.browser() as victim:
        started = await attacker.accept(await service.token_for(OWNER))
        callback = await victim.callback_url(started["authorizationUrl"], OWNER)
        answer = await victim.client.get(callback)
        assert (answer.status_code, "set-cookie" in answer.headers) == (400, False)
        assert await victim.viewer_email() is None
        assert (await attacker.acceptance())["status"] == "STARTED"
        assert await Member.all().count() == 0
        assert (await attacker.accept_as(None, OWNER))["status"] == "ACCEPTED"


async def test_state_is_accepted_once(service: Service) -> None:
    """H058: a repeated return redirects to the outcome and changes nothing."""
    async with service.browser() as owner:
        started = await owner.accept(await service.token_for(OWNER))
        callback = await owner.callback_url(started["authorizationUrl"], OWNER)
        first, second = await owner.client.get(callback), await owner.client.get(callback)
        assert [first.status_code, second.status_code] == [303, 303]
        assert "set-cookie" not in second.headers
        assert (await owner.acceptance())["status"] == "ACCEPTED"
    assert await Session.all().count() == 1


async def test_head_on_callback_consumes_nothing(service: Service) -> None:
    """H017: a HEAD of the login's return with its cookie starts no session and consumes nothing. The following GET
    does.
    """
    async with service.browser() as owner:
        started = await owner.accept(await service.token_for(OWNER))
        callback = await owner.callback_url(started["authorizationUrl"], OWNER)
        looked = await owner.client.head(callback)
        assert (looked.status_code, "set-cookie" in looked.headers) == (405, False)
        assert (await owner.acceptance())["status"] == "STARTED"
        assert (await owner.client.get(callback)).status_code == 303
        assert await owner.viewer_email() == OWNER


async def test_code_of_another_flow_is_rejected(service: Service) -> None:
    """H061: an authorization code of another flow of the same browser fails, because its verifier differs."""
    async with service.browser() as owner:
        token = await service.token_for(OWNER)
        first, second = await owner.accept(token), await owner.accept(token)
        stolen = query_of(await owner.callback_url(first["authorizationUrl"], OWNER))
        own = query_of(await owner.callback_url(second["authorizationUrl"], OWNER))
        await owner.client.get("/auth/dev/callback", params={**own, "code": stolen["code"]})
        assert (await owner.acceptance())["status"] == "SIGN_IN_FAILED"
        assert await owner.viewer_email() is None


async def test_session_of_another_member_accepts_no_invitation(service: Service) -> None:
    """H036: another person's session does not accept an invitation. The refusal leaves that session unchanged."""
    async with service.browser() as owner:
        community = await _own(service, owner)
        await owner.invite(community, GUEST)
        token = await service.token_for(GUEST)
        started = await owner.accept(token)
        assert (started["__typename"], await owner.viewer_email()) == ("AcceptInviteStarted", OWNER)
        await owner.log_in(started["authorizationUrl"], OWNER)
        assert (await owner.acceptance())["status"] == "EMAIL_MISMATCH"
        assert await owner.viewer_email() == OWNER
        assert (await owner.accept_as(None, GUEST))["status"] == "ACCEPTED"
        assert await owner.viewer_email() == GUEST


async def test_starting_a_flow_grants_nothing(service: Service) -> None:
    """H017, H019: opening the page ten times and posting acceptInvite without a login consumes and grants nothing."""
    token = await service.token_for(OWNER)
    async with service.browser() as scanner, service.browser() as owner:
        for _ in range(10):
            await scanner.client.get("/confirm")
            await scanner.client.head("/confirm")
            assert (await scanner.accept(token))["__typename"] == "AcceptInviteStarted"
        assert await scanner.viewer_email() is None
        assert await Member.all().count() == 0
        assert (await owner.accept_as(token, OWNER))["status"] == "ACCEPTED"


async def test_outcome_is_for_the_browser_that_started_the_flow(service: Service) -> None:
    """Only the browser that started a flow can read its outcome, with or without the id."""
    async with service.browser() as owner, service.browser() as other:
        started = await owner.accept(await service.token_for(OWNER))
        assert (await owner.acceptance(started["acceptanceId"]))["status"] == "STARTED"
        assert await other.acceptance(started["acceptanceId"]) is None
        assert await other.acceptance() is None
        assert (await other.accept(None, acceptanceId=started["acceptanceId"]))["__typename"] == "InviteLinkInvalid"
    assert await Flow.all().count() == 1
