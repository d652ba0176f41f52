"""The development OpenID Provider: a real one, so everything that it promises is kept, and everything else refused."""

import base64
import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from service.dev.openid_provider import CODE_LIFETIME, LOGIN_LIFETIME, TOKEN_LIFETIME, Kept
from tests.support.openid_provider import (
    CLIENT_ID,
    CLIENT_SECRET,
    PUBLIC_URL,
    HostileProvider,
    LoginForm,
    running_provider,
)
from tests.support.service import TestClock

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
REDIRECT_URI = f"{PUBLIC_URL}/auth/idp/callback"
VERIFIER = "a-verifier-of-at-least-forty-three-characters-in-all"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
PERSON = {"email": "ada.lovelace@example.com", "email_verified": "on"}

_clock = TestClock(NOW)


@pytest.fixture(scope="module")
async def shared_provider() -> AsyncIterator[HostileProvider]:
    async with running_provider("/dev/openid", clock=_clock) as running:
        yield running


@pytest.fixture
def provider(shared_provider: HostileProvider) -> HostileProvider:
    _clock.time = NOW
    return shared_provider


@pytest.fixture
async def browser(provider: HostileProvider) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=provider.issuer, verify=False, trust_env=False) as client:
        yield client


def asking(**changes: str | None) -> str:
    """The path of an authorization request; None leaves a parameter out."""
    asked = {
        "response_type": "code", "client_id": CLIENT_ID, "redirect_uri": REDIRECT_URI, "scope": "openid email profile",
        "state": "a state & more", "nonce": "a-nonce", "code_challenge": CHALLENGE, "code_challenge_method": "S256",
    }  # fmt: skip
    return "/authorize?" + urlencode({name: value for name, value in (asked | changes).items() if value is not None})


def answered(response: httpx2.Response) -> dict[str, str]:
    """What the browser is sent back with; the redirect is one that never repeats a form."""
    assert response.status_code == 303
    location = response.headers["location"]
    assert location.startswith(f"{REDIRECT_URI}?")
    return dict(parse_qsl(urlsplit(location).query))


async def signed_in(
    browser: httpx2.AsyncClient, person: dict[str, str] = PERSON, **changes: str | None
) -> dict[str, str]:
    """A person on the login page; what they are sent back with."""
    page = await browser.get(asking(**changes))
    assert page.status_code == 200, page.text
    return answered(await browser.post(str(page.url.join(LoginForm.of(page.text).action)), data=person))


async def exchanged(browser: httpx2.AsyncClient, code: str, **changes: str) -> httpx2.Response:
    given = {
        "grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT_URI, "code_verifier": VERIFIER,
        "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET,
    }  # fmt: skip
    return await browser.post("/token", data=given | changes)


async def told(browser: httpx2.AsyncClient, person: dict[str, str] = PERSON, **changes: str | None) -> dict[str, Any]:
    """The claims of the ID token after a login, verified against the JWKS."""
    code = (await signed_in(browser, person, **changes))["code"]
    token = (await exchanged(browser, code)).json()["id_token"]
    keys = KeySet.import_key_set((await browser.get("/jwks")).json())
    return jwt.decode(token, keys, algorithms=["RS256"]).claims


async def test_the_discovery_document_promises_what_is_kept(
    provider: HostileProvider, browser: httpx2.AsyncClient
) -> None:
    """Issuer and endpoints are below the issuer; code, S256, RS256, `iss` in the response and the prompts are advertised."""
    document = (await browser.get("/.well-known/openid-configuration")).json()
    assert document["issuer"] == provider.issuer
    endpoints = {document[name] for name in document if name.endswith(("_endpoint", "_uri"))}
    assert endpoints == {f"{provider.issuer}/{name}" for name in ("authorize", "token", "userinfo", "jwks")}
    assert document["response_types_supported"] == ["code"]
    assert document["code_challenge_methods_supported"] == ["S256"]
    assert document["id_token_signing_alg_values_supported"] == ["RS256"]
    assert document["authorization_response_iss_parameter_supported"] is True
    assert set(document["prompt_values_supported"]) == {"login", "select_account"}


async def test_the_published_keys_are_public(browser: httpx2.AsyncClient) -> None:
    """H149: the JWKS names each key's id and algorithm, and no private member."""
    (key,) = (await browser.get("/jwks")).json()["keys"]
    assert key.keys() == {"kty", "n", "e", "use", "alg", "kid"}
    assert (key["alg"], key["use"]) == ("RS256", "sig")


async def test_the_login_page_is_a_plain_form(provider: HostileProvider, browser: httpx2.AsyncClient) -> None:
    """Three fields, nothing filled in, and all state of the request in the path of the form's action."""
    page = await browser.get(asking(login_hint="bob@example.com"))
    form = LoginForm.of(page.text)
    assert form.fields.keys() == {"email", "email_verified", "sub"}
    assert not form.fields["email"].get("value")
    assert "bob@example.com" not in page.text
    assert form.action.startswith(f"{urlsplit(provider.issuer).path}/login/")
    assert not set("&?#") & set(form.action)
    assert "development" in page.text.lower()


async def test_the_pages_keep_to_a_strict_policy(browser: httpx2.AsyncClient) -> None:
    """H112: no script at all, styles from a file of our own, no frame, no cache, no referrer."""
    page = await browser.get(asking())
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert not [sign for sign in ("<script", "<style", "style=", "onclick", "//cdn", "https://") if sign in page.text]
    stylesheet = await browser.get("/login.css")
    assert stylesheet.headers["content-type"].startswith("text/css")


async def test_a_login_tells_what_was_typed(provider: HostileProvider, browser: httpx2.AsyncClient) -> None:
    """The ID token carries the address as typed, its verification, the nonce, and this client as its only audience."""
    claims = await told(browser)
    seconds = int(NOW.timestamp())
    assert claims == {
        "iss": provider.issuer, "aud": CLIENT_ID, "sub": claims["sub"], "nonce": "a-nonce", "iat": seconds,
        "auth_time": seconds, "exp": seconds + int(TOKEN_LIFETIME.total_seconds()), "at_hash": claims["at_hash"],
        "email": "ada.lovelace@example.com", "email_verified": True, "name": "Ada Lovelace",
    }  # fmt: skip


async def test_an_unticked_address_is_unverified(browser: httpx2.AsyncClient) -> None:
    """H022: without the tick email_verified is JSON false."""
    assert (await told(browser, {"email": "bob@example.com"}))["email_verified"] is False


async def test_the_same_address_is_the_same_person(browser: httpx2.AsyncClient) -> None:
    """The subject follows from the address in any case, differs for another address, and can be chosen."""
    one, two, other = [
        await told(browser, {"email": email}) for email in ("bob@a.example", "Bob@A.example", "bob@b.example")
    ]
    chosen = await told(browser, {"email": "bob@a.example", "sub": "1"})
    assert one["sub"] == two["sub"] != other["sub"]
    assert chosen["sub"] == "1"


@pytest.mark.parametrize(
    ("scope", "members"),
    [
        ("openid", set()),
        ("openid email", {"email", "email_verified"}),
        ("openid profile", {"name"}),
        ("profile openid email", {"email", "email_verified", "name"}),
    ],
)
async def test_scopes_decide_what_is_told(browser: httpx2.AsyncClient, scope: str, members: set[str]) -> None:
    """Only what was asked for is told, in the ID token and at userinfo alike; the nonce only where there was one."""
    code = (await signed_in(browser, scope=scope, nonce=None))["code"]
    answer = (await exchanged(browser, code)).json()
    keys = KeySet.import_key_set((await browser.get("/jwks")).json())
    claims = jwt.decode(answer["id_token"], keys, algorithms=["RS256"]).claims
    userinfo = (await browser.get("/userinfo", headers={"authorization": f"Bearer {answer['access_token']}"})).json()
    usual = {"iss", "aud", "sub", "iat", "auth_time", "exp", "at_hash"}
    assert (claims.keys() - usual, userinfo.keys()) == (members, members | {"sub"})
    assert claims["sub"] == userinfo["sub"]


async def test_the_response_names_its_issuer_and_state(provider: HostileProvider, browser: httpx2.AsyncClient) -> None:
    """H054: code, state and `iss` go back, and the state is exactly what was sent."""
    response = await signed_in(browser)
    assert response.keys() == {"code", "state", "iss"}
    assert (response["state"], response["iss"]) == ("a state & more", provider.issuer)


async def test_cancelling_is_access_denied(provider: HostileProvider, browser: httpx2.AsyncClient) -> None:
    """The cancel button sends the browser back with access_denied, and the login is over."""
    page = await browser.get(asking())
    form = LoginForm.of(page.text)
    response = answered(await browser.post(str(page.url.join(form.cancel)), data={"email": ""}))
    assert response == {"error": "access_denied", "state": "a state & more", "iss": provider.issuer}
    assert (await browser.post(str(page.url.join(form.action)), data=PERSON)).status_code == 400


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_type": None}, "unsupported_response_type"),
        ({"scope": "email"}, "invalid_scope"),
        ({"scope": "openidx"}, "invalid_scope"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"response_mode": "form_post"}, "invalid_request"),
        ({"prompt": "none"}, "login_required"),
    ],
)
async def test_bad_requests_go_back_as_errors(
    provider: HostileProvider, browser: httpx2.AsyncClient, changes: dict[str, str | None], error: str
) -> None:
    """H061: a request without PKCE's S256, or outside the code flow, is answered at the client with OAuth's own word."""
    response = answered(await browser.get(asking(**changes)))
    assert response == {"error": error, "state": "a state & more", "iss": provider.issuer}


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "another-client"},
        {"client_id": None},
        {"redirect_uri": "https://evil.example/callback"},
        {"redirect_uri": f"{REDIRECT_URI}/more"},
        {"redirect_uri": f"{REDIRECT_URI}?more=1"},
        {"redirect_uri": None},
    ],
)
async def test_strangers_are_sent_nowhere(browser: httpx2.AsyncClient, changes: dict[str, str | None]) -> None:
    """H072: an unknown client or redirect URI gets a page, never a redirect."""
    response = await browser.get(asking(**changes))
    assert response.status_code == 400
    assert "location" not in response.headers
    assert "evil" not in response.text
    assert "cannot go on" in response.text


async def test_a_login_page_counts_once_and_for_a_quarter_of_an_hour(browser: httpx2.AsyncClient) -> None:
    """A form that was sent already, or too late, or that nobody was given, grants nothing."""
    page = await browser.get(asking())
    action = str(page.url.join(LoginForm.of(page.text).action))
    answered(await browser.post(action, data=PERSON))
    assert (await browser.post(action, data=PERSON)).status_code == 400
    late = await browser.get(asking())
    _clock.advance(seconds=LOGIN_LIFETIME.total_seconds())
    assert (await browser.post(str(late.url.join(LoginForm.of(late.text).action)), data=PERSON)).status_code == 400
    assert (await browser.post("/login/unknown", data=PERSON)).status_code == 400
    assert (await browser.post("/cancel/unknown")).status_code == 400


@pytest.mark.parametrize(
    "person", [{}, {"email": ""}, {"email": "   "}, {"email": "e" * 321}, {"email": "a@b.example", "sub": "s" * 256}]
)
async def test_nobody_is_nobody(browser: httpx2.AsyncClient, person: dict[str, str]) -> None:
    """A form without an address, or with a book in it, is not sent on, and can be sent again."""
    page = await browser.get(asking())
    action = str(page.url.join(LoginForm.of(page.text).action))
    assert (await browser.post(action, data=person)).status_code == 400
    assert "code" in answered(await browser.post(action, data=PERSON))


@pytest.mark.parametrize(
    "changes",
    [
        {"code_verifier": VERIFIER + "x"},
        {"code_verifier": ""},
        {"code_verifier": CHALLENGE},
        {"redirect_uri": f"{PUBLIC_URL}/auth/other/callback"},
        {"redirect_uri": ""},
        {"code": "another-code"},
    ],
)
async def test_a_code_goes_with_its_verifier_and_redirect_uri(
    browser: httpx2.AsyncClient, changes: dict[str, str]
) -> None:
    """H061: a code without its own verifier or redirect URI is refused, and is spent by the attempt."""
    code = (await signed_in(browser))["code"]
    refused = await exchanged(browser, **({"code": code} | changes))
    assert (refused.status_code, refused.json()) == (400, {"error": "invalid_grant"})
    again = await exchanged(browser, code)
    assert again.status_code == (200 if "code" in changes else 400)


async def test_a_code_counts_once_and_for_a_minute(browser: httpx2.AsyncClient) -> None:
    """A used code and an old one are refused, without tokens in the answer."""
    code = (await signed_in(browser))["code"]
    assert (await exchanged(browser, code)).status_code == 200
    assert (await exchanged(browser, code)).json() == {"error": "invalid_grant"}
    code = (await signed_in(browser))["code"]
    _clock.advance(seconds=CODE_LIFETIME.total_seconds())
    assert (await exchanged(browser, code)).json() == {"error": "invalid_grant"}


@pytest.mark.parametrize(
    "changes", [{"client_secret": "wrong"}, {"client_secret": ""}, {"client_id": "another"}, {"client_id": ""}]
)
async def test_only_the_client_exchanges(browser: httpx2.AsyncClient, changes: dict[str, str]) -> None:
    """Without the client's own secret there is no token, and the code stays for the client."""
    code = (await signed_in(browser))["code"]
    refused = await exchanged(browser, code, **changes)
    assert (refused.status_code, refused.json()) == (401, {"error": "invalid_client"})
    assert (await exchanged(browser, code)).status_code == 200


@pytest.mark.parametrize("credentials", ["Basic", "Basic !!", "Basic /w==", "Basic eDp5", "Bearer x"])
async def test_broken_basic_credentials_are_refused(browser: httpx2.AsyncClient, credentials: str) -> None:
    """Credentials that cannot be read are refused as a client, not answered with a 500."""
    code = (await signed_in(browser))["code"]
    given = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT_URI, "code_verifier": VERIFIER}
    refused = await browser.post("/token", data=given, headers={"authorization": credentials})
    assert (refused.status_code, refused.json()) == (401, {"error": "invalid_client"})


async def test_other_grants_are_refused(browser: httpx2.AsyncClient) -> None:
    """Only the authorization code is exchanged here."""
    refused = await exchanged(browser, "code", grant_type="password")
    assert refused.json() == {"error": "unsupported_grant_type"}


async def test_userinfo_needs_a_living_access_token(browser: httpx2.AsyncClient) -> None:
    """RFC 6750: no token, a wrong one and an old one are refused with a challenge."""
    token = (await exchanged(browser, (await signed_in(browser))["code"])).json()["access_token"]
    for credentials in ({}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {token}"}):
        refused = await browser.get("/userinfo", headers=credentials)
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"].startswith("Bearer")
    good = {"authorization": f"Bearer {token}"}
    assert (await browser.get("/userinfo", headers=good)).json()["email"] == "ada.lovelace@example.com"
    _clock.advance(seconds=TOKEN_LIFETIME.total_seconds())
    assert (await browser.get("/userinfo", headers=good)).status_code == 401


def test_abandoned_logins_do_not_pile_up() -> None:
    """A thousand are kept at most: the oldest gives way, and the newest is there."""
    kept = Kept[int](LOGIN_LIFETIME)
    names = [kept.keep(number, NOW) for number in range(1001)]
    assert kept.look_up(names[0], NOW) is None
    assert [kept.look_up(name, NOW) for name in (names[1], names[1000])] == [1, 1000]
