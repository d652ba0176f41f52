"""A hostile OpenID Provider on loopback: the development provider with faults in every part of its answers.

    async with running_provider() as provider:
        settings = load_settings(environ={}, providers={"idp": provider.registration()}, ...)
        ...
        provider.claim_changes = {"aud": "another client"}
        callback = await provider.sign_in(authorization_url, email="bob@example.com")

`behave()` resets all changes.
"""

import asyncio
import base64
import hashlib
import hmac
import secrets
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from html.parser import HTMLParser
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import httpx2
import orjson
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry
from joserfc.util import urlsafe_b64decode
from starlette.applications import Starlette
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from service.dev.openid_provider import AuthorizationRequest, Grant, OpenIDProvider, ProtocolError, new_key
from tests.support.loopback import bound_socket, running
from tests.support.service import http_client

CLIENT_ID: Final = "guestlist-at-the-provider"
CLIENT_SECRET: Final = "a secret with +, / and : in it"
PUBLIC_URL: Final = "http://localhost:8000"
PROVIDER_NAMES: Final = ("idp", "google", "microsoft", "other")

_SESSION: Final = "session_at_the_provider"

ABSENT: Final = object()
"""As a change's value: removes the member."""

Fault = Callable[[Scope, Receive, Send], Awaitable[None]]
Key = RSAKey | ECKey | OKPKey


@cache
def key_for(algorithm: str, name: str = "first") -> Key:
    """Returns a private key by name. Keys are cached, because generating RSA keys is slow."""
    del name
    return new_key(algorithm)


class HostileProvider(OpenIDProvider):
    """Behaves correctly until `..._changes`, `signing` or `faults` are set.

    With `sessions = {}` it keeps sessions, and `honours` names the parameters that make it show its login.
    Endpoints in `moved` answer 410 at the old path. The discovery document names the new path.
    """

    def __init__(
        self,
        issuer: str,
        *,
        location: str | None = None,
        algorithm: str = "RS256",
        clock: Callable[[], datetime],
        redirect_uris: tuple[str, ...] = (),
    ) -> None:
        self.algorithm = algorithm
        known = tuple(f"{PUBLIC_URL}/auth/{name}/callback" for name in PROVIDER_NAMES)
        clients = {CLIENT_ID: (CLIENT_SECRET, (*known, *redirect_uris))}
        super().__init__(issuer, clients, clock=clock, key=key_for(algorithm))
        self.location = location or self.location
        self.released = asyncio.Event()
        self.requests: Counter[str] = Counter()
        self.received: dict[str, httpx2.Headers] = {}
        self.behave()

    def behave(self) -> None:
        """Resets all changes. Keys and codes remain."""
        self.claim_changes: dict[str, Any] = {}
        self.header_changes: dict[str, Any] = {}
        self.metadata_changes: dict[str, Any] = {}
        self.token_changes: dict[str, Any] = {}
        self.userinfo_changes: dict[str, Any] = {}
        self.response_changes: dict[str, Any] = {}
        self.further_keys: list[dict[str, Any]] = []
        self.published: dict[str, Any] | None = None
        self.signing = "honest"
        self.faults: dict[str, Fault] = {}
        self.moved: dict[str, str] = {}
        self.assertions: set[str] = set()
        self.registered_method: str | None = None
        self.client_key: Key | None = None
        self.sessions: dict[str, Grant] | None = None
        self.honours: set[str] = {"prompt", "max_age"}
        self._further_claims: dict[str, dict[str, Any]] = {}

    def rotate(self, name: str, *, kid: str | None = None) -> None:
        """Replaces the key for signing and publishing, with its own kid or the given one."""
        self.key = key_for(self.algorithm, name)
        self.kid = kid

    kid: str | None = None

    # ----------------------------------------------------------------------------------------- parts that can be broken

    def metadata(self) -> dict[str, Any]:
        moved = {f"{self.location}{old}": f"{self.location}{new}" for old, new in self.moved.items()}
        honest = {name: moved.get(str(value), value) for name, value in super().metadata().items()}
        return changed(honest, self.metadata_changes)

    def jwks(self) -> dict[str, Any]:
        if self.published is not None:
            return self.published
        return {"keys": [*self.further_keys, self.public_key()]}

    def public_key(self) -> dict[str, Any]:
        public = super().public_key()
        return {**public, "kid": self.kid or public["kid"]}

    def header(self) -> dict[str, Any]:
        return changed(super().header(), self.header_changes)

    def claims(self, grant: Grant) -> dict[str, Any]:
        honest = super().claims(grant) | self._further_claims.get(grant.email, {})
        return changed(honest, self.claim_changes)

    def sign(self, claims: dict[str, Any]) -> str:
        return _FORGERIES[self.signing](self, claims)

    def honestly_signed(self, claims: dict[str, Any]) -> str:
        return super().sign(claims)

    def token_response(self, grant: Grant) -> dict[str, Any]:
        return changed(super().token_response(grant), self.token_changes)

    def userinfo(self, grant: Grant) -> dict[str, Any]:
        return changed(super().userinfo(grant), self.userinfo_changes)

    def authorization_response(self, request: AuthorizationRequest, result: dict[str, str]) -> dict[str, str]:
        return changed(super().authorization_response(request, result), self.response_changes)

    def authenticated_client(self, request: Request, form: FormData) -> str:
        """Accepts private_key_jwt by `client_key`. With `registered_method` it refuses every other method."""
        assertion = str(form.get("client_assertion", ""))
        by_header = "authorization" in request.headers
        used = "private_key_jwt" if assertion else "client_secret_basic" if by_header else "client_secret_post"
        if self.registered_method not in {None, used}:
            raise ProtocolError("invalid_client", 401)
        return self._asserted_client(assertion) if assertion else super().authenticated_client(request, form)

    def _asserted_client(self, assertion: str) -> str:
        """Verifies an assertion (RFC 7523 section 3)."""
        assert self.client_key is not None
        head, payload, signature = (urlsafe_b64decode(part.encode()) for part in assertion.split("."))
        header, claims, now = orjson.loads(head), orjson.loads(payload), self.clock().timestamp()
        assert header["kid"] == self.client_key.thumbprint()
        signing_input = assertion.rpartition(".")[0].encode()
        assert JWSRegistry.algorithms[header["alg"]].verify(signing_input, signature, self.client_key)
        fresh = now - 60 <= claims["iat"] <= now < claims["exp"] <= now + 120
        named = (claims["iss"], claims["sub"], claims["aud"]) == (CLIENT_ID, CLIENT_ID, f"{self.location}/token")
        if not (fresh and named) or claims["jti"] in self.assertions:
            raise ProtocolError("invalid_client", 401)
        self.assertions.add(claims["jti"])
        return CLIENT_ID

    # ------------------------------------------------------------------------------------------------------- sessions

    def earlier_login(self, request: Request, login: AuthorizationRequest) -> Grant | None:
        """Returns the login of the browser's session, unless the request asks for a fresh one in a way that `honours` has."""
        earlier = (self.sessions or {}).get(request.cookies.get(_SESSION, ""))
        asked = request.query_params
        prompted = "prompt" in self.honours and {"login", "select_account"} & set(asked.get("prompt", "").split())
        aged = "max_age" in self.honours and asked.get("max_age") == "0"
        return None if earlier is None or prompted or aged else replace(earlier, request=login)

    def keep_login(self, grant: Grant, answer: Response) -> None:
        """Begins a session when `sessions` is a dictionary."""
        if self.sessions is not None:
            name = secrets.token_urlsafe(16)
            self.sessions[name] = grant
            answer.set_cookie(_SESSION, name, httponly=True)

    # ------------------------------------------------------------------------------------------ registration and logins

    def registration(self, **changes: Any) -> dict[str, Any]:
        """Returns PROVIDERS__NAME for this provider. The kind is oidc for any domain unless `changes` override it."""
        kind = changes.get("kind", "oidc")
        given = {"issuer": self.issuer, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
        return given | ({"email_domains": ["*"]} if kind == "oidc" else {}) | changes

    async def sign_in(
        self,
        authorization_url: str,
        *,
        email: str = "bob@example.com",
        email_verified: bool = True,
        sub: str | None = None,
        **claims: Any,
    ) -> dict[str, str]:
        """Fills in and submits the login page. Returns the query parameters of the callback."""
        url = await self.callback_url(
            authorization_url, email=email, email_verified=email_verified, sub=sub, **claims
        )  # fmt: skip
        return dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))

    async def callback_url(
        self,
        authorization_url: str,
        *,
        email: str,
        email_verified: bool = True,
        sub: str | None = None,
        cancel: bool = False,
        **claims: Any,
    ) -> str:
        """Returns the redirect of the login page. `claims` are added to the ID token."""
        self._further_claims[email] = claims
        async with http_client(trust_env=False) as browser:
            page = await browser.get(authorization_url)
            assert page.status_code == 200, page.text
            form = LoginForm.parse(page.text)
            fields = {
                "email": email,
                **({"sub": sub} if sub else {}),
                **({"email_verified": "on"} if email_verified else {}),
            }
            answer = await browser.post(str(page.url.join(form.cancel if cancel else form.action)), data=fields)
        assert answer.status_code == 303, answer.text
        return str(answer.headers["location"])

    def application(self) -> ASGIApp:
        path = urlsplit(self.location).path
        honest = Starlette(routes=[Mount(path, routes=self.routes())])

        async def counting(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await honest(scope, receive, send)
                return
            name = scope["path"].removeprefix(path)
            self.requests[name] += 1
            self.received[name] = httpx2.Headers(scope["headers"])
            fault = answering("gone", 410) if name in self.moved else self.faults.get(name, honest)
            old = next((old for old, new in self.moved.items() if new == name), name)
            await fault({**scope, "path": path + old, "raw_path": (path + old).encode()}, receive, send)

        return counting


class LoginForm(HTMLParser):
    """Parses the form of the login page."""

    def __init__(self) -> None:
        super().__init__()
        self.action = ""
        self.cancel = ""
        self.fields: dict[str, dict[str, str | None]] = {}

    @classmethod
    def parse(cls, page: str) -> "LoginForm":
        form = cls()
        form.feed(page)
        return form

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "form":
            self.action = values["action"] or ""
        if tag == "input":
            self.fields[values["name"] or ""] = values
        if tag == "button" and "formaction" in values:
            self.cancel = values["formaction"] or ""


def changed(honest: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Applies changes to members. A function receives the correct value, and ABSENT removes the member."""
    members = dict(honest)
    for name, change in changes.items():
        value = change(honest.get(name)) if callable(change) else change
        members[name] = value
    return {name: value for name, value in members.items() if value is not ABSENT}


# ---------------------------------------------------------------------------------------------------------- forged tokens


def _unsigned(provider: HostileProvider, claims: dict[str, Any]) -> str:
    return f"{encoded(provider.header() | {'alg': 'none'})}.{encoded(claims)}."


def _with_secret(secret: bytes) -> Callable[[HostileProvider, dict[str, Any]], str]:
    def sign(provider: HostileProvider, claims: dict[str, Any]) -> str:
        signing_input = f"{encoded(provider.header() | {'alg': 'HS256'})}.{encoded(claims)}"
        return f"{signing_input}.{_base64url(hmac.digest(secret, signing_input.encode(), hashlib.sha256))}"

    return sign


def _with_public_key(provider: HostileProvider, claims: dict[str, Any]) -> str:
    return _with_secret(provider.key.as_pem(private=False))(provider, claims)


def _with_another_key(provider: HostileProvider, claims: dict[str, Any]) -> str:
    own, provider.key = provider.key, key_for(provider.algorithm, "another key")
    try:
        return provider.honestly_signed(claims)
    finally:
        provider.key = own


def _tampered(provider: HostileProvider, claims: dict[str, Any]) -> str:
    header, _, signature = provider.honestly_signed(claims).split(".")
    return f"{header}.{encoded(claims | {'sub': 'another-person'})}.{signature}"


def _without_signature(provider: HostileProvider, claims: dict[str, Any]) -> str:
    return provider.honestly_signed(claims).rpartition(".")[0] + "."


SHARED_SECRET: Final = OctKey.generate_key(256, {"kid": "shared", "use": "sig", "alg": "HS256"})

_FORGERIES: Final[dict[str, Callable[[HostileProvider, dict[str, Any]], str]]] = {
    "honest": HostileProvider.honestly_signed,
    "none": _unsigned,
    "client_secret": _with_secret(CLIENT_SECRET.encode()),
    "public_key": _with_public_key,
    "published_secret": _with_secret(SHARED_SECRET.raw_value),
    "another_key": _with_another_key,
    "tampered": _tampered,
    "no_signature": _without_signature,
}


def encoded(value: dict[str, Any]) -> str:
    return _base64url(orjson.dumps(value))


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


# ------------------------------------------------------------------------------------------------------- broken answers


def answering(body: bytes | str, status: int = 200, **headers: str) -> Fault:
    """Returns a fault that always sends this answer."""
    return Response(body, status, {name.replace("_", "-"): value for name, value in headers.items()})


def redirecting(location: str, status: int = 302, body: bytes = b"") -> Fault:
    return answering(body, status, location=location)


def compressed_zeros(size: int) -> Fault:
    """Returns a fault that sends a few kilobytes, which expand to `size` bytes."""
    packer = zlib.compressobj(wbits=31)
    return answering(packer.compress(bytes(size)) + packer.flush(), content_encoding="gzip")


def endless(size: int = 64_000_000) -> Fault:
    """Returns a fault that sends a body far over every limit."""

    async def answer(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        chunk = bytes(65536)
        for _number in range(size // len(chunk)):
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await asyncio.sleep(0)

    return answer


def dripping(provider: HostileProvider) -> Fault:
    """Returns a fault that sends a byte shortly before each read timeout."""

    async def answer(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while not provider.released.is_set():
            await send({"type": "http.response.body", "body": b" ", "more_body": True})
            try:
                await asyncio.wait_for(provider.released.wait(), 0.02)
            except TimeoutError:
                continue

    return answer


def stalling(provider: HostileProvider) -> Fault:
    """Returns a fault that answers once the provider is released."""

    async def answer(_: Scope, __: Receive, ___: Send) -> None:
        await provider.released.wait()

    return answer


# ----------------------------------------------------------------------------------------------------------------- running


@asynccontextmanager
async def running_provider(
    path: str = "",
    *,
    issuer_path: str | None = None,
    algorithm: str = "RS256",
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    redirect_uris: tuple[str, ...] = (),
) -> AsyncIterator[HostileProvider]:
    """Runs a provider on loopback below `path`.

    Its issuer is `issuer_path`, or else the same path. The issuer may be a template such as /{tenantid}/v2.0, or end in
    a slash.
    """
    with bound_socket() as listening:
        origin = f"http://127.0.0.1:{listening.getsockname()[1]}"
        provider = HostileProvider(
            origin + (path if issuer_path is None else issuer_path),
            location=origin + path.rstrip("/"),
            algorithm=algorithm,
            clock=clock,
            redirect_uris=redirect_uris,
        )
        async with running(provider.application(), listening, lifespan="off", ws="none"):
            yield provider
            provider.released.set()
