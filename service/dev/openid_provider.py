"""The development OpenID Provider: small, but complete. A person can sign in as any address.

OpenID Connect Core 3.1 (authorization code), Discovery 1.0, PKCE with S256 required (RFC 7636), `iss` in the response
(RFC 9207). Its tokens are correct, except that it does not verify the typed address. Its parts that answer can be
overridden one by one, which is how the tests make a hostile provider of it.
"""

import base64
import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Generic, TypeVar
from urllib.parse import unquote_plus, urlencode, urlsplit

import orjson
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from service.openid.id_token import access_token_hash
from service.templates import templates

LOGIN_LIFETIME: Final = timedelta(minutes=15)
CODE_LIFETIME: Final = timedelta(minutes=1)
TOKEN_LIFETIME: Final = timedelta(minutes=10)

_MOST_KEPT: Final = 1000
_LONGEST_ADDRESS: Final = 320
_LONGEST_SUBJECT: Final = 255
_HERE: Final = Path(__file__).parent
_HEADERS: Final = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff"}
# Browsers apply form-action to the redirects that follow the form, and those lead to the client and on to its app.
_PAGE_POLICY: Final = (
    "default-src 'none'; style-src 'self'; form-action 'self' http: https:; base-uri 'none'; frame-ancestors 'none'"
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """A checked authorization request, while a person is at the login page."""

    client_id: str
    redirect_uri: str
    code_challenge: str
    scope: str
    state: str | None
    nonce: str | None


@dataclass(frozen=True, slots=True)
class Grant:
    """A login: the typed identity, and the client that receives it."""

    request: AuthorizationRequest
    email: str
    email_verified: bool
    subject: str
    granted_at: datetime
    access_token: str = field(default="", repr=False)


class Kept(Generic[T]):
    """Short-lived values in memory under unguessable names. A limit on their number evicts the oldest first."""

    def __init__(self, lifetime: timedelta) -> None:
        self._lifetime = lifetime
        self._values: OrderedDict[str, tuple[T, datetime]] = OrderedDict()

    def keep(self, value: T, now: datetime) -> str:
        while len(self._values) >= _MOST_KEPT:
            self._values.popitem(last=False)
        name = secrets.token_urlsafe(32)
        self._values[name] = value, now + self._lifetime
        return name

    def look_up(self, name: str, now: datetime) -> T | None:
        value, expires_at = self._values.get(name, (None, now))
        return value if now < expires_at else None

    def take(self, name: str, now: datetime) -> T | None:
        value = self.look_up(name, now)
        self._values.pop(name, None)
        return value


class ProtocolError(Exception):
    """Raised for an invalid request. `error` is OAuth's error code."""

    def __init__(self, error: str, status: int = 400) -> None:
        super().__init__(error)
        self.error = error
        self.status = status


class OpenIDProvider:
    """An OpenID Provider at `issuer`; `clients` are secrets and redirect URIs by client id."""

    algorithm: str = "RS256"

    def __init__(
        self,
        issuer: str,
        clients: Mapping[str, tuple[str, tuple[str, ...]]],
        *,
        clock: Callable[[], datetime],
        key: RSAKey | ECKey | OKPKey | None = None,
    ) -> None:
        self.issuer = issuer
        self.location = issuer.rstrip("/")
        self.clients = clients
        self.clock = clock
        if key is not None:
            self.key = key
        self._logins: Kept[AuthorizationRequest] = Kept(LOGIN_LIFETIME)
        self._codes: Kept[Grant] = Kept(CODE_LIFETIME)
        self._tokens: Kept[Grant] = Kept(TOKEN_LIFETIME)

    @cached_property
    def key(self) -> RSAKey | ECKey | OKPKey:
        """The private key for signatures, created at the first use because that is slow."""
        return new_key(self.algorithm)

    def routes(self) -> list[Route]:
        """Everything below the issuer, relative to its path."""
        return [
            Route("/.well-known/openid-configuration", self._get_metadata, methods=["GET"]),
            Route("/jwks", self._get_jwks, methods=["GET"]),
            Route("/authorize", self._authorize, methods=["GET"]),
            Route("/login/{login_id}", self._log_in, methods=["POST"]),
            Route("/cancel/{login_id}", self._cancel, methods=["POST"]),
            Route("/login.css", self._stylesheet, methods=["GET"]),
            Route("/token", self._exchange, methods=["POST"]),
            Route("/userinfo", self._get_userinfo, methods=["GET", "POST"]),
        ]

    # ------------------------------------------------------------------------------------- the answers, each overridable

    def metadata(self) -> dict[str, Any]:
        """The discovery document (OpenID Connect Discovery 1.0 section 3)."""
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.location}/authorize",
            "token_endpoint": f"{self.location}/token",
            "userinfo_endpoint": f"{self.location}/userinfo",
            "jwks_uri": f"{self.location}/jwks",
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [self.algorithm],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "code_challenge_methods_supported": ["S256"],
            "prompt_values_supported": ["login", "select_account"],
            "scopes_supported": ["openid", "email", "profile"],
            "claims_supported": ["sub", "email", "email_verified", "name"],
            "authorization_response_iss_parameter_supported": True,
        }

    def jwks(self) -> dict[str, Any]:
        return {"keys": [self.public_key()]}

    def claims(self, grant: Grant) -> dict[str, Any]:
        """The claims of the ID token, as the scopes allow."""
        now = int(self.clock().timestamp())
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "sub": grant.subject,
            "aud": grant.request.client_id,
            "exp": now + int(TOKEN_LIFETIME.total_seconds()),
            "iat": now,
            "auth_time": int(grant.granted_at.timestamp()),
            "at_hash": access_token_hash(grant.access_token, self.algorithm),
        }
        if grant.request.nonce is not None:
            claims["nonce"] = grant.request.nonce
        return claims | self.person(grant)

    def person(self, grant: Grant) -> dict[str, Any]:
        scopes = grant.request.scope.split()
        claims: dict[str, Any] = {}
        if "email" in scopes:
            claims |= {"email": grant.email, "email_verified": grant.email_verified}
        if "profile" in scopes:
            claims["name"] = _name_of(grant.email)
        return claims

    def header(self) -> dict[str, Any]:
        return {"alg": self.algorithm, "typ": "JWT", "kid": self.public_key()["kid"]}

    def sign(self, claims: dict[str, Any]) -> str:
        """A JWS in compact form (RFC 7515 section 7.1)."""
        signing_input = f"{_base64url(orjson.dumps(self.header()))}.{_base64url(orjson.dumps(claims))}"
        signature = JWSRegistry.algorithms[self.algorithm].sign(signing_input.encode(), self.key)
        return f"{signing_input}.{_base64url(signature)}"

    def token_response(self, grant: Grant) -> dict[str, Any]:
        """The token endpoint's answer (OpenID Connect Core 3.1.3.3)."""
        return {
            "access_token": grant.access_token,
            "token_type": "Bearer",
            "expires_in": int(TOKEN_LIFETIME.total_seconds()),
            "id_token": self.sign(self.claims(grant)),
        }

    def userinfo(self, grant: Grant) -> dict[str, Any]:
        return {"sub": grant.subject} | self.person(grant)

    def earlier_login(self, _: Request, __: AuthorizationRequest) -> Grant | None:
        """The login of the browser's session. This provider keeps no sessions, so every login is a fresh one."""
        return None

    def keep_login(self, grant: Grant, answer: Response) -> None:
        """Begins the browser's session, where the provider keeps sessions."""

    def authorization_response(self, request: AuthorizationRequest, result: dict[str, str]) -> dict[str, str]:
        """The parameters that go back to the client: a code or an error, its state, and who we are (RFC 9207)."""
        state = {} if request.state is None else {"state": request.state}
        return result | state | {"iss": self.issuer}

    def public_key(self) -> dict[str, Any]:
        public = self.key.as_dict(private=False)
        return {**public, "use": "sig", "alg": self.algorithm, "kid": self.key.thumbprint()}

    # ------------------------------------------------------------------------------------------------------ the endpoints

    async def _get_metadata(self, _: Request) -> Response:
        return JSONResponse(self.metadata(), headers=_HEADERS)

    async def _get_jwks(self, _: Request) -> Response:
        return JSONResponse(self.jwks(), headers=_HEADERS)

    async def _authorize(self, request: Request) -> Response:
        """The login page, or the redirect of a login that the browser has already."""
        parameters = request.query_params
        redirect_uri = parameters.get("redirect_uri", "")
        _, redirect_uris = self.clients.get(parameters.get("client_id", ""), ("", ()))
        if redirect_uri not in redirect_uris:
            # Sending the browser on would make an open redirector (RFC 9700 section 4.11).
            return self._page("openid_refused.html", status=400)
        login = AuthorizationRequest(
            parameters["client_id"], redirect_uri, parameters.get("code_challenge", ""), parameters.get("scope", ""),
            parameters.get("state"), parameters.get("nonce"),
        )  # fmt: skip
        error = _error_in(parameters)
        if error is not None:
            return self._redirect(login, {"error": error})
        grant = self.earlier_login(request, login)
        if grant is not None:
            return self._redirect(login, {"code": self._codes.keep(grant, self.clock())})
        login_id = self._logins.keep(login, self.clock())
        return self._page("openid_login.html", login_id=login_id, client=urlsplit(redirect_uri).netloc)

    async def _log_in(self, request: Request) -> Response:
        """The login form: `email`, `email_verified` (on or absent), and an optional `sub`."""
        form = await request.form()
        email, subject = _field(form, "email").strip(), _field(form, "sub").strip()
        if not 0 < len(email) <= _LONGEST_ADDRESS or len(subject) > _LONGEST_SUBJECT:
            return self._page("openid_refused.html", status=400)
        now = self.clock()
        login = self._logins.take(request.path_params["login_id"], now)
        if login is None:
            return self._page("openid_refused.html", status=400)
        grant = Grant(login, email, "email_verified" in form, subject or _subject_of(email), now)
        answer = self._redirect(login, {"code": self._codes.keep(grant, now)})
        self.keep_login(grant, answer)
        return answer

    async def _cancel(self, request: Request) -> Response:
        login = self._logins.take(request.path_params["login_id"], self.clock())
        return self._page("openid_refused.html", status=400) if login is None else self._redirect(
            login, {"error": "access_denied"}
        )  # fmt: skip

    async def _stylesheet(self, _: Request) -> Response:
        return Response((_HERE / "openid_login.css").read_bytes(), media_type="text/css", headers=_HEADERS)

    async def _exchange(self, request: Request) -> Response:
        try:
            return JSONResponse(self.token_response(self._granted(request, await request.form())), headers=_HEADERS)
        except ProtocolError as refusal:
            return JSONResponse({"error": refusal.error}, refusal.status, headers=_HEADERS)

    async def _get_userinfo(self, request: Request) -> Response:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        grant = self._tokens.look_up(token, self.clock()) if scheme.lower() == "bearer" else None
        if grant is None:
            challenge = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
            return JSONResponse({"error": "invalid_token"}, 401, headers=_HEADERS | challenge)
        return JSONResponse(self.userinfo(grant), headers=_HEADERS)

    def _granted(self, request: Request, form: FormData) -> Grant:
        """Redeems a code once, for its own client, redirect URI and verifier."""
        client_id = self.authenticated_client(request, form)
        if _field(form, "grant_type") != "authorization_code":
            raise ProtocolError("unsupported_grant_type")
        now = self.clock()
        grant = self._codes.take(_field(form, "code"), now)
        if grant is None or grant.request.client_id != client_id:
            raise ProtocolError("invalid_grant")
        if grant.request.redirect_uri != _field(form, "redirect_uri"):
            raise ProtocolError("invalid_grant")
        if not _is_verifier(_field(form, "code_verifier"), grant.request.code_challenge):
            raise ProtocolError("invalid_grant")
        return self._with_access_token(grant, now)

    def _with_access_token(self, grant: Grant, now: datetime) -> Grant:
        return replace(grant, access_token=self._tokens.keep(grant, now))

    def authenticated_client(self, request: Request, form: FormData) -> str:
        """client_secret_basic, or else client_secret_post (RFC 6749 section 2.3.1)."""
        client_id, client_secret = _basic_credentials(request) or (
            _field(form, "client_id"),
            _field(form, "client_secret"),
        )
        secret, _ = self.clients.get(client_id, ("", ()))
        if not secret or not hmac.compare_digest(secret.encode(), client_secret.encode()):
            raise ProtocolError("invalid_client", 401)
        return client_id

    def _redirect(self, request: AuthorizationRequest, result: dict[str, str]) -> Response:
        """303, so that a browser never sends the form on to the client (RFC 9700 section 4.12, H074)."""
        separator = "&" if urlsplit(request.redirect_uri).query else "?"
        query = urlencode(self.authorization_response(request, result))
        return RedirectResponse(f"{request.redirect_uri}{separator}{query}", 303, headers=_HEADERS)

    def _page(self, name: str, *, status: int = 200, **values: str) -> Response:
        path = urlsplit(self.location).path
        page = templates(_HERE).get_template(name).render(path=path, **values)
        return HTMLResponse(page, status, headers={**_HEADERS, "Content-Security-Policy": _PAGE_POLICY})


def new_key(algorithm: str) -> RSAKey | ECKey | OKPKey:
    """A private key that signs with the algorithm."""
    if algorithm.startswith("ES"):
        return ECKey.generate_key({"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}[algorithm])
    return OKPKey.generate_key("Ed25519") if algorithm in {"EdDSA", "Ed25519"} else RSAKey.generate_key(2048)


def _error_in(parameters: Mapping[str, str]) -> str | None:
    """OAuth's error code for an authorization request; None for a valid one."""
    if parameters.get("response_type") != "code":
        return "unsupported_response_type"
    if "openid" not in parameters.get("scope", "").split():
        return "invalid_scope"
    if parameters.get("code_challenge_method") != "S256" or not parameters.get("code_challenge"):
        return "invalid_request"
    if parameters.get("response_mode", "query") != "query":
        return "invalid_request"
    # The provider has no sessions.
    return "login_required" if parameters.get("prompt") == "none" else None


def _is_verifier(verifier: str, challenge: str) -> bool:
    """RFC 7636 section 4.6."""
    return hmac.compare_digest(_base64url(hashlib.sha256(verifier.encode()).digest()), challenge)


def _basic_credentials(request: Request) -> tuple[str, str] | None:
    """RFC 6749 section 2.3.1: both are form-encoded within."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        client_id, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:
        raise ProtocolError("invalid_client", 401) from None
    return unquote_plus(client_id), unquote_plus(secret)


def _field(form: FormData, name: str) -> str:
    value = form.get(name, "")
    return value if isinstance(value, str) else ""


def _subject_of(email: str) -> str:
    """The subject of an address, independent of its case."""
    return f"dev-{hashlib.sha256(email.lower().encode()).hexdigest()[:24]}"


def _name_of(email: str) -> str:
    """Ada Lovelace for ada.lovelace@example.com."""
    words = email.partition("@")[0].replace(".", " ").replace("_", " ").replace("-", " ").split()
    return " ".join(word.capitalize() for word in words) or email


def _base64url(text: bytes) -> str:
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()
