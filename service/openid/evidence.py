"""Evidence for an address: the rules for the email claims of each kind of provider.

A provider is authoritative for the address, or verified it once without running the mailbox (third party), or does not verify it
(refused). Another module compares the address with the invited one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from service.addresses import Address, AddressInvalid, canonical, domain_of
from service.flow_sentences import flow_sentence
from service.languages import Sentence
from service.openid.issuer import tenant_allowed
from service.openid.microsoft_domains import MAILBOX_DOMAINS
from service.settings import ProviderSettings
from service.settings.rules import PERSONAL_TENANT

_GMAIL_DOMAINS: Final = {"gmail.com", "googlemail.com"}
_VERIFIED_EMAIL_CLAIMS: Final = ("verified_primary_email", "verified_secondary_email")
_ABSENT: Final = object()

# xms_edov is documented as a Boolean, and occurs in these encodings. Both type and value count, because 1 == True in Python.
_EDOV_TRUE: Final = (True, 1, "1", "true")
_EDOV_FALSE: Final = (False, 0, "0", "false")


class Verdict(StrEnum):
    """The result: accept, require a code from the mailbox, or refuse."""

    AUTHORITATIVE = "authoritative"
    THIRD_PARTY = "third_party"
    REFUSED = "refused"


class Remedy(StrEnum):
    """The party that can fix a refusal."""

    OPERATOR = "operator"
    TENANT = "tenant"
    PERSON = "person"


@dataclass(frozen=True, slots=True)
class Evidence:
    """The verdict and its rule, a stable word of the audit. A refusal also has a sentence for the person and a remedy."""

    verdict: Verdict
    rule: str
    sentence: Sentence | None = None
    remedy: Remedy | None = None


_REMEDIES: Final = {
    "email_absent": Remedy.PERSON,
    "address_invalid": Remedy.PERSON,
    "email_unverified": Remedy.PERSON,
    "email_verified_absent": Remedy.OPERATOR,
    "email_verified_unreadable": Remedy.OPERATOR,
    "domain_not_listed": Remedy.OPERATOR,
    "domains_not_configured": Remedy.OPERATOR,
    "third_party_refused": Remedy.PERSON,
    "tenant_not_allowed": Remedy.OPERATOR,
    "edov_absent": Remedy.OPERATOR,
    "edov_false": Remedy.TENANT,
    "edov_unreadable": Remedy.OPERATOR,
}


def assess(provider: ProviderSettings, claims: Mapping[str, Any]) -> Evidence:
    """Applies a provider's rules to the address in verified claims.

    Only `email` counts: the owner of an account chooses preferred_username, upn and unique_name freely (H030).
    """
    email = claims.get("email")
    if not isinstance(email, str) or not email:
        return _refusal("email_absent")
    try:
        address = canonical(email)
    except AddressInvalid:
        return _refusal("address_invalid")
    rules = {"google": _google, "microsoft": _microsoft, "oidc": _oidc}
    return rules[provider.kind](provider, claims, address)


def _google(provider: ProviderSettings, claims: Mapping[str, Any], address: Address) -> Evidence:
    """Google runs the mailboxes of Gmail and Workspace. It verified any other address once (H025)."""
    verified = claims.get("email_verified", _ABSENT)
    if verified is not True:
        return _unverified(verified)
    if domain_of(address) in _GMAIL_DOMAINS:
        return _authoritative("google_gmail")
    if isinstance(claims.get("hd"), str) and claims["hd"]:
        return _authoritative("google_hosted_domain")
    return _third_party(provider, "google")


def _microsoft(provider: ProviderSettings, claims: Mapping[str, Any], address: Address) -> Evidence:
    tenant = claims.get("tid")
    if not tenant_allowed(provider.tenants, tenant):
        return _refusal("tenant_not_allowed")
    if tenant == PERSONAL_TENANT:
        return _microsoft_personal(provider, address)
    return _microsoft_work(provider, claims, address)


def _microsoft_personal(provider: ProviderSettings, address: Address) -> Evidence:
    """Microsoft runs the mailboxes of its own domains, and verified any other address once.

    Domains are compared whole, because anyone can register live.xyz (H187).
    """
    if domain_of(address) in MAILBOX_DOMAINS:
        return _authoritative("microsoft_mailbox")
    return _third_party(provider, "microsoft_personal")


def _microsoft_work(provider: ProviderSettings, claims: Mapping[str, Any], address: Address) -> Evidence:
    """The owner of a tenant can write any address into `email` (nOAuth, H027).

    Only the proof that the tenant verified the domain counts. A denied proof refuses the address in any case (H028).
    """
    edov = claims.get("xms_edov")
    if _is_one_of(edov, _EDOV_TRUE):
        return _authoritative("microsoft_edov")
    if _is_one_of(edov, _EDOV_FALSE):
        return _refusal("edov_false")
    if edov is not None:
        return _refusal("edov_unreadable")
    if _is_verified_email(claims, address):
        return _authoritative("microsoft_verified_email")
    if provider.trust_tenant_addresses and _is_one_pinned_tenant(provider.tenants):
        return _authoritative("microsoft_tenant_trusted_by_operator")
    return _refusal("edov_absent")


def _oidc(provider: ProviderSettings, claims: Mapping[str, Any], address: Address) -> Evidence:
    """A generic issuer counts only for the domains that the operator listed (H044)."""
    if not provider.email_domains:
        return _refusal("domains_not_configured")
    if "*" not in provider.email_domains and domain_of(address) not in provider.email_domains:
        return _refusal("domain_not_listed")
    verified = claims.get("email_verified", _ABSENT)
    if _is_one_of(verified, provider.email_verified_values):
        return _authoritative("oidc_verified")
    if verified in (_ABSENT, None) and provider.trust_addresses and "*" not in provider.email_domains:
        return _authoritative("oidc_addresses_trusted_by_operator")
    return _unverified(verified)


def _third_party(provider: ProviderSettings, kind: str) -> Evidence:
    """The operator's THIRD_PARTY_ADDRESSES decides. The default is a code to the mailbox."""
    if provider.third_party_addresses == "trust":
        return _authoritative(f"{kind}_third_party_trusted_by_operator")
    if provider.third_party_addresses == "refuse":
        return _refusal("third_party_refused")
    return Evidence(Verdict.THIRD_PARTY, f"{kind}_third_party")


def _unverified(verified: Any) -> Evidence:
    """An absent value is unverified (H023), and so is every value except true: "false" is truthy (H022)."""
    if verified is _ABSENT or verified is None:
        return _refusal("email_verified_absent")
    return _refusal("email_unverified" if verified is False else "email_verified_unreadable")


def _authoritative(rule: str) -> Evidence:
    return Evidence(Verdict.AUTHORITATIVE, rule)


def _refusal(rule: str) -> Evidence:
    return Evidence(Verdict.REFUSED, rule, flow_sentence(rule.upper()), _REMEDIES[rule])


def _is_one_of(value: Any, accepted: tuple[Any, ...]) -> bool:
    return any(type(value) is type(one) and value == one for one in accepted)


def _is_verified_email(claims: Mapping[str, Any], address: Address) -> bool:
    """Whether verified_primary_email or verified_secondary_email, optional claims of Microsoft, contain the address.

    They list the addresses for which the tenant is authoritative.
    """
    for name in _VERIFIED_EMAIL_CLAIMS:
        claim = claims.get(name)
        texts = claim if isinstance(claim, list) else [claim]
        if any(_is_same(text, address) for text in texts):
            return True
    return False


def _is_same(text: Any, address: Address) -> bool:
    try:
        return isinstance(text, str) and canonical(text) == address
    except AddressInvalid:
        return False


def _is_one_pinned_tenant(tenants: tuple[str, ...] | None) -> bool:
    return tenants is not None and len(tenants) == 1 and tenants[0] not in {"*", "consumers"}
