"""Origins in the form that browsers send, their sites, and loopback."""

import re
from functools import cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final
from urllib.parse import urlsplit

import idna
from publicsuffixlist import PublicSuffixList

_ORIGIN: Final = re.compile(r"(https?)://(\[[0-9a-f:.]+\]|[^\x00-\x20/:?#@\[\]\\{}]+)(?::([0-9]{1,5}))?/?")
HOST: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*")

LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})
"""The names of this machine that a Host header may have in development, and the host of an http issuer."""


def is_loopback(host: str) -> bool:
    """Returns whether a host without brackets is localhost, *.localhost (RFC 6761 section 6.3), 127.0.0.0/8 or ::1."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    address = _ip(host)
    return address is not None and address.is_loopback


def _ip(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def normal_origin(text: str) -> str | None:
    """An origin in the form that a browser sends (RFC 6454 section 6.2): lower case, A-labels, no default port.

    None for other texts. One trailing slash is ignored, because people copy addresses from browsers.
    """
    match = _ORIGIN.fullmatch(text.strip().lower())
    if match is None:
        return None
    scheme, host, port = match[1], _normal_host(match[2]), int(match[3] or 0)
    if host is None or not (port or match[3] is None) or port > 65_535:  # noqa: PLR2004 -- the last port there is
        return None
    return f"{scheme}://{host}" if port in {0, {"http": 80, "https": 443}[scheme]} else f"{scheme}://{host}:{port}"


def _normal_host(host: str) -> str | None:
    if host.startswith("["):
        address = _ip(host[1:-1])
        return f"[{address}]" if isinstance(address, IPv6Address) else None
    try:
        label = host if host.isascii() else idna.encode(host, uts46=True).decode()
    except idna.IDNAError:
        return None
    # Browsers read every host that ends in a number as an IPv4 address, even 127.1. Only the full form is accepted.
    if re.fullmatch(r"[0-9]+|0x[0-9a-f]*", label.rpartition(".")[2]):
        return label if isinstance(_ip(label), IPv4Address) else None
    return label if HOST.fullmatch(label) else None


def host_of(origin: str) -> str:
    return urlsplit(origin).hostname or ""


@cache
def _public_suffixes() -> PublicSuffixList:
    return PublicSuffixList()


def site_of(origin: str) -> tuple[str, str]:
    """Scheme and registrable domain, which browsers compare for SameSite cookies. An IP address is its own site."""
    host = host_of(origin)
    registrable = None if _ip(host) else _public_suffixes().privatesuffix(host)
    return urlsplit(origin).scheme, registrable or host
