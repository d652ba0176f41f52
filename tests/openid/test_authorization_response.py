"""The authorization response: issuers, repeated parameters, errors, and injected or used codes (RFC 6749, RFC 9207)."""

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import structlog

from service.openid import (
    ProviderUnavailable,
    RelyingParty,
    SignInFailed,
)
from service.tokens import digest_of
from tests.support.openid_provider import (
    ABSENT,
    HostileProvider,
    running_provider,
)
from tests.support.relying_party import HTML, NOW, clock, finish, log_in, relying_on

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("further", [{}, {"error": "access_denied", "code": ABSENT}])
@pytest.mark.parametrize("iss", ["https://evil.example", "", "{issuer}/", "{issuer}x"])
@pytest.mark.parametrize("advertised", [True, ABSENT])
async def test_response_of_another_issuer_is_rejected(
    party: RelyingParty, provider: HostileProvider, iss: str, advertised: Any, further: dict[str, Any]
) -> None:
    """H054: a callback that names another issuer is rejected before the code exchange. So is an error callback."""
    provider.metadata_changes = {"authorization_response_iss_parameter_supported": advertised}
    provider.response_changes = {"iss": iss.replace("{issuer}", provider.issuer)} | further
    started = await party.begin("idp", now=NOW)
    response = await provider.sign_in(started.authorization_url)
    with pytest.raises(SignInFailed, match="response_issuer_mismatch"):
        await finish(party, started, response)
    assert provider.requests["/token"] == 0


@pytest.mark.parametrize("name", ["iss", "code", "state", "error"])
@pytest.mark.parametrize("first", ["https://evil.example", ""])
async def test_repeated_parameter_is_rejected(
    party: RelyingParty, provider: HostileProvider, name: str, first: str
) -> None:
    """H054: a callback with a repeated parameter is rejected before the code exchange, in any order of the values."""
    started = await party.begin("idp", now=NOW)
    honest = list((await provider.sign_in(started.authorization_url)).items())
    once = honest if name in dict(honest) else [*honest, (name, "access_denied")]
    for response in ([(name, first), *once], [*once, (name, first)], [*once, (name, dict(once)[name])]):
        with pytest.raises(SignInFailed) as refusal:
            await finish(party, started, response)
        assert refusal.value.reason == "response_parameter_repeated"
    assert provider.requests["/token"] == 0
    assert (await finish(party, started, honest)).provider_id == "idp"


async def test_response_without_the_advertised_issuer_is_rejected(
    party: RelyingParty, provider: HostileProvider
) -> None:
    """H054: a provider that advertises `iss` must send it. Without it, the code is not exchanged."""
    provider.response_changes = {"iss": ABSENT}
    started = await party.begin("idp", now=NOW)
    response = await provider.sign_in(started.authorization_url)
    with pytest.raises(SignInFailed, match="response_issuer_missing"):
        await finish(party, started, response)
    assert provider.requests["/token"] == 0


@pytest.mark.parametrize("changes", [{"iss": ABSENT}, {}])
async def test_response_issuer_is_optional_unless_advertised(
    party: RelyingParty, provider: HostileProvider, changes: dict[str, Any]
) -> None:
    """A provider that does not advertise `iss` may omit it. A correct one is accepted."""
    provider.metadata_changes = {"authorization_response_iss_parameter_supported": ABSENT}
    provider.response_changes = changes
    assert (await log_in(party, provider)).issuer == provider.issuer


async def test_response_at_another_providers_callback_is_rejected(provider: HostileProvider) -> None:
    """H056: a code and issuer at another provider's redirect URI are rejected before the exchange."""
    async with (
        running_provider("/other", clock=clock) as other,
        relying_on(idp=provider.registration(), other=other.registration()) as party,
    ):
        started = await party.begin("idp", now=NOW)
        response = await provider.sign_in(started.authorization_url)
        with pytest.raises(SignInFailed, match="response_issuer_mismatch"):
            await finish(party, started, response, "other")
        assert other.requests["/token"] == provider.requests["/token"] == 0


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
async def test_provider_errors_have_our_own_words(
    party: RelyingParty, provider: HostileProvider, error: str, reason: str, unavailable: bool
) -> None:
    """H063: an error has its reason and our sentence. Neither contains the provider's text, HTML or line breaks."""
    provider.response_changes = {"error": error, "error_description": HTML, "error_uri": "https://evil.example"}
    started = await party.begin("idp", now=NOW)
    response = await provider.sign_in(started.authorization_url)
    with structlog.testing.capture_logs() as events, pytest.raises(SignInFailed) as refusal:
        await finish(party, started, response)
    reported = f"{refusal.value} {refusal.value.sentence!s} {events}"
    assert refusal.value.reason == reason
    assert isinstance(refusal.value, ProviderUnavailable) is unavailable
    assert not [sign for sign in ("<", ">", "evil", "\r", "\n", "xxx") if sign in reported]
    assert provider.requests["/token"] == 0


async def test_cancelling_names_the_provider(party: RelyingParty, provider: HostileProvider) -> None:
    """A cancelled login names the provider, and says that nothing was changed."""
    started = await party.begin("idp", now=NOW)
    url = await provider.callback_url(started.authorization_url, email="bob@example.com", cancel=True)
    with pytest.raises(SignInFailed, match="access_denied") as refusal:
        await finish(party, started, dict(parse_qsl(urlsplit(url).query)))
    assert "Idp was cancelled" in str(refusal.value.sentence)
    assert "Nothing was changed" in str(refusal.value.sentence)


@pytest.mark.parametrize("code", [ABSENT, "", "c" * 5000])
async def test_response_without_a_usable_code_is_rejected(
    party: RelyingParty, provider: HostileProvider, code: Any
) -> None:
    """A callback without a code, or with a very long one, exchanges nothing."""
    provider.response_changes = {"code": code}
    started = await party.begin("idp", now=NOW)
    response = await provider.sign_in(started.authorization_url)
    with pytest.raises(SignInFailed, match="code_missing"):
        await finish(party, started, response)
    assert provider.requests["/token"] == 0


async def test_code_of_another_login_is_rejected(party: RelyingParty, provider: HostileProvider) -> None:
    """H061: the code of an attacker's login does not match this login's verifier."""
    mine, theirs = await party.begin("idp", now=NOW), await party.begin("idp", now=NOW)
    response = await provider.sign_in(theirs.authorization_url, email="eve@example.com")
    with pytest.raises(SignInFailed, match="code_refused"):
        await finish(party, mine, response)


async def test_code_with_its_own_verifier_still_needs_the_nonce(party: RelyingParty, provider: HostileProvider) -> None:
    """H046: a code and verifier of another login fail at the nonce."""
    mine, theirs = await party.begin("idp", now=NOW), await party.begin("idp", now=NOW)
    response = await provider.sign_in(theirs.authorization_url)
    with pytest.raises(SignInFailed, match="nonce_mismatch"):
        await finish(party, theirs, response, nonce_digest=digest_of(mine.nonce))


async def test_code_is_exchanged_once(party: RelyingParty, provider: HostileProvider) -> None:
    """The second exchange of a code is rejected with a sentence about used or expired codes."""
    started = await party.begin("idp", now=NOW)
    response = await provider.sign_in(started.authorization_url)
    assert (await finish(party, started, response)).email == "bob@example.com"
    with pytest.raises(SignInFailed, match="code_refused") as refusal:
        await finish(party, started, response)
    assert "used twice" in str(refusal.value.sentence)
