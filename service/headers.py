"""What every answer carries, failures too, and one log event for each request, without query strings and path secrets."""

import time
from typing import Final

import structlog
from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import metrics
from service.deadlines import TookTooLong
from service.settings import Settings

log = structlog.get_logger()

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self';"
    " base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
FAILED: Final = "Something went wrong here. It was logged; try again in a moment."
_ONE_YEAR: Final = 31_536_000


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
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._defaults.items():
                    headers.setdefault(name, value)
                if "origin" not in headers.get("vary", "").lower():
                    headers.add_vary_header("Origin")
            await send(message)

        await self._app(scope, receive, send_with_headers)


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
        began = time.perf_counter()
        try:
            await self._app(scope, receive, send)
        finally:
            log.info("websocket", route=_route(scope), seconds=round(time.perf_counter() - began, 1))


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
