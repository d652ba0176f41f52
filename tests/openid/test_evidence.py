"""Evidence for an address, by the rules of each kind of provider."""

from typing import Any

import pytest

from service.openid import Evidence, Remedy, Verdict, assess
from service.settings import ProviderSettings, load_settings
from service.settings.rules import PERSONAL_TENANT

TENANT = "5f6b2c1e-0d4a-4b7e-9c53-7f1f3a1f0c11"
OTHER_TENANT = "0b9a6d52-3c6e-4f0c-8a57-2f1a6c3b9d22"
ADDRESS = "bob@example.com"

GOOGLE = {"email": ADDRESS, "email_verified": True}
WORK = {"email": ADDRESS, "tid": TENANT, "xms_edov": True}
OIDC = {"email": ADDRESS, "email_verified": True}


def provider(kind: str, **given: Any) -> ProviderSettings:
    """Returns the settings of a provider, validated like the operator's."""
    needed: dict[str, dict[str, Any]] = {
        "google": {},
        "microsoft": {"tenants": [TENANT]},
        "oidc": {"issuer": "https://login.example.com", "email_domains": ["example.com"]},
    }
    registration = {"kind": kind, "client_id": "client", "client_secret": "secret"} | needed[kind] | given
    return load_settings(environ={}, providers={"idp": registration}).providers["idp"]


def is_refused(evidence: Evidence, rule: str, remedy: Remedy | None = None) -> bool:
    """Returns whether a rule refuses the evidence with a sentence and, where given, with a remedy."""
    explained = str(evidence.sentence).endswith(".") and len(str(evidence.sentence)) > 40
    return (
        evidence.verdict is Verdict.REFUSED
        and evidence.rule == rule
        and explained
        and remedy in {None, evidence.remedy}
    )


# ------------------------------------------------------------------------------------------------------------------ google


@pytest.mark.parametrize("address", ["bob@gmail.com", "BOB@GMAIL.COM", "bob@googlemail.com"])
def test_google_is_authoritative_for_its_own_mailboxes(address: str) -> None:
    """A verified address at gmail.com or googlemail.com is authoritative, in upper and lower case."""
    evidence = assess(provider("google"), GOOGLE | {"email": address})
    assert (evidence.verdict, evidence.rule) == (Verdict.AUTHORITATIVE, "google_gmail")


def test_google_is_authoritative_for_workspace_domains() -> None:
    """A verified address with `hd` is authoritative."""
    evidence = assess(provider("google"), GOOGLE | {"hd": "example.com"})
    assert (evidence.verdict, evidence.rule) == (Verdict.AUTHORITATIVE, "google_hosted_domain")


@pytest.mark.parametrize("hosted_domain", [{}, {"hd": ""}, {"hd": None}, {"hd": True}, {"hd": ["example.com"]}])
def test_google_accounts_with_other_addresses_are_third_party(hosted_domain: dict[str, Any]) -> None:
    """H025: a verified third-party address without a valid `hd` is not sufficient."""
    evidence = assess(provider("google"), GOOGLE | hosted_domain)
    assert (evidence.verdict, evidence.rule) == (Verdict.THIRD_PARTY, "google_third_party")


@pytest.mark.parametrize(
    "address", ["bob@mail.gmail.com", "bob@gmail.com.evil.example", "bob@evil-gmail.com", "bob@gmail.co"]
)
def test_names_like_gmail_are_not_gmail(address: str) -> None:
    """Only the exact domains are Google's. A similar domain is a third-party one."""
    assert assess(provider("google"), GOOGLE | {"email": address}).verdict is Verdict.THIRD_PARTY


@pytest.mark.parametrize(
    ("choice", "verdict", "rule"),
    [
        ("confirm", Verdict.THIRD_PARTY, "google_third_party"),
        ("refuse", Verdict.REFUSED, "third_party_refused"),
        ("trust", Verdict.AUTHORITATIVE, "google_third_party_trusted_by_operator"),
    ],
)
def test_operator_decides_about_third_party_addresses_of_google(choice: str, verdict: Verdict, rule: str) -> None:
    """THIRD_PARTY_ADDRESSES changes only the verdict on third-party addresses. Each value has its own rule."""
    evidence = assess(provider("google", third_party_addresses=choice), GOOGLE)
    assert (evidence.verdict, evidence.rule) == (verdict, rule)


@pytest.mark.parametrize("choice", ["confirm", "refuse", "trust"])
@pytest.mark.parametrize(
    ("verified", "rule"),
    [
        (False, "email_unverified"),
        (None, "email_verified_absent"),
        ("true", "email_verified_unreadable"),
        ("false", "email_verified_unreadable"),
        (1, "email_verified_unreadable"),
        (1.0, "email_verified_unreadable"),
        ([True], "email_verified_unreadable"),
        ({"value": True}, "email_verified_unreadable"),
    ],
)
def test_google_addresses_that_are_not_exactly_verified_are_refused(choice: str, verified: Any, rule: str) -> None:
    """H022: for Google, only JSON true is verified, with every value of THIRD_PARTY_ADDRESSES."""
    for claims in (GOOGLE, GOOGLE | {"hd": "example.com"}, GOOGLE | {"email": "bob@gmail.com"}):
        settings = provider("google", third_party_addresses=choice)
        assert is_refused(assess(settings, claims | {"email_verified": verified}), rule)


def test_google_addresses_without_email_verified_are_refused() -> None:
    """H023: an absent email_verified is unverified for Google, too."""
    assert is_refused(assess(provider("google"), {"email": "bob@gmail.com"}), "email_verified_absent")


# --------------------------------------------------------------------------------------------------------------- microsoft


@pytest.mark.parametrize("edov", [True, 1, "1", "true"])
def test_verified_domain_of_a_tenant_is_authoritative(edov: Any) -> None:
    """Each encoding of a true xms_edov makes the allowed tenant authoritative."""
    evidence = assess(provider("microsoft"), WORK | {"xms_edov": edov})
    assert (evidence.verdict, evidence.rule) == (Verdict.AUTHORITATIVE, "microsoft_edov")


@pytest.mark.parametrize("trusting", [False, True])
@pytest.mark.parametrize("edov", [False, 0, "0", "false"])
def test_address_that_the_tenant_denies_is_refused(edov: Any, trusting: bool) -> None:
    """H028: a false xms_edov is refused in every encoding, also for a tenant with TRUST_TENANT_ADDRESSES."""
    claims = WORK | {"xms_edov": edov, "verified_primary_email": [ADDRESS]}
    evidence = assess(provider("microsoft", trust_tenant_addresses=trusting), claims)
    assert is_refused(evidence, "edov_false", Remedy.TENANT)
    assert "does not vouch" in str(evidence.sentence)


@pytest.mark.parametrize("further", [{}, {"xms_edov": None}, {"email_verified": True}, {"hd": "example.com"}])
def test_missing_xms_edov_is_refused_with_the_operators_remedy(further: dict[str, Any]) -> None:
    """H027: an Entra address without xms_edov is refused, and the sentence says that the operator must add the claim."""
    evidence = assess(provider("microsoft", tenants=["*"]), {"email": ADDRESS, "tid": TENANT} | further)
    assert is_refused(evidence, "edov_absent", Remedy.OPERATOR)
    assert "Microsoft sent no proof for this address" in str(evidence.sentence)


@pytest.mark.parametrize("edov", ["yes", "TRUE", "True", 2, -1, 1.0, [True], {"v": 1}, "", "null"])
def test_xms_edov_in_an_unknown_form_is_refused(edov: Any) -> None:
    """An xms_edov outside its known encodings is refused as unreadable, and never counts as true."""
    evidence = assess(provider("microsoft", trust_tenant_addresses=True), WORK | {"xms_edov": edov})
    assert is_refused(evidence, "edov_unreadable", Remedy.OPERATOR)


@pytest.mark.parametrize("name", ["preferred_username", "upn", "unique_name"])
def test_other_names_of_a_microsoft_account_are_no_address(name: str) -> None:
    """H030: an address in a user name only is refused, even with the proof of another claim."""
    claims = {name: ADDRESS, "tid": TENANT, "xms_edov": True}
    assert is_refused(assess(provider("microsoft", trust_tenant_addresses=True), claims), "email_absent")


@pytest.mark.parametrize(
    "tenant", [OTHER_TENANT, TENANT.upper(), "", None, True, [TENANT], "{tenantid}", "common", "*", "consumers", PERSONAL_TENANT]
)  # fmt: skip
def test_tenants_that_are_not_allowed_are_refused(tenant: Any) -> None:
    """H031: a `tid` outside of the operator's list is refused with every proof."""
    assert is_refused(assess(provider("microsoft"), WORK | {"tid": tenant}), "tenant_not_allowed", Remedy.OPERATOR)


@pytest.mark.parametrize("tenant", ["{tenantid}", "common", "consumers", "", None, "a/b", "a b"])
def test_wildcard_requires_a_tenant_id(tenant: Any) -> None:
    """H031: `*` allows only valid tenant ids."""
    settings = provider("microsoft", tenants=["*"])
    assert is_refused(assess(settings, WORK | {"tid": tenant}), "tenant_not_allowed")
    assert assess(settings, WORK | {"tid": OTHER_TENANT}).verdict is Verdict.AUTHORITATIVE


@pytest.mark.parametrize("listed", [ADDRESS, [ADDRESS], ["other@example.com", "BOB@Example.com"]])
@pytest.mark.parametrize("name", ["verified_primary_email", "verified_secondary_email"])
def test_address_among_the_tenants_verified_ones_is_authoritative(name: str, listed: Any) -> None:
    """Microsoft's claims of verified addresses prove exactly the addresses in them."""
    claims = {"email": ADDRESS, "tid": TENANT, name: listed}
    assert assess(provider("microsoft"), claims).rule == "microsoft_verified_email"
    assert is_refused(assess(provider("microsoft"), claims | {"email": "eve@example.com"}), "edov_absent")


@pytest.mark.parametrize("listed", [True, 1, None, {}, [None, 1, {}], ["not an address"], "", ["bob@example.co"]])
def test_malformed_lists_of_verified_addresses_prove_nothing(listed: Any) -> None:
    """A verified_primary_email without the address has no effect."""
    claims = {"email": ADDRESS, "tid": TENANT, "verified_primary_email": listed}
    assert is_refused(assess(provider("microsoft"), claims), "edov_absent")


def test_operator_may_trust_the_one_pinned_tenant() -> None:
    """TRUST_TENANT_ADDRESSES accepts the addresses of the one tenant without xms_edov, under its own rule."""
    claims = {"email": ADDRESS, "tid": TENANT}
    evidence = assess(provider("microsoft", trust_tenant_addresses=True), claims)
    assert (evidence.verdict, evidence.rule) == (Verdict.AUTHORITATIVE, "microsoft_tenant_trusted_by_operator")


@pytest.mark.parametrize("tenants", [["*"], [TENANT, OTHER_TENANT], [TENANT, "consumers"]])
def test_trust_requires_exactly_one_tenant(tenants: list[str]) -> None:
    """TRUST_TENANT_ADDRESSES has no effect with several tenants, even with unvalidated settings."""
    settings = provider("microsoft", tenants=tenants).model_copy(update={"trust_tenant_addresses": True})
    assert is_refused(assess(settings, {"email": ADDRESS, "tid": TENANT}), "edov_absent")


PERSONAL = {"tid": PERSONAL_TENANT}


@pytest.mark.parametrize(
    "domain",
    ["outlook.com", "OUTLOOK.COM", "outlook.de", "outlook.co.id", "outlook.com.br", "hotmail.com", "hotmail.co.uk", "hotmail.fr",
     "live.com", "live.nl", "live.com.au", "msn.com"],
)  # fmt: skip
@pytest.mark.parametrize("tenants", [["consumers"], ["*"], [TENANT, "consumers"]])
def test_microsoft_is_authoritative_for_its_own_mailboxes(domain: str, tenants: list[str]) -> None:
    """A personal account with an address of Microsoft's mail domains is authoritative."""
    evidence = assess(provider("microsoft", tenants=tenants), PERSONAL | {"email": f"bob@{domain}"})
    assert (evidence.verdict, evidence.rule) == (Verdict.AUTHORITATIVE, "microsoft_mailbox")


@pytest.mark.parametrize(
    "domain",
    ["example.com", "live.xyz", "outlook.zip", "hotmail.io", "outlook.id", "live.co", "hotmail.com.evil", "passport.net",
     "outlook.evil.com", "evil-outlook.com", "outlook.com.evil.com", "mail.outlook.com", "outlook.github.io",
     "live.blogspot.com", "msn.de", "msn.co.uk", "outlook.notatld", "outlookk.com", "hotmail.evil.co.uk", "xn--utlook-9jb.com"],
)  # fmt: skip
def test_names_like_microsofts_are_third_party(domain: str) -> None:
    """H187: only the listed domains are Microsoft's. Other people can register live.xyz, or a subdomain of their own
    domain.
    """
    evidence = assess(provider("microsoft", tenants=["consumers"]), PERSONAL | {"email": f"bob@{domain}"})
    assert (evidence.verdict, evidence.rule) == (Verdict.THIRD_PARTY, "microsoft_personal_third_party")


@pytest.mark.parametrize(
    ("choice", "verdict", "rule"),
    [
        ("confirm", Verdict.THIRD_PARTY, "microsoft_personal_third_party"),
        ("refuse", Verdict.REFUSED, "third_party_refused"),
        ("trust", Verdict.AUTHORITATIVE, "microsoft_personal_third_party_trusted_by_operator"),
    ],
)
def test_operator_decides_about_personal_accounts_with_other_addresses(
    choice: str, verdict: Verdict, rule: str
) -> None:
    """THIRD_PARTY_ADDRESSES applies to personal Microsoft accounts as it does to Google's."""
    settings = provider("microsoft", tenants=["consumers"], third_party_addresses=choice)
    evidence = assess(settings, PERSONAL | {"email": ADDRESS})
    assert (evidence.verdict, evidence.rule) == (verdict, rule)


@pytest.mark.parametrize("choice", ["confirm", "refuse", "trust"])
def test_work_accounts_are_never_third_party(choice: str) -> None:
    """H027: a malicious tenant can claim any address, so no setting accepts an unproven address of a work account."""
    settings = provider("microsoft", tenants=["*"], third_party_addresses=choice)
    assert is_refused(assess(settings, {"email": ADDRESS, "tid": OTHER_TENANT}), "edov_absent")


def test_xms_edov_of_a_personal_account_has_no_effect() -> None:
    """The xms_edov of a personal account makes no third-party address authoritative."""
    claims = PERSONAL | {"email": ADDRESS, "xms_edov": True, "verified_primary_email": [ADDRESS]}
    assert assess(provider("microsoft", tenants=["consumers"]), claims).verdict is Verdict.THIRD_PARTY


# -------------------------------------------------------------------------------------------------------------------- oidc


@pytest.mark.parametrize("domains", [["example.com"], ["other.example", "EXAMPLE.com"], ["*"]])
def test_issuer_is_authoritative_for_the_operators_domains(domains: list[str]) -> None:
    """A verified address of a listed domain is authoritative. With `*`, so is that of any domain."""
    evidence = assess(provider("oidc", email_domains=domains), OIDC)
    assert (evidence.verdict, evidence.rule) == (Verdict.AUTHORITATIVE, "oidc_verified")


@pytest.mark.parametrize(
    "domain", ["example.org", "mail.example.com", "evilexample.com", "example.com.evil.org", "xample.com"]
)
def test_issuer_is_not_authoritative_for_other_domains(domain: str) -> None:
    """H044: a verified address of an unlisted domain is refused."""
    evidence = assess(provider("oidc", trust_addresses=True), OIDC | {"email": f"bob@{domain}"})
    assert is_refused(evidence, "domain_not_listed", Remedy.OPERATOR)


@pytest.mark.parametrize("domains", [None, ()])
def test_issuer_without_domains_is_authoritative_for_none(domains: Any) -> None:
    """H044: settings without domains accept no address, even if they were not validated."""
    settings = provider("oidc").model_copy(update={"email_domains": domains})
    assert is_refused(assess(settings, OIDC), "domains_not_configured", Remedy.OPERATOR)


@pytest.mark.parametrize("address", ["bob@bücher.example", "bob@xn--bcher-kva.example", "Bob@bücher.EXAMPLE"])
@pytest.mark.parametrize("listed", ["bücher.example", "xn--bcher-kva.example"])
def test_international_domains_are_compared_by_their_a_labels(address: str, listed: str) -> None:
    """H082: both spellings of an international domain are equal, in the settings and in the claim."""
    assert assess(provider("oidc", email_domains=[listed]), OIDC | {"email": address}).rule == "oidc_verified"


@pytest.mark.parametrize(
    ("verified", "rule"),
    [
        (False, "email_unverified"),
        (None, "email_verified_absent"),
        ("true", "email_verified_unreadable"),
        ("false", "email_verified_unreadable"),
        ("1", "email_verified_unreadable"),
        (1, "email_verified_unreadable"),
        (1.0, "email_verified_unreadable"),
        ([True], "email_verified_unreadable"),
    ],
)
def test_only_true_is_verified(verified: Any, rule: str) -> None:
    """H022: an email_verified other than JSON true is refused. Each form has its own reason."""
    assert is_refused(assess(provider("oidc"), OIDC | {"email_verified": verified}), rule)


def test_absent_is_unverified() -> None:
    """H023: an absent email_verified is refused."""
    assert is_refused(assess(provider("oidc"), {"email": ADDRESS}), "email_verified_absent", Remedy.OPERATOR)


@pytest.mark.parametrize("accepted", [["true"], ["1"], [1], [True, "true", "1"]])
def test_operator_may_add_values_of_email_verified(accepted: list[Any]) -> None:
    """EMAIL_VERIFIED_VALUES compares type and value: 1 is not true, "1" is not 1."""
    settings = provider("oidc", email_verified_values=accepted)
    for value in (True, "true", "1", 1, 1.0, "True", False, 0, "yes"):
        counts = any(type(value) is type(one) and value == one for one in accepted)
        verdict = Verdict.AUTHORITATIVE if counts else Verdict.REFUSED
        assert assess(settings, OIDC | {"email_verified": value}).verdict is verdict, value


@pytest.mark.parametrize("claims", [{"email": ADDRESS}, {"email": ADDRESS, "email_verified": None}])
def test_operator_may_trust_an_issuer_without_email_verified(claims: dict[str, Any]) -> None:
    """TRUST_ADDRESSES accepts listed domains without email_verified, under its own rule."""
    evidence = assess(provider("oidc", trust_addresses=True), claims)
    assert (evidence.verdict, evidence.rule) == (Verdict.AUTHORITATIVE, "oidc_addresses_trusted_by_operator")


@pytest.mark.parametrize("verified", [False, "false", 0, "no"])
def test_trust_does_not_override_a_false_email_verified(verified: Any) -> None:
    """H022: an address that the issuer did not verify is refused with TRUST_ADDRESSES, too."""
    evidence = assess(provider("oidc", trust_addresses=True), OIDC | {"email_verified": verified})
    assert evidence.verdict is Verdict.REFUSED


def test_trust_requires_listed_domains() -> None:
    """TRUST_ADDRESSES has no effect for `*`, even with unvalidated settings."""
    settings = provider("oidc", email_domains=["*"]).model_copy(update={"trust_addresses": True})
    assert is_refused(assess(settings, {"email": ADDRESS}), "email_verified_absent")


# ---------------------------------------------------------------------------------------------- addresses of every kind

KINDS = [
    (provider("google"), {"email_verified": True, "hd": "example.com"}),
    (provider("microsoft"), {"tid": TENANT, "xms_edov": True}),
    (provider("microsoft", tenants=["consumers"]), {"tid": PERSONAL_TENANT}),
    (provider("oidc", email_domains=["*"]), {"email_verified": True}),
]


@pytest.mark.parametrize(("settings", "claims"), KINDS)
@pytest.mark.parametrize("email", [{}, {"email": None}, {"email": ""}, {"email": True}, {"email": ["bob@example.com"]}])
def test_missing_address_is_refused_everywhere(
    settings: ProviderSettings, claims: dict[str, Any], email: dict[str, Any]
) -> None:
    """H030: claims without `email` are refused, with any other claims."""
    further = {"preferred_username": ADDRESS, "upn": ADDRESS, "emails": [ADDRESS]}
    assert is_refused(assess(settings, claims | further | email), "email_absent", Remedy.PERSON)


@pytest.mark.parametrize(("settings", "claims"), KINDS)
@pytest.mark.parametrize(
    "email",
    [
        "bob",
        "@example.com",
        "bob@",
        "m\u0131ke@github.com",
        "\uff4dike@github.com",
        f"{'b' * 260}@example.com",
        "bob@ex ample.com",
    ],
)
def test_invalid_address_is_refused_everywhere(settings: ProviderSettings, claims: dict[str, Any], email: str) -> None:
    """H075: a claim that could not be invited is refused, also one with confusable characters."""
    assert is_refused(assess(settings, claims | {"email": email}), "address_invalid", Remedy.PERSON)


def test_every_refusal_has_its_own_sentence() -> None:
    """Each refusal has a different sentence, without the value of a claim."""
    claims: list[tuple[ProviderSettings, dict[str, Any]]] = [
        (provider("google"), {}),
        (provider("google"), {"email": "bob"}),
        (provider("google"), GOOGLE | {"email_verified": False}),
        (provider("google"), {"email": ADDRESS}),
        (provider("google"), GOOGLE | {"email_verified": "true"}),
        (provider("google", third_party_addresses="refuse"), GOOGLE),
        (provider("microsoft"), WORK | {"tid": OTHER_TENANT}),
        (provider("microsoft"), WORK | {"xms_edov": None}),
        (provider("microsoft"), WORK | {"xms_edov": False}),
        (provider("microsoft"), WORK | {"xms_edov": "?"}),
        (provider("oidc"), OIDC | {"email": "bob@example.org"}),
        (provider("oidc").model_copy(update={"email_domains": None}), OIDC),
    ]
    refused = [assess(settings, claimed) for settings, claimed in claims]
    assert {one.verdict for one in refused} == {Verdict.REFUSED}
    assert len({one.rule for one in refused}) == len({str(one.sentence) for one in refused}) == len(claims)
    assert not [one for one in refused if "example" in str(one.sentence) or "bob" in str(one.sentence)]
