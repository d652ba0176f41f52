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
