"""Authlib's part of a login: the authorization URL, and the exchange of the code (RFC 6749, RFC 7636)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import httpx2
from authlib.integrations.httpx_client import AsyncOAuth2Client

from service.flow_sentences import flow_sentence
from service.openid.client_auth import client_for, refusal_of
from service.openid.errors import ProviderUnavailable, SignInFailed
from service.openid.metadata import Metadata
from service.openid.transport import BoundedTransport, json_object
from service.settings import ProviderSettings

_MEMBERS: Final = ("id_token", "access_token", "token_type")


@dataclass(frozen=True, slots=True)
class Tokens:
    """The unverified ID token, and the access token for userinfo."""

    id_token: Any = field(repr=False)
    access_token: str | None = field(repr=False)


def authorization_url(
    metadata: Metadata, settings: ProviderSettings, *, redirect_uri: str, state: str, nonce: str, code_verifier: str
) -> str:  # fmt: skip
    """The URL for the browser. PKCE uses S256 (H061). The response comes in the query, because only then the browser sends the flow
    cookie.
    """
    client = AsyncOAuth2Client(client_id=settings.client_id, code_challenge_method="S256", transport=_NoTransport())
    url, _ = client.create_authorization_url(
        metadata.authorization_endpoint, state=state, code_verifier=code_verifier, redirect_uri=redirect_uri,
        scope=" ".join(dict.fromkeys(("openid", *settings.scopes))), nonce=nonce, response_mode="query",
        **_FRESH_LOGIN[_prompt(settings, metadata)],
    )  # fmt: skip
    return str(url)


# The parameters that ask for a login although the person has a session at the provider (OpenID Connect Core 3.1.2.1; H036,
# H114). max_age=0 is the second means, for providers that ignore or refuse the prompt. A choice of accounts goes without it:
# it would also ask for the password.
_FRESH_LOGIN: Final[Mapping[str, Mapping[str, str]]] = {
    "login": {"prompt": "login", "max_age": "0"},
    "select_account": {"prompt": "select_account"},
    "none": {"max_age": "0"},
}


def _prompt(settings: ProviderSettings, metadata: Metadata) -> str:
    """The operator's prompt, or else that of the kind. Every provider supports `prompt` (Core 15.1), whether it lists the values or not."""
    if settings.prompt != "auto":
        return settings.prompt
    chooses = "select_account" in metadata.prompts and "login" not in metadata.prompts
    return "select_account" if chooses or settings.kind in {"google", "microsoft"} else "login"


async def exchange(
    metadata: Metadata, settings: ProviderSettings, transport: BoundedTransport, *, redirect_uri: str, code: str,
    code_verifier: str, now: datetime,
) -> Tokens:  # fmt: skip
    """Exchanges the code. Raises SignInFailed when the provider refuses it, ProviderUnavailable when it cannot answer."""
    client = client_for(settings, metadata, now=now, redirect_uri=redirect_uri, transport=transport)
    client.register_compliance_hook("access_token_response", _reduced_response)
    try:
        answer = await client.fetch_token(
            metadata.token_endpoint, grant_type="authorization_code", code=code, code_verifier=code_verifier
        )
    except _ClientRefused:
        raise ProviderUnavailable("client_refused", detail=refusal_of(settings, metadata)) from None
    except SignInFailed:
        raise
    except Exception as error:  # noqa: BLE001  # Authlib surfaces a provider's faults as many kinds of exceptions
        raise ProviderUnavailable("token_endpoint_failed", detail=f"Exchange: {type(error).__name__}.") from None
    return _read_tokens(answer)


def _read_tokens(answer: dict[str, Any]) -> Tokens:
    kind, access_token = answer.get("token_type"), answer.get("access_token")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        # OpenID Connect Core 3.1.3.3 requires Bearer. For other types, we could not prove possession.
        raise SignInFailed("token_type_refused")
    if access_token is not None and not _is_plain(access_token):
        raise SignInFailed("access_token_malformed")
    return Tokens(answer.get("id_token"), access_token)


def _is_plain(text: Any) -> bool:
    return isinstance(text, str) and text != "" and text.isascii() and text.isprintable() and " " not in text


class _ClientRefused(Exception):
    """Raised when the token endpoint refuses the client (RFC 6749 section 5.2)."""


def _reduced_response(response: httpx2.Response) -> httpx2.Response:
    """The response reduced to the members that we use, because Authlib fails on odd values of others."""
    if response.status_code >= httpx2.codes.INTERNAL_SERVER_ERROR:
        raise ProviderUnavailable("token_endpoint_failed", detail=f"Token endpoint: status {response.status_code}.")
    answer = json_object(response.content, response.request)
    if "error" in answer or response.status_code != httpx2.codes.OK:
        raise _refusal(answer.get("error"))
    members = {name: answer[name] for name in _MEMBERS if name in answer}
    return httpx2.Response(response.status_code, json=members, request=response.request)


def _refusal(error: Any) -> SignInFailed | _ClientRefused:
    """RFC 6749 section 5.2. Ignores the description, which can contain anything (H063)."""
    if error == "invalid_grant":
        return SignInFailed("code_refused", flow_sentence("SIGN_IN_CODE_REFUSED"))
    if error in ("invalid_client", "unauthorized_client"):
        return _ClientRefused()
    return ProviderUnavailable("token_endpoint_refused", detail="The token endpoint refused the exchange.")


class _NoTransport(httpx2.AsyncBaseTransport):
    """Replaces the connection that Authlib's client would prepare in a tenth of a second. Building a URL needs none."""
