"""A provider's JWKS: its usable keys, each with its algorithms (RFC 7517, RFC 7518, RFC 8037)."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry
from joserfc.util import urlsafe_b64decode

_SMALLEST_RSA_BITS: Final = 2048  # NIST SP 800-131A
_LARGEST_RSA_BITS: Final = 8192  # a longer modulus only costs time
_MOST_KEYS: Final = 50
_MOST_MEMBERS: Final = 1000
_PRIVATE_MEMBERS: Final = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}

ALGORITHMS: Final = {
    "RS256": ("RSA", None), "RS384": ("RSA", None), "RS512": ("RSA", None),
    "PS256": ("RSA", None), "PS384": ("RSA", None), "PS512": ("RSA", None),
    "ES256": ("EC", "P-256"), "ES384": ("EC", "P-384"), "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"), "Ed25519": ("OKP", "Ed25519"),
}  # fmt: skip
"""The accepted algorithms, each with the type and curve of its keys. Discovery documents and tokens cannot add any (H048). All
are asymmetric, so that neither a shared secret nor a public key can sign."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A public key of a provider. It is imported once, because importing costs more than verifying."""

    kid: str | None
    kind: str
    curve: str | None
    algorithm: str | None
    key: RSAKey | ECKey | OKPKey

    def fits(self, kid: str | None, algorithm: str) -> bool:
        """Whether the key fits the header of a token. A key or a token without `kid` fits every other (H047)."""
        return (
            ALGORITHMS[algorithm] == (self.kind, self.curve)
            and (self.algorithm is None or _named(self.algorithm) == _named(algorithm))
            and (kid is None or self.kid in {None, kid})
        )

    def verifies(self, algorithm: str, signing_input: bytes, signature: bytes) -> bool:
        try:
            return JWSRegistry.algorithms[algorithm].verify(signing_input, signature, self.key)
        except (JoseError, ValueError, UnsupportedAlgorithm):
            return False


def _named(algorithm: str) -> str:
    """Ed25519 has two names: that of RFC 9864, and EdDSA of RFC 8037, which the first one replaces."""
    return "Ed25519" if algorithm == "EdDSA" else algorithm


def read_keys(document: dict[str, Any]) -> tuple[SigningKey, ...]:
    """The usable keys of a JWKS. Skips unknown, symmetric, private, weak and broken keys.

    A provider can publish keys for other clients than us.
    """
    published = document.get("keys")
    members = published[:_MOST_MEMBERS] if isinstance(published, list) else []
    return tuple(islice(_usable(member for member in members if isinstance(member, dict)), _MOST_KEYS))


def _usable(members: Iterable[dict[str, Any]]) -> Iterable[SigningKey]:
    for member in members:
        key = _import(member) if _is_for_signatures(member) else None
        if key is not None:
            algorithm = _text(member.get("alg")) or None
            yield SigningKey(_text(member.get("kid")), key.key_type, _text(member.get("crv")), algorithm, key)


def _is_for_signatures(member: dict[str, Any]) -> bool:
    """Whether the key may verify signatures. Some providers write null where they mean nothing."""
    operations = ["verify"] if member.get("key_ops") is None else member["key_ops"]
    return (
        member.get("use") in (None, "sig")
        and isinstance(operations, list)
        and "verify" in operations
        and not member.keys() & _PRIVATE_MEMBERS
    )


def _import(member: dict[str, Any]) -> RSAKey | ECKey | OKPKey | None:
    """The key; None for unknown types. The type `oct` would make our secret a signing key."""
    needed: dict[str, Any] = {name: member[name] for name in ("kty", "n", "e", "crv", "x", "y") if name in member}
    try:
        if needed.get("kty") == "RSA" and _is_strong(needed):
            return RSAKey.import_key(needed)
        if needed.get("kty") == "EC":
            return ECKey.import_key(needed)
        return OKPKey.import_key(needed) if needed.get("kty") == "OKP" else None
    except (JoseError, ValueError, TypeError, KeyError, AttributeError, UnsupportedAlgorithm):
        # A broken key does not affect the others.
        return None


def _is_strong(member: dict[str, Any]) -> bool:
    modulus = int.from_bytes(urlsafe_b64decode(member["n"].encode("ascii")), "big")
    return _SMALLEST_RSA_BITS <= modulus.bit_length() <= _LARGEST_RSA_BITS


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
