"""Middleware: security headers, known hosts, access log and error responses."""

import re
import time
from typing import Final

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import metrics
from service.database.deadlines import TOOK_TOO_LONG, TookTooLong
from service.languages import localized, negotiated, override_language, sentence
from service.settings import Settings
from service.settings.origins import LOOPBACK_NAMES, host_of

log = structlog.get_logger()

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self';"
    " base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
INTERNAL_ERROR: Final = sentence("INTERNAL", "Something went wrong here. It was logged; try again in a moment.")
_ONE_YEAR: Final = 31_536_000

_HOST: Final = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(:[0-9]{0,5})?", re.IGNORECASE)
# Probes and Prometheus address each process by its IP address. These answers reveal nothing about the communities.
_FOR_ANY_HOST: Final = frozenset({"/healthz", "/readyz", "/metrics"})


# The second rejects a WebSocket handshake.
_RESPONSE_STARTS: Final = ("http.response.start", "websocket.http.response.start")

_HOST_EXPECTED: Final = sentence("HOST_INVALID", "Name exactly one host in the Host header.")
_OTHER_HOST: Final = sentence(
    "HOST_UNKNOWN", "This service has another host name. Use its public URL; a proxy in front of it passes Host on."
)


class ReaderLanguage:
    """Sets the language of a request or a connection by Accept-Language (`service.languages.negotiated`).

    Responses vary by it, except for scripts and styles.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return

        async def send_with_vary(message: Message) -> None:
            if message["type"] == "http.response.start" and not scope["path"].startswith("/static/"):
                headers = MutableHeaders(scope=message)
                if "accept-language" not in headers.get("vary", "").lower():
                    headers.add_vary_header("Accept-Language")
            await send(message)

        with override_language(negotiated(*Headers(scope=scope).getlist("accept-language"))):
            await self._app(scope, receive, send_with_vary)


class SecurityHeaders:
    """Adds strict default headers to each response (H112). A route may set its own values."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._defaults = {
            "content-security-policy": CONTENT_SECURITY_POLICY,
            "x-content-type-options": "nosniff",
            "referrer-policy": "no-referrer",
            "cache-control": "no-store",
            "cross-origin-opener-policy": "same-origin",
            "permissions-policy": "camera=(), geolocation=(), microphone=()",
        }
        if settings.public_url.startswith("https:"):
            self._defaults["strict-transport-security"] = f"max-age={_ONE_YEAR}; includeSubDomains"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] in _RESPONSE_STARTS:
                headers = MutableHeaders(scope=message)
                for name, value in self._defaults.items():
                    headers.setdefault(name, value)
                if "origin" not in headers.get("vary", "").lower():
                    headers.add_vary_header("Origin")
            await send(message)

        await self._app(scope, receive, send_with_headers)


class KnownHosts:
    """Rejects requests for another host than the service's own, before they reach a route (H191).

    With DNS rebinding, a hostile page resolves its own name to this machine and reads responses as same-origin. Known hosts
    are the host of PUBLIC_URL, with any port, and the names of loopback in development. X-Forwarded-Host is ignored.
    Responds 421 for an unknown host (RFC 9110 section 15.5.20), and 400 for a missing, repeated or malformed Host header
    (RFC 9112 section 3.2).
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._hosts = {host_of(settings.public_url)} | (LOOPBACK_NAMES if settings.development else frozenset())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        error = None
        if scope["type"] in {"http", "websocket"} and scope["path"] not in _FOR_ANY_HOST:
            error = self._check(scope)
        await (error or self._app)(scope, receive, send)

    def _check(self, scope: Scope) -> Response | None:
        """Returns an error response, or None for a known host."""
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        found = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
        if found is None:
            return _error_response(scope, 400, localized(_HOST_EXPECTED), _HOST_EXPECTED.code)
        if found[1].strip("[]").lower() in self._hosts:
            return None
        return _error_response(scope, 421, localized(_OTHER_HOST), _OTHER_HOST.code)


class AccessLog:
    """Logs one event for each request. It contains the route's pattern, because paths and queries contain tokens."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._connection(scope, receive, send)
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = time.perf_counter(), 500

        async def send_and_note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_and_note_status)
        finally:
            seconds = time.perf_counter() - start
            route = _route(scope)
            metrics.requests.labels(route, scope["method"] if route != "unknown" else "any", status).inc()
            metrics.seconds.labels(route).observe(seconds)
            log.info(
                "request", method=scope["method"], route=route, status=status, milliseconds=round(seconds * 1000, 1)
            )

    async def _connection(self, scope: Scope, receive: Receive, send: Send) -> None:
        start, rejection = time.perf_counter(), {}

        async def send_and_note_status(message: Message) -> None:
            if message["type"] == "websocket.http.response.start":
                rejection["status"] = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_and_note_status)
        finally:
            log.info("websocket", route=_route(scope), seconds=round(time.perf_counter() - start, 1), **rejection)


class ErrorResponses:
    """Logs unexpected errors, such as a lost database, and responds in plain words.

    The response has the same headers as every other (H117, H165).
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def send_and_note_start(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, send_and_note_start)
        except TookTooLong:
            log.warning("request.timeout", route=_route(scope))
            if started:
                raise
            await _error_response(scope, 503, localized(TOOK_TOO_LONG), "TIMEOUT")(scope, receive, send)
        except Exception as error:
            log.error("request.failed", route=_route(scope), exc_info=error)  # noqa: TRY400 -- without its text
            if started:
                raise
            await _error_response(scope, 500, localized(INTERNAL_ERROR), "INTERNAL")(scope, receive, send)


def _error_response(scope: Scope, status: int, message: str, code: str | None = None) -> Response:
    """Returns an error as JSON for /graphql, and as text for other paths."""
    if scope["path"] == "/graphql":
        extensions = {"extensions": {"code": code}} if code else {}
        return JSONResponse({"errors": [{"message": message, **extensions}]}, status)
    return PlainTextResponse(message, status)


def _route(scope: Scope) -> str:
    return getattr(scope.get("route"), "path", "unknown")
