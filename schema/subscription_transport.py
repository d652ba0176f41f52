"""Subscriptions on their way: graphql-transport-ws on a WebSocket, and server-sent events as the answer to a POST.

Only subscriptions are served here; queries and mutations have POST /graphql. A page of another site gets no handshake,
a browser's cookies count only with an allowed Origin, and everything is bounded: connections, subscriptions, messages,
and the time that anything may take to be read.
"""

import asyncio
import contextlib
import contextvars
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from typing import Any, Final

import orjson
import structlog
from graphql import ExecutionResult, GraphQLError, OperationType, get_operation_ast, parse
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response, StreamingResponse
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from schema.context import Context
from schema.limits.document_size import MOST_TOKENS
from service.errors import NotSignedIn, RateLimited
from service.limits import client_key
from service.settings import Settings
from service.web.cookies import has_cookies

log = structlog.get_logger()

PROTOCOL: Final = "graphql-transport-ws"
MOST_IN_PROCESS: Final = 1000
MOST_OF_MEMBER: Final = 20
MOST_WAITING: Final = 200  # sockets that have not said yet who they are; they take no places of the process
MOST_WAITING_OF_CLIENT: Final = 50
MOST_ON_SOCKET: Final = 20
_INIT_WITHIN: Final = 10.0  # seconds
# Seconds; who reads no message for so long is cut off. With the time between two looks at the rights it stays below the
# five seconds after which nobody without the right is connected any more.
_READ_WITHIN: Final = 2.0
_FAREWELL_WITHIN: Final = 0.5
_STILL_THERE: Final = b":\n\n"
_EVERY: Final = 12.0  # seconds between two signs of life on a quiet stream

MakeContext = Callable[[HTTPConnection, str | None], Awaitable[Context]]
Mask = Callable[[GraphQLError], dict[str, Any]]


class Closed(Exception):
    """Raised to close a socket, with a code of the protocol and its reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


class Rooms:
    """The live connections of this process: the places of members, and a waiting room for everybody else.

    A newcomer always gets into the waiting room. Where it is full, or holds too many sockets of one client, the socket
    that has waited longest there is let go (H163, H207).
    """

    def __init__(self) -> None:
        self._held: Counter[str] = Counter()
        self._waiting: dict[object, tuple[str, Callable[[], None]]] = {}
        self.taken = 0

    @contextlib.contextmanager
    def room(self) -> Iterator[bool]:
        """A place in the process; False where there is none."""
        free = self.taken < MOST_IN_PROCESS
        self.taken += free
        try:
            yield free
        finally:
            self.taken -= free

    @contextlib.contextmanager
    def of(self, member_id: str) -> Iterator[bool]:
        """A place of the member's; False where they have taken all of theirs."""
        free = self._held[member_id] < MOST_OF_MEMBER
        self._held[member_id] += free
        try:
            yield free
        finally:
            self._held[member_id] -= free
            if not self._held[member_id]:
                del self._held[member_id]

    @contextlib.contextmanager
    def waiting(self, client: str, let_go: Callable[[], None]) -> Iterator[None]:
        """A place in the waiting room; `let_go` is called when a later newcomer takes it."""
        access, key = object(), client_key(client)
        if sum(client == key for client, _ in self._waiting.values()) >= MOST_WAITING_OF_CLIENT:
            self._let_go(key)
        elif len(self._waiting) >= MOST_WAITING:
            self._let_go(None)
        self._waiting[access] = key, let_go
        try:
            yield
        finally:
            self._waiting.pop(access, None)

    def _let_go(self, client: str | None) -> None:
        """Lets go of the oldest socket, or of the oldest of one client."""
        oldest = next(access for access, (key, _) in self._waiting.items() if client in {None, key})
        _, let_go = self._waiting.pop(oldest)
        let_go()


class Live:
    """The two ways in. `mask` makes an error harmless."""

    def __init__(self, schema: Any, settings: Settings, make_context: MakeContext, mask: Mask) -> None:
        self._schema, self._settings, self._make_context, self._mask = schema, settings, make_context, mask
        self.rooms = Rooms()

    async def results(self, operation: dict[str, Any], context: Context) -> AsyncGenerator[dict[str, Any], None]:
        """What a subscription gives, as bodies of answers; one with errors and no data is the last."""
        stream = self._schema.follow(
            operation["query"],
            variables=operation.get("variables"),
            operation_name=operation.get("operationName"),
            context=context,
        )
        async with contextlib.aclosing(stream):
            async for result in stream:
                body = self._body(result)
                yield body
                if body["data"] is None:
                    return

    def _body(self, result: ExecutionResult) -> dict[str, Any]:
        body: dict[str, Any] = {"data": result.data}
        if result.errors:
            body["errors"] = [self._mask(error) for error in result.errors]
        return body

    # ------------------------------------------------------------------------------------------- server-sent events

    async def stream(self, operation: dict[str, Any], context: Context) -> Response:
        """The answer to a POST that accepts text/event-stream: `next` events and a `complete` (GraphQL over SSE)."""
        member_id = context.caller.member_id if context.caller else ""
        places = contextlib.ExitStack()
        if not (places.enter_context(self.rooms.room()) and places.enter_context(self.rooms.of(member_id))):
            places.close()
            message = "There are too many live connections. Close one, and try again in a moment."
            return Response(orjson.dumps({"errors": [{"message": message}]}), 429, media_type="application/json")
        return _EventStream(self._events(operation, context), places)

    async def _events(self, operation: dict[str, Any], context: Context) -> AsyncGenerator[bytes, None]:
        async with contextlib.aclosing(_with_signs_of_life(self.results(operation, context))) as bodies:
            async for body in bodies:
                yield _STILL_THERE if body is None else b"event: next\ndata: " + orjson.dumps(body) + b"\n\n"
        yield b"event: complete\ndata:\n\n"

    # --------------------------------------------------------------------------------------------------- WebSockets

    async def websocket(self, socket: WebSocket) -> None:
        """WS /graphql. Closing before accepting is an HTTP 403: another site's page learns nothing (H160)."""
        origin = socket.headers.get("origin")
        if origin is not None and origin not in {self._settings.public_url, *self._settings.allowed_origins}:
            await socket.close(4403)
            return
        spoken = PROTOCOL in socket.scope["subprotocols"]
        await socket.accept(subprotocol=PROTOCOL if spoken else None)
        conversation = _Conversation(self, socket, cookies_count=origin is not None)
        try:
            await conversation.hold(spoken=spoken)
        except Closed as closed:
            with contextlib.suppress(RuntimeError, WebSocketDisconnect, TimeoutError):
                # Who reads nothing answers no farewell either.
                await asyncio.wait_for(socket.close(closed.code, closed.reason), _FAREWELL_WITHIN)
        except WebSocketDisconnect:
            pass

    async def context_of(self, socket: WebSocket, bearer: str | None, *, cookies_count: bool) -> Context:
        if bearer is None and not cookies_count:
            bearer = ""
        return await self._make_context(socket, bearer)


class _EventStream(StreamingResponse):
    """Gives its places back however it ends."""

    def __init__(self, events: AsyncGenerator[bytes, None], places: contextlib.ExitStack) -> None:
        super().__init__(events, media_type="text/event-stream", headers={"x-accel-buffering": "no"})
        self._places, self._events = places, events

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def bounded(message: Any) -> None:
            await asyncio.wait_for(send(message), _READ_WITHIN)

        try:
            with contextlib.suppress(TimeoutError):
                await super().__call__(scope, receive, bounded)
        finally:
            self._places.close()
            await self._events.aclose()


async def _with_signs_of_life(
    bodies: AsyncGenerator[dict[str, Any], None],
) -> AsyncGenerator[dict[str, Any] | None, None]:
    """The bodies, and None after every while in which there was none, so that a dead connection is noticed."""
    upcoming = asyncio.ensure_future(anext(bodies))
    try:
        while True:
            done, _ = await asyncio.wait([upcoming], timeout=_EVERY)
            if not done:
                yield None
                continue
            try:
                body = upcoming.result()
            except StopAsyncIteration:
                return
            yield body
            upcoming = asyncio.ensure_future(anext(bodies))
    finally:
        upcoming.cancel()
        await asyncio.gather(upcoming, return_exceptions=True)
        await bodies.aclose()


class _Conversation:
    """One socket that speaks graphql-transport-ws."""

    def __init__(self, live: Live, socket: WebSocket, *, cookies_count: bool) -> None:
        self._live, self._socket, self._cookies_count = live, socket, cookies_count
        self._bearer: str | None = None
        self._running: dict[str, asyncio.Task[None]] = {}
        self._writing = asyncio.Lock()
        self._failed: asyncio.Future[Closed] = asyncio.get_running_loop().create_future()

    async def hold(self, *, spoken: bool) -> None:
        """From the first message to the last."""
        if not spoken:
            raise Closed(4406, "Subprotocol not acceptable")
        with contextlib.ExitStack() as places:
            known = await self._member_of_handshake()
            seated = known is not None and self._seat(known, places) is None
            waiting = self._live.rooms.waiting(self._client, lambda: self._give_up(Closed(1013, "Others wait too")))
            with contextlib.nullcontext() if seated else waiting:
                member_id = await self._greet()
            if not (seated and member_id == known):
                places.close()
                if (full := self._seat(member_id, places)) is not None:
                    raise full
            await self._send({"type": "connection_ack"})
            try:
                await self._converse()
            finally:
                for task in self._running.values():
                    task.cancel()
                await asyncio.gather(*self._running.values(), return_exceptions=True)

    def _seat(self, member_id: str, places: contextlib.ExitStack) -> Closed | None:
        """Takes a place of the process and one of the member's; returns why not, and then takes none."""
        rooms, full = self._live.rooms, None
        if not places.enter_context(rooms.room()):
            full = Closed(1013, "There are too many live connections")
        elif not places.enter_context(rooms.of(member_id)):
            full = Closed(4429, "You have too many live connections")
        if full is not None:
            places.close()
        return full

    @property
    def _client(self) -> str:
        return self._socket.client.host if self._socket.client else "unknown"

    async def _member_of_handshake(self) -> str | None:
        """The member whose session or access token came with the handshake; they need not wait among strangers.

        Raises Closed for a wrong token, whatever would be sent after it.
        """
        self._bearer = _bearer_in(dict(self._socket.headers))
        if self._bearer is None and not (self._cookies_count and has_cookies(self._socket.scope)):
            return None
        context = await self._context_of_known_token()
        return None if context.caller is None else context.caller.member_id

    async def _greet(self) -> str:
        """connection_init, soon, from somebody with a session or an access token; their member id."""
        try:
            message = await asyncio.wait_for(self._next(), _INIT_WITHIN)
        except TimeoutError:
            raise Closed(4408, "Connection initialisation timeout") from None
        if message["type"] == "subscribe":
            raise Closed(4401, "Unauthorized")
        if message["type"] != "connection_init":
            raise Closed(4400, "connection_init was expected first")
        self._bearer = _bearer_in(message.get("payload")) or self._bearer
        context = await self._context_of_known_token()
        if context.caller is None:
            raise Closed(4401, "Unauthorized")
        return context.caller.member_id

    async def _context_of_known_token(self) -> Context:
        """The context of this moment. Raises Closed for a wrong access token, which counts as an attempt (H199)."""
        context = await self._context()
        try:
            await context.refuse_unknown_bearer(self._bearer)
        except RateLimited as limited:
            raise Closed(4429, limited.message) from None
        except NotSignedIn:
            raise Closed(4401, "Unauthorized") from None
        return context

    async def _context(self) -> Context:
        return await self._live.context_of(self._socket, self._bearer, cookies_count=self._cookies_count)

    async def _converse(self) -> None:
        while True:
            await self._obey(await self._next())

    async def _next(self) -> dict[str, Any]:
        """The next message. Raises Closed when the connection is given up meanwhile."""
        reading = asyncio.create_task(self._receive())
        either: list[asyncio.Future[Any]] = [reading, self._failed]
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if self._failed.done():
                raise self._failed.result()
            return reading.result()
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _obey(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "ping":
            await self._send({"type": "pong"})
        elif kind == "subscribe":
            self._begin(message)
        elif kind == "complete":
            task = self._running.pop(str(message.get("id")), None)
            if task is not None:
                task.cancel()
        elif kind == "connection_init":
            raise Closed(4429, "Too many initialisation requests")
        elif kind != "pong":
            raise Closed(4400, "This type of message is not known")

    def _begin(self, message: dict[str, Any]) -> None:
        name, operation = message.get("id"), message.get("payload")
        if not (isinstance(name, str) and 0 < len(name) <= 100 and _is_operation(operation)):  # noqa: PLR2004
            raise Closed(4400, "subscribe needs an id and a payload with a query")
        if name in self._running:
            raise Closed(4409, f"Subscriber for {name} already exists")
        if len(self._running) >= MOST_ON_SOCKET:
            raise Closed(4429, "Too many subscriptions on one connection")
        # Outside of any transaction: a task inherits the one that it was created in.
        task = asyncio.create_task(self._serve(name, operation or {}), context=contextvars.Context())
        self._running[name] = task

    async def _serve(self, name: str, operation: dict[str, Any]) -> None:
        """One subscription until it ends; who does not read what it gives loses the connection."""
        try:
            async with contextlib.aclosing(self._live.results(operation, await self._context())) as bodies:
                async for body in bodies:
                    if body["data"] is None:
                        await self._send({"type": "error", "id": name, "payload": body.get("errors", [])})
                        await self._end_with_session()
                        return
                    await self._send({"type": "next", "id": name, "payload": body})
            await self._send({"type": "complete", "id": name})
        except (TimeoutError, WebSocketDisconnect):
            self._give_up()
        except Exception:
            log.exception("subscription.failed")
            self._give_up()
        finally:
            if self._running.get(name) is asyncio.current_task():
                del self._running[name]

    async def _end_with_session(self) -> None:
        """The connection of a session or token that is no more is closed; one that lost a community may ask for others."""
        if (await self._context()).caller is None:
            self._give_up(Closed(4401, "Unauthorized"))

    def _give_up(self, closed: Closed | None = None) -> None:
        if not self._failed.done():
            self._failed.set_result(closed or Closed(1011, "This connection cannot go on"))

    async def _receive(self) -> dict[str, Any]:
        try:
            message = orjson.loads(await self._socket.receive_text())
        except (orjson.JSONDecodeError, KeyError):
            raise Closed(4400, "A message is not JSON text") from None
        if not isinstance(message, dict) or not isinstance(message.get("type"), str):
            raise Closed(4400, "A message has no type")
        return message

    async def _send(self, message: dict[str, Any]) -> None:
        async with self._writing:
            if self._socket.application_state is not WebSocketState.CONNECTED:
                raise WebSocketDisconnect
            await asyncio.wait_for(self._socket.send_text(orjson.dumps(message).decode()), _READ_WITHIN)


def _bearer_in(headers: Any) -> str | None:
    """The access token of an Authorization header, or of the same entry in connection_init's payload."""
    if not isinstance(headers, dict):
        return None
    given = next((value for name, value in headers.items() if str(name).lower() == "authorization"), None)
    scheme, _, token = given.partition(" ") if isinstance(given, str) else ("", "", "")
    return token.strip() if scheme.lower() == "bearer" else None


def _is_operation(payload: Any) -> bool:
    return (
        isinstance(payload, dict)
        and isinstance(payload.get("query"), str)
        and isinstance(payload.get("variables"), dict | None)
        and isinstance(payload.get("operationName"), str | None)
    )


def wants_stream(request: Request) -> bool:
    return "text/event-stream" in request.headers.get("accept", "").lower()


def is_subscription(operation: dict[str, Any]) -> bool:
    """Whether a document asks for a subscription; one that cannot be parsed is answered like any other."""
    if "subscription" not in operation["query"]:
        return False
    try:
        node = get_operation_ast(parse(operation["query"], max_tokens=MOST_TOKENS), operation.get("operationName"))
    except GraphQLError:
        return False
    return node is not None and node.operation is OperationType.SUBSCRIPTION
