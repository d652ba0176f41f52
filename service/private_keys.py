"""Private keys in files, as PEM or JWK."""

import base64
import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from joserfc.jwk import ECKey, OKPKey, RSAKey

_SMALLEST_RSA_BITS: Final = 2048  # NIST SP 800-131A
_ALGORITHMS: Final = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "Ed25519": "EdDSA"}


class KeyUnreadable(Exception):
    """Raised when a file has no private key that can sign. The text names the fault, and never contains the key."""


@cache
def read_private_key(path: Path) -> "RSAKey | ECKey | OKPKey":
    """Reads an RSA key of at least 2048 bits, an EC key of P-256 to P-521, or an Ed25519 key. Raises KeyUnreadable."""
    try:
        text = path.read_text("ascii")
    except OSError as error:
        raise KeyUnreadable(f"cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise KeyUnreadable("is neither PEM nor JWK") from None
    key = _imported(text)
    if key is None or not key.is_private:
        raise KeyUnreadable("has no private key as PEM or JWK")
    public = key.as_dict(private=False)
    if "n" in public and _bits(str(public["n"])) < _SMALLEST_RSA_BITS:
        raise KeyUnreadable(f"has an RSA key of less than {_SMALLEST_RSA_BITS} bits")
    if public.get("crv", "Ed25519") not in _ALGORITHMS:
        raise KeyUnreadable(f"has a key of the curve {public['crv']}, which signs no tokens")
    return key


def _bits(modulus: str) -> int:
    return int.from_bytes(base64.urlsafe_b64decode(modulus + "==")).bit_length()


def _imported(text: str) -> "RSAKey | ECKey | OKPKey | None":
    from joserfc.jwk import ECKey, OKPKey, RSAKey  # noqa: PLC0415  # slow to import

    for kind in (RSAKey, ECKey, OKPKey):
        try:
            return kind.import_key(json.loads(text) if text.lstrip().startswith("{") else text)
        except Exception:  # noqa: BLE001, S112 -- a broken key fails in many ways, and their texts can contain it
            continue
    return None


def algorithm_of(key: "RSAKey | ECKey | OKPKey") -> str:
    """The algorithm with which a key signs: RS256, ES256, ES384, ES512 or EdDSA."""
    curve = key.as_dict(private=False).get("crv")
    return "RS256" if curve is None else _ALGORITHMS[str(curve)]
