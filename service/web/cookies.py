r"""Request cookies, read from the raw header.

Starlette decodes the header as latin-1 and strips Unicode white space from names. It reads the bytes
`\xa0__Host-guestlist_session` as `__Host-guestlist_session`. Browsers treat that name as an ordinary one, which a sibling
host may set for the whole domain (H170). This module compares names byte by byte instead.
"""

from collections.abc import Iterator

from starlette.types import Scope


def has_cookies(scope: Scope) -> bool:
    """Returns whether the request has a Cookie header, even an empty one."""
    return any(name == b"cookie" for name, _ in scope["headers"])


def read_cookie(scope: Scope, name: str) -> str | None:
    """Returns the value of a cookie, or None if it is absent, appears twice or is not ASCII.

    A semicolon and one space separate the pairs (RFC 6265 section 4.2.1); other white space is part of a pair. A browser
    never sends one of our names twice. Of two values, the service cannot tell which one it has set.
    """
    prefix = f"{name}=".encode("ascii")
    values = [pair.removeprefix(prefix) for pair in _pairs(scope) if pair.startswith(prefix)]
    if len(values) != 1 or not values[0].isascii():
        return None
    return values[0].decode("ascii")


def _pairs(scope: Scope) -> Iterator[bytes]:
    """Yields the pairs of all Cookie headers: proxies may split one header of HTTP/2 (RFC 9113 section 8.2.3)."""
    for name, value in scope["headers"]:
        if name == b"cookie":
            yield from (pair.removeprefix(b" ") for pair in value.split(b";"))
