"""How the service authenticates at a provider's token endpoint (OpenID Connect Core section 9)."""

import base64
import secrets
from collections.abc import MutableMapping
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote_plus, urlencode

import orjson
from authlib.integrations.httpx_client import AsyncOAuth2Client
from joserfc.jws import JWSRegistry

from service.openid.metadata import Metadata
from service.private_keys import algorithm_of, read_private_key
from service.settings import ProviderSettings

_METHODS: Final = {
    "basic": "client_secret_basic",
    "post": "client_secret_post",
    "private_key_jwt": "private_key_jwt",
}
"""The registered names of the methods, by CLIENT_AUTH, in the order of the standard."""

_ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_LIFETIME: Final = timedelta(minutes=1)


def method_of(settings: ProviderSettings, metadata: Metadata) -> str:
    """The value of CLIENT_AUTH, or the first method that the provider lists and the settings allow.

    Without a list, the provider supports client_secret_basic (OpenID Connect Discovery section 3). A client that was
    registered without a method uses it too (OpenID Connect Registration section 2).
    """
    if settings.client_auth != "auto":
        return settings.client_auth
    possible = [method for method in _METHODS if _is_possible(method, settings)]
    offered = metadata.token_endpoint_auth_methods
    return next((method for method in possible if _METHODS[method] in offered), possible[0])


def _is_possible(method: str, settings: ProviderSettings) -> bool:
    return (settings.client_key_file if method == "private_key_jwt" else settings.client_secret) is not None


def client_for(
    settings: ProviderSettings, metadata: Metadata, *, now: datetime, **options: Any
) -> AsyncOAuth2Client:  # fmt: skip
    """Authlib's client, with the client authentication of the provider."""
    client = AsyncOAuth2Client(
        client_id=settings.client_id,
        client_secret=settings.client_secret.get_secret_value() if settings.client_secret else None,
        token_endpoint_auth_method=_METHODS[method_of(settings, metadata)],
        **options,
    )
    client.register_client_auth_method(("client_secret_basic", _basic))

    def sign(_: Any, method: str, uri: str, headers: MutableMapping[str, str], body: bytes) -> tuple[Any, ...]:
        del method
        fields = {
            "client_id": settings.client_id,
            "client_assertion_type": _ASSERTION_TYPE,
            "client_assertion": _assertion(settings, metadata.token_endpoint, now),
        }
        return uri, headers, body + b"&" + urlencode(fields).encode()

    client.register_client_auth_method(("private_key_jwt", sign))
    return client


def refusal_of(settings: ProviderSettings, metadata: Metadata) -> str:
    """The detail for the operator when a token endpoint answers invalid_client: the method, and the alternatives."""
    method = method_of(settings, metadata)
    others = " or ".join(other for other in _METHODS if other != method)
    secret = "the key of CLIENT_KEY_FILE" if method == "private_key_jwt" else "CLIENT_SECRET"
    return (
        f"The token endpoint refuses the client, which authenticated by {_METHODS[method]}. Check CLIENT_ID and {secret}, or"
        f" set CLIENT_AUTH to the method for which the client is registered: {others}."
    )


def _basic(client: Any, _method: str, uri: str, headers: MutableMapping[str, str], body: Any) -> tuple[Any, ...]:
    """Form-encodes both values first (RFC 6749 section 2.3.1), which Authlib omits."""
    pair = f"{quote_plus(client.client_id)}:{quote_plus(client.client_secret)}"
    headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    return uri, headers, body


def _assertion(settings: ProviderSettings, token_endpoint: str, now: datetime) -> str:
    """A signed assertion for one request (RFC 7523 section 3)."""
    if settings.client_key_file is None:
        raise LookupError("The settings have no private key.")
    key = read_private_key(settings.client_key_file)
    algorithm = algorithm_of(key)
    claims = {
        "iss": settings.client_id,
        "sub": settings.client_id,
        "aud": token_endpoint,
        "jti": secrets.token_urlsafe(16),
        "iat": int(now.timestamp()),
        "exp": int((now + _LIFETIME).timestamp()),
    }
    header = {"alg": algorithm, "typ": "JWT", "kid": key.kid or key.thumbprint()}
    signing_input = f"{_base64url(orjson.dumps(header))}.{_base64url(orjson.dumps(claims))}"
    signature = JWSRegistry.algorithms[algorithm].sign(signing_input.encode(), key)
    return f"{signing_input}.{_base64url(signature)}"


def _base64url(text: bytes) -> str:
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()
