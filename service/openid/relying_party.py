"""The relying party: sends a browser to an OpenID Provider, and verifies the response.

`begin` and `finish` are the two halves of one login (OpenID Connect Core 3.1, authorization code with PKCE). Between them, the
caller stores the digests of state and nonce and the code verifier, bound to the browser that started the login.
"""

import re
import secrets
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import structlog
from starlette.datastructures import QueryParams

from service.flow_sentences import flow_sentence
from service.models import ADDRESS, NAME
from service.openid.errors import ProviderUnavailable, SignInFailed
from service.openid.evidence import Evidence, assess
from service.openid.id_token import Expectations, check_claims, login_age, read_id_token
from service.openid.metadata import Metadata
from service.openid.provider import Provider
from service.openid.transport import DEADLINE, ProviderClient
from service.settings import ProviderSettings, Settings
from service.tokens import Digest, Token, new_token

if TYPE_CHECKING:
    from service.openid.exchange import Tokens

log = structlog.get_logger()

_VERIFIER_BYTES: Final = 48  # 64 characters; RFC 7636 section 4.1 requires 43 to 128
_LONGEST_CODE: Final = 4096
_MADE_UP_CODE: Final = "guestlist-doctor"
_RESPONSE: Final = ("state", "iss", "error", "code")
_ADDRESS_IN_NAME: Final = re.compile(r"\S@\S|\S\s*@\s*\S+\.\S")
_NAMES: Final = {"google": "Google", "microsoft": "Microsoft"}

# Claims that verify an address apply only to the address of the same source. They never mix between ID token and userinfo.
_ABOUT_THE_ADDRESS: Final = (
    "email", "email_verified", "hd", "xms_edov", "verified_primary_email", "verified_secondary_email",
)  # fmt: skip
_FROM_USERINFO: Final = ("email", "email_verified", "hd")


@dataclass(frozen=True, slots=True)
class ProviderLabel:
    """A provider, as a person sees it."""

    id: str
    label: str


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """The start of a login: the URL for the browser, and the secrets to store for its return."""

    authorization_url: str = field(repr=False)
    state: Token = field(repr=False)
    nonce: Token = field(repr=False)
    code_verifier: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Identity:
    """A verified login. (issuer, subject) is the key of the account; the address is a claim with its evidence."""

    provider_id: str
    issuer: str
    subject: str
    email: str | None
    name: str | None
    evidence: Evidence


class RelyingParty:
    """The configured providers. It fetches their documents at the first login."""

    def __init__(self, settings: Settings, *, deadline: timedelta = DEADLINE) -> None:
        self._public_url = settings.public_url
        self._client = ProviderClient(deadline)
        self._providers = {
            provider_id: Provider(provider, self._client) for provider_id, provider in settings.providers.items()
        }

    @property
    def providers(self) -> tuple[ProviderLabel, ...]:
        """The providers in the operator's order: by POSITION, then by name."""
        ordered = sorted(self._providers.items(), key=lambda item: (item[1].settings.position, item[0]))
        return tuple(ProviderLabel(name, provider_label(name, provider.settings)) for name, provider in ordered)

    def knows(self, provider_id: str) -> bool:
        return provider_id in self._providers

    async def begin(self, provider_id: str, *, now: datetime) -> AuthorizationRequest:
        """Starts a login with new secrets. Raises ProviderUnavailable while the provider cannot be reached."""
        with _logged_failure(provider_id):
            provider = self._provider(provider_id)
            metadata = await provider.metadata(now)
            return self._authorization_request(provider_id, provider.settings, metadata)

    async def finish(
        self, provider_id: str, *, response: QueryParams, nonce_digest: Digest, code_verifier: str,
        started_at: datetime, now: datetime,
    ) -> Identity:  # fmt: skip
        """Verifies the query parameters of the callback. The caller has checked and consumed the state before.

        Logs a login that is older than `started_at`: the provider ignored the request for a fresh one.

        Raises SignInFailed (or its subclass ProviderUnavailable) for every fault of the provider.
        """
        with _logged_failure(provider_id):
            provider = self._provider(provider_id)
            try:
                return await self._verify(provider_id, provider, response, nonce_digest, code_verifier, started_at, now)
            except ProviderUnavailable:
                provider.expire_metadata(now)
                raise

    async def _verify(
        self, provider_id: str, provider: Provider, response: QueryParams, nonce_digest: Digest, code_verifier: str,
        started_at: datetime, now: datetime,
    ) -> Identity:  # fmt: skip
        metadata = await provider.metadata(now)
        _check_response_repeats(response)
        _check_response_issuer(response, provider, metadata)
        _check_response_error(response, provider_label(provider_id, provider.settings))
        tokens = await self._exchange(provider_id, provider, metadata, _code(response), code_verifier, now)
        token = read_id_token(tokens.id_token)
        await provider.verify_signature(token, now)
        expected = Expectations(
            issuer=provider.issuer, issuer_name=metadata.issuer, client_id=provider.settings.client_id,
            audiences=provider.settings.audiences,
            nonce_digest=nonce_digest, access_token=tokens.access_token, now=now,
        )  # fmt: skip
        claims = check_claims(token, expected)
        _check_same_issuer(response, metadata, claims)
        if (age := login_age(claims, started_at)) is not None:
            log.warning("provider.login_reused", provider=provider_id, minutes=age // timedelta(minutes=1))
        return await _identity(provider_id, provider, claims, tokens.access_token, now)

    async def check(self, provider_id: str, *, now: datetime) -> None:
        """Fetches a provider's metadata and keys, and authenticates with a made-up code, for the operator.

        Raises ProviderUnavailable with a detail. Any answer but invalid_client shows that the client is accepted.
        """
        provider = self._provider(provider_id)
        await provider.check(now)
        metadata = await provider.metadata(now)
        verifier = secrets.token_urlsafe(_VERIFIER_BYTES)
        try:
            await self._exchange(provider_id, provider, metadata, _MADE_UP_CODE, verifier, now)
        except ProviderUnavailable as error:
            if error.reason != "token_endpoint_refused":
                raise
        except SignInFailed:
            return

    async def close(self) -> None:
        """Closes the connections to the providers."""
        await self._client.close()

    def _provider(self, provider_id: str) -> Provider:
        if provider_id not in self._providers:
            raise SignInFailed("provider_unknown", flow_sentence("PROVIDER_UNKNOWN"))
        return self._providers[provider_id]

    def _redirect_uri(self, provider_id: str) -> str:
        """The redirect URI of a provider. Each has its own, so that a response identifies its provider (H056)."""
        return f"{self._public_url}/auth/{provider_id}/callback"

    def _authorization_request(
        self, provider_id: str, settings: ProviderSettings, metadata: Metadata
    ) -> AuthorizationRequest:
        from service.openid.exchange import authorization_url  # noqa: PLC0415  # Authlib is slow to import

        (state, _), (nonce, _) = new_token(), new_token()
        code_verifier = secrets.token_urlsafe(_VERIFIER_BYTES)
        url = authorization_url(
            metadata, settings, redirect_uri=self._redirect_uri(provider_id), state=state, nonce=nonce,
            code_verifier=code_verifier,
        )  # fmt: skip
        return AuthorizationRequest(url, state, nonce, code_verifier)

    async def _exchange(
        self, provider_id: str, provider: Provider, metadata: Metadata, code: str, code_verifier: str, now: datetime
    ) -> "Tokens":
        from service.openid.exchange import exchange  # noqa: PLC0415  # Authlib is slow to import

        return await exchange(
            metadata, provider.settings, self._client.transport, redirect_uri=self._redirect_uri(provider_id),
            code=code, code_verifier=code_verifier, now=now,
        )  # fmt: skip


def provider_label(provider_id: str, settings: ProviderSettings) -> str:
    """The label of a provider: the operator's, or its brand, or its name."""
    return settings.label or _NAMES.get(settings.kind) or provider_id.capitalize()


def _check_response_repeats(response: QueryParams) -> None:
    """Refuses repeated parameters: a check could read one value and later code the other (RFC 6749 section 3.1)."""
    if any(len(response.getlist(name)) > 1 for name in _RESPONSE):
        raise SignInFailed("response_parameter_repeated")


def _check_response_issuer(response: QueryParams, provider: Provider, metadata: Metadata) -> None:
    """Refuses a response of another authorization server, whose code must not be exchanged here (RFC 9207, H054).

    Runs before all other checks of the response, including that of errors.
    """
    iss = response.get("iss")
    if iss is None and metadata.names_itself_in_responses:
        raise SignInFailed("response_issuer_missing")
    if iss is not None and not provider.issuer.accepts_response(metadata.issuer, iss):
        raise SignInFailed("response_issuer_mismatch")


def _check_same_issuer(response: QueryParams, metadata: Metadata, claims: Mapping[str, Any]) -> None:
    """Checks that the tenant of the response issued the token."""
    if response.get("iss") not in {None, metadata.issuer, claims["iss"]}:
        raise SignInFailed("response_issuer_mismatch")


def _check_response_error(response: QueryParams, label: str) -> None:
    """RFC 6749 section 4.1.2.1, OpenID Connect Core 3.1.2.6. Ignores the description, which can contain anything (H063)."""
    error = response.get("error")
    if error is None:
        return
    if error in {"temporarily_unavailable", "server_error"}:
        raise ProviderUnavailable("provider_reported_unavailable")
    if error in {"access_denied", "consent_required"}:
        raise SignInFailed(error, flow_sentence("SIGN_IN_CANCELLED", provider=label))
    if error in {"login_required", "interaction_required", "account_selection_required"}:
        raise SignInFailed(error, flow_sentence("SIGN_IN_UNFINISHED", provider=label))
    refused = flow_sentence("SIGN_IN_REFUSED", provider=label, reason="provider_refused")
    raise SignInFailed("provider_refused", refused)


def _code(response: QueryParams) -> str:
    code = response.get("code", "")
    if not code or len(code) > _LONGEST_CODE:
        raise SignInFailed("code_missing")
    return code


async def _identity(
    provider_id: str, provider: Provider, claims: dict[str, Any], access_token: str | None, now: datetime
) -> Identity:
    if claims.get("email") in (None, "") and access_token is not None:
        claims = _with_userinfo(claims, await provider.userinfo(access_token, now))
    return Identity(
        provider_id=provider_id,
        issuer=claims["iss"],
        subject=claims["sub"],
        email=_presentable(claims.get("email"), ADDRESS),
        name=_name(claims.get("name")),
        evidence=assess(provider.settings, claims),
    )


def _with_userinfo(claims: dict[str, Any], userinfo: dict[str, Any] | None) -> dict[str, Any]:
    """The claims, with the address from userinfo.

    Userinfo is not signed. Its subject must be that of the ID token (OpenID Connect Core 5.3.2, H034).
    """
    if userinfo is None:
        return claims
    if userinfo.get("sub") != claims["sub"]:
        raise SignInFailed("userinfo_subject_mismatch")
    about_the_person = {name: value for name, value in claims.items() if name not in _ABOUT_THE_ADDRESS}
    about_the_address: dict[str, Any] = {name: userinfo[name] for name in _FROM_USERINFO if name in userinfo}
    return {"name": userinfo.get("name"), **about_the_person, **about_the_address}


def _presentable(value: Any, longest: int) -> str | None:
    """A claim that can be stored and displayed: one line of printable text that fits its column; None otherwise."""
    return value if isinstance(value, str) and 0 < len(value) <= longest and value.isprintable() else None


def _name(value: Any) -> str | None:
    """The claim `name`, unless it contains an address (H189).

    Some providers send the address in place of an unknown name, and names are visible to people who may not see addresses.
    """
    name = _presentable(value, NAME)
    if name is None or _ADDRESS_IN_NAME.search(unicodedata.normalize("NFKC", name)):
        return None
    return name


@contextmanager
def _logged_failure(provider_id: str) -> Iterator[None]:
    """Logs the reason of a failed login, without secrets."""
    try:
        yield
    except ProviderUnavailable as failure:
        log.warning("provider.unavailable", provider=provider_id, reason=failure.reason, detail=failure.detail)
        raise
    except SignInFailed as failure:
        log.info("sign_in.failed", provider=provider_id, reason=failure.reason)
        raise
