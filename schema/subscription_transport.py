"""Transports of subscriptions: graphql-transport-ws over WebSockets, and server-sent events as the response to a POST.

Both serve subscriptions only; queries and mutations use POST /graphql. A handshake from another site's page is rejected, and
cookies are read only with an allowed Origin. Connections, subscriptions, messages and the time of a send are limited.
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
from schema.schema import Schema
from service.errors import NotSignedIn, RateLimited
from service.languages import current_language, localized, negotiated, override_language, sentence
from service.limits import client_key
from service.settings import Settings
from service.web.cookies import has_cookies

log = structlog.get_logger()

PROTOCOL: Final = "graphql-transport-ws"
MOST_IN_PROCESS: Final = 1000
MOST_OF_MEMBER: Final = 20
MOST_WAITING: Final = 200  # sockets before authentication; they do not count towards MOST_IN_PROCESS
MOST_WAITING_OF_CLIENT: Final = 50
MOST_ON_SOCKET: Final = 20
_LONGEST_ID: Final = 100  # characters in the id of a subscription
_INIT_TIMEOUT: Final = 10.0  # seconds, for connection_init
# Seconds until a client that does not read is disconnected. Together with the interval between two checks of rights, this
# stays below five seconds, within which a client without the right is disconnected (H162).
_SEND_TIMEOUT: Final = 2.0
_CLOSE_TIMEOUT: Final = 0.5  # seconds
_HEARTBEAT: Final = b":\n\n"  # a comment of server-sent events
_HEARTBEAT_INTERVAL: Final = 12.0  # seconds without an event

MakeContext = Callable[[HTTPConnection, str | None], Awaitable[Context]]
Mask = Callable[[GraphQLError], dict[str, Any]]


class SocketClosed(Exception):
    """Raised to close a socket with a close code of the protocol and its reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


class ConnectionLimits:
    """Counts the live connections of this process: slots of authenticated members, and a waiting list before that.

    The waiting list accepts every new socket. When it is full, or has too many sockets of one client, it evicts the socket that
    has waited longest (H163, H207).
    """

    def __init__(self) -> None:
        self._of_members: Counter[str] = Counter()
        self._waiting: dict[object, tuple[str, Callable[[], None]]] = {}
        self.connections = 0

    @contextlib.contextmanager
    def process_slot(self) -> Iterator[bool]:
        """A slot of the process. Gives False when all are in use."""
        free = self.connections < MOST_IN_PROCESS
        self.connections += free
        try:
            yield free
        finally:
            self.connections -= free

    @contextlib.contextmanager
    def member_slot(self, member_id: str) -> Iterator[bool]:
        """A slot of a member. Gives False when all are in use."""
        free = self._of_members[member_id] < MOST_OF_MEMBER
        self._of_members[member_id] += free
        try:
            yield free
        finally:
            self._of_members[member_id] -= free
            if not self._of_members[member_id]:
                del self._of_members[member_id]

    @contextlib.contextmanager
    def waiting(self, client: str, evict: Callable[[], None]) -> Iterator[None]:
        """An entry in the waiting list. Calls `evict` when a later socket takes its place."""
        entry, key = object(), client_key(client)
        if sum(client == key for client, _ in self._waiting.values()) >= MOST_WAITING_OF_CLIENT:
            self._evict_oldest(key)
        elif len(self._waiting) >= MOST_WAITING:
            self._evict_oldest(None)
        self._waiting[entry] = key, evict
        try:
            yield
        finally:
            self._waiting.pop(entry, None)

    def _evict_oldest(self, client: str | None) -> None:
        """Evicts the oldest socket of a client, or of all clients."""
        oldest = next(entry for entry, (key, _) in self._waiting.items() if client in {None, key})
        _, evict = self._waiting.pop(oldest)
        evict()


_TOO_MANY: Final = sentence(
    "RATE_LIMITED", "There are too many live connections. Close one, and try again in a moment."
)


class SubscriptionTransport:
    """Serves subscriptions by both transports. `mask` formats an error for clients."""

    def __init__(self, schema: Schema, settings: Settings, make_context: MakeContext, mask: Mask) -> None:
        self._schema, self._settings, self._make_context, self._mask = schema, settings, make_context, mask
        self.limits = ConnectionLimits()

    async def results(self, operation: dict[str, Any], context: Context) -> AsyncGenerator[dict[str, Any], None]:
        """The results of a subscription, as response bodies. Ends after a body without data, which has errors."""
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
        """The response to a POST that accepts text/event-stream: `next` events and a `complete` (GraphQL over SSE)."""
        member_id = context.caller.member_id if context.caller else ""
        slots = contextlib.ExitStack()
        limits = self.limits.process_slot(), self.limits.member_slot(member_id)
        if not all(slots.enter_context(slot) for slot in limits):
            slots.close()
            body = {"errors": [{"message": localized(_TOO_MANY)}]}
            return Response(orjson.dumps(body), 429, media_type="application/json")
        return _EventStream(self._events(operation, context), slots)

    async def _events(self, operation: dict[str, Any], context: Context) -> AsyncGenerator[bytes, None]:
        async with contextlib.aclosing(_with_heartbeats(self.results(operation, context))) as bodies:
            async for body in bodies:
                yield _HEARTBEAT if body is None else b"event: next\ndata: " + orjson.dumps(body) + b"\n\n"
        yield b"event: complete\ndata:\n\n"

    # --------------------------------------------------------------------------------------------------- WebSockets

    async def websocket(self, socket: WebSocket) -> None:
        """WS /graphql. Rejects another site's page before the handshake, by an HTTP 403 (H160)."""
        origin = socket.headers.get("origin")
        if origin is not None and origin not in self._settings.page_origins:
            await socket.close(4403)
            return
        supported = PROTOCOL in socket.scope["subprotocols"]
        await socket.accept(subprotocol=PROTOCOL if supported else None)
        connection = _Connection(self, socket, use_cookies=origin is not None)
        try:
            await connection.run(supported=supported)
        except SocketClosed as closed:
            with contextlib.suppress(RuntimeError, WebSocketDisconnect, TimeoutError):
                # A client that does not read does not complete the closing handshake.
                await asyncio.wait_for(socket.close(closed.code, closed.reason), _CLOSE_TIMEOUT)
        except WebSocketDisconnect:
            pass

    async def context_of(self, socket: WebSocket, bearer: str | None, *, use_cookies: bool) -> Context:
        """The context of a socket. An empty token is invalid, and prevents the use of cookies."""
        if bearer is None and not use_cookies:
            bearer = ""
        return await self._make_context(socket, bearer)


class _EventStream(StreamingResponse):
    """Releases its slots when it ends, also on an error."""

    def __init__(self, events: AsyncGenerator[bytes, None], slots: contextlib.ExitStack) -> None:
        super().__init__(events, media_type="text/event-stream", headers={"x-accel-buffering": "no"})
        self._slots, self._events = slots, events

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def send_in_time(message: Any) -> None:
            await asyncio.wait_for(send(message), _SEND_TIMEOUT)

        try:
            with contextlib.suppress(TimeoutError):
                await super().__call__(scope, receive, send_in_time)
        finally:
            self._slots.close()
            await self._events.aclose()


async def _with_heartbeats(
    bodies: AsyncGenerator[dict[str, Any], None],
) -> AsyncGenerator[dict[str, Any] | None, None]:
    """The bodies, and None after each interval without a body. The heartbeat then detects a dead connection."""
    upcoming = asyncio.ensure_future(anext(bodies))
    try:
        while True:
            done, _ = await asyncio.wait([upcoming], timeout=_HEARTBEAT_INTERVAL)
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


class _Connection:
    """A WebSocket with the graphql-transport-ws protocol."""

    def __init__(self, transport: SubscriptionTransport, socket: WebSocket, *, use_cookies: bool) -> None:
        self._transport, self._socket, self._use_cookies = transport, socket, use_cookies
        self._bearer: str | None = None
        self._language = current_language()
        self._subscriptions: dict[str, asyncio.Task[None]] = {}
        self._send_lock = asyncio.Lock()
        self._failed: asyncio.Future[SocketClosed] = asyncio.get_running_loop().create_future()

    async def run(self, *, supported: bool) -> None:
        """Serves the socket from the first message to the last. Members with a session skip the waiting list."""
        if not supported:
            raise SocketClosed(4406, "Subprotocol not acceptable")
        with contextlib.ExitStack() as slots:
            known_id = await self._member_of_handshake()
            admitted = known_id is not None and self._reserve(known_id, slots) is None
            waiting = self._transport.limits.waiting(
                self._client, lambda: self._fail(SocketClosed(1013, "Others wait too"))
            )
            with contextlib.nullcontext() if admitted else waiting:
                member_id = await self._authenticate()
            if not (admitted and member_id == known_id):
                slots.close()
                if (full := self._reserve(member_id, slots)) is not None:
                    raise full
            await self._send({"type": "connection_ack"})
            try:
                while True:
                    await self._handle(await self._next_message())
            finally:
                for task in self._subscriptions.values():
                    task.cancel()
                await asyncio.gather(*self._subscriptions.values(), return_exceptions=True)

    def _reserve(self, member_id: str, slots: contextlib.ExitStack) -> SocketClosed | None:
        """Takes a slot of the process and one of the member. Takes neither when one is missing, and returns the reason."""
        limits, full = self._transport.limits, None
        if not slots.enter_context(limits.process_slot()):
            full = SocketClosed(1013, "There are too many live connections")
        elif not slots.enter_context(limits.member_slot(member_id)):
            full = SocketClosed(4429, "You have too many live connections")
        if full is not None:
            slots.close()
        return full

    @property
    def _client(self) -> str:
        return self._socket.client.host if self._socket.client else "unknown"

    async def _member_of_handshake(self) -> str | None:
        """The member of a session or an access token in the handshake. Raises SocketClosed for an invalid token."""
        self._bearer = _bearer_in(dict(self._socket.headers))
        if self._bearer is None and not (self._use_cookies and has_cookies(self._socket.scope)):
            return None
        context = await self._valid_context()
        return None if context.caller is None else context.caller.member_id

    async def _authenticate(self) -> str:
        """Reads connection_init. Returns the member's id. Raises SocketClosed without a session or an access token."""
        try:
            message = await asyncio.wait_for(self._next_message(), _INIT_TIMEOUT)
        except TimeoutError:
            raise SocketClosed(4408, "Connection initialisation timeout") from None
        if message["type"] == "subscribe":
            raise SocketClosed(4401, "Unauthorized")
        if message["type"] != "connection_init":
            raise SocketClosed(4400, "connection_init was expected first")
        payload = message.get("payload")
        self._bearer = _bearer_in(payload) or self._bearer
        self._language = _language_in(payload) or self._language
        context = await self._valid_context()
        if context.caller is None:
            raise SocketClosed(4401, "Unauthorized")
        return context.caller.member_id

    async def _valid_context(self) -> Context:
        """The current context. Raises SocketClosed for an invalid access token, which counts as an attempt (H199)."""
        context = await self._context()
        try:
            await context.refuse_unknown_bearer(self._bearer)
        except RateLimited as error:
            raise SocketClosed(4429, localized(error.sentence)) from None
        except NotSignedIn:
            raise SocketClosed(4401, "Unauthorized") from None
        return context

    async def _context(self) -> Context:
        return await self._transport.context_of(self._socket, self._bearer, use_cookies=self._use_cookies)

    async def _next_message(self) -> dict[str, Any]:
        """Waits for a message. Raises SocketClosed when the connection fails before one arrives."""
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

    async def _handle(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "ping":
            await self._send({"type": "pong"})
        elif kind == "subscribe":
            self._subscribe(message)
        elif kind == "complete":
            task = self._subscriptions.pop(str(message.get("id")), None)
            if task is not None:
                task.cancel()
        elif kind == "connection_init":
            raise SocketClosed(4429, "Too many initialisation requests")
        elif kind != "pong":
            raise SocketClosed(4400, "This type of message is not known")

    def _subscribe(self, message: dict[str, Any]) -> None:
        name, operation = message.get("id"), message.get("payload")
        if not (isinstance(name, str) and 0 < len(name) <= _LONGEST_ID and _is_operation(operation)):
            raise SocketClosed(4400, "subscribe needs an id and a payload with a query")
        if name in self._subscriptions:
            raise SocketClosed(4409, f"Subscriber for {name} already exists")
        if len(self._subscriptions) >= MOST_ON_SOCKET:
            raise SocketClosed(4429, "Too many subscriptions on one connection")
        # An empty context: a task would otherwise inherit the current transaction.
        task = asyncio.create_task(self._send_results(name, operation or {}), context=contextvars.Context())
        self._subscriptions[name] = task

    async def _send_results(self, name: str, operation: dict[str, Any]) -> None:
        """Sends the results of a subscription. Fails the connection when the client does not read them."""
        try:
            with override_language(self._language):
                await self._send_each(name, operation)
        except (TimeoutError, WebSocketDisconnect):
            self._fail()
        except Exception:
            log.exception("subscription.failed")
            self._fail()
        finally:
            if self._subscriptions.get(name) is asyncio.current_task():
                del self._subscriptions[name]

    async def _send_each(self, name: str, operation: dict[str, Any]) -> None:
        async with contextlib.aclosing(self._transport.results(operation, await self._context())) as bodies:
            async for body in bodies:
                if body["data"] is None:
                    await self._send({"type": "error", "id": name, "payload": body.get("errors", [])})
                    await self._fail_without_caller()
                    return
                await self._send({"type": "next", "id": name, "payload": body})
        await self._send({"type": "complete", "id": name})

    async def _fail_without_caller(self) -> None:
        """Closes the connection of an ended session or token. One that lost its right to a community may stay."""
        if (await self._context()).caller is None:
            self._fail(SocketClosed(4401, "Unauthorized"))

    def _fail(self, closed: SocketClosed | None = None) -> None:
        if not self._failed.done():
            self._failed.set_result(closed or SocketClosed(1011, "This connection cannot go on"))

    async def _receive(self) -> dict[str, Any]:
        try:
            message = orjson.loads(await self._socket.receive_text())
        except (orjson.JSONDecodeError, KeyError):
            raise SocketClosed(4400, "A message is not JSON text") from None
        if not isinstance(message, dict) or not isinstance(message.get("type"), str):
            raise SocketClosed(4400, "A message has no type")
        return message

    async def _send(self, message: dict[str, Any]) -> None:
        async with self._send_lock:
            if self._socket.application_state is not WebSocketState.CONNECTED:
                raise WebSocketDisconnect
            await asyncio.wait_for(self._socket.send_text(orjson.dumps(message).decode()), _SEND_TIMEOUT)


def _bearer_in(headers: Any) -> str | None:
    """The access token of an Authorization header, or of an entry of that name in connection_init's payload."""
    scheme, _, token = _entry_in(headers, "authorization").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _language_in(payload: Any) -> str | None:
    """The language of connection_init's payload: acceptLanguage, or Accept-Language, with the value of that header."""
    accept_language = _entry_in(payload, "acceptlanguage") or _entry_in(payload, "accept-language")
    return negotiated(accept_language) if accept_language else None


def _entry_in(entries: Any, name: str) -> str:
    """The value of an entry by its name in lower case; an empty text without a value."""
    if not isinstance(entries, dict):
        return ""
    value = next((value for key, value in entries.items() if str(key).lower() == name), None)
    return value if isinstance(value, str) else ""


def _is_operation(payload: Any) -> bool:
    return (
        isinstance(payload, dict)
        and isinstance(payload.get("query"), str)
        and isinstance(payload.get("variables"), dict | None)
        and isinstance(payload.get("operationName"), str | None)
    )


def accepts_event_stream(request: Request) -> bool:
    return "text/event-stream" in request.headers.get("accept", "").lower()


def is_subscription(operation: dict[str, Any]) -> bool:
    """Whether an operation is a subscription. POST /graphql reports documents that cannot be parsed."""
    if "subscription" not in operation["query"]:
        return False
    try:
        node = get_operation_ast(parse(operation["query"], max_tokens=MOST_TOKENS), operation.get("operationName"))
    except GraphQLError:
        return False
    return node is not None and node.operation is OperationType.SUBSCRIPTION
