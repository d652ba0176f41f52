"""What every answer carries, failures too, and one log event for each request, without query strings and path secrets."""

import re
import time
from typing import Final

import structlog
from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import metrics
from service.database.deadlines import TookTooLong
from service.settings import Settings
from service.settings.origins import host_of

log = structlog.get_logger()

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self';"
    " base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
FAILED: Final = "Something went wrong here. It was logged; try again in a moment."
_ONE_YEAR: Final = 31_536_000

_HOST: Final = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(:[0-9]{0,5})?", re.IGNORECASE)
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
# Probes and Prometheus address each process by its IP address. These answers reveal nothing about the communities.
_FOR_ANY_HOST: Final = frozenset({"/healthz", "/readyz", "/metrics"})


# The second is the answer to a WebSocket handshake that is refused.
_RESPONSE_STARTS: Final = ("http.response.start", "websocket.http.response.start")


class SecurityHeaders:
    """Strict defaults for every answer (H112); a route that needs another policy sets its own."""

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
    """Answers requests that name another host than the service's own, before a route sees them (H191).

    A page whose name is made to resolve to this machine (DNS rebinding) is of the same origin as the answers that it
    reads. Known are the host of PUBLIC_URL, with any port, and in development the names of loopback; X-Forwarded-Host
    does not count. Unknown hosts are 421 (RFC 9110 section 15.5.20), and a Host that is missing, doubled or malformed
    is 400 (RFC 9112 section 3.2).
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._known = {host_of(settings.public_url)} | (_LOOPBACK if settings.development else frozenset())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused = None
        if scope["type"] in {"http", "websocket"} and scope["path"] not in _FOR_ANY_HOST:
            refused = self._refusal(scope)
        await (refused or self._app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        found = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
        if found is None:
            return _worded(scope, "Name exactly one host in the Host header.", 400)
        if found[1].strip("[]").lower() in self._known:
            return None
        message = "This service has another host name. Use its public URL; a proxy in front of it passes Host on."
        return _worded(scope, message, 421)


def _worded(scope: Scope, message: str, status: int) -> Response:
    """An error as clients of the path expect it."""
    if scope["path"] == "/graphql":
        return JSONResponse({"errors": [{"message": message}]}, status)
    return PlainTextResponse(message, status)


class AccessLog:
    """One event a request, with the route's pattern in place of its path: paths and queries carry tokens."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._connection(scope, receive, send)
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            seconds = time.perf_counter() - began
            route = _route(scope)
            metrics.requests.labels(route, scope["method"] if route != "unknown" else "any", status).inc()
            metrics.seconds.labels(route).observe(seconds)
            log.info(
                "request", method=scope["method"], route=route, status=status, milliseconds=round(seconds * 1000, 1)
            )

    async def _connection(self, scope: Scope, receive: Receive, send: Send) -> None:
        began, refused = time.perf_counter(), {}

        async def noting(message: Message) -> None:
            if message["type"] == "websocket.http.response.start":
                refused["status"] = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            log.info("websocket", route=_route(scope), seconds=round(time.perf_counter() - began, 1), **refused)


class Failures:
    """What nobody expected, the database gone in the middle of a request for one, is logged and answered in plain words,
    with the headers of every other answer (H117, H165).
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def noting(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except TookTooLong as error:
            log.warning("request.timeout", route=_route(scope))
            if begun:
                raise
            await _failed(scope, 503, str(error), "TIMEOUT")(scope, receive, send)
        except Exception as error:
            log.error("request.failed", route=_route(scope), exc_info=error)  # noqa: TRY400 -- without its text
            if begun:
                raise
            await _failed(scope, 500, FAILED, "INTERNAL")(scope, receive, send)


def _failed(scope: Scope, status: int, message: str, code: str) -> Response:
    if scope["path"] == "/graphql":
        return JSONResponse({"errors": [{"message": message, "extensions": {"code": code}}]}, status)
    return PlainTextResponse(message, status)


def _route(scope: Scope) -> str:
    return getattr(scope.get("route"), "path", "unknown")
