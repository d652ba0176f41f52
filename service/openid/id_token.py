"""ID tokens: the checks of OpenID Connect Core 3.1.3.7, each with the attack that it prevents.

Authlib's own validation takes its algorithms from the discovery document, does not check `aud`, and accepts tokens of any age
(H048, H050, H065). This module replaces it.
"""

import base64
import hashlib
import hmac
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import orjson
from joserfc.util import urlsafe_b64decode

from service.openid.errors import SignInFailed
from service.openid.issuer import Issuer
from service.openid.keys import ALGORITHMS, SigningKey
from service.tokens import Digest, digest_of

LEEWAY: Final = timedelta(seconds=60)
OLDEST: Final = timedelta(minutes=10)
LONGEST_LIFE: Final = timedelta(hours=24)

_OLDEST_LOGIN: Final = timedelta(days=3650).total_seconds()
_LONGEST_TOKEN: Final = 64 * 1024
_LONGEST_HEADER: Final = 8 * 1024
_LONGEST_SUBJECT: Final = 255  # OpenID Connect Core section 2
_TOKEN_PARTS: Final = 3
_TYPES: Final = {"JWT"}
_HASH_OF_ED25519: Final = "sha512"


@dataclass(frozen=True, slots=True)
class Expectations:
    """The values that an ID token must have, and the time of the check."""

    issuer: Issuer
    issuer_name: str
    client_id: str
    nonce_digest: Digest
    access_token: str | None = field(repr=False)
    now: datetime
    audiences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UnverifiedToken:
    """The parts of an ID token, before any check."""

    algorithm: str
    kid: str | None
    payload: bytes = field(repr=False)
    signing_input: bytes = field(repr=False)
    signature: bytes = field(repr=False)

    def signed_by(self, keys: Iterable[SigningKey]) -> bool:
        fitting = (key for key in keys if key.fits(self.kid, self.algorithm))
        return any(key.verifies(self.algorithm, self.signing_input, self.signature) for key in fitting)


def read_id_token(token: Any) -> UnverifiedToken:
    """Parses an ID token. Raises SignInFailed unless it is a signed JWT in compact form."""
    if not isinstance(token, str) or not token:
        # A login needs an ID token: for userinfo alone, any access token would do (RFC 9700 section 2).
        raise SignInFailed("id_token_missing")
    parts = token.split(".")
    if (
        not token.isascii()
        or len(token) > _LONGEST_TOKEN
        or len(parts) != _TOKEN_PARTS
        or len(parts[0]) > _LONGEST_HEADER
    ):
        raise SignInFailed("id_token_malformed")
    header = _object(_bytes(parts[0]))
    _check_type(header)
    _check_critical(header)
    signing_input = f"{parts[0]}.{parts[1]}".encode("ascii")
    return UnverifiedToken(_algorithm(header), _kid(header), _bytes(parts[1]), signing_input, _bytes(parts[2]))


def check_claims(token: UnverifiedToken, expected: Expectations) -> dict[str, Any]:
    """The claims of a token with a verified signature. Raises SignInFailed at the first wrong claim."""
    claims = _object(token.payload)
    expected.issuer.check_token(expected.issuer_name, claims)
    _check_audience(claims, expected.client_id, expected.audiences)
    _check_authorized_party(claims, expected.client_id)
    _check_subject(claims)
    _check_nonce(claims, expected.nonce_digest)
    _check_issued_at(claims, expected.now)
    _check_expiry(claims, expected.now)
    _check_not_before(claims, expected.now)
    _check_access_token_hash(claims, expected.access_token, token.algorithm)
    return claims


def _check_type(header: Mapping[str, Any]) -> None:
    """Refuses other JWTs of the issuer, such as access tokens (at+jwt) and logout tokens (RFC 8725 3.11)."""
    kind = header.get("typ", "JWT")
    if not isinstance(kind, str) or kind.upper() not in _TYPES:
        raise SignInFailed("id_token_type_refused")


def _check_critical(header: Mapping[str, Any]) -> None:
    """Refuses critical headers, because ignoring them changes the meaning (RFC 7515 section 4.1.11; H152).

    Headers that name keys (jku, jwk, x5u, x5c) are ignored: a token does not choose its own key.
    """
    if "crit" in header:
        raise SignInFailed("id_token_critical_header")


def _algorithm(header: Mapping[str, Any]) -> str:
    """Refuses other algorithms: forgers use `none`, and HS256 with our secret or the provider's public key (H048)."""
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise SignInFailed("id_token_algorithm_refused")
    return algorithm


def _kid(header: Mapping[str, Any]) -> str | None:
    kid = header.get("kid")
    if kid is not None and not isinstance(kid, str):
        raise SignInFailed("id_token_malformed")
    return kid


def login_age(claims: Mapping[str, Any], started_at: datetime) -> timedelta | None:
    """How long before `started_at` the person logged in at the provider; None for a fresh login, and without `auth_time`.

    Refuses nothing: providers that ignore `prompt` and `max_age` would lose the people who use the right account.
    """
    at = claims.get("auth_time")
    if isinstance(at, bool) or not isinstance(at, int | float) or not math.isfinite(at):
        return None
    age = timedelta(seconds=min(max(started_at.timestamp() - at, 0), _OLDEST_LOGIN))
    return age if age > LEEWAY else None


def _check_audience(claims: Mapping[str, Any], client_id: str, known: tuple[str, ...]) -> None:
    """Refuses replayed tokens of other clients: our client id must be in the audience, for any azp (H050).

    Some providers add the audiences of APIs. They count when azp names our client, or when the operator lists them
    (OpenID Connect Core 3.1.3.7).
    """
    audience = claims.get("aud")
    if audience == client_id:
        return
    if not isinstance(audience, list) or not all(isinstance(one, str) for one in audience) or client_id not in audience:
        raise SignInFailed("audience_mismatch")
    further = set(audience) - {client_id} - set(known)
    if (further and claims.get("azp") != client_id) or len(set(audience)) < len(audience):
        raise SignInFailed("audience_mismatch")


def _check_authorized_party(claims: Mapping[str, Any], client_id: str) -> None:
    """Checks that the token was issued to our client, where the provider names one."""
    if claims.get("azp", client_id) != client_id:
        raise SignInFailed("authorized_party_mismatch")


def _check_subject(claims: Mapping[str, Any]) -> None:
    """Checks the key of the account. Without one, or with a truncated one, two people would share an account."""
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= _LONGEST_SUBJECT:
        raise SignInFailed("subject_invalid")
    if not (subject.isascii() and subject.isprintable()):
        raise SignInFailed("subject_invalid")
    # OpenID Connect Core section 2 allows any ASCII. With white space at an end, two accounts look like one wherever the
    # subject is displayed, copied or trimmed (H188).
    if subject != subject.strip():
        raise SignInFailed("subject_invalid")


def _check_nonce(claims: Mapping[str, Any], nonce_digest: Digest) -> None:
    """Refuses the token of another login that an attacker injects with the code of this one (H046, H061)."""
    nonce = claims.get("nonce")
    if not isinstance(nonce, str) or not hmac.compare_digest(digest_of(nonce), nonce_digest):
        raise SignInFailed("nonce_mismatch")


def _check_issued_at(claims: Mapping[str, Any], now: datetime) -> None:
    """Refuses old tokens: the code was exchanged just now, so the token must be new (H046, H065)."""
    issued_at = _seconds(claims, "iat")
    if issued_at > (now + LEEWAY).timestamp():
        raise SignInFailed("issued_in_the_future")
    if issued_at < (now - OLDEST - LEEWAY).timestamp():
        raise SignInFailed("issued_too_long_ago")


def _check_expiry(claims: Mapping[str, Any], now: datetime) -> None:
    """Refuses expired tokens, which are replays, and tokens with an implausibly long lifetime (H065)."""
    expires_at = _seconds(claims, "exp")
    if expires_at <= (now - LEEWAY).timestamp():
        raise SignInFailed("id_token_expired")
    if expires_at > _seconds(claims, "iat") + LONGEST_LIFE.total_seconds():
        raise SignInFailed("id_token_lives_too_long")


def _check_not_before(claims: Mapping[str, Any], now: datetime) -> None:
    if "nbf" in claims and _seconds(claims, "nbf") > (now + LEEWAY).timestamp():
        raise SignInFailed("not_valid_yet")


def _check_access_token_hash(claims: Mapping[str, Any], access_token: str | None, algorithm: str) -> None:
    """Refuses the access token of another login, which would fetch another person's userinfo."""
    if "at_hash" not in claims:
        return
    claimed = claims["at_hash"]
    if not isinstance(claimed, str) or access_token is None:
        raise SignInFailed("access_token_mismatch")
    if not hmac.compare_digest(claimed.encode(), access_token_hash(access_token, algorithm).encode()):
        raise SignInFailed("access_token_mismatch")


def access_token_hash(access_token: str, algorithm: str) -> str:
    """`at_hash`: the left half of the hash of the algorithm, in base64url (OpenID Connect Core 3.1.3.6)."""
    kind, _ = ALGORITHMS[algorithm]
    name = _HASH_OF_ED25519 if kind == "OKP" else f"sha{algorithm[2:]}"
    digest = hashlib.new(name, access_token.encode()).digest()
    return base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()


def _seconds(claims: Mapping[str, Any], name: str) -> float:
    """A NumericDate (RFC 7519 section 2): a number, but not True or "1700000000"."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise SignInFailed(f"{name}_invalid")
    return float(value)


def _bytes(part: str) -> bytes:
    """Decodes strict base64url without padding, so that each token has exactly one text."""
    try:
        return urlsafe_b64decode(part.encode("ascii"))
    except ValueError:
        raise SignInFailed("id_token_malformed") from None


def _object(text: bytes) -> dict[str, Any]:
    try:
        parsed = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise SignInFailed("id_token_malformed") from None
    if not isinstance(parsed, dict):
        raise SignInFailed("id_token_malformed")
    return parsed
