r"""Request cookies, read from the raw header.

Starlette decodes the header as latin-1 and strips Unicode white space from names, so it reads the bytes
`\xa0__Host-guestlist_session` as `__Host-guestlist_session`. Browsers treat that name as an ordinary one, which a sibling
host may set for the whole domain (H170). This module compares names byte for byte instead.
"""

from collections.abc import Iterator

from starlette.types import Scope


def has_cookies(scope: Scope) -> bool:
    """Whether the request carries a Cookie header, whatever it holds."""
    return any(name == b"cookie" for name, _ in scope["headers"])


def read_cookie(scope: Scope, name: str) -> str | None:
    """The value of the cookie `name`; None where it is absent, appears twice or is not ASCII.

    Pairs are separated by a semicolon and one space (RFC 6265 section 4.2.1); nothing else is stripped. A browser never
    sends one of our names twice, and of two values nobody can tell which one this service set.
    """
    prefix = f"{name}=".encode("ascii")
    values = [pair.removeprefix(prefix) for pair in _pairs(scope) if pair.startswith(prefix)]
    if len(values) != 1 or not values[0].isascii():
        return None
    return values[0].decode("ascii")


def _pairs(scope: Scope) -> Iterator[bytes]:
    """The pairs of all Cookie headers: proxies may split one header of HTTP/2 into several (RFC 9113 section 8.2.3)."""
    for name, value in scope["headers"]:
        if name == b"cookie":
            yield from (pair.removeprefix(b" ") for pair in value.split(b";"))
