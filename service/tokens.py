"""Secrets that are shown once: the plain token leaves, its digest stays.

The two are different types, so that a type checker keeps a token out of the database and a digest out of a mail.
"""

import hashlib
import re
import secrets
from typing import NewType

Token = NewType("Token", str)
Digest = NewType("Digest", str)

_TOKEN_BYTES = 32


def new_token() -> tuple[Token, Digest]:
    """A fresh 256-bit token (43 URL-safe characters) and its digest (ASVS 6.5.3: at least 128 bits from a CSPRNG)."""
    token = Token(secrets.token_urlsafe(_TOKEN_BYTES))
    return token, digest_of(token)


def digest_of(text: str) -> Digest:
    """SHA-256 as 64 hexadecimal digits; a 256-bit random token needs no salt and no slow hash."""
    return Digest(hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest())


def new_id(prefix: str) -> str:
    """An opaque, never sequential id with 128 random bits; the prefix names its type, so ids are unique across types."""
    return f"{prefix}_{secrets.token_urlsafe(16)}"


_ID = re.compile(r"[a-z]{3}_[A-Za-z0-9_-]{22}")


def is_id(text: str) -> bool:
    """Whether a text has the form of an id. Other texts are not looked up."""
    return _ID.fullmatch(text) is not None
