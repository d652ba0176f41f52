"""The development OpenID Provider implements everything that it advertises and refuses everything else."""

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


def authorization_path(**changes: str | None) -> str:
    """The path of an authorization request. None omits a parameter."""
    parameters = {
        "response_type": "code", "client_id": CLIENT_ID, "redirect_uri": REDIRECT_URI, "scope": "openid email profile",
        "state": "a state & more", "nonce": "a-nonce", "code_challenge": CHALLENGE, "code_challenge_method": "S256",
    }  # fmt: skip
    return "/authorize?" + urlencode(
        {name: value for name, value in (parameters | changes).items() if value is not None}
    )


def response_parameters(response: httpx2.Response) -> dict[str, str]:
    """The parameters with which the provider redirects the browser to the client, by a 303 that repeats no form."""
    assert response.status_code == 303
    location = response.headers["location"]
    assert location.startswith(f"{REDIRECT_URI}?")
    return dict(parse_qsl(urlsplit(location).query))


async def sign_in(
    browser: httpx2.AsyncClient, person: dict[str, str] = PERSON, **changes: str | None
) -> dict[str, str]:
    """Signs a person in on the login page. Returns the parameters of the redirect."""
    page = await browser.get(authorization_path(**changes))
    assert page.status_code == 200, page.text
    return response_parameters(await browser.post(str(page.url.join(LoginForm.parse(page.text).action)), data=person))


async def exchange(browser: httpx2.AsyncClient, code: str, **changes: str) -> httpx2.Response:
    form = {
        "grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT_URI, "code_verifier": VERIFIER,
        "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET,
    }  # fmt: skip
    return await browser.post("/token", data=form | changes)


async def id_token_claims(
    browser: httpx2.AsyncClient, person: dict[str, str] = PERSON, **changes: str | None
) -> dict[str, Any]:
    """The claims of the ID token after a login, verified against the JWKS."""
    code = (await sign_in(browser, person, **changes))["code"]
    token = (await exchange(browser, code)).json()["id_token"]
    keys = KeySet.import_key_set((await browser.get("/jwks")).json())
    return jwt.decode(token, keys, algorithms=["RS256"]).claims


async def test_the_discovery_document_matches_the_provider(
    provider: HostileProvider, browser: httpx2.AsyncClient
) -> None:
    """The endpoints are below the issuer. Code, S256, RS256, `iss` in the response and the prompts are advertised."""
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
    """H149: the JWKS contains each key's id and algorithm, and no private member."""
    (key,) = (await browser.get("/jwks")).json()["keys"]
    assert key.keys() == {"kty", "n", "e", "use", "alg", "kid"}
    assert (key["alg"], key["use"]) == ("RS256", "sig")


async def test_the_login_page_is_a_plain_form(provider: HostileProvider, browser: httpx2.AsyncClient) -> None:
    """The page has three empty fields. The path of the form's action carries all state of the request."""
    page = await browser.get(authorization_path(login_hint="bob@example.com"))
    form = LoginForm.parse(page.text)
    assert form.fields.keys() == {"email", "email_verified", "sub"}
    assert not form.fields["email"].get("value")
    assert "bob@example.com" not in page.text
    assert form.action.startswith(f"{urlsplit(provider.issuer).path}/login/")
    assert not set("&?#") & set(form.action)
    assert "development" in page.text.lower()


async def test_the_pages_have_a_strict_policy(browser: httpx2.AsyncClient) -> None:
    """H112: the policy allows no script, only our stylesheet, no frame, no caching and no referrer."""
    page = await browser.get(authorization_path())
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert not [sign for sign in ("<script", "<style", "style=", "onclick", "//cdn", "https://") if sign in page.text]
    stylesheet = await browser.get("/login.css")
    assert stylesheet.headers["content-type"].startswith("text/css")


async def test_an_id_token_contains_the_typed_address(provider: HostileProvider, browser: httpx2.AsyncClient) -> None:
    """The ID token contains the typed address, its verification, the nonce, and this client as its only audience."""
    claims = await id_token_claims(browser)
    seconds = int(NOW.timestamp())
    assert claims == {
        "iss": provider.issuer, "aud": CLIENT_ID, "sub": claims["sub"], "nonce": "a-nonce", "iat": seconds,
        "auth_time": seconds, "exp": seconds + int(TOKEN_LIFETIME.total_seconds()), "at_hash": claims["at_hash"],
        "email": "ada.lovelace@example.com", "email_verified": True, "name": "Ada Lovelace",
    }  # fmt: skip


async def test_an_unticked_address_is_unverified(browser: httpx2.AsyncClient) -> None:
    """H022: without the tick, email_verified is JSON false."""
    assert (await id_token_claims(browser, {"email": "bob@example.com"}))["email_verified"] is False


async def test_the_same_address_is_the_same_person(browser: httpx2.AsyncClient) -> None:
    """The subject is derived from the address in any case, differs between addresses, and can be chosen."""
    lower, mixed, other = [
        await id_token_claims(browser, {"email": email})
        for email in ("bob@a.example", "Bob@A.example", "bob@b.example")
    ]
    chosen = await id_token_claims(browser, {"email": "bob@a.example", "sub": "1"})
    assert lower["sub"] == mixed["sub"] != other["sub"]
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
async def test_scopes_select_the_claims(browser: httpx2.AsyncClient, scope: str, members: set[str]) -> None:
    """The ID token and userinfo contain only the claims of the requested scopes. The nonce appears only if it
    was sent.
    """
    code = (await sign_in(browser, scope=scope, nonce=None))["code"]
    answer = (await exchange(browser, code)).json()
    keys = KeySet.import_key_set((await browser.get("/jwks")).json())
    claims = jwt.decode(answer["id_token"], keys, algorithms=["RS256"]).claims
    userinfo = (await browser.get("/userinfo", headers={"authorization": f"Bearer {answer['access_token']}"})).json()
    usual = {"iss", "aud", "sub", "iat", "auth_time", "exp", "at_hash"}
    assert (claims.keys() - usual, userinfo.keys()) == (members, members | {"sub"})
    assert claims["sub"] == userinfo["sub"]


async def test_the_response_names_its_issuer_and_state(provider: HostileProvider, browser: httpx2.AsyncClient) -> None:
    """H054: the response contains code, state and `iss`. The state equals the one that was sent."""
    response = await sign_in(browser)
    assert response.keys() == {"code", "state", "iss"}
    assert (response["state"], response["iss"]) == ("a state & more", provider.issuer)


async def test_cancelling_is_access_denied(provider: HostileProvider, browser: httpx2.AsyncClient) -> None:
    """The cancel button redirects the browser with access_denied, and ends the login."""
    page = await browser.get(authorization_path())
    form = LoginForm.parse(page.text)
    response = response_parameters(await browser.post(str(page.url.join(form.cancel)), data={"email": ""}))
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
async def test_invalid_requests_are_reported_to_the_client(
    provider: HostileProvider, browser: httpx2.AsyncClient, changes: dict[str, str | None], error: str
) -> None:
    """H061: a request without PKCE's S256, or outside the code flow, returns OAuth's error code to the client."""
    response = response_parameters(await browser.get(authorization_path(**changes)))
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
async def test_unknown_clients_get_no_redirect(browser: httpx2.AsyncClient, changes: dict[str, str | None]) -> None:
    """H072: an unknown client or redirect URI gets an error page and no redirect."""
    response = await browser.get(authorization_path(**changes))
    assert response.status_code == 400
    assert "location" not in response.headers
    assert "evil" not in response.text
    assert "cannot go on" in response.text


async def test_a_login_page_is_valid_once_for_fifteen_minutes(browser: httpx2.AsyncClient) -> None:
    """A form that is repeated, late or unknown grants no code."""
    page = await browser.get(authorization_path())
    action = str(page.url.join(LoginForm.parse(page.text).action))
    response_parameters(await browser.post(action, data=PERSON))
    assert (await browser.post(action, data=PERSON)).status_code == 400
    late = await browser.get(authorization_path())
    _clock.advance(seconds=LOGIN_LIFETIME.total_seconds())
    assert (await browser.post(str(late.url.join(LoginForm.parse(late.text).action)), data=PERSON)).status_code == 400
    assert (await browser.post("/login/unknown", data=PERSON)).status_code == 400
    assert (await browser.post("/cancel/unknown")).status_code == 400


@pytest.mark.parametrize(
    "person", [{}, {"email": ""}, {"email": "   "}, {"email": "e" * 321}, {"email": "a@b.example", "sub": "s" * 256}]
)
async def test_an_invalid_login_form_is_refused(browser: httpx2.AsyncClient, person: dict[str, str]) -> None:
    """A form without an address, or with an overlong one, is not accepted, and can be sent again."""
    page = await browser.get(authorization_path())
    action = str(page.url.join(LoginForm.parse(page.text).action))
    assert (await browser.post(action, data=person)).status_code == 400
    assert "code" in response_parameters(await browser.post(action, data=PERSON))


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
async def test_a_code_requires_its_verifier_and_redirect_uri(
    browser: httpx2.AsyncClient, changes: dict[str, str]
) -> None:
    """H061: a code with a wrong verifier or redirect URI is refused. The attempt consumes the code."""
    code = (await sign_in(browser))["code"]
    refused = await exchange(browser, **({"code": code} | changes))
    assert (refused.status_code, refused.json()) == (400, {"error": "invalid_grant"})
    again = await exchange(browser, code)
    assert again.status_code == (200 if "code" in changes else 400)


async def test_a_code_is_valid_once_for_a_minute(browser: httpx2.AsyncClient) -> None:
    """A used or expired code is refused, and the answer contains no tokens."""
    code = (await sign_in(browser))["code"]
    assert (await exchange(browser, code)).status_code == 200
    assert (await exchange(browser, code)).json() == {"error": "invalid_grant"}
    code = (await sign_in(browser))["code"]
    _clock.advance(seconds=CODE_LIFETIME.total_seconds())
    assert (await exchange(browser, code)).json() == {"error": "invalid_grant"}


@pytest.mark.parametrize(
    "changes", [{"client_secret": "wrong"}, {"client_secret": ""}, {"client_id": "another"}, {"client_id": ""}]
)
async def test_only_the_client_can_exchange_a_code(browser: httpx2.AsyncClient, changes: dict[str, str]) -> None:
    """Without the client's secret no token is issued, and the client can still use the code."""
    code = (await sign_in(browser))["code"]
    refused = await exchange(browser, code, **changes)
    assert (refused.status_code, refused.json()) == (401, {"error": "invalid_client"})
    assert (await exchange(browser, code)).status_code == 200


@pytest.mark.parametrize("credentials", ["Basic", "Basic !!", "Basic /w==", "Basic eDp5", "Bearer x"])
async def test_broken_basic_credentials_are_refused(browser: httpx2.AsyncClient, credentials: str) -> None:
    """Malformed credentials are refused as an invalid client, without a 500."""
    code = (await sign_in(browser))["code"]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT_URI, "code_verifier": VERIFIER}
    refused = await browser.post("/token", data=form, headers={"authorization": credentials})
    assert (refused.status_code, refused.json()) == (401, {"error": "invalid_client"})


async def test_other_grants_are_refused(browser: httpx2.AsyncClient) -> None:
    """The provider supports only the authorization code grant."""
    refused = await exchange(browser, "code", grant_type="password")
    assert refused.json() == {"error": "unsupported_grant_type"}


async def test_userinfo_requires_a_valid_access_token(browser: httpx2.AsyncClient) -> None:
    """RFC 6750: a missing, wrong or expired token is refused with a challenge."""
    token = (await exchange(browser, (await sign_in(browser))["code"])).json()["access_token"]
    for credentials in ({}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {token}"}):
        refused = await browser.get("/userinfo", headers=credentials)
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"].startswith("Bearer")
    good = {"authorization": f"Bearer {token}"}
    assert (await browser.get("/userinfo", headers=good)).json()["email"] == "ada.lovelace@example.com"
    _clock.advance(seconds=TOKEN_LIFETIME.total_seconds())
    assert (await browser.get("/userinfo", headers=good)).status_code == 401


def test_abandoned_logins_are_limited() -> None:
    """The provider keeps at most a thousand logins. A new one evicts the oldest."""
    kept = Kept[int](LOGIN_LIFETIME)
    names = [kept.keep(number, NOW) for number in range(1001)]
    assert kept.look_up(names[0], NOW) is None
    assert [kept.look_up(name, NOW) for name in (names[1], names[1000])] == [1, 1000]
