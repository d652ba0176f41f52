"""A provider's discovery document, and its checks (OpenID Connect Discovery 1.0 section 3)."""

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import httpx2

from service.openid.errors import ProviderUnavailable
from service.openid.issuer import Issuer, on_loopback

_KNOWN_HOSTS: Final = {
    "google": {"accounts.google.com", "oauth2.googleapis.com", "www.googleapis.com", "openidconnect.googleapis.com"},
    "microsoft": {"login.microsoftonline.com", "graph.microsoft.com"},
    "oidc": set[str](),
}


@dataclass(frozen=True, slots=True)
class Metadata:
    """The used members of a discovery document."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None
    names_itself_in_responses: bool
    prompts: frozenset[str]
    token_endpoint_auth_methods: frozenset[str]


def read_metadata(document: dict[str, Any], issuer: Issuer, endpoint_hosts: tuple[str, ...]) -> Metadata:
    """Reads a discovery document.

    Raises ProviderUnavailable, with a detail for the operator, when the document belongs to another issuer, or names an endpoint
    on a host that is not configured.
    """
    named = document.get("issuer")
    if not issuer.accepts_metadata(named):
        raise ProviderUnavailable(
            "discovery_issuer_mismatch",
            detail=f"The discovery document at {issuer.discovery_url} is of issuer {_quoted(named)};"
            f" {issuer.configured!r} is configured, and the two must be equal.",
        )
    endpoints = _Endpoints(document, issuer, endpoint_hosts)
    return Metadata(
        issuer=str(named),
        authorization_endpoint=endpoints.required("authorization_endpoint"),
        token_endpoint=endpoints.required("token_endpoint"),
        jwks_uri=endpoints.required("jwks_uri"),
        userinfo_endpoint=endpoints.optional("userinfo_endpoint"),
        names_itself_in_responses=document.get("authorization_response_iss_parameter_supported") is True,
        prompts=frozenset(_texts(document.get("prompt_values_supported"))),
        token_endpoint_auth_methods=frozenset(_texts(document.get("token_endpoint_auth_methods_supported"))),
    )


class _Endpoints:
    """The endpoints of a document, each on an allowed host."""

    def __init__(self, document: dict[str, Any], issuer: Issuer, endpoint_hosts: tuple[str, ...]) -> None:
        self._document = document
        self._issuer = issuer
        self._hosts = {host.lower() for host in endpoint_hosts} | _KNOWN_HOSTS[issuer.kind]

    def optional(self, name: str) -> str | None:
        return None if self._document.get(name) is None else self.required(name)

    def required(self, name: str) -> str:
        url = self._document.get(name)
        if not isinstance(url, str) or not self._is_allowed(url):
            raise ProviderUnavailable(
                "discovery_endpoint_refused",
                detail=f"The discovery document's {name} is {_quoted(url)}: expected an https URL on the issuer's host,"
                f" or on one of ENDPOINT_HOSTS ({', '.join(sorted(self._hosts)) or 'none'}).",
            )
        return url

    def _is_allowed(self, url: str) -> bool:
        """Whether an endpoint is on an allowed host. Any other host would receive the person, the code and the client secret."""
        parts, issuer = _split(url), _split(self._issuer.configured)
        if parts is None or issuer is None or parts.fragment or "@" in parts.netloc:
            return False
        if _origin(parts) == _origin(issuer):
            return parts.scheme == "https" or self._issuer.on_loopback
        return self._is_listed(parts) and (parts.scheme == "https" or (self._issuer.on_loopback and on_loopback(url)))

    def _is_listed(self, parts: SplitResult) -> bool:
        """Whether ENDPOINT_HOSTS lists the host: alone for https on port 443, or with its port."""
        usual = parts.port in {None, 443} or parts.scheme == "http"
        return parts.netloc.lower() in self._hosts or (usual and parts.hostname in self._hosts)


def _split(url: str) -> SplitResult | None:
    """The parts of a URL; None where the HTTP client parses it differently, which could bypass the list of hosts."""
    try:
        parts = urlsplit(url)
        same = httpx2.URL(url).host == (parts.hostname or "").strip("[]") and parts.port != 0
    except (httpx2.InvalidURL, ValueError):
        return None
    return parts if same and url.isascii() and url.isprintable() and "\\" not in url and " " not in url else None


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme)


def _texts(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _quoted(value: Any) -> str:
    """A foreign value as short text on one line, for the operator (H157)."""
    return repr(value)[:200] if isinstance(value, str) else "missing" if value is None else "no text"
