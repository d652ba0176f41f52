"""Runs applications on loopback, with real sockets and uvicorn's protocols, in the event loop of the test."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from socket import AF_INET, IPPROTO_TCP, SO_REUSEADDR, SOCK_STREAM, SOL_SOCKET, socket
from typing import Any

import uvicorn

from service import logs
from service.cli.server import OPTIONS


def bound_socket() -> socket:
    """Returns a socket that is bound to a free port of loopback."""
    # asyncio disables Nagle's algorithm only for sockets that name their protocol.
    listening = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP)
    listening.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", 0))
    return listening


@asynccontextmanager
async def running(app: Any, listening: socket, **options: Any) -> AsyncIterator[None]:
    """Runs the application behind uvicorn's protocols, in this event loop.

    `options` are uvicorn's. The steps are those of `uvicorn.Server.serve`, without its pauses of 0.1 seconds.
    """
    logs.quieten()
    config = uvicorn.Config(app, **(OPTIONS | {"lifespan": "on", "log_level": "warning"} | options))
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listening])
    await server.on_tick(0)  # creates the default headers
    try:
        yield
    finally:
        for listener in server.servers:
            listener.close()
        for connection in list(server.server_state.connections):
            connection.shutdown()
        async with asyncio.timeout(20):
            while server.server_state.connections or server.server_state.tasks:  # noqa: ASYNC110 -- uvicorn has no event
                await asyncio.sleep(0.001)
        await server.lifespan.shutdown()
