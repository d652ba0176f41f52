"""The userinfo endpoint: an address where the ID token has none."""

from typing import Any

import pytest

from service.openid import (
    RelyingParty,
    Verdict,
)
from tests.support.openid_provider import (
    ABSENT,
    HostileProvider,
    answering,
)
from tests.support.relying_party import TENANT, is_refused, log_in, relying_on

pytestmark = pytest.mark.anyio


async def test_userinfo_is_not_requested_when_the_id_token_has_the_address(
    party: RelyingParty, provider: HostileProvider
) -> None:
    """H034: userinfo is ignored when the ID token has the address."""
    provider.userinfo_changes = {"email": "victim@example.com", "sub": "victim"}
    assert (await log_in(party, provider, email="eve@example.com")).email == "eve@example.com"
    assert provider.requests["/userinfo"] == 0


@pytest.mark.parametrize("email", [ABSENT, None, ""])
async def test_address_only_at_userinfo_is_read_there(
    party: RelyingParty, provider: HostileProvider, email: Any
) -> None:
    """When the ID token has no address, the one at userinfo counts, with its own email_verified."""
    provider.claim_changes = {"email": email, "email_verified": ABSENT, "name": ABSENT}
    identity = await log_in(party, provider)
    assert (identity.email, identity.name, identity.evidence.rule) == ("bob@example.com", "Bob", "oidc_verified")
    assert provider.requests["/userinfo"] == 1


@pytest.mark.parametrize("sub", ["victim", ABSENT, None, "", 1, ["{sub}"], lambda honest: honest.upper()])
async def test_userinfo_of_another_subject_is_rejected(
    party: RelyingParty, provider: HostileProvider, sub: Any
) -> None:
    """H034: userinfo of another subject than the ID token's rejects the login."""
    provider.claim_changes = {"email": ABSENT}
    provider.userinfo_changes = {"sub": sub}
    assert (await is_refused(party, provider)).reason == "userinfo_subject_mismatch"


@pytest.mark.parametrize("verified", [False, ABSENT, "true"])
async def test_verification_does_not_cross_from_the_id_token_to_userinfo(
    party: RelyingParty, provider: HostileProvider, verified: Any
) -> None:
    """H034: an email_verified in the ID token does not apply to an address at userinfo."""
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


async def test_provider_without_userinfo_and_address_gives_none(party: RelyingParty, provider: HostileProvider) -> None:
    """When no answer has an address, the identity has none, and the evidence reports this."""
    provider.metadata_changes = {"userinfo_endpoint": ABSENT}
    provider.claim_changes = {"email": ABSENT}
    identity = await log_in(party, provider)
    assert (identity.email, identity.evidence.rule) == (None, "email_absent")


async def test_consent_without_the_address_gives_none(party: RelyingParty, provider: HostileProvider) -> None:
    """A person who does not share the address gets a sentence that requests it, after userinfo was fetched."""
    provider.claim_changes, provider.userinfo_changes = {"email": ABSENT}, {"email": ABSENT}
    identity = await log_in(party, provider)
    assert (identity.email, identity.evidence.rule) == (None, "email_absent")


async def test_signed_userinfo_is_not_read(party: RelyingParty, provider: HostileProvider) -> None:
    """A JWT as the answer of userinfo is an expected error."""
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
async def test_unprintable_claims_are_not_passed_on(
    party: RelyingParty, provider: HostileProvider, claims: dict[str, Any], email: str | None, name: str | None
) -> None:
    """H087, H189: names and addresses are one printable line, or absent. An address is not accepted as a name."""
    provider.claim_changes = claims
    identity = await log_in(party, provider)
    assert (identity.email, identity.name) == (email, name)
    if email is None:
        assert identity.evidence.verdict is Verdict.REFUSED
