"""OpenID Connect: the relying party, its checks, and the evidence for an address."""

from service.openid.errors import ProviderUnavailable, SignInFailed
from service.openid.evidence import Evidence, Remedy, Verdict, assess
from service.openid.relying_party import AuthorizationRequest, Identity, ProviderLabel, RelyingParty, provider_label

__all__ = [
    "AuthorizationRequest",
    "Evidence",
    "Identity",
    "ProviderLabel",
    "ProviderUnavailable",
    "RelyingParty",
    "Remedy",
    "SignInFailed",
    "Verdict",
    "assess",
    "provider_label",
]
