"""Generated documents, keys, claims and codes: the relying party answers each with an expected error."""

import contextlib
import json
import logging
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from service import logs
from service.openid import (
    ProviderUnavailable,
    RelyingParty,
    SignInFailed,
    Verdict,
    assess,
)
from service.openid.id_token import Expectations, check_claims, read_id_token
from service.openid.issuer import Issuer
from service.openid.keys import ALGORITHMS, read_keys
from service.openid.metadata import read_metadata
from service.tokens import digest_of
from tests.support.openid_provider import (
    ABSENT,
    CLIENT_SECRET,
    HostileProvider,
)
from tests.support.relying_party import NOW, TENANT, base64url, finish, relying_on, settings_for, unverified

pytestmark = pytest.mark.anyio


SOME = examples(max_examples=50, deadline=None)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


PROVIDERS = settings_for(
    google={"kind": "google", "client_id": "c", "client_secret": "s"},
    microsoft={"kind": "microsoft", "client_id": "c", "client_secret": "s", "tenants": [TENANT, "consumers"]},
    idp={"issuer": "https://login.example.com", "client_id": "c", "client_secret": "s", "email_domains": ["*"]},
).providers


def objects_of(*names: str) -> st.SearchStrategy[dict[str, Any]]:
    """Returns a strategy of JSON objects with any values under these names."""
    return st.fixed_dictionaries({}, optional=dict.fromkeys(names, JSON))


@SOME
@given(objects_of("issuer", "authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint",
                  "prompt_values_supported", "token_endpoint_auth_methods_supported"))  # fmt: skip
def test_any_discovery_document_is_metadata_or_an_expected_error(document: dict[str, Any]) -> None:
    """A discovery document of any JSON is metadata, or one kind of error."""
    for settings in PROVIDERS.values():
        issuer = Issuer.from_settings(settings)
        for honest in ({}, {"issuer": issuer.configured}):
            with contextlib.suppress(ProviderUnavailable):
                read_metadata(document | honest, issuer, ())


@SOME
@given(JSON | st.lists(objects_of("kty", "n", "e", "crv", "x", "y", "use", "key_ops", "alg", "kid"), max_size=3))
def test_any_jwks_verifies_only_signed_tokens(keys: Any) -> None:
    """A JWKS of any JSON is parsed, and its keys verify no forged signature."""
    for kind in ({}, {"kty": "RSA"}, {"kty": "EC"}, {"kty": "OKP"}):
        members = [key | kind for key in keys if isinstance(key, dict)] if isinstance(keys, list) else keys
        for key in read_keys({"keys": members}):
            assert not any(key.verifies(name, b"input", b"signature") for name in ALGORITHMS if key.fits(None, name))


@SOME
@given(objects_of("iss", "aud", "azp", "sub", "nonce", "iat", "exp", "nbf", "at_hash", "tid"), JSON, JSON)
def test_any_claims_are_rejected_as_expected(claims: dict[str, Any], header: Any, token: Any) -> None:
    """An ID token of any JSON is rejected with one kind of error. Random claims never pass."""
    for settings in PROVIDERS.values():
        issuer = Issuer.from_settings(settings)
        expected = Expectations(issuer, issuer.configured, "c", digest_of("nonce"), "access-token", NOW)
        with pytest.raises(SignInFailed):
            check_claims(unverified(claims), expected)
    for text in (token, f"{base64url(json.dumps(header).encode())}.e30.AA", f"{token}"):
        with contextlib.suppress(SignInFailed):
            assert not read_id_token(text).signed_by(())


@SOME
@given(objects_of("email", "email_verified", "hd", "tid", "xms_edov", "verified_primary_email"))
def test_any_claims_have_a_verdict(claims: dict[str, Any]) -> None:
    """Claims of any JSON about an address have a verdict. Without an address, they are refused."""
    for settings in PROVIDERS.values():
        evidence = assess(settings, claims)
        assert evidence.verdict is Verdict.REFUSED or "@" in claims["email"]


@pytest.mark.parametrize("code", ["ü", "a b&c=d%", "\ud800", "\x00", "%ZZ", "漢字", "a+b/c="])
async def test_malformed_codes_are_rejected_by_the_provider(
    party: RelyingParty, provider: HostileProvider, code: str
) -> None:
    """H068: a code of any characters is rejected with an expected error."""
    started = await party.begin("idp", now=NOW)
    with pytest.raises(SignInFailed) as refusal:
        await finish(party, started, {"code": code, "iss": provider.issuer})
    assert refusal.value.reason in {"code_refused", "token_endpoint_failed"}


async def test_operators_check_names_the_error(party: RelyingParty, provider: HostileProvider) -> None:
    """`check` succeeds for a working provider. It reports one without keys, although logins have cached keys."""
    await party.check("idp", now=NOW)
    provider.published = {"keys": []}
    with pytest.raises(ProviderUnavailable, match="no_usable_key") as failure:
        await party.check("idp", now=NOW)
    assert f"{provider.issuer}/jwks" in failure.value.detail


async def test_nothing_secret_is_logged(provider: HostileProvider, caplog: pytest.LogCaptureFixture) -> None:
    """H155: at DEBUG, successful and failed logins log no code, state, nonce, verifier, token or secret."""
    caplog.set_level(logging.DEBUG)
    logs.quieten()
    secrets = [CLIENT_SECRET]
    with structlog.testing.capture_logs() as events:
        for changes in ({}, {"aud": "x"}, {"email": ABSENT}):
            async with relying_on(idp=provider.registration()) as party:
                provider.claim_changes = changes
                started = await party.begin("idp", now=NOW)
                response = await provider.sign_in(started.authorization_url)
                secrets += [started.state, started.nonce, started.code_verifier, response["code"]]
                try:
                    await finish(party, started, response)
                except SignInFailed as refusal:
                    secrets += [str(refusal.__cause__ or "no cause")]
    logged = f"{caplog.text} {events}"
    assert [event["event"] for event in events] == ["sign_in.failed"]
    assert not [secret for secret in secrets if secret in logged]
    assert "eyJ" not in logged
