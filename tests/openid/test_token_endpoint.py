"""The token endpoint: token types, errors, client authentication, and cookies."""

from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest
import structlog

from service.dev.openid_provider import new_key
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
        (["client_secret_post", "client_secret_basic"], True),
        (["client_secret_post"], False),
        ("client_secret_post", True),
    ],
)
async def test_client_authenticates_as_the_provider_offers(
    party: RelyingParty, provider: HostileProvider, offered: Any, basic: bool
) -> None:
    """The first method of the standard that the provider lists is used, and Basic without a list. A secret with reserved
    characters arrives unchanged, in Basic as RFC 6749 encodes it and in the body.
    """
    provider.metadata_changes = {"token_endpoint_auth_methods_supported": offered}
    assert (await log_in(party, provider)).email == "bob@example.com"
    assert ("authorization" in provider.received["/token"]) is basic


@pytest.mark.parametrize("method", ["basic", "post"])
async def test_client_uses_the_method_for_which_it_is_registered(provider: HostileProvider, method: str) -> None:
    """CLIENT_AUTH decides, also at a provider that lists another method and refuses clients of the wrong one."""
    other = {"basic": "client_secret_post", "post": "client_secret_basic"}[method]
    provider.metadata_changes = {"token_endpoint_auth_methods_supported": [other]}
    provider.registered_method = f"client_secret_{method}"
    async with relying_on(idp=provider.registration(client_auth=method)) as party:
        assert (await log_in(party, provider)).email == "bob@example.com"


@pytest.mark.parametrize("kind", ["RSA", "ES256", "ES384", "ES512", "Ed25519"])
@pytest.mark.parametrize("form", ["pem", "jwk"])
async def test_client_authenticates_by_its_private_key(
    provider: HostileProvider, tmp_path: Path, kind: str, form: str
) -> None:
    """With private_key_jwt the client sends a new signed assertion with each exchange, and no secret (RFC 7523)."""
    key = provider.client_key = new_key({"RSA": "RS256"}.get(kind, kind))
    file = tmp_path / "key"
    file.write_bytes(key.as_pem(private=True) if form == "pem" else orjson.dumps(key.as_dict(private=True)))
    provider.registered_method = "private_key_jwt"
    registration = provider.registration(client_auth="private_key_jwt", client_key_file=file)
    del registration["client_secret"]
    async with relying_on(idp=registration) as party:
        for _ in range(2):
            assert (await log_in(party, provider)).email == "bob@example.com"
    assert len(provider.assertions) == 2
    assert "authorization" not in provider.received["/token"]


async def test_a_private_key_is_used_where_the_provider_lists_its_method(
    provider: HostileProvider, tmp_path: Path
) -> None:
    """With a key and no secret, private_key_jwt is the default."""
    key = provider.client_key = new_key("ES256")
    file = tmp_path / "key.pem"
    file.write_bytes(key.as_pem(private=True))
    registration = provider.registration(client_key_file=file)
    del registration["client_secret"]
    async with relying_on(idp=registration) as party:
        assert (await log_in(party, provider)).email == "bob@example.com"


@pytest.mark.parametrize(
    ("client_auth", "registered", "named"),
    [
        ("basic", "client_secret_post", ("client_secret_basic", "post or private_key_jwt", "CLIENT_SECRET")),
        ("post", "client_secret_basic", ("client_secret_post", "basic or private_key_jwt", "CLIENT_SECRET")),
    ],
)
async def test_a_refused_client_names_the_method_and_the_alternatives(
    provider: HostileProvider, client_auth: str, registered: str, named: tuple[str, ...]
) -> None:
    """On invalid_client the log names the method, the alternatives and the settings. Nobody is signed in."""
    provider.registered_method = registered
    async with relying_on(idp=provider.registration(client_auth=client_auth)) as party:
        with structlog.testing.capture_logs() as events, pytest.raises(ProviderUnavailable) as failure:
            await log_in(party, provider)
    assert failure.value.reason == "client_refused"
    (detail,) = [event["detail"] for event in events if event["event"] == "provider.unavailable"]
    assert all(name in detail for name in (*named, "CLIENT_AUTH"))


async def test_the_check_of_a_provider_authenticates_the_client(provider: HostileProvider) -> None:
    """The operator's check sends a made-up code: a wrong secret or method is found, a right one passes. It grants nothing."""
    async with relying_on(idp=provider.registration()) as party:
        await party.check("idp", now=NOW)
        provider.registered_method = "client_secret_post"
        with pytest.raises(ProviderUnavailable, match="client_refused"):
            await party.check("idp", now=NOW)
        provider.registered_method = None
        provider.faults = {"/token": answering(b'{"error": "invalid_request"}', 400)}
        await party.check("idp", now=NOW)
    async with relying_on(idp=provider.registration(client_secret="wrong-secret")) as party:
        provider.behave()
        with pytest.raises(ProviderUnavailable, match="client_refused"):
            await party.check("idp", now=NOW)


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
