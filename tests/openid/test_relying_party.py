"""The relying party against a hostile provider on loopback: every break alone, and the claims' breaks in pairs."""

import asyncio
import base64
import contextlib
import gzip
import itertools
import json
import logging
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx2
import orjson
import pytest
import structlog
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, RSAKey
from joserfc.jws import JWSRegistry
from starlette.datastructures import QueryParams
from starlette.types import Receive, Scope, Send

from service import logs
from service.openid import (
    Identity,
    ProviderLabel,
    ProviderUnavailable,
    RelyingParty,
    SignInFailed,
    Started,
    Verdict,
    assess,
)
from service.openid.id_token import Expected, Unverified, access_token_hash, check_claims, read_id_token
from service.openid.issuer import PERSONAL_TENANT, Issuer
from service.openid.keys import ALGORITHMS, read_keys
from service.openid.metadata import read_metadata
from service.settings import Settings, load_settings
from service.tokens import digest_of
from tests.support.openid_provider import (
    ABSENT,
    CLIENT_ID,
    CLIENT_SECRET,
    PUBLIC_URL,
    SHARED_SECRET,
    Fault,
    HostileProvider,
    answering,
    changed,
    compressed_zeros,
    dripping,
    encoded,
    endless,
    key_for,
    redirecting,
    running_provider,
    stalling,
)
from tests.support.service import TestClock

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
SECONDS = int(NOW.timestamp())
TENANT = "5f6b2c1e-0d4a-4b7e-9c53-7f1f3a1f0c11"
OTHER_TENANT = "0b9a6d52-3c6e-4f0c-8a57-2f1a6c3b9d22"
SOON = timedelta(milliseconds=300)
"""A deadline for tests of what never ends."""

_clock = TestClock(NOW)


@pytest.fixture(scope="module")
async def shared_provider() -> AsyncIterator[HostileProvider]:
    async with running_provider("/realm", clock=_clock) as provider:
        yield provider


@pytest.fixture
def provider(shared_provider: HostileProvider) -> HostileProvider:
    """The one provider of this module, honest again."""
    _clock.time = NOW
    shared_provider.behave()
    shared_provider.rotate("first")
    shared_provider.requests.clear()
    return shared_provider


def settings_for(**providers: dict[str, Any]) -> Settings:
    return load_settings(environ={}, public_url=PUBLIC_URL, providers=providers)


@asynccontextmanager
async def relying_on(deadline: timedelta | None = None, **providers: dict[str, Any]) -> AsyncIterator[RelyingParty]:
    settings = settings_for(**providers)
    party = RelyingParty(settings) if deadline is None else RelyingParty(settings, deadline=deadline)
    try:
        yield party
    finally:
        await party.close()


@pytest.fixture
async def party(provider: HostileProvider) -> AsyncIterator[RelyingParty]:
    """A relying party that has the provider as `idp`, and has fetched nothing yet."""
    async with relying_on(idp=provider.registration()) as relying_party:
        yield relying_party


async def finish(
    party: RelyingParty,
    started: Started,
    response: dict[str, str] | list[tuple[str, str]],
    name: str = "idp",
    **changes: Any,
) -> Identity:
    given: dict[str, Any] = {
        "response": QueryParams(response),
        "nonce_digest": digest_of(started.nonce),
        "code_verifier": started.code_verifier,
        "now": _clock(),
    }
    return await party.finish(name, **(given | changes))


async def log_in(party: RelyingParty, provider: HostileProvider, name: str = "idp", **person: Any) -> Identity:
    """A whole login: begin, the provider's page, finish."""
    started = await party.begin(name, now=_clock())
    return await finish(party, started, await provider.sign_in(started.authorization_url, **person), name)


async def is_refused(party: RelyingParty, provider: HostileProvider, name: str = "idp", **person: Any) -> SignInFailed:
    """The refusal of a login; it is a sentence, and the provider's next honest login is not disturbed by it."""
    started = await party.begin(name, now=_clock())
    response = await provider.sign_in(started.authorization_url, **person)
    with pytest.raises(SignInFailed) as refusal:
        await finish(party, started, response, name)
    assert refusal.value.message.endswith(".")
    for secret in (*response.values(), started.nonce, started.code_verifier, CLIENT_SECRET):
        if secret != provider.issuer:
            assert secret not in f"{refusal.value} {refusal.value!r} {refusal.value.message}"
    provider.behave()
    assert (await log_in(party, provider, name, email="next@example.com")).email == "next@example.com"
    return refusal.value


# ----------------------------------------------------------------------------------------------------------- honest logins


async def test_an_honest_login_gives_the_verified_identity(party: RelyingParty, provider: HostileProvider) -> None:
    """Issuer, subject, address, name and evidence are the provider's, and the address is as it was claimed."""
    identity = await log_in(party, provider, email="Bob.Builder@example.com", sub="1")
    assert (identity.provider_id, identity.issuer, identity.subject) == ("idp", provider.issuer, "1")
    assert (identity.email, identity.name) == ("Bob.Builder@example.com", "Bob Builder")
    assert (identity.evidence.verdict, identity.evidence.rule) == (Verdict.AUTHORITATIVE, "oidc_verified")


async def test_an_unverified_address_is_evidence_not_a_failure(party: RelyingParty, provider: HostileProvider) -> None:
    """H022: the login itself succeeds, and its evidence refuses the address."""
    identity = await log_in(party, provider, email_verified=False)
    assert (identity.evidence.verdict, identity.evidence.rule) == (Verdict.REFUSED, "email_unverified")


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "RS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"])
async def test_asymmetric_algorithms_work(algorithm: str) -> None:
    """ID tokens of every pinned algorithm are believed, with the access token's hash in them."""
    async with (
        running_provider(algorithm=algorithm, clock=_clock) as provider,
        relying_on(idp=provider.registration()) as party,
    ):
        assert (await log_in(party, provider, sub="somebody")).subject == "somebody"


@pytest.mark.parametrize(
    ("path", "issuer_path"), [("", ""), ("/", "/"), ("/tenants/one", None), ("/tenants/one/", "/tenants/one/")]
)
async def test_issuers_with_a_path_or_a_trailing_slash_work(path: str, issuer_path: str | None) -> None:
    """The well-known path follows the issuer without its trailing slash, and the issuer stays as it is written."""
    async with running_provider(path, issuer_path=issuer_path, clock=_clock) as provider:
        async with relying_on(idp=provider.registration()) as party:
            assert (await log_in(party, provider)).issuer == provider.issuer


async def test_subjects_of_two_issuers_are_two_identities(provider: HostileProvider) -> None:
    """The same `sub` at two issuers gives two different keys."""
    async with (
        running_provider("/other", clock=_clock) as other,
        relying_on(idp=provider.registration(), other=other.registration()) as party,
    ):
        one, two = await log_in(party, provider, sub="1"), await log_in(party, other, "other", sub="1")
    assert one.subject == two.subject == "1"
    assert one.issuer != two.issuer


# --------------------------------------------------------------------------------------------------------------- beginning


async def test_the_authorization_url_says_all_that_it_must(party: RelyingParty, provider: HostileProvider) -> None:
    """H061: code, S256, state, nonce, our redirect URI, query mode; and never a login_hint."""
    started = await party.begin("idp", now=NOW)
    asked = parse_qs(urlsplit(started.authorization_url).query, strict_parsing=True)
    assert started.authorization_url.startswith(f"{provider.issuer}/authorize?")
    assert {name: value for name, value in asked.items() if name != "code_challenge"} == {
        "client_id": [CLIENT_ID],
        "response_type": ["code"],
        "redirect_uri": [f"{PUBLIC_URL}/auth/idp/callback"],
        "scope": ["openid email profile"],
        "state": [started.state],
        "nonce": [started.nonce],
        "response_mode": ["query"],
        "code_challenge_method": ["S256"],
        "prompt": ["login"],
    }
    assert started.code_verifier not in started.authorization_url
    assert 43 <= len(started.code_verifier) <= 128


async def test_every_login_has_secrets_of_its_own(party: RelyingParty) -> None:
    """No two logins share a state, a nonce or a code verifier, and none of the three repeats another."""
    logins = [await party.begin("idp", now=NOW) for _ in range(20)]
    secrets = [secret for one in logins for secret in (one.state, one.nonce, one.code_verifier)]
    assert len(set(secrets)) == 60


async def test_secrets_are_not_in_reprs(party: RelyingParty) -> None:
    """H158: a started login prints nothing of itself."""
    assert repr(await party.begin("idp", now=NOW)) == "Started()"


@pytest.mark.parametrize(
    ("kind", "advertised", "prompt"),
    [
        ("google", ["none"], ["select_account"]),
        ("microsoft", ABSENT, ["select_account"]),
        ("oidc", ["none", "login"], ["login"]),
        ("oidc", ["none", "consent"], None),
        ("oidc", ABSENT, None),
        ("oidc", "login", None),
    ],
)
async def test_the_person_is_asked_who_they_are(
    provider: HostileProvider, kind: str, advertised: Any, prompt: list[str] | None
) -> None:
    """H036: a fresh login is asked for in each kind's own way; of oidc only where the provider advertises it."""
    provider.metadata_changes = {"prompt_values_supported": advertised}
    given = {"tenants": [TENANT]} if kind == "microsoft" else {}
    async with relying_on(idp=provider.registration(kind=kind, **given)) as party:
        started = await party.begin("idp", now=NOW)
    assert parse_qs(urlsplit(started.authorization_url).query).get("prompt") == prompt


async def test_an_authorization_endpoint_may_have_a_query(party: RelyingParty, provider: HostileProvider) -> None:
    """What the discovery document's endpoint has in its query stays there."""
    provider.metadata_changes = {"authorization_endpoint": f"{provider.issuer}/authorize?tenant=a%20b"}
    url = (await party.begin("idp", now=NOW)).authorization_url
    assert parse_qs(urlsplit(url).query)["tenant"] == ["a b"]
    assert parse_qs(urlsplit(url).query)["client_id"] == [CLIENT_ID]


def test_providers_stand_in_the_operators_order() -> None:
    """By POSITION and then by name, each with its label; an unnamed one is called as people call it."""
    common = {"client_id": "c", "client_secret": "s"}
    settings = settings_for(
        zeta=common | {"kind": "google", "position": 5},
        work=common | {"kind": "microsoft", "tenants": ["*"], "position": 1, "label": "Our company"},
        intranet=common | {"issuer": "https://login.example.com", "email_domains": ["example.com"], "position": 5},
    )
    party = RelyingParty(settings)
    assert party.providers == (
        ProviderLabel("work", "Our company"), ProviderLabel("intranet", "Intranet"), ProviderLabel("zeta", "Google"),
    )  # fmt: skip
    assert party.knows("work")
    assert not party.knows("nobody")


async def test_unknown_providers_are_refused(party: RelyingParty, provider: HostileProvider) -> None:
    """A provider that is not configured begins and finishes nothing, and nobody is asked."""
    for login in (
        party.begin("nobody", now=NOW),
        party.finish("nobody", response=QueryParams(code="c"), nonce_digest=digest_of("n"), code_verifier="v", now=NOW),
    ):
        with pytest.raises(SignInFailed, match="provider_unknown"):
            await login
    assert not provider.requests


# ------------------------------------------------------------------------------------------------- the response's own word


@pytest.mark.parametrize("further", [{}, {"error": "access_denied", "code": ABSENT}])
@pytest.mark.parametrize("iss", ["https://evil.example", "", "{issuer}/", "{issuer}x"])
@pytest.mark.parametrize("advertised", [True, ABSENT])
async def test_an_answer_of_another_issuer_is_refused(
    party: RelyingParty, provider: HostileProvider, iss: str, advertised: Any, further: dict[str, Any]
) -> None:
    """H054: a callback that names another issuer is refused before its code is exchanged, an error's callback too."""
    provider.metadata_changes = {"authorization_response_iss_parameter_supported": advertised}
    provider.response_changes = {"iss": iss.replace("{issuer}", provider.issuer)} | further
    started = await party.begin("idp", now=NOW)
    response = await provider.sign_in(started.authorization_url)
    with pytest.raises(SignInFailed, match="response_issuer_mismatch"):
        await finish(party, started, response)
    assert provider.requests["/token"] == 0


@pytest.mark.parametrize("name", ["iss", "code", "state", "error"])
@pytest.mark.parametrize("first", ["https://evil.example", ""])
async def test_a_repeated_parameter_is_refused(
    party: RelyingParty, provider: HostileProvider, name: str, first: str
) -> None:
    """H054: a callback with a parameter twice is refused unexchanged, wherever the honest value stands."""
    started = await party.begin("idp", now=NOW)
    honest = list((await provider.sign_in(started.authorization_url)).items())
    once = honest if name in dict(honest) else [*honest, (name, "access_denied")]
    for response in ([(name, first), *once], [*once, (name, first)], [*once, (name, dict(once)[name])]):
        with pytest.raises(SignInFailed) as refusal:
            await finish(party, started, response)
        assert refusal.value.reason == "response_parameter_repeated"
    assert provider.requests["/token"] == 0
    assert (await finish(party, started, honest)).provider_id == "idp"


async def test_an_answer_without_the_advertised_issuer_is_refused(
    party: RelyingParty, provider: HostileProvider
) -> None:
    """H054: where the provider says that it names itself, an answer that does not is refused unexchanged."""
    provider.response_changes = {"iss": ABSENT}
    started = await party.begin("idp", now=NOW)
    response = await provider.sign_in(started.authorization_url)
    with pytest.raises(SignInFailed, match="response_issuer_missing"):
        await finish(party, started, response)
    assert provider.requests["/token"] == 0


@pytest.mark.parametrize("changes", [{"iss": ABSENT}, {}])
async def test_providers_that_do_not_advertise_it_may_name_themselves(
    party: RelyingParty, provider: HostileProvider, changes: dict[str, Any]
) -> None:
    """The response's issuer is optional where it is not advertised, and right where it is right."""
    provider.metadata_changes = {"authorization_response_iss_parameter_supported": ABSENT}
    provider.response_changes = changes
    assert (await log_in(party, provider)).issuer == provider.issuer


async def test_an_answer_at_another_providers_callback_is_refused(provider: HostileProvider) -> None:
    """H056: one provider's code and issuer, brought to another's redirect URI, are refused unexchanged."""
    async with (
        running_provider("/other", clock=_clock) as other,
        relying_on(idp=provider.registration(), other=other.registration()) as party,
    ):
        started = await party.begin("idp", now=NOW)
        response = await provider.sign_in(started.authorization_url)
        with pytest.raises(SignInFailed, match="response_issuer_mismatch"):
            await finish(party, started, response, "other")
        assert other.requests["/token"] == provider.requests["/token"] == 0


HTML = "<script>alert(1)</script>\r\nSet-Cookie: a=b" + "x" * 50_000


@pytest.mark.parametrize(
    ("error", "reason", "unavailable"),
    [
        ("access_denied", "access_denied", False),
        ("consent_required", "consent_required", False),
        ("login_required", "login_required", False),
        ("interaction_required", "interaction_required", False),
        ("account_selection_required", "account_selection_required", False),
        ("temporarily_unavailable", "provider_reported_unavailable", True),
        ("server_error", "provider_reported_unavailable", True),
        ("invalid_scope", "provider_refused", False),
        ("unauthorized_client", "provider_refused", False),
        ("", "provider_refused", False),
        ("<b>access_denied</b>", "provider_refused", False),
        (HTML, "provider_refused", False),
    ],
)
async def test_errors_are_told_in_our_own_words(
    party: RelyingParty, provider: HostileProvider, error: str, reason: str, unavailable: bool
) -> None:
    """H063: an error has its reason and our sentence; what the provider wrote, HTML and line breaks, is in neither."""
    provider.response_changes = {"error": error, "error_description": HTML, "error_uri": "https://evil.example"}
    started = await party.begin("idp", now=NOW)
    response = await provider.sign_in(started.authorization_url)
    with structlog.testing.capture_logs() as events, pytest.raises(SignInFailed) as refusal:
        await finish(party, started, response)
    told = f"{refusal.value} {refusal.value.message} {events}"
    assert refusal.value.reason == reason
    assert isinstance(refusal.value, ProviderUnavailable) is unavailable
    assert not [sign for sign in ("<", ">", "evil", "\r", "\n", "xxx") if sign in told]
    assert provider.requests["/token"] == 0


async def test_cancelling_at_the_provider_says_so(party: RelyingParty, provider: HostileProvider) -> None:
    """A person who cancels is told that they did, at which provider, and that nothing was changed."""
    started = await party.begin("idp", now=NOW)
    url = await provider.callback_url(started.authorization_url, email="bob@example.com", cancel=True)
    with pytest.raises(SignInFailed, match="access_denied") as refusal:
        await finish(party, started, dict(parse_qsl(urlsplit(url).query)))
    assert "Idp was cancelled" in refusal.value.message
    assert "Nothing was changed" in refusal.value.message


@pytest.mark.parametrize("code", [ABSENT, "", "c" * 5000])
async def test_an_answer_without_a_usable_code_is_refused(
    party: RelyingParty, provider: HostileProvider, code: Any
) -> None:
    """A callback without a code, or with a book in its place, exchanges nothing."""
    provider.response_changes = {"code": code}
    started = await party.begin("idp", now=NOW)
    response = await provider.sign_in(started.authorization_url)
    with pytest.raises(SignInFailed, match="code_missing"):
        await finish(party, started, response)
    assert provider.requests["/token"] == 0


# --------------------------------------------------------------------------------------------------- injected and used codes


async def test_a_code_of_another_login_is_refused(party: RelyingParty, provider: HostileProvider) -> None:
    """H061: the code of an attacker's login does not go with this login's verifier."""
    mine, theirs = await party.begin("idp", now=NOW), await party.begin("idp", now=NOW)
    response = await provider.sign_in(theirs.authorization_url, email="eve@example.com")
    with pytest.raises(SignInFailed, match="code_refused"):
        await finish(party, mine, response)


async def test_a_code_with_its_own_verifier_still_needs_this_logins_nonce(
    party: RelyingParty, provider: HostileProvider
) -> None:
    """H046: a code and a verifier of one login, brought into another, fail at the nonce."""
    mine, theirs = await party.begin("idp", now=NOW), await party.begin("idp", now=NOW)
    response = await provider.sign_in(theirs.authorization_url)
    with pytest.raises(SignInFailed, match="nonce_mismatch"):
        await finish(party, theirs, response, nonce_digest=digest_of(mine.nonce))


async def test_a_code_counts_once(party: RelyingParty, provider: HostileProvider) -> None:
    """The second exchange of one code is refused, and says that it was used or too old."""
    started = await party.begin("idp", now=NOW)
    response = await provider.sign_in(started.authorization_url)
    assert (await finish(party, started, response)).email == "bob@example.com"
    with pytest.raises(SignInFailed, match="code_refused") as refusal:
        await finish(party, started, response)
    assert "used twice" in refusal.value.message


# ------------------------------------------------------------------------------------------------------------- claim breaks


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
    """The reasons that refuse these breaks together; a moved `iat` moves what a long life is."""
    lives = {"id_token_lives_too_long"} if {name[:3] for name in names} == {"iat", "exp"} else set()
    return {CLAIM_BREAKS[name][2] for name in names} | lives


def pairs_of(names: Iterable[str]) -> list[tuple[str, str]]:
    """All pairs that break two different claims."""
    return [pair for pair in itertools.combinations(names, 2) if CLAIM_BREAKS[pair[0]][0] != CLAIM_BREAKS[pair[1]][0]]


@pytest.mark.parametrize("name", CLAIM_BREAKS)
async def test_each_broken_claim_is_refused(party: RelyingParty, provider: HostileProvider, name: str) -> None:
    """H046, H188: one broken claim refuses an otherwise perfect ID token, under the reason of that claim."""
    claim, value, reason = CLAIM_BREAKS[name]
    provider.claim_changes = {claim: value}
    assert (await is_refused(party, provider)).reason == reason


@pytest.mark.parametrize("pair", pairs_of(WORST_BREAKS), ids="+".join)
async def test_two_broken_claims_do_not_mend_each_other(
    party: RelyingParty, provider: HostileProvider, pair: tuple[str, str]
) -> None:
    """H046: a token with two broken claims is refused for one of the two."""
    provider.claim_changes = dict(CLAIM_BREAKS[name][:2] for name in pair)
    with pytest.raises(SignInFailed) as refusal:
        await log_in(party, provider)
    assert refusal.value.reason in reasons_of(*pair)


def test_no_two_broken_claims_mend_each_other() -> None:
    """H046: of all 1,600 pairs of breaks in two claims, not one passes the check of the claims."""
    settings = settings_for(idp={"issuer": "https://login.example.com", "client_id": CLIENT_ID, "client_secret": "s",
                                 "email_domains": ["*"]})  # fmt: skip
    issuer = Issuer.of(settings.providers["idp"])
    expected = Expected(issuer, issuer.configured, CLIENT_ID, digest_of("nonce"), "access-token", NOW)
    honest = {
        "iss": issuer.configured, "aud": CLIENT_ID, "sub": "1", "nonce": "nonce", "iat": SECONDS, "exp": SECONDS + 600,
        "at_hash": access_token_hash("access-token", "RS256"),
    }  # fmt: skip
    assert check_claims(_unverified(honest), expected) == honest
    pairs = pairs_of(CLAIM_BREAKS)
    assert len(pairs) > 1500
    for pair in pairs:
        broken = changed(honest, dict(CLAIM_BREAKS[name][:2] for name in pair))
        with pytest.raises(SignInFailed) as refusal:
            check_claims(_unverified(broken), expected)
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
"""What is broken in which answer, and the reason that refuses it."""


def break_answers(provider: HostileProvider, *names: str) -> set[str]:
    """Breaks what these names stand for; the reasons that may refuse it."""
    for name in names:
        for part, changes in ANSWER_BREAKS[name][0].items():
            if part == "signing":
                provider.signing = changes[""]
            else:
                getattr(provider, part).update(changes)
    claims = [name.removeprefix("claim-") for name in names if name.startswith("claim-")]
    return {ANSWER_BREAKS[name][1] for name in names} | reasons_of(*claims)


@pytest.mark.parametrize("first", ANSWER_BREAKS)
async def test_no_two_broken_answers_mend_each_other(provider: HostileProvider, first: str) -> None:
    """H046: each part of each answer, broken alone and together with every other, refuses the login for one of the two
    reasons, and the next honest login succeeds.
    """
    for second in list(ANSWER_BREAKS)[list(ANSWER_BREAKS).index(first) :]:
        async with relying_on(idp=provider.registration()) as party:
            reasons = break_answers(provider, first, second)
            with pytest.raises(SignInFailed) as refusal:
                await log_in(party, provider, sub="1")
            assert refusal.value.reason in reasons, (first, second)
            provider.behave()
            assert (await log_in(party, provider)).email == "bob@example.com"


def _unverified(claims: dict[str, Any]) -> Unverified:
    return Unverified("RS256", None, json.dumps(claims).encode(), b"", b"")


@pytest.mark.parametrize("azp", [ABSENT, CLIENT_ID])
async def test_a_token_for_another_client_is_refused_though_azp_names_us(
    party: RelyingParty, provider: HostileProvider, azp: Any
) -> None:
    """H050: an ID token for another audience is refused though azp names us."""
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
async def test_claims_at_the_edge_of_what_is_right_are_believed(
    party: RelyingParty, provider: HostileProvider, changes: dict[str, Any]
) -> None:
    """H065: the leeway is a minute, no less; an audience in a list of one, and unknown claims, are fine."""
    provider.claim_changes = changes
    assert (await log_in(party, provider)).email == "bob@example.com"


# ---------------------------------------------------------------------------------------------------- headers and signatures


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
async def test_forged_tokens_are_refused(
    party: RelyingParty, provider: HostileProvider, signing: str, reason: str, advertised: Any
) -> None:
    """H048: unsigned tokens, tokens signed with any shared secret or with the public key as one, and tokens of another
    key are refused, whatever algorithms the discovery document lists.
    """
    provider.metadata_changes = {"id_token_signing_alg_values_supported": advertised}
    provider.further_keys = [SHARED_SECRET.as_dict(private=True)]
    provider.signing = signing
    assert (await is_refused(party, provider)).reason == reason


@pytest.mark.parametrize(
    "algorithm", ["none", "NONE", "nOnE", "HS256", "rs256", "RS1", "ES256K", "dir", "", None, ["RS256"], {}, 1, ABSENT]
)
async def test_algorithms_outside_the_list_are_refused(
    party: RelyingParty, provider: HostileProvider, algorithm: Any
) -> None:
    """H048: the header's algorithm is one of ours, to the letter, or the token is refused."""
    provider.header_changes = {"alg": algorithm}
    assert (await is_refused(party, provider)).reason == "id_token_algorithm_refused"


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256", "ES256", "EdDSA"])
async def test_a_signature_counts_for_its_own_algorithm(
    party: RelyingParty, provider: HostileProvider, algorithm: str
) -> None:
    """H152: a good signature under the name of another algorithm is none."""
    provider.header_changes = {"alg": algorithm}
    assert (await is_refused(party, provider)).reason == "id_token_signature_invalid"


@pytest.mark.parametrize("kind", ["at+jwt", "application/at+jwt", "logout+jwt", "JWT2", "", None, 1, ["JWT"]])
async def test_other_kinds_of_tokens_are_refused(party: RelyingParty, provider: HostileProvider, kind: Any) -> None:
    """H152: an access token or a logout token of the same issuer, with the same claims, is no login."""
    provider.header_changes = {"typ": kind}
    assert (await is_refused(party, provider)).reason == "id_token_type_refused"


@pytest.mark.parametrize("kind", ["JWT", "jwt", ABSENT])
async def test_id_tokens_may_leave_their_type_out(party: RelyingParty, provider: HostileProvider, kind: Any) -> None:
    """An ID token is a JWT, in whatever case, or does not say."""
    provider.header_changes = {"typ": kind}
    assert (await log_in(party, provider)).email == "bob@example.com"


@pytest.mark.parametrize(
    "header",
    [{"crit": ["exp"]}, {"crit": []}, {"crit": ["b64"], "b64": False}, {"crit": None}, {"crit": ["x"], "x": 1}],
)
async def test_critical_headers_are_refused(
    party: RelyingParty, provider: HostileProvider, header: dict[str, Any]
) -> None:
    """H152: a header that must be understood is understood to be refused."""
    provider.header_changes = header
    assert (await is_refused(party, provider)).reason == "id_token_critical_header"


async def test_a_token_does_not_choose_its_own_key(party: RelyingParty, provider: HostileProvider) -> None:
    """H152: keys that a header brings or points to are neither used nor fetched."""
    stranger = key_for("RS256", "a stranger's").as_dict(private=False)
    url = f"{provider.issuer}/evil-jwks"
    provider.faults = {"/evil-jwks": answering(orjson.dumps({"keys": [stranger]}))}
    provider.signing = "another_key"
    provider.header_changes = {"jwk": stranger, "jku": url, "x5u": url, "kid": ABSENT}
    assert (await is_refused(party, provider)).reason == "id_token_signature_invalid"
    assert provider.requests["/evil-jwks"] == 0


async def test_headers_that_point_elsewhere_do_no_harm(party: RelyingParty, provider: HostileProvider) -> None:
    """An honest token with such headers is believed by the provider's own key, as many real ones are."""
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
async def test_odd_key_ids_find_no_key(party: RelyingParty, provider: HostileProvider, kid: Any, reason: str) -> None:
    """H152: a key id is compared and nothing else; one that is no text or a book is refused."""
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
async def test_whatever_is_no_id_token_is_refused(party: RelyingParty, provider: HostileProvider, garbled: Any) -> None:
    """H046: a missing ID token is refused, and so is anything that is not a signed JWT to the last character."""
    provider.token_changes = {"id_token": garbled}
    refused = await is_refused(party, provider)
    assert refused.reason in {
        "id_token_missing", "id_token_malformed", "id_token_algorithm_refused", "id_token_signature_invalid",
    }  # fmt: skip


@pytest.mark.parametrize(
    "payload", [b"[]", b'"text"', b"nothing", b"\xff\xfe", b'{"iss":', b"[" * 50_000, b'{"iss":NaN}']
)
async def test_signed_payloads_that_are_no_claims_are_refused(
    party: RelyingParty, provider: HostileProvider, payload: bytes
) -> None:
    """A good signature over something that is not a JSON object is refused like a bad one."""
    signing_input = f"{encoded(provider.header())}.{_base64url(payload)}"
    signature = JWSRegistry.algorithms["RS256"].sign(signing_input.encode(), provider.key)
    provider.token_changes = {"id_token": f"{signing_input}.{_base64url(signature)}"}
    assert (await is_refused(party, provider)).reason == "id_token_malformed"


def _base64url(text: bytes) -> str:
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


# -------------------------------------------------------------------------------------------------------------------- keys


async def test_tokens_without_a_key_id_work(party: RelyingParty, provider: HostileProvider) -> None:
    """H047: kid-absent-single is accepted."""
    provider.header_changes = {"kid": ABSENT}
    assert (await log_in(party, provider)).email == "bob@example.com"


async def test_tokens_without_a_key_id_work_among_several_keys(party: RelyingParty, provider: HostileProvider) -> None:
    """H047: kid-absent-multiple is accepted, by whichever key fits the algorithm."""
    provider.header_changes = {"kid": ABSENT}
    provider.further_keys = [
        public(key_for("RS256", "a stranger's")), public(key_for("ES256")), public(key_for("EdDSA")),
    ]  # fmt: skip
    assert (await log_in(party, provider)).email == "bob@example.com"


def public(key: Any, **members: Any) -> dict[str, Any]:
    return {**key.as_dict(private=False), **members}


async def test_keys_without_a_key_id_work(party: RelyingParty, provider: HostileProvider) -> None:
    """A published key that has no `kid` may be the one that a token's `kid` means."""
    provider.published = {"keys": [public(provider.key)]}
    assert (await log_in(party, provider)).email == "bob@example.com"


@pytest.mark.parametrize("namesake", ["RS256", "PS256", "ES256", "EdDSA"])
async def test_keys_of_one_name_are_all_tried(party: RelyingParty, provider: HostileProvider, namesake: str) -> None:
    """H047: a `kid` that several published keys share, of one kind or of several, finds the one that signed."""
    shared = {"kid": provider.public_key()["kid"]}
    provider.further_keys = [public(key_for(namesake, "second"), **shared)]
    assert (await log_in(party, provider)).email == "bob@example.com"
    provider.signing = "another_key"
    with pytest.raises(SignInFailed, match="id_token_signature_invalid"):
        await log_in(party, provider)


@pytest.mark.parametrize("kid", [None, "always the same"])
async def test_rotations_are_survived_without_a_restart(
    party: RelyingParty, provider: HostileProvider, kid: str | None
) -> None:
    """H047: keys that rotate between logins, and again just before signing, are found with one more fetch each, however
    often they do.
    """
    provider.rotate("first", kid=kid)
    await log_in(party, provider)
    for number, name in enumerate(("second", "third", "first") * 5, start=2):
        provider.rotate(name, kid=kid)
        assert (await log_in(party, provider)).email == "bob@example.com"
        assert (await log_in(party, provider)).email == "bob@example.com"
        assert provider.requests["/jwks"] == number


async def test_a_withdrawn_key_is_forgotten(party: RelyingParty, provider: HostileProvider) -> None:
    """A key that the provider took back signs nothing any more once the hour is over."""
    await log_in(party, provider)
    provider.published = {"keys": [public(key_for("RS256", "second"), kid="second")]}
    assert (await log_in(party, provider)).email == "bob@example.com"
    _clock.advance(minutes=61)
    with pytest.raises(SignInFailed, match="id_token_signature_invalid"):
        await log_in(party, provider)


async def test_bad_tokens_do_not_make_us_flood_the_provider(party: RelyingParty, provider: HostileProvider) -> None:
    """H047: after ten fetches in vain in a minute there is no eleventh; a minute later a rotation works again."""
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
    _clock.advance(seconds=61)
    assert (await log_in(party, provider)).email == "bob@example.com"
    assert provider.requests["/jwks"] == 1 + 11


@pytest.mark.parametrize("endpoint", ["/token", "/jwks", "/userinfo"])
async def test_endpoints_that_move_are_found_again(
    party: RelyingParty, provider: HostileProvider, endpoint: str
) -> None:
    """A provider whose endpoints move fails one login, and works at the next without waiting for the hour."""
    await log_in(party, provider)
    _clock.advance(minutes=2)
    provider.rotate("second")
    provider.claim_changes = {"email": ABSENT}
    provider.moved = {endpoint: f"/v2{endpoint}"}
    with pytest.raises(ProviderUnavailable):
        await log_in(party, provider)
    assert (await log_in(party, provider)).email == "bob@example.com"
    assert provider.requests["/.well-known/openid-configuration"] == 2


async def test_a_provider_that_fails_is_not_flooded_for_its_document(
    party: RelyingParty, provider: HostileProvider
) -> None:
    """H068: however many logins fail at a broken endpoint, the discovery document is read once a minute at most."""
    provider.faults = {"/token": answering("out of order", 500)}
    for _ in range(3):
        for _number in range(4):
            with pytest.raises(ProviderUnavailable):
                await log_in(party, provider)
        _clock.advance(seconds=61)
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


async def test_odd_keys_disturb_nobody(party: RelyingParty, provider: HostileProvider) -> None:
    """H047: keys of unknown kinds, broken keys and things that are no keys are passed over, however many there are."""
    provider.further_keys = ODD_KEYS * 50
    assert (await log_in(party, provider)).email == "bob@example.com"


@pytest.mark.parametrize(
    "document", [{}, {"keys": None}, {"keys": {}}, {"keys": "x"}, {"keys": []}, {"keys": ODD_KEYS}]
)
async def test_without_a_usable_key_nobody_signs(
    party: RelyingParty, provider: HostileProvider, document: dict[str, Any]
) -> None:
    """A JWKS without one usable key refuses every token, and works again as soon as it has one."""
    provider.published = document
    assert (await is_refused(party, provider)).reason == "id_token_signature_invalid"


@pytest.mark.parametrize(
    "members",
    [
        {"use": "enc"},
        {"use": None},
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
async def test_keys_for_something_else_verify_nothing(
    party: RelyingParty, provider: HostileProvider, members: dict[str, Any]
) -> None:
    """A key that is marked for another purpose, algorithm or id, or that was published with its private part, does not
    count, though its numbers are right.
    """
    provider.published = {"keys": [provider.public_key() | members]}
    assert (await is_refused(party, provider)).reason == "id_token_signature_invalid"


async def test_weak_keys_verify_nothing(party: RelyingParty, provider: HostileProvider) -> None:
    """An RSA key below 2048 bits is passed over: its signature is right, and anyone's."""
    with pytest.warns(SecurityWarning, match="2048"):
        weak = RSAKey.generate_key(1024)
    strong, provider.key = provider.key, weak
    started = await party.begin("idp", now=NOW)
    response = await provider.sign_in(started.authorization_url)
    with pytest.raises(SignInFailed, match="id_token_signature_invalid"):
        await finish(party, started, response)
    provider.key = strong


async def test_a_curve_fits_its_own_algorithm_only() -> None:
    """A P-384 key under ES256 verifies nothing, though the provider signed with it."""
    async with (
        running_provider(algorithm="ES256", clock=_clock) as provider,
        relying_on(idp=provider.registration()) as party,
    ):
        provider.published = {"keys": [public(ECKey.generate_key("P-384"), kid=provider.public_key()["kid"])]}
        assert (await is_refused(party, provider)).reason == "id_token_signature_invalid"


# --------------------------------------------------------------------------------------------------------------- discovery


@pytest.mark.parametrize(
    "named",
    ["https://evil.example", "{issuer}/", "{issuer}/x", "", None, 5, ABSENT, "{tenantid}"],
)
async def test_a_discovery_document_of_another_issuer_disables_the_provider(
    party: RelyingParty, provider: HostileProvider, named: Any
) -> None:
    """H052: the operator reads what was found and what was expected; no browser is sent anywhere."""
    provider.metadata_changes = {
        "issuer": named.replace("{issuer}", provider.issuer) if isinstance(named, str) else named
    }
    with structlog.testing.capture_logs() as events, pytest.raises(ProviderUnavailable) as failure:
        await party.begin("idp", now=NOW)
    assert failure.value.reason == "discovery_issuer_mismatch"
    assert provider.issuer in failure.value.detail
    assert events == [
        {"event": "provider.unavailable", "log_level": "warning", "provider": "idp", "reason": failure.value.reason,
         "detail": failure.value.detail},
    ]  # fmt: skip
    provider.behave()
    assert (await log_in(party, provider)).email == "bob@example.com"


async def test_the_issuer_must_be_configured_with_its_slash() -> None:
    """H052: an issuer that differs by a trailing slash is another issuer."""
    async with running_provider("/realm/", issuer_path="/realm/", clock=_clock) as provider:
        registration = provider.registration(issuer=provider.issuer.rstrip("/"))
        async with relying_on(idp=registration) as party:
            with pytest.raises(ProviderUnavailable, match="discovery_issuer_mismatch"):
                await party.begin("idp", now=NOW)


ENDPOINTS = ["authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"]


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/x", "http://evil.example/x", "http://127.0.0.1:1/x", "http://localhost:{port}/x",
        "https://127.0.0.1:{port}/x", "http://127.0.0.1:{port}@evil.example/x", "http://user@127.0.0.1:{port}/x",
        "http://127.0.0.1:{port}/x#fragment", "//127.0.0.1:{port}/x", "/x", "file:///etc/passwd", "javascript:alert(1)",
        "http://127.0.0.1:{port}\\@evil.example/x", "http://127.0.0.1:{port} /x", "http://169.254.169.254/latest",
        "http://127.0.0.1:99999/x", "", 5, ["{issuer}/x"],
    ],
)  # fmt: skip
async def test_endpoints_elsewhere_are_refused(
    party: RelyingParty, provider: HostileProvider, endpoint: str, url: Any
) -> None:
    """H052: a discovery document cannot send the person, the code, the secret or our trust to another origin."""
    port = str(urlsplit(provider.issuer).port)
    provider.metadata_changes = {endpoint: url.replace("{port}", port) if isinstance(url, str) else url}
    with pytest.raises(ProviderUnavailable, match="discovery_endpoint_refused") as failure:
        await party.begin("idp", now=NOW)
    assert endpoint in failure.value.detail
    assert provider.requests.keys() == {"/.well-known/openid-configuration"}


def test_plain_http_is_for_loopback_only() -> None:
    """H070: an http issuer on another machine has no endpoint that is used, even where the settings were not checked."""
    issuer = Issuer("oidc", "http://login.example.com", None)
    document = {"issuer": issuer.configured} | dict.fromkeys(ENDPOINTS, "http://login.example.com/x")
    with pytest.raises(ProviderUnavailable, match="discovery_endpoint_refused"):
        read_metadata(document, issuer, ("login.example.com",))


@pytest.mark.parametrize("endpoint", ENDPOINTS[:3])
async def test_missing_endpoints_are_refused(party: RelyingParty, provider: HostileProvider, endpoint: str) -> None:
    """A discovery document without an endpoint that is needed is refused by its name."""
    provider.metadata_changes = {endpoint: ABSENT}
    with pytest.raises(ProviderUnavailable, match="discovery_endpoint_refused") as failure:
        await party.begin("idp", now=NOW)
    assert f"{endpoint} is missing" in failure.value.detail


async def test_the_operator_may_allow_further_hosts(provider: HostileProvider) -> None:
    """ENDPOINT_HOSTS admits an endpoint on another host, by https; the same document without it is refused."""
    provider.metadata_changes = {"authorization_endpoint": "https://login.example.net/authorize"}
    async with relying_on(
        idp=provider.registration(endpoint_hosts=["LOGIN.example.net"]), other=provider.registration()
    ) as party:
        started = await party.begin("idp", now=NOW)
        with pytest.raises(ProviderUnavailable, match="discovery_endpoint_refused"):
            await party.begin("other", now=NOW)
    assert started.authorization_url.startswith("https://login.example.net/authorize?")


@pytest.mark.parametrize(
    ("kind", "host", "allowed"),
    [
        ("google", "oauth2.googleapis.com", True),
        ("google", "www.googleapis.com", True),
        ("google", "openidconnect.googleapis.com", True),
        ("google", "evil.googleapis.com", False),
        ("google", "oauth2.googleapis.com:8443", False),
        ("google", "oauth2.googleapis.com.evil.example", False),
        ("microsoft", "graph.microsoft.com", True),
        ("microsoft", "graph.microsoft.com.evil.example", False),
        ("oidc", "oauth2.googleapis.com", False),
    ],
)
async def test_google_and_microsoft_know_their_hosts(
    provider: HostileProvider, kind: str, host: str, allowed: bool
) -> None:
    """Google's and Microsoft's own further hosts are known, to the letter, and count for nobody else."""
    provider.metadata_changes = {"userinfo_endpoint": f"https://{host}/userinfo"}
    given = {"tenants": [TENANT]} if kind == "microsoft" else {}
    async with relying_on(idp=provider.registration(kind=kind, **given)) as party:
        if allowed:
            assert (await party.begin("idp", now=NOW)).state
            return
        with pytest.raises(ProviderUnavailable, match="discovery_endpoint_refused"):
            await party.begin("idp", now=NOW)


BROKEN_ANSWERS: dict[str, tuple[Callable[[HostileProvider], Fault], str]] = {
    "status-500": (lambda _: answering("oops", 500), "provider_answered_error"),
    "status-404": (lambda _: answering("{}", 404), "provider_answered_error"),
    "status-204": (lambda _: answering("", 204), "provider_answered_error"),
    "html": (lambda _: answering("<html>maintenance</html>"), "provider_answer_unreadable"),
    "empty": (lambda _: answering(""), "provider_answer_unreadable"),
    "list": (lambda _: answering("[]"), "provider_answer_unreadable"),
    "text": (lambda _: answering('"{}"'), "provider_answer_unreadable"),
    "bottomless": (lambda _: answering("[" * 200_000), "provider_answer_unreadable"),
    "not-a-number": (lambda _: answering('{"a":NaN}'), "provider_answer_unreadable"),
    "lone-surrogate": (lambda _: answering('{"a":"\\ud800"}'), "provider_answer_unreadable"),
    "latin-1": (lambda _: answering(b'{"a":"\xe9"}'), "provider_answer_unreadable"),
    "redirect": (lambda provider: redirecting(f"{provider.issuer}/elsewhere"), "provider_redirected"),
    "redirect-307": (lambda _: redirecting("https://evil.example", 307), "provider_redirected"),
    "endless": (lambda _: endless(), "provider_answer_too_large"),
    "large": (lambda _: answering(b" " * 262_145), "provider_answer_too_large"),
    "bomb": (lambda _: compressed_zeros(16_000_000), "provider_answer_too_large"),
    "unknown-encoding": (lambda _: answering("{}", content_encoding="br"), "provider_answer_unreadable"),
    "broken-encoding": (lambda _: answering("{}", content_encoding="gzip"), "provider_answer_unreadable"),
    "dripping": (dripping, "provider_timed_out"),
    "stalling": (stalling, "provider_timed_out"),
}


@pytest.mark.parametrize("answer", BROKEN_ANSWERS)
@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/jwks", "/token", "/userinfo"])
async def test_broken_answers_are_unavailability_and_pass(provider: HostileProvider, path: str, answer: str) -> None:
    """H068: whatever an endpoint answers, however slowly and however much, becomes one kind of failure within the
    deadline; and the next login works.
    """
    fault, reason = BROKEN_ANSWERS[answer]
    deadline = SOON if answer in {"dripping", "stalling"} else None
    async with relying_on(deadline, idp=provider.registration()) as party:
        provider.claim_changes = {"email": ABSENT}
        provider.faults = {path: fault(provider)}
        with pytest.raises(ProviderUnavailable) as failure:
            async with asyncio.timeout(20):
                await log_in(party, provider)
        statuses = {"provider_answered_error", "token_endpoint_failed", "token_endpoint_refused"}
        expected = statuses | {"provider_answer_unreadable"} if path == "/token" and "status" in answer else {reason}
        assert failure.value.reason in expected
        assert provider.requests["/elsewhere"] == 0
        provider.behave()
        if deadline is None:
            assert (await log_in(party, provider)).email == "bob@example.com"


async def test_a_decompression_bomb_stays_small(party: RelyingParty, provider: HostileProvider) -> None:
    """H068: a quarter of a megabyte that would become 200 costs a few megabytes to refuse."""
    provider.faults = {"/.well-known/openid-configuration": compressed_zeros(200_000_000)}
    tracemalloc.start()
    try:
        with pytest.raises(ProviderUnavailable, match="provider_answer_too_large"):
            await party.begin("idp", now=NOW)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 20_000_000


async def test_answers_that_are_compressed_unasked_are_read(party: RelyingParty, provider: HostileProvider) -> None:
    """A provider that compresses what it was asked not to is understood."""
    body = gzip.compress(orjson.dumps(provider.metadata()))
    provider.faults = {"/.well-known/openid-configuration": answering(body, content_encoding="gzip")}
    assert (await log_in(party, provider)).email == "bob@example.com"
    assert provider.received["/.well-known/openid-configuration"]["accept-encoding"] == "identity"


async def test_a_provider_that_was_down_works_when_it_comes_up() -> None:
    """H165: an unreachable provider fails in words, is asked again at the next login, and then works."""
    async with running_provider(clock=_clock) as gone:
        registration = gone.registration()
    async with relying_on(idp=registration) as party:
        with pytest.raises(ProviderUnavailable, match="provider_unreachable") as failure:
            await party.begin("idp", now=NOW)
        assert "Try again" in failure.value.message
        assert registration["issuer"] in failure.value.detail


async def test_failures_are_not_remembered(party: RelyingParty, provider: HostileProvider) -> None:
    """H165: a login in the very second after a failed one finds the provider up again."""
    provider.faults = {"/.well-known/openid-configuration": answering("", 503)}
    with pytest.raises(ProviderUnavailable):
        await party.begin("idp", now=NOW)
    provider.behave()
    assert (await log_in(party, provider)).email == "bob@example.com"


async def test_metadata_and_keys_are_kept_for_an_hour(party: RelyingParty, provider: HostileProvider) -> None:
    """Within the hour nothing is fetched again; after it, both are, once."""
    await log_in(party, provider)
    _clock.advance(minutes=59)
    await log_in(party, provider)
    assert (provider.requests["/.well-known/openid-configuration"], provider.requests["/jwks"]) == (1, 1)
    _clock.advance(minutes=2)
    await log_in(party, provider)
    await log_in(party, provider)
    assert (provider.requests["/.well-known/openid-configuration"], provider.requests["/jwks"]) == (2, 2)


async def test_simultaneous_logins_share_one_fetch(party: RelyingParty, provider: HostileProvider) -> None:
    """Thirty logins that begin at once on a cold start ask the provider once for each document."""
    identities = await asyncio.gather(
        *(log_in(party, provider, email=f"person-{number}@example.com") for number in range(30))
    )
    assert len({identity.email for identity in identities}) == 30
    assert (provider.requests["/.well-known/openid-configuration"], provider.requests["/jwks"]) == (1, 1)


async def test_logins_that_come_while_a_fetch_lands_share_it(party: RelyingParty, provider: HostileProvider) -> None:
    """Logins that begin at every turn of the event loop, until the first one is through, cost one request in all."""
    begun = [asyncio.create_task(party.begin("idp", now=NOW))]

    async def keep_coming() -> None:
        while not begun[0].done():
            begun.append(asyncio.create_task(party.begin("idp", now=NOW)))
            # A timer: within a turn it comes after what a socket brought, where sleep(0) would come before.
            await asyncio.sleep(1e-9)

    await asyncio.create_task(keep_coming())
    await asyncio.gather(*begun)
    assert provider.requests["/.well-known/openid-configuration"] == 1


async def test_simultaneous_logins_share_one_fetch_after_a_rotation(
    party: RelyingParty, provider: HostileProvider
) -> None:
    """Twelve logins that all meet a rotated key cost one more fetch, and all succeed."""
    await log_in(party, provider)
    provider.rotate("second")
    keys = orjson.dumps(provider.jwks())

    async def when_all_have_exchanged(scope: Scope, receive: Receive, send: Send) -> None:
        while provider.requests["/token"] < 13:  # noqa: ASYNC110 -- it waits for a count
            await asyncio.sleep(0)
        await answering(keys)(scope, receive, send)

    provider.faults = {"/jwks": when_all_have_exchanged}
    await asyncio.gather(*(log_in(party, provider, email=f"person-{number}@example.com") for number in range(12)))
    assert provider.requests["/jwks"] == 2


async def test_a_provider_that_is_down_holds_everybody_up_for_one_deadline(provider: HostileProvider) -> None:
    """Ten simultaneous logins at a silent provider all fail within one deadline, after one request."""
    provider.faults = {"/.well-known/openid-configuration": stalling(provider)}
    async with relying_on(SOON, idp=provider.registration()) as party:
        async with asyncio.timeout(20):
            failures = await asyncio.gather(*(party.begin("idp", now=NOW) for _ in range(10)), return_exceptions=True)
    assert {type(failure) for failure in failures} == {ProviderUnavailable}
    assert provider.requests["/.well-known/openid-configuration"] == 1


async def test_a_browser_that_goes_away_does_not_end_the_others_fetch(
    party: RelyingParty, provider: HostileProvider
) -> None:
    """Cancelling the login that happened to fetch leaves the one that waits with it unharmed."""
    first = asyncio.create_task(party.begin("idp", now=NOW))
    second = asyncio.create_task(party.begin("idp", now=NOW))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).state
    assert first.cancelled()
    assert provider.requests["/.well-known/openid-configuration"] == 1


# ---------------------------------------------------------------------------------------------------- the token endpoint


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
    _clock.advance(minutes=61)
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


# ----------------------------------------------------------------------------------------------------------------- userinfo


async def test_userinfo_is_not_asked_when_the_id_token_has_the_address(
    party: RelyingParty, provider: HostileProvider
) -> None:
    """H034: what userinfo says of an address that the ID token has is never heard."""
    provider.userinfo_changes = {"email": "victim@example.com", "sub": "victim"}
    assert (await log_in(party, provider, email="eve@example.com")).email == "eve@example.com"
    assert provider.requests["/userinfo"] == 0


@pytest.mark.parametrize("email", [ABSENT, None, ""])
async def test_an_address_at_userinfo_only_is_read_there(
    party: RelyingParty, provider: HostileProvider, email: Any
) -> None:
    """Where the ID token has no address, the one at userinfo counts, with the verification beside it."""
    provider.claim_changes = {"email": email, "email_verified": ABSENT, "name": ABSENT}
    identity = await log_in(party, provider)
    assert (identity.email, identity.name, identity.evidence.rule) == ("bob@example.com", "Bob", "oidc_verified")
    assert provider.requests["/userinfo"] == 1


@pytest.mark.parametrize("sub", ["victim", ABSENT, None, "", 1, ["{sub}"], lambda honest: honest.upper()])
async def test_userinfo_of_another_subject_is_discarded(
    party: RelyingParty, provider: HostileProvider, sub: Any
) -> None:
    """H034: userinfo that is not about the ID token's very subject refuses the login."""
    provider.claim_changes = {"email": ABSENT}
    provider.userinfo_changes = {"sub": sub}
    assert (await is_refused(party, provider)).reason == "userinfo_subject_mismatch"


@pytest.mark.parametrize("verified", [False, ABSENT, "true"])
async def test_verification_does_not_cross_from_the_id_token_to_userinfo(
    party: RelyingParty, provider: HostileProvider, verified: Any
) -> None:
    """H034: an email_verified in the ID token does not vouch for an address that stands at userinfo."""
    provider.claim_changes = {"email": ABSENT, "email_verified": True}
    provider.userinfo_changes = {"email_verified": verified}
    assert (await log_in(party, provider)).evidence.verdict is Verdict.REFUSED


async def test_hosted_domain_and_proof_do_not_cross_to_userinfo(provider: HostileProvider) -> None:
    """H034: `hd` and xms_edov of an ID token without an address make no address of userinfo authoritative."""
    provider.claim_changes = {"email": ABSENT, "hd": "example.com", "xms_edov": True, "tid": TENANT}
    async with relying_on(
        google=provider.registration(kind="google"),
        microsoft=provider.registration(kind="microsoft", tenants=[TENANT]),
    ) as party:
        google = await log_in(party, provider, "google")
        microsoft = await log_in(party, provider, "microsoft")
    assert (google.email, google.evidence.rule) == ("bob@example.com", "google_third_party")
    assert (microsoft.email, microsoft.evidence.rule) == ("bob@example.com", "edov_absent")


async def test_a_provider_without_userinfo_and_address_gives_none(
    party: RelyingParty, provider: HostileProvider
) -> None:
    """Without an address anywhere the identity has none, and the evidence says so."""
    provider.metadata_changes = {"userinfo_endpoint": ABSENT}
    provider.claim_changes = {"email": ABSENT}
    identity = await log_in(party, provider)
    assert (identity.email, identity.evidence.rule) == (None, "email_absent")


async def test_consent_without_the_address_gives_none(party: RelyingParty, provider: HostileProvider) -> None:
    """A person who does not share the address is told to, after userinfo was asked."""
    provider.claim_changes, provider.userinfo_changes = {"email": ABSENT}, {"email": ABSENT}
    identity = await log_in(party, provider)
    assert (identity.email, identity.evidence.rule) == (None, "email_absent")


async def test_signed_userinfo_is_not_read(party: RelyingParty, provider: HostileProvider) -> None:
    """A userinfo answer that is a JWT is unreadable, not an exception."""
    provider.claim_changes = {"email": ABSENT}
    provider.faults = {"/userinfo": answering("a.b.c", content_type="application/jwt")}
    assert (await is_refused(party, provider)).reason == "provider_answer_unreadable"


@pytest.mark.parametrize(
    ("claims", "email", "name"),
    [
        ({"name": "Bøb 漢字"}, "bob@example.com", "Bøb 漢字"),
        ({"name": "Bob\r\nBcc: eve"}, "bob@example.com", None),
        ({"name": "Bob\x00"}, "bob@example.com", None),
        ({"name": "B" * 100}, "bob@example.com", "B" * 100),
        ({"name": "B" * 101}, "bob@example.com", None),
        ({"name": ["Bob"]}, "bob@example.com", None),
        ({"name": ""}, "bob@example.com", None),
        ({"name": "bob@example.com"}, "bob@example.com", None),
        ({"name": "Bob (eve@other.example)"}, "bob@example.com", None),
        ({"name": "bob＠example.com"}, "bob@example.com", None),
        ({"name": "bob @ example.com"}, "bob@example.com", None),
        ({"name": "DJ @ Home"}, "bob@example.com", "DJ @ Home"),
        ({"name": "M. O'Neil-Bøb"}, "bob@example.com", "M. O'Neil-Bøb"),
        ({"email": "bob\x00@example.com"}, None, "Bob"),
        ({"email": "b" * 243 + "@example.com"}, None, "Bob"),
        ({"email": ["bob@example.com"]}, None, "Bob"),
        ({"email": 5}, None, "Bob"),
        ({"email": {"a": "b"}}, None, "Bob"),
        ({"email": "bob@bücher.example"}, "bob@bücher.example", "Bob"),
    ],
)
async def test_claims_that_cannot_be_shown_are_not_passed_on(
    party: RelyingParty, provider: HostileProvider, claims: dict[str, Any], email: str | None, name: str | None
) -> None:
    """H087, H189: names and addresses leave here as one printable line, or not at all; an address is no name."""
    provider.claim_changes = claims
    identity = await log_in(party, provider)
    assert (identity.email, identity.name) == (email, name)
    if email is None:
        assert identity.evidence.verdict is Verdict.REFUSED


# ------------------------------------------------------------------------------------------------------ google, microsoft


async def test_googles_rules_apply_at_another_issuer(provider: HostileProvider) -> None:
    """ISSUER replaces Google's issuer and nothing else: its evidence rules stay."""
    async with relying_on(google=provider.registration(kind="google")) as party:
        third_party = await log_in(party, provider, "google")
        hosted = await log_in(party, provider, "google", email="ann@example.com", hd="example.com")
        gmail = await log_in(party, provider, "google", email="ann@gmail.com")
    rules = [identity.evidence.rule for identity in (third_party, hosted, gmail)]
    assert rules == ["google_third_party", "google_hosted_domain", "google_gmail"]


MICROSOFT_SHAPES = [
    # where the provider is, what it calls itself in discovery, what ISSUER says
    ("/common/v2.0", "/{tenantid}/v2.0", "/common/v2.0"),
    ("/common/v2.0", "/{tenantid}/v2.0", "/{tenantid}/v2.0"),
    ("/common/v2.0", "/{tenantid}/v2.0", "/{tenant}/v2.0"),
    ("/organizations/v2.0", "/{tenantid}/v2.0", "/organizations/v2.0"),
    ("/common/v2.0", "/common/v2.0", "/common/v2.0"),
    (f"/{TENANT}/v2.0", f"/{TENANT}/v2.0", f"/{TENANT}/v2.0"),
    (f"/{TENANT}/v2.0", "/{tenantid}/v2.0", f"/{TENANT}/v2.0"),
    ("", "/{tenantid}/v2.0", ""),
]

# With one tenant, a template's discovery document is the one at that tenant.
MICROSOFT_CONCRETE = [
    (f"/{TENANT}/v2.0" if "{" in configured else path, named, configured)
    for path, named, configured in MICROSOFT_SHAPES
]


@asynccontextmanager
async def microsoft(
    path: str, named: str, configured: str, tenants: list[str]
) -> AsyncIterator[tuple[HostileProvider, RelyingParty, str]]:
    """A fake Entra: its tokens carry their own tenant's issuer."""
    async with running_provider(path, issuer_path=named, clock=_clock) as provider:
        origin = provider.location.removesuffix(path)
        registration = provider.registration(kind="microsoft", issuer=origin + configured, tenants=tenants)
        async with relying_on(microsoft=registration) as party:
            yield provider, party, origin


def of_tenant(origin: str, tenant: str) -> dict[str, Any]:
    return {"iss": f"{origin}/{tenant}/v2.0", "tid": tenant, "xms_edov": True}


@pytest.mark.parametrize(("path", "named", "configured"), MICROSOFT_SHAPES)
async def test_microsofts_issuer_is_the_template_with_the_tokens_tenant(path: str, named: str, configured: str) -> None:
    """H031: an allowed tenant's token is believed under that tenant's issuer, which is the identity's."""
    tenants = ["*"] if "{" in configured else [TENANT]
    async with microsoft(path, named, configured, tenants) as (provider, party, origin):
        identity = await log_in(party, provider, "microsoft", **of_tenant(origin, TENANT))
    assert identity.issuer == f"{origin}/{TENANT}/v2.0"
    assert identity.evidence.rule == "microsoft_edov"


OTHER_TENANTS: list[tuple[Any, Any, set[str]]] = [
    # iss, tid, the reasons of the refusal
    ("{origin}/{other}/v2.0", "{other}", {"tenant_not_allowed", "issuer_mismatch"}),
    ("{origin}/{tenant}/v2.0", "{other}", {"issuer_mismatch"}),
    ("{origin}/{other}/v2.0", "{tenant}", {"issuer_mismatch"}),
    ("{origin}/{{tenantid}}/v2.0", "{tenant}", {"issuer_mismatch"}),
    ("{origin}/{{tenantid}}/v2.0", "{{tenantid}}", {"issuer_mismatch"}),
    ("{origin}/{tenant}/v2.0", ABSENT, {"tenant_missing"}),
    ("{origin}/{tenant}/v2.0", None, {"tenant_missing"}),
    ("{origin}/{tenant}/v2.0", [TENANT], {"tenant_missing"}),
    (ABSENT, "{tenant}", {"issuer_mismatch"}),
    (["an issuer"], "{tenant}", {"issuer_mismatch"}),
    ("https://login.microsoftonline.com/{tenant}/v2.0", "{tenant}", {"issuer_mismatch"}),
    ("{origin}/{tenant}/v2.0/", "{tenant}", {"issuer_mismatch"}),
    ("{origin}//v2.0", "", {"issuer_mismatch"}),
    ("{origin}/common/v2.0", "common", {"issuer_mismatch", "tenant_not_allowed"}),
]


@pytest.mark.parametrize(("path", "named", "configured"), MICROSOFT_CONCRETE)
async def test_other_tenants_are_refused(path: str, named: str, configured: str) -> None:
    """H031: a tenant that is not allowed, a tenant under another's issuer, and the literal template are refused."""
    async with microsoft(path, named, configured, [TENANT]) as (provider, party, origin):

        def filled(value: Any) -> Any:
            names = {"origin": origin, "tenant": TENANT, "other": OTHER_TENANT}
            return value.format(**names) if isinstance(value, str) else value

        for iss, tid, reasons in OTHER_TENANTS:
            provider.claim_changes = {"iss": filled(iss), "tid": filled(tid), "xms_edov": True}
            with pytest.raises(SignInFailed) as refusal:
                await log_in(party, provider, "microsoft")
            assert refusal.value.reason in reasons, (iss, tid)
        provider.behave()
        assert (await log_in(party, provider, "microsoft", **of_tenant(origin, TENANT))).subject


async def test_an_issuer_for_one_tenant_speaks_for_no_other() -> None:
    """H031: where ISSUER names one tenant, a template in its discovery document lets no other tenant in."""
    own = f"/{OTHER_TENANT}/v2.0"
    async with microsoft(own, "/{tenantid}/v2.0", own, ["*"]) as (provider, party, origin):
        with pytest.raises(SignInFailed, match="tenant_not_allowed"):
            await log_in(party, provider, "microsoft", **of_tenant(origin, TENANT))
        identity = await log_in(party, provider, "microsoft", **of_tenant(origin, OTHER_TENANT))
    assert identity.issuer == f"{origin}/{OTHER_TENANT}/v2.0"


@pytest.mark.parametrize(
    ("named", "configured"),
    [
        ("/{tenantid}/v3.0", "/common/v2.0"),
        ("/x/{tenantid}/v2.0", "/common/v2.0"),
        ("/{tenantid}", "/common/v2.0"),
        (f"/{OTHER_TENANT}/v2.0", "/common/v2.0"),
        ("/organizations/v2.0", "/common/v2.0"),
        ("/{tenantid}/v2.0", "/elsewhere"),
    ],
)
async def test_another_template_is_another_issuer(named: str, configured: str) -> None:
    """H052: a Microsoft discovery document may differ from ISSUER in the tenant's place and nowhere else."""
    async with microsoft(configured, named, configured, [TENANT]) as (_, party, __):
        with pytest.raises(ProviderUnavailable, match="discovery_issuer_mismatch"):
            await party.begin("microsoft", now=NOW)


async def test_templates_are_microsofts_alone() -> None:
    """H031: a `{tenantid}` in the name of any other kind of issuer is a mismatch like any."""
    async with running_provider("/common/v2.0", issuer_path="/{tenantid}/v2.0", clock=_clock) as provider:
        async with relying_on(idp=provider.registration(issuer=provider.location)) as party:
            with pytest.raises(ProviderUnavailable, match="discovery_issuer_mismatch"):
                await party.begin("idp", now=NOW)


@pytest.mark.parametrize(
    ("iss", "believed"),
    [("{origin}/{tenant}/v2.0", True), ("{origin}/{{tenantid}}/v2.0", True), ("{origin}/{other}/v2.0", False),
     ("https://evil.example/{tenant}/v2.0", False), ("{origin}/common/v2.0", False)],
)  # fmt: skip
@pytest.mark.parametrize("tenants", [[TENANT], ["*"]])
async def test_a_template_in_the_response_stands_for_the_tokens_tenant(
    iss: str, believed: bool, tenants: list[str]
) -> None:
    """H054: the response may name the template or the token's own tenant, and no other."""
    shape = ("/common/v2.0", "/{tenantid}/v2.0", "/common/v2.0")
    async with microsoft(*shape, tenants) as (provider, party, origin):
        provider.response_changes = {"iss": iss.format(origin=origin, tenant=TENANT, other=OTHER_TENANT)}
        login = log_in(party, provider, "microsoft", **of_tenant(origin, TENANT))
        if believed:
            assert (await login).issuer == f"{origin}/{TENANT}/v2.0"
            return
        with pytest.raises(SignInFailed, match="response_issuer_mismatch"):
            await login
        # What no allowed tenant can have sent is not even exchanged.
        assert provider.requests["/token"] == (1 if tenants == ["*"] and "{other}" in iss else 0)


@pytest.mark.parametrize(
    ("tenants", "authority"),
    [
        ([TENANT], TENANT),
        (["consumers"], "consumers"),
        ([TENANT, OTHER_TENANT], "organizations"),
        ([TENANT, "consumers"], "common"),
        (["*"], "common"),
    ],
)
async def test_microsofts_sign_in_page_is_the_narrowest(tenants: list[str], authority: str) -> None:
    """Of Microsoft's sign-in pages the one is asked that lets every allowed tenant in and as few others as can be."""
    async with microsoft(f"/{authority}/v2.0", "/{tenantid}/v2.0", "/{tenantid}/v2.0", tenants) as (provider, party, _):
        assert (await party.begin("microsoft", now=NOW)).state
    assert provider.requests["/.well-known/openid-configuration"] == 1


GOOGLE = "https://accounts.google.com"
ENTRA = "https://login.microsoftonline.com"


@pytest.mark.parametrize(
    ("registration", "asked", "named"),
    [
        ({"kind": "google"}, GOOGLE, {GOOGLE}),
        ({"kind": "microsoft", "tenants": [TENANT]}, f"{ENTRA}/{TENANT}/v2.0", {f"{ENTRA}/{TENANT}/v2.0"}),
        ({"kind": "microsoft", "tenants": ["consumers"]}, f"{ENTRA}/consumers/v2.0", {f"{ENTRA}/{PERSONAL_TENANT}/v2.0"}),
        ({"kind": "microsoft", "tenants": ["*"]}, f"{ENTRA}/common/v2.0", {f"{ENTRA}/{{tenantid}}/v2.0"}),
        ({"kind": "microsoft", "tenants": [TENANT, OTHER_TENANT]}, f"{ENTRA}/organizations/v2.0", {f"{ENTRA}/{{tenantid}}/v2.0"}),
    ],
)  # fmt: skip
def test_google_and_microsoft_know_their_issuers(registration: dict[str, Any], asked: str, named: set[str]) -> None:
    """Without ISSUER the known one is asked, and may call itself what the real one does, and not what others do."""
    settings = settings_for(idp={"client_id": "c", "client_secret": "s"} | registration)
    issuer = Issuer.of(settings.providers["idp"])
    assert issuer.discovery_url == f"{asked}/.well-known/openid-configuration"
    assert all(issuer.accepts_metadata(name) for name in named)
    others = {"https://evil.example", "accounts.google.com", f"{ENTRA}/{'0' * 8}/v2.0", f"{ENTRA}/common/v2.0"}
    no_names: list[Any] = [None, [], {}, 5]
    assert not [name for name in (*others, *no_names) if issuer.accepts_metadata(name)]


# ------------------------------------------------------------------------------------------------------------- for the rest


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
    """JSON objects with anything under these names."""
    return st.fixed_dictionaries({}, optional=dict.fromkeys(names, JSON))


@SOME
@given(objects_of("issuer", "authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint",
                  "prompt_values_supported", "token_endpoint_auth_methods_supported"))  # fmt: skip
def test_no_discovery_document_is_an_exception(document: dict[str, Any]) -> None:
    """Whatever JSON a discovery document holds, it is metadata or one kind of failure."""
    for settings in PROVIDERS.values():
        issuer = Issuer.of(settings)
        for honest in ({}, {"issuer": issuer.configured}):
            with contextlib.suppress(ProviderUnavailable):
                read_metadata(document | honest, issuer, ())


@SOME
@given(JSON | st.lists(objects_of("kty", "n", "e", "crv", "x", "y", "use", "key_ops", "alg", "kid"), max_size=3))
def test_no_jwks_is_an_exception(keys: Any) -> None:
    """Whatever JSON a JWKS holds, it is read, and none of its keys verifies what nobody signed."""
    for kind in ({}, {"kty": "RSA"}, {"kty": "EC"}, {"kty": "OKP"}):
        members = [key | kind for key in keys if isinstance(key, dict)] if isinstance(keys, list) else keys
        for key in read_keys({"keys": members}):
            assert not any(key.signed(name, b"input", b"signature") for name in ALGORITHMS if key.fits(None, name))


@SOME
@given(objects_of("iss", "aud", "azp", "sub", "nonce", "iat", "exp", "nbf", "at_hash", "tid"), JSON, JSON)
def test_no_claims_are_an_exception(claims: dict[str, Any], header: Any, token: Any) -> None:
    """Whatever JSON an ID token holds, it is refused in one way; random claims never pass."""
    for settings in PROVIDERS.values():
        issuer = Issuer.of(settings)
        expected = Expected(issuer, issuer.configured, "c", digest_of("nonce"), "access-token", NOW)
        with pytest.raises(SignInFailed):
            check_claims(_unverified(claims), expected)
    for text in (token, f"{_base64url(json.dumps(header).encode())}.e30.AA", f"{token}"):
        with contextlib.suppress(SignInFailed):
            assert not read_id_token(text).signed_by(())


@SOME
@given(objects_of("email", "email_verified", "hd", "tid", "xms_edov", "verified_primary_email"))
def test_no_claims_are_evidence_by_accident(claims: dict[str, Any]) -> None:
    """Whatever JSON the claims about an address hold, there is a verdict; without an address it is a refusal."""
    for settings in PROVIDERS.values():
        evidence = assess(settings, claims)
        assert evidence.verdict is Verdict.REFUSED or "@" in claims["email"]


@pytest.mark.parametrize("code", ["ü", "a b&c=d%", "\ud800", "\x00", "%ZZ", "漢字", "a+b/c="])
async def test_odd_codes_are_refused_by_the_provider_and_break_nothing(
    party: RelyingParty, provider: HostileProvider, code: str
) -> None:
    """H068: a code of any characters ends in a refusal, never in another exception."""
    started = await party.begin("idp", now=NOW)
    with pytest.raises(SignInFailed) as refusal:
        await finish(party, started, {"code": code, "iss": provider.issuer})
    assert refusal.value.reason in {"code_refused", "token_endpoint_failed"}


async def test_an_operators_check_names_what_is_wrong(party: RelyingParty, provider: HostileProvider) -> None:
    """`check` passes for a working provider and tells the operator of one without keys, though logins cached others."""
    await party.check("idp", now=NOW)
    provider.published = {"keys": []}
    with pytest.raises(ProviderUnavailable, match="no_usable_key") as failure:
        await party.check("idp", now=NOW)
    assert f"{provider.issuer}/jwks" in failure.value.detail


async def test_nothing_secret_is_logged(provider: HostileProvider, caplog: pytest.LogCaptureFixture) -> None:
    """H155: with everything at DEBUG, good and bad logins leave no code, state, nonce, verifier, token or secret."""
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
