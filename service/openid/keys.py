"""A provider's JWKS: which of its keys are believed, and for which algorithm (RFC 7517, RFC 7518, RFC 8037)."""

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
"""The algorithms that count, each with its key's type and curve, whatever a discovery document or a token says (H048):
asymmetric ones only, so no secret that we share and no public key can pass for a signer."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One public key of a provider, imported once: importing at each login costs more than verifying."""

    kid: str | None
    kind: str
    curve: str | None
    algorithm: str | None
    key: RSAKey | ECKey | OKPKey

    def fits(self, kid: str | None, algorithm: str) -> bool:
        """Whether it may have signed a token with this header. A key or a token without `kid` fits every other (H047)."""
        return (
            ALGORITHMS[algorithm] == (self.kind, self.curve)
            and self.algorithm in {None, algorithm}
            and (kid is None or self.kid in {None, kid})
        )

    def signed(self, algorithm: str, signing_input: bytes, signature: bytes) -> bool:
        try:
            return JWSRegistry.algorithms[algorithm].verify(signing_input, signature, self.key)
        except (JoseError, ValueError, UnsupportedAlgorithm):
            return False


def read_keys(document: dict[str, Any]) -> tuple[SigningKey, ...]:
    """The usable keys of a JWKS. What is unknown, symmetric, private, weak or broken is left out, and disturbs no other
    key: a provider may publish keys for others than us.
    """
    published = document.get("keys")
    members = published[:_MOST_MEMBERS] if isinstance(published, list) else []
    return tuple(islice(_usable(member for member in members if isinstance(member, dict)), _MOST_KEYS))


def _usable(members: Iterable[dict[str, Any]]) -> Iterable[SigningKey]:
    for member in members:
        key = _import(member) if _is_for_signatures(member) else None
        if key is not None:
            yield SigningKey(
                _text(member.get("kid")), key.key_type, _text(member.get("crv")), _text(member.get("alg")), key
            )


def _is_for_signatures(member: dict[str, Any]) -> bool:
    operations = member.get("key_ops", ["verify"])
    return (
        member.get("use", "sig") == "sig"
        and isinstance(operations, list)
        and "verify" in operations
        and not member.keys() & _PRIVATE_MEMBERS
    )


def _import(member: dict[str, Any]) -> RSAKey | ECKey | OKPKey | None:
    """The key; None for a type that is not known here, `oct` above all: it would make our secret a signing key."""
    needed: dict[str, Any] = {name: member[name] for name in ("kty", "n", "e", "crv", "x", "y") if name in member}
    try:
        if needed.get("kty") == "RSA" and _is_strong(needed):
            return RSAKey.import_key(needed)
        if needed.get("kty") == "EC":
            return ECKey.import_key(needed)
        return OKPKey.import_key(needed) if needed.get("kty") == "OKP" else None
    except (JoseError, ValueError, TypeError, KeyError, AttributeError, UnsupportedAlgorithm):
        # However a key is broken, it is only that one key that does not count.
        return None


def _is_strong(member: dict[str, Any]) -> bool:
    modulus = int.from_bytes(urlsafe_b64decode(member["n"].encode("ascii")), "big")
    return _SMALLEST_RSA_BITS <= modulus.bit_length() <= _LARGEST_RSA_BITS


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
