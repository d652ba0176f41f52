"""Deadlines of connections: incomplete requests, slow bodies, and unread answers."""

import asyncio
import socket as network
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.cli.server import OPTIONS
from service.web.connections import Deadlines, TimedConnection
from tests.support.loopback import bound_socket, running

pytestmark = pytest.mark.anyio

_SHORT = Deadlines(first=0.3, head=0.3, body=0.6, grace=0.2, rate=1000)
_LONG = Deadlines(first=60, head=60, body=60, grace=60)
_WITHIN = 20.0  # seconds, on a busy machine
_READ: list[bytes] = []


async def _whole(request: Request) -> Response:
    """Reads the body and returns its length."""
    _READ.append(await request.body())
    return PlainTextResponse(str(len(_READ[-1])))


async def _endless(_: Request) -> Response:
    async def chunks() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 65536
            await asyncio.sleep(0)  # awaits like an application that reads a database

    return StreamingResponse(chunks())


async def _large(_: Request) -> Response:
    return Response(b"x" * 8_000_000)


async def _websocket(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text(await socket.receive_text())
    await socket.close()


@asynccontextmanager
async def _served(deadlines: Deadlines, **options: Any) -> AsyncIterator[int]:
    """Serves a small application with the service's options. Yields its port."""
    routes = [
        Route("/whole", _whole, methods=["POST"]), Route("/endless", _endless), Route("/large", _large),
        WebSocketRoute("/socket", _websocket),
    ]  # fmt: skip
    _READ.clear()
    with bound_socket() as listening:
        http = partial(TimedConnection, deadlines=deadlines)
        async with running(Starlette(routes=routes), listening, http=http, **options):
            yield listening.getsockname()[1]


async def _answer(port: int, *parts: bytes, pause: float = 0) -> bytes:
    """Sends the parts one by one, with pauses. Returns all data until the server closes the connection."""
    async with asyncio.timeout(_WITHIN):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        reading = asyncio.create_task(reader.read())
        for part in parts:
            writer.write(part)
            if pause and (await asyncio.wait([reading], timeout=pause))[0]:
                break
        answer = await reading
        writer.close()
        return answer


_HEAD = b"POST /whole HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100000\r\n\r\n"
_GET = b"GET /nothing HTTP/1.1\r\nhost: localhost\r\n\r\n"


@pytest.mark.parametrize(
    "parts",
    [
        (b"POST /whole HT",),
        (b"POST /whole HTTP/1.1\r\nhost: localhost\r\nx-slow: ",),
        (b"GET /socket HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: upgrade\r\n",),
        (_HEAD,),
        (_HEAD, b"x" * 5000),
        (b"POST /whole HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel",),
    ],
    ids=["request-line", "header", "upgrade", "no-body", "part-of-a-body", "chunk"],
)
async def test_incomplete_request_is_rejected(parts: tuple[bytes, ...]) -> None:
    """H208: for any missing part of a request, the server answers 408 and closes. The application receives no complete
    body.
    """
    async with _served(_SHORT) as port:
        answer = await _answer(port, *parts)
    assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert answer.count(b"HTTP/1.1") == 1
    assert _READ == []


async def test_slow_body_is_rejected() -> None:
    """H208: single bytes in a head or a body do not extend the deadline. A body in time is read."""
    drops = [bytes([byte]) for byte in b"POST /whole HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n"]
    async with _served(_SHORT) as port:
        assert (await _answer(port, *drops[:12], pause=0.05)).startswith(b"HTTP/1.1 408")
        assert (await _answer(port, _HEAD, *[b"x"] * 12, pause=0.05)).startswith(b"HTTP/1.1 408")
        # Each part is fast enough, and the whole takes too long.
        assert (await _answer(port, _HEAD, *[b"x" * 100] * 12, pause=0.07)).startswith(b"HTTP/1.1 408")
        assert _READ == []
    async with _served(_LONG, timeout_keep_alive=1) as port:
        answer = await _answer(port, *drops, b"123456789", pause=0.001)
        assert answer.startswith(b"HTTP/1.1 200")
        assert _READ == [b"123456789"]


async def test_silent_connection_is_closed() -> None:
    """H208: a connection is closed before its first request and after one, also with empty lines or the rest of a
    rejected body.
    """
    async with _served(_SHORT, timeout_keep_alive=1) as port:
        assert await _answer(port) == b""
        assert await _answer(port, b"\r\n") == b""
        for further in ((), (b"\r\n",), (b"\r\n\r\n",)):
            answer = await _answer(port, _GET, *further, pause=0.05)
            assert answer.count(b"HTTP/1.1") == answer.count(b"HTTP/1.1 404") == 1
        refused = _HEAD.replace(b"/whole", b"/nothing")
        for rest in ((), (b"x" * 100_000,), (b"x" * 99_999,)):
            answer = await _answer(port, refused, *rest)
            assert answer.count(b"HTTP/1.1") == answer.count(b"HTTP/1.1 404") == 1
        answer = await _answer(port, _GET, b"GET /no", pause=0.05)
        assert (answer.count(b"HTTP/1.1 404"), answer.count(b"HTTP/1.1 408")) == (1, 1)


@pytest.mark.parametrize("path", ["/endless", "/large"])
async def test_unread_answer_is_dropped(path: str) -> None:
    """H209: a client that reads nothing is disconnected, during an answer and after its end."""
    async with _served(_SHORT, timeout_keep_alive=1) as port:
        with network.socket() as stalled:
            stalled.setsockopt(network.SOL_SOCKET, network.SO_RCVBUF, 4096)
            stalled.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(stalled, ("127.0.0.1", port))
            await loop.sock_sendall(stalled, f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
            async with asyncio.timeout(_WITHIN):
                while _is_connected(port):  # noqa: ASYNC110 -- the kernel has no event for it
                    await asyncio.sleep(0.02)


def _is_connected(port: int) -> bool:
    """Returns whether /proc lists an established connection to the server's port."""
    with open("/proc/net/tcp", encoding="ascii") as table:  # noqa: PTH123 -- a file of the kernel
        rows = [line.split() for line in table.readlines()[1:]]
    return any(row[1].endswith(f":{port:04X}") and row[3] == "01" for row in rows)


async def test_slow_reader_gets_the_whole_answer() -> None:
    """A client that reads slowly, and fast enough, receives every byte after any time."""
    async with _served(_SHORT, timeout_keep_alive=1) as port, asyncio.timeout(_WITHIN):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=65536)
        writer.write(b"GET /large HTTP/1.1\r\nhost: localhost\r\n\r\n")
        length = 0
        while length < 8_000_000:
            part = await reader.read(200_000)
            assert part
            length += len(part)
            await asyncio.sleep(0.01)  # the slow reader
        writer.close()


async def test_every_server_has_the_deadlines() -> None:
    """H208: `serve`, `dev` and the tests serve with these options."""
    assert OPTIONS["http"] is TimedConnection
    assert issubclass(TimedConnection, HttpToolsProtocol)
    assert TimedConnection.__init__.__kwdefaults__ == {"deadlines": Deadlines()}
