"""The relying party: sends a browser to an OpenID Provider, and believes what comes back only after every check.

`begin` and `finish` are the two halves of one login (OpenID Connect Core 3.1, authorization code with PKCE). Between
them the caller keeps the state's and the nonce's digests and the code verifier, bound to the browser that began.
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
from service.openid.evidence import Evidence, assess
from service.openid.failures import ProviderUnavailable, SignInFailed
from service.openid.id_token import Expected, check_claims, read_id_token
from service.openid.metadata import Metadata
from service.openid.provider import Provider
from service.openid.transport import DEADLINE, Outside
from service.settings import ProviderSettings, Settings
from service.tokens import Digest, Token, new_token

if TYPE_CHECKING:
    from service.openid.exchange import Tokens

log = structlog.get_logger()

_VERIFIER_BYTES: Final = 48  # 64 characters; RFC 7636 section 4.1 wants 43 to 128
_LONGEST_CODE: Final = 4096
_RESPONSE: Final = ("state", "iss", "error", "code")
_ADDRESS_IN_NAME: Final = re.compile(r"\S@\S|\S\s*@\s*\S+\.\S")
_NAMES: Final = {"google": "Google", "microsoft": "Microsoft"}

# What vouches for an address does so only beside it: these never mix between ID token and userinfo.
_ABOUT_THE_ADDRESS: Final = (
    "email", "email_verified", "hd", "xms_edov", "verified_primary_email", "verified_secondary_email",
)  # fmt: skip
_FROM_USERINFO: Final = ("email", "email_verified", "hd")


@dataclass(frozen=True, slots=True)
class ProviderLabel:
    """A provider as a person chooses it."""

    id: str
    label: str


@dataclass(frozen=True, slots=True)
class Started:
    """A login that begins: where to send the browser, and what to keep for its return."""

    authorization_url: str = field(repr=False)
    state: Token = field(repr=False)
    nonce: Token = field(repr=False)
    code_verifier: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who signed in, verified: (issuer, subject) is the account's key; the address is a claim with its evidence."""

    provider_id: str
    issuer: str
    subject: str
    email: str | None
    name: str | None
    evidence: Evidence


class RelyingParty:
    """All configured providers, for the life of a process. Nothing is fetched until the first login."""

    def __init__(self, settings: Settings, *, deadline: timedelta = DEADLINE) -> None:
        self._public_url = settings.public_url
        self._outside = Outside(deadline)
        self._providers = {
            provider_id: Provider(provider, self._outside) for provider_id, provider in settings.providers.items()
        }

    @property
    def providers(self) -> tuple[ProviderLabel, ...]:
        """In the operator's order: by POSITION, then by name."""
        ordered = sorted(self._providers.items(), key=lambda item: (item[1].settings.position, item[0]))
        return tuple(ProviderLabel(name, provider_label(name, provider.settings)) for name, provider in ordered)

    def knows(self, provider_id: str) -> bool:
        return provider_id in self._providers

    async def begin(self, provider_id: str, *, now: datetime) -> Started:
        """A fresh login with fresh secrets. Raises ProviderUnavailable while the provider cannot be asked."""
        with _told(provider_id):
            provider = self._provider(provider_id)
            metadata = await provider.metadata(now)
            return self._started(provider_id, provider.settings, metadata)

    async def finish(
        self, provider_id: str, *, response: QueryParams, nonce_digest: Digest, code_verifier: str, now: datetime
    ) -> Identity:
        """Who came back, from the callback's query parameters. The caller has checked and used up the state before.

        Raises SignInFailed (ProviderUnavailable among them), and nothing else whatever the provider does.
        """
        with _told(provider_id):
            provider = self._provider(provider_id)
            try:
                return await self._believe(provider_id, provider, response, nonce_digest, code_verifier, now)
            except ProviderUnavailable:
                provider.doubt_metadata(now)
                raise

    async def _believe(
        self, provider_id: str, provider: Provider, response: QueryParams, nonce_digest: Digest, code_verifier: str,
        now: datetime,
    ) -> Identity:  # fmt: skip
        metadata = await provider.metadata(now)
        _check_response_repeats(response)
        _check_response_issuer(response, provider, metadata)
        _check_response_error(response, provider_label(provider_id, provider.settings))
        tokens = await self._exchange(provider_id, provider, metadata, _code(response), code_verifier)
        token = read_id_token(tokens.id_token)
        await provider.verify_signature(token, now)
        expected = Expected(
            issuer=provider.issuer, issuer_name=metadata.issuer, client_id=provider.settings.client_id,
            nonce_digest=nonce_digest, access_token=tokens.access_token, now=now,
        )  # fmt: skip
        claims = check_claims(token, expected)
        _check_same_issuer(response, metadata, claims)
        return await _identity(provider_id, provider, claims, tokens.access_token, now)

    async def check(self, provider_id: str, *, now: datetime) -> None:
        """Asks a provider for its metadata and keys, for the operator. Raises ProviderUnavailable with a detail."""
        await self._provider(provider_id).check(now)

    async def close(self) -> None:
        """Closes the connections to the providers."""
        await self._outside.close()

    def _provider(self, provider_id: str) -> Provider:
        if provider_id not in self._providers:
            raise SignInFailed("provider_unknown", flow_sentence("PROVIDER_UNKNOWN"))
        return self._providers[provider_id]

    def _redirect_uri(self, provider_id: str) -> str:
        """A redirect URI of its own for each provider, so that an answer tells whose it is (H056)."""
        return f"{self._public_url}/auth/{provider_id}/callback"

    def _started(self, provider_id: str, settings: ProviderSettings, metadata: Metadata) -> Started:
        from service.openid.exchange import authorization_url  # noqa: PLC0415  # Authlib is not for start-up

        (state, _), (nonce, _) = new_token(), new_token()
        code_verifier = secrets.token_urlsafe(_VERIFIER_BYTES)
        url = authorization_url(
            metadata, settings, redirect_uri=self._redirect_uri(provider_id), state=state, nonce=nonce,
            code_verifier=code_verifier, prompt=_prompt(settings, metadata),
        )  # fmt: skip
        return Started(url, state, nonce, code_verifier)

    async def _exchange(
        self, provider_id: str, provider: Provider, metadata: Metadata, code: str, code_verifier: str
    ) -> "Tokens":
        from service.openid.exchange import exchange  # noqa: PLC0415  # Authlib is not for start-up

        return await exchange(
            metadata, provider.settings, self._outside.transport, redirect_uri=self._redirect_uri(provider_id),
            code=code, code_verifier=code_verifier,
        )  # fmt: skip


def provider_label(provider_id: str, settings: ProviderSettings) -> str:
    """The words for a provider: the operator's label, else its brand, else its name."""
    return settings.label or _NAMES.get(settings.kind) or provider_id.capitalize()


def _prompt(settings: ProviderSettings, metadata: Metadata) -> str | None:
    """A sign-in is always a fresh one: the person chooses who they are (H036, H114), and a live session decides nothing."""
    if settings.kind in {"google", "microsoft"}:
        return "select_account"
    return "login" if "login" in metadata.prompts else None


def _check_response_repeats(response: QueryParams) -> None:
    """Of a parameter that stands there twice, one value could be checked and the other believed (RFC 6749 section 3.1)."""
    if any(len(response.getlist(name)) > 1 for name in _RESPONSE):
        raise SignInFailed("response_parameter_repeated")


def _check_response_issuer(response: QueryParams, provider: Provider, metadata: Metadata) -> None:
    """Mix-up: an answer that another authorization server sent must not have its code exchanged here (RFC 9207, H054).
    It comes before everything else in the response, errors too.
    """
    iss = response.get("iss")
    if iss is None and metadata.names_itself_in_responses:
        raise SignInFailed("response_issuer_missing")
    if iss is not None and not provider.issuer.accepts_response(metadata.issuer, iss):
        raise SignInFailed("response_issuer_mismatch")


def _check_same_issuer(response: QueryParams, metadata: Metadata, claims: Mapping[str, Any]) -> None:
    """A tenant that named itself in the response is the one that signed the token."""
    if response.get("iss") not in {None, metadata.issuer, claims["iss"]}:
        raise SignInFailed("response_issuer_mismatch")


def _check_response_error(response: QueryParams, label: str) -> None:
    """RFC 6749 section 4.1.2.1, OpenID Connect Core 3.1.2.6. The description is never used: it may be anything (H063)."""
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
    """The claims, with the address of userinfo where the ID token has none. Userinfo is not signed: it is believed about
    the very subject of the ID token and nobody else (OpenID Connect Core 5.3.2, H034).
    """
    if userinfo is None:
        return claims
    if userinfo.get("sub") != claims["sub"]:
        raise SignInFailed("userinfo_subject_mismatch")
    about_the_person = {name: value for name, value in claims.items() if name not in _ABOUT_THE_ADDRESS}
    about_the_address: dict[str, Any] = {name: userinfo[name] for name in _FROM_USERINFO if name in userinfo}
    return {"name": userinfo.get("name"), **about_the_person, **about_the_address}


def _presentable(value: Any, longest: int) -> str | None:
    """A claim that may be shown and stored: one line of printable text, no longer than its column."""
    return value if isinstance(value, str) and 0 < len(value) <= longest and value.isprintable() else None


def _name(value: Any) -> str | None:
    """The claim `name`, unless an address stands in it (H189). Some providers send the address where they know no name,
    and names are shown to people who may not see addresses.
    """
    name = _presentable(value, NAME)
    if name is None or _ADDRESS_IN_NAME.search(unicodedata.normalize("NFKC", name)):
        return None
    return name


@contextmanager
def _told(provider_id: str) -> Iterator[None]:
    """Says in the log why a login failed, in words that hold no secret."""
    try:
        yield
    except ProviderUnavailable as failure:
        log.warning("provider.unavailable", provider=provider_id, reason=failure.reason, detail=failure.detail)
        raise
    except SignInFailed as failure:
        log.info("sign_in.failed", provider=provider_id, reason=failure.reason)
        raise
