"""OpenID Connect: the relying party, its checks, and what a provider's word about an address is worth."""

from service.openid.evidence import Evidence, Remedy, Verdict, assess
from service.openid.failures import ProviderUnavailable, SignInFailed
from service.openid.relying_party import Identity, ProviderLabel, RelyingParty, Started, provider_label

__all__ = [
    "Evidence",
    "Identity",
    "ProviderLabel",
    "ProviderUnavailable",
    "RelyingParty",
    "Remedy",
    "SignInFailed",
    "Started",
    "Verdict",
    "assess",
    "provider_label",
]
