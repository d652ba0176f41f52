"""POST /graphql: one operation per request, as JSON, from our own pages and allowed origins."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus
from typing import Any, Final

import orjson
from graphql import ExecutionResult, GraphQLError
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import Response
from starlette.types import Receive

from schema.context import Context
from schema.schema import Schema, format_error
from schema.subscription_transport import MakeContext, SubscriptionTransport, accepts_event_stream, is_subscription
from service.accounts.sessions import refuse_other_member
from service.database.deadlines import TOOK_TOO_LONG
from service.database.shares import TooManyAtOnce
from service.errors import NotSignedIn, RateLimited, SessionChanged
from service.languages import Sentence, localized, sentence
from service.settings import Settings
from service.settings.origins import host_of, is_loopback
from service.web.cookies import has_cookies

MOST_BYTES: Final = 512 * 1024

# A request names the member whom its page shows. Every response names the member of its session, or "none". A page that
# still shows another member sees the difference, and the service refuses its request.
VIEWER_HEADER: Final = "Guestlist-Viewer"
_NO_VIEWER: Final = "none"

_TIMEOUT: Final = 30.0  # seconds for an operation, including its wait in the caller's line
_CLIENT_GONE: Final = 499  # a status for the access log and the metrics; the client has disconnected

_NEEDS_STREAM: Final = sentence(
    "BAD_REQUEST", "A subscription needs Accept: text/event-stream, or a WebSocket (graphql-transport-ws)."
)

# Accept only application/json in UTF-8. Every parser on the way then agrees that it is JSON (H109).
_JSON_IN_UTF8: Final = re.compile(r"""[ \t]*application/json[ \t]*(;[ \t]*charset="?utf-?8"?[ \t]*)?""", re.IGNORECASE)

Finish = Callable[[Response, Context], Awaitable[None]]


class BadRequest(Exception):
    """Raised for a request that is not a GraphQL operation. `sentence` names the fault and the expected form."""

    def __init__(self, status: int, reason: Sentence) -> None:
        super().__init__(str(reason))
        self.status, self.sentence = status, reason


class GraphQLEndpoint:
    """The API over HTTP. `make_context` identifies the caller; `finish` sets the cookies of the response."""

    def __init__(self, schema: Schema, settings: Settings, make_context: MakeContext, finish: Finish) -> None:
        self.schema, self._settings, self._make_context, self._finish = schema, settings, make_context, finish
        mask = partial(format_error, development=settings.development)
        self.subscriptions = SubscriptionTransport(schema, settings, make_context, mask)

    async def answer(self, request: Request) -> Response:
        """POST /graphql."""
        try:
            _refuse_repeated(request)
            bearer = bearer_of(request)
            if bearer is None:
                _refuse_foreign_pages(request, self._settings)
            operation = await _read_operation(request)
            context = await self._make_context(request, bearer)
            await refuse_unknown_bearer(context, bearer)
        except BadRequest as error:
            return _failed(error.status, localized(error.sentence), error.sentence.code)
        try:
            refuse_other_member(context.caller, request.headers.get(VIEWER_HEADER))
        except SessionChanged as error:
            return _with_viewer(_failed(409, localized(error.sentence), error.code), context)
        if is_subscription(operation):
            return await self._subscribe(request, operation, context)
        return _with_viewer(await self._run(request, operation, context), context)

    async def _run(self, request: Request, operation: dict[str, Any], context: Context) -> Response:
        """Runs a query or a mutation in its caller's turn. Cancels it after the timeout, or when the client disconnects.

        Cancellation rolls back the open transaction; committed mutations stay. The callback of a sign-in is a separate
        endpoint and is never cancelled (`service.sign_in.callback.finish`).
        """
        result, context.awaitables = None, []
        try:
            async with _while_connected(request.receive), asyncio.timeout(_TIMEOUT), context.turn():
                result = await self.schema.run(
                    operation["query"],
                    variables=operation.get("variables"),
                    operation_name=operation.get("operationName"),
                    context=context,
                )
        except TooManyAtOnce as error:
            return _failed(429, localized(error.sentence), "RATE_LIMITED")
        except TimeoutError:
            return _failed(503, localized(TOOK_TOO_LONG), "TIMEOUT")
        except ClientDisconnect:
            return Response(status_code=_CLIENT_GONE)
        finally:
            context.close(cancelled=result is None)
        response = _answer(result, development=self._settings.development)
        await self._finish(response, context)
        return response

    async def _subscribe(self, request: Request, operation: dict[str, Any], context: Context) -> Response:
        if not accepts_event_stream(request):
            return _failed(400, localized(_NEEDS_STREAM), _NEEDS_STREAM.code)
        return await self.subscriptions.stream(operation, context)


def _with_viewer(response: Response, context: Context) -> Response:
    """Adds the member of the session after the operation."""
    caller = None if context.end_session else context.caller
    response.headers[VIEWER_HEADER] = caller.member_id if caller else _NO_VIEWER
    return response


@asynccontextmanager
async def _while_connected(receive: Receive) -> AsyncIterator[None]:
    """Cancels the block when the client disconnects, and raises ClientDisconnect. The body must have been read before."""
    running, disconnected = asyncio.current_task(), False

    async def watch() -> None:
        nonlocal disconnected
        while (await receive())["type"] != "http.disconnect":
            pass
        disconnected = True
        if running is not None:
            running.cancel()

    watching = asyncio.create_task(watch())
    try:
        yield
    except asyncio.CancelledError:
        if disconnected and running is not None and not running.uncancel():
            raise ClientDisconnect from None
        raise
    finally:
        watching.cancel()


def _refuse_repeated(request: Request) -> None:
    """Rejects duplicates of security headers: one reader would use the first value, another the last."""
    for name in ("authorization", "content-type", "origin", "sec-fetch-site", VIEWER_HEADER.lower()):
        if len(request.headers.getlist(name)) > 1:
            raise BadRequest(400, sentence("BAD_REQUEST", "The header %(name)s was sent more than once.", name=name))


def bearer_of(request: HTTPConnection) -> str | None:
    """The access token of an Authorization header. Requests with one ignore cookies, which excludes cross-site forgery."""
    header = request.headers.get("authorization")
    if header is None:
        return None
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise BadRequest(
            401,
            sentence(
                "ACCESS_TOKEN_INVALID",
                "The Authorization header is not understood; `Bearer` and an access token were expected.",
            ),
        )
    return token.strip()


async def refuse_unknown_bearer(context: Context, bearer: str | None) -> None:
    """Raises BadRequest for an invalid access token: 401, or 429 over the client's limit of attempts."""
    try:
        await context.refuse_unknown_bearer(bearer)
    except RateLimited as error:
        raise BadRequest(429, error.sentence) from None
    except NotSignedIn as error:
        raise BadRequest(401, error.sentence) from None


def _answer(result: Any, *, development: bool) -> Response:
    if not isinstance(result, ExecutionResult):
        return _failed(400, localized(_NEEDS_STREAM), _NEEDS_STREAM.code)
    body: dict[str, Any] = {}
    if result.errors:
        body["errors"] = [format_error(error, development=development) for error in result.errors]
    if result.data is not None or not result.errors:
        body["data"] = result.data
    elif _has_syntax_error(result.errors):
        return _json(body, 400)
    else:
        body["data"] = None
    return _json(body)


def _has_syntax_error(errors: list[GraphQLError]) -> bool:
    """Whether the document could not be parsed. The request then has no operation."""
    return any(error.message.startswith("Syntax Error") for error in errors)


async def _read_operation(request: Request) -> dict[str, Any]:
    if not _JSON_IN_UTF8.fullmatch(request.headers.get("content-type", "")):
        raise BadRequest(415, sentence("BAD_REQUEST", "The content type is not application/json in UTF-8."))
    try:
        body = orjson.loads(await request.body())
    except orjson.JSONDecodeError:
        raise BadRequest(
            400, sentence("BAD_REQUEST", "The body is not JSON; an object with a query was expected.")
        ) from None
    except ClientDisconnect:
        raise BadRequest(400, sentence("BAD_REQUEST", "The body did not arrive.")) from None
    _refuse_other_shapes(body)
    return dict(body)


def _refuse_other_shapes(body: Any) -> None:
    if isinstance(body, list):
        raise BadRequest(400, sentence("BAD_REQUEST", "The body is a list; one operation a request was expected."))
    if not isinstance(body, dict):
        raise BadRequest(
            400, sentence("BAD_REQUEST", "The body is not a JSON object; an object with a query was expected.")
        )
    if not isinstance(body.get("query"), str) or not body["query"].strip():
        raise BadRequest(
            400, sentence("BAD_REQUEST", "The body has no query; a GraphQL document as text was expected.")
        )
    if not isinstance(body.get("variables"), dict | None):
        raise BadRequest(400, sentence("BAD_REQUEST", "variables is not an object."))
    if not isinstance(body.get("operationName"), str | None):
        raise BadRequest(400, sentence("BAD_REQUEST", "operationName is not text."))


def _refuse_foreign_pages(request: Request, settings: Settings) -> None:
    """Rejects a request with cookies from a page of another site, which may be a forgery (H109)."""
    if not has_cookies(request.scope):
        return
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
    if origin is None and site == "same-origin":
        return
    if origin in settings.page_origins and not _contradicts(str(origin), site, settings):
        return
    raise BadRequest(
        403,
        sentence(
            "ORIGIN_NOT_ALLOWED",
            "A request with cookies must come from this service's own pages or from an allowed origin.",
        ),
    )


def _contradicts(origin: str, site: str | None, settings: Settings) -> bool:
    """Whether sec-fetch-site says cross-site for an allowed origin. Two loopback names may be cross-site."""
    if site != "cross-site":
        return False
    return origin == settings.public_url or not is_loopback(host_of(origin))


def _failed(status: int, message: str, code: str) -> Response:
    response = _json({"errors": [{"message": message, "extensions": {"code": code}}]}, status)
    response.headers.update(challenge_of(status))
    return response


def challenge_of(status: int) -> dict[str, str]:
    """The header that a response with status 401 needs (RFC 9110 section 15.5.2, RFC 6750 section 3)."""
    unauthorized = status == HTTPStatus.UNAUTHORIZED
    return {"www-authenticate": 'Bearer realm="guestlist", error="invalid_token"'} if unauthorized else {}


def _json(body: dict[str, Any], status: int = 200) -> Response:
    return Response(orjson.dumps(body), status, media_type="application/json")
