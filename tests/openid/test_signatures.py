"""Headers and signatures of ID tokens (RFC 7515, RFC 8725)."""

from typing import Any

import orjson
import pytest
from joserfc.jws import JWSRegistry

from service.openid import (
    RelyingParty,
)
from tests.support.openid_provider import (
    ABSENT,
    SHARED_SECRET,
    HostileProvider,
    answering,
    encoded,
    key_for,
)
from tests.support.relying_party import base64url, is_refused, log_in

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("advertised", [["RS256"], ["none"], ["HS256", "none", "RS256"], ABSENT])
@pytest.mark.parametrize(
    ("signing", "reason"),
    [
        ("none", "id_token_algorithm_refused"),
        ("client_secret", "id_token_algorithm_refused"),
        ("public_key", "id_token_algorithm_refused"),
        ("published_secret", "id_token_algorithm_refused"),
        ("no_signature", "id_token_signature_invalid"),
        ("another_key", "id_token_signature_invalid"),
        ("tampered", "id_token_signature_invalid"),
    ],
)
async def test_forged_tokens_are_rejected(
    party: RelyingParty, provider: HostileProvider, signing: str, reason: str, advertised: Any
) -> None:
    """H048: unsigned tokens, HMAC tokens with a shared secret or the public key, and tokens of another key are
    rejected. The algorithms in the discovery document have no influence.
    """
    provider.metadata_changes = {"id_token_signing_alg_values_supported": advertised}
    provider.further_keys = [SHARED_SECRET.as_dict(private=True)]
    provider.signing = signing
    assert (await is_refused(party, provider)).reason == reason


@pytest.mark.parametrize(
    "algorithm", ["none", "NONE", "nOnE", "HS256", "rs256", "RS1", "ES256K", "dir", "", None, ["RS256"], {}, 1, ABSENT]
)
async def test_algorithms_outside_the_list_are_rejected(
    party: RelyingParty, provider: HostileProvider, algorithm: Any
) -> None:
    """H048: a token is rejected unless the header's algorithm is exactly one of ours."""
    provider.header_changes = {"alg": algorithm}
    assert (await is_refused(party, provider)).reason == "id_token_algorithm_refused"


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256", "ES256", "EdDSA"])
async def test_signature_must_match_its_algorithm(
    party: RelyingParty, provider: HostileProvider, algorithm: str
) -> None:
    """H152: a valid signature with the name of another algorithm is rejected."""
    provider.header_changes = {"alg": algorithm}
    assert (await is_refused(party, provider)).reason == "id_token_signature_invalid"


@pytest.mark.parametrize("kind", ["at+jwt", "application/at+jwt", "logout+jwt", "JWT2", "", None, 1, ["JWT"]])
async def test_other_types_of_tokens_are_rejected(party: RelyingParty, provider: HostileProvider, kind: Any) -> None:
    """H152: an access token or logout token of the same issuer, with the same claims, is rejected."""
    provider.header_changes = {"typ": kind}
    assert (await is_refused(party, provider)).reason == "id_token_type_refused"


@pytest.mark.parametrize("kind", ["JWT", "jwt", ABSENT])
async def test_id_tokens_may_omit_their_type(party: RelyingParty, provider: HostileProvider, kind: Any) -> None:
    """The type of an ID token is JWT, in upper or lower case, or absent."""
    provider.header_changes = {"typ": kind}
    assert (await log_in(party, provider)).email == "bob@example.com"


@pytest.mark.parametrize(
    "header",
    [{"crit": ["exp"]}, {"crit": []}, {"crit": ["b64"], "b64": False}, {"crit": None}, {"crit": ["x"], "x": 1}],
)
async def test_critical_headers_are_rejected(
    party: RelyingParty, provider: HostileProvider, header: dict[str, Any]
) -> None:
    """H152: a token with critical headers is rejected."""
    provider.header_changes = header
    assert (await is_refused(party, provider)).reason == "id_token_critical_header"


async def test_token_does_not_choose_its_own_key(party: RelyingParty, provider: HostileProvider) -> None:
    """H152: keys inside or behind a header are ignored, and never fetched."""
    stranger = key_for("RS256", "a stranger's").as_dict(private=False)
    url = f"{provider.issuer}/evil-jwks"
    provider.faults = {"/evil-jwks": answering(orjson.dumps({"keys": [stranger]}))}
    provider.signing = "another_key"
    provider.header_changes = {"jwk": stranger, "jku": url, "x5u": url, "kid": ABSENT}
    assert (await is_refused(party, provider)).reason == "id_token_signature_invalid"
    assert provider.requests["/evil-jwks"] == 0


async def test_headers_with_urls_are_ignored(party: RelyingParty, provider: HostileProvider) -> None:
    """A correct token with such headers is verified with the provider's own key. Many real tokens have them."""
    provider.header_changes = {"jku": "https://evil.example", "x5t": "abc", "x5c": ["A" * 3000], "further": 1}
    assert (await log_in(party, provider)).email == "bob@example.com"


@pytest.mark.parametrize(
    ("kid", "reason"),
    [
        ("../../../../etc/passwd", "id_token_signature_invalid"),
        ("' OR 1=1 --", "id_token_signature_invalid"),
        ("", "id_token_signature_invalid"),
        (5, "id_token_malformed"),
        (["first"], "id_token_malformed"),
        ("k" * 1_000_000, "token_or_too_large"),
    ],
)
async def test_malformed_key_ids_find_no_key(
    party: RelyingParty, provider: HostileProvider, kid: Any, reason: str
) -> None:
    """H152: a key id is only compared. One of another type, or a very long one, is rejected."""
    provider.header_changes = {"kid": kid}
    assert (await is_refused(party, provider)).reason in {reason, "provider_answer_too_large"}


def _cut(token: str) -> dict[str, str]:
    header, payload, signature = token.split(".")
    return {"header": header, "payload": payload, "signature": signature}


@pytest.mark.parametrize(
    "garbled",
    [
        "",
        None,
        5,
        lambda honest: [honest],
        lambda honest: {"id_token": honest},
        "not a token",
        "a.b",
        "..",
        lambda honest: f"{honest}.{honest}",
        lambda honest: f"{honest}=",
        lambda honest: f" {honest}",
        lambda honest: honest.replace(".", "\n."),
        lambda honest: f"{honest}ü",
        lambda honest: ".".join(["ü", *honest.split(".")[1:]]),
        lambda honest: f"{encoded({'alg': 'RS256'})}.{'A' * 70_000}.{_cut(honest)['signature']}",
        lambda honest: f"{'A' * 9000}.{_cut(honest)['payload']}.{_cut(honest)['signature']}",
        lambda honest: f"W10.{_cut(honest)['payload']}.{_cut(honest)['signature']}",
        lambda honest: f"e30.{_cut(honest)['payload']}.{_cut(honest)['signature']}",
        lambda honest: f"{_cut(honest)['header']}.W10.{_cut(honest)['signature']}",
        ABSENT,
    ],
)  # fmt: skip
async def test_malformed_id_tokens_are_rejected(party: RelyingParty, provider: HostileProvider, garbled: Any) -> None:
    """H046: a missing ID token is rejected, and so is any text that is not a complete signed JWT."""
    provider.token_changes = {"id_token": garbled}
    refused = await is_refused(party, provider)
    assert refused.reason in {
        "id_token_missing", "id_token_malformed", "id_token_algorithm_refused", "id_token_signature_invalid",
    }  # fmt: skip


@pytest.mark.parametrize(
    "payload", [b"[]", b'"text"', b"nothing", b"\xff\xfe", b'{"iss":', b"[" * 50_000, b'{"iss":NaN}']
)
async def test_signed_payloads_without_claims_are_rejected(
    party: RelyingParty, provider: HostileProvider, payload: bytes
) -> None:
    """A valid signature over a payload that is no JSON object is rejected like an invalid one."""
    signing_input = f"{encoded(provider.header())}.{base64url(payload)}"
    signature = JWSRegistry.algorithms["RS256"].sign(signing_input.encode(), provider.key)
    provider.token_changes = {"id_token": f"{signing_input}.{base64url(signature)}"}
    assert (await is_refused(party, provider)).reason == "id_token_malformed"
