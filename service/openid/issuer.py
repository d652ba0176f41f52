"""The issuer of a provider, and the names that it may use.

Issuers are compared byte for byte (OpenID Connect Core 3.1.3.7, H052). Microsoft Entra is the exception: its discovery document
names a template with `{tenantid}`, and every token contains its own tenant's id there. The template must be the configured one,
and the tenant an allowed one (H031).
"""

import re
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from service.flow_sentences import flow_sentence
from service.openid.errors import SignInFailed
from service.settings import ProviderSettings
from service.settings.origins import LOOPBACK_NAMES
from service.settings.rules import PERSONAL_TENANT

GOOGLE_ISSUER: Final = "https://accounts.google.com"
MICROSOFT_ISSUER: Final = "https://login.microsoftonline.com/{tenantid}/v2.0"

_TEMPLATE: Final = "{tenantid}"
_ALIASES: Final = ("common", "organizations", "consumers")
_TENANT_ID = re.compile(r"[0-9A-Za-z.-]{1,64}")
_VERSION: Final = "/v2.0"
_SLASHES_OF_AN_ORIGIN: Final = 2
_WELL_KNOWN: Final = "/.well-known/openid-configuration"


def on_loopback(url: str) -> bool:
    """Whether a URL is plain http to this machine. Only the exact names count, because an issuer is compared as a string."""
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname in LOOPBACK_NAMES


def tenant_allowed(tenants: tuple[str, ...] | None, tenant: Any) -> bool:
    """Whether TENANTS allows a tenant: `*` allows all, and `consumers` that of personal accounts."""
    if not isinstance(tenant, str) or not _TENANT_ID.fullmatch(tenant) or tenant in _ALIASES:
        return False
    return "*" in (tenants or ()) or tenant in _tenant_ids(tenants)


def _tenant_ids(tenants: tuple[str, ...] | None) -> set[str]:
    return {PERSONAL_TENANT if tenant == "consumers" else tenant.lower() for tenant in tenants or () if tenant != "*"}


@dataclass(frozen=True, slots=True)
class Issuer:
    """The issuer of one provider, as the operator configured it."""

    kind: Literal["google", "microsoft", "oidc"]
    configured: str
    tenants: tuple[str, ...] | None
    configured_discovery_url: str | None = None

    @classmethod
    def from_settings(cls, provider: ProviderSettings) -> "Issuer":
        known = {"google": GOOGLE_ISSUER, "microsoft": MICROSOFT_ISSUER}
        configured = provider.issuer or known.get(provider.kind, "")
        if provider.kind == "microsoft":
            configured = configured.replace("{tenant}", _TEMPLATE)
        return cls(provider.kind, configured, provider.tenants, provider.discovery_url)

    @property
    def discovery_url(self) -> str:
        """DISCOVERY_URL, or else the issuer without a trailing slash and the well-known path (Discovery 1.0 section 4)."""
        return (
            self.configured_discovery_url
            or self.configured.replace(_TEMPLATE, self._authority).rstrip("/") + _WELL_KNOWN
        )

    @property
    def on_loopback(self) -> bool:
        """Whether the issuer may use plain http: it belongs to a test or to development, on this machine."""
        return on_loopback(self.configured)

    def accepts_metadata(self, named: Any) -> bool:
        """Whether a discovery document may name this issuer (H052)."""
        if named == self.configured:
            return True
        return self.kind == "microsoft" and isinstance(named, str) and named in self._tenant_names()

    def check_token(self, named: str, claims: dict[str, Any]) -> None:
        """Raises SignInFailed unless `iss` is the issuer that the discovery document named, for an allowed tenant."""
        if self.kind == "microsoft":
            self._check_tenant(named, claims)
        elif claims.get("iss") != named:
            # A token of another issuer does not count, even with a valid signature.
            raise SignInFailed("issuer_mismatch")

    def accepts_response(self, named: str, iss: str) -> bool:
        """Whether the authorization response may name this issuer (RFC 9207 section 2.4).

        It may name the issuer of the discovery document, or an allowed tenant of its template. A later check compares it with
        the tenant of the ID token.
        """
        if iss == named:
            return True
        tenant = _Shape.parse(iss).tenant
        return self.kind == "microsoft" and iss in _names_of(named, tenant) and tenant_allowed(self.tenants, tenant)

    def _check_tenant(self, named: str, claims: dict[str, Any]) -> None:
        iss, tenant = claims.get("iss"), claims.get("tid")
        if not isinstance(iss, str) or not isinstance(tenant, str):
            raise SignInFailed("issuer_mismatch" if isinstance(tenant, str) else "tenant_missing")
        if not _TENANT_ID.fullmatch(tenant) or iss not in _names_of(named, tenant):
            # A token of one tenant under the name of another, or the literal template.
            raise SignInFailed("issuer_mismatch")
        if not tenant_allowed(self.tenants, tenant) or not self._is_within(tenant):
            raise SignInFailed("tenant_not_allowed", flow_sentence("TENANT_NOT_ALLOWED"))

    def _is_within(self, tenant: str) -> bool:
        """Whether the issuer covers a tenant. An issuer that is configured for one tenant covers no other."""
        pinned = _Shape.parse(self.configured).tenant
        return not _TENANT_ID.fullmatch(pinned) or pinned in _ALIASES or pinned == tenant

    @property
    def _authority(self) -> str:
        """The narrowest sign-in page at Microsoft that covers all allowed tenants."""
        allowed = _tenant_ids(self.tenants)
        if "*" in (self.tenants or ()) or (len(allowed) > 1 and PERSONAL_TENANT in allowed):
            return "common"
        if allowed == {PERSONAL_TENANT}:
            return "consumers"
        return next(iter(allowed)) if len(allowed) == 1 else "organizations"

    def _tenant_names(self) -> set[str]:
        """The issuers that a Microsoft discovery document may name: the template, or that of an allowed tenant."""
        shape = _Shape.parse(self.configured)
        if not shape.tenant:
            return {f"{self.configured.rstrip('/')}/{_TEMPLATE}{_VERSION}"}
        return {shape.issuer_of(tenant) for tenant in (_TEMPLATE, *_tenant_ids(self.tenants))}


@dataclass(frozen=True, slots=True)
class _Shape:
    """The parts of a Microsoft issuer, `PREFIX/TENANT/v2.0`. The tenant is empty for any other issuer."""

    prefix: str
    tenant: str

    @classmethod
    def parse(cls, issuer: str) -> "_Shape":
        prefix, _, tenant = issuer.removesuffix(_VERSION).rpartition("/")
        is_microsofts = issuer.endswith(_VERSION) and prefix.count("/") >= _SLASHES_OF_AN_ORIGIN
        return cls(prefix, tenant if is_microsofts else "")

    def issuer_of(self, tenant: str) -> str:
        return f"{self.prefix}/{tenant}{_VERSION}"


def _names_of(named: str, tenant: str) -> set[str]:
    """The values of `iss` for a tenant. A template in the name is replaced by the tenant (H031)."""
    shape = _Shape.parse(named)
    if shape.tenant == _TEMPLATE:
        return {shape.issuer_of(tenant)}
    if shape.tenant in _ALIASES:
        return {shape.issuer_of(tenant), named}
    return {named} if shape.tenant in {"", tenant} else set()
