"""A login through the relying party: the verified identity, algorithms, and issuers."""

import pytest

from service.openid import (
    RelyingParty,
    Verdict,
)
from tests.support.openid_provider import (
    HostileProvider,
    running_provider,
)
from tests.support.relying_party import clock, log_in, relying_on

pytestmark = pytest.mark.anyio


"""A deadline for tests of what never ends."""


async def test_login_returns_the_verified_identity(party: RelyingParty, provider: HostileProvider) -> None:
    """Issuer, subject, address, name and evidence are the provider's. The address has its claimed spelling."""
    identity = await log_in(party, provider, email="Bob.Builder@example.com", sub="1")
    assert (identity.provider_id, identity.issuer, identity.subject) == ("idp", provider.issuer, "1")
    assert (identity.email, identity.name) == ("Bob.Builder@example.com", "Bob Builder")
    assert (identity.evidence.verdict, identity.evidence.rule) == (Verdict.AUTHORITATIVE, "oidc_verified")


async def test_unverified_address_is_evidence_and_no_error(party: RelyingParty, provider: HostileProvider) -> None:
    """H022: the login itself succeeds, and its evidence refuses the address."""
    identity = await log_in(party, provider, email_verified=False)
    assert (identity.evidence.verdict, identity.evidence.rule) == (Verdict.REFUSED, "email_unverified")


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "RS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"])
async def test_asymmetric_algorithms_are_accepted(algorithm: str) -> None:
    """ID tokens of every allowed algorithm are accepted, with the access token's hash in them."""
    async with (
        running_provider(algorithm=algorithm, clock=clock) as provider,
        relying_on(idp=provider.registration()) as party,
    ):
        assert (await log_in(party, provider, sub="somebody")).subject == "somebody"


@pytest.mark.parametrize(
    ("path", "issuer_path"), [("", ""), ("/", "/"), ("/tenants/one", None), ("/tenants/one/", "/tenants/one/")]
)
async def test_issuers_with_a_path_or_a_trailing_slash_are_accepted(path: str, issuer_path: str | None) -> None:
    """The well-known path follows the issuer without its trailing slash. The issuer keeps it."""
    async with running_provider(path, issuer_path=issuer_path, clock=clock) as provider:
        async with relying_on(idp=provider.registration()) as party:
            assert (await log_in(party, provider)).issuer == provider.issuer


async def test_subjects_of_two_issuers_are_two_identities(provider: HostileProvider) -> None:
    """The same `sub` at two issuers gives two different keys."""
    async with (
        running_provider("/other", clock=clock) as other,
        relying_on(idp=provider.registration(), other=other.registration()) as party,
    ):
        one, two = await log_in(party, provider, sub="1"), await log_in(party, other, "other", sub="1")
    assert one.subject == two.subject == "1"
    assert one.issuer != two.issuer
