"""What a provider's word about an address is worth: the email claim policy, one row after the other.

Three verdicts: the provider is authoritative for the address; or it checked it once but does not run the mailbox
(third-party); or it does not vouch for it (refused). Whether the address is the invited one is not asked here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from service.addresses import Address, AddressInvalid, canonical, domain_of
from service.flow_sentences import flow_sentence
from service.languages import Sentence
from service.openid.issuer import PERSONAL_TENANT, tenant_allowed
from service.openid.microsoft_domains import MAILBOX_DOMAINS
from service.settings import ProviderSettings

_GOOGLES: Final = {"gmail.com", "googlemail.com"}
_VERIFIED_EMAIL_CLAIMS: Final = ("verified_primary_email", "verified_secondary_email")
_ABSENT: Final = object()

# xms_edov is documented as a Boolean and seen in these encodings; type and value are compared, since 1 == True here.
_EDOV_TRUE: Final = (True, 1, "1", "true")
_EDOV_FALSE: Final = (False, 0, "0", "false")


class Verdict(StrEnum):
    """What comes of it: accept, ask the mailbox for a code, or refuse."""

    AUTHORITATIVE = "authoritative"
    THIRD_PARTY = "third_party"
    REFUSED = "refused"


class Remedy(StrEnum):
    """Who can mend a refusal."""

    OPERATOR = "operator"
    TENANT = "tenant"
    PERSON = "person"


@dataclass(frozen=True, slots=True)
class Evidence:
    """The verdict, the rule that gave it (a stable word of the audit), and for a refusal the person's sentence and who
    can mend it.
    """

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
    """The verdict of a provider's rules on the address in verified claims. No other claim stands in for `email`:
    preferred_username, upn and unique_name are whatever their owner typed (H030).
    """
    email = claims.get("email")
    if not isinstance(email, str) or not email:
        return _refused("email_absent")
    try:
        address = canonical(email)
    except AddressInvalid:
        return _refused("address_invalid")
    rules = {"google": _google, "microsoft": _microsoft, "oidc": _oidc}
    return rules[provider.kind](provider, claims, address)


def _google(provider: ProviderSettings, claims: Mapping[str, Any], address: Address) -> Evidence:
    """Google runs the mailboxes of Gmail and Workspace. A Google account on any other address proved it once (H025)."""
    verified = claims.get("email_verified", _ABSENT)
    if verified is not True:
        return _unverified(verified)
    if domain_of(address) in _GOOGLES:
        return _authoritative("google_gmail")
    if isinstance(claims.get("hd"), str) and claims["hd"]:
        return _authoritative("google_hosted_domain")
    return _third_party(provider, "google")


def _microsoft(provider: ProviderSettings, claims: Mapping[str, Any], address: Address) -> Evidence:
    tenant = claims.get("tid")
    if not tenant_allowed(provider.tenants, tenant):
        return _refused("tenant_not_allowed")
    if tenant == PERSONAL_TENANT:
        return _microsoft_personal(provider, address)
    return _microsoft_work(provider, claims, address)


def _microsoft_personal(provider: ProviderSettings, address: Address) -> Evidence:
    """Microsoft runs the mailboxes of its own domains, which are compared whole: anybody can register live.xyz (H187).
    A personal account on another address proved it once.
    """
    if domain_of(address) in MAILBOX_DOMAINS:
        return _authoritative("microsoft_mailbox")
    return _third_party(provider, "microsoft_personal")


def _microsoft_work(provider: ProviderSettings, claims: Mapping[str, Any], address: Address) -> Evidence:
    """Any tenant's owner can write any address into `email` (nOAuth, H027): only the proof that the domain is verified
    in that tenant counts. What a tenant denies is refused, whatever else would speak for it (H028).
    """
    edov = claims.get("xms_edov")
    if _is_one_of(edov, _EDOV_TRUE):
        return _authoritative("microsoft_edov")
    if _is_one_of(edov, _EDOV_FALSE):
        return _refused("edov_false")
    if edov is not None:
        return _refused("edov_unreadable")
    if _is_verified_email(claims, address):
        return _authoritative("microsoft_verified_email")
    if provider.trust_tenant_addresses and _is_one_pinned_tenant(provider.tenants):
        return _authoritative("microsoft_tenant_trusted_by_operator")
    return _refused("edov_absent")


def _oidc(provider: ProviderSettings, claims: Mapping[str, Any], address: Address) -> Evidence:
    """A generic issuer speaks for the domains that the operator listed, and for no others (H044)."""
    if not provider.email_domains:
        return _refused("domains_not_configured")
    if "*" not in provider.email_domains and domain_of(address) not in provider.email_domains:
        return _refused("domain_not_listed")
    verified = claims.get("email_verified", _ABSENT)
    if _is_one_of(verified, provider.email_verified_values):
        return _authoritative("oidc_verified")
    if verified in (_ABSENT, None) and provider.trust_addresses and "*" not in provider.email_domains:
        return _authoritative("oidc_addresses_trusted_by_operator")
    return _unverified(verified)


def _third_party(provider: ProviderSettings, kind: str) -> Evidence:
    """The operator's THIRD_PARTY_ADDRESSES decides: a code to the mailbox unless said otherwise."""
    if provider.third_party_addresses == "trust":
        return _authoritative(f"{kind}_third_party_trusted_by_operator")
    if provider.third_party_addresses == "refuse":
        return _refused("third_party_refused")
    return Evidence(Verdict.THIRD_PARTY, f"{kind}_third_party")


def _unverified(verified: Any) -> Evidence:
    """Absent is unverified (H023), and so is whatever is not exactly true: "false" is truthy (H022)."""
    if verified is _ABSENT or verified is None:
        return _refused("email_verified_absent")
    return _refused("email_unverified" if verified is False else "email_verified_unreadable")


def _authoritative(rule: str) -> Evidence:
    return Evidence(Verdict.AUTHORITATIVE, rule)


def _refused(rule: str) -> Evidence:
    return Evidence(Verdict.REFUSED, rule, flow_sentence(rule.upper()), _REMEDIES[rule])


def _is_one_of(value: Any, wanted: tuple[Any, ...]) -> bool:
    return any(type(value) is type(one) and value == one for one in wanted)


def _is_verified_email(claims: Mapping[str, Any], address: Address) -> bool:
    """Microsoft's optional claims verified_primary_email and verified_secondary_email list the addresses that the tenant
    is authoritative for.
    """
    for name in _VERIFIED_EMAIL_CLAIMS:
        listed = claims.get(name)
        texts = listed if isinstance(listed, list) else [listed]
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
