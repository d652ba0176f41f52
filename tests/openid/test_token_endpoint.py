"""The token endpoint: token types, errors, client authentication, and cookies."""

from typing import Any

import httpx2
import orjson
import pytest
import structlog

from service.openid import (
    ProviderUnavailable,
    RelyingParty,
    Started,
)
from tests.support.openid_provider import (
    ABSENT,
    CLIENT_ID,
    CLIENT_SECRET,
    PUBLIC_URL,
    HostileProvider,
    answering,
    redirecting,
)
from tests.support.relying_party import HTML, NOW, clock, finish, is_refused, log_in, relying_on

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("kind", [ABSENT, "mac", "DPoP", "", "bearer ", None, 5, ["Bearer"], True])
async def test_odd_token_types_are_refused(party: RelyingParty, provider: HostileProvider, kind: Any) -> None:
    """A token_type other than Bearer is refused, a missing one too."""
    provider.token_changes = {"token_type": kind}
    assert (await is_refused(party, provider)).reason == "token_type_refused"


@pytest.mark.parametrize("token", ["", "a\r\nb: c", "ü", "a b", 5, ["a"], {}])
async def test_odd_access_tokens_are_refused(party: RelyingParty, provider: HostileProvider, token: Any) -> None:
    """An access token that could not stand in a header is refused before it is sent anywhere."""
    provider.token_changes = {"access_token": token}
    provider.claim_changes = {"email": ABSENT, "at_hash": ABSENT}
    assert (await is_refused(party, provider)).reason == "access_token_malformed"


@pytest.mark.parametrize("token", [ABSENT, None])
async def test_the_hash_of_a_missing_access_token_matches_nothing(
    party: RelyingParty, provider: HostileProvider, token: Any
) -> None:
    """at_hash without an access token is refused; without both, the ID token stands for itself."""
    provider.token_changes = {"access_token": token}
    assert (await is_refused(party, provider)).reason == "access_token_mismatch"
    provider.token_changes, provider.claim_changes = {"access_token": token}, {"at_hash": ABSENT}
    assert (await log_in(party, provider)).email == "bob@example.com"


async def test_an_access_token_of_another_login_is_refused(party: RelyingParty, provider: HostileProvider) -> None:
    """A swapped access token does not go with at_hash, and its userinfo is never asked for."""
    provider.token_changes = {"access_token": "another-persons-token"}
    provider.claim_changes = {"email": ABSENT}
    assert (await is_refused(party, provider)).reason == "access_token_mismatch"
    assert provider.requests["/userinfo"] == 0


@pytest.mark.parametrize(
    "further", [{"expires_in": "soon"}, {"expires_in": None}, {"expires_in": {}}, {"expires_in": -1}, {"expires_at": "x"},
                {"scope": ["a"]}, {"refresh_token": 5}, {"token_type": "bearer"}, {"token_type": "BEARER"}],
    ids=str,
)  # fmt: skip
async def test_what_is_not_needed_may_be_odd(
    party: RelyingParty, provider: HostileProvider, further: dict[str, Any]
) -> None:
    """Members of the token response that are not used cannot break a login."""
    provider.token_changes = further
    assert (await log_in(party, provider)).email == "bob@example.com"


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        ("invalid_grant", 400, "code_refused"),
        ("invalid_client", 401, "client_refused"),
        ("unauthorized_client", 400, "client_refused"),
        ("invalid_request", 400, "token_endpoint_refused"),
        ("slow_down", 429, "token_endpoint_refused"),
        ("invalid_grant", 200, "code_refused"),
        (["invalid_grant"], 400, "token_endpoint_refused"),
        (None, 200, "token_endpoint_refused"),
    ],
)
async def test_refusals_of_the_token_endpoint_have_reasons(
    party: RelyingParty, provider: HostileProvider, error: Any, status: int, reason: str
) -> None:
    """H068: an error of the token endpoint is told by its kind, without its description."""
    body = orjson.dumps({"error": error, "error_description": HTML, "id_token": "x"})
    provider.faults = {"/token": answering(body, status)}
    refused = await is_refused(party, provider)
    assert refused.reason == reason
    assert "<" not in refused.message


@pytest.mark.parametrize("status", [201, 202, 400, 403, 302, 500, 503])
async def test_tokens_under_another_status_than_200_are_refused(
    party: RelyingParty, provider: HostileProvider, status: int
) -> None:
    """Even a perfect answer counts only with status 200, and a redirect with one in its body is not followed."""
    started = await party.begin("idp", now=NOW)
    response = await provider.sign_in(started.authorization_url)
    granted = await _token_answer(provider, started, response)
    provider.faults = {"/token": redirecting(f"{provider.issuer}/elsewhere", status, granted)}
    with pytest.raises(ProviderUnavailable):
        await finish(party, started, response)
    assert provider.requests["/elsewhere"] == 0
    provider.faults = {"/token": answering(granted)}
    assert (await finish(party, started, response)).email == "bob@example.com"


async def _token_answer(provider: HostileProvider, started: Started, response: dict[str, str]) -> bytes:
    async with httpx2.AsyncClient(verify=False, trust_env=False) as client:
        answer = await client.post(
            f"{provider.issuer}/token",
            data={
                "grant_type": "authorization_code", "code": response["code"], "code_verifier": started.code_verifier,
                "redirect_uri": f"{PUBLIC_URL}/auth/idp/callback", "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET,
            },
        )  # fmt: skip
    return answer.content


@pytest.mark.parametrize(
    ("offered", "basic"),
    [
        (ABSENT, True),
        (["client_secret_basic"], True),
        (["private_key_jwt"], True),
        (["client_secret_basic", "client_secret_post"], False),
        (["client_secret_post"], False),
        ("client_secret_post", True),
    ],
)
async def test_the_client_authenticates_as_the_provider_offers(
    party: RelyingParty, provider: HostileProvider, offered: Any, basic: bool
) -> None:
    """A secret with reserved characters arrives whole, in Basic as RFC 6749 encodes it and in the body."""
    provider.metadata_changes = {"token_endpoint_auth_methods_supported": offered}
    assert (await log_in(party, provider)).email == "bob@example.com"
    assert ("authorization" in provider.received["/token"]) is basic


async def test_a_wrong_secret_is_the_operators_to_mend(provider: HostileProvider) -> None:
    """A client secret that the provider refuses is told to the operator by the settings' names, and to nobody in clear."""
    async with relying_on(idp=provider.registration(client_secret="wrong-secret")) as party:
        with structlog.testing.capture_logs() as events, pytest.raises(ProviderUnavailable) as failure:
            await log_in(party, provider)
    assert failure.value.reason == "client_refused"
    assert "CLIENT_SECRET" in failure.value.detail
    assert "wrong-secret" not in f"{failure.value!r} {failure.value.detail} {events}"


async def test_one_persons_cookies_do_not_reach_the_next(party: RelyingParty, provider: HostileProvider) -> None:
    """A cookie that the provider sets at its endpoints is never sent back."""
    body = orjson.dumps(provider.metadata())
    provider.faults = {"/.well-known/openid-configuration": answering(body, set_cookie="who=bob; Path=/")}
    await log_in(party, provider)
    clock.advance(minutes=61)
    await log_in(party, provider)
    assert not [headers for headers in provider.received.values() if "cookie" in headers]
    connections = party._outside.transport._connections
    assert connections is not None
    assert not list(connections.cookies.jar)


async def test_a_proxy_of_the_environment_is_not_asked_for_loopback(
    provider: HostileProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a proxy in the environment that nobody runs, a provider on this machine is still reached."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    async with relying_on(idp=provider.registration()) as party:
        assert (await log_in(party, provider)).email == "bob@example.com"
