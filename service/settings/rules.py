"""Rules for single settings. Each error names the problem and the expected value, without secrets."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, parse_qs, urlsplit

import idna
from email_validator import EmailNotValidError, validate_email
from pydantic import SecretStr
from pydantic_core import PydanticCustomError

from service.private_keys import KeyUnreadable, read_private_key
from service.settings.origins import HOST, host_of, is_loopback, normal_origin

_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_LIMIT: Final = re.compile(r"([1-9][0-9]{0,6})/([1-9][0-9]{0,4})([smhd])")
_LONGEST_PERIOD: Final = timedelta(days=31)
_ENDPOINT_HOST: Final = re.compile(rf"{HOST.pattern}(:[0-9]{{1,5}})?")
_TENANT: Final = re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}")
_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6749 section 3.3
_TOPIC: Final = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}(\.fifo)?")
_SENDER: Final = re.compile(r'(?:(?:"[^"\\\x00-\x1f]*"|[^<>"@,;:\\\x00-\x1f]*)\s*<([^<>\s]+)>|([^<>\s]+))')
UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
PERSONAL_TENANT: Final = "9188040d-6c67-4c5b-b112-36a304b66dad"  # the tenant of all personal Microsoft accounts
AN_ORIGIN: Final = "an origin such as https://id.example.com: no path, query, fragment, user or wildcard"

Contradiction = tuple[str | None, str, str]
"""The field, the problem and the expected value. The field is None where pydantic adds it."""


def rule_error(problem: str, expected: str) -> PydanticCustomError:
    return setting_error([(None, problem, expected)])


def setting_error(found: Sequence[Contradiction]) -> PydanticCustomError:
    text = "; ".join(
        " ".join(filter(None, (field, f"{problem}: expected {expected}"))) for field, problem, expected in found
    )
    return PydanticCustomError("setting", "{text}", {"text": text, "found": list(found)})


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `count` times in a period."""

    count: int
    period: timedelta

    def __str__(self) -> str:
        """The limit as an operator writes it: 300/1d."""
        seconds = int(self.period.total_seconds())
        for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60)):
            if seconds % length == 0:
                return f"{self.count}/{seconds // length}{unit}"
        return f"{self.count}/{seconds}s"


def rate_limit_of(value: object) -> object:
    if not isinstance(value, str):
        return value
    if value.strip().lower() == "off":
        return None
    match = _LIMIT.fullmatch(value.strip().lower())
    expected = "count/period, such as 300/1d (30s, 1m, 1h, 1d; at most 31d), or off"
    if match is None:
        raise rule_error(f"is {quoted(value)}", expected)
    period = timedelta(**{_UNITS[match[3]]: int(match[2])})
    if period > _LONGEST_PERIOD:
        raise rule_error("has too long a period", expected)
    return RateLimit(int(match[1]), period)


def quoted(value: object) -> str:
    """The value as text, unless it is long or could contain a password."""
    text = json.dumps(value, ensure_ascii=True, default=str)
    is_harmless = len(text) <= 40 and "@" not in text and "://" not in text  # noqa: PLR2004 -- a glance
    return text if is_harmless else "a value that is not understood"


def parse_list(value: object) -> object:
    """A list from the environment: JSON, or items separated by commas."""
    if not isinstance(value, str):
        return value
    if not value.lstrip().startswith("["):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    try:
        return json.loads(value)
    except ValueError:
        raise rule_error("is broken JSON", 'a list such as ["a", "b"], or a,b') from None


def scope_list(value: object) -> object:
    spaced = isinstance(value, str) and not value.lstrip().startswith("[")
    return parse_list(",".join(str(value).split())) if spaced else parse_list(value)


def served_origin(text: str) -> str:
    origin = normal_origin(text)
    if origin is None:
        raise rule_error("is no origin", AN_ORIGIN)
    if origin.startswith("http://") and not is_loopback(host_of(origin)):
        raise rule_error(
            "is http beyond loopback", "https (http only on localhost, *.localhost, 127.0.0.0/8 and [::1])"
        )
    return origin


def database_url(url: SecretStr) -> SecretStr:
    expected = "sqlite://FILE or postgres://user:pass@host/db, with %-encoding for odd characters in the password"
    parts = _split(url.get_secret_value(), expected)
    if parts.scheme not in {"sqlite", "postgres", "postgresql"}:
        raise rule_error("has an unknown scheme", expected)
    if parts.scheme == "sqlite" and not parts.netloc + parts.path.strip("/"):
        raise rule_error("names no file", expected)
    if parts.scheme != "sqlite" and not (parts.path.strip("/") and (parts.hostname or "host" in parse_qs(parts.query))):
        raise rule_error("names no host or no database", expected)
    return _with_lower_scheme(url, parts.scheme)


def mail_url(url: SecretStr) -> SecretStr:
    expected = "ses://REGION[?configuration_set=NAME], smtp://user:pass@host:port or smtps://user:pass@host:port"
    parts = _split(url.get_secret_value(), expected)
    if parts.scheme not in {"ses", "smtp", "smtps", "mailbox"}:
        raise rule_error("has an unknown scheme", expected)
    if parts.scheme != "mailbox" and not parts.hostname:
        raise rule_error("names no region" if parts.scheme == "ses" else "names no host", expected)
    return _with_lower_scheme(url, parts.scheme)


def _with_lower_scheme(url: SecretStr, scheme: str) -> SecretStr:
    """The URL with its scheme in lower case."""
    return SecretStr(f"{scheme}:{url.get_secret_value().strip().partition(':')[2]}")


def _split(url: str, expected: str) -> SplitResult:
    try:
        parts = urlsplit(url.strip())
        if not 0 <= (parts.port or 0) <= 65_535 or UNPRINTABLE.search(url):  # noqa: PLR2004 -- the last port there is
            raise ValueError  # noqa: TRY301 -- the same refusal as urlsplit's own
    except ValueError:
        raise rule_error("is no URL", expected) from None
    return parts


def sender(text: str) -> str:
    expected = "an address, such as Guestlist <no-reply@example.com>"
    match = _SENDER.fullmatch(text.strip())
    if match is None or UNPRINTABLE.search(text):
        raise rule_error("is not understood", expected)
    try:
        # A sender in a private network is fine, so only the syntax of the domain counts.
        validate_email(
            match[1] or match[2], check_deliverability=False, globally_deliverable=False, allow_smtputf8=False
        )
    except EmailNotValidError:
        raise rule_error("has no valid address", expected) from None
    return text.strip()


def proxy(value: object) -> IPv4Network | IPv6Network:
    try:
        network = ip_network(str(value))
    except ValueError:
        raise rule_error(
            f"lists {quoted(value)}", "addresses and networks, such as 10.0.0.0/8, without host bits"
        ) from None
    if network.prefixlen == 0:
        # H137: when every address is a proxy, every client writes its own X-Forwarded-For.
        raise rule_error("lists every address", "the proxies' own addresses: otherwise clients could name any address")
    return network


def topic(arn: str) -> str:
    if not _TOPIC.fullmatch(arn):
        raise rule_error(f"lists {quoted(arn)}", "ARNs such as arn:aws:sns:eu-central-1:123456789012:guestlist")
    return arn


def issuer(url: str) -> str:
    """The issuer, unchanged: OpenID Connect compares it byte for byte, including a trailing slash.

    The address of a discovery document stands for its issuer (OpenID Connect Discovery section 4).
    """
    expected = "an https URL without query, fragment or user (http only on loopback), such as https://login.example.com"
    return _provider_url(url, r"[?#\\\s]", expected).removesuffix("/.well-known/openid-configuration")


def discovery_url(url: str) -> str:
    """The address of a discovery document. It may have a query, as Microsoft Entra's has with claims mapping."""
    return _provider_url(
        url, r"[#\\\s]", "an https URL without fragment or user (http only on loopback), with its whole path"
    )


def _provider_url(url: str, refused: str, expected: str) -> str:
    parts = _split(url, expected)
    origin = normal_origin(f"{parts.scheme}://{parts.netloc}")
    if origin is None or re.search(refused, url):
        raise rule_error("is not understood", expected)
    if origin.startswith("http://") and not is_loopback(host_of(origin)):
        raise rule_error("is http beyond loopback", expected)
    return url


def private_key_file(path: Path) -> Path:
    try:
        read_private_key(path)
    except KeyUnreadable as error:
        raise rule_error(str(error), "a file with a private key (RSA, EC or Ed25519) as PEM or JWK") from None
    return path


def email_domains(domains: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if domains is None:
        return None
    if "*" in domains and len(domains) > 1:
        raise rule_error("lists * with other domains", 'domains, or ["*"] alone for any')
    return tuple(dict.fromkeys("*" if domain == "*" else _email_domain(domain) for domain in domains))


def _email_domain(domain: str) -> str:
    try:
        label = idna.encode(domain.strip().lower(), uts46=True).decode()
    except idna.IDNAError:
        raise rule_error(f"lists {quoted(domain)}", "domains such as example.com, each by its full name") from None
    if label.endswith(".") or ("." not in label and not is_loopback(label)):
        raise rule_error(f"lists {quoted(domain)}", "domains such as example.com, each by its full name")
    return label


def tenants(tenants: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if tenants is None:
        return None
    if "*" in tenants and len(tenants) > 1:
        raise rule_error("lists * with other tenants", "tenant ids, or * alone for any")
    return tuple(dict.fromkeys(map(_tenant, tenants)))


def _tenant(text: str) -> str:
    tenant = text.strip().lower()
    if tenant in {"*", "consumers"}:
        return tenant
    if not is_tenant_id(tenant):
        # The domain names of a tenant can move to another tenant, but not its id.
        raise rule_error(f"lists {quoted(text)}", "tenant ids (GUIDs, not domain names), consumers, or *")
    return "consumers" if tenant == PERSONAL_TENANT else tenant


def is_tenant_id(tenant: str) -> bool:
    return _TENANT.fullmatch(tenant) is not None


def verified_values(value: object) -> object:
    expected = 'a JSON list such as [true, "true"]'
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise rule_error("is no JSON", expected) from None
    if not isinstance(value, list | tuple) or not value:
        raise rule_error("is no list, or an empty one", expected)
    if any(str(item).strip().lower() in {"", "0", "false", "no", "null", "none"} for item in value):
        raise rule_error("lists a value that says that the address is not verified", expected)
    return tuple(value)


def scopes(scopes: tuple[str, ...]) -> tuple[str, ...]:
    if not {"openid", "email"} <= set(scopes) or not all(map(_SCOPE.fullmatch, scopes)):
        raise rule_error("lacks openid or email, or lists something else", "scopes such as openid email profile")
    return tuple(dict.fromkeys(scopes))


def endpoint_host(host: str) -> str:
    normal = host.strip().lower()
    if not _ENDPOINT_HOST.fullmatch(normal):
        raise rule_error(f"lists {quoted(host)}", "hosts such as oauth2.example.com, without scheme or path")
    return normal


def label(text: str) -> str:
    if not 0 < len(text.strip()) <= 60 or UNPRINTABLE.search(text):  # noqa: PLR2004 -- as much as a button holds
        raise rule_error("is empty, too long or not printable", "1 to 60 characters for a button")
    return text.strip()


def lower(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


def nonempty(value: str) -> str:
    if not value.strip():
        raise rule_error("is empty", "the value that the provider gave")
    return value


def nonempty_secret(value: SecretStr) -> SecretStr:
    nonempty(value.get_secret_value())
    return value
