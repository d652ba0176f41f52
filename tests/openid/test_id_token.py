"""Claims of the ID token: each fault alone, and faults in pairs (OpenID Connect Core 3.1.3.7)."""

import itertools
from collections.abc import Iterable
from typing import Any, Final

import pytest

from service.openid import (
    RelyingParty,
    SignInFailed,
)
from service.openid.id_token import Expectations, access_token_hash, check_claims
from service.openid.issuer import Issuer
from service.tokens import digest_of
from tests.support.openid_provider import (
    ABSENT,
    CLIENT_ID,
    HostileProvider,
    answering,
    changed,
    redirecting,
)
from tests.support.relying_party import NOW, is_refused, log_in, relying_on, settings_for, unverified

pytestmark = pytest.mark.anyio


SECONDS = int(NOW.timestamp())


def _flipped(value: str) -> str:
    return ("A" if value[0] != "A" else "B") + value[1:]


CLAIM_BREAKS: dict[str, tuple[str, Any, str]] = {
    "iss-other": ("iss", "https://evil.example", "issuer_mismatch"),
    "iss-absent": ("iss", ABSENT, "issuer_mismatch"),
    "iss-null": ("iss", None, "issuer_mismatch"),
    "iss-list": ("iss", lambda honest: [honest], "issuer_mismatch"),
    "iss-slash": ("iss", lambda honest: f"{honest}/", "issuer_mismatch"),
    "iss-case": ("iss", lambda honest: honest.upper(), "issuer_mismatch"),
    "iss-template": ("iss", "{tenantid}", "issuer_mismatch"),
    "aud-other": ("aud", "another-client", "audience_mismatch"),
    "aud-absent": ("aud", ABSENT, "audience_mismatch"),
    "aud-null": ("aud", None, "audience_mismatch"),
    "aud-empty-list": ("aud", [], "audience_mismatch"),
    "aud-empty": ("aud", "", "audience_mismatch"),
    "aud-other-list": ("aud", ["another-client"], "audience_mismatch"),
    "aud-further": ("aud", [CLIENT_ID, "another-client"], "audience_mismatch"),
    "aud-number": ("aud", [CLIENT_ID, 5], "audience_mismatch"),
    "aud-twice": ("aud", [CLIENT_ID, CLIENT_ID], "audience_mismatch"),
    "aud-nested": ("aud", [[CLIENT_ID]], "audience_mismatch"),
    "aud-object": ("aud", {CLIENT_ID: True}, "audience_mismatch"),
    "aud-prefix": ("aud", f"{CLIENT_ID} ", "audience_mismatch"),
    "azp-other": ("azp", "another-client", "authorized_party_mismatch"),
    "azp-null": ("azp", None, "authorized_party_mismatch"),
    "azp-list": ("azp", [CLIENT_ID], "authorized_party_mismatch"),
    "sub-absent": ("sub", ABSENT, "subject_invalid"),
    "sub-empty": ("sub", "", "subject_invalid"),
    "sub-null": ("sub", None, "subject_invalid"),
    "sub-number": ("sub", 1, "subject_invalid"),
    "sub-long": ("sub", "s" * 256, "subject_invalid"),
    "sub-unicode": ("sub", "bøb", "subject_invalid"),
    "sub-nul": ("sub", "a\x00b", "subject_invalid"),
    "sub-list": ("sub", ["a"], "subject_invalid"),
    "sub-space": ("sub", " ", "subject_invalid"),
    "sub-tab": ("sub", "a\tb", "subject_invalid"),
    "sub-space-before": ("sub", lambda honest: f" {honest}", "subject_invalid"),
    "sub-space-after": ("sub", lambda honest: f"{honest} ", "subject_invalid"),
    "nonce-absent": ("nonce", ABSENT, "nonce_mismatch"),
    "nonce-other": ("nonce", _flipped, "nonce_mismatch"),
    "nonce-empty": ("nonce", "", "nonce_mismatch"),
    "nonce-number": ("nonce", 5, "nonce_mismatch"),
    "nonce-list": ("nonce", lambda honest: [honest], "nonce_mismatch"),
    "iat-absent": ("iat", ABSENT, "iat_invalid"),
    "iat-text": ("iat", str(SECONDS), "iat_invalid"),
    "iat-true": ("iat", True, "iat_invalid"),
    "iat-null": ("iat", None, "iat_invalid"),
    "iat-yesterday": ("iat", SECONDS - 86_400, "issued_too_long_ago"),
    "iat-a-second-too-old": ("iat", SECONDS - 661, "issued_too_long_ago"),
    "iat-tomorrow": ("iat", SECONDS + 86_400, "issued_in_the_future"),
    "iat-a-second-too-early": ("iat", SECONDS + 61, "issued_in_the_future"),
    "exp-absent": ("exp", ABSENT, "exp_invalid"),
    "exp-text": ("exp", str(SECONDS + 600), "exp_invalid"),
    "exp-true": ("exp", True, "exp_invalid"),
    "exp-list": ("exp", [SECONDS + 600], "exp_invalid"),
    "exp-past-leeway": ("exp", SECONDS - 60, "id_token_expired"),
    "exp-long-ago": ("exp", 0, "id_token_expired"),
    "exp-ten-years": ("exp", SECONDS + 10 * 365 * 86_400, "id_token_lives_too_long"),
    "exp-a-second-too-far": ("exp", SECONDS + 86_401, "id_token_lives_too_long"),
    "exp-endless": ("exp", 1e300, "id_token_lives_too_long"),
    "nbf-tomorrow": ("nbf", SECONDS + 86_400, "not_valid_yet"),
    "nbf-text": ("nbf", "0", "nbf_invalid"),
    "nbf-null": ("nbf", None, "nbf_invalid"),
    "at_hash-other": ("at_hash", _flipped, "access_token_mismatch"),
    "at_hash-empty": ("at_hash", "", "access_token_mismatch"),
    "at_hash-null": ("at_hash", None, "access_token_mismatch"),
    "at_hash-number": ("at_hash", 1, "access_token_mismatch"),
    "at_hash-whole": ("at_hash", lambda honest: honest * 2, "access_token_mismatch"),
}


WORST_BREAKS = [
    "iss-other", "aud-other", "azp-other", "sub-absent", "nonce-other", "iat-yesterday", "iat-tomorrow", "exp-past-leeway",
    "exp-ten-years", "nbf-tomorrow", "at_hash-other",
]  # fmt: skip


def reasons_of(*names: str) -> set[str]:
    """Returns the reasons of these faults together. A changed `iat` also changes the limit of the lifetime."""
    lives = {"id_token_lives_too_long"} if {name[:3] for name in names} == {"iat", "exp"} else set()
    return {CLAIM_BREAKS[name][2] for name in names} | lives


def pairs_of(names: Iterable[str]) -> list[tuple[str, str]]:
    """Returns all pairs of faults in two different claims."""
    return [pair for pair in itertools.combinations(names, 2) if CLAIM_BREAKS[pair[0]][0] != CLAIM_BREAKS[pair[1]][0]]


@pytest.mark.parametrize("name", CLAIM_BREAKS)
async def test_each_broken_claim_is_rejected(party: RelyingParty, provider: HostileProvider, name: str) -> None:
    """H046, H188: one broken claim rejects an otherwise correct ID token, with the reason of that claim."""
    claim, value, reason = CLAIM_BREAKS[name]
    provider.claim_changes = {claim: value}
    assert (await is_refused(party, provider)).reason == reason


@pytest.mark.parametrize("pair", pairs_of(WORST_BREAKS), ids="+".join)
async def test_two_broken_claims_are_rejected(
    party: RelyingParty, provider: HostileProvider, pair: tuple[str, str]
) -> None:
    """H046: a token with two broken claims is rejected for one of them."""
    provider.claim_changes = dict(CLAIM_BREAKS[name][:2] for name in pair)
    with pytest.raises(SignInFailed) as refusal:
        await log_in(party, provider)
    assert refusal.value.reason in reasons_of(*pair)


def test_every_pair_of_broken_claims_is_rejected() -> None:
    """H046: all 1,600 pairs of faults in two claims fail the check of the claims."""
    settings = settings_for(idp={"issuer": "https://login.example.com", "client_id": CLIENT_ID, "client_secret": "s",
                                 "email_domains": ["*"]})  # fmt: skip
    issuer = Issuer.from_settings(settings.providers["idp"])
    expected = Expectations(issuer, issuer.configured, CLIENT_ID, digest_of("nonce"), "access-token", NOW)
    honest = {
        "iss": issuer.configured, "aud": CLIENT_ID, "sub": "1", "nonce": "nonce", "iat": SECONDS, "exp": SECONDS + 600,
        "at_hash": access_token_hash("access-token", "RS256"),
    }  # fmt: skip
    assert check_claims(unverified(honest), expected) == honest
    pairs = pairs_of(CLAIM_BREAKS)
    assert len(pairs) > 1500
    for pair in pairs:
        broken = changed(honest, dict(CLAIM_BREAKS[name][:2] for name in pair))
        with pytest.raises(SignInFailed) as refusal:
            check_claims(unverified(broken), expected)
        assert refusal.value.reason in reasons_of(*pair), pair


EVIL: Final = "https://evil.example"


ANSWER_BREAKS: dict[str, tuple[dict[str, dict[str, Any]], str]] = {
    "document-issuer": ({"metadata_changes": {"issuer": EVIL}}, "discovery_issuer_mismatch"),
    "document-endpoint": ({"metadata_changes": {"token_endpoint": f"{EVIL}/token"}}, "discovery_endpoint_refused"),
    "document-down": ({"faults": {"/.well-known/openid-configuration": answering("", 503)}}, "provider_answered_error"),
    "response-iss-other": ({"response_changes": {"iss": EVIL}}, "response_issuer_mismatch"),
    "response-iss-absent": ({"response_changes": {"iss": ABSENT}}, "response_issuer_missing"),
    "response-error": ({"response_changes": {"error": "access_denied"}}, "access_denied"),
    "response-code-absent": ({"response_changes": {"code": ABSENT}}, "code_missing"),
    "response-code-other": ({"response_changes": {"code": _flipped}}, "code_refused"),
    "token-down": ({"faults": {"/token": answering("", 500)}}, "token_endpoint_failed"),
    "token-redirect": ({"faults": {"/token": redirecting(f"{EVIL}/token")}}, "provider_redirected"),
    "token-kind": ({"token_changes": {"token_type": "mac"}}, "token_type_refused"),
    "token-id-absent": ({"token_changes": {"id_token": ABSENT}}, "id_token_missing"),
    "token-access-other": ({"token_changes": {"access_token": _flipped}}, "access_token_mismatch"),
    "header-typ": ({"header_changes": {"typ": "at+jwt"}}, "id_token_type_refused"),
    "header-crit": ({"header_changes": {"crit": ["exp"]}}, "id_token_critical_header"),
    "header-alg": ({"header_changes": {"alg": "HS256"}}, "id_token_algorithm_refused"),
    "header-alg-swapped": ({"header_changes": {"alg": "PS256"}}, "id_token_signature_invalid"),
    "signed-by-a-stranger": ({"signing": {"": "another_key"}}, "id_token_signature_invalid"),
    "keys-down": ({"faults": {"/jwks": answering("", 500)}}, "provider_answered_error"),
    "userinfo-of-another": (
        {"claim_changes": {"email": ABSENT}, "userinfo_changes": {"sub": "2"}}, "userinfo_subject_mismatch",
    ),
    **{
        f"claim-{name}": ({"claim_changes": {CLAIM_BREAKS[name][0]: CLAIM_BREAKS[name][1]}}, CLAIM_BREAKS[name][2])
        for name in WORST_BREAKS
    },
}  # fmt: skip
"""The changes to the provider's answers, and the reason that rejects each."""


def break_answers(provider: HostileProvider, *names: str) -> set[str]:
    """Applies the faults of these names. Returns the possible reasons of the rejection."""
    for name in names:
        for part, changes in ANSWER_BREAKS[name][0].items():
            if part == "signing":
                provider.signing = changes[""]
            else:
                getattr(provider, part).update(changes)
    claims = [name.removeprefix("claim-") for name in names if name.startswith("claim-")]
    return {ANSWER_BREAKS[name][1] for name in names} | reasons_of(*claims)


@pytest.mark.parametrize("first", ANSWER_BREAKS)
async def test_every_pair_of_broken_answers_is_rejected(provider: HostileProvider, first: str) -> None:
    """H046: faults in each answer, alone and in pairs, reject the login for one of their reasons. The next correct
    login succeeds.
    """
    for second in list(ANSWER_BREAKS)[list(ANSWER_BREAKS).index(first) :]:
        async with relying_on(idp=provider.registration()) as party:
            reasons = break_answers(provider, first, second)
            with pytest.raises(SignInFailed) as refusal:
                await log_in(party, provider, sub="1")
            assert refusal.value.reason in reasons, (first, second)
            provider.behave()
            assert (await log_in(party, provider)).email == "bob@example.com"


@pytest.mark.parametrize(
    ("audience", "azp", "listed", "accepted"),
    [
        ([CLIENT_ID, "api"], CLIENT_ID, [], True),
        (["api", "project", CLIENT_ID], CLIENT_ID, [], True),
        ([CLIENT_ID, "api"], ABSENT, ["api"], True),
        ([CLIENT_ID, "api", "other"], ABSENT, ["api"], False),
        ([CLIENT_ID, "api"], ABSENT, [], False),
        ([CLIENT_ID, "api"], "another-client", ["api"], False),
        (["api"], CLIENT_ID, ["api"], False),
        ("api", CLIENT_ID, ["api"], False),
    ],
)
async def test_further_audiences_need_azp_or_the_operators_list(
    provider: HostileProvider, audience: Any, azp: Any, listed: list[str], accepted: bool
) -> None:
    """H050: further audiences count when azp is our client, or when AUDIENCES lists them. Our client id must be in `aud`."""
    provider.claim_changes = {"aud": audience, "azp": azp}
    async with relying_on(idp=provider.registration(audiences=listed)) as party:
        if accepted:
            assert (await log_in(party, provider)).email == "bob@example.com"
        else:
            assert (await is_refused(party, provider)).reason in {"audience_mismatch", "authorized_party_mismatch"}


@pytest.mark.parametrize("azp", [ABSENT, CLIENT_ID])
async def test_token_for_another_client_is_rejected_although_azp_names_us(
    party: RelyingParty, provider: HostileProvider, azp: Any
) -> None:
    """H050: an ID token for another audience is rejected although azp names us."""
    provider.claim_changes = {"aud": "another-client", "azp": azp}
    assert (await is_refused(party, provider)).reason == "audience_mismatch"


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": [CLIENT_ID]},
        {"azp": CLIENT_ID},
        {"sub": "s" * 255},
        {"sub": "0"},
        {"sub": "cn=Bob Smith,ou=People"},
        {"exp": SECONDS - 59},
        {"exp": SECONDS + 86_400},
        {"exp": SECONDS + 600.5, "iat": SECONDS + 0.25},
        {"iat": SECONDS - 659, "exp": SECONDS + 60},
        {"iat": SECONDS + 60},
        {"nbf": SECONDS + 60},
        {"nbf": 0},
        {"at_hash": ABSENT},
        {"acr": "0", "amr": None, "unknown": {"a": [1]}},
    ],
    ids="+".join,
)
async def test_claims_at_the_limits_are_accepted(
    party: RelyingParty, provider: HostileProvider, changes: dict[str, Any]
) -> None:
    """H065: the leeway is exactly one minute. An audience in a list of one, and unknown claims, are accepted."""
    provider.claim_changes = changes
    assert (await log_in(party, provider)).email == "bob@example.com"
