"""The token endpoint: token types, errors, client authentication, and cookies."""

from typing import Any

import httpx2
import orjson
import pytest
import structlog

from service.openid import (
    AuthorizationRequest,
    ProviderUnavailable,
    RelyingParty,
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
async def test_other_token_types_are_rejected(party: RelyingParty, provider: HostileProvider, kind: Any) -> None:
    """A missing token_type, or one other than Bearer, is rejected."""
    provider.token_changes = {"token_type": kind}
    assert (await is_refused(party, provider)).reason == "token_type_refused"


@pytest.mark.parametrize("token", ["", "a\r\nb: c", "ü", "a b", 5, ["a"], {}])
async def test_malformed_access_tokens_are_rejected(party: RelyingParty, provider: HostileProvider, token: Any) -> None:
    """An access token that is invalid in a header is rejected before it is sent."""
    provider.token_changes = {"access_token": token}
    provider.claim_changes = {"email": ABSENT, "at_hash": ABSENT}
    assert (await is_refused(party, provider)).reason == "access_token_malformed"


@pytest.mark.parametrize("token", [ABSENT, None])
async def test_hash_of_a_missing_access_token_is_rejected(
    party: RelyingParty, provider: HostileProvider, token: Any
) -> None:
    """at_hash without an access token is rejected. Without both, the ID token suffices."""
    provider.token_changes = {"access_token": token}
    assert (await is_refused(party, provider)).reason == "access_token_mismatch"
    provider.token_changes, provider.claim_changes = {"access_token": token}, {"at_hash": ABSENT}
    assert (await log_in(party, provider)).email == "bob@example.com"


async def test_access_token_of_another_login_is_rejected(party: RelyingParty, provider: HostileProvider) -> None:
    """A swapped access token does not match at_hash, and its userinfo is never requested."""
    provider.token_changes = {"access_token": "another-persons-token"}
    provider.claim_changes = {"email": ABSENT}
    assert (await is_refused(party, provider)).reason == "access_token_mismatch"
    assert provider.requests["/userinfo"] == 0


@pytest.mark.parametrize(
    "further", [{"expires_in": "soon"}, {"expires_in": None}, {"expires_in": {}}, {"expires_in": -1}, {"expires_at": "x"},
                {"scope": ["a"]}, {"refresh_token": 5}, {"token_type": "bearer"}, {"token_type": "BEARER"}],
    ids=str,
)  # fmt: skip
async def test_unused_members_may_be_malformed(
    party: RelyingParty, provider: HostileProvider, further: dict[str, Any]
) -> None:
    """Unused members of the token response cannot break a login."""
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
async def test_errors_of_the_token_endpoint_have_reasons(
    party: RelyingParty, provider: HostileProvider, error: Any, status: int, reason: str
) -> None:
    """H068: an error of the token endpoint is reported by its kind, without its description."""
    body = orjson.dumps({"error": error, "error_description": HTML, "id_token": "x"})
    provider.faults = {"/token": answering(body, status)}
    refused = await is_refused(party, provider)
    assert refused.reason == reason
    assert "<" not in str(refused.sentence)


@pytest.mark.parametrize("status", [201, 202, 400, 403, 302, 500, 503])
async def test_tokens_with_another_status_than_200_are_rejected(
    party: RelyingParty, provider: HostileProvider, status: int
) -> None:
    """Even a correct answer counts only with status 200. A redirect with tokens in its body is not followed."""
    started = await party.begin("idp", now=NOW)
    response = await provider.sign_in(started.authorization_url)
    granted = await _token_answer(provider, started, response)
    provider.faults = {"/token": redirecting(f"{provider.issuer}/elsewhere", status, granted)}
    with pytest.raises(ProviderUnavailable):
        await finish(party, started, response)
    assert provider.requests["/elsewhere"] == 0
    provider.faults = {"/token": answering(granted)}
    assert (await finish(party, started, response)).email == "bob@example.com"


async def _token_answer(provider: HostileProvider, started: AuthorizationRequest, response: dict[str, str]) -> bytes:
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
async def test_client_authenticates_as_the_provider_offers(
    party: RelyingParty, provider: HostileProvider, offered: Any, basic: bool
) -> None:
    """A secret with reserved characters arrives unchanged, in Basic as RFC 6749 encodes it and in the body."""
    provider.metadata_changes = {"token_endpoint_auth_methods_supported": offered}
    assert (await log_in(party, provider)).email == "bob@example.com"
    assert ("authorization" in provider.received["/token"]) is basic


async def test_wrong_secret_is_reported_to_the_operator(provider: HostileProvider) -> None:
    """The error for a rejected client secret names the settings to the operator. It never contains the secret."""
    async with relying_on(idp=provider.registration(client_secret="wrong-secret")) as party:
        with structlog.testing.capture_logs() as events, pytest.raises(ProviderUnavailable) as failure:
            await log_in(party, provider)
    assert failure.value.reason == "client_refused"
    assert "CLIENT_SECRET" in failure.value.detail
    assert "wrong-secret" not in f"{failure.value!r} {failure.value.detail} {events}"


async def test_cookies_of_one_person_do_not_reach_the_next(party: RelyingParty, provider: HostileProvider) -> None:
    """A cookie that the provider sets at its endpoints is never sent back."""
    body = orjson.dumps(provider.metadata())
    provider.faults = {"/.well-known/openid-configuration": answering(body, set_cookie="who=bob; Path=/")}
    await log_in(party, provider)
    clock.advance(minutes=61)
    await log_in(party, provider)
    assert not [headers for headers in provider.received.values() if "cookie" in headers]
    connections = party._client.transport._connections
    assert connections is not None
    assert not list(connections.cookies.jar)


async def test_loopback_does_not_use_a_proxy_of_the_environment(
    provider: HostileProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With an unreachable proxy in the environment, a provider on this machine is reached."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    async with relying_on(idp=provider.registration()) as party:
        assert (await log_in(party, provider)).email == "bob@example.com"
