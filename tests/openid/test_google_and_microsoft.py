"""The rules of Google and Microsoft: issuers, templates and tenants."""

from typing import Any

import pytest

from service.openid import (
    ProviderUnavailable,
    SignInFailed,
)
from service.openid.issuer import Issuer
from service.settings.rules import PERSONAL_TENANT
from tests.support.openid_provider import (
    ABSENT,
    HostileProvider,
    running_provider,
)
from tests.support.relying_party import NOW, TENANT, clock, log_in, microsoft, relying_on, settings_for

pytestmark = pytest.mark.anyio


OTHER_TENANT = "0b9a6d52-3c6e-4f0c-8a57-2f1a6c3b9d22"


async def test_googles_rules_apply_at_another_issuer(provider: HostileProvider) -> None:
    """ISSUER replaces only Google's issuer. The evidence rules remain."""
    async with relying_on(google=provider.registration(kind="google")) as party:
        third_party = await log_in(party, provider, "google")
        hosted = await log_in(party, provider, "google", email="ann@example.com", hd="example.com")
        gmail = await log_in(party, provider, "google", email="ann@gmail.com")
    rules = [identity.evidence.rule for identity in (third_party, hosted, gmail)]
    assert rules == ["google_third_party", "google_hosted_domain", "google_gmail"]


MICROSOFT_SHAPES = [
    # the provider's location, its issuer in discovery, ISSUER
    ("/common/v2.0", "/{tenantid}/v2.0", "/common/v2.0"),
    ("/common/v2.0", "/{tenantid}/v2.0", "/{tenantid}/v2.0"),
    ("/common/v2.0", "/{tenantid}/v2.0", "/{tenant}/v2.0"),
    ("/organizations/v2.0", "/{tenantid}/v2.0", "/organizations/v2.0"),
    ("/common/v2.0", "/common/v2.0", "/common/v2.0"),
    (f"/{TENANT}/v2.0", f"/{TENANT}/v2.0", f"/{TENANT}/v2.0"),
    (f"/{TENANT}/v2.0", "/{tenantid}/v2.0", f"/{TENANT}/v2.0"),
    ("", "/{tenantid}/v2.0", ""),
]


# With one tenant, the discovery document at that tenant has a template.
MICROSOFT_CONCRETE = [
    (f"/{TENANT}/v2.0" if "{" in configured else path, named, configured)
    for path, named, configured in MICROSOFT_SHAPES
]


def of_tenant(origin: str, tenant: str) -> dict[str, Any]:
    return {"iss": f"{origin}/{tenant}/v2.0", "tid": tenant, "xms_edov": True}


@pytest.mark.parametrize(("path", "named", "configured"), MICROSOFT_SHAPES)
async def test_microsofts_issuer_is_the_template_with_the_tokens_tenant(path: str, named: str, configured: str) -> None:
    """H031: a token of an allowed tenant must have that tenant's issuer, which becomes the identity's issuer."""
    tenants = ["*"] if "{" in configured else [TENANT]
    async with microsoft(path, named, configured, tenants) as (provider, party, origin):
        identity = await log_in(party, provider, "microsoft", **of_tenant(origin, TENANT))
    assert identity.issuer == f"{origin}/{TENANT}/v2.0"
    assert identity.evidence.rule == "microsoft_edov"


OTHER_TENANTS: list[tuple[Any, Any, set[str]]] = [
    # iss, tid, the reasons of the rejection
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
async def test_other_tenants_are_rejected(path: str, named: str, configured: str) -> None:
    """H031: a tenant that is not allowed, a tenant under another's issuer, and the literal template are rejected."""
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


async def test_issuer_of_one_tenant_rejects_other_tenants() -> None:
    """H031: with an ISSUER of one tenant, a template in its discovery document allows only this tenant."""
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
    """H052: a Microsoft discovery document may differ from ISSUER only in the place of the tenant."""
    async with microsoft(configured, named, configured, [TENANT]) as (_, party, __):
        with pytest.raises(ProviderUnavailable, match="discovery_issuer_mismatch"):
            await party.begin("microsoft", now=NOW)


async def test_templates_are_for_microsoft_only() -> None:
    """H031: a `{tenantid}` in the issuer of another kind is a mismatch."""
    async with running_provider("/common/v2.0", issuer_path="/{tenantid}/v2.0", clock=clock) as provider:
        async with relying_on(idp=provider.registration(issuer=provider.location)) as party:
            with pytest.raises(ProviderUnavailable, match="discovery_issuer_mismatch"):
                await party.begin("idp", now=NOW)


@pytest.mark.parametrize(
    ("iss", "believed"),
    [("{origin}/{tenant}/v2.0", True), ("{origin}/{{tenantid}}/v2.0", True), ("{origin}/{other}/v2.0", False),
     ("https://evil.example/{tenant}/v2.0", False), ("{origin}/common/v2.0", False)],
)  # fmt: skip
@pytest.mark.parametrize("tenants", [[TENANT], ["*"]])
async def test_response_may_name_the_template_or_the_tenant(iss: str, believed: bool, tenants: list[str]) -> None:
    """H054: the response may name the template or the token's own tenant. Other tenants are rejected."""
    shape = ("/common/v2.0", "/{tenantid}/v2.0", "/common/v2.0")
    async with microsoft(*shape, tenants) as (provider, party, origin):
        provider.response_changes = {"iss": iss.format(origin=origin, tenant=TENANT, other=OTHER_TENANT)}
        login = log_in(party, provider, "microsoft", **of_tenant(origin, TENANT))
        if believed:
            assert (await login).issuer == f"{origin}/{TENANT}/v2.0"
            return
        with pytest.raises(SignInFailed, match="response_issuer_mismatch"):
            await login
        # A response that no allowed tenant can have sent is rejected before the code exchange.
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
    """The sign-in page is the most restrictive one that admits every allowed tenant."""
    async with microsoft(f"/{authority}/v2.0", "/{tenantid}/v2.0", "/{tenantid}/v2.0", tenants) as (provider, party, _):
        assert (await party.begin("microsoft", now=NOW)).state
    assert provider.requests["/.well-known/openid-configuration"] == 1


GOOGLE = "https://accounts.google.com"


ENTRA = "https://login.microsoftonline.com"


@pytest.mark.parametrize(
    ("registration", "discovered", "named"),
    [
        ({"kind": "google"}, GOOGLE, {GOOGLE}),
        ({"kind": "microsoft", "tenants": [TENANT]}, f"{ENTRA}/{TENANT}/v2.0", {f"{ENTRA}/{TENANT}/v2.0"}),
        ({"kind": "microsoft", "tenants": ["consumers"]}, f"{ENTRA}/consumers/v2.0", {f"{ENTRA}/{PERSONAL_TENANT}/v2.0"}),
        ({"kind": "microsoft", "tenants": ["*"]}, f"{ENTRA}/common/v2.0", {f"{ENTRA}/{{tenantid}}/v2.0"}),
        ({"kind": "microsoft", "tenants": [TENANT, OTHER_TENANT]}, f"{ENTRA}/organizations/v2.0", {f"{ENTRA}/{{tenantid}}/v2.0"}),
    ],
)  # fmt: skip
def test_google_and_microsoft_have_known_issuers(
    registration: dict[str, Any], discovered: str, named: set[str]
) -> None:
    """Without ISSUER, the known issuer is used. Its discovery document must have the real issuer."""
    settings = settings_for(idp={"client_id": "c", "client_secret": "s"} | registration)
    issuer = Issuer.from_settings(settings.providers["idp"])
    assert issuer.discovery_url == f"{discovered}/.well-known/openid-configuration"
    assert all(issuer.accepts_metadata(name) for name in named)
    others = {"https://evil.example", "accounts.google.com", f"{ENTRA}/{'0' * 8}/v2.0", f"{ENTRA}/common/v2.0"}
    no_names: list[Any] = [None, [], {}, 5]
    assert not [name for name in (*others, *no_names) if issuer.accepts_metadata(name)]
