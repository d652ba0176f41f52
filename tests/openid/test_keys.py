"""A provider's keys: key ids, rotation, and keys that verify nothing (RFC 7517)."""

from typing import Any

import pytest
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, RSAKey

from service.openid import (
    ProviderUnavailable,
    RelyingParty,
    SignInFailed,
)
from tests.support.openid_provider import (
    ABSENT,
    HostileProvider,
    answering,
    key_for,
    running_provider,
)
from tests.support.relying_party import NOW, clock, finish, is_refused, log_in, relying_on

pytestmark = pytest.mark.anyio


async def test_token_without_a_key_id_is_accepted(party: RelyingParty, provider: HostileProvider) -> None:
    """H047: kid-absent-single is accepted."""
    provider.header_changes = {"kid": ABSENT}
    assert (await log_in(party, provider)).email == "bob@example.com"


async def test_token_without_a_key_id_is_accepted_with_several_keys(
    party: RelyingParty, provider: HostileProvider
) -> None:
    """H047: kid-absent-multiple is accepted, with any key that fits the algorithm."""
    provider.header_changes = {"kid": ABSENT}
    provider.further_keys = [
        public(key_for("RS256", "a stranger's")), public(key_for("ES256")), public(key_for("EdDSA")),
    ]  # fmt: skip
    assert (await log_in(party, provider)).email == "bob@example.com"


def public(key: Any, **members: Any) -> dict[str, Any]:
    return {**key.as_dict(private=False), **members}


async def test_key_without_a_key_id_is_tried(party: RelyingParty, provider: HostileProvider) -> None:
    """A published key without `kid` is tried for a token with any `kid`."""
    provider.published = {"keys": [public(provider.key)]}
    assert (await log_in(party, provider)).email == "bob@example.com"


@pytest.mark.parametrize("namesake", ["RS256", "PS256", "ES256", "EdDSA"])
async def test_keys_with_the_same_key_id_are_all_tried(
    party: RelyingParty, provider: HostileProvider, namesake: str
) -> None:
    """H047: several published keys, of one type or several, may share a `kid`. The one that signed is found."""
    shared = {"kid": provider.public_key()["kid"]}
    provider.further_keys = [public(key_for(namesake, "second"), **shared)]
    assert (await log_in(party, provider)).email == "bob@example.com"
    provider.signing = "another_key"
    with pytest.raises(SignInFailed, match="id_token_signature_invalid"):
        await log_in(party, provider)


@pytest.mark.parametrize("kid", [None, "always the same"])
async def test_rotated_keys_are_found_without_a_restart(
    party: RelyingParty, provider: HostileProvider, kid: str | None
) -> None:
    """H047: keys that rotate between logins, or just before signing, cost one more fetch each."""
    provider.rotate("first", kid=kid)
    await log_in(party, provider)
    for number, name in enumerate(("second", "third", "first") * 5, start=2):
        provider.rotate(name, kid=kid)
        assert (await log_in(party, provider)).email == "bob@example.com"
        assert (await log_in(party, provider)).email == "bob@example.com"
        assert provider.requests["/jwks"] == number


async def test_withdrawn_key_expires(party: RelyingParty, provider: HostileProvider) -> None:
    """A key that the provider withdrew verifies nothing after the cache's hour."""
    await log_in(party, provider)
    provider.published = {"keys": [public(key_for("RS256", "second"), kid="second")]}
    assert (await log_in(party, provider)).email == "bob@example.com"
    clock.advance(minutes=61)
    with pytest.raises(SignInFailed, match="id_token_signature_invalid"):
        await log_in(party, provider)


async def test_bad_tokens_do_not_flood_the_provider(party: RelyingParty, provider: HostileProvider) -> None:
    """H047: at most ten fetches a minute may fail to find a key. A minute later, a rotated key is found again."""
    provider.signing = "another_key"
    for _ in range(20):
        with pytest.raises(SignInFailed, match="id_token_signature_invalid"):
            await log_in(party, provider)
    assert provider.requests["/jwks"] == 1 + 10
    assert provider.requests["/.well-known/openid-configuration"] == 1
    provider.behave()
    provider.rotate("second")
    with pytest.raises(SignInFailed, match="id_token_signature_invalid"):
        await log_in(party, provider)
    clock.advance(seconds=61)
    assert (await log_in(party, provider)).email == "bob@example.com"
    assert provider.requests["/jwks"] == 1 + 11


@pytest.mark.parametrize("endpoint", ["/token", "/jwks", "/userinfo"])
async def test_moved_endpoints_are_found_again(party: RelyingParty, provider: HostileProvider, endpoint: str) -> None:
    """After the endpoints of a provider move, one login fails. The next one succeeds before the cache expires."""
    await log_in(party, provider)
    clock.advance(minutes=2)
    provider.rotate("second")
    provider.claim_changes = {"email": ABSENT}
    provider.moved = {endpoint: f"/v2{endpoint}"}
    with pytest.raises(ProviderUnavailable):
        await log_in(party, provider)
    assert (await log_in(party, provider)).email == "bob@example.com"
    assert provider.requests["/.well-known/openid-configuration"] == 2


async def test_failing_provider_is_not_flooded_for_its_document(party: RelyingParty, provider: HostileProvider) -> None:
    """H068: many failed logins at a broken endpoint read the discovery document at most once a minute."""
    provider.faults = {"/token": answering("out of order", 500)}
    for _ in range(3):
        for _number in range(4):
            with pytest.raises(ProviderUnavailable):
                await log_in(party, provider)
        clock.advance(seconds=61)
    assert provider.requests["/.well-known/openid-configuration"] == 3


ODD_KEYS: list[Any] = [
    {"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA", "kid": "post-quantum"},
    {"kty": "EC", "crv": "P-999", "x": "AA", "y": "AA", "kid": "unknown-curve"},
    {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "kid": "not-on-the-curve"},
    {"kty": "OKP", "crv": "X25519", "x": "AAAA", "kid": "agreement"},
    {"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "tiny"},
    {"kty": "RSA", "n": 5, "e": [], "kid": "typeless"},
    {"kty": "RSA", "kid": "empty"},
    {"kty": ["RSA"], "kid": {"a": 1}},
    {"kid": "kindless"},
    {},
    "no key",
    None,
    5,
    [],
]


async def test_malformed_keys_are_ignored(party: RelyingParty, provider: HostileProvider) -> None:
    """H047: keys of unknown types, broken keys and values of other types are ignored in any number."""
    provider.further_keys = ODD_KEYS * 50
    assert (await log_in(party, provider)).email == "bob@example.com"


@pytest.mark.parametrize(
    "document", [{}, {"keys": None}, {"keys": {}}, {"keys": "x"}, {"keys": []}, {"keys": ODD_KEYS}]
)
async def test_jwks_without_a_usable_key_rejects_every_token(
    party: RelyingParty, provider: HostileProvider, document: dict[str, Any]
) -> None:
    """A JWKS without a usable key rejects every token. Logins succeed again once it has one."""
    provider.published = document
    assert (await is_refused(party, provider)).reason == "id_token_signature_invalid"


@pytest.mark.parametrize(
    "members",
    [
        {"use": "enc"},
        {"use": ""},
        {"key_ops": []},
        {"key_ops": ["encrypt"]},
        {"key_ops": "verify"},
        {"alg": "RS512"},
        {"alg": "RSA-OAEP"},
        {"kty": "oct", "k": "AAAA"},
        {"d": "AQAB"},
        {"kid": "another"},
        {"crv": "P-256"},
    ],
    ids=str,
)
async def test_keys_for_other_purposes_verify_nothing(
    party: RelyingParty, provider: HostileProvider, members: dict[str, Any]
) -> None:
    """A key for another purpose, algorithm or id is ignored, and so is one with its private part. Its numbers are
    correct.
    """
    provider.published = {"keys": [provider.public_key() | members]}
    assert (await is_refused(party, provider)).reason == "id_token_signature_invalid"


@pytest.mark.parametrize(
    "members", [{"use": None}, {"key_ops": None}, {"alg": None}, {"alg": ""}, {"kid": None}, {"crv": None}], ids=str
)
async def test_members_without_a_value_count_as_absent(
    party: RelyingParty, provider: HostileProvider, members: dict[str, Any]
) -> None:
    """Some providers write null for a member that says nothing, and an empty `alg`. The key verifies."""
    provider.published = {"keys": [provider.public_key() | members]}
    assert (await log_in(party, provider)).email == "bob@example.com"


@pytest.mark.parametrize("published", ["EdDSA", "Ed25519"])
@pytest.mark.parametrize("signed", ["EdDSA", "Ed25519"])
async def test_ed25519_has_two_names(published: str, signed: str) -> None:
    """A key for EdDSA verifies tokens with the header Ed25519, and the other way round (RFC 9864)."""
    async with (
        running_provider(algorithm=signed, clock=clock) as provider,
        relying_on(idp=provider.registration()) as party,
    ):
        provider.published = {"keys": [provider.public_key() | {"alg": published}]}
        assert (await log_in(party, provider)).email == "bob@example.com"


async def test_weak_keys_verify_nothing(party: RelyingParty, provider: HostileProvider) -> None:
    """An RSA key below 2048 bits is ignored, because its signatures can be forged."""
    with pytest.warns(SecurityWarning, match="2048"):
        weak = RSAKey.generate_key(1024)
    strong, provider.key = provider.key, weak
    started = await party.begin("idp", now=NOW)
    response = await provider.sign_in(started.authorization_url)
    with pytest.raises(SignInFailed, match="id_token_signature_invalid"):
        await finish(party, started, response)
    provider.key = strong


async def test_curve_verifies_its_own_algorithm_only() -> None:
    """A P-384 key verifies no ES256 signature of the provider."""
    async with (
        running_provider(algorithm="ES256", clock=clock) as provider,
        relying_on(idp=provider.registration()) as party,
    ):
        provider.published = {"keys": [public(ECKey.generate_key("P-384"), kid=provider.public_key()["kid"])]}
        assert (await is_refused(party, provider)).reason == "id_token_signature_invalid"
