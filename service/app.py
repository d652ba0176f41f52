"""The composition root: assembles the rooms into one web application. Only this module imports schema/."""

import asyncio
import contextvars
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from schema.context import Context
from schema.http import (
    MOST_BYTES,
    VIEWER_HEADER,
    BadRequest,
    GraphQLEndpoint,
    bearer_of,
    challenge_of,
    refuse_unknown_bearer,
)
from schema.schema import build
from service import changes, database, exports, metrics
from service.accounts.access_tokens import caller_of_access_token, touch_access_token
from service.accounts.caller import Caller
from service.accounts.sessions import Browser, caller_of_session, touch_session
from service.clock import Clock, system_clock
from service.communities.access import CommunityAccess, community_access
from service.database.shares import Shares, TooManyAtOnce
from service.delivery import sns
from service.delivery.sns import FetchCertificate
from service.delivery.worker import Worker
from service.errors import ExpectedError, InvalidInput, NotPermitted
from service.languages import localized, sentence
from service.mail.errors import MailUnsafe
from service.mail.senders import MailSender
from service.openid import RelyingParty
from service.settings import Settings
from service.sign_in import callback
from service.sign_in.flow_cookie import FlowCookie
from service.sign_in.flows import Flows
from service.tokens import Token
from service.web import mail_actions, pages
from service.web.cookies import read_cookie
from service.web.export_filter import filter_of
from service.web.middleware import AccessLog, ErrorResponses, KnownHosts, ReaderLanguage, SecurityHeaders
from service.web.ses_webhook import SesWebhook

log = structlog.get_logger()

_GET_ONLY: Final = sentence("METHOD_NOT_ALLOWED", "The return of a sign-in is a GET.")
_NO_EXPORT: Final = sentence("NOT_FOUND", "There is no such export that you may have.")

_FLOW_COOKIE_LIFETIME: Final = timedelta(hours=1)


class Guestlist:
    """The state of one process, which its endpoints share."""

    def __init__(
        self, settings: Settings, clock: Clock, *, sender: MailSender | None, fetch_certificate: FetchCertificate
    ) -> None:
        self.settings, self.clock = settings, clock
        self.shares = Shares(database.pool_size(settings.database_url.get_secret_value()))
        self.unsubscribe = mail_actions.unsubscribe(clock)
        self.lift_block = mail_actions.lift_block(clock)
        self.ses_webhook = SesWebhook(settings, clock, fetch=fetch_certificate)
        self.flows = Flows(RelyingParty(settings), settings)
        self.worker = None if sender is None else Worker(settings, sender, clock)
        self.graphql = GraphQLEndpoint(
            build(development=settings.development), settings, self._context, self._set_cookies
        )

    # ------------------------------------------------------------------------------------------------------- endpoints

    async def callback(self, request: Request) -> Response:
        """GET /auth/{provider}/callback: the return of a login."""
        provider_id = request.path_params["provider_id"]
        if request.method != "GET":  # Starlette adds HEAD. Scanners send it, and it must not consume the return
            return PlainTextResponse(localized(_GET_ONLY), 405, {"allow": "GET"})
        if not self.flows.relying_party.knows(provider_id):
            return pages.not_found(request)
        if not request.query_params.get("state"):
            return pages.not_begun(request)
        result = await callback.finish(
            self.flows,
            provider_id,
            request.query_params,
            cookie=self._flow_cookie(request),
            browser=Browser(self._session_cookie(request), request.headers.get("user-agent")),
            now=self.clock(),
        )
        if result is None:
            return pages.wrong_browser(request)
        response = RedirectResponse(result.location, 303)
        if result.session is not None:
            self._set_session(response, result.session)
        return response

    async def export(self, request: Request) -> Response:
        """GET /export/{community_id}/{what}.csv: for an admin with a session or an access token. Others get 404.

        The parameters of the URL are a filter; a wrong one gets 400. A wrong access token gets 401, or 429 above the limit
        of the client's attempts.
        """
        try:
            what, bearer = exports.Export(request.path_params["what"]), bearer_of(request)
            context = await self._context(request, bearer)
            await refuse_unknown_bearer(context, bearer)
            await _admin_access(context, request.path_params["community_id"])
            conditions = filter_of(what, request.query_params)
        except BadRequest as error:
            return PlainTextResponse(localized(error.sentence), error.status, challenge_of(error.status))
        except InvalidInput as error:
            return PlainTextResponse(localized(error.sentence), 400)
        except (ExpectedError, ValueError):
            return PlainTextResponse(localized(_NO_EXPORT), 404)
        community_id = request.path_params["community_id"]
        lines = exports.export(
            conditions, lambda: _admin_access(context, community_id), now=context.now, settings=self.settings
        )
        return _Download(lines, f"{what}.csv", context)

    async def readyz(self, _: Request) -> Response:
        """Readiness: the database answers and every migration is applied."""
        try:
            async with asyncio.timeout(3):
                await database.select("SELECT 1 AS one")  # an unreadable table counts as missing
                missing = await database.pending(self.settings.database_url.get_secret_value())
        except Exception as error:  # noqa: BLE001 -- any failure means not ready; the next probe checks again
            log.warning("readyz.failed", error=type(error).__name__)
            return JSONResponse({"ready": False, "database": "does not answer"}, 503)
        return JSONResponse({"ready": not missing, "pending_migrations": missing}, 503 if missing else 200)

    async def metrics(self, _: Request) -> Response:
        return Response(await metrics.exposition(self.clock()), media_type=metrics.CONTENT_TYPE_LATEST)

    # ----------------------------------------------------------------------------------------------- requests and answers

    async def _context(self, request: HTTPConnection, bearer: str | None = None) -> Context:
        """The context of a request. An access token identifies the caller; without one, the cookies do."""
        now = self.clock()
        session_cookie = self._session_cookie(request) if bearer is None else None
        return Context(
            settings=self.settings,
            flows=self.flows,
            now=now,
            clock=self.clock,
            shares=self.shares,
            load_caller=lambda: self._caller(session_cookie, bearer, self.clock()),
            caller=await self._caller(session_cookie, bearer, now),
            client=request.client.host if request.client else "unknown",
            user_agent=request.headers.get("user-agent"),
            session_cookie=session_cookie,
            flow_cookie=self._flow_cookie(request) if bearer is None else FlowCookie(),
        )

    def _session_cookie(self, request: HTTPConnection) -> str | None:
        return read_cookie(request.scope, self.settings.session_cookie)

    def _flow_cookie(self, request: HTTPConnection) -> FlowCookie:
        return FlowCookie.from_value(read_cookie(request.scope, self.settings.flow_cookie))

    async def _caller(self, session_cookie: str | None, bearer: str | None, now: datetime) -> Caller | None:
        if bearer is not None:
            return await caller_of_access_token(bearer, now=now)
        return await caller_of_session(session_cookie, now=now, settings=self.settings)

    async def _set_cookies(self, response: Response, context: Context) -> None:
        if context.caller is not None and context.caller.grant is not None:
            await touch_access_token(context.caller, now=context.now)
            return
        if context.set_flow is not None:
            self._set_cookie(response, self.settings.flow_cookie, context.set_flow.value, _FLOW_COOKIE_LIFETIME)
        if context.set_session is not None:
            self._set_session(response, context.set_session)
        elif context.end_session:
            self._set_cookie(response, self.settings.session_cookie, "", timedelta(0))
        elif context.caller is not None:
            await touch_session(context.caller, now=context.now)

    def _set_session(self, response: Response, session: Token) -> None:
        lifetime = timedelta(days=self.settings.session_days)
        self._set_cookie(response, self.settings.session_cookie, session, lifetime)

    def _set_cookie(self, response: Response, name: str, value: str, lifetime: timedelta) -> None:
        response.set_cookie(
            name, value, max_age=int(lifetime.total_seconds()), path="/", httponly=True, samesite="lax",
            secure=self.settings.secure_cookies,
        )  # fmt: skip

    # ---------------------------------------------------------------------------------------------------------- lifetime

    @asynccontextmanager
    async def running(self, _: Starlette) -> AsyncIterator[None]:
        """Runs the database, the listener and the worker while the process serves, and ends them in order."""
        try:
            async with AsyncExitStack() as stack:
                await self._start(stack)
                yield
        except (database.DatabaseUnavailable, MailUnsafe) as error:
            log.error("serving.failed", reason=str(error))  # noqa: TRY400 -- the message is complete
            raise
        except Exception:
            log.exception("serving.failed")
            raise

    async def _start(self, stack: AsyncExitStack) -> None:
        await database.connect(
            self.settings.database_url.get_secret_value(), statement_seconds=self.settings.statement_seconds
        )
        stack.push_async_callback(database.disconnect)
        stack.push_async_callback(self.flows.relying_party.close)
        stopping = asyncio.Event()
        if database.is_postgres():
            await stack.enter_async_context(_background(lambda: changes.listen(stopping), stopping))
        if self.worker is not None:
            worker = self.worker
            await worker.check()
            await stack.enter_async_context(_background(lambda: worker.run(stopping), stopping))


class _Download(StreamingResponse):
    """A file that is read while it is sent, within its reader's share. It stops when the reader disconnects."""

    def __init__(self, lines: AsyncGenerator[str, None], name: str, context: Context) -> None:
        headers = {"content-disposition": f'attachment; filename="{name}"'}
        super().__init__(lines, media_type="text/csv; charset=utf-8", headers=headers)
        self._lines, self._context = lines, context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with self._context.turn():
                await super().__call__(scope, receive, send)
        except TooManyAtOnce as error:
            await PlainTextResponse(localized(error.sentence), 429)(scope, receive, send)
        finally:
            await self._lines.aclose()


async def _admin_access(context: Context, community_id: str) -> CommunityAccess:
    """The caller's current access as an admin. Raises ExpectedError for other callers."""
    caller = await context.load_caller()
    access = await community_access(caller, community_id, context.settings)
    if not access.is_admin:
        raise NotPermitted(sentence("NOT_PERMITTED", "Only admins and owners export."))
    return access


@asynccontextmanager
async def _background(work: Callable[[], Coroutine[Any, Any, None]], stopping: asyncio.Event) -> AsyncIterator[None]:
    """Runs a background task in its own context, and waits at the end until it has finished its current work."""
    task = asyncio.create_task(work(), context=contextvars.Context())
    try:
        yield
    finally:
        stopping.set()
        await task


def printed_schema() -> str:
    """The SDL of the running schema."""
    return build(development=False).as_str() + "\n"


def create_app(
    settings: Settings,
    *,
    clock: Clock = system_clock,
    sender: MailSender | None = None,
    fetch_certificate: FetchCertificate = sns.fetch_certificate,
    further_routes: list[BaseRoute] | None = None,
) -> Starlette:
    """The web application. With a `sender` it delivers mail too. `further_routes` are those of development.

    `fetch_certificate` is the door to the certificates of Amazon SNS.
    """
    guestlist = Guestlist(settings, clock, sender=sender, fetch_certificate=fetch_certificate)
    routes: list[BaseRoute] = [
        Route("/graphql", guestlist.graphql.answer, methods=["POST"]),
        WebSocketRoute("/graphql", guestlist.graphql.subscriptions.websocket),
        Route("/auth/{provider_id}/callback", guestlist.callback, methods=["GET"]),
        Route("/unsubscribe/{token}", guestlist.unsubscribe.show, methods=["GET"]),
        Route("/unsubscribe/{token}", guestlist.unsubscribe.submit, methods=["POST"]),
        Route("/blocks/{token}", guestlist.lift_block.show, methods=["GET"]),
        Route("/blocks/{token}", guestlist.lift_block.submit, methods=["POST"]),
        Route("/webhooks/ses", guestlist.ses_webhook.respond, methods=["POST"]),
        Route("/export/{community_id}/{what}.csv", guestlist.export, methods=["GET"]),
        Route("/healthz", _healthz, methods=["GET"]),
        Route("/readyz", guestlist.readyz, methods=["GET"]),
        Route("/metrics", guestlist.metrics, methods=["GET"]),
        *pages.routes(),
        *(further_routes or []),
    ]
    app = Starlette(
        routes=routes,
        middleware=_middleware(settings),
        lifespan=guestlist.running,
        exception_handlers={404: pages.not_found_handler, 413: _grew_too_large},
    )
    # A path with an additional slash is not found, because the redirect would go to the host of the request (H091).
    app.router.redirect_slashes = False
    app.state.guestlist = guestlist
    return app


# Headers that Apollo Client and tracers add to every request. A preflight that refuses one fails the whole request.
_HEADERS_OF_CLIENTS: Final = (
    "apollo-require-preflight", "apollographql-client-name", "apollographql-client-version", "baggage", "traceparent",
    "tracestate", "x-request-id",
)  # fmt: skip


def _middleware(settings: Settings) -> list[Middleware]:
    proxies = [Middleware(ProxyHeadersMiddleware, trusted_hosts=[str(proxy) for proxy in settings.trusted_proxies])]
    return [
        *(proxies if settings.trusted_proxies else []),
        Middleware(AccessLog),
        Middleware(ReaderLanguage),
        Middleware(SecurityHeaders, settings=settings),
        Middleware(KnownHosts, settings=settings),
        Middleware(
            CORSMiddleware,
            allow_origins=list(settings.allowed_origins),
            allow_credentials=True,
            allow_methods=["GET", "POST"],
            allow_headers=["content-type", "authorization", VIEWER_HEADER, *_HEADERS_OF_CLIENTS],
            expose_headers=[VIEWER_HEADER],
            max_age=600,
        ),
        Middleware(_BodyLimit),
        Middleware(ErrorResponses),
    ]


class _BodyLimit:
    """Refuses a body that is announced as too large before a byte of it is read, as Starlette's own limit does with one
    that is not announced; but in words.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = RequestBodyLimitMiddleware(app, MOST_BYTES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        announced = Headers(scope=scope).get("content-length", "") if scope["type"] == "http" else ""
        is_too_large = announced.isdecimal() and int(announced) > MOST_BYTES
        await (_too_large() if is_too_large else self._app)(scope, receive, send)


def _too_large() -> Response:
    reason = sentence(
        "BODY_TOO_LARGE", "The body is too large; at most %(most)s kB were expected.", most=MOST_BYTES // 1024
    )
    return JSONResponse({"errors": [{"message": localized(reason), "extensions": {"code": reason.code}}]}, 413)


async def _grew_too_large(_: Request, __: Exception) -> Response:
    return _too_large()


async def _healthz(_: Request) -> Response:
    return PlainTextResponse("ok")
